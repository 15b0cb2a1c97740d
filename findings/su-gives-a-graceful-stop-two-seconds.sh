#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A service is started as another user by a wrapper: su -c "exec PROGRAM",
# runuser -u, doas -u, sudo -u. The service manager ends it with SIGTERM, and
# the program needs four seconds for the request that it has in hand.
#
# Guess: a wrapper that stays (for the session of PAM) passes the signals on and
# waits for as long as the program takes; it is there for nothing else.
# Seen: sudo does so. su, runuser and doas pass SIGTERM on, and after two
# seconds, which no option changes, they kill the program with SIGKILL. They do
# not pass on SIGHUP and SIGUSR1, and do not end by them either: a reload that
# is a signal to the main process succeeds, and does not happen. setpriv, which
# becomes the program, has none of this.
#
# However long the stop time of the manager is, behind su it is two seconds, and
# the manager sees a wrapper that has ended by SIGTERM in time, as asked: who
# cut the request is in no log but in a line on stderr.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='dash=0.5.12-12
    libpam-modules=1.7.0-5
    opendoas=6.8.2-1+b1
    python3=3.13.5-1
    sudo=1.9.16p2-3+deb13u5
    util-linux=2.41.5-0+deb13u1'

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

# shellcheck disable=SC2086	# one word a package
mmdebstrap --quiet --variant=extract \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --include="$(printf '%s,' $packages)" \
    trixie "$tmp/root" "${MIRROR:-http://deb.debian.org/debian}"

cd "$tmp/root"
mkdir -p proc tmp run
chmod 1777 tmp
printf '%s\n' root:x:0:0::/:/bin/sh www-data:x:33:33::/:/bin/sh \
    nobody:x:65534:65534::/:/bin/sh >etc/passwd
printf '%s\n' root:x:0: www-data:x:33: nogroup:x:65534: >etc/group

cat >try.py <<'EOF'
import os
import select
import signal
import subprocess
import sys
import time

FAILED = []
LIMIT = 10
NEEDS = 4
PROGRAM = ["/usr/bin/python3", "/tmp/x.py"]
WRAPPERS = {
    "su": ["/usr/bin/su", "-s", "/usr/bin/dash", "www-data", "-c",
           "exec " + " ".join(PROGRAM)],
    "runuser": ["/usr/sbin/runuser", "-u", "www-data", "--"] + PROGRAM,
    "doas": ["/usr/bin/doas", "-u", "www-data"] + PROGRAM,
    "sudo": ["/usr/bin/sudo", "-n", "-u", "www-data"] + PROGRAM,
    "setpriv": ["/usr/bin/setpriv", "--reuid=33", "--regid=33",
                "--clear-groups"] + PROGRAM}


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


def put(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def read_until(pipe, word, seconds):
    """What is read until the word is there, the end, or the time is over."""
    text = b""
    end = time.monotonic() + seconds
    while word not in text:
        left = end - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            break
        part = os.read(pipe, 65536)
        if not part:
            break
        text += part
    return text


def start(name):
    there, here = os.pipe()
    wrapper = subprocess.Popen(WRAPPERS[name], stdin=subprocess.DEVNULL,
                               stdout=here, stderr=here,
                               start_new_session=True)
    os.close(here)
    check(name + ": started as", True,
          b"up as 33" in read_until(there, b"up as 33", LIMIT))
    return wrapper, there


def end(wrapper, pipe):
    """End what is left, by the group of the session that we have made."""
    try:
        os.killpg(wrapper.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    wrapper.wait()
    os.close(pipe)


put("/etc/pam.d/other", "".join("%s sufficient pam_permit.so\n" % x for x in (
    "auth", "account", "password", "session")))
for name in "doas", "runuser", "su", "sudo":
    put("/etc/pam.d/" + name, "@include other\n")
put("/etc/hosts", "127.0.0.1 localhost %s\n" % os.uname().nodename)
put("/etc/sudoers", "root ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440)
put("/etc/doas.conf", "permit nopass root\n", 0o600)
put("/etc/shadow", "".join("%s:*:20000:0:99999:7:::\n" % x for x in (
    "root", "www-data")), 0o600)
put("/tmp/x.py", """import os
import signal
import time


def note(number, frame):
    os.write(1, b"got %d\\n" % number)
    if number == signal.SIGTERM:
        end = time.monotonic() + {0}
        while time.monotonic() < end:
            time.sleep(0.1)
        os.write(1, b"finished\\n")
        os._exit(0)


for number in signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1:
    signal.signal(number, note)
os.write(1, b"up as %d\\n" % os.getuid())
while True:
    signal.pause()
""".replace("{0}", str(NEEDS)))
if not os.path.exists("/dev/null"):
    os.mknod("/dev/null", 0o020666, os.makedev(1, 3))
os.chmod("/dev/null", 0o666)

for name in WRAPPERS:
    good = name in ("sudo", "setpriv")
    for number in signal.SIGHUP, signal.SIGUSR1:
        wrapper, pipe = start(name)
        wrapper.send_signal(number)
        word = b"got %d" % number
        check("%s: %s arrives" % (name, number.name), good,
              word in read_until(pipe, word, 1.5))
        check(name + ": the wrapper runs", None, wrapper.poll())
        end(wrapper, pipe)

    wrapper, pipe = start(name)
    begin = time.monotonic()
    wrapper.send_signal(signal.SIGTERM)
    text = read_until(pipe, b"finished", LIMIT)
    took = time.monotonic() - begin
    check("%s: TERM: exit, arrived, finished" % name,
          (0, True, True) if good else (-signal.SIGTERM, True, False),
          (wrapper.wait(LIMIT), b"got 15" in text, b"finished" in text))
    check(name + ": ended before its time", not good, took < NEEDS)
    print("%.1f s, %s" % (took, text.decode().replace("\n", " | ")))
    end(wrapper, pipe)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
