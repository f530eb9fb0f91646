/* ATTACKS 1 and 2: another socket takes the number while a call is judged, or the memory that a call names comes and goes.
 * row_02_socket message|connect|listen|unmapped GOOD BAD TRIES SECONDS: ports on loopback. Whether something arrived at
 * BAD only its owner can say; a connection to it, or a listener on the wildcard, is counted here. */
#include "attack.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

static atomic_bool stop;
static int shared_fd, kinds[4], count;
static char *page;
static unsigned long worked;

static struct sockaddr_in loopback(int port) {
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static void *exchanger(void *unused) {
	(void)unused;
	while (!stop) {
		int i;
		if (page) {
			mprotect(page, 4096, PROT_NONE);
			mprotect(page, 4096, PROT_READ | PROT_WRITE);
		} else
			for (i = 0; i < count; i++)
				dup2(kinds[i], shared_fd);
	}
	return NULL;
}

/* Sockets that take turns; the first is the harmless one. */
static void make(const char *mode) {
	int pair[2];
	count = 0;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
		exit(3);
	kinds[count++] = pair[0];
	if (!strcmp(mode, "message"))
		kinds[count++] = socket(AF_INET, SOCK_DGRAM, 0);
	else if (!strcmp(mode, "connect")) {
		kinds[count++] = socket(AF_UNIX, SOCK_DGRAM, 0);
		kinds[count++] = socket(AF_INET, SOCK_DGRAM, 0);
		kinds[count++] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	} else {
		struct sockaddr_in own = loopback(0);
		kinds[count++] = socket(AF_INET, SOCK_STREAM, 0);
		kinds[count++] = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(kinds[1], (void *)&own, sizeof own) != 0)
			exit(3);
	}
}

static void look(const char *mode, int bad) {
	int i;
	for (i = 0; i < count; i++) {
		struct sockaddr_in name = { 0 };
		socklen_t length = sizeof name;
		if (!strcmp(mode, "connect"))
			tried(getpeername(kinds[i], (void *)&name, &length) == 0 && name.sin_family == AF_INET && ntohs(name.sin_port) == bad, "connect");
		else if (!strcmp(mode, "listen")) {
			char device[IF_NAMESIZE] = "";
			socklen_t size = sizeof device;
			int listens = 0;
			socklen_t one = sizeof listens;
			getsockopt(kinds[i], SOL_SOCKET, SO_ACCEPTCONN, &listens, &one);
			getsockopt(kinds[i], SOL_SOCKET, SO_BINDTODEVICE, device, &size);
			getsockname(kinds[i], (void *)&name, &length);
			worked += listens;
			tried(listens && name.sin_family == AF_INET && name.sin_addr.s_addr == 0 && strcmp(device, "lo"), "a listener on the wildcard");
		}
	}
}

static void once(const char *mode, int good, int bad, unsigned long number) {
	struct sockaddr_in address = loopback(strcmp(mode, "connect") && number % 2 ? good : bad);
	struct iovec data = { "x", 1 };
	struct msghdr message = { .msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &data, .msg_iovlen = 1 };
	if (!strcmp(mode, "message")) {
		worked += sendmsg(shared_fd, &message, MSG_NOSIGNAL) == 1;
		tried(false, "sendmsg");
	} else if (!strcmp(mode, "connect")) {
		worked += connect(shared_fd, (void *)&address, sizeof address) == 0 || errno != EFAULT;
		look(mode, bad);
	} else if (!strcmp(mode, "listen")) {
		listen(shared_fd, 1);
		look(mode, bad);
	} else {
		struct msghdr *there = (struct msghdr *)page;
		/* The page is there or it is not: both fail and work by turns. */
		if (sendmsg(shared_fd, number % 2 ? there : there + 1, MSG_NOSIGNAL) == 1)
			worked++;
		tried(false, "sendmsg");
	}
}

int main(int argc, char **argv) {
	static struct sockaddr_in good, bad;
	static struct iovec data = { "x", 1 };
	const char *mode = argv[1];
	struct limit limit;
	unsigned long done;
	pthread_t thread;
	if (argc != 6)
		usage("row_02_socket MODE GOOD BAD TRIES SECONDS");
	if (!strcmp(mode, "unmapped")) {
		struct msghdr *there;
		good = loopback(atoi(argv[2])), bad = loopback(atoi(argv[3]));
		page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		there = (struct msghdr *)page;
		there[0] = (struct msghdr){ .msg_name = &good, .msg_namelen = sizeof good, .msg_iov = &data, .msg_iovlen = 1 };
		there[1] = (struct msghdr){ .msg_name = &bad, .msg_namelen = sizeof bad, .msg_iov = &data, .msg_iovlen = 1 };
		shared_fd = socket(AF_INET, SOCK_DGRAM, 0);
	} else {
		make(mode);
		shared_fd = dup(kinds[0]);
	}
	pthread_create(&thread, NULL, exchanger, NULL);
	limit = limit_from(argv[4], argv[5]);
	for (done = 0; go_on(&limit, done); done++)
		once(mode, atoi(argv[2]), atoi(argv[3]), done);
	stop = true;
	pthread_join(thread, NULL);
	printf("worked %lu of %lu\n", worked, done);
	return finish();
}
