/* ATTACKS 22: input pushed into a terminal, line disciplines changed, the controlling terminal stolen.
 * row_22_terminal [TTY…]: tries it on standard input, /dev/tty and each TTY (the caller's own). */
#include "attack.h"
#include <termios.h>

static void push(int fd, const char *what) {
	struct { char subcode; char rest[7]; } paste = { 3, "" };
	const char *c;
	int discipline = 1;
	/* "y" is the key that allows. */
	for (c = "y\n"; *c; c++)
		tried(ioctl(fd, TIOCSTI, c) == 0, "TIOCSTI on %s", what);
	tried(syscall(SYS_ioctl, fd, (0xffUL << 32) | TIOCSTI, "y") == 0, "TIOCSTI with high bits on %s", what);
	tried(ioctl(fd, TIOCLINUX, &paste) == 0, "TIOCLINUX on %s", what);
	tried(ioctl(fd, TIOCSETD, &discipline) == 0, "TIOCSETD on %s", what);
}

int main(int argc, char **argv) {
	int i, fd;
	push(0, "standard input");
	fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		push(fd, "/dev/tty");
	for (i = 1; i < argc; i++) {
		fd = open(argv[i], O_RDWR | O_NOCTTY | O_CLOEXEC);
		tried(fd >= 0, "open %s", argv[i]);
		if (fd < 0)
			continue;
		push(fd, argv[i]);
		tried(write(fd, "forged", 6) == 6, "write to %s", argv[i]);
		int status, pid = fork();
		if (pid == 0) {
			setsid();
			_exit(ioctl(fd, TIOCSCTTY, 1) == 0);
		}
		waitpid(pid, &status, 0);
		tried(!WIFEXITED(status) || WEXITSTATUS(status), "TIOCSCTTY on %s", argv[i]);
	}
	return finish();
}
