/* opens FILE COUNT [THREADS]: COUNT opens and closes, divided among the threads; reads once at the end; prints
 * `ns PER-OPEN` by the wall clock and what the file begins with. */
#include "clock.h"
#include <pthread.h>

static const char *file;
static long each;

static void *open_all(void *count) {
	long i;
	for (i = 0; i < *(long *)count; i++) {
		int fd = open(file, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			die(file);
		close(fd);
	}
	return NULL;
}

int main(int argc, char **argv) {
	char text[16] = "";
	double start;
	long warm = 100, count = argc >= 3 ? atol(argv[2]) : 0, threads = argc == 4 ? atol(argv[3]) : 1;
	pthread_t thread[64];
	int fd, i;
	if (count <= 0 || threads < 1 || threads > 64)
		return 2;
	file = argv[1], each = count / threads;
	/* Warm: the first opens pay for caches and questions. */
	open_all(&warm);
	start = now_ns();
	for (i = 1; i < threads; i++)
		if (pthread_create(&thread[i], NULL, open_all, &each) != 0)
			die("thread");
	open_all(&each);
	for (i = 1; i < threads; i++)
		pthread_join(thread[i], NULL);
	start = (now_ns() - start) / (double)(each * threads);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (read(fd, text, sizeof text - 1) <= 0)
		die("read");
	printf("ns %.1f did %ld read %.7s\n", start, each * threads, text);
	return 0;
}
