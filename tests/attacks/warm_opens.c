/* warm_opens FILE NUMBER READY GO: opens FILE NUMBER times, tells READY, waits for GO; the same once more, and ends when
 * it is told to. Makes no other trapped call between the two. */
#include "attack.h"
#include <fcntl.h>

static void tell(int fd) {
	if (write(fd, "x", 1) != 1)
		_exit(3);
}

static void wait_for(int fd) {
	char byte;
	if (read(fd, &byte, 1) != 1)
		_exit(4);
}

int main(int argc, char **argv) {
	int ready, go, round;
	if (argc != 5)
		return 2;
	ready = open(argv[3], O_WRONLY);
	go = open(argv[4], O_RDONLY);
	for (round = 0; round < 2; round++) {
		int number;
		for (number = atoi(argv[2]); number > 0; number--) {
			int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
			if (fd < 0)
				return 1;
			close(fd);
		}
		tell(ready);
		wait_for(go);
	}
	return 0;
}
