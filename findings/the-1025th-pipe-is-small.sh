#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A process manager without root's rights holds a pipe for the output of each
# worker, and its user has many: 512 workers with stdout and stderr apart.
#
# Guess: a pipe takes 65,536 bytes before the writer blocks; the limit on the
# number of pipes is that on descriptors, and then it is an error.
# Seen: after 1,024 pipes of one user, in all of that user's processes together
# (fs.pipe-user-pages-soft), each further one is made with 8,192 bytes, without
# an error. F_SETPIPE_SZ back to 65,536 is EPERM. When others of that user close
# theirs it stays small, and can then be made bigger. Root's are not counted so.
#
# Workers of the same program block on a log message that the others of the pool
# get rid of, when their reader is busy: it depends on the order of the start
# and on what else the user runs. F_GETPIPE_SZ after pipe() tells.
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
import resource
import sys

FAILED = []


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


F_SETPIPE_SZ, F_GETPIPE_SZ = 1031, 1032


def size_of(pipe):
    return fcntl.fcntl(pipe[1], F_GETPIPE_SZ)


def enlarge(pipe):
    try:
        return fcntl.fcntl(pipe[1], F_SETPIPE_SZ, 65536)
    except OSError as e:
        return errno.errorcode[e.errno]


def fill(pipe):
    os.set_blocking(pipe[1], False)
    size = 0
    try:
        while True:
            size += os.write(pipe[1], b"x" * 64)
    except BlockingIOError:
        return size


def other(number):
    """Another process that holds as many pipes, until it gets a byte."""
    ready, stop = os.pipe(), os.pipe()
    if os.fork() == 0:
        held = [os.pipe() for _ in range(number)]
        os.write(ready[1], b"%d" % len(held))
        os.read(stop[0], 1)
        os._exit(0)
    os.read(ready[0], 9)
    return stop[1]


print(" ".join(os.uname()))
with open("/proc/sys/fs/pipe-user-pages-soft") as f:
    check("fs.pipe-user-pages-soft", 16384, int(f.read()))
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
check("root, the sizes of 1,100 pipes", {65536},
      {size_of(pipe) for pipe in [os.pipe() for _ in range(1100)]})
os.closerange(3, 4096)
os.setgroups([])
os.setresgid(61234, 61234, 61234)
os.setresuid(61234, 61234, 61234)
stop = other(600)  # and two to talk to it
pipes = [os.pipe() for _ in range(430)]
sizes = [size_of(pipe) for pipe in pipes]
check("uid 61234, 602 pipes elsewhere, here of full size", 422,
      sizes.count(65536))
check("then always", [8192] * 8, sizes[422:])
small = pipes[-1]
check("takes", 8192, fill(small))
check("F_SETPIPE_SZ", "EPERM", enlarge(small))
os.write(stop, b"x")
os.wait()
check("the others have gone: size", 8192, size_of(small))
check("F_SETPIPE_SZ", 65536, enlarge(small))
check("a new one", 65536, size_of(os.pipe()))

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
