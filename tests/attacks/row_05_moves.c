/* ATTACKS 5: rights gained by moving or linking.
 * row_05_moves WORKSPACE SECRET OUTSIDE, where OUTSIDE holds `canary` (a file) and `sub` (an empty directory). */
#include "attack.h"
#include <libgen.h>
#include <linux/fs.h>

#ifndef RENAME_WHITEOUT
#define RENAME_WHITEOUT (1 << 2)
#endif

static const char *ws, *secret, *outside;

static void read_through(const char *path, const char *what) {
	tried(gives_secret(open(path, O_RDONLY | O_CLOEXEC)), "%s", what);
}

static void links_to_the_secret(void) {
	int fd = open(secret, O_PATH | O_CLOEXEC);
	if (link(secret, at("%s/l1", ws)) == 0)
		read_through(at("%s/l1", ws), "hard link");
	if (linkat(AT_FDCWD, at("/proc/self/fd/%d", fd), AT_FDCWD, at("%s/l2", ws), AT_SYMLINK_FOLLOW) == 0)
		read_through(at("%s/l2", ws), "hard link by /proc/self/fd");
	if (linkat(fd, "", AT_FDCWD, at("%s/l3", ws), AT_EMPTY_PATH) == 0)
		read_through(at("%s/l3", ws), "hard link by descriptor");
	if (symlink(secret, at("%s/l4", ws)) == 0)
		read_through(at("%s/l4", ws), "symbolic link");
	if (link(at("%s/l4", ws), at("%s/l5", ws)) == 0)
		read_through(at("%s/l5", ws), "hard link to a symbolic link");
	if (linkat(AT_FDCWD, at("%s/l4", ws), AT_FDCWD, at("%s/l6", ws), AT_SYMLINK_FOLLOW) == 0)
		read_through(at("%s/l6", ws), "hard link through a symbolic link");
	close(fd);
}

static void writes_outside(void) {
	int fd, dir = open(outside, O_PATH | O_DIRECTORY | O_CLOEXEC);
	make_file(at("%s/f", ws), "ours");
	tried(link(at("%s/f", ws), at("%s/linked", outside)) == 0, "link to the outside");
	tried(symlink("x", at("%s/symlinked", outside)) == 0, "symlink outside");
	tried(mkdir(at("%s/made", outside), 0755) == 0, "mkdir outside");
	tried(mkdirat(dir, "made2", 0755) == 0, "mkdirat outside");
	tried(mknod(at("%s/fifo", outside), S_IFIFO | 0600, 0) == 0, "mknod outside");
	tried(rename(at("%s/f", ws), at("%s/renamed", outside)) == 0, "rename to the outside");
	make_file(at("%s/g", ws), "ours");
	tried(rename(at("%s/g", ws), at("%s/canary", outside)) == 0, "rename over a file outside");
	make_file(at("%s/h", ws), "ours");
	tried(syscall(SYS_renameat2, AT_FDCWD, at("%s/h", ws), AT_FDCWD, at("%s/canary", outside), RENAME_EXCHANGE) == 0, "exchange with the outside");
	make_file(at("%s/w", ws), "ours");
	tried(syscall(SYS_renameat2, AT_FDCWD, at("%s/canary", outside), AT_FDCWD, at("%s/w2", ws), RENAME_WHITEOUT) == 0, "whiteout outside");
	tried(rename(at("%s/sub", outside), at("%s/stolen", ws)) == 0, "rename a directory from outside");
	tried(rename(at("%s/canary", outside), at("%s/canary", ws)) == 0, "rename a file from outside");
	tried(rename(at("%s/canary", outside), at("%s/canary2", outside)) == 0, "rename outside");
	fd = open(outside, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	tried(fd >= 0, "unnamed file outside");
	if (fd >= 0)
		tried(linkat(AT_FDCWD, at("/proc/self/fd/%d", fd), AT_FDCWD, at("%s/unnamed", outside), AT_SYMLINK_FOLLOW) == 0, "its name outside");
	fd = open(ws, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0) {
		tried(linkat(AT_FDCWD, at("/proc/self/fd/%d", fd), AT_FDCWD, at("%s/unnamed2", outside), AT_SYMLINK_FOLLOW) == 0, "an unnamed file of ours named outside");
		tried(linkat(fd, "", dir, "unnamed3", AT_EMPTY_PATH) == 0, "the same by descriptor");
		close(fd);
	}
	tried(unlink(at("%s/canary", outside)) == 0, "unlink outside");
	tried(unlinkat(dir, "canary", 0) == 0, "unlinkat outside");
	tried(rmdir(at("%s/sub", outside)) == 0, "rmdir outside");
	close(dir);
}

/* A directory of ours stays open while it is moved; then files are made through the descriptor. */
static void open_directory_moves(void) {
	int dir;
	mkdir(at("%s/d", ws), 0755);
	dir = open(at("%s/d", ws), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rename(at("%s/d", ws), at("%s/d", outside)) == 0) {
		int fd = openat(dir, "x", O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
		tried(true, "rename of an open directory to the outside");
		tried(fd >= 0, "a file made through it");
	} else
		tried(false, "rename of an open directory to the outside");
	tried(openat(dir, at("../../../../../../../../..%s/y", outside), O_CREAT | O_WRONLY | O_CLOEXEC, 0644) >= 0, "create with .. through an open directory");
	close(dir);
}

int main(int argc, char **argv) {
	char *secret_dir;
	if (argc != 4)
		usage("row_05_moves WORKSPACE SECRET OUTSIDE");
	ws = argv[1], secret = argv[2], outside = argv[3];
	secret_dir = strdup(dirname(strdup(secret)));
	links_to_the_secret();
	writes_outside();
	open_directory_moves();
	tried(rename(secret, at("%s/s", ws)) == 0, "rename of the secret");
	read_through(at("%s/s", ws), "the secret after its rename");
	tried(rename(secret_dir, at("%s/sd", ws)) == 0, "rename of the secret's directory");
	return finish();
}
