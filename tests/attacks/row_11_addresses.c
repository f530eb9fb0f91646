/* ATTACKS 11: other spellings of an address that is not allowed.
 * row_11_addresses PORT: a listener on [::]:PORT and 127.0.0.1:PORT greets whoever connects. */
#include "attack.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>

static int port;

/* A connection counts when the listener's greeting comes over it. */
static bool greeted(int fd) {
	struct pollfd poller = { fd, POLLIN, 0 };
	char text[16];
	return poll(&poller, 1, 2000) == 1 && read(fd, text, sizeof text) > 0;
}

static void connect_raw(const char *what, int family, const void *address, socklen_t size) {
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	tried(connect(fd, address, size) == 0 && greeted(fd), "%s", what);
	close(fd);
}

static void v4(const char *what, const char *text, socklen_t size, sa_family_t family) {
	char room[256] = { 0 };
	struct sockaddr_in address = { .sin_family = family, .sin_port = htons((uint16_t)port) };
	inet_pton(AF_INET, text, &address.sin_addr);
	memcpy(room, &address, sizeof address);
	connect_raw(what, AF_INET, room, size);
}

static void v6(const char *text, socklen_t size, uint32_t scope, sa_family_t family, uint32_t flow) {
	char room[256] = { 0 };
	struct sockaddr_in6 address = { .sin6_family = family, .sin6_port = htons((uint16_t)port), .sin6_scope_id = scope, .sin6_flowinfo = htonl(flow) };
	inet_pton(AF_INET6, text, &address.sin6_addr);
	memcpy(room, &address, sizeof address);
	connect_raw(at("v6 %s size %u scope %u family %u flow %u", text, size, scope, family, flow), AF_INET6, room, size);
}

static void by_name(const char *name) {
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL, *each;
	if (getaddrinfo(name, at("%d", port), &hints, &found) != 0) {
		tried(false, "name %s", name);
		return;
	}
	for (each = found; each; each = each->ai_next)
		connect_raw(at("name %s", name), each->ai_family, each->ai_addr, each->ai_addrlen);
	freeaddrinfo(found);
}

int main(int argc, char **argv) {
	const char *names[] = { "2130706433", "0x7f000001", "017700000001", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.1.", "LOCALHOST", "localhost.", "LocalHost", "ip6-localhost", "\xe2\x93\x9bocalhost", "loc\xc2\xad""alhost", "0", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::127.0.0.1", "fe80::1%lo" };
	socklen_t size;
	size_t i;
	if (argc != 2)
		usage("row_11_addresses PORT");
	port = atoi(argv[1]);
	for (size = 0; size <= 17; size++)
		v4(at("v4 size %u", size), "127.0.0.1", size, AF_INET);
	v4("v4 size 28", "127.0.0.1", 28, AF_INET);
	v4("v4 size 128", "127.0.0.1", 128, AF_INET);
	v4("v4 size 200", "127.0.0.1", 200, AF_INET);
	v4("v4 family unspec", "127.0.0.1", 16, AF_UNSPEC);
	v4("v4 family 6", "127.0.0.1", 16, AF_INET6);
	v4("0.0.0.0", "0.0.0.0", 16, AF_INET);
	v4("127.9.9.9", "127.9.9.9", 16, AF_INET);
	v4("127.255.255.254", "127.255.255.254", 16, AF_INET);
	v6("::1", 28, 0, AF_INET6, 0);
	v6("::1", 24, 0, AF_INET6, 0);
	v6("::1", 128, 0, AF_INET6, 0);
	v6("::1", 28, 1, AF_INET6, 0);
	v6("::1", 28, 0, AF_INET6, 0x12345);
	v6("::1", 28, 0, AF_UNSPEC, 0);
	v6("::", 28, 0, AF_INET6, 0);
	v6("::ffff:127.0.0.1", 28, 0, AF_INET6, 0);
	v6("::ffff:0.0.0.0", 28, 0, AF_INET6, 0);
	v6("::127.0.0.1", 28, 0, AF_INET6, 0);
	v6("64:ff9b::7f00:1", 28, 0, AF_INET6, 0);
	v6("fe80::1", 28, 1, AF_INET6, 0);
	for (i = 0; i < sizeof names / sizeof *names; i++)
		by_name(names[i]);
	return finish();
}
