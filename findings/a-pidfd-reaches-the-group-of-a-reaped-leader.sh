#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A worker that leads a process group has ended and was reaped; its children
# live on in the group. Once the last of them has gone, too, the number is free
# for others, and kill(-PID) may hit a stranger's group.
#
# Guess: pidfd_send_signal with PIDFD_SIGNAL_PROCESS_GROUP (Linux 6.9) on the
# worker's old pidfd gives ESRCH, as it does without that flag.
# Seen: the signal reaches the children although the leader is reaped. When the
# group is empty it is ESRCH, and it stays so when a new process gets the old
# number and leads a group of that number: kill(-PID) hits the stranger, the old
# pidfd does not.
#
# A process manager that keeps the pidfd can end what a dead worker left behind
# at any time later, and need not do it in the moment between waitid(WNOWAIT)
# and the reap.
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
import signal
import sys
import time

LIMIT = 5
FAILED = []


def wait_for(what, seconds=5):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def end(process):
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


GROUP = 4


def send(fd, number, flags):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(424, fd, number, None, flags) == 0:
        return "sent"
    return errno.errorcode[ctypes.get_errno()]


def fork(action):
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        action()
        os._exit(0)
    return pid


def lead():
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    os.write(pipe[1], b"%d" % child)


def ends(pid):
    """We are the first process of the namespace: orphans are ours."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def number_again(pid):
    for _ in range(100):
        with open("/proc/sys/kernel/ns_last_pid", "w") as f:
            f.write(str(pid - 1))
        stranger = fork(lambda: time.sleep(60))
        if stranger == pid and wait_for(lambda: os.getpgid(pid) == pid):
            return
        os.kill(stranger, signal.SIGKILL)
        os.waitpid(stranger, 0)
    sys.exit("the number did not come again")


print(" ".join(os.uname()))
pipe = os.pipe()
leader = fork(lead)
pidfd = os.pidfd_open(leader)
child = int(os.read(pipe[0], 20))
check("the leader ends", 0, ends(leader))
check("signal to the leader", "ESRCH", send(pidfd, 0, 0))
check("TERM to its group", "sent", send(pidfd, signal.SIGTERM, GROUP))
check("the child it left has ended by", -signal.SIGTERM, ends(child))
check("to the empty group", "ESRCH", send(pidfd, 0, GROUP))
number_again(leader)
check("a stranger leads a group of that number", leader, os.getpgid(leader))
check("TERM to the old leader's group", "ESRCH",
      send(pidfd, signal.SIGTERM, GROUP))
os.killpg(leader, signal.SIGTERM)
check("kill(-PID) ends the stranger", -signal.SIGTERM, ends(leader))

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
