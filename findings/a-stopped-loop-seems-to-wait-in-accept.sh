#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A process calls accept(2) of a non-blocking socket again and again, each call
# fails at once, and it is stopped by SIGSTOP. /proc/PID/syscall names the call
# that a process is in.
#
# Guess: -1, as of one that is blocked but in no call: no call of it lasts, and
# a stop takes effect when it is over.
# Seen: in 7 to 200 of 200 stops the number of accept4 with its arguments, as
# of another process that waits for a client; it is -1 only where the stop met
# the program between two calls. On the way back from a call, where it stops
# otherwise, the number of that call still stands.
#
# Who tells by that file which workers wait for clients takes an event loop that
# is stopped, also by a tracer, for a worker that blocks in accept. Only the
# state in /proc/PID/stat, S instead of T or t, says that it waits there.
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
mkdir -p proc tmp

cat >try.py <<'EOF'
import os
import signal
import socket
import sys
import time

ROUNDS = 200
ACCEPT4 = {"x86_64": "288", "aarch64": "242"}[os.uname().machine]


def listener(blocks):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind("\0%d %s" % (os.getpid(), blocks))
    sock.listen(5)
    sock.setblocking(blocks)
    return sock


def start(sock):
    pid = os.fork()
    while pid == 0:
        try:
            sock.accept()
        except BlockingIOError:
            pass
    return pid


def text(pid, name):
    with open("/proc/%d/%s" % (pid, name)) as f:
        return f.read()


def state(pid):
    return text(pid, "stat").rpartition(")")[2].split()[0]


print(" ".join(os.uname()))
loop, waits = start(listener(False)), start(listener(True))
end = time.monotonic() + 10
while text(waits, "syscall").split()[0] != ACCEPT4 and time.monotonic() < end:
    time.sleep(0.01)
print("one that waits: call", text(waits, "syscall").split()[0], "state",
      state(waits))
same, states = 0, set()
for _ in range(ROUNDS):
    os.kill(loop, signal.SIGSTOP)
    os.waitpid(loop, os.WUNTRACED)
    same += text(loop, "syscall").split()[0] == ACCEPT4
    states.add(state(loop))
    os.kill(loop, signal.SIGCONT)
    os.waitpid(loop, os.WCONTINUED)
print("one that never waits: in", same, "of", ROUNDS, "stops the same call,",
      "states", states)
good = same > 0 and states == {"T"} and state(waits) == "S"
for pid in loop, waits:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
if not good:
    sys.exit("changed")
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
