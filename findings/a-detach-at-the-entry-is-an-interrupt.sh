#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A tracer that follows the calls of a task by PTRACE_SYSCALL detaches from it
# while it is stopped at the entry of a call that is going to wait.
#
# Guess: the call goes on as if there had been no tracer; ptrace(2) says of
# PTRACE_DETACH that the task is restarted as by PTRACE_CONT.
# Seen: the call is interrupted, although no signal comes. epoll_wait, and recv
# on a socket with a time limit, fail at once with EINTR; poll goes on as
# restart_syscall(2), a call that no filter of the task may know; only of a read
# nobody sees anything. By PTRACE_CONT at the same place all four wait. So it is
# with Linux 6.18.
#
# Whoever stops following a program that does not expect EINTR lets it go on to
# the exit of that call first, and detaches there.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR); x86-64.

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
import errno
import os
import platform
import signal
import socket
import struct
import sys
import time

SEIZE, INTERRUPT, SYSCALL, INFO, DETACH, CONT = 0x4206, 0x4207, 24, \
    0x420e, 17, 7
SYSGOOD = 1
ENTRY, EXIT = 1, 2
RESTART = 219
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


def ptrace(what, pid, data=0):
    if LIBC.ptrace(what, pid, None, data) == -1:
        sys.exit("ptrace: " + os.strerror(ctypes.get_errno()))


def epoll_wait():
    loop = LIBC.epoll_create1(0)
    return LIBC.epoll_wait(loop, ctypes.create_string_buffer(12), 1, 100)


def poll():
    return LIBC.poll(None, 0, 100)


def recv():
    """With a time limit."""
    a, b = socket.socketpair()
    a.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO,
                 struct.pack("qq", 0, 100000))
    done = LIBC.recv(a.fileno(), ctypes.create_string_buffer(1), 1, 0)
    return 0 if ctypes.get_errno() == errno.EAGAIN else done


def read():
    """Of a pipe in which something comes; its writer ends later."""
    r, w = os.pipe()
    if os.fork() == 0:
        time.sleep(0.1)
        os.write(w, b"x")
        time.sleep(20)
        os._exit(0)
    return LIBC.read(r, ctypes.create_string_buffer(1), 1) - 1


# On x86-64.
CALLS = {epoll_wait: 232, poll: 7, recv: 45, read: 0}


def worker(wait, begin):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        os.readv(begin, [bytearray(1)])
        ctypes.set_errno(0)
        done = wait()
        os._exit(ctypes.get_errno() if done == -1 else 0)
    return pid


def stop(pid, seconds=10):
    """Of a call, an op of that; else how it ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got, status = os.waitpid(pid, os.WNOHANG)
        if got == pid and os.WIFSTOPPED(status):
            info = ctypes.create_string_buffer(88)
            LIBC.ptrace(INFO, pid, ctypes.c_void_p(88),
                        ctypes.addressof(info))
            op, = struct.unpack_from("B", info, 0)
            return op, struct.unpack_from("q", info, 24)[0]
        if got == pid:
            return "exit %d" % os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    sys.exit("no stop")


def goes_on_as(pid, number, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with open("/proc/%d/syscall" % pid) as f:
                if f.read().split()[0] == str(number):
                    return True
        except OSError:
            return False
        time.sleep(0.001)
    return False


def at_entry(wait, what):
    """Lets a worker go at the entry of that call."""
    begin, go = os.pipe()
    pid = worker(wait, begin)
    ptrace(SEIZE, pid, SYSGOOD)
    ptrace(INTERRUPT, pid)
    stop(pid)
    ptrace(SYSCALL, pid)
    os.write(go, b"x")
    while stop(pid) != (ENTRY, CALLS[wait]):
        ptrace(SYSCALL, pid)
    ptrace(what, pid)
    return pid


if platform.machine() != "x86_64":
    sys.exit("the number of restart_syscall is that of x86-64")
for wait in CALLS:
    check(wait.__name__ + ", PTRACE_CONT", "exit 0", stop(at_entry(wait, CONT)))
check("epoll_wait, PTRACE_DETACH: EINTR", "exit 4",
      stop(at_entry(epoll_wait, DETACH)))
check("recv, PTRACE_DETACH: EINTR", "exit 4", stop(at_entry(recv, DETACH)))
check("read, PTRACE_DETACH", "exit 0", stop(at_entry(read, DETACH)))
pid = at_entry(poll, DETACH)
check("poll, PTRACE_DETACH, is restart_syscall", True,
      goes_on_as(pid, RESTART))
check("how it ends", "exit 0", stop(pid))
print("Linux", platform.release().split("-")[0])
if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
