#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A worker asks for connections by io_uring (IORING_OP_ACCEPT, multishot), and
# has each put into the ring's own table of files, as servers do for speed. Then
# it is at work on something else and asks the kernel for nothing.
#
# Guess: what was not collected waits in the queue of the listener for any
# worker of the pool; and who holds a connection is shown by /proc/PID/fd, as
# every open file is.
# Seen: the kernel accepts at once, in a worker that sleeps in nanosleep or
# pause and goes on sleeping there: the connection has left the queue, where
# another worker waits in accept(2) for it in vain. No descriptor of any process
# leads to it, and ss -p has nobody for it. Only fdinfo of the ring's descriptor
# has it, under UserFiles. A worker that is stopped (SIGSTOP) takes none: it
# stays in the queue. So it is with Linux 6.18.
#
# A busy worker takes visitors away from idle ones. And a process manager that
# looks into /proc/PID/fd for who may be ended without a loss finds that one
# idle: an accepted connection that nobody holds is somebody's, and where a
# worker has a ring its fdinfo must be read.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR); x86-64 or another
# machine with the same numbers for io_uring.

set -eu

packages='iproute2=6.1.0-3
    python3=3.11.2-1+b1'

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
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

FAILED = []
LIBC = ctypes.CDLL(None, use_errno=True)
SETUP, ENTER, REGISTER = 425, 426, 427
REGISTER_FILES2, SPARSE = 13, 1
OP_ACCEPT, MULTISHOT, ALLOC = 13, 1, 0xffffffff
NAME = "/tmp/app"


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


def call(number, *args):
    done = LIBC.syscall(ctypes.c_long(number), *(
        ctypes.c_long(a) if isinstance(a, int) else a for a in args))
    if done < 0:
        sys.exit("call %d: %s" % (number, os.strerror(ctypes.get_errno())))
    return done


def ask_for_connections(listener):
    """A ring with one request: accept, into its own table, again and again."""
    params = ctypes.create_string_buffer(120)
    ring = call(SETUP, 4, params)
    entries, = struct.unpack_from("I", params)
    tail, _, _, _, _, array = struct.unpack_from("6I", params, 44)
    submit = mmap.mmap(ring, array + entries * 4)
    request = mmap.mmap(ring, entries * 64, offset=0x10000000)
    call(REGISTER, ring, REGISTER_FILES2,
         struct.pack("IIQQQ", 8, SPARSE, 0, 0, 0), 32)
    struct.pack_into("BBHi36xI", request, 0, OP_ACCEPT, 0, MULTISHOT,
                     listener.fileno(), ALLOC)
    struct.pack_into("I", submit, array, 0)
    struct.pack_into("I", submit, tail, 1)
    call(ENTER, ring, 1, 0, 0, 0, 0)
    return ring


def start(sleep):
    """A worker that has asked for connections and then sleeps elsewhere."""
    there, here = os.pipe()
    pid = os.fork()
    if pid == 0:
        ring = ask_for_connections(LISTENER)
        os.write(here, str(ring).encode())
        while True:
            sleep()
    ring = int(os.read(there, 9))
    wait_for(lambda: state(pid) == "S")
    return pid, ring


def state(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rpartition(")")[2].split()[0]


def call_of(pid):
    with open("/proc/%d/syscall" % pid) as f:
        return f.read().split()[0]


def accepted():
    """The inodes of the connections that have left the queue."""
    with open("/proc/net/unix") as f:
        lines = [x.split() for x in f]
    return [x[6] for x in lines if x[-1] == NAME and x[5] == "03"]


def shown(inode):
    """Who has it: descriptors of all processes, ss, and the ring."""
    descriptors = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for fd in os.listdir("/proc/%s/fd" % pid):
            try:
                link = os.readlink("/proc/%s/fd/%s" % (pid, fd))
            except OSError:
                continue
            if link == "socket:[%s]" % inode:
                descriptors.append((int(pid), int(fd)))
    text = subprocess.run(["/usr/bin/ss", "-xpn"], capture_output=True,
                          text=True).stdout
    line, = (x for x in text.split("\n") if " %s " % inode in x and NAME in x)
    return descriptors, "users:" in line


def in_ring(pid, ring, inode):
    with open("/proc/%d/fdinfo/%d" % (pid, ring)) as f:
        return "socket:[%s]" % inode in f.read()


def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_for(lambda: not accepted())


def connect():
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(NAME)
    return sock


print(" ".join(os.uname()))
LISTENER = socket.socket(socket.AF_UNIX)
LISTENER.bind(NAME)
LISTENER.listen(16)
for name, sleep in (
        ("nanosleep", lambda: time.sleep(100)),
        ("pause", signal.pause)):
    worker, ring = start(sleep)
    before = call_of(worker)
    client = connect()
    check(name + ": accepted", True, wait_for(accepted))
    inode = accepted()[0]
    wait_for(lambda: state(worker) == "S")
    check(name + ": the worker sleeps in the same call", before,
          call_of(worker))
    check(name + ": the queue has it", [],
          select.select([LISTENER], [], [], 0)[0])
    check(name + ": descriptors of any process, users by ss", ([], False),
          shown(inode))
    check(name + ": the ring's fdinfo has it", True,
          in_ring(worker, ring, inode))
    client.close()
    end(worker)

worker, ring = start(signal.pause)
os.kill(worker, signal.SIGSTOP)
os.waitid(os.P_PID, worker, os.WSTOPPED)
client = connect()
check("stopped: accepted within a second", False, wait_for(accepted, 1))
check("stopped: the queue has it", [LISTENER],
      select.select([LISTENER], [], [], 0)[0])
client.close()
end(worker)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
