#!/bin/sh
# SPDX-License-Identifier: ISC
#
# spawn-fcgi -F 3 starts three workers, and its -P writes their process IDs into
# a file, one a line. A unit with Type=forking names the file as PIDFile=.
#
# Guess: systemd supervises the three, or at least takes the service for running
# as long as one of them does.
# Seen: it reads the first line. If the second worker is killed nothing happens,
# for ever: the unit is active, and nobody starts another. If the first is
# killed the unit has failed, and the other, which is well and serves, is ended
# at once: the listener goes with it. Restart=always is no help for the first
# case, and makes an outage of the second.
#
# Two of three deaths are not seen, and the third takes the healthy workers with
# it. A program that starts several workers and goes needs somebody who knows
# them all.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='systemd=252.39-1~deb12u2
    spawn-fcgi=1.6.4-2
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
import ctypes
import errno
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import time

CGROUP = "/tmp/cgroup/systemd%d" % time.time_ns()
FAILED = []
LIBC = ctypes.CDLL(None, use_errno=True)
LIMIT = 20


def wait_for(what, seconds=5):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWPID = (0x20000, 0x2000000, 0x4000000,
                                            0x8000000, 0x20000000)

PRIVATE = 1 << 18 | 1 << 14


def mount(kind, path, flags=0):
    os.makedirs(path, exist_ok=True)
    if LIBC.mount(kind, path.encode(), kind, flags, None):
        sys.exit("mount %s: %s" % (path, os.strerror(ctypes.get_errno())))


def unit(name, text):
    with open("/etc/systemd/system/" + name, "w") as f:
        f.write("[Unit]\nDefaultDependencies=no\n" + text)


def control(*words):
    return subprocess.run(["/usr/bin/systemctl", *words], text=True,
                          capture_output=True, timeout=LIMIT).stdout.strip()


def says(path):
    with open(path) as f:
        return f.read()


def under_systemd(action):
    """Run systemd as the first process of namespaces, action beside it."""
    mount(b"cgroup2", "/tmp/cgroup")
    os.mkdir(CGROUP)
    there, here = os.pipe()
    pid = os.fork()
    if pid == 0:
        with open(CGROUP + "/cgroup.procs", "w") as f:
            f.write("0")
        if LIBC.unshare(NEWNS | NEWCGROUP | NEWUTS | NEWIPC | NEWPID):
            sys.exit("unshare: " + os.strerror(ctypes.get_errno()))
        first = os.fork()
        if first:
            os.waitpid(first, 0)
            os._exit(0)
        LIBC.prctl(1, signal.SIGKILL)
        LIBC.mount(None, b"/", None, PRIVATE, None)
        mount(b"proc", "/proc")
        mount(b"cgroup2", "/sys/fs/cgroup")
        mount(b"tmpfs", "/run")
        if os.fork() == 0:
            wait_for(lambda: os.path.exists("/run/systemd/private"), LIMIT)
            wait_for(lambda: control("is-system-running") == "running", LIMIT)
            action()
            os.write(here, "\n".join(FAILED + ["done"]).encode())
            os._exit(0)
        log = os.open("/tmp/log", os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.execve("/usr/lib/systemd/systemd", ["systemd", "--unit=x.target",
                                               "--log-target=console"],
                  {"container": "other", "PATH": "/usr/sbin:/usr/bin"})
    os.close(here)
    if not select.select([there], [], [], LIMIT * 3)[0]:
        FAILED.append("no end")
    else:
        FAILED.extend(os.read(there, 65536).decode().split("\n"))
        FAILED.remove("done")
    with open(CGROUP + "/cgroup.kill", "w") as f:
        f.write("1")
    os.waitpid(pid, 0)
    wait_for(lambda: "populated 0" in says(CGROUP + "/cgroup.events"))
    for path, _, _ in os.walk(CGROUP, topdown=False):
        os.rmdir(path)


with open("/etc/machine-id", "w") as f:
    f.write("0123456789abcdef0123456789abcdef\n")
os.makedirs("/etc/systemd/system", exist_ok=True)
for minor, name in (3, "null"), (9, "urandom"):
    if not os.path.exists("/dev/" + name):
        os.mknod("/dev/" + name, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
unit("x.target", "")
unit("app.service", "[Service]\nType=forking\nPIDFile=/tmp/pids\n"
     "ExecStart=/usr/bin/spawn-fcgi -s /tmp/socket -F 3 -P /tmp/pids -- "
     "/usr/bin/perl /tmp/x.pl\n")
with open("/tmp/x.pl", "w") as f:
    f.write("use FCGI; my $r = FCGI::Request(); while ($r->Accept() >= 0) {}")


def live(pids):
    return [os.path.exists("/proc/%d" % pid) for pid in pids]


def visit():
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect("/tmp/socket")
        except OSError as e:
            return errno.errorcode[e.errno]
        return "connected"


def state():
    return control("is-active", "app.service")


def action():
    control("start", "app.service")
    pids = [int(line) for line in says("/tmp/pids").split()]
    check("after the start", ("active", [True] * 3), (state(), live(pids)))
    check("systemd's main process", str(pids[0]),
          control("show", "-P", "MainPID", "app.service"))
    os.kill(pids[1], signal.SIGKILL)
    wait_for(lambda: not live(pids)[1])
    time.sleep(2)
    check("the second is killed", ("active", [True, False, True], "connected"),
          (state(), live(pids), visit()))
    os.kill(pids[0], signal.SIGKILL)
    check("the first is killed: the third ends", True,
          wait_for(lambda: not live(pids)[2]))
    wait_for(lambda: state() == "failed")
    check("  state, visitor", ("failed", "ECONNREFUSED"), (state(), visit()))


subprocess.run(["/usr/lib/systemd/systemd", "--version"])
subprocess.run(["/usr/bin/spawn-fcgi", "-v"])
under_systemd(action)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
