/* ATTACKS 2: a path component, a descriptor or the working directory is swapped while a call is judged.
 * row_02_swap MODE WORKSPACE GOODDIR BADDIR NAME N S
 * MODE: last | middle | first | exchange | dup2 | cwd read BADDIR/NAME (the secret);
 *       dup2-write | cwd-write create NAME in BADDIR. */
#include "attack.h"

static atomic_bool stop;
static const char *mode, *good, *bad, *name;
static char link_a[4096], link_b[4096], link_t[4096];
static int good_fd, bad_fd, shared_fd;

static void swap_links(const char *to_one, const char *to_two) {
	unlink(link_t);
	if (symlink(to_one, link_t) == 0)
		rename(link_t, link_a);
	if (symlink(to_two, link_t) == 0)
		rename(link_t, link_a);
}

static void *swapper(void *unused) {
	(void)unused;
	while (!stop) {
		if (!strcmp(mode, "last"))
			swap_links(at("%s/%s", good, name), at("%s/%s", bad, name));
		else if (!strcmp(mode, "middle") || !strcmp(mode, "first"))
			swap_links(good, bad);
		else if (!strcmp(mode, "exchange"))
			syscall(SYS_renameat2, AT_FDCWD, link_a, AT_FDCWD, link_b, 2 /* RENAME_EXCHANGE */);
		else if (!strncmp(mode, "dup2", 4)) {
			dup2(good_fd, shared_fd);
			dup2(bad_fd, shared_fd);
		} else {
			(void)!fchdir(good_fd);
			(void)!fchdir(bad_fd);
		}
	}
	return NULL;
}

static int open_swapped(int flags) {
	if (!strcmp(mode, "last"))
		return open(link_a, flags, 0600);
	if (!strcmp(mode, "first")) /* relative: the link is the first component */
		return open(at("link_a/%s", name), flags, 0600);
	if (!strncmp(mode, "dup2", 4))
		return openat(shared_fd, name, flags, 0600);
	if (!strncmp(mode, "cwd", 3))
		return open(name, flags, 0600);
	return open(at("%s/%s", link_a, name), flags, 0600);
}

int main(int argc, char **argv) {
	unsigned long done, opened = 0;
	struct limit limit;
	pthread_t thread;
	bool writes;
	if (argc != 8)
		usage("row_02_swap MODE WORKSPACE GOODDIR BADDIR NAME TRIES SECONDS");
	mode = argv[1], good = argv[3], bad = argv[4], name = argv[5];
	writes = strstr(mode, "-write") != NULL;
	snprintf(link_a, sizeof link_a, "%s/link_a", argv[2]);
	snprintf(link_b, sizeof link_b, "%s/link_b", argv[2]);
	snprintf(link_t, sizeof link_t, "%s/link_t", argv[2]);
	good_fd = open(good, O_PATH | O_DIRECTORY);
	bad_fd = open(bad, O_PATH | O_DIRECTORY);
	shared_fd = dup(good_fd);
	if (good_fd < 0 || bad_fd < 0 || chdir(argv[2]) != 0) {
		perror("set up");
		return 3;
	}
	if (!strcmp(mode, "exchange")) {
		mkdir(link_a, 0755);
		make_file(at("%s/%s", link_a, name), "harmless");
		if (symlink(bad, link_b) != 0)
			return 3;
	} else if (symlink(!strcmp(mode, "last") ? at("%s/%s", good, name) : good, link_a) != 0)
		return 3;
	limit = limit_from(argv[6], argv[7]);
	pthread_create(&thread, NULL, swapper, NULL);
	for (done = 0; go_on(&limit, done); done++) {
		int fd = open_swapped(writes ? O_WRONLY | O_CREAT | O_CLOEXEC : O_RDONLY | O_CLOEXEC);
		opened += fd >= 0;
		if (writes) {
			struct stat there, ours;
			/* The working directory may be anywhere by now: only absolute names tell. */
			bool made = stat(at("%s/%s", bad, name), &there) == 0;
			(void)ours;
			if (fd >= 0)
				close(fd);
			tried(made, "create in the other directory");
			unlink(at("%s/%s", made ? bad : good, name));
		} else
			tried(gives_secret(fd), "open");
	}
	stop = true;
	pthread_join(thread, NULL);
	printf("opened %lu of %lu\n", opened, done);
	return finish();
}
