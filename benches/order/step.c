/* step OUT COMMAND ARGUMENT...: which 16-byte blocks of COMMAND's image run, in every process of it until it executes
   another program, one instruction at a time. OUT gets their distances from where the image is mapped. x86-64. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCKS = 1 << 24 };

static unsigned char *ran;
static unsigned long begin, end;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* Where the program of this process is mapped. */
static void find_image(pid_t process) {
    char name[64], program[4096], line[8192];
    snprintf(name, sizeof name, "/proc/%d/exe", process);
    ssize_t length = readlink(name, program, sizeof program - 1);
    if (length < 0) fail(name);
    program[length] = 0;
    snprintf(name, sizeof name, "/proc/%d/maps", process);
    FILE *maps = fopen(name, "r");
    if (!maps) fail(name);
    begin = end = 0;
    while (fgets(line, sizeof line, maps)) {
        unsigned long first, last;
        if (strstr(line, program) && sscanf(line, "%lx-%lx", &first, &last) == 2) {
            if (!begin) begin = first;
            end = last;
        }
    }
    fclose(maps);
}

static void note(pid_t thread) {
    struct user_regs_struct registers;
    if (ptrace(PTRACE_GETREGS, thread, 0, &registers)) return;
    unsigned long block = (registers.rip - begin) >> 4;
    if (registers.rip >= begin && registers.rip < end && block < BLOCKS) ran[block] = 1;
}

static pid_t start(char **command) {
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (!child) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        execvp(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    int status;
    if (waitpid(child, &status, 0) < 0) fail("waitpid");
    long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, child, 0, options)) fail("ptrace");
    ptrace(PTRACE_CONT, child, 0, 0);
    return child;
}

int main(int count, char **arguments) {
    if (count < 3) return fprintf(stderr, "usage: step OUT COMMAND ARGUMENT...\n"), 2;
    ran = calloc(1, BLOCKS);
    pid_t first = start(arguments + 2);
    int executed = 0, ended = 1;
    for (;;) {
        int status;
        pid_t thread = waitpid(-1, &status, __WALL);
        if (thread < 0) break;
        if (!WIFSTOPPED(status)) {
            if (thread == first) ended = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
            continue;
        }
        int signal = WSTOPSIG(status), event = status >> 16;
        if (event == PTRACE_EVENT_EXEC) {
            if (executed) {
                ptrace(PTRACE_DETACH, thread, 0, 0);
                continue;
            }
            executed = 1;
            find_image(thread);
        } else if (executed && !event) {
            note(thread);
        }
        if (event || signal == SIGTRAP || signal == SIGSTOP) signal = 0;
        ptrace(executed ? PTRACE_SINGLESTEP : PTRACE_CONT, thread, 0, signal);
    }
    if (ended) return fprintf(stderr, "step: the command ended with status %d\n", ended), 1;
    FILE *out = fopen(arguments[1], "w");
    if (!out) fail(arguments[1]);
    for (unsigned long block = 0; block < BLOCKS; block++)
        if (ran[block]) fprintf(out, "%lx\n", block << 4);
    return fclose(out) ? 1 : 0;
}
