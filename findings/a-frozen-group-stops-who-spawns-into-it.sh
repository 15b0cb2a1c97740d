#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A manager starts a program directly in a cgroup: clone3 with
# CLONE_INTO_CGROUP, and with CLONE_VFORK as posix_spawn(3) does it. Somebody
# has frozen that cgroup (cgroup.freeze, the "pause" of a container manager).
#
# Guess: the freezer holds what is in the cgroup. The child is made and frozen
# before its first instruction; the manager, which is outside, goes on.
# Seen: the manager stands still with it, in clone3, in state D, for as long as
# the cgroup is frozen: the child has to exec before vfork lets its parent go. A
# signal that has a handler stays pending, a time limit by alarm(2) as well, and
# only one that ends the manager gets through. When the cgroup is thawed both go
# on. Without CLONE_VFORK the manager goes on at once, as guessed. So it is with
# Linux 6.18.
#
# Whoever may pause one service stops the manager of all of them at its next
# start, and no watchdog of its own wakes it. A manager has to see that the
# cgroup is not frozen, which remains a race, or to spawn without vfork.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR); x86-64 or another
# machine with the same number for clone3.

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
import signal
import struct
import sys
import time

CGROUP = "/tmp/cgroup/spawn%d" % time.time_ns()
FAILED = []
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE3, INTO_CGROUP, VFORK = 435, 0x200000000, 0x4000


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


def has(path, text):
    with open(path) as f:
        return text in f.read()


def put(name, text):
    with open("%s/%s" % (CGROUP, name), "w") as f:
        f.write(text)


def empty():
    return has(CGROUP + "/cgroup.events", "populated 0")


def manage(flags):
    """What the manager does; its exit status is that of its child."""
    signal.signal(signal.SIGALRM, lambda number, frame: None)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.alarm(1)
    group = os.open(CGROUP, os.O_PATH)
    args = struct.pack("11Q", INTO_CGROUP | flags, 0, 0, 0, signal.SIGCHLD,
                       0, 0, 0, 0, 0, group)
    pid = LIBC.syscall(ctypes.c_long(CLONE3), args, ctypes.c_long(len(args)))
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", "exit(7)"])
    os.write(SAY, b"spawned")
    _, status = os.waitpid(pid, 0)
    os._exit(os.waitstatus_to_exitcode(status))


def state(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rpartition(")")[2].split()[0]


def pending(pid):
    with open("/proc/%d/status" % pid) as f:
        mask, = (int(x.split()[1], 16) for x in f if x.startswith("ShdPnd"))
    return [n.name for n in (signal.SIGALRM, signal.SIGTERM)
            if mask >> n - 1 & 1]


def said():
    os.set_blocking(HEAR, False)
    try:
        return os.read(HEAR, 100).decode()
    except BlockingIOError:
        return ""


print(" ".join(os.uname()))
os.mkdir("/tmp/cgroup")
if LIBC.mount(b"none", b"/tmp/cgroup", b"cgroup2", 0, None):
    sys.exit("no cgroup2 here")
os.mkdir(CGROUP)
HEAR, SAY = os.pipe()
try:
    for flags in VFORK, 0:
        name = "with CLONE_VFORK" if flags else "without"
        put("cgroup.freeze", "1")
        manager = os.fork()
        if manager == 0:
            manage(flags)
        wait_for(lambda: not empty())
        if flags:
            wait_for(lambda: state(manager) == "D")
            os.kill(manager, signal.SIGTERM)
            wait_for(lambda: len(pending(manager)) == 2)
            check(name + ": state, pending", ("D", ["SIGALRM", "SIGTERM"]),
                  (state(manager), pending(manager)))
            check(name + ": the manager goes on", "", said())
        else:
            heard = []
            check(name + ": the manager goes on", True,
                  wait_for(lambda: heard.append(said()) or heard[-1]))
        put("cgroup.freeze", "0")
        check(name + ": thawed, exit status of the program", 7,
              os.waitstatus_to_exitcode(os.waitpid(manager, 0)[1]))
        if flags:
            check(name + ": thawed, the manager goes on", "spawned", said())
        wait_for(empty)

    put("cgroup.freeze", "1")
    manager = os.fork()
    if manager == 0:
        manage(VFORK)
    wait_for(lambda: not empty() and state(manager) == "D")
    os.kill(manager, signal.SIGKILL)
    check("SIGKILL", -signal.SIGKILL,
          os.waitstatus_to_exitcode(os.waitpid(manager, 0)[1]))
finally:
    put("cgroup.kill", "1")
    put("cgroup.freeze", "0")
    wait_for(empty)
    os.rmdir(CGROUP)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
