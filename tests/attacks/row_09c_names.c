/* ATTACKS 9c: rights must follow the policy's paths, never an old inode.
 * row_09c_names DENIED FILE: DENIED (a directory that asks for writes) lies in a writable place; it is
 * renamed away, written, and renamed back; FILE is what is written beneath it.
 * A second way: a harmless directory is filled and takes the denied name. */
#include "attack.h"
#include <libgen.h>
#include <linux/fs.h>

int main(int argc, char **argv) {
	char *denied, *parent, *away, *fresh, *inner;
	int fd;
	if (argc != 3)
		usage("row_09c_names DENIED FILE");
	denied = argv[1];
	parent = dirname(strdup(denied));
	away = strdup(at("%s/renamed-away", parent));
	fresh = strdup(at("%s/fresh", parent));
	inner = strdup(at("%s/%s", denied, argv[2]));
	/* Renamed away, written under the new name, renamed back. */
	if (rename(denied, away) == 0) {
		fd = open(at("%s/%s", away, argv[2]), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
		rename(away, denied);
		tried(fd >= 0 && exists(inner), "renamed away, written, renamed back");
	} else
		tried(false, "rename away");
	unlink(inner);
	/* The same one level up: the parent moves and takes the denied name along. */
	if (rename(parent, at("%s-away", parent)) == 0) {
		fd = open(at("%s-away/%s/%s", parent, basename(strdup(denied)), argv[2]), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
		rename(at("%s-away", parent), parent);
		tried(fd >= 0 && exists(inner), "parent renamed away, written, renamed back");
	} else
		tried(false, "rename the parent away");
	unlink(inner);
	/* A descriptor from before the rename. */
	fd = open(denied, O_PATH | O_DIRECTORY | O_CLOEXEC);
	tried(openat(fd, argv[2], O_WRONLY | O_CREAT | O_CLOEXEC, 0755) >= 0, "through a descriptor of the directory");
	unlink(inner);
	/* A directory filled under a harmless name takes the denied one. */
	if (mkdir(fresh, 0755) == 0) {
		make_file(at("%s/%s", fresh, argv[2]), "evil");
		(void)!system(at("mv -T '%s' '%s-old' 2>/dev/null", denied, denied));
		tried(rename(fresh, denied) == 0 && exists(inner), "a filled directory takes the denied name");
		tried(syscall(SYS_renameat2, AT_FDCWD, fresh, AT_FDCWD, denied, RENAME_EXCHANGE) == 0 && exists(inner), "exchanged with the denied name");
	}
	return finish();
}
