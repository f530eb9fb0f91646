"""knock_from_outside.py COMMAND…: in a network namespace of its own, runs `receivers.py` by COMMAND and
knocks at its ports from another namespace, a cable away."""
import os, subprocess, sys

KNOCK = """
import socket, sys
bound, unbound, service, client = map(int, sys.stdin.readline().split())
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in (service, client):
    datagrams.sendto(b'knock', ('10.99.0.1', port))
for name, port in (('bound', bound), ('unbound', unbound)):
    stream = socket.socket()
    stream.settimeout(10)
    print(name, 'refuses' if stream.connect_ex(('10.99.0.1', port)) else 'opens', flush=True)
"""


def ip(*words):
    subprocess.run(["ip", *words], check=True)


outside = subprocess.Popen(["unshare", "-n", "sh", "-c", 'read _; ip address add 10.99.0.2/24 dev far && ip link set far up && echo up && exec python3 -c "$0"', KNOCK],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
# Until unshare has made the namespace, its process is in ours.
while os.readlink(f"/proc/{outside.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
    os.sched_yield()
ip("link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(outside.pid))
ip("link", "set", "lo", "up")
ip("address", "add", "10.99.0.1/24", "dev", "near")
ip("link", "set", "near", "up")
print(file=outside.stdin)
outside.stdout.readline()
inside = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
outside.stdin.write(inside.stdout.readline())
outside.stdin.close()
print(outside.stdout.read(), end="")
print(file=inside.stdin)
print(inside.stdout.read(), end="")
sys.exit(inside.wait())
