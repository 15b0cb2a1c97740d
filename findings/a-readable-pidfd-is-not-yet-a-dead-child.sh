#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A worker exits while a tracer, a debugger for instance, is attached to it and
# busy with something else. Its parent waits for the pidfd to become readable,
# and then calls waitid(WNOHANG).
#
# Guess: a readable pidfd means that the child can be reaped: pidfd_open(2) has
# it as "becomes readable when its process terminates".
# Seen: the pidfd is readable, /proc shows a zombie, and waitid has nothing, no
# SIGCHLD has come and the exit status cannot be had; not before the tracer has
# reaped it first or has gone. Then all is as usual.
#
# A loop that is level-triggered on the pidfd and finds nothing to reap comes
# back at once, and uses a core for as long as the tracer is busy. A process
# manager has to take the pidfd out of its loop then, and go by SIGCHLD, which
# does come later.
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
import os
import select
import signal
import sys
import time

FAILED = []
SEIZE = 0x4206


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


def readable(fd):
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def state(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rpartition(") ")[2][0]


def status(pid, options=os.WNOHANG):
    seen = os.waitid(os.P_PID, pid, os.WEXITED | options)
    return seen and seen.si_status


def sigchld_of():
    """The processes that SIGCHLD has told us of."""
    seen = []
    while signal.sigpending():
        seen.append(signal.sigwaitinfo({signal.SIGCHLD}).si_pid)
    return seen


def trace(pid):
    """A tracer that never waits: it is told to go by a byte."""
    there, here = os.pipe()
    stop, go = os.pipe()
    tracer = os.fork()
    if tracer == 0:
        libc = ctypes.CDLL(None)
        os.write(here, b"%d" % libc.ptrace(SEIZE, pid, None, None))
        os.read(stop, 1)
        os._exit(0)
    if os.read(there, 9) != b"0":
        sys.exit("may not trace")
    return tracer, go


print(" ".join(os.uname()))
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
for traced in False, True:
    stop, go = os.pipe()
    worker = os.fork()
    if worker == 0:
        os.read(stop, 1)
        os._exit(3)
    pidfd = os.pidfd_open(worker)
    if traced:
        tracer, tracer_go = trace(worker)
    os.write(go, b"x")
    name = "traced" if traced else "not traced"
    check(name + ", the pidfd becomes readable", True,
          wait_for(lambda: readable(pidfd)))
    check("  state", "Z", state(worker))
    if traced:
        wait_for(sigchld_of, 1)
        check("  waitid, SIGCHLD", (None, []), (status(worker), sigchld_of()))
        check("  readable a hundred times more", True,
              all(readable(pidfd) for _ in range(100)))
        os.write(tracer_go, b"x")
        os.waitid(os.P_PID, tracer, os.WEXITED)
        wait_for(lambda: os.waitid(os.P_PID, worker, os.WEXITED | os.WNOHANG |
                                   os.WNOWAIT))
        check("  tracer gone, SIGCHLD", True, worker in sigchld_of())
    else:
        check("  SIGCHLD", [worker], sigchld_of())
    check("  exit status", 3, status(worker))
    os.close(pidfd)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
