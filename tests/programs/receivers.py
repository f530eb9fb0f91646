"""Receives on the wildcard address in several ways; says where, waits for a line, says what it heard."""
import socket, sys

bound, unbound = socket.socket(), socket.socket(socket.AF_INET6)
bound.bind(("0.0.0.0", 0))
bound.listen()
unbound.listen()
service, client = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
service.bind(("0.0.0.0", 19998))
client.bind(("0.0.0.0", 0))
print(*(s.getsockname()[1] for s in (bound, unbound, service, client)), flush=True)
sys.stdin.readline()
for name, s in (("service", service), ("client", client)):
    try:
        print(name, "heard", s.recv(9, socket.MSG_DONTWAIT).decode(), flush=True)
    except BlockingIOError:
        print(name, "heard nothing", flush=True)
