#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A process manager sends SIGKILL to a worker that is traced with
# PTRACE_O_TRACEEXIT, and the tracer does not answer for a moment.
#
# Guess: nothing holds up SIGKILL, a ptrace stop least of all: the process is
# gone, and its descriptors with it.
# Seen: it stops once more on its way out, in the state "tracing stop", for as
# long as the tracer pleases. No SIGCHLD, no readable pidfd, and another SIGKILL
# changes nothing. All its descriptors are still open: a connection that it had
# accepted stays open for the client, and one to a listener that only it holds
# is taken into the queue. When the tracer goes it ends, by the SIGKILL.
#
# After a kill a process manager must not go on as if the process were gone:
# bind to the same address fails, the client still waits for an answer, and the
# slot is not free. Only the exit that wait or the pidfd tells is an end.
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
import socket
import sys
import time

FAILED = []


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


SEIZE, TRACEEXIT = 0x4206, 0x40


def readable(fd):
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def state(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rpartition(") ")[2][0]


def trace(pid, options):
    """A tracer that never waits: it is told to go by a byte."""
    there, here = os.pipe()
    stop, go = os.pipe()
    tracer = os.fork()
    if tracer == 0:
        libc = ctypes.CDLL(None)
        os.write(here, b"%d" % libc.ptrace(SEIZE, pid, None,
                                           ctypes.c_void_p(options)))
        os.read(stop, 1)
        os._exit(0)
    if os.read(there, 9) != b"0":
        sys.exit("may not trace")
    return tracer, go


def connect():
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect("/tmp/socket")
    except ConnectionRefusedError:
        return None
    sock.setblocking(False)
    return sock


def ended(sock):
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


print(" ".join(os.uname()))
for options in 0, TRACEEXIT:
    ready = os.pipe()
    worker = os.fork()
    if worker == 0:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("/tmp/socket")
        listener.listen(16)
        os.write(ready[1], b"x")
        connection = listener.accept()[0]
        os.write(ready[1], b"x")
        signal.pause()
    pidfd = os.pidfd_open(worker)
    os.read(ready[0], 1)
    client = connect()
    os.read(ready[0], 1)
    tracer, go = trace(worker, options)
    os.kill(worker, signal.SIGKILL)
    name = "TRACEEXIT" if options else "traced without it"
    late = options == TRACEEXIT
    wait_for(lambda: state(worker) in "tZ")
    os.kill(worker, signal.SIGKILL)
    check(name + ", the pidfd becomes readable", not late,
          wait_for(lambda: readable(pidfd), 1))
    check("  state", "t" if late else "Z", state(worker))
    check("  its connection has ended", not late, ended(client))
    check("  its listener takes another", late, connect() is not None)
    os.write(go, b"x")
    os.waitid(os.P_PID, tracer, os.WEXITED)
    seen = os.waitid(os.P_PID, worker, os.WEXITED)
    check("  tracer gone, ended by signal", (os.CLD_KILLED, signal.SIGKILL),
          (seen.si_code, seen.si_status))
    check("  its connection has ended", True, ended(client))
    os.unlink("/tmp/socket")

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
