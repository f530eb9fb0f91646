/* ATTACKS 29, I8: what every kind of open and name change returns, as a transcript. Run bare and
 * sandboxed in equal scenes, the two transcripts must be equal.
 * row_29_semantics DIRECTORY: an empty directory that the program may change. */
#include "attack.h"
#include <dirent.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/xattr.h>

static const char *dir;

static char *in(const char *name) { return at("%s/%s", dir, name); }

/* `label: value` or `label: ENAME`. */
static long said(const char *label, long result) {
	int saved = errno;
	if (result < 0)
		printf("%s: %s\n", label, strerrorname_np(saved));
	else
		printf("%s: ok\n", label);
	return result;
}

static void content(const char *name) {
	char text[256] = "";
	struct stat st = { 0 };
	int fd = open(in(name), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	lstat(in(name), &st);
	printf("  %s: %zd bytes `%s` mode %o links %lu uid %u gid %u\n", name, n, n > 0 ? text : "", st.st_mode, (unsigned long)st.st_nlink, st.st_uid, st.st_gid);
}

/* Opens, says how, and closes; `text` is written when given. */
static void opened(const char *label, const char *name, int flags, mode_t mode, const char *text) {
	int fd = (int)said(label, open(name, flags, mode));
	if (fd < 0)
		return;
	printf("  status flags %x descriptor flags %x offset %ld\n", fcntl(fd, F_GETFL) & ~0100000, fcntl(fd, F_GETFD), (long)lseek(fd, 0, SEEK_CUR));
	if (text)
		said("  write", write(fd, text, strlen(text)));
	close(fd);
}

static void opens(void) {
	umask(027);
	opened("create", in("f"), O_WRONLY | O_CREAT | O_CLOEXEC, 0666, "hello\n");
	content("f");
	opened("append", in("f"), O_WRONLY | O_APPEND, 0, "more\n");
	content("f");
	opened("write at the start", in("f"), O_WRONLY, 0, "J");
	content("f");
	opened("truncate", in("f"), O_WRONLY | O_TRUNC, 0, "new");
	content("f");
	opened("read and truncate", in("f"), O_RDONLY | O_TRUNC, 0, NULL);
	content("f");
	opened("exclusive over an existing file", in("f"), O_WRONLY | O_CREAT | O_EXCL, 0600, NULL);
	opened("exclusive new", in("x"), O_WRONLY | O_CREAT | O_EXCL, 04777, "x");
	content("x");
	umask(0);
	opened("create with every bit", in("m"), O_RDWR | O_CREAT, 07777, "m");
	content("m");
	umask(0777);
	opened("create with no bit", in("n"), O_WRONLY | O_CREAT, 0777, "n");
	umask(022);
	said("read what has no bit", open(in("n"), O_RDONLY | O_CLOEXEC));
	opened("directory as a file", in("d"), O_WRONLY, 0, NULL);
	said("mkdir", mkdir(in("d"), 0777));
	content("d");
	opened("write a directory", in("d"), O_WRONLY, 0, NULL);
	opened("create over a directory", in("d"), O_RDONLY | O_CREAT, 0600, NULL);
	opened("a file as a directory", in("f"), O_RDONLY | O_DIRECTORY, 0, NULL);
	opened("create and directory", in("newdir"), O_RDONLY | O_CREAT | O_DIRECTORY, 0600, NULL);
	opened("beneath a file", in("f/x"), O_WRONLY | O_CREAT, 0600, NULL);
	opened("beneath nothing", in("none/x"), O_WRONLY | O_CREAT, 0600, NULL);
	opened("trailing slash on a new file", in("t/"), O_WRONLY | O_CREAT, 0600, NULL);
	opened("trailing slash on a file", in("f/"), O_RDONLY, 0, NULL);
	opened("trailing slash on a directory", in("d/"), O_RDONLY, 0, NULL);
	opened("empty name", "", O_WRONLY | O_CREAT, 0600, NULL);
	opened("a long name", in("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), O_WRONLY | O_CREAT, 0600, NULL);
	said("close-on-exec is kept", fcntl(open(in("f"), O_WRONLY | O_CLOEXEC), F_GETFD) == FD_CLOEXEC ? 0 : -1);
	opened("non-blocking", in("f"), O_WRONLY | O_NONBLOCK, 0, NULL);
	opened("synchronous", in("f"), O_WRONLY | O_SYNC, 0, "s");
	opened("direct", in("f"), O_WRONLY | O_DIRECT, 0, NULL);
	opened("no access time", in("f"), O_WRONLY | O_NOATIME, 0, NULL);
	opened("path only", in("f"), O_PATH, 0, NULL);
	opened("third access mode", in("f"), O_ACCMODE, 0, NULL);
	said("creat", creat(in("c"), 0604));
	content("c");
}

static void links(void) {
	said("symlink", symlink("f", in("l")));
	opened("through a link", in("l"), O_WRONLY | O_TRUNC, 0, "by link");
	content("f");
	opened("no-follow on a link", in("l"), O_WRONLY | O_NOFOLLOW, 0, NULL);
	opened("no-follow path-only on a link", in("l"), O_PATH | O_NOFOLLOW, 0, NULL);
	opened("exclusive over a link", in("l"), O_WRONLY | O_CREAT | O_EXCL, 0600, NULL);
	said("dangling link", symlink("born", in("dl")));
	opened("create through a dangling link", in("dl"), O_WRONLY | O_CREAT, 0600, "b");
	content("born");
	said("loop", symlink("loop", in("loop")));
	opened("a loop", in("loop"), O_WRONLY | O_CREAT, 0600, NULL);
	said("symlink over a file", symlink("z", in("f")));
	said("link", link(in("f"), in("hard")));
	content("hard");
	said("link over a file", link(in("f"), in("hard")));
	said("link to a directory", link(in("d"), in("hd")));
	said("link to nothing", link(in("nothing"), in("hn")));
	said("link to a symbolic link", link(in("l"), in("hl")));
	content("hl");
	said("link through a symbolic link", linkat(AT_FDCWD, in("l"), AT_FDCWD, in("hl2"), AT_SYMLINK_FOLLOW));
	content("hl2");
}

static long how(const char *name, uint64_t flags, uint64_t mode, uint64_t resolve) {
	struct open_how open_how = { flags | O_CLOEXEC, mode, resolve };
	int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	long fd;
	int saved, tries = 0;
	/* `..` in a scoped resolution: EAGAIN when anything on the machine was renamed or mounted meanwhile. */
	do
		fd = syscall(SYS_openat2, dirfd, name, &open_how, sizeof open_how);
	while (fd < 0 && errno == EAGAIN && ++tries < 1000);
	saved = errno;
	close(dirfd);
	if (fd >= 0)
		close((int)fd);
	errno = saved;
	return fd;
}

static void resolving(void) {
	char big[64] = { 0 };
	said("openat2", how("f", O_WRONLY, 0, 0));
	said("openat2 create", how("o2", O_WRONLY | O_CREAT, 0640, 0));
	said("openat2 mode without create", how("f", O_WRONLY, 0640, 0));
	said("openat2 odd mode", how("o3", O_WRONLY | O_CREAT, 0200000, 0));
	said("openat2 unknown flag", how("f", 1ULL << 40, 0, 0));
	said("openat2 unknown resolve", how("f", O_WRONLY, 0, 0x100));
	said("openat2 beneath", how("f", O_WRONLY, 0, RESOLVE_BENEATH));
	said("openat2 beneath, escaping", how("../x", O_WRONLY | O_CREAT, 0600, RESOLVE_BENEATH));
	said("openat2 beneath, absolute", how(in("f"), O_WRONLY, 0, RESOLVE_BENEATH));
	said("openat2 in root", how("/../../f", O_WRONLY, 0, RESOLVE_IN_ROOT));
	said("openat2 no links, file", how("f", O_WRONLY, 0, RESOLVE_NO_SYMLINKS));
	said("openat2 no links, link", how("l", O_WRONLY, 0, RESOLVE_NO_SYMLINKS));
	said("openat2 no magic links", how("f", O_WRONLY, 0, RESOLVE_NO_MAGICLINKS));
	said("openat2 no other mount", how("f", O_WRONLY, 0, RESOLVE_NO_XDEV));
	said("openat2 small", syscall(SYS_openat2, AT_FDCWD, in("f"), big, 8));
	said("openat2 larger, zeros", syscall(SYS_openat2, AT_FDCWD, in("f"), big, sizeof big));
	big[40] = 1;
	said("openat2 larger, not zeros", syscall(SYS_openat2, AT_FDCWD, in("f"), big, sizeof big));
}

static void names(void) {
	said("mkdir over a file", mkdir(in("f"), 0755));
	said("mkdir beneath nothing", mkdir(in("none/d"), 0755));
	said("mkdir with a slash", mkdir(in("d2/"), 01777));
	content("d2");
	said("mkdir with bits", mkdir(in("d3"), 02775));
	content("d3");
	said("rmdir a file", rmdir(in("f")));
	opened("a file in it", in("d2/x"), O_WRONLY | O_CREAT, 0600, "x");
	said("rmdir not empty", rmdir(in("d2")));
	said("rmdir nothing", rmdir(in("nothing")));
	said("rmdir dot", rmdir(in("d3/.")));
	said("unlink a directory", unlink(in("d3")));
	said("unlink nothing", unlink(in("nothing")));
	said("rename", rename(in("x"), in("y")));
	content("y");
	said("rename nothing", rename(in("nothing"), in("z")));
	said("rename a file over a directory", rename(in("y"), in("d3")));
	said("rename a directory over a file", rename(in("d3"), in("y")));
	said("rename over a full directory", rename(in("d3"), in("d2")));
	said("rename into itself", rename(in("d2"), in("d2/d")));
	said("rename onto itself", rename(in("y"), in("y")));
	said("rename without replacing", renameat2(AT_FDCWD, in("y"), AT_FDCWD, in("f"), RENAME_NOREPLACE));
	said("rename without replacing, free", renameat2(AT_FDCWD, in("y"), AT_FDCWD, in("y2"), RENAME_NOREPLACE));
	said("exchange", renameat2(AT_FDCWD, in("y2"), AT_FDCWD, in("d2"), RENAME_EXCHANGE));
	content("d2");
	said("rename with an odd flag", renameat2(AT_FDCWD, in("f"), AT_FDCWD, in("g"), 64));
	said("rename into a directory", rename(in("f"), in("d3/f")));
	content("d3/f");
	said("mkfifo", mkfifo(in("p"), 0622));
	content("d3");
	said("mknod file", mknod(in("k"), S_IFREG | 0600, 0));
	said("mknod socket", mknod(in("ks"), S_IFSOCK | 0600, 0));
	opened("open a socket", in("ks"), O_RDONLY, 0, NULL);
	opened("fifo for writing, non-blocking, no reader", in("p"), O_WRONLY | O_NONBLOCK, 0, NULL);
	opened("fifo for both", in("p"), O_RDWR, 0, "p");
	said("truncate", truncate(in("d3/f"), 2));
	content("d3/f");
	said("truncate a directory", truncate(in("d3"), 2));
	said("truncate nothing", truncate(in("nothing"), 2));
	said("truncate to less than nothing", truncate(in("d3/f"), -1));
}

static void unnamed(void) {
	int fd = (int)said("unnamed file", open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0644));
	if (fd >= 0) {
		said("  write", write(fd, "unnamed", 7));
		said("  name it", linkat(AT_FDCWD, at("/proc/self/fd/%d", fd), AT_FDCWD, in("named"), AT_SYMLINK_FOLLOW));
		close(fd);
		content("named");
	}
	fd = (int)said("exclusive unnamed file", open(dir, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0644));
	if (fd >= 0)
		said("  name it", linkat(AT_FDCWD, at("/proc/self/fd/%d", fd), AT_FDCWD, in("named2"), AT_SYMLINK_FOLLOW));
	said("unnamed, read-only", open(dir, O_TMPFILE | O_RDONLY | O_CLOEXEC, 0644));
}

static void metadata(void) {
	struct timespec times[2] = { { 1000, 5 }, { 2000, 7 } };
	struct stat st;
	int fd = open(in("named"), O_RDONLY | O_CLOEXEC);
	said("chmod", chmod(in("named"), 0751));
	said("fchmod on a read-only descriptor", fchmod(fd, 0700));
	content("named");
	said("chmod nothing", chmod(in("nothing"), 0700));
	said("chown to oneself", chown(in("named"), getuid(), getgid()));
	said("chown to nobody in particular", chown(in("named"), (uid_t)-1, (gid_t)-1));
	said("lchown a link", lchown(in("l"), getuid(), getgid()));
	said("utimensat", utimensat(AT_FDCWD, in("named"), times, 0));
	stat(in("named"), &st);
	printf("  %ld.%09ld %ld.%09ld\n", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	times[0].tv_nsec = UTIME_OMIT, times[1].tv_sec = 3000;
	said("utimensat, one omitted", utimensat(AT_FDCWD, in("named"), times, 0));
	stat(in("named"), &st);
	printf("  %ld %ld\n", st.st_atim.tv_sec, st.st_mtim.tv_sec);
	said("utimensat on a link itself", utimensat(AT_FDCWD, in("l"), times, AT_SYMLINK_NOFOLLOW));
	said("futimens", futimens(fd, times));
	said("setxattr", setxattr(in("named"), "user.a", "v", 1, 0));
	said("setxattr, must not exist", setxattr(in("named"), "user.a", "v", 1, XATTR_CREATE));
	said("setxattr, must exist", setxattr(in("named"), "user.b", "v", 1, XATTR_REPLACE));
	said("fsetxattr", fsetxattr(fd, "user.c", "v", 1, 0));
	said("removexattr", removexattr(in("named"), "user.a"));
	said("removexattr again", removexattr(in("named"), "user.a"));
	said("setxattr, odd name space", setxattr(in("named"), "odd.a", "v", 1, 0));
	close(fd);
}

static void relative(void) {
	int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), file = open(in("d3/f"), O_RDONLY | O_CLOEXEC);
	said("openat", openat(dirfd, "rel", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	said("openat with a file as its directory", openat(file, "rel", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	said("openat with a bad descriptor", openat(999, "rel", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	said("openat with a bad descriptor and an absolute path", openat(999, in("abs"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	said("chdir", chdir(dir));
	said("relative to the working directory", open("cwd", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	said("with dots", open("./d3/../dots", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	said("fchdir", fchdir(dirfd));
	said("renameat", renameat(dirfd, "dots", AT_FDCWD, "dots2"));
	said("unlinkat", unlinkat(dirfd, "dots2", 0));
	said("unlinkat a directory without its flag", unlinkat(dirfd, "d3", 0));
	said("unlinkat with an odd flag", unlinkat(dirfd, "d3", 0x10));
	said("mkdir and chdir into it", mkdir("here", 0755) == 0 ? chdir("here") : -1);
	said("rmdir the working directory", rmdir(in("here")));
	said("create in a removed directory", open("x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	said("chdir back", chdir(dir));
	said("fchmodat no-follow on a link", fchmodat(AT_FDCWD, "l", 0600, AT_SYMLINK_NOFOLLOW));
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

int main(int argc, char **argv) {
	struct dirent **entries;
	int i, n;
	if (argc != 2)
		usage("row_29_semantics DIRECTORY");
	dir = argv[1];
	opens();
	links();
	resolving();
	names();
	unnamed();
	metadata();
	relative();
	n = scandir(dir, &entries, NULL, by_name);
	for (i = 0; i < n; i++)
		if (strcmp(entries[i]->d_name, "..") && strcmp(entries[i]->d_name, "."))
			content(entries[i]->d_name);
	return 0;
}
