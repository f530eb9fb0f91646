/* ATTACKS 16: listeners that the network outside could reach.
 * row_16_listen: a listener counts as through when it is bound to an address that is not loopback
 * and is not tied to the loopback device. */
#include "attack.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

static bool reachable(int fd) {
	struct sockaddr_storage address = { 0 };
	socklen_t size = sizeof address;
	char device[IF_NAMESIZE] = "";
	getsockname(fd, (void *)&address, &size);
	if (address.ss_family == AF_INET && (ntohl(((struct sockaddr_in *)&address)->sin_addr.s_addr) >> 24) == 127)
		return false;
	if (address.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&address)->sin6_addr))
		return false;
	size = sizeof device;
	if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &size) == 0 && !strcmp(device, "lo"))
		return false;
	return true;
}

static void untie(int fd, const char *what) {
	int none = 0;
	setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0);
	tried(reachable(fd), "%s after SO_BINDTODEVICE is taken off", what);
	setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &none, sizeof none);
	tried(reachable(fd), "%s after SO_BINDTOIFINDEX is taken off", what);
}

static void stream(const char *what, int family, const char *text) {
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), bound = 0;
	if (text && family == AF_INET) {
		inet_pton(AF_INET, text, &v4.sin_addr);
		bound = bind(fd, (void *)&v4, sizeof v4);
	} else if (text) {
		inet_pton(AF_INET6, text, &v6.sin6_addr);
		bound = bind(fd, (void *)&v6, sizeof v6);
	}
	if (bound == 0 && listen(fd, 8) == 0) {
		tried(reachable(fd), "%s", what);
		untie(fd, what);
		tried(listen(fd, 16) == 0 && reachable(fd), "%s listens again", what);
	} else
		tried(false, "%s", what);
	close(fd);
}

/* The address family that means "none" is IPv4 to bind(2), where the address is the wildcard. */
static void without_a_family(void) {
	struct sockaddr_in address = { .sin_family = AF_UNSPEC };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	tried(bind(fd, (void *)&address, sizeof address) == 0 && listen(fd, 8) == 0 && reachable(fd), "listen after bind with family unspec");
	close(fd);
}

/* Disconnecting a listener takes its address away; it listens again where the kernel puts it. */
static void disconnected(void) {
	struct sockaddr_in none = { .sin_family = AF_UNSPEC };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool again = listen(fd, 8) == 0 && connect(fd, (void *)&none, sizeof none) == 0 && listen(fd, 8) == 0;
	tried(again && reachable(fd), "a listener that disconnects and listens again");
	close(fd);
}

static void datagram(const char *what, int family, const char *text) {
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), bound;
	v4.sin_port = v6.sin6_port = htons(0);
	if (family == AF_INET) {
		inet_pton(AF_INET, text, &v4.sin_addr);
		bound = bind(fd, (void *)&v4, sizeof v4);
	} else {
		inet_pton(AF_INET6, text, &v6.sin6_addr);
		bound = bind(fd, (void *)&v6, sizeof v6);
	}
	/* An ephemeral wildcard port is what every client takes; a chosen one is a server's. */
	(void)bound;
	close(fd);
	fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	v4.sin_port = v6.sin6_port = htons(48123);
	bound = family == AF_INET ? bind(fd, (void *)&v4, sizeof v4) : bind(fd, (void *)&v6, sizeof v6);
	tried(bound == 0 && reachable(fd), "%s", what);
	close(fd);
}

int main(int argc, char **argv) {
	stream("listen without bind", AF_INET, NULL);
	stream("listen without bind, IPv6", AF_INET6, NULL);
	stream("listen on 0.0.0.0", AF_INET, "0.0.0.0");
	stream("listen on ::", AF_INET6, "::");
	stream("listen on ::ffff:0.0.0.0", AF_INET6, "::ffff:0.0.0.0");
	without_a_family();
	disconnected();
	datagram("datagrams on 0.0.0.0:48123", AF_INET, "0.0.0.0");
	datagram("datagrams on [::]:48123", AF_INET6, "::");
	if (argc > 1)
		stream(argv[1], AF_INET, argv[1]);
	return finish();
}
