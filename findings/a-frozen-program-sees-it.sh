#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A cgroup is frozen (cgroup.freeze, Linux 5.2) and thawed: "pause" of a
# container manager, systemctl freeze.
#
# Guess: the program cannot notice, except by the clock: unlike SIGSTOP the
# freezer sends it nothing, and /proc shows it as sleeping as before.
# Seen: /proc says "S (sleeping)" and in the call it slept in, waitid(WSTOPPED)
# has nothing. But a program that slept in epoll_wait comes back with EINTR when
# it is thawed, and so does one in recv with SO_RCVTIMEO, sigtimedwait and
# semop. poll and nanosleep go on.
#
# An event loop sees EINTR without having set a single signal handler, which its
# author had ruled out. And a process manager cannot tell a frozen worker by its
# state: it looks idle, waiting for work, and takes no connection; only
# cgroup.events says so.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

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
mkdir -p proc tmp run
chmod 1777 tmp
printf '%s\n' root:x:0:0::/:/bin/sh www-data:x:33:33::/:/bin/sh \
    nobody:x:65534:65534::/:/bin/sh >etc/passwd
printf '%s\n' root:x:0: www-data:x:33: nogroup:x:65534: >etc/group

cat >try.py <<'EOF'
import ctypes
import errno
import os
import select
import signal
import socket
import struct
import sys
import time

CGROUP = "/tmp/cgroup/frozen%d" % time.time_ns()
FAILED = []
LIBC = ctypes.CDLL(None, use_errno=True)
LIMIT = 3000


def wait_for(what, seconds=5):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


def call(name, *args):
    """The name of the error with which a call of the C library ended."""
    done = getattr(LIBC, name)(*args)
    return errno.errorcode[ctypes.get_errno()] if done == -1 else "done"


def by_epoll_wait():
    loop = select.epoll()
    return call("epoll_wait", loop.fileno(), ctypes.create_string_buffer(12),
                1, LIMIT)


def by_poll():
    return call("poll", None, 0, LIMIT)


def by_nanosleep():
    return call("nanosleep", ctypes.byref((ctypes.c_long * 2)(3, 0)),
                None)


def by_recv_with_so_rcvtimeo():
    a, _ = socket.socketpair()
    a.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO,
                 struct.pack("ll", 3, 0))
    return call("recv", a.fileno(), ctypes.create_string_buffer(1), 1, 0)


def by_semop():
    number = LIBC.semget(0, 1, 0o1600)
    minus_one = struct.pack("Hhh", 0, -1, 0)
    seen = call("semtimedop", number, minus_one, 1,
                ctypes.byref((ctypes.c_long * 2)(3, 0)))
    LIBC.semctl(number, 0, 0)
    return seen


def by_sigtimedwait():
    usr1 = struct.pack("Q", 1 << signal.SIGUSR1 - 1) + bytes(120)
    return call("sigtimedwait", usr1, None,
                ctypes.byref((ctypes.c_long * 2)(3, 0)))


def has(path, text):
    with open(path) as f:
        return text in f.read()


def put(name, text):
    with open("%s/%s" % (CGROUP, name), "w") as f:
        f.write(text)


def freeze_once(wait):
    there, here = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(here, wait().encode())
        os._exit(0)
    os.close(here)
    put("cgroup.procs", str(pid))
    syscall = "/proc/%d/syscall" % pid
    asleep = []

    def sleeps():
        with open(syscall) as f:
            asleep.append(f.read())
        return asleep[-2:].count(asleep[-1]) == 2 and "run" not in asleep[-1]

    wait_for(sleeps)
    put("cgroup.freeze", "1")
    frozen = wait_for(lambda: has(CGROUP + "/cgroup.events", "frozen 1"))
    with open(syscall) as f:
        same = f.read().split()[:7] == asleep[-1].split()[:7]
    seen = (frozen, has("/proc/%d/status" % pid, "S (sleeping)"), same,
            os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOHANG))
    put("cgroup.freeze", "0")
    answer = os.read(there, 100).decode()
    os.waitpid(pid, 0)
    os.close(there)
    return seen, answer


print(" ".join(os.uname()))
os.mkdir("/tmp/cgroup")
if LIBC.mount(b"none", b"/tmp/cgroup", b"cgroup2", 0, None):
    sys.exit("no cgroup2 here")
os.mkdir(CGROUP)
try:
    for wait, ends in ((by_epoll_wait, "EINTR"),
                       (by_recv_with_so_rcvtimeo, "EINTR"),
                       (by_semop, "EINTR"), (by_sigtimedwait, "EINTR"),
                       (by_poll, "done"), (by_nanosleep, "done")):
        seen, answer = freeze_once(wait)
        name = wait.__name__[3:]
        check(name + ": frozen, sleeps, same call, waitid",
              (True, True, True, None), seen)
        check(name + " when thawed", ends, answer)
finally:
    put("cgroup.kill", "1")
    wait_for(lambda: has(CGROUP + "/cgroup.events", "populated 0"))
    os.rmdir(CGROUP)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
