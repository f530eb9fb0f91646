/* ATTACKS 1: the path of a call that changes names or metadata is flipped between judgement and use; so are
 * the address of a Unix socket, the pointer to a message's name, an address to bind, and what an open means.
 * row_01_flip_names rename|unlink|chmod|truncate|setxattr|link|symlink|mkdir GOODDIR BADDIR N S
 *   where BADDIR holds `canary` and may not be changed
 * row_01_flip_names device GOOD BADDEVICE N S | unix GOODSOCKET BADSOCKET N S
 * row_01_flip_names message PORT BADPORT N S | bind - - N S */
#include "attack.h"
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/un.h>
#include <sys/xattr.h>

static atomic_bool stop;
static char one[4096], two[4096], shared[4096];
static size_t size;

static void *flipper(void *unused) {
	(void)unused;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		memcpy(shared, one, size);
		atomic_signal_fence(memory_order_seq_cst);
		memcpy(shared, two, size);
		atomic_signal_fence(memory_order_seq_cst);
	}
	return NULL;
}

static void pad(const char *good, const char *bad) {
	size_t length = strlen(good) > strlen(bad) ? strlen(good) : strlen(bad);
	memset(one, '/', length);
	memset(two, '/', length);
	strcpy(one + length - strlen(good), good);
	strcpy(two + length - strlen(bad), bad);
	size = length + 1;
}

static void write_file(const char *path) {
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd >= 0) {
		(void)!write(fd, "ours", 4);
		close(fd);
	}
}

static unsigned long worked;

static void change(const char *mode, const char *good, const char *bad) {
	char *ours = at("%s/canary", good), *spare = at("%s/spare", good);
	struct stat before, after;
	static struct stat first;
	bool same;
	if (!first.st_ino && stat(at("%s/canary", bad), &first) != 0)
		exit(3);
	before = first;
	write_file(ours);
	if (!strcmp(mode, "rename"))
		worked += rename(shared, spare) == 0;
	else if (!strcmp(mode, "unlink"))
		worked += unlink(shared) == 0;
	else if (!strcmp(mode, "chmod"))
		worked += chmod(shared, 0600) == 0;
	else if (!strcmp(mode, "truncate"))
		worked += truncate(shared, 0) == 0;
	else if (!strcmp(mode, "setxattr"))
		worked += setxattr(shared, "user.flipped", "v", 1, 0) == 0;
	else if (!strcmp(mode, "link")) {
		unlink(at("%s/born", good));
		write_file(spare);
		worked += link(spare, shared) == 0;
	} else if (!strcmp(mode, "symlink")) {
		unlink(at("%s/born", good));
		worked += symlink("x", shared) == 0;
	} else if (!strcmp(mode, "mkdir")) {
		rmdir(at("%s/born", good));
		worked += mkdir(shared, 0755) == 0;
	} else
		exit(2);
	same = stat(at("%s/canary", bad), &after) == 0 && after.st_ino == before.st_ino && after.st_mode == before.st_mode &&
		after.st_size == before.st_size && after.st_nlink == before.st_nlink && after.st_ctim.tv_sec == before.st_ctim.tv_sec && after.st_ctim.tv_nsec == before.st_ctim.tv_nsec;
	tried(!same || exists(at("%s/born", bad)), "%s", mode);
	if (!same || exists(at("%s/born", bad))) {
		/* Bare: put it back for the next try. */
		unlink(at("%s/born", bad)), rmdir(at("%s/born", bad));
		write_file(at("%s/canary", bad));
		removexattr(at("%s/canary", bad), "user.flipped");
		if (stat(at("%s/canary", bad), &first) != 0)
			exit(3);
	}
}

static void open_device(const char *bad) {
	struct stat there, opened;
	int fd = open(shared, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	worked += fd >= 0;
	tried(fd >= 0 && stat(bad, &there) == 0 && fstat(fd, &opened) == 0 && opened.st_rdev == there.st_rdev && S_ISCHR(opened.st_mode), "open of the device");
	if (fd >= 0)
		close(fd);
}

static void connect_unix(const char *bad) {
	struct sockaddr_un peer = { 0 };
	socklen_t length = sizeof peer;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	worked += connect(fd, (void *)shared, sizeof peer) == 0;
	tried(getpeername(fd, (void *)&peer, &length) == 0 && strstr(peer.sun_path, bad), "connect to the other socket");
	close(fd);
}

static void send_message(struct msghdr *message) {
	struct mmsghdr many = { .msg_hdr = *message };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	worked += sendmsg(fd, message, 0) == 1;
	worked += sendmmsg(fd, (struct mmsghdr *)shared, 1, 0) == 1;
	(void)many;
	/* Whether one arrived at the other port only its owner can say. */
	tried(false, "sendmsg");
	close(fd);
}

static void bind_stream(void) {
	struct sockaddr_in got = { 0 };
	socklen_t length = sizeof got;
	char device[IF_NAMESIZE] = "";
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool listens = bind(fd, (void *)shared, sizeof got) == 0 && listen(fd, 1) == 0;
	worked += listens;
	getsockname(fd, (void *)&got, &length);
	length = sizeof device;
	getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &length);
	tried(listens && got.sin_addr.s_addr == 0 && strcmp(device, "lo"), "a listener on the wildcard");
	close(fd);
}

int main(int argc, char **argv) {
	static struct sockaddr_in good, bad;
	static struct iovec data = { "x", 1 };
	struct limit limit;
	unsigned long done;
	pthread_t thread;
	const char *mode;
	if (argc != 6)
		usage("row_01_flip_names MODE GOOD BAD TRIES SECONDS");
	mode = argv[1];
	if (!strcmp(mode, "unix")) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		strcpy(address.sun_path, argv[2]);
		if (bind(listener, (void *)&address, sizeof address) != 0 || listen(listener, 4096) != 0)
			return perror("bind"), 3;
		size = sizeof address;
		memcpy(one, &address, size);
		strcpy(address.sun_path, argv[3]);
		memcpy(two, &address, size);
	} else if (!strcmp(mode, "message")) {
		struct mmsghdr message = { .msg_hdr = { .msg_name = &good, .msg_namelen = sizeof good, .msg_iov = &data, .msg_iovlen = 1 } };
		good.sin_family = bad.sin_family = AF_INET;
		good.sin_addr.s_addr = bad.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		good.sin_port = htons((uint16_t)atoi(argv[2])), bad.sin_port = htons((uint16_t)atoi(argv[3]));
		size = sizeof message;
		memcpy(one, &message, size);
		message.msg_hdr.msg_name = &bad;
		memcpy(two, &message, size);
	} else if (!strcmp(mode, "bind")) {
		good.sin_family = bad.sin_family = AF_INET;
		good.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		size = sizeof good;
		memcpy(one, &good, size);
		memcpy(two, &bad, size);
	} else if (!strcmp(mode, "device"))
		pad(argv[2], argv[3]);
	else {
		bool makes = !strcmp(mode, "link") || !strcmp(mode, "symlink") || !strcmp(mode, "mkdir");
		const char *name = makes ? "born" : "canary";
		pad(at("%s/%s", argv[2], name), at("%s/%s", argv[3], name));
	}
	memcpy(shared, one, size);
	pthread_create(&thread, NULL, flipper, NULL);
	limit = limit_from(argv[4], argv[5]);
	for (done = 0; go_on(&limit, done); done++) {
		if (!strcmp(mode, "device"))
			open_device(argv[3]);
		else if (!strcmp(mode, "unix"))
			connect_unix(argv[3]);
		else if (!strcmp(mode, "message"))
			send_message((struct msghdr *)shared);
		else if (!strcmp(mode, "bind"))
			bind_stream();
		else
			change(mode, argv[2], argv[3]);
	}
	stop = true;
	pthread_join(thread, NULL);
	printf("worked %lu of %lu\n", worked, done);
	return finish();
}
