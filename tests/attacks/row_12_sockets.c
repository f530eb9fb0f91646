/* ATTACKS 12: socket kinds and ways that go around the traps.
 * row_12_sockets PORT: a listener on 127.0.0.1:PORT that is not allowed. */
#include "attack.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif
#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

static void kind(const char *what, int family, int type, int protocol) {
	int fd = socket(family, type, protocol);
	tried(fd >= 0, "%s", what);
	if (fd >= 0)
		close(fd);
}

static void pair(const char *what, int family, int type, int protocol) {
	int fds[2];
	bool made = socketpair(family, type, protocol, fds) == 0;
	tried(made, "socketpair %s", what);
	if (made)
		close(fds[0]), close(fds[1]);
}

static void fast_open(int port) {
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct iovec data = { "fast", 4 };
	struct msghdr message = { .msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &data, .msg_iovlen = 1 };
	struct mmsghdr many = { .msg_hdr = message };
	int fd, one = 1;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	tried(sendto(fd, "fast", 4, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&address, sizeof address) >= 0, "sendto MSG_FASTOPEN");
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	tried(sendmsg(fd, &message, MSG_FASTOPEN | MSG_NOSIGNAL) >= 0, "sendmsg MSG_FASTOPEN");
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	tried(sendmmsg(fd, &many, 1, MSG_FASTOPEN | MSG_NOSIGNAL) >= 1, "sendmmsg MSG_FASTOPEN");
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof one) == 0)
		tried(connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && send(fd, "fast", 4, MSG_NOSIGNAL) >= 0, "TCP_FASTOPEN_CONNECT");
	close(fd);
}

int main(int argc, char **argv) {
	if (argc != 2)
		usage("row_12_sockets PORT");
	kind("MPTCP", AF_INET, SOCK_STREAM, 262);
	kind("MPTCP over IPv6", AF_INET6, SOCK_STREAM, 262);
	kind("SCTP", AF_INET, SOCK_STREAM, 132);
	kind("SCTP one-to-many", AF_INET, SOCK_SEQPACKET, 132);
	kind("DCCP", AF_INET, SOCK_DCCP, 33);
	kind("UDP-Lite", AF_INET, SOCK_DGRAM, 136);
	kind("UDP-Lite over IPv6", AF_INET6, SOCK_DGRAM, 136);
	kind("raw ICMP", AF_INET, SOCK_RAW, IPPROTO_ICMP);
	kind("raw IP", AF_INET, SOCK_RAW, IPPROTO_RAW);
	kind("raw TCP", AF_INET, SOCK_RAW, IPPROTO_TCP);
	kind("raw IPv6", AF_INET6, SOCK_RAW, IPPROTO_RAW);
	kind("ping", AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	kind("ping6", AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6);
	kind("L2TP", AF_INET, SOCK_DGRAM, 115);
	kind("packet", AF_PACKET, SOCK_RAW, htons(3));
	kind("packet datagram", AF_PACKET, SOCK_DGRAM, htons(3));
	kind("old packet", AF_INET, 10 /* SOCK_PACKET */, htons(3));
	kind("vsock", 40, SOCK_STREAM, 0);
	kind("vsock datagram", 40, SOCK_DGRAM, 0);
	kind("netlink sock_diag", AF_NETLINK, SOCK_RAW, 4);
	kind("netlink xfrm", AF_NETLINK, SOCK_RAW, 6);
	kind("netlink audit", AF_NETLINK, SOCK_RAW, 9);
	kind("netlink netfilter", AF_NETLINK, SOCK_RAW, 12);
	kind("netlink uevent", AF_NETLINK, SOCK_RAW, 15);
	kind("netlink generic", AF_NETLINK, SOCK_RAW, 16);
	kind("netlink crypto", AF_NETLINK, SOCK_RAW, 21);
	kind("AF_ALG", 38, SOCK_SEQPACKET, 0);
	kind("AF_XDP", 44, SOCK_RAW, 0);
	kind("AF_KEY", 15, SOCK_RAW, 2);
	kind("AF_CAN", 29, SOCK_RAW, 1);
	kind("AF_RDS", 21, SOCK_SEQPACKET, 0);
	kind("AF_TIPC", 30, SOCK_RDM, 0);
	kind("AF_BLUETOOTH", 31, SOCK_RAW, 1);
	kind("AF_SMC", 43, SOCK_STREAM, 0);
	kind("AF_QIPCRTR", 42, SOCK_DGRAM, 0);
	kind("AF_PPPOX", 24, SOCK_DGRAM, 0);
	kind("AF_LLC", 26, SOCK_DGRAM, 0);
	pair("vsock", 40, SOCK_STREAM, 0);
	pair("TIPC", 30, SOCK_STREAM, 0);
	fast_open(atoi(argv[1]));
	return finish();
}
