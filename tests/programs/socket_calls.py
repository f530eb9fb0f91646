"""Socket calls of every kind, a line of results each: the lines must be the same bare and sandboxed."""
import array, ctypes, errno, os, select, signal, socket, struct, threading, time

libc = ctypes.CDLL(None, use_errno=True)
UDP = (socket.AF_INET, socket.SOCK_DGRAM)


def line(name, function):
    try:
        result = function()
    except OSError as error:
        result = errno.errorcode.get(error.errno, str(error))
    print(name + ":", result, flush=True)


def raw(function, *arguments):
    result = function(*arguments)
    return result if result >= 0 else errno.errorcode[ctypes.get_errno()]


def word(number):
    return errno.errorcode.get(number, number)


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(100)
here = listener.getsockname()
receiver = socket.socket(*UDP)
receiver.bind(("127.0.0.1", 0))
there = receiver.getsockname()
family = struct.pack("=H", socket.AF_INET)


def inet(port):
    return family + struct.pack("!H", port) + b"\x7f\0\0\1" + bytes(8)


# Connections.
def without_blocking():
    s = socket.socket()
    s.setblocking(False)
    first = s.connect_ex(here)
    select.select([], [s], [])
    return [word(number) for number in (first, s.connect_ex(here), s.connect_ex(here))]


def ended_and_made_again():
    s = socket.create_connection(here)
    return raw(libc.connect, s.fileno(), bytes(16), 16), s.connect_ex(here)


def mapped():
    s = socket.socket(socket.AF_INET6)
    s.connect(("::ffff:127.0.0.1", here[1]))
    return s.getpeername()[0]


def wildcard_means_here():
    s = socket.socket()
    s.connect(("0.0.0.0", here[1]))
    return s.getpeername() == here


line("connect without blocking", without_blocking)
line("connect when connected", lambda: word(socket.create_connection(here).connect_ex(here)))
line("disconnect, connect", ended_and_made_again)
line("connect mapped", mapped)
line("connect to the wildcard", wildcard_means_here)
line("connect to port 0", lambda: word(socket.socket().connect_ex(("127.0.0.1", 0))))
kept = socket.socket()
for length in (-1, 0, 1, 2, 15, 129):
    line(f"connect with {length} bytes", lambda: raw(libc.connect, kept.fileno(), inet(here[1]) + bytes(200), length))
for number in (1, 10, 99):
    line(f"connect with family {number}", lambda: raw(libc.connect, kept.fileno(), struct.pack("=H", number) + bytes(26), 28))
line("connect from nowhere", lambda: raw(libc.connect, kept.fileno(), ctypes.c_void_p(8), 16))
line("connect no descriptor", lambda: raw(libc.connect, 999, inet(9), 16))
null = open("/dev/null")
for name, call in (("connect", libc.connect), ("bind", libc.bind)):
    line(f"{name} a file", lambda: raw(call, null.fileno(), inet(9), 16))
line("listen on a file", lambda: raw(libc.listen, null.fileno(), 1))


def full_backlog(prepare):
    name = f"full-{time.monotonic_ns()}"
    s = socket.socket(socket.AF_UNIX)
    s.bind(name)
    s.listen(0)
    queued = socket.socket(socket.AF_UNIX)
    queued.connect(name)
    waiting = socket.socket(socket.AF_UNIX)
    prepare(waiting)
    return word(waiting.connect_ex(name))


class Hit(Exception):
    pass


def hit(*_):
    raise Hit


def interrupted():
    signal.signal(signal.SIGALRM, hit)
    try:
        return full_backlog(lambda _: signal.setitimer(signal.ITIMER_REAL, 0.1))
    except Hit:
        return "interrupted"


tenth = struct.pack("ll", 0, 100_000)
line("connect interrupted", interrupted)
line("connect out of time", lambda: full_backlog(lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, tenth)))
line("connect that would block", lambda: full_backlog(lambda s: s.setblocking(False)))


# Listeners.
def listen_unbound():
    s = socket.socket()
    s.listen()
    socket.create_connection(("127.0.0.1", s.getsockname()[1]))
    return s.getsockname()[0], s.accept()[1][0]


def listen_everywhere():
    s = socket.socket(socket.AF_INET6)
    s.bind(("::", 0))
    s.listen()
    socket.create_connection(("127.0.0.1", s.getsockname()[1]))
    return s.accept()[1][0]


line("listen unbound", listen_unbound)
line("listen on the IPv6 wildcard", listen_everywhere)
line("listen again", lambda: listener.listen(50))
line("listen when connected", lambda: socket.create_connection(here).listen())
line("listen for datagrams", lambda: socket.socket(*UDP).listen())
line("bind in use", lambda: socket.socket().bind(here))


# Datagrams.
def echo():
    s = socket.socket(*UDP)
    sent = s.sendto(b"question", there)
    question, sender = receiver.recvfrom(100)
    receiver.sendto(b"answer", sender)
    return sent, question, s.recv(100)


def echo_connected():
    s = socket.socket(*UDP)
    s.connect(there)
    s.send(b"question")
    receiver.sendto(b"answer", receiver.recvfrom(100)[1])
    return s.recvfrom(100) == (b"answer", there), s.getpeername() == there


def echo_for_many():
    server = socket.socket(*UDP)
    server.bind(("127.0.0.1", 0))
    address = server.getsockname()
    thread = threading.Thread(target=lambda: [server.sendto(*server.recvfrom(9)) for _ in range(300)])
    thread.start()
    count = 0
    for _ in range(300):
        s = socket.socket(*UDP)
        s.settimeout(10)
        s.sendto(b"e", address)
        count += len(s.recv(9))
        s.close()
    thread.join()
    return count


def in_parts():
    s = socket.socket(*UDP)
    return s.sendmsg([b"a", b"", b"b" * 10], [], 0, there), receiver.recv(100)


def hops():
    s = socket.socket(*UDP)
    receiver.setsockopt(socket.SOL_IP, 12, 1)
    s.sendmsg([b"t"], [(socket.SOL_IP, socket.IP_TTL, struct.pack("i", 3))], 0, there)
    return receiver.recvmsg(10, 100)[1]


class Part(ctypes.Structure):
    _fields_ = [("start", ctypes.c_char_p), ("length", ctypes.c_size_t)]


class Header(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32), ("parts", ctypes.POINTER(Part)), ("count", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t), ("flags", ctypes.c_int)]


class Message(ctypes.Structure):
    _fields_ = [("header", Header), ("length", ctypes.c_uint32)]


def several():
    s = socket.socket(*UDP)
    address = ctypes.create_string_buffer(inet(there[1]), 16)
    parts = [Part(b"m" * size, size) for size in (1, 2, 3)]
    messages = (Message * 3)()
    for message, part in zip(messages, parts):
        message.header = Header(ctypes.addressof(address), 16, ctypes.pointer(part), 1)
    sent = raw(libc.sendmmsg, s.fileno(), messages, 3, 0)
    return sent, [message.length for message in messages], [receiver.recv(9) for _ in messages]


line("datagram", echo)
line("datagram, connected", echo_connected)
line("datagrams of many sockets", echo_for_many)
line("datagram in parts", in_parts)
line("datagram's hops", hops)
line("datagrams at once", several)
line("datagrams at once, none", lambda: raw(libc.sendmmsg, receiver.fileno(), None, 0, 0))
line("datagram too long", lambda: socket.socket(*UDP).sendto(b"x" * 65508, there))
line("datagram to nobody", lambda: socket.socket(*UDP).sendmsg([b"x"]))
line("datagram to port 0", lambda: socket.socket(*UDP).sendto(b"x", ("127.0.0.1", 0)))
line("datagram, connected to port 0", lambda: socket.socket(*UDP).connect(("127.0.0.1", 0)))
kept = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
line("datagram, IPv4 address on an IPv6 socket", lambda: raw(libc.connect, kept.fileno(), inet(there[1]), 16))
kept = socket.socket(*UDP)
line("datagram, short address", lambda: raw(libc.sendto, kept.fileno(), b"x", 1, 0, family, 2))
line("an address on a stream", lambda: socket.create_connection(here).sendto(b"x", ("127.0.0.1", 9)))


# Unix names.
def named(path, kind=socket.SOCK_STREAM):
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind(path)
    if kind != socket.SOCK_DGRAM:
        s.listen(10)
    return s


def reached(path, kind=socket.SOCK_STREAM):
    s = socket.socket(socket.AF_UNIX, kind)
    s.connect(path)
    return s.getpeername()


def mode(path):
    return oct(os.stat(path).st_mode)


os.mkdir("sub")
plain, crooked, whole = named("a"), named("./sub/../sub/b"), named(os.getcwd() + "/c")
line("name", plain.getsockname)
line("name by a crooked path", lambda: (crooked.getsockname(), mode("sub/b")))
line("name by a whole path", lambda: whole.getsockname() == os.getcwd() + "/c")
os.umask(0o077)
private = named("private")
os.umask(0o022)
line("name under a umask", lambda: mode("private"))
line("name in use", lambda: named("a"))
line("name for one that has one", lambda: plain.bind("z"))
for path in ("missing/x", "x/", ".", "a/x", "y" * 107):
    line(f"name {path[:9]}", lambda: len(named(path).getsockname()))
open("file", "w").close()
os.symlink("sub/b", "link")
for path in ("a", "link", "missing", "file"):
    line(f"reach {path}", lambda: reached(path))
line("reach a stream as datagrams", lambda: reached("a", socket.SOCK_DGRAM))
plain.close()
line("reach a closed one", lambda: reached("a"))


def by_name():
    one, two = named("one", socket.SOCK_DGRAM), named("two", socket.SOCK_DGRAM)
    sent = one.sendto(b"question", "two")
    question, sender = two.recvfrom(100)
    two.sendto(b"answer", sender)
    return sent, question, sender, one.recv(100)


def abstract():
    name = b"\0one\0two%d" % os.getpid()
    s = named(name)
    try:
        reached(name[:4])
    except OSError as error:
        return reached(name) == name, word(error.errno)


line("datagrams by name", by_name)
line("datagram to no name", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", "missing"))
line("abstract name", abstract)
kept = socket.socket(socket.AF_UNIX)
line("a name of the kernel's choice", lambda: (raw(libc.bind, kept.fileno(), struct.pack("=H", socket.AF_UNIX), 2), len(kept.getsockname())))
line("a name on a stream", lambda: socket.socketpair()[0].sendto(b"x", "missing"))
line("a name on an unconnected stream", lambda: socket.socket(socket.AF_UNIX).sendto(b"x", "missing"))


# Messages between a pair: as one thread, and with another that could interfere.
def descriptor(kind):
    one, two = socket.socketpair(socket.AF_UNIX, kind)
    read, write = os.pipe()
    one.sendmsg([b"F"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [write]))])
    data, control, flags, _ = two.recvmsg(9, 100)
    os.write(array.array("i", control[0][2])[0], b"through it")
    return data, flags, os.read(read, 99)


def no_descriptor():
    one, _two = socket.socketpair()
    return one.sendmsg([b"F"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [777]))])


def much():
    one, two = socket.socketpair()
    got = []
    thread = threading.Thread(target=lambda: got.append(sum(map(len, iter(lambda: two.recv(1 << 16), b"")))))
    thread.start()
    sent = one.sendmsg([b"z" * 3_000_000, b"y" * 2_000_000])
    one.close()
    thread.join()
    return sent, got


def as_much_as_fits():
    one, _two = socket.socketpair()
    one.setblocking(False)
    sent = one.sendmsg([b"z" * 10_000_000])
    return 1000 < sent < 9_000_000, one.sendmsg([b"z"])


def to_a_closed_one(kind, flags=0):
    one, two = socket.socketpair(socket.AF_UNIX, kind)
    two.close()
    return one.sendmsg([b"x"], [], flags)


def many():
    one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    thread = threading.Thread(target=lambda: [two.recv(99) for _ in range(2000)])
    thread.start()
    sent = sum(one.sendmsg([b"d" * 9]) for _ in range(2000))
    thread.join()
    return sent


def much_interrupted():
    one, _two = socket.socketpair()
    signal.signal(signal.SIGALRM, hit)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        return one.sendmsg([b"k" * 5_000_000]) > 0
    except Hit:
        return "interrupted"


def messages(how):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
        line(f"{how}: a descriptor, {kind}", lambda: descriptor(kind))
        line(f"{how}: to a closed one, {kind}", lambda: to_a_closed_one(kind))
    line(f"{how}: to a closed one, no signal", lambda: to_a_closed_one(socket.SOCK_STREAM, socket.MSG_NOSIGNAL))
    line(f"{how}: no such descriptor", no_descriptor)
    line(f"{how}: much", much)
    line(f"{how}: as much as fits", as_much_as_fits)
    line(f"{how}: many", many)
    line(f"{how}: much, interrupted", much_interrupted)


def credentials():
    one, two = socket.socketpair()
    two.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    mine = struct.pack("iII", os.getpid(), os.getuid(), os.getgid())
    one.sendmsg([b"c"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, mine)])
    return two.recvmsg(9, 100)[1][0][2] == mine


signal.signal(signal.SIGPIPE, lambda *_: print("SIGPIPE", flush=True))
line("credentials", credentials)
messages("alone")
end = threading.Event()
companion = threading.Thread(target=end.wait)
companion.start()
messages("in company")


# Routing information, watches, objects, other processes.
def routing():
    s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    s.bind((0, 0))
    s.sendto(struct.pack("IHHIIB", 17, 18, 0x301, 1, 0, 0) + bytes(3), (0, 0))
    return len(s.recv(1 << 16)) > 20


def watches():
    watcher = libc.inotify_init1(0)
    first = raw(libc.inotify_add_watch, watcher, b".", 0x100)
    open("created", "w").close()
    only_directory = 0x01000000
    return (first, len(os.read(watcher, 999)), raw(libc.inotify_add_watch, watcher, b"missing", 0x100),
            raw(libc.inotify_add_watch, watcher, b"file", 0x100 | only_directory),
            raw(libc.inotify_add_watch, null.fileno(), b".", 0x100), raw(libc.inotify_add_watch, watcher, b".", 0))


def memory():
    segment = libc.shmget(0, 4096, 0o600)
    libc.shmat.restype = ctypes.c_void_p
    start = libc.shmat(segment, None, 0)
    ctypes.memmove(start, b"kept", 5)
    return ctypes.string_at(start), raw(libc.shmctl, segment, 0, None), raw(libc.shmget, 0x7a5c, 10, 0)


def semaphores():
    get_value, set_value, remove = 12, 16, 0
    found = libc.semget(0, 1, 0o600)
    take_two = struct.pack("Hhh", 0, -2, 0)
    return (raw(libc.semctl, found, 0, set_value, 5), raw(libc.semop, found, take_two, 1),
            raw(libc.semctl, found, 0, get_value), raw(libc.semctl, found, 0, remove))


line("routing", routing)
line("watches", watches)
line("shared memory", memory)
line("semaphores", semaphores)
line("own priority", lambda: os.setpriority(os.PRIO_PROCESS, os.getpid(), os.getpriority(os.PRIO_PROCESS, 0)))
line("a thread's processors", lambda: os.sched_setaffinity(companion.native_id, os.sched_getaffinity(0)))
end.set()
