/* ATTACKS 6: metadata changes outside the write list, by path or through a read-only descriptor.
 * row_06_metadata FILE */
#include "attack.h"
#include <linux/fs.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#define NR_SETXATTRAT 463
#define NR_FILE_SETATTR 469

int main(int argc, char **argv) {
	struct timespec times[2] = { { 1, 0 }, { 2, 0 } };
	struct timeval values[2] = { { 1, 0 }, { 2, 0 } };
	struct utimbuf old = { 1, 2 };
	struct { uint64_t value; uint32_t size, flags; } args = { (uint64_t)(uintptr_t)"v", 1, 0 };
	struct { uint64_t xflags; uint32_t extsize, nextents, projid, cowextsize; } attr = { 0 };
	struct fsxattr fsx;
	const char *path, *proc;
	int fd, opath, flags = 0;
	if (argc != 2)
		usage("row_06_metadata FILE");
	path = argv[1];
	fd = open(path, O_RDONLY | O_CLOEXEC);
	opath = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0 || opath < 0)
		return perror("open"), 3;
	proc = strdup(at("/proc/self/fd/%d", opath));
#define TRY(call) tried((call) >= 0, "%s", #call)
	TRY(chmod(path, 0640));
	TRY(fchmod(fd, 0641));
	TRY(fchmodat(AT_FDCWD, path, 0642, 0));
	TRY(syscall(SYS_fchmodat2, AT_FDCWD, path, 0643, 0));
	TRY(syscall(SYS_fchmodat2, opath, "", 0644, AT_EMPTY_PATH));
	TRY(syscall(SYS_fchmodat2, fd, "", 0645, AT_EMPTY_PATH));
	TRY(chmod(proc, 0646));
	TRY(chown(path, getuid(), getgid()));
	TRY(chown(path, (uid_t)-1, (gid_t)-1));
	TRY(lchown(path, (uid_t)-1, (gid_t)-1));
	TRY(fchown(fd, getuid(), getgid()));
	TRY(fchown(fd, (uid_t)-1, (gid_t)-1));
	TRY(fchownat(opath, "", getuid(), getgid(), AT_EMPTY_PATH));
	TRY(chown(proc, (uid_t)-1, (gid_t)-1));
	TRY(utimensat(AT_FDCWD, path, times, 0));
	TRY(utimensat(AT_FDCWD, path, NULL, 0));
	TRY(futimens(fd, times));
	TRY(syscall(SYS_utimensat, opath, "", times, AT_EMPTY_PATH));
	TRY(utimensat(AT_FDCWD, proc, times, 0));
	TRY(syscall(SYS_utime, path, &old));
	TRY(syscall(SYS_utimes, path, values));
	TRY(syscall(SYS_futimesat, AT_FDCWD, path, values));
	TRY(setxattr(path, "user.a", "v", 1, 0));
	TRY(lsetxattr(path, "user.b", "v", 1, 0));
	TRY(fsetxattr(fd, "user.c", "v", 1, 0));
	TRY(setxattr(proc, "user.d", "v", 1, 0));
	TRY(syscall(NR_SETXATTRAT, AT_FDCWD, path, 0, "user.e", &args, sizeof args));
	TRY(syscall(NR_SETXATTRAT, fd, "", AT_EMPTY_PATH, "user.f", &args, sizeof args));
	TRY(removexattr(path, "user.kept"));
	TRY(fremovexattr(fd, "user.kept2"));
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
		flags |= FS_NODUMP_FL;
		TRY(ioctl(fd, FS_IOC_SETFLAGS, &flags));
		flags |= FS_NOATIME_FL;
		TRY(syscall(SYS_ioctl, fd, (0xabcdUL << 32) | FS_IOC_SETFLAGS, &flags));
	}
	if (ioctl(fd, FS_IOC_FSGETXATTR, &fsx) == 0) {
		fsx.fsx_xflags |= FS_XFLAG_NOATIME;
		TRY(ioctl(fd, FS_IOC_FSSETXATTR, &fsx));
	}
	TRY(syscall(NR_FILE_SETATTR, AT_FDCWD, path, &attr, sizeof attr, 0));
	return finish();
}
