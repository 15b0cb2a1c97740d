#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A socket unit (Accept=no) in front of an application that exits at its start:
# the database is away for a moment. One visitor comes.
#
# Guess: he gets an error or waits, systemd starts the service anew for each
# visitor, and when the database is back the next visit is served: the listener
# is systemd's and is there whatever the application does.
# Seen: the connection stays in the queue, and so the service is started again
# at once, and again, until the limit (5 starts in 10 s) is hit; then systemd
# fails the socket unit, too, and closes the listener. The one who waited is
# reset, all others get ECONNREFUSED, also when the application could start
# again and the time of the limit is over. Restart=always in the service changes
# nothing. Only a start of the socket unit brings it back. A worker that does
# well and exits with 0 after each request is the same at the sixth: each start
# counts, not each failure.
#
# One visit in a bad second takes a site off the net until somebody comes: the
# listener that was to outlive its application does not outlive its failure. A
# process manager that holds its own listener can pause and keep the queue.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='systemd=252.39-1~deb12u2
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
for name, more in (("plain", ""), ("always", "Restart=always\n"),
                   ("recycled", "")):
    unit(name + ".socket", "[Socket]\nListenStream=/tmp/%s\n" % name)
    unit(name + ".service", "[Service]\nExecStart=/usr/bin/python3 "
         "/tmp/worker.py %s\n%s" % (name, more))
with open("/tmp/worker.py", "w") as f:
    f.write("""import os
import socket
import sys

with open("/tmp/%s.starts" % sys.argv[1], "a") as f:
    f.write("x")
if not os.path.exists("/tmp/database"):
    sys.exit(1)
listener = socket.socket(fileno=3)
while True:
    conn = listener.accept()[0]
    conn.sendall(b"hello")
    conn.close()
    if sys.argv[1] == "recycled":
        sys.exit(0)
""")


def visit(name):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(LIMIT)
        try:
            sock.connect("/tmp/" + name)
            return sock.recv(100).decode()
        except OSError as e:
            return errno.errorcode[e.errno] if e.errno else "silent"


def state(name):
    return control("is-active", name + ".socket")


def action():
    names = "plain", "always"
    for name in names:
        control("start", name + ".socket")
        check(name + ", the socket unit", "active", state(name))
        check("  the one visitor", "ECONNRESET", visit(name))
        check("  starts", 5, len(says("/tmp/%s.starts" % name)))
        check("  the socket unit has failed", True,
              wait_for(lambda: state(name) == "failed"))
    open("/tmp/database", "w").close()
    control("start", "recycled.socket")
    check("recycled, the first five", ["hello"] * 5,
          [visit("recycled") for _ in range(5)])
    check("  the sixth and the seventh", ["ECONNRESET", "ECONNREFUSED"],
          [visit("recycled") for _ in range(2)])
    check("  the socket unit", "failed", state("recycled"))
    time.sleep(11)
    for name in names:
        check(name + ", the application could start: visitor", "ECONNREFUSED",
              visit(name))
        check("  starts", 5, len(says("/tmp/%s.starts" % name)))
        control("start", name + ".socket")
        check("  systemctl start of the socket: visitor", "hello", visit(name))


subprocess.run(["/usr/lib/systemd/systemd", "--version"])
under_systemd(action)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
