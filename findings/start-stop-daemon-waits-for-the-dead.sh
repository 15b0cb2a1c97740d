#!/bin/sh
# SPDX-License-Identifier: ISC
#
# start-stop-daemon --background --notify-await starts a daemon and waits until
# it says READY=1, at most --notify-timeout seconds (60 unless set).
#
# Guess: a daemon that exits before that is an error at once, and one that has
# not said it in time is ended, as systemd does with Type=notify.
# Seen: neither. The program has exited with status 3 in its first moment, and
# the wait goes on for all of the time limit; then it is "timed out waiting for
# a notification" and exit status 2, without the program's own status. The one
# that never says it gets the same 2 and is left running, with the process ID
# file of a success.
#
# A boot script with --notify-await needs a minute to find that the
# configuration is wrong; and where the status 2 is taken for "not started", the
# next start finds it running.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='dpkg=1.21.23
    dash=0.5.12-2
    coreutils=9.1-1
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
import os
import signal
import socket
import subprocess
import sys
import time

FAILED = []
LIMIT = 3
PROGRAM = "/usr/sbin/start-stop-daemon"


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


def write(name, text):
    with open("/tmp/" + name, "w") as f:
        f.write("#!/usr/bin/dash\n" + text)
    os.chmod("/tmp/" + name, 0o755)


def state(name):
    with open("/tmp/%s.pid" % name) as f:
        pid = int(f.read())
    with open("/proc/%d/stat" % pid) as f:
        return pid, "gone" if f.read().rpartition(")")[2][1] == "Z" else "runs"


def start(name):
    begun = time.monotonic()
    process = subprocess.run(
        [PROGRAM, "--start", "--background", "--notify-await",
         "--notify-timeout", str(LIMIT), "--make-pidfile", "--pidfile",
         "/tmp/%s.pid" % name, "--startas", "/tmp/" + name],
        stderr=subprocess.PIPE, text=True, timeout=3 * LIMIT)
    print(process.stderr, end="")
    return process.returncode, time.monotonic() - begun >= LIMIT


write("ready", """exec /usr/bin/python3 -c 'import os, socket, time
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
time.sleep(30)'
""")
write("dies", "exit 3\n")
write("silent", "exec sleep 30\n")
subprocess.run([PROGRAM, "--version"])
for name, expected, after in (("ready", (0, False), "runs"),
                              ("dies", (2, True), "gone"),
                              ("silent", (2, True), "runs")):
    check(name + ", status, waits for the limit", expected, start(name))
    pid, seen = state(name)
    check("  afterwards it", after, seen)
    if seen == "runs":
        os.kill(pid, signal.SIGKILL)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
