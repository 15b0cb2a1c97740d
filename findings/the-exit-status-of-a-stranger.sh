#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A server wants to know how its client ended. The client is no child of its,
# runs under another user, and has been reaped by its own parent.
#
# Guess: an exit status is the parent's alone, and is lost with the reap; a
# pidfd of a process that was reaped cannot even be opened.
# Seen: SO_PEERPIDFD gives the server, uid nobody, a pidfd of root's client,
# also from a connection that it accepts when the client has long been reaped.
# By ioctl(PIDFD_GET_INFO) with PIDFD_INFO_EXIT (Linux 6.15) that tells the exit
# status. It does so only after the reap: as long as the client is a zombie, and
# the pidfd readable, there is none. The reap adds POLLHUP.
#
# A process manager can learn how a process ended that is not its child: an
# orphan, what a container's init has reaped, who called its control socket. But
# it must not ask when the pidfd becomes readable: the answer comes with
# POLLHUP, which may be much later.
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
import fcntl
import os
import select
import socket
import struct
import sys
import time

FAILED = []
PIDFD_GET_INFO = 3 << 30 | 64 << 16 | 0xff << 8 | 11
PIDFD_INFO_EXIT = 1 << 3
SO_PEERPIDFD = 77


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


def exit_status(pidfd):
    info = bytearray(struct.pack("Q56x", PIDFD_INFO_EXIT))
    fcntl.ioctl(pidfd, PIDFD_GET_INFO, info)
    mask, = struct.unpack_from("Q", info)
    if not mask & PIDFD_INFO_EXIT:
        return None
    return os.waitstatus_to_exitcode(struct.unpack_from("i", info, 60)[0])


def events(fd):
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return sum(event for _, event in poll.poll(0))


print(" ".join(os.uname()), flush=True)
listener = socket.socket(socket.AF_UNIX)
listener.bind("/tmp/socket")
listener.listen(16)
os.chmod("/tmp/socket", 0o666)
stop, go = os.pipe()
to_server, from_parent = os.pipe()
to_parent, from_server = os.pipe()
client = os.fork()
if client == 0:
    held = []
    for _ in range(2):
        held.append(socket.socket(socket.AF_UNIX))
        held[-1].connect("/tmp/socket")
    os.write(from_parent, b"x")
    os.read(stop, 1)
    os._exit(7)
os.read(to_server, 1)
server = os.fork()
if server == 0:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    pidfd = listener.accept()[0].getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    check("server's uid", 65534, os.getuid())
    check("the client runs: events, exit status", (0, None),
          (events(pidfd), exit_status(pidfd)))
    os.write(from_server, b"x")
    os.read(to_server, 1)
    check("a zombie: events, exit status", (select.POLLIN, None),
          (events(pidfd), exit_status(pidfd)))
    os.write(from_server, b"x")
    os.read(to_server, 1)
    check("reaped: events, exit status", (select.POLLIN | select.POLLHUP, 7),
          (events(pidfd), exit_status(pidfd)))
    late = listener.accept()[0].getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    check("accepted after that: exit status", 7, exit_status(late))
    os._exit(bool(FAILED))
os.read(to_parent, 1)
os.write(go, b"x")
os.waitid(os.P_PID, client, os.WEXITED | os.WNOWAIT)
os.write(from_parent, b"x")
os.read(to_parent, 1)
os.waitid(os.P_PID, client, os.WEXITED)
os.write(from_parent, b"x")
if os.waitstatus_to_exitcode(os.waitpid(server, 0)[1]):
    FAILED.append("the server's view")

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
