/* ATTACKS 7: content changed through a descriptor that was not granted for writing.
 * row_07_content FILE */
#include "attack.h"
#include <sys/sendfile.h>

int main(int argc, char **argv) {
	int fd, opath, source, pipes[2];
	const char *path;
	void *map;
	off_t offset = 0;
	if (argc != 2)
		usage("row_07_content FILE");
	path = argv[1];
	fd = open(path, O_RDONLY | O_CLOEXEC);
	opath = open(path, O_PATH | O_CLOEXEC);
	source = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || opath < 0 || source < 0 || pipe(pipes) != 0 || write(pipes[1], "evil", 4) != 4)
		return perror("set up"), 3;
#define TRY(call) tried((call) >= 0, "%s", #call)
	TRY(truncate(path, 3));
	TRY(truncate(at("/proc/self/fd/%d", opath), 2));
	TRY(ftruncate(fd, 1));
	TRY(fallocate(fd, 0, 0, 4096));
	TRY(copy_file_range(source, &offset, fd, &(off_t){ 0 }, 16, 0));
	TRY(sendfile(fd, source, &offset, 16));
	TRY(splice(pipes[0], NULL, fd, NULL, 4, 0));
	TRY(write(fd, "evil", 4));
	TRY(pwrite(fd, "evil", 4, 0));
	TRY(open(path, O_RDONLY | O_TRUNC | O_CLOEXEC));
	TRY(open(path, O_WRONLY | O_CLOEXEC));
	TRY(open(path, O_RDWR | O_APPEND | O_CLOEXEC));
	TRY(open(path, O_ACCMODE | O_CLOEXEC)); /* the third access mode: read and write permission checked, for ioctl */
	TRY(open(at("/proc/self/fd/%d", fd), O_RDWR | O_CLOEXEC));
	TRY(open(at("/proc/self/fd/%d", opath), O_RDWR | O_CLOEXEC));
	TRY(open(at("/dev/fd/%d", fd), O_RDWR | O_CLOEXEC));
	TRY(creat(path, 0644));
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	tried(map != MAP_FAILED, "mmap for writing");
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		TRY(mprotect(map, 4096, PROT_READ | PROT_WRITE));
	return finish();
}
