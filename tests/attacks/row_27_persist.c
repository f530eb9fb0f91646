/* ATTACKS 27: files that others execute later: hooks, direnv, editor and agent settings.
 * row_27_persist WORKSPACE HOME: the workspace is a Git repository with a `.git/hooks` directory and a
 * `.git/config`; whatever of these is made or changed is through. */
#include "attack.h"
#include <linux/fs.h>

static const char *ws;

/* The file says `evil` now: somebody will execute or believe it. */
static bool evil(const char *path) {
	char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text);
	if (fd >= 0)
		close(fd);
	return n > 0 && memmem(text, (size_t)n, "evil", 4) != NULL;
}

static void put(int fd) {
	if (fd >= 0) {
		(void)!write(fd, "evil", 4);
		close(fd);
	}
}

/* Every way to a name, and to a file that exists. Only what exists afterwards counts. */
static void every_way(const char *path) {
	const char *made = strdup(at("%s/made", ws)), *way = strdup(at("%s/way", ws));
	char *slash, *dir = strdup(path);
	const char *name;
	int fd, dirfd;
	slash = strrchr(dir, '/');
	*slash = 0, name = slash + 1;
	unlink(made), unlink(way);
#define THEN(what) do { tried(evil(path), "%s: %s", path, what); if (evil(path)) return; } while (0)
	put(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
	THEN("open");
	put(open(path, O_WRONLY | O_APPEND | O_CLOEXEC));
	THEN("append");
	put(creat(path, 0755));
	THEN("creat");
	put(open(at("%s/./%s", dir, name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0755));
	THEN("open with a dot");
	make_file(made, "evil");
	(void)!rename(made, path);
	THEN("rename");
	make_file(made, "evil");
	syscall(SYS_renameat2, AT_FDCWD, made, AT_FDCWD, path, RENAME_EXCHANGE);
	THEN("exchange");
	make_file(made, "evil");
	(void)!link(made, path);
	THEN("link");
	(void)!symlink(made, path);
	THEN("symbolic link");
	if (symlink(path, way) == 0) {
		put(open(way, O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
		THEN("open through a link");
	}
	unlink(way);
	if (link(path, way) == 0) {
		put(open(way, O_WRONLY | O_CLOEXEC));
		THEN("open through a hard link");
	}
	unlink(way);
	put(open(at("%s.lock", path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
	(void)!rename(at("%s.lock", path), path);
	THEN("lock file and rename");
	unlink(at("%s.lock", path));
	dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	put(openat(dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
	THEN("openat");
	make_file(made, "evil");
	(void)!renameat(AT_FDCWD, made, dirfd, name);
	THEN("renameat");
	close(dirfd);
	fd = open(ws, O_TMPFILE | O_RDWR | O_CLOEXEC, 0755);
	if (fd >= 0) {
		(void)!write(fd, "evil", 4);
		(void)!linkat(AT_FDCWD, at("/proc/self/fd/%d", fd), AT_FDCWD, path, AT_SYMLINK_FOLLOW);
		close(fd);
		THEN("unnamed file");
	}
	(void)!truncate(path, 0);
	(void)!mknod(path, S_IFREG | 0755, 0);
	put(open(path, O_WRONLY | O_CLOEXEC));
	THEN("mknod");
}

/* The directory that holds the name is filled elsewhere and moved into place. */
static void moved_in(const char *dir, const char *name) {
	const char *built = strdup(at("%s/built", ws)), *inner = strdup(at("%s/%s", dir, name)), *old = strdup(at("%s/old", ws));
	mkdir(built, 0755);
	make_file(at("%s/%s", built, name), "evil");
	(void)!rename(built, dir);
	tried(evil(inner), "%s: filled directory renamed into place", inner);
	if (rename(dir, old) == 0) {
		(void)!rename(built, dir);
		tried(evil(inner), "%s: directory replaced", inner);
	}
	syscall(SYS_renameat2, AT_FDCWD, built, AT_FDCWD, dir, RENAME_EXCHANGE);
	tried(evil(inner), "%s: directory exchanged", inner);
}

int main(int argc, char **argv) {
	const char *in_workspace[] = { ".git/hooks/pre-commit", ".git/hooks/post-checkout", ".git/config", ".envrc", ".mcp.json", ".vscode/settings.json", ".vscode/tasks.json", ".idea/workspace.xml", ".husky/pre-commit", "sub/.envrc", "sub/deeper/.vscode/tasks.json", "sub/deeper/.husky/pre-push", ".askance/settings.json", ".askance/settings.local.json" };
	const char *in_home[] = { ".bashrc", ".profile", ".bash_profile", ".zshrc", ".config/askance/settings.json", ".gitconfig" };
	size_t i;
	if (argc != 3)
		usage("row_27_persist WORKSPACE HOME");
	ws = argv[1];
	mkdir(at("%s/sub", ws), 0755);
	mkdir(at("%s/sub/deeper", ws), 0755);
	for (i = 0; i < sizeof in_workspace / sizeof *in_workspace; i++) {
		char *path = strdup(at("%s/%s", ws, in_workspace[i])), *dir = strdup(path);
		*strrchr(dir, '/') = 0;
		mkdir(dir, 0755);
		every_way(path);
	}
	for (i = 0; i < sizeof in_home / sizeof *in_home; i++)
		every_way(strdup(at("%s/%s", argv[2], in_home[i])));
	moved_in(strdup(at("%s/.git/hooks", ws)), "pre-push");
	moved_in(strdup(at("%s/.vscode", ws)), "launch.json");
	moved_in(strdup(at("%s/.husky", ws)), "pre-commit");
	/* The whole repository moves away, and another takes its place. */
	if (rename(at("%s/.git", ws), at("%s/.git-old", ws)) == 0) {
		mkdir(at("%s/.git", ws), 0755);
		mkdir(at("%s/.git/hooks", ws), 0755);
		put(open(at("%s/.git/hooks/pre-merge-commit", ws), O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
		tried(evil(at("%s/.git/hooks/pre-merge-commit", ws)), "a new repository in the old one's place");
		put(open(at("%s/.git-old/hooks/pre-rebase", ws), O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
		(void)!rename(at("%s/.git", ws), at("%s/.git-new", ws));
		(void)!rename(at("%s/.git-old", ws), at("%s/.git", ws));
		tried(evil(at("%s/.git/hooks/pre-rebase", ws)), "a repository written under another name");
	}
	return finish();
}
