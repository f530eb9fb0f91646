/* ATTACKS 31: raw devices, which give what file rules keep: a disk holds every file, a console every key
 * that is typed, a foreign pseudo-terminal its user's. row_31_devices DEVICE…: through when one opens. */
#include "attack.h"

int main(int argc, char **argv) {
	int i;
	if (argc < 2)
		usage("row_31_devices DEVICE…");
	for (i = 1; i < argc; i++) {
		const int flags[] = { O_RDONLY, O_RDWR, O_WRONLY };
		size_t f;
		for (f = 0; f < 3; f++) {
			int fd = open(argv[i], flags[f] | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
			tried(fd >= 0, "%s with flags %d", argv[i], flags[f]);
			if (fd >= 0)
				close(fd);
		}
	}
	return finish();
}
