/* What every attack program shares: counting what got through, a secret to look for, and a limit
 * for races. The last line on standard output is `GOT-THROUGH n` or `HELD n`; every attempt that
 * got through is named above it on a line of its own. */
#ifndef ATTACK_H
#define ATTACK_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The content of every file that must not be read. */
#define SECRET "TOP-SECRET"

__attribute__((unused)) static unsigned long through_count, held_count;

__attribute__((unused, format(printf, 2, 3))) static void tried(bool through, const char *what, ...) {
	int saved = errno;
	va_list arguments;
	va_start(arguments, what);
	if (through) {
		through_count++;
		/* A race may get through thousands of times: the first few are enough to read. */
		if (through_count <= 60) {
			printf("through: ");
			vprintf(what, arguments);
			printf("\n");
		}
	} else {
		held_count++;
		if (getenv("ATTACK_VERBOSE")) {
			fprintf(stderr, "held: ");
			vfprintf(stderr, what, arguments);
			fprintf(stderr, " (%s)\n", strerror(saved));
		}
	}
	va_end(arguments);
}

/* Prints the result; the exit status is 0 either way, so that a crash is never taken for `HELD`. */
__attribute__((unused)) static int finish(void) {
	if (through_count)
		printf("GOT-THROUGH %lu\n", through_count);
	else
		printf("HELD %lu\n", held_count);
	fflush(stdout);
	return 0;
}

__attribute__((unused, noreturn)) static void usage(const char *text) {
	fprintf(stderr, "usage: %s\n", text);
	exit(2);
}

/* Whether the descriptor gives the secret away; closes it. */
__attribute__((unused)) static bool gives_secret(int fd) {
	char text[256];
	ssize_t n;
	if (fd < 0)
		return false;
	n = pread(fd, text, sizeof text, 0);
	if (n < 0)
		n = read(fd, text, sizeof text);
	close(fd);
	return n > 0 && memmem(text, (size_t)n, SECRET, sizeof SECRET - 1) != NULL;
}

__attribute__((unused)) static bool exists(const char *path) {
	struct stat st;
	return lstat(path, &st) == 0;
}

/* A path made of parts, in one of 16 buffers used in turn. */
__attribute__((unused, format(printf, 1, 2))) static char *at(const char *format, ...) {
	static __thread char buffers[16][8192];
	static __thread unsigned next;
	char *buffer = buffers[next++ % 16];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(buffer, sizeof buffers[0], format, arguments);
	va_end(arguments);
	return buffer;
}

/* A file with this text; the workspace must let us make it, otherwise nothing would be proven. */
__attribute__((unused)) static void make_file(const char *path, const char *text) {
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
		fprintf(stderr, "make %s: %s\n", path, strerror(errno));
		exit(3);
	}
	close(fd);
}

__attribute__((unused)) static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A race ends after so many tries or so many seconds, whichever comes first. */
struct limit {
	unsigned long tries;
	double until;
};

__attribute__((unused)) static struct limit limit_from(const char *tries, const char *seconds) {
	struct limit limit = { strtoul(tries, NULL, 10), now() + atof(seconds) };
	return limit;
}

__attribute__((unused)) static bool go_on(const struct limit *limit, unsigned long done) {
	/* Bare it only has to be won once. */
	if (through_count && getenv("ATTACK_UNTIL_THROUGH"))
		return false;
	return done < limit->tries && ((done & 63) || now() < limit->until);
}
#endif
