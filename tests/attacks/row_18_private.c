/* ATTACKS 18: a name that is allowed and resolves to an address that is not public.
 * row_18_private PORT NAME…: through when the listener on PORT greets. */
#include "attack.h"
#include <netdb.h>
#include <poll.h>

int main(int argc, char **argv) {
	int i;
	if (argc < 3)
		usage("row_18_private PORT NAME…");
	for (i = 2; i < argc; i++) {
		struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL, *each;
		int error = getaddrinfo(argv[i], argv[1], &hints, &found);
		if (error) {
			printf("no address for %s: %s\n", argv[i], gai_strerror(error));
			tried(false, "%s", argv[i]);
			continue;
		}
		for (each = found; each; each = each->ai_next) {
			int fd = socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
			struct timeval patience = { 5, 0 };
			struct pollfd poller = { fd, POLLIN, 0 };
			char text[16];
			setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
			tried(connect(fd, each->ai_addr, each->ai_addrlen) == 0 && poll(&poller, 1, 2000) == 1 && read(fd, text, sizeof text) > 0, "%s", argv[i]);
			close(fd);
		}
		freeaddrinfo(found);
	}
	return finish();
}
