#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A server sets SO_RCVTIMEO on its listening socket, so that accept comes back
# once a second and it can look at something else.
#
# Guess: the option is the listener's own, as O_NONBLOCK is: an accepted
# connection waits for its client as long as it takes.
# Seen: over TCP each accepted connection has inherited it, SO_SNDTIMEO,
# SO_LINGER, SO_SNDBUF and SO_RCVBUF as well: a recv from a client that thinks
# for more than a second fails with EAGAIN, on a blocking socket. Over a unix
# socket the same program finds none of them on the connection, and waits.
# O_NONBLOCK is handed down by neither.
#
# A process manager that sets an option on a listener that it gives to workers
# has set it on all their TCP connections, and on none of their unix ones. A
# program that was tried over a unix socket loses slow uploads over TCP.
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
import fcntl
import os
import socket
import struct
import sys
import threading
import time

FAILED = []
LINGER = struct.pack("ii", 1, 7)
SECOND = struct.pack("ll", 1, 0)


def loopback():
    """The network namespace is ours: its loopback is down at first."""
    with socket.socket() as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sH22x", b"lo", 1))


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


def listen(family):
    if family == "tcp":
        return socket.create_server(("127.0.0.1", 0))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("/tmp/socket")
    listener.listen(16)
    return listener


def option(sock, name, size=0):
    number = getattr(socket, name)
    return sock.getsockopt(socket.SOL_SOCKET, number, *[size] * bool(size))


def receive(sock):
    """What a plain recv does: Python's own would try again or not block."""
    libc = ctypes.CDLL(None, use_errno=True)
    begun = time.monotonic()
    size = libc.recv(sock.fileno(), ctypes.create_string_buffer(1), 1, 0)
    return errno.errorcode[ctypes.get_errno()] if size < 0 else size, \
        time.monotonic() - begun > 1.5


print(" ".join(os.uname()))
loopback()
for family in "tcp", "unix":
    tcp = family == "tcp"
    listener = listen(family)
    for name, value in (("SO_RCVTIMEO", SECOND), ("SO_SNDTIMEO", SECOND),
                        ("SO_LINGER", LINGER), ("SO_SNDBUF", 20000),
                        ("SO_RCVBUF", 20000)):
        listener.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
    client = socket.socket(listener.family)
    client.connect(listener.getsockname())
    fd, _ = listener._accept()  # as the kernel gives it
    conn = socket.socket(fileno=fd)
    for name, size in (("SO_RCVTIMEO", 16), ("SO_SNDTIMEO", 16),
                       ("SO_LINGER", 8), ("SO_SNDBUF", 0), ("SO_RCVBUF", 0)):
        check("%s, %s handed down" % (family, name), tcp,
              option(conn, name, size) == option(listener, name, size))
    timer = threading.Timer(2, client.send, [b"x"])
    timer.start()
    check(family + ", recv of what comes after 2 s", ("EAGAIN", False) if tcp
          else (1, True), receive(conn))
    timer.join()
    conn.close()
    listener.setblocking(False)
    client = socket.socket(listener.family)
    client.connect(listener.getsockname())
    fd, _ = listener._accept()
    check(family + ", O_NONBLOCK handed down", False,
          not os.get_blocking(fd))
    os.close(fd)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
