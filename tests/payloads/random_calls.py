# Random file calls in the working directory, with what each answers. The same seed makes the same
# calls, so that a bare and a sandboxed run can be compared line by line.
import ctypes, errno, fcntl, os, random, stat, struct, sys

seed, count = int(sys.argv[1]), int(sys.argv[2])
chance = random.Random(seed)
libc = ctypes.CDLL(None, use_errno=True)
# A path leads two steps up at most and a link none, so that nothing above this is ever reached.
os.makedirs("1/2/3")
os.chdir("1/2/3")
HERE = os.getcwd()
AT_CWD = -100
NAMES = ["a", "b", "c", "d", "e", ".", "..", "", "a", "b"]
FLAGS = [
    os.O_CREAT, os.O_EXCL, os.O_TRUNC, os.O_APPEND, os.O_DIRECTORY, os.O_NOFOLLOW, os.O_CLOEXEC,
    os.O_PATH, os.O_TMPFILE, os.O_SYNC, os.O_NOATIME,
]
KINDS = (
    ["open"] * 8 + ["openat2"] * 4 + ["rename"] * 3
    + ["mkdir", "renameat2", "link", "symlink", "unlink"] * 2
    + ["rmdir", "unlinkat", "chmod", "truncate", "mknod", "utimensat", "directory", "chdir", "umask"]
)
NUMBERS = {
    "open": 257, "openat2": 437, "mkdir": 258, "rename": 264, "renameat2": 316, "link": 265, "symlink": 266,
    "unlink": 87, "rmdir": 84, "unlinkat": 263, "chmod": 452, "truncate": 76, "mknod": 259, "utimensat": 280,
}
directories = [AT_CWD]


def system(number, *arguments):
    words = [ctypes.c_long(word) if isinstance(word, int) else word for word in arguments]
    for _ in range(1000):
        ctypes.set_errno(0)
        result = libc.syscall(ctypes.c_long(number), *words)
        # A scoped openat2 over ".." says EAGAIN when anything on the machine was renamed or mounted meanwhile.
        if result >= 0 or number != NUMBERS["openat2"] or ctypes.get_errno() != errno.EAGAIN:
            break
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]


def spelled():
    words = [chance.choice(NAMES) for _ in range(chance.randint(1, 4))]
    if words.count("..") > 2:
        words = [word.replace("..", ".") for word in words]
    text = "/".join(words).lstrip("/") or "a"
    if chance.random() < 0.15:
        text += "/"
    prefix = chance.choices(["", HERE + "/", "/proc/self/cwd/", "/dev/fd/"], [85, 10, 3, 2])[0]
    return (prefix + (text.replace("..", ".") if prefix == "/dev/fd/" else text)).encode()


def flags():
    word = chance.choice([0, 0, 1, 2, 2, 3])
    for _ in range(chance.randint(0, 3)):
        word |= chance.choice(FLAGS)
    return word if word & os.O_PATH else word | os.O_NONBLOCK


def arguments_of(kind):
    path, other = spelled(), spelled()
    at, to = chance.choice(directories), chance.choice(directories)
    pick = chance.choice
    if kind == "open":
        return at, path, flags(), pick([0o644, 0o600, 0o755, 0, 0o444])
    if kind == "openat2":
        word = flags()
        mode = 0o640 if word & os.O_CREAT else pick([0, 0o644])
        return at, path, struct.pack("QQQ", word, mode, pick([0, 1, 2, 4, 8, 16, 12, 5, 0x40])), 24
    if kind in ("rename", "renameat2", "link"):
        extra = {"rename": (), "renameat2": (pick([1, 2, 0, 3, 8]),), "link": (pick([0, 0x400, 0x1000, 1]),)}
        return at, path, to, other, *extra[kind]
    return {
        "mkdir": (at, path, pick([0o755, 0o700, 0o1777])),
        "symlink": (other.replace(b"..", b"."), at, path),
        "unlink": (path,),
        "rmdir": (path,),
        "unlinkat": (at, path, pick([0, 0x200, 1])),
        "chmod": (at, path, pick([0o644, 0o755, 0o600, 0o500, 0o4755]), pick([0, 0x100])),
        "truncate": (path, pick([0, 5, -1])),
        "mknod": (at, path, pick([0o100644, 0o10644, 0o140644, 0o644, 0o40755]), 0),
        "utimensat": (at, path, struct.pack("qqqq", 1, 2, 3, 4), pick([0, 0x100, 0x1000])),
    }[kind]


def looks(stat_result):
    size = 0 if stat.S_ISDIR(stat_result.st_mode) else stat_result.st_size
    return oct(stat_result.st_mode), size, stat_result.st_nlink


def used(descriptor):
    seen = looks(os.fstat(descriptor)), oct(fcntl.fcntl(descriptor, fcntl.F_GETFL) & ~os.O_NOFOLLOW)
    on_exec = fcntl.fcntl(descriptor, fcntl.F_GETFD)
    try:
        written = os.write(descriptor, b"hello"[: chance.randint(1, 5)])
    except OSError as error:
        written = errno.errorcode[error.errno]
    os.close(descriptor)
    return seen, on_exec, written


def is_below(path):
    return (os.fsdecode(os.path.realpath(path)) + "/").startswith(HERE + "/")


def enter(path):
    try:
        if not is_below(path):
            return "outside"
        os.chdir(path)
        if chance.random() < 0.5:
            os.fchdir(top)
        return "in"
    except OSError as error:
        return errno.errorcode[error.errno]


def hold(path):
    result = system(NUMBERS["open"], AT_CWD, path, os.O_RDONLY | os.O_DIRECTORY | chance.choice([0, os.O_PATH]), 0)
    if isinstance(result, str):
        return result
    if is_below(f"/proc/self/fd/{result}"):
        directories.append(result)
    else:
        os.close(result)
    if len(directories) > 6:
        os.close(directories.pop(1))
    return "held"


def tree():
    for parent, names, others in os.walk(HERE):
        names.sort()
        for name in sorted(names + others):
            path = os.path.join(parent, name)
            try:
                print("   ", path.replace(HERE, "HERE"), looks(os.lstat(path)))
            except OSError as error:
                print("   ", path.replace(HERE, "HERE"), errno.errorcode[error.errno])


os.umask(chance.choice([0o22, 0, 0o77, 0o27]))
top = os.open(".", os.O_RDONLY)
for step in range(count):
    kind = chance.choice(KINDS)
    if kind == "chdir":
        arguments = (spelled(),)
        result = enter(arguments[0])
    elif kind == "directory":
        arguments = (spelled(),)
        result = hold(arguments[0])
    elif kind == "umask":
        arguments = (chance.choice([0o22, 0, 0o77]),)
        result = os.umask(*arguments)
    else:
        arguments = arguments_of(kind)
        result = system(NUMBERS[kind], *arguments)
        if kind.startswith("open") and isinstance(result, int):
            result = used(result)
    print(step, kind, str(arguments).replace(HERE, "HERE"), result)
    if step % 50 == 49:
        tree()
