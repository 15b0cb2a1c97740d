#!/bin/sh
# SPDX-License-Identifier: ISC
#
# PTRACE_INTERRUPT of a task that sleeps in a system call, while its calls are
# followed by PTRACE_SYSCALL.
#
# Guess: two stops, that of the exit of the call that was cut short and then
# the PTRACE_EVENT_STOP that was asked for, as for a task whose calls are not
# followed.
# Seen: only the first. In it the task shows the kernel's own -516 for poll and
# -4 for epoll_wait, and after it there is no other stop: poll goes on as
# restart_syscall(2), a call that no filter of the task may know, and epoll_wait
# returns EINTR to a program that no signal was sent to. Not followed, the same
# task has its PTRACE_EVENT_STOP.
#
# A tracer that mends what its interruption does to a call in that stop mends
# nothing once it follows calls: it has to do so at their exit, too, and to ask
# once more for the stop.
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
chmod 1777 tmp

cat >try.py <<'EOF'
import ctypes
import os
import platform
import signal
import struct
import sys
import time

SEIZE, INTERRUPT, SYSCALL, INFO, CONT = 0x4206, 0x4207, 24, 0x420e, 7
SYSGOOD = 1
EVENT_STOP, CALL_STOP = "event stop", "stop of a call"
POLL, EPOLL_WAIT, RESTART = 7, 232, 219
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


def by_poll():
    LIBC.poll(None, 0, -1)


def by_epoll_wait():
    loop = LIBC.epoll_create1(0)
    done = LIBC.epoll_wait(loop, ctypes.create_string_buffer(12), 1, -1)
    os._exit(4 if done == -1 and ctypes.get_errno() == 4 else 0)


def sleeper(work):
    pid = os.fork()
    if pid == 0:
        signal.alarm(60)
        work()
        os._exit(0)
    return pid


def sleeps_in(pid, number, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with open("/proc/%d/syscall" % pid) as f:
            if f.read().split()[0] == str(number):
                return True
        time.sleep(0.01)
    return False


def stop(pid, seconds=10):
    """What it stops for, or how it ended, or None."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        got, status = os.waitpid(pid, os.WNOHANG)
        if got == pid and os.WIFSTOPPED(status):
            return EVENT_STOP if status >> 16 == 128 else CALL_STOP \
                if os.WSTOPSIG(status) & 0x80 else "signal"
        if got == pid:
            return "exit %d" % os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


def result(pid):
    """Of the call at whose exit it has stopped."""
    info = ctypes.create_string_buffer(88)
    LIBC.ptrace(INFO, pid, ctypes.c_void_p(88), ctypes.addressof(info))
    op, = struct.unpack_from("B", info, 0)
    return struct.unpack_from("q", info, 24)[0] if op == 2 else None


def end(pid):
    os.kill(pid, signal.SIGKILL)
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass


pid = sleeper(by_poll)
sleeps_in(pid, POLL)
ptrace(SEIZE, pid, SYSGOOD)
ptrace(INTERRUPT, pid)
check("poll, not followed", EVENT_STOP, stop(pid))
ptrace(SYSCALL, pid)
check("it goes on", CALL_STOP, stop(pid))
ptrace(SYSCALL, pid)
sleeps_in(pid, RESTART)
ptrace(INTERRUPT, pid)
check("followed", CALL_STOP, stop(pid))
check("its result", -516, result(pid))
ptrace(CONT, pid)
check("another stop", None, stop(pid, 1))
check("it sleeps in restart_syscall", True, sleeps_in(pid, RESTART))
end(pid)

pid = sleeper(by_epoll_wait)
sleeps_in(pid, EPOLL_WAIT)
ptrace(SEIZE, pid, SYSGOOD)
ptrace(INTERRUPT, pid)
check("epoll_wait, not followed", EVENT_STOP, stop(pid))
ptrace(CONT, pid)
check("then, EINTR", "exit 4", stop(pid))


def twice():
    """By the second call it is followed."""
    loop = LIBC.epoll_create1(0)
    buf = ctypes.create_string_buffer(12)
    LIBC.epoll_wait(loop, buf, 1, -1)
    done = LIBC.epoll_wait(loop, buf, 1, -1)
    os._exit(4 if done == -1 and ctypes.get_errno() == 4 else 0)


pid = sleeper(twice)
sleeps_in(pid, EPOLL_WAIT)
ptrace(SEIZE, pid, SYSGOOD)
ptrace(INTERRUPT, pid)
stop(pid)
ptrace(SYSCALL, pid)
while stop(pid, 2) == CALL_STOP:
    ptrace(SYSCALL, pid)
ptrace(INTERRUPT, pid)
check("epoll_wait, followed", CALL_STOP, stop(pid))
check("its result", -4, result(pid))
ptrace(CONT, pid)
check("then, without another stop", "exit 4", stop(pid))
print("Linux", platform.release().split("-")[0])
if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
