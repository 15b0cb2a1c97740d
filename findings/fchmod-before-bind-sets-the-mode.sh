#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A program makes a unix socket that only its group may connect to. The classic
# ways have a gap (bind, then chmod) or change the umask of all threads (umask,
# bind).
#
# Guess: fchmod on the socket's descriptor is of no use, since it changes the
# descriptor's own inode, not the file that bind makes.
# Seen: before bind it decides the mode of the file: 0777 less what fchmod took
# away, less the umask. The file has it from its first moment. After bind it is
# as guessed: fchmod succeeds, fstat on the descriptor shows the new mode, and
# the file's stays. fchown has no such effect, neither before nor after.
#
# Without a gap and without umask: fchmod, then bind. And fstat on the
# descriptor of a listening socket says nothing about its file; a process
# manager that verifies the mode it was given must look at the path.
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
import os
import socket
import stat
import sys

FAILED = []


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


def mode_of(seen):
    return "%04o" % stat.S_IMODE(seen.st_mode)


def bound(path, mode, mask, owner=None):
    sock = socket.socket(socket.AF_UNIX)
    if mode is not None:
        os.fchmod(sock.fileno(), mode)
    if owner is not None:
        os.fchown(sock.fileno(), owner, owner)
    old = os.umask(mask)
    sock.bind(path)
    os.umask(old)
    return sock


print(" ".join(os.uname()))
for mode, mask, expected in ((None, 0, "0777"), (None, 0o22, "0755"),
                             (0o660, 0, "0660"), (0o660, 0o22, "0640"),
                             (0o600, 0o77, "0600"), (0, 0, "0000")):
    path = "/tmp/%s.%o" % (mode, mask)
    bound(path, mode, mask)
    check("fchmod %s, umask %03o, bind" % ("no" if mode is None else
                                           "%04o" % mode, mask),
          expected, mode_of(os.stat(path)))
sock = bound("/tmp/after", None, 0)
os.fchmod(sock.fileno(), 0o600)
check("bind, fchmod 0600: descriptor, file", ("0600", "0777"),
      (mode_of(os.fstat(sock.fileno())), mode_of(os.stat("/tmp/after"))))
sock = bound("/tmp/owner", None, 0, 33)
check("fchown 33, bind: descriptor, file", (33, 0),
      (os.fstat(sock.fileno()).st_uid, os.stat("/tmp/owner").st_uid))

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
