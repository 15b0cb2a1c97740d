#!/bin/sh
# SPDX-License-Identifier: ISC
#
# faccessat(2) is as old as Linux 2.6.16; Linux 5.8 added faccessat2(2), with
# flags. Filters of system calls that were written before, in container runtimes
# for one, answer EPERM to what they do not know.
#
# Guess: who asks without flags, which the old call has always answered, never
# meets the new one.
# Seen: glibc 2.36 asks by the new call first, with and without flags, and falls
# back only from ENOSYS. Below such a filter whatever a directory's descriptor
# names "may not be read", also for root, with the error that an immutable file
# has; access(2) of the same file, its stat and its open go on working, and so
# does the old call where a program makes it itself.
#
# A daemon that looks before it opens, as the best practice has it, finds itself
# without files there that it could have opened.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='libc6=2.36-9+deb12u14
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
mkdir -p proc tmp

cat >try.py <<'EOF'
import ctypes
import errno
import os
import platform
import struct
import sys

FAILED = []
FACCESSAT, FACCESSAT2 = 269, 439        # x86-64
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, ERRNO = 0x7fff0000, 0x00050000
libc = ctypes.CDLL(None, use_errno=True)


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


def answer_new_call(error):
    """From now on, here."""
    code = b"".join(struct.pack("HBBI", *rule) for rule in (
        (0x20, 0, 0, 0), (0x15, 0, 1, FACCESSAT2), (0x06, 0, 0, ERRNO | error),
        (0x06, 0, 0, ALLOW)))
    text = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(text))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or \
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0,
                       0) != 0:
        sys.exit("no filter: errno %d" % ctypes.get_errno())


def answers(error):
    """Of a child: by the library, with an effective user, by name alone, by
    the old call, and by open."""
    ends = os.pipe()
    if os.fork() == 0:
        if error:
            answer_new_call(error)
        top = os.open("/tmp", os.O_RDONLY)
        found = [os.access("file", os.R_OK, dir_fd=top),
                 os.access("file", os.R_OK, dir_fd=top, effective_ids=True),
                 os.access("/tmp/file", os.R_OK),
                 libc.syscall(FACCESSAT, top, b"file", os.R_OK) == 0,
                 os.open("file", os.O_RDONLY, dir_fd=top) >= 0]
        os.write(ends[1], bytes(found))
        os._exit(0)
    os.wait()
    return list(map(bool, os.read(ends[0], 5)))


open("/tmp/file", "w").close()
print("glibc", platform.libc_ver()[1])
check("no filter", [True] * 5, answers(0))
check("ENOSYS to the new call", [True] * 5, answers(errno.ENOSYS))
check("EPERM to the new call", [False, False, True, True, True],
      answers(errno.EPERM))

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
