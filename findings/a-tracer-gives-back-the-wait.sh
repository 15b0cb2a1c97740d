#!/bin/sh
# SPDX-License-Identifier: ISC
#
# PTRACE_INTERRUPT (and so strace -p) ends epoll_wait in the traced program: it
# comes back with EINTR, although no signal was there.
#
# Guess: so it is, as ptrace(2) says; a tracer cannot make it undone, short of
# running the system call anew by moving the instruction pointer back.
# Seen: at the stop the result in rax is -EINTR (-4), and the kernel looks at
# rax once more when the tracer has let go. A tracer that puts -514 there
# (ERESTARTNOHAND, a number that no program ever sees) makes the kernel itself
# call epoll_wait again; orig_rax and rip are left alone. The program notices
# nothing, but that the time limit begins anew. So it is with recv under
# SO_RCVTIMEO and with semtimedop. x86-64.
#
# A tracer of workers can stop an event loop without disturbing it, where the
# manual only regrets the EINTR. -512, -513, -514 and -516 in a result register
# are orders to the kernel and no values.
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
import socket
import struct
import sys
import time

FAILED = []
LIMIT = 1.5


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


SEIZE, INTERRUPT, DETACH, GETREGS, SETREGS = 0x4206, 0x4207, 17, 12, 13

RAX, ORIG_RAX = 10, 15

ERESTARTNOHAND = 514

LIBC = ctypes.CDLL(None, use_errno=True)


def call(name, *args):
    """How a call of the C library ended, and after how much of LIMIT."""
    begun = time.monotonic()
    done = getattr(LIBC, name)(*args)
    return ("%s: %d" % (name, done) if done >= 0 else name + ": " +
            errno.errorcode[ctypes.get_errno()], time.monotonic() - begun)


def by_epoll_wait():
    loop = select.epoll()
    return call("epoll_wait", loop.fileno(), ctypes.create_string_buffer(12),
                1, int(LIMIT * 1000))


def by_recv():
    a, b = socket.socketpair()
    a.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO,
                 struct.pack("ll", 1, int((LIMIT - 1) * 1000000)))
    return call("recv", a.fileno(), ctypes.create_string_buffer(1), 1, 0)


def by_semtimedop():
    number = LIBC.semget(0, 1, 0o1600)
    seen = call("semtimedop", number, struct.pack("Hhh", 0, -1, 0), 1,
                ctypes.byref((ctypes.c_long * 2)(
                    1, int((LIMIT - 1) * 1000000000))))
    LIBC.semctl(number, 0, 0)
    return seen


def ptrace(request, pid, data=None):
    if LIBC.ptrace(request, pid, None, data) < 0:
        sys.exit("ptrace: " + os.strerror(ctypes.get_errno()))


def sleeps(pid):
    """Is the process in one of the three calls?"""
    with open("/proc/%d/syscall" % pid) as f:
        return f.read().split()[0] in ("232", "45", "220")


def disturb(wait, give_back):
    there, here = os.pipe()
    pid = os.fork()
    if pid == 0:
        how, after = wait()
        os.write(here, b"%s, %s" % (how.encode(),
                                    b"late" if after > LIMIT + 0.2 else
                                    b"in time"))
        os._exit(0)
    wait_for(lambda: sleeps(pid))
    time.sleep(0.4)
    ptrace(SEIZE, pid)
    ptrace(INTERRUPT, pid)
    os.waitpid(pid, 0x40000000)
    regs = (ctypes.c_long * 27)()
    ptrace(GETREGS, pid, regs)
    result = regs[RAX]
    if give_back:
        regs[RAX] = -ERESTARTNOHAND
        ptrace(SETREGS, pid, regs)
    ptrace(DETACH, pid)
    os.waitpid(pid, 0)
    return result, os.read(there, 100).decode()


print(" ".join(os.uname()))
if os.uname().machine != "x86_64":
    sys.exit("the registers are those of x86-64")
for wait, end in ((by_epoll_wait, "epoll_wait: 0"), (by_recv, "recv: EAGAIN"),
                  (by_semtimedop, "semtimedop: EAGAIN")):
    name = wait.__name__[3:]
    check("let go", (-errno.EINTR, name + ": EINTR, in time"),
          disturb(wait, False))
    check("given back", (-errno.EINTR, end + ", late"), disturb(wait, True))

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
