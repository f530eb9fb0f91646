/* ATTACKS 13: datagrams to a destination that is not allowed, by every call that can send one.
 * row_13_datagrams PORT BADPORT: both are bound on 127.0.0.1; BADPORT is not allowed. What arrives
 * there only its owner can say: the owner counts, this program says what seemed to work. */
#include "attack.h"
#include <arpa/inet.h>
#include <netinet/in.h>

static struct sockaddr_in to(int port) {
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static int udp(int family) {
	return socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

int main(int argc, char **argv) {
	struct sockaddr_in good, bad, unspec = { .sin_family = AF_UNSPEC };
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6 };
	struct iovec data = { "x", 1 };
	struct mmsghdr many[3] = { 0 };
	int fd, i;
	if (argc != 3)
		usage("row_13_datagrams PORT BADPORT");
	good = to(atoi(argv[1])), bad = to(atoi(argv[2]));
	mapped.sin6_port = bad.sin_port;
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
	for (i = 0; i < 3; i++)
		many[i].msg_hdr = (struct msghdr){ .msg_name = i == 0 ? &good : &bad, .msg_namelen = sizeof good, .msg_iov = &data, .msg_iovlen = 1 };
	fd = udp(AF_INET);
	tried(sendto(fd, "x", 1, 0, (void *)&bad, sizeof bad) == 1, "sendto");
	tried(sendmsg(fd, &many[1].msg_hdr, 0) == 1, "sendmsg");
	tried(sendmmsg(fd, many, 3, 0) > 1, "sendmmsg, second message");
	tried(connect(fd, (void *)&good, sizeof good) == 0 && sendto(fd, "x", 1, 0, (void *)&bad, sizeof bad) == 1, "sendto over a connected socket");
	tried(connect(fd, (void *)&bad, sizeof bad) == 0 && send(fd, "x", 1, 0) == 1, "reconnect");
	tried(connect(fd, (void *)&unspec, sizeof unspec) == 0 && sendto(fd, "x", 1, 0, (void *)&bad, sizeof bad) == 1, "disconnect, then sendto");
	unspec.sin_port = bad.sin_port, unspec.sin_addr = bad.sin_addr;
	tried(sendto(fd, "x", 1, 0, (void *)&unspec, sizeof unspec) == 1, "sendto with family unspec");
	close(fd);
	fd = udp(AF_INET6);
	tried(sendto(fd, "x", 1, 0, (void *)&mapped, sizeof mapped) == 1, "sendto, v4-mapped");
	tried(sendto(fd, "x", 1, 0, (void *)&bad, sizeof bad) == 1, "sendto, IPv4 address on an IPv6 socket");
	tried(connect(fd, (void *)&mapped, sizeof mapped) == 0 && send(fd, "x", 1, 0) == 1, "connect, v4-mapped");
	close(fd);
	fd = udp(AF_INET);
	tried(sendto(fd, "x", 1, MSG_MORE, (void *)&bad, sizeof bad) == 1 && sendto(fd, "y", 1, 0, (void *)&good, sizeof good) == 1, "corked to one, sent to the other");
	close(fd);
	return finish();
}
