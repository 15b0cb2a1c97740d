#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A worker writes its answer in small pieces and the web server does not read
# for a moment. How much fits in between is SO_SNDBUF, 212,992 bytes unless set.
#
# Guess: some 200,000 writes of one byte, as over TCP.
# Seen: 278. A unix stream socket does not join writes: each has a buffer of its
# own, and its bookkeeping counts, so that one byte takes 768. A piece of 100
# bytes takes as much, hence 278 of them, too; TCP takes more than a hundred
# times as many before it refuses one. SIOCOUTQ on the sender tells 768 for the
# byte.
#
# A worker that flushes line by line stands still after 278 lines that nobody
# read, some kilobytes, where the same program over TCP would have been done
# with the request. A change from TCP to a unix socket makes such workers busy
# for as long as the slowest reader; a bigger SO_SNDBUF helps, and fewer writes
# help more.
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
import socket
import struct
import sys

FAILED = []
MANY = 30000
SIOCOUTQ = 0x5411


def loopback():
    """The network namespace is ours: its loopback is down at first."""
    with socket.socket() as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sH22x", b"lo", 1))


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


def pair(family):
    if family == "unix":
        return socket.socketpair()
    listener = socket.create_server(("127.0.0.1", 0))
    a = socket.create_connection(listener.getsockname())
    a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return a, listener.accept()[0]


def pieces(family, size):
    """How many writes of a size fit when nobody reads, MANY at most."""
    a, b = pair(family)
    with a, b:
        a.setblocking(False)
        for number in range(MANY):
            try:
                a.send(b"x" * size)
            except BlockingIOError:
                return number
        return MANY


print(" ".join(os.uname()))
loopback()
a, b = pair("unix")
check("SO_SNDBUF", 212992, a.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))
a.send(b"x")
taken = bytearray(4)
fcntl.ioctl(a, SIOCOUTQ, taken)
check("SIOCOUTQ of a byte", 768, struct.unpack("i", taken)[0])
for size, expected in (1, 278), (100, 278), (1000, 93):
    check("unix, writes of %d" % size, expected, pieces("unix", size))
for size in 1, 100:
    check("TCP, writes of %d, at least" % size, MANY, pieces("tcp", size))

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
