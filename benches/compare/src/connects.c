/* connects PORT COUNT: connects and closes; connects PORT COUNT MEGABYTES: then sends that much over one connection and
 * waits for the other end's count. Prints `ns PER-CONNECT` or `ns PER-MEGABYTE`. */
#include "clock.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static int connected(int port) {
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
		die("connect");
	return fd;
}

/* Closed with a reset, so that no port waits. */
static void reset(int fd) {
	struct linger now = { 1, 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(fd);
}

int main(int argc, char **argv) {
	static char chunk[1 << 20];
	char counted[32] = "";
	long i, count, megabytes = argc > 3 ? atol(argv[3]) : 0;
	double start;
	int fd, port;
	if (argc < 3)
		return 2;
	port = atoi(argv[1]), count = atol(argv[2]);
	for (i = 0; i < 20; i++)
		reset(connected(port));
	start = now_ns();
	if (!megabytes) {
		for (i = 0; i < count; i++)
			reset(connected(port));
		printf("ns %.1f did %ld\n", (now_ns() - start) / (double)count, count);
		return 0;
	}
	fd = connected(port);
	start = now_ns();
	for (i = 0; i < megabytes; i++) {
		size_t sent = 0;
		while (sent < sizeof chunk) {
			ssize_t n = send(fd, chunk + sent, sizeof chunk - sent, 0);
			if (n < 0)
				die("send");
			sent += (size_t)n;
		}
	}
	shutdown(fd, SHUT_WR);
	if (recv(fd, counted, sizeof counted - 1, MSG_WAITALL) <= 0)
		die("recv");
	printf("ns %.1f did %s\n", (now_ns() - start) / (double)megabytes, counted);
	return 0;
}
