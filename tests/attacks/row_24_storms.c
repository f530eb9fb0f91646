/* ATTACKS 24: storms of calls that wait or fail, while permitted ones must go on.
 * row_24_storms MODE WORKSPACE [N]: fifo | writers PLACE | unmapped | long | lengths | descriptors | questions PATH | forks
 * Prints `opened N slowest MICROSECONDS` of a prober that opens a permitted file all the while; every
 * refused open of it counts as through: a permitted operation was denied. */
#include "attack.h"
#include <sys/resource.h>
#include <sys/uio.h>

static atomic_bool stop;
static const char *permitted;
static int access_wanted = O_RDONLY;
static atomic_ulong opened;
static double slowest;
/* Opens that begin from now on count for `slowest`. */
static atomic_bool measured = true;

static void *prober(void *unused) {
	(void)unused;
	while (!stop) {
		bool counts = measured;
		double start = now(), took;
		int fd = open(permitted, access_wanted | O_CLOEXEC);
		if (fd < 0 && errno != EMFILE)
			tried(true, "a permitted open failed: %s", strerror(errno));
		if (fd >= 0) {
			opened++;
			close(fd);
		}
		took = now() - start;
		if (counts && took > slowest)
			slowest = took;
		usleep(200);
	}
	return NULL;
}

/* Waits until the prober has opened its file so many times more. */
static void turns(unsigned long times) {
	unsigned long until = opened + times;
	double deadline = now() + 60;
	while (opened < until && now() < deadline)
		usleep(1000);
	tried(opened < until, "%lu permitted opens take more than a minute", times);
}

static const char *target;
static int target_access = O_RDONLY;
static atomic_int waiting, returned;

static void *opens_target(void *unused) {
	int fd;
	(void)unused;
	waiting++;
	fd = open(target, target_access | O_CLOEXEC);
	if (target_access == O_WRONLY)
		tried(fd < 0 && errno != EMFILE, "a writer's open failed: %s", strerror(errno));
	waiting--;
	returned++;
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void crowd(int n, bool questions, const char *path) {
	pthread_attr_t small;
	pthread_t thread;
	double until;
	int i, made = 0;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 512 << 10);
	pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
	for (i = 0; i < n; i++) {
		target = path;
		made += pthread_create(&thread, &small, opens_target, NULL) == 0;
	}
	if (made < n / 2) {
		fprintf(stderr, "only %d of %d threads\n", made, n);
		exit(3);
	}
	until = now() + 20;
	if (questions) {
		while (returned < made - 256 && now() < until)
			usleep(1000);
	} else {
		/* All of them are in the call or on the way to it. */
		while (waiting < made && now() < until)
			usleep(1000);
		/* Calls are served in turn, so the prober waits once for those before it; how long, the load of
		 * the machine says. Then all that can hold it up are calls that block. */
		turns(10);
		measured = true;
		turns(200);
	}
	printf("threads %d waiting %d\n", made, (int)waiting);
}

/* Writers without a reader wait, whoever opens both ends does not, and a reader lets all of them go. */
static void writers(int n, const char *place) {
	const char *fifo = strdup(at("%s/fifo", place)), *other = strdup(at("%s/other", place));
	struct rlimit files;
	double until;
	int fd;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (mkfifo(fifo, 0600) != 0 || mkfifo(other, 0600) != 0) {
		perror("mkfifo");
		exit(3);
	}
	target_access = O_WRONLY;
	measured = false;
	crowd(n, false, fifo);
	tried(open(other, O_WRONLY | O_NONBLOCK | O_CLOEXEC) >= 0 || errno != ENXIO, "a writer that does not wait");
	fd = open(other, O_RDWR | O_CLOEXEC);
	tried(fd < 0, "an open of both ends: %s", strerror(errno));
	fd = open(fifo, O_RDONLY | O_CLOEXEC);
	tried(fd < 0, "a reader of what has writers: %s", strerror(errno));
	until = now() + 20;
	while (waiting > 0 && now() < until)
		usleep(1000);
	tried(waiting > 0, "%d writers wait although there is a reader", (int)waiting);
	printf("came through %d\n", (int)returned);
}

static void bad_pointers(long n) {
	char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long i;
	munmap(edge + 4096, 4096);
	memset(edge, '/', 4096);
	for (i = 0; i < n; i++) {
		tried(open((char *)8, O_RDONLY) >= 0 || errno != EFAULT, "open of an unmapped path");
		tried(open(edge + 4000, O_RDONLY) >= 0 || errno != EFAULT, "open of a path that runs off its page");
		tried(syscall(SYS_openat2, AT_FDCWD, permitted, (void *)16, 24) >= 0 || errno != EFAULT, "openat2 with unmapped how");
		tried(connect(-1, (void *)8, 16) >= 0, "connect of nothing");
		strcpy(edge + 4096 - 5, "/etc");
		int fd = open(edge + 4096 - 5, O_RDONLY | O_DIRECTORY);
		tried(fd < 0, "open of a path that ends with its page");
		if (fd >= 0)
			close(fd);
		memset(edge, '/', 4096);
	}
}

static void long_paths(long n) {
	static char path[70000];
	long i;
	for (i = 0; i < n; i++) {
		memset(path, 'a', sizeof path);
		path[0] = '/';
		path[4096] = 0;
		tried(open(path, O_RDONLY) >= 0 || errno != ENAMETOOLONG, "a path of 4,096 bytes");
		path[4095] = 0;
		tried(open(path, O_RDONLY) >= 0 || errno != ENAMETOOLONG, "a name of 4,094 bytes");
		memset(path, '/', 4096);
		strcpy(path + 4095 - 4, "/etc");
		path[4095] = 0;
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		tried(fd < 0, "a path of 4,095 bytes that exists");
		if (fd >= 0)
			close(fd);
		path[sizeof path - 1] = 0;
	}
}

static void huge_lengths(long n) {
	long i;
	char path[] = "/", *huge = mmap(NULL, 1UL << 32, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	for (i = 0; i < n; i++) {
		struct { sa_family_t family; char path[108]; } address = { AF_UNIX, "/nowhere" };
		tried(syscall(SYS_sendto, fd, huge, 1UL << 31, 0, &address, 110) >= 0, "sendto of 2 GiB");
		tried(syscall(SYS_connect, fd, &address, -1) >= 0, "connect with length -1");
		tried(syscall(SYS_setxattr, path, "user.x", huge, 1UL << 31, 0) >= 0, "setxattr of 2 GiB");
		tried(syscall(SYS_openat2, AT_FDCWD, path, huge, 1UL << 31) >= 0, "openat2 with 2 GiB of how");
		struct msghdr message = { .msg_name = &address, .msg_namelen = 110, .msg_iov = (void *)huge, .msg_iovlen = 1UL << 20, .msg_control = huge, .msg_controllen = 1UL << 31 };
		tried(sendmsg(fd, &message, 0) >= 0, "sendmsg with huge vectors");
	}
}

static void descriptor_exhaustion(void) {
	int last = -1, fd, n = 0;
	while ((fd = open(permitted, O_RDONLY | O_CLOEXEC)) >= 0)
		last = fd, n++;
	tried(errno != EMFILE, "out of descriptors gives %s", strerror(errno));
	tried(n < 8, "fewer than 8 descriptors");
	for (fd = 3; fd <= last; fd++)
		close(fd);
	fd = open(permitted, O_RDONLY | O_CLOEXEC);
	tried(fd < 0, "a permitted open after the exhaustion");
}

static void forks(long n) {
	long i, made = 0;
	for (i = 0; i < n; i++) {
		int pid = fork();
		if (pid == 0) {
			int fd = open(permitted, O_RDONLY | O_CLOEXEC);
			if (fd < 0)
				_exit(1);
			pause();
			_exit(0);
		}
		made += pid > 0;
	}
	printf("children %ld\n", made);
}

int main(int argc, char **argv) {
	long n = argc > 3 ? atol(argv[argc - 1]) : 1000;
	pthread_t thread;
	if (argc < 3)
		usage("row_24_storms MODE WORKSPACE [PATH] N");
	if (!strcmp(argv[1], "writers"))
		access_wanted = O_RDWR;
	permitted = strdup(at("%s/permitted", argv[argc > 4 && access_wanted == O_RDWR ? 3 : 2]));
	make_file(permitted, "x");
	if (strcmp(argv[1], "descriptors"))
		pthread_create(&thread, NULL, prober, NULL);
	if (!strcmp(argv[1], "fifo")) {
		const char *fifo = strdup(at("%s/fifo", argv[2]));
		if (mkfifo(fifo, 0600) != 0)
			return perror("mkfifo"), 3;
		measured = false;
		crowd((int)n, false, fifo);
	} else if (!strcmp(argv[1], "writers"))
		writers((int)n, argv[3]);
	else if (!strcmp(argv[1], "questions"))
		crowd((int)n, true, argv[3]);
	else if (!strcmp(argv[1], "unmapped"))
		bad_pointers(n);
	else if (!strcmp(argv[1], "long"))
		long_paths(n);
	else if (!strcmp(argv[1], "lengths"))
		huge_lengths(n);
	else if (!strcmp(argv[1], "descriptors"))
		descriptor_exhaustion();
	else if (!strcmp(argv[1], "forks"))
		forks(n);
	else
		return 2;
	if (strcmp(argv[1], "descriptors")) {
		stop = true;
		pthread_join(thread, NULL);
		printf("opened %lu slowest %.0f\n", (unsigned long)opened, slowest * 1e6);
	}
	finish();
	/* Whoever still waits dies with the process. */
	_exit(0);
}
