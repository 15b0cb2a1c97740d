#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A socket unit listens on /run/app/socket, and its service has
# RuntimeDirectory=app: /run/app belongs to the application, and to its user.
# The service is restarted.
#
# Guess: both units are systemd's, and it knows that there is a socket of its
# own in the directory: the listener is there all the time, as without
# RuntimeDirectory=.
# Seen: when the service stops systemd removes the directory and the socket's
# file with it, and goes on listening on what has no name any more. The socket
# unit is active, the new service runs and waits in accept, the directory is
# there again, and visitors get ENOENT, for ever. RuntimeDirectoryPreserve=yes
# mends it.
#
# All that asks systemd for its state finds it well, and who looks by descriptor
# (ss, sock_diag, fstat) sees a listener with that name: only a connect by the
# path tells. A process manager that owns a listener has to look at the path
# from time to time, or to be told by the one who serves it.
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
for name, more in ("plain", ""), ("keeps", "RuntimeDirectoryPreserve=yes\n"):
    unit(name + ".socket", "[Socket]\nListenStream=/run/%s/socket\n" % name)
    unit(name + ".service", "[Service]\nRuntimeDirectory=%s\n"
         "ExecStart=/usr/bin/python3 /tmp/worker.py\n%s" % (name, more))
with open("/tmp/worker.py", "w") as f:
    f.write("""import socket

listener = socket.socket(fileno=3)
while True:
    conn = listener.accept()[0]
    conn.sendall(listener.getsockname().encode())
    conn.close()
""")


def visit(name):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(LIMIT)
        try:
            sock.connect("/run/%s/socket" % name)
            return sock.recv(100).decode()
        except OSError as e:
            return errno.errorcode[e.errno] if e.errno else "silent"


def listens(name):
    """Does the kernel have a listener of that name?"""
    return any(line.split()[3] == "00010000" for line in
               says("/proc/net/unix").split("\n")
               if line.endswith("/run/%s/socket" % name))


def action():
    for name in "plain", "keeps":
        lost = name == "plain"
        path = "/run/%s/socket" % name
        control("start", name + ".socket")
        check(name + ", a visitor", path, visit(name))
        control("restart", name + ".service")
        check("  restarted: socket and service are", "active\nactive",
              control("is-active", name + ".socket", name + ".service"))
        check("  the kernel has a listener of that name", True, listens(name))
        check("  the directory, the file", (True, not lost),
              (os.path.exists("/run/" + name), os.path.exists(path)))
        check("  a visitor", "ENOENT" if lost else path, visit(name))


subprocess.run(["/usr/lib/systemd/systemd", "--version"])
under_systemd(action)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
