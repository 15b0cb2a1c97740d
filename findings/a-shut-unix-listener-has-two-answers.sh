#!/bin/sh
# SPDX-License-Identifier: ISC
#
# shutdown(SHUT_RD) on a listening socket: nobody new gets in, and the programs
# that share it are to find out when they have served what was waiting.
#
# Guess: after the last connection accept fails with EINVAL, as on a TCP
# listener, and listen makes it a listener again.
# Seen: on a unix socket a blocking accept fails with EINVAL, but a non-blocking
# one with EAGAIN, "nothing there yet", while poll says readable: together that
# reads as "come again at once", without an end. listen succeeds and changes
# nothing: connect is refused and poll says what it said. A TCP listener gives
# EINVAL either way, and listen brings it back on the same port.
#
# To drain a unix pool this way is safe for workers that block in accept; one
# with an event loop cannot see that it has ended. And it is final: whoever has
# shut the listener has to bind a new one.
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
import errno
import fcntl
import os
import select
import socket
import struct
import sys

FAILED = []


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
        return socket.create_server(("127.0.0.1", 8001))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("/tmp/socket")
    listener.listen(16)
    return listener


def accept(listener, blocking):
    os.set_blocking(listener.fileno(), blocking)
    try:
        os.close(listener._accept()[0])
    except OSError as e:
        return errno.errorcode[e.errno]
    return "a connection"


def connect(listener):
    with socket.socket(listener.family) as client:
        try:
            client.connect(listener.getsockname())
        except OSError as e:
            return errno.errorcode[e.errno]
        return "connected"


def readable(listener):
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    return sum(event for _, event in poll.poll(0)) & select.POLLIN != 0


print(" ".join(os.uname()))
loopback()
listener = listen("unix")
check("unix, connect", "connected", connect(listener))
listener.shutdown(socket.SHUT_RD)
check("shut, connect", "ECONNREFUSED", connect(listener))
check("accept of what waited", "a connection", accept(listener, False))
check("then, blocking", "EINVAL", accept(listener, True))
check("then, non-blocking, a hundred times", {"EAGAIN"},
      {accept(listener, False) for _ in range(100)})
check("poll says readable", True, readable(listener))
listener.listen(16)
check("listen again, connect", "ECONNREFUSED", connect(listener))
check("poll says readable", True, readable(listener))
listener = listen("tcp")
listener.shutdown(socket.SHUT_RD)
check("TCP, shut, connect", "ECONNREFUSED", connect(listener))
check("blocking", "EINVAL", accept(listener, True))
check("non-blocking", "EINVAL", accept(listener, False))
listener.listen(16)
check("listen again, connect", "connected", connect(listener))
check("non-blocking", "a connection", accept(listener, False))
check("the same port", 8001, listener.getsockname()[1])

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
