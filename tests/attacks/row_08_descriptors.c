/* ATTACKS 8: descriptors that the caller left open. row_08_descriptors */
#include "attack.h"

int main(void) {
	int fd;
	for (fd = 3; fd < 4096; fd++)
		tried(fcntl(fd, F_GETFD) >= 0, "descriptor %d is open", fd);
	return finish();
}
