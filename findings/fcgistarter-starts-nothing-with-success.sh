#!/bin/sh
# SPDX-License-Identifier: ISC
#
# fcgistarter, the small process manager that comes with Apache, with a command
# that does not exist.
#
# Guess: it says so and exits with an error, as it does for a port in use.
# Seen: exit status 0 and no word, with -N 3 as well; no process, no listener.
# A program that fails at its first line is the same. It returns before the
# exec, has no way to hear of it, and nothing watches the processes: after they
# have ended the port is closed, which is the first that anybody sees.
#
# Scripts that come from fcgistarter trust an exit status that has never meant
# anything; whatever takes its place has to wait for the application before it
# says 0, and will then report failures that were always there.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='apache2-utils=2.4.68-1~deb12u1
    coreutils=9.1-1
    libfcgi-perl=0.82+ds-2
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
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import time

LIMIT = 5
FAILED = []


def wait_for(what, seconds=5):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def end(process):
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()


def loopback():
    """The network namespace is ours: its loopback is down at first."""
    with socket.socket() as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sH22x", b"lo", 1))


def end(process):
    os.kill(process.pid, signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])



def processes():
    """All that live in our namespace but us, its first process."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    return sorted(p for p in os.listdir("/proc")
                  if p.isdigit() and p != "1")


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except ConnectionRefusedError:
        return False


with open("/tmp/x.pl", "w") as f:
    f.write("#!/usr/bin/perl\nuse FCGI; my $r = FCGI::Request(); "
            "while ($r->Accept() >= 0) { }")
os.chmod("/tmp/x.pl", 0o755)
loopback()
busy = socket.socket()
busy.bind(("127.0.0.1", 9004))
busy.listen(1)
for port, command, works, status_seen in (
        (9001, "/tmp/none", False, 0),
        (9002, "/bin/false", False, 0),
        (9003, "/tmp/x.pl", True, 0),
        (9004, "/tmp/x.pl", False, 1)):
    run = subprocess.run(["/usr/bin/fcgistarter", "-c", command, "-p",
                          str(port), "-i", "127.0.0.1", "-N", "3"],
                         capture_output=True, timeout=LIMIT)
    check("%s on %d: exit status" % (command, port), status_seen,
          run.returncode)
    print(run.stdout + run.stderr)
    check("has said something", status_seen != 0,
          bool(run.stdout + run.stderr))
    wait_for(lambda: len(processes()) == (3 if works else 0))
    found = processes()
    check("processes", 3 if works else 0, len(found))
    if port != 9004:
        check("listens", works, listens(port))
    for pid in found:
        os.kill(int(pid), signal.SIGKILL)
        os.waitpid(int(pid), 0)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
