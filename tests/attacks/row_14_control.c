/* ATTACKS 14: control messages and options that send a packet another way than its destination says.
 * row_14_control: sends to a socket of its own and looks at what arrives. */
#include "attack.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>

#ifndef IPV6_RTHDR_TYPE_0
#define IPV6_RTHDR_TYPE_0 0
#endif

/* Loose source route by 127.0.0.9: the packet goes there first. */
static const unsigned char route[] = { IPOPT_NOP, IPOPT_LSRR, 7, 4, 127, 0, 0, 9 };
/* Segment routing header by ::1. */
static const unsigned char segments[] = { 0, 2, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };

static int receiver, port;

static bool arrived_with(int level, int type, const char *source) {
	char byte, control[512];
	struct sockaddr_in from = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct pollfd poller = { receiver, POLLIN, 0 };
	struct cmsghdr *header;
	if (poll(&poller, 1, 500) != 1 || recvmsg(receiver, &message, 0) < 0)
		return false;
	if (source && from.sin_addr.s_addr == inet_addr(source))
		return true;
	for (header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
		if (header->cmsg_level == level && header->cmsg_type == type)
			return true;
	return false;
}

static bool send_with(int fd, int level, int type, const void *value, size_t size) {
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	union { char bytes[256]; struct cmsghdr header; } control = { { 0 } };
	struct iovec data = { "x", 1 };
	struct msghdr message = { .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(size) };
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	control.header.cmsg_level = level, control.header.cmsg_type = type, control.header.cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(&control.header), value, size);
	return sendmsg(fd, &message, 0) == 1;
}

int main(void) {
	struct sockaddr_in own = { .sin_family = AF_INET };
	struct in_pktinfo info = { 0 };
	socklen_t size = sizeof own;
	int fd, one = 1;
	own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	receiver = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(receiver, IPPROTO_IP, IP_RECVOPTS, &one, sizeof one);
	if (bind(receiver, (void *)&own, sizeof own) != 0 || getsockname(receiver, (void *)&own, &size) != 0)
		return perror("bind"), 3;
	port = ntohs(own.sin_port);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	/* The route's first hop drops it: what was sent and stripped arrives, what was sent with its route does not. */
	tried(send_with(fd, IPPROTO_IP, IP_RETOPTS, route, sizeof route) && !arrived_with(-1, -1, "127.0.0.1"), "IP_RETOPTS, loose source route");
	inet_pton(AF_INET, "127.0.0.9", &info.ipi_spec_dst);
	tried(send_with(fd, IPPROTO_IP, IP_PKTINFO, &info, sizeof info) && arrived_with(-1, -1, "127.0.0.9"), "IP_PKTINFO, another source address");
	tried(setsockopt(fd, IPPROTO_IP, IP_OPTIONS, route, sizeof route) == 0, "IP_OPTIONS, loose source route on the socket");
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	tried(setsockopt(fd, IPPROTO_IP, IP_OPTIONS, route, sizeof route) == 0, "IP_OPTIONS on a stream");
	close(fd);
	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	tried(setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, segments, sizeof segments) == 0, "IPV6_RTHDR on the socket");
	close(fd);
	return finish();
}
