"""Runs a program where some system calls return EPERM, as in a container with a filter of its own.

refusing.py NUMBER,NUMBER,… PROGRAM [ARGUMENT…]
"""
import ctypes
import os
import struct
import sys

LOAD_NUMBER, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, EPERM = 0x7FFF0000, 0x00050001
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2

numbers = [int(number) for number in sys.argv[1].split(",")]
rows = [(LOAD_NUMBER, 0, 0, 0)]
rows += [(JUMP_IF_EQUAL, len(numbers) - index, 0, number) for index, number in enumerate(numbers)]
rows += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, EPERM)]
program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in rows))
header = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(rows), ctypes.addressof(program)))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, FILTER, header, 0, 0):
    sys.exit(f"install the filter: {os.strerror(ctypes.get_errno())}")
os.execvp(sys.argv[2], sys.argv[2:])
