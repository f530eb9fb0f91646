/* ATTACKS 10: other spellings of a system call: high halves of int arguments, x32 numbers, int 0x80.
 * row_10_abi SECRET OUTSIDEFILE (to be created) [PROGRAM32] */
#include "attack.h"

#define HIGH 0xdeadbeef00000000UL
#define X32 0x40000000L

/* The 32-bit system call by the old gate; the caller maps its pointers below 4 GiB. */
static long gate32(long nr, unsigned long a, unsigned long b, unsigned long c) {
#ifdef __x86_64__
	long result;
	__asm__ volatile("push %%rbx\n\tmov %%rcx, %%rbx\n\tmov %%rdx, %%rcx\n\tmov %%rsi, %%rdx\n\tint $0x80\n\tpop %%rbx"
		: "=a"(result), "+c"(a), "+d"(b), "+S"(c) : "a"(nr) : "r8", "r9", "r10", "r11", "memory");
	return result;
#else
	(void)nr, (void)a, (void)b, (void)c;
	return -ENOSYS;
#endif
}

/* Runs one spelling in a child, so that being killed for it is an answer too. */
static void in_child(const char *what, bool (*attempt)(void)) {
	int status, pid = fork();
	if (pid == 0)
		_exit(attempt() ? 1 : 0);
	waitpid(pid, &status, 0);
	tried(WIFEXITED(status) && WEXITSTATUS(status) == 1, "%s", what);
}

static const char *secret, *outside, *program32;
static char *low;

static bool fd_secret(long fd) { return fd >= 0 && gives_secret((int)fd); }

static bool high_open(void) { return fd_secret(syscall(SYS_openat, HIGH | (uint32_t)AT_FDCWD, secret, HIGH | O_RDONLY, HIGH)); }
static bool high_open_old(void) { return fd_secret(syscall(SYS_open, secret, HIGH | O_RDONLY, HIGH)); }
static bool high_create(void) { return syscall(SYS_openat, HIGH | (uint32_t)AT_FDCWD, outside, HIGH | O_CREAT | O_WRONLY, HIGH | 0644) >= 0; }
static bool high_creat(void) { return syscall(SYS_creat, outside, HIGH | 0644) >= 0; }
static bool high_mkdir(void) { return syscall(SYS_mkdirat, HIGH | (uint32_t)AT_FDCWD, outside, HIGH | 0755) == 0; }
static bool high_chmod(void) { return syscall(SYS_fchmodat, HIGH | (uint32_t)AT_FDCWD, "/etc/passwd", HIGH | 0644) == 0; }
static bool high_vsock(void) { return syscall(SYS_socket, HIGH | 40, HIGH | SOCK_STREAM, HIGH) >= 0; }
static bool high_netlink(void) { return syscall(SYS_socket, HIGH | AF_NETLINK, HIGH | SOCK_RAW, HIGH | 15) >= 0; }
static bool high_mptcp(void) { return syscall(SYS_socket, HIGH | AF_INET, HIGH | SOCK_STREAM, HIGH | 262) >= 0; }
static bool high_unshare(void) { return syscall(SYS_unshare, HIGH | 0x10000000) == 0; }
static bool high_sti(void) { return syscall(SYS_ioctl, 0, HIGH | 0x5412, "x") == 0; }
#ifdef __x86_64__
static bool x32_open(void) { return fd_secret(syscall(X32 | SYS_open, secret, O_RDONLY, 0)); }
static bool x32_openat(void) { return fd_secret(syscall(X32 | SYS_openat, AT_FDCWD, secret, O_RDONLY, 0)); }
static bool x32_ptrace(void) { return syscall(X32 | 521, 0, 0, 0, 0) == 0; }
static bool gate_open(void) { strcpy(low, secret); return fd_secret(gate32(5, (unsigned long)low, 0, 0)); }
static bool gate_creat(void) { strcpy(low, outside); return gate32(8, (unsigned long)low, 0644, 0) >= 0; }
static bool gate_getpid(void) { return gate32(20, 0, 0, 0) > 0; }
static bool gate_socketcall(void) {
	uint32_t *arguments = (uint32_t *)low;
	arguments[0] = AF_NETLINK, arguments[1] = SOCK_RAW, arguments[2] = 15;
	return gate32(102, 1, (unsigned long)low, 0) >= 0;
}
#endif
static bool program_32(void) {
	execl(program32, program32, secret, (char *)NULL);
	return false;
}

int main(int argc, char **argv) {
	if (argc < 3)
		usage("row_10_abi SECRET OUTSIDEFILE [PROGRAM32]");
	secret = argv[1], outside = argv[2], program32 = argc > 3 ? argv[3] : NULL;
	low = mmap((void *)0x10000000, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (low == MAP_FAILED)
		return perror("mmap"), 3;
#define TRY(name) in_child(#name, name); unlink(outside); rmdir(outside)
	TRY(high_open);
	TRY(high_open_old);
	TRY(high_create);
	TRY(high_creat);
	TRY(high_mkdir);
	TRY(high_chmod);
	TRY(high_vsock);
	TRY(high_netlink);
	TRY(high_mptcp);
	TRY(high_unshare);
	TRY(high_sti);
#ifdef __x86_64__
	TRY(x32_open);
	TRY(x32_openat);
	TRY(x32_ptrace);
	TRY(gate_open);
	TRY(gate_creat);
	TRY(gate_getpid);
	TRY(gate_socketcall);
#endif
	if (program32) {
		TRY(program_32);
	}
	return finish();
}
