# Every call that changes an object without its name, with its result and errno. Run bare and sandboxed.
import ctypes, errno, fcntl, os, struct

libc = ctypes.CDLL(None, use_errno=True)
AT_CWD, NOFOLLOW, EMPTY = -100, 0x100, 0x1000
UTIMENSAT, UTIMES, UTIME, FUTIMESAT, TRUNCATE = 280, 235, 132, 261, 76
FCHMODAT2, SETXATTRAT, REMOVEXATTRAT, FILE_SETATTR = 452, 463, 466, 469
FS_GETFLAGS, FS_SETFLAGS, FS_SETXATTR = 0x80086601, 0x40086602, 0x401C5820


def tried(what, call, *arguments, **named):
    try:
        result = call(*arguments, **named)
    except OSError as error:
        result = errno.errorcode[error.errno]
    except NotImplementedError:
        result = "not implemented"
    print(what, result)


def system(number, *arguments):
    ctypes.set_errno(0)
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    result = libc.syscall(ctypes.c_long(number), *words)
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]


def looks(path):
    stat = os.lstat(path)
    return oct(stat.st_mode), stat.st_uid, stat.st_gid, stat.st_size, stat.st_nlink


def times(*words):
    return struct.pack("q" * len(words), *words)


def mtime(path="f"):
    return os.lstat(path).st_mtime_ns


os.umask(0o022)
open("f", "w").write("hello")
os.symlink("f", "l")
os.symlink("nothing", "dangling")
os.mkdir("d")
os.mkfifo("p")
fd, pin = os.open("f", os.O_RDONLY), os.open("f", os.O_PATH)

tried("chmod", os.chmod, "f", 0o640)
tried("chmod through a link", os.chmod, "l", 0o604)
tried("chmod through a dangling link", os.chmod, "dangling", 0o604)
tried("chmod of nothing", os.chmod, "nothing", 0o600)
tried("chmod below a file", os.chmod, "f/x", 0o600)
tried("fchmod", os.fchmod, fd, 0o4755)
tried("fchmod of a pin", os.fchmod, pin, 0o600)
tried("fchmod of nothing", os.fchmod, 99, 0o600)
print(looks("f"))
print("fchmodat2 of a pin", system(FCHMODAT2, pin, b"", 0o611, EMPTY), looks("f"))
print("fchmodat2 of a link", system(FCHMODAT2, AT_CWD, b"l", 0o611, NOFOLLOW), looks("l"))
print("fchmodat2, odd flag", system(FCHMODAT2, AT_CWD, b"f", 0o611, 4))

tried("chown to nobody new", os.chown, "f", -1, -1)
tried("chown to the owner", os.chown, "f", os.getuid(), os.getgid())
tried("chown to root", os.chown, "f", 0, 0)
tried("chown to another", os.chown, "f", 12345, -1)
tried("lchown", os.lchown, "l", os.getuid(), -1)
tried("lchown of a dangling link", os.lchown, "dangling", os.getuid(), -1)
tried("chown of a dangling link", os.chown, "dangling", os.getuid(), -1)
tried("fchown", os.fchown, fd, -1, os.getgid())
tried("fchown of a pin", os.fchown, pin, -1, -1)
print(looks("f"), looks("l"))

tried("utimensat", os.utime, "f", ns=(1, 2000000003))
print(os.stat("f").st_atime_ns, mtime())
tried("utimensat of a link", os.utime, "l", ns=(5, 7), follow_symlinks=False)
print(mtime("l"), mtime())
tried("futimens", os.utime, fd, ns=(8, 9))
print(mtime())
tried("utimensat, now", os.utime, "f")
print(mtime() > 10**18)
OMIT = 0x3FFFFFFE
print("utimensat, nothing to do", system(UTIMENSAT, AT_CWD, b"nothing", times(0, OMIT, 0, OMIT), 0))
print("utimensat, odd nanoseconds", system(UTIMENSAT, AT_CWD, b"f", times(0, 2**31, 0, 1), 0))
print("utimensat, no path", system(UTIMENSAT, AT_CWD, None, None, 0), system(UTIMENSAT, fd, None, None, 0))
print("utimensat of a pin", system(UTIMENSAT, pin, None, None, 0), system(UTIMENSAT, pin, b"", None, EMPTY))
print("utimensat, odd flag", system(UTIMENSAT, AT_CWD, b"f", None, 8))
print("utimes", system(UTIMES, b"f", times(1, 2, 3, 4)), mtime(), system(UTIMES, b"f", times(1, 2, 3, 4000000)))
print("utime", system(UTIME, b"f", times(11, 12)), mtime())
print("futimesat", system(FUTIMESAT, AT_CWD, b"f", times(5, 6, 7, 8)), mtime())
print("futimesat, no path", system(FUTIMESAT, fd, None, times(5, 6, 7, 9)), mtime())

tried("setxattr", os.setxattr, "f", "user.a", b"v")
tried("setxattr, create", os.setxattr, "f", "user.a", b"w", os.XATTR_CREATE)
tried("setxattr, replace", os.setxattr, "f", "user.z", b"w", os.XATTR_REPLACE)
tried("fsetxattr", os.setxattr, fd, "user.b", b"x")
tried("lsetxattr of a link", os.setxattr, "l", "user.a", b"v", follow_symlinks=False)
tried("setxattr of a directory", os.setxattr, "d", "user.d", b"")
tried("setxattr, odd name", os.setxattr, "f", "foo", b"v")
tried("setxattr, long name", os.setxattr, "f", "user." + "a" * 300, b"v")
tried("setxattr, no name", os.setxattr, "f", "", b"v")
tried("setxattr, too much", os.setxattr, "f", "user.c", b"v" * 70000)
tried("removexattr", os.removexattr, "f", "user.a")
tried("removexattr again", os.removexattr, "f", "user.a")
tried("fremovexattr", os.removexattr, fd, "user.b")
tried("lremovexattr of a link", os.removexattr, "l", "user.q", follow_symlinks=False)
value = ctypes.create_string_buffer(b"zz")
arguments = ctypes.create_string_buffer(struct.pack("QII", ctypes.addressof(value), 2, 0))
print("setxattrat", system(SETXATTRAT, AT_CWD, b"f", 0, b"user.1", arguments, 16))
print("setxattrat of a descriptor", system(SETXATTRAT, fd, b"", EMPTY, b"user.2", arguments, 16))
print("setxattrat, no path", system(SETXATTRAT, fd, None, EMPTY, b"user.3", arguments, 16))
print("setxattrat, small", system(SETXATTRAT, AT_CWD, b"f", 0, b"user.4", arguments, 8))
print("removexattrat", system(REMOVEXATTRAT, AT_CWD, b"f", 0, b"user.1"))
print(sorted(name for name in os.listxattr("f") if name.startswith("user.")))

tried("truncate", os.truncate, "f", 3)
tried("truncate through a link", os.truncate, "l", 1)
tried("truncate a directory", os.truncate, "d", 3)
tried("truncate a pipe", os.truncate, "p", 3)
tried("truncate nothing", os.truncate, "nothing", 0)
print("truncate to less than nothing", system(TRUNCATE, b"f", -1))
print(looks("f"))


def flags(descriptor, value=None):
    word = bytearray(struct.pack("q", value or 0))
    fcntl.ioctl(descriptor, FS_GETFLAGS if value is None else FS_SETFLAGS, word)
    return hex(struct.unpack("q", word)[0] & 0xFFFFFFFF)


tried("inode flags", flags, fd)
tried("set inode flags", lambda: flags(fd, int(flags(fd), 16) | 0x40))
tried("inode flags", flags, fd)
tried("set inode flags of a pin", flags, pin, 0x40)
attributes = struct.pack("QIIII", 0, 0, 0, 0, 0)
print("file_setattr", system(FILE_SETATTR, AT_CWD, b"f", attributes, 24, 0), system(FILE_SETATTR, AT_CWD, b"f", attributes, 8, 0))

read, write = os.pipe()
memory = os.memfd_create("memory")
tried("fchmod of a pipe", os.fchmod, read, 0o600)
tried("fchown of a pipe", os.fchown, read, -1, -1)
tried("fchmod of memory", os.fchmod, memory, 0o600)
print(oct(os.fstat(memory).st_mode))
gone = os.open("gone", os.O_RDWR | os.O_CREAT)
os.unlink("gone")
tried("fchmod of what is gone", os.fchmod, gone, 0o600)
print(oct(os.fstat(gone).st_mode))
