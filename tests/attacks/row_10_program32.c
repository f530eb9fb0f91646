/* ATTACKS 10: a 32-bit program without a library. `row_10_program32 SECRET` exits 1 when it read something.
 * Build: cc -m32 -static -nostdlib -ffreestanding -fno-pie -no-pie */
static long call3(long nr, long a, long b, long c) {
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}

__attribute__((used)) static void start(long *stack) {
	char **argv = (char **)(stack + 1), text[16];
	long fd = call3(5, (long)argv[1], 0, 0);
	long n = fd < 0 ? fd : call3(3, fd, (long)text, sizeof text);
	call3(1, n > 0 ? 1 : 0, 0, 0);
}

__asm__(".globl _start\n_start: mov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n\tpush %eax\n\tcall start\n");
