#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A FastCGI program under systemd: a .socket unit with Accept=no, and a service
# with StandardInput=socket, so that descriptor 0 is the listener, as the
# protocol wants it.
#
# Guess: stdout and stderr go to the journal as for every service;
# StandardOutput= and StandardError= were not touched.
# Seen: both are the listening socket as well. A line on stderr fails with
# ENOTCONN and is in no log; what a shell or a runtime says when it fails at the
# start is lost, too, and the unit's log is empty. StandardOutput=journal, given
# by itself, mends both.
#
# The setting is made for inetd's kind of service, where the connection is all
# three. Whoever moves a FastCGI program from a process manager to a socket unit
# loses all of its messages and has a program that gets errors when it tells of
# errors.
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
for name, more in ("plain", ""), ("journal", "StandardOutput=journal\n"):
    unit(name + ".socket", "[Socket]\nListenStream=/tmp/%s\n" % name)
    unit(name + ".service", "[Service]\nStandardInput=socket\n"
         "ExecStart=/usr/bin/python3 /tmp/worker.py\n" + more)
with open("/tmp/worker.py", "w") as f:
    f.write("""import errno
import os
import socket

listener = socket.socket(fileno=0)
while True:
    conn = listener.accept()[0]
    inodes = [os.fstat(n).st_ino for n in range(3)]
    seen = ["the listener" if i == inodes[0] else "another" for i in inodes]
    try:
        os.write(2, b"a message")
        seen.append("written")
    except OSError as e:
        seen.append(errno.errorcode[e.errno])
    conn.sendall(", ".join(seen).encode())
    conn.close()
""")


def visit(name):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(LIMIT)
        sock.connect("/tmp/" + name)
        return sock.recv(100).decode()


def action():
    control("start", "plain.socket", "journal.socket")
    check("descriptors 0, 1, 2, a write to 2",
          "the listener, the listener, the listener, ENOTCONN", visit("plain"))
    check("with StandardOutput=journal",
          "the listener, another, another, written", visit("journal"))


subprocess.run(["/usr/lib/systemd/systemd", "--version"])
under_systemd(action)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
