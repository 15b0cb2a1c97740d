#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The supervisor of some workers is replaced by another process, which is to
# find them again. They are not its children, their process IDs are in a file,
# and one of them may be a stranger's by now. A pidfd would be safe, but cannot
# be written to a file.
#
# Guess: what can be written is the process ID with the time of its start, and
# between the look at that and the signal there is a gap. A file handle of a
# pidfd, if there is one, is for root: open_by_handle_at(2) needs
# CAP_DAC_READ_SEARCH.
# Seen: name_to_handle_at of a pidfd gives 8 bytes, and open_by_handle_at makes
# a pidfd of them again, for user nobody without a capability and for a process
# of root, with FD_PIDFS_ROOT (-10002) or any pidfd in place of the mount. It is
# the same process after an exec, too, and as a zombie. Once it is reaped the
# answer is ESTALE, also while a pidfd of it is open, and when a new process has
# its number. So it is with Linux 6.18.
#
# 8 bytes in a process ID file name one process for as long as the machine
# runs: who reads them cannot signal a stranger, and needs no start time.
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
import struct
import sys

FAILED = []
LIBC = ctypes.CDLL(None, use_errno=True)
AT_EMPTY_PATH = 0x1000
FD_PIDFS_ROOT = -10002


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


def handle_of(pidfd):
    handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0) +
                                         bytes(128))
    mount = ctypes.c_int()
    if LIBC.name_to_handle_at(pidfd, b"", handle, ctypes.byref(mount),
                              AT_EMPTY_PATH):
        sys.exit("no handle: " + os.strerror(ctypes.get_errno()))
    return handle.raw[:8 + struct.unpack_from("I", handle)[0]]


def open_handle(handle, mount=FD_PIDFS_ROOT):
    pidfd = LIBC.open_by_handle_at(mount, handle, os.O_CLOEXEC)
    return errno.errorcode[ctypes.get_errno()] if pidfd == -1 else pidfd


def whose(handle, mount=FD_PIDFS_ROOT):
    """The process ID that the handle leads to, or the name of an error."""
    pidfd = open_handle(handle, mount)
    if isinstance(pidfd, str):
        return pidfd
    with open("/proc/self/fdinfo/%d" % pidfd) as f:
        line, = (x for x in f if x.startswith("Pid:"))
    os.close(pidfd)
    return int(line.split()[1])


def as_nobody(what):
    """What a process of nobody, without a capability, gets of it."""
    there, here = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        os.write(here, repr(what()).encode())
        os._exit(0)
    os.close(here)
    with open(there) as f:
        text = f.read()
    os.waitpid(pid, 0)
    return eval(text)


def sleeper():
    """A process that becomes another program as soon as it is told to."""
    there, here = os.pipe()
    os.set_inheritable(there, True)
    pid = os.fork()
    if pid == 0:
        os.close(here)
        os.read(there, 1)
        os.execv(sys.executable, [sys.executable, "-c", "import os, time\n"
                                  "os.write(1, b'x'); time.sleep(100)"])
    os.close(there)
    return pid, here


print(" ".join(os.uname()))
said, say = os.pipe()
keep = os.dup(1)
os.dup2(say, 1)
worker, go_on = sleeper()
os.dup2(keep, 1)
first = os.pidfd_open(worker)
handle = handle_of(first)
os.close(first)

check("length of the handle", 8, len(handle) - 8)
check("root finds the process", worker, whose(handle))
check("nobody finds it", worker, as_nobody(lambda: whose(handle)))
check("nobody, with a pidfd of himself as the mount", worker,
      as_nobody(lambda: whose(handle, os.pidfd_open(os.getpid()))))
os.close(go_on)
os.read(said, 1)
check("after an exec", worker, whose(handle))
last = open_handle(handle)
signal.pidfd_send_signal(last, signal.SIGKILL)
os.waitid(os.P_PID, worker, os.WEXITED | os.WNOWAIT)
check("as a zombie", True, isinstance(open_handle(handle), int))
os.waitpid(worker, 0)
check("reaped, a pidfd is open", "ESTALE", whose(handle))

with open("/proc/sys/kernel/ns_last_pid", "w") as f:
    f.write(str(worker - 1))
stranger, _ = sleeper()
check("a new process has its number", worker, stranger)
check("the handle then", "ESTALE", whose(handle))
os.kill(stranger, signal.SIGKILL)
os.waitpid(stranger, 0)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
