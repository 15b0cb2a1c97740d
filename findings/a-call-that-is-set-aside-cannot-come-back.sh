#!/bin/sh
# SPDX-License-Identifier: ISC
#
# PTRACE_SET_SYSCALL_INFO, new in Linux 6.16, changes a call without a word
# about registers, on every architecture. A tracer sets an accept(2) aside: at
# the entry it makes its number or its descriptor -1; at the exit it puts
# ERESTARTSYS in place of the error, and interrupts the task.
#
# Guess: the call comes back as the program has made it, as it does after a
# signal: the kernel keeps the number and, where the answer takes its place, the
# first argument for that.
# Seen: with the number -1 nothing restarts, and the program itself gets error
# 512, which no header names. With the descriptor -1 the call comes back with
# -1, and fails. At the exit this request sets nothing but the answer; who wants
# the call back writes the registers of the architecture, or is there at the
# next entry. So it is with Linux 6.18 on x86-64.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR); x86-64, Linux 6.16.

set -eu

packages='python3=3.11.2-1+b1'

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

# shellcheck disable=SC2086	# one word a package
mmdebstrap --quiet --variant=extract \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --include="$(printf '%s,' $packages)" \
    bookworm "$tmp/root" "${MIRROR:-http://deb.debian.org/debian}"

cd "$tmp/root"
mkdir -p proc tmp
chmod 1777 tmp

cat >try.py <<'EOF'
import ctypes
import os
import platform
import signal
import socket
import struct
import sys

SEIZE, INTERRUPT, SYSCALL, GET, SET = 0x4206, 0x4207, 24, 0x420e, 0x4212
SYSGOOD = 1
ENTRY, EXIT = 1, 2
ACCEPT, EXIT_GROUP = 43, 231
NUMBER, DESCRIPTOR, ANSWER, IS_ERROR = 24, 32, 24, 32   # places in the answer
SIZE = 88
ERESTARTSYS = 512
FAILED = []
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p,
                        ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


def ptrace(what, pid, addr=0, data=0):
    if LIBC.ptrace(what, pid, addr, data) == -1:
        sys.exit("ptrace: " + os.strerror(ctypes.get_errno()))


def program(listener, begin):
    """It ends by a call that tells what accept has said."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        os.read(begin, 1)
        ctypes.set_errno(0)
        LIBC.accept(listener.fileno(), None, None)
        LIBC.syscall(EXIT_GROUP, ctypes.get_errno())
    return pid


def next_call(pid):
    """The next stop at a call: of which kind, and all of it."""
    while True:
        status = os.waitpid(pid, 0)[1]
        if not os.WIFSTOPPED(status):
            sys.exit("it has ended: %#x" % status)
        info = ctypes.create_string_buffer(SIZE)
        ptrace(GET, pid, SIZE, ctypes.addressof(info))
        if info.raw[0] in (ENTRY, EXIT):
            return info.raw[0], info
        ptrace(SYSCALL, pid)


def at(info, place):
    return struct.unpack_from("q", info, place)[0]


def set_aside(place):
    """What the call is when it comes back, or the error the program got."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        begin, go = os.pipe()
        pid = program(listener, begin)
        ptrace(SEIZE, pid, 0, SYSGOOD)
        ptrace(INTERRUPT, pid)
        os.waitpid(pid, 0)
        ptrace(SYSCALL, pid)
        os.write(go, b"x")
        op, info = next_call(pid)
        while (op, at(info, NUMBER)) != (ENTRY, ACCEPT):
            ptrace(SYSCALL, pid)
            op, info = next_call(pid)
        check("the call, as it was made", True,
              at(info, DESCRIPTOR) == listener.fileno())
        struct.pack_into("q", info, place, -1)
        ptrace(SET, pid, SIZE, ctypes.addressof(info))
        ptrace(SYSCALL, pid)
        op, info = next_call(pid)
        struct.pack_into("q", info, ANSWER, -ERESTARTSYS)
        info[IS_ERROR] = b"\1"
        ptrace(SET, pid, SIZE, ctypes.addressof(info))
        ptrace(INTERRUPT, pid)
        ptrace(SYSCALL, pid)
        op, info = next_call(pid)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        if at(info, NUMBER) == ACCEPT:
            return "accept, of %d" % at(info, DESCRIPTOR)
        return "error %d" % at(info, DESCRIPTOR)


if platform.machine() != "x86_64":
    sys.exit("the numbers of the calls are those of x86-64")
check("its number was -1", "error 512", set_aside(NUMBER))
check("its descriptor was -1", "accept, of -1", set_aside(DESCRIPTOR))
print("Linux", platform.release().split("-")[0])
if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
