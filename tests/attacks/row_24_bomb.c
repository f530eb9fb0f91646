/* ATTACKS 24: a fork bomb.
 * row_24_bomb MOST: everybody forks as fast as it can; from MOST at once on they wait, lest a hole end the machine. */
#include "attack.h"

int main(int argc, char **argv) {
	atomic_long *alive = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double until = now() + 60;
	long most;
	if (argc != 2)
		usage("row_24_bomb MOST");
	most = atol(argv[1]);
	*alive = 1;
	signal(SIGCHLD, SIG_IGN);
	while (now() < until) {
		if (atomic_fetch_add(alive, 1) >= most) {
			atomic_fetch_sub(alive, 1);
			usleep(100000);
		} else if (fork() < 0)
			atomic_fetch_sub(alive, 1);
	}
	return 0;
}
