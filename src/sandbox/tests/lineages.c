/* Lineages that outrun a killer: each process forks its successor and is gone.
 * argv: how many lineages; how long each process lives in microseconds, so that a test of 400 does
 * not take the machine with it. Writes "." when all have been started; the first process then waits. */
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 1;
    useconds_t life = argc > 2 ? (useconds_t)atoi(argv[2]) : 100000;
    for (int i = 0; i < count; i++) {
        if (fork() == 0) {
            setsid();
            for (;;) {
                usleep(life);
                if (fork() > 0)
                    _exit(0);
            }
        }
    }
    if (write(1, ".", 1) != 1)
        return 1;
    for (;;)
        pause();
}
