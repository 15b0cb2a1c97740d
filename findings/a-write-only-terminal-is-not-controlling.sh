#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A daemon has made a session of its own (setsid) and opens a terminal for its
# messages, without O_NOCTTY.
#
# Guess: the first terminal that a session leader opens becomes its controlling
# terminal, however it is opened; hence the rule to give O_NOCTTY always. And
# who has a descriptor of it can ask for that with TIOCSCTTY.
# Seen: opened O_WRONLY it does not, for root either: there is no /dev/tty. And
# TIOCSCTTY on a descriptor opened O_WRONLY fails with EPERM, unless with
# CAP_SYS_ADMIN. O_RDONLY, which cannot write a message, is as good as O_RDWR
# for both.
#
# "> /dev/console" in a boot script makes no controlling terminal and brings no
# SIGHUP and no SIGINT from there, "<>" and "<" do. A helper that hands a
# program its terminal must not be passed the write end alone: it works under
# root and fails for all others, with an error that speaks of permission.
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
import stat
import sys
import termios

FAILED = []
MODES = {"O_RDONLY": os.O_RDONLY, "O_WRONLY": os.O_WRONLY, "O_RDWR": os.O_RDWR}


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


def in_a_session(uid, action):
    """What an action returns in a new session under a user."""
    there, here = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.setresuid(uid, uid, uid)
        os.write(here, action().encode())
        os._exit(0)
    os.close(here)
    os.waitpid(pid, 0)
    answer = os.read(there, 100).decode()
    os.close(there)
    return answer


def controlling():
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError as e:
        return errno.errorcode[e.errno]
    return "yes"


def by_open(mode):
    os.open(terminal, mode)
    return controlling()


def by_ioctl(mode):
    fd = os.open(terminal, mode | os.O_NOCTTY)
    try:
        fcntl.ioctl(fd, termios.TIOCSCTTY, 0)
    except OSError as e:
        return errno.errorcode[e.errno]
    return controlling()


print(" ".join(os.uname()))
os.makedirs("/dev/pts", exist_ok=True)
if ctypes.CDLL(None).mount(b"none", b"/dev/pts", b"devpts", 0,
                           b"newinstance,ptmxmode=0666"):
    sys.exit("no devpts here")
for path, minor in ("/dev/tty", 0), ("/dev/ptmx", 2):
    if not os.path.exists(path):
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(5, minor))
        os.chmod(path, 0o666)
os.unlink("/dev/ptmx")
os.symlink("pts/ptmx", "/dev/ptmx")
master, slave = os.openpty()
terminal = os.ttyname(slave)
os.chmod(terminal, 0o666)
for uid in 0, 65534:
    for name, mode in MODES.items():
        check("uid %d, open %s: /dev/tty" % (uid, name),
              "ENXIO" if name == "O_WRONLY" else "yes",
              in_a_session(uid, lambda: by_open(mode)))
        check("  and TIOCSCTTY", "EPERM" if name == "O_WRONLY" and uid else
              "yes", in_a_session(uid, lambda: by_ioctl(mode)))

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
