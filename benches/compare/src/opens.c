/* opens FILE COUNT: opens, reads once at the end, closes; prints `ns PER-OPEN` and what the file begins with. */
#include "clock.h"

int main(int argc, char **argv) {
	char text[16] = "";
	double start;
	long i, count = argc == 3 ? atol(argv[2]) : 0;
	int fd;
	if (count <= 0)
		return 2;
	/* Warm: the first open pays for caches and questions. */
	for (i = 0; i < 100; i++) {
		fd = open(argv[1], O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			die(argv[1]);
		close(fd);
	}
	start = now_ns();
	for (i = 0; i < count; i++) {
		fd = open(argv[1], O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			die(argv[1]);
		close(fd);
	}
	start = (now_ns() - start) / (double)count;
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (read(fd, text, sizeof text - 1) <= 0)
		die("read");
	printf("ns %.1f did %ld read %.7s\n", start, count, text);
	return 0;
}
