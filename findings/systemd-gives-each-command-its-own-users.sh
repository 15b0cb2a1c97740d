#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A unit has User=, PrivateUsers=yes and PrivateNetwork=yes. Its ExecReload=
# wants to know something of the main process ($MAINPID) in /proc, as its user.
#
# Guess: both are in the sandbox of the unit, so they share its namespaces, and
# a process may look at another one of its own user.
# Seen: they share the network namespace. But systemd makes a user namespace
# for each command of the unit, and a process of one may not look into one of
# another: following a link in /proc/MAINPID is "Permission denied", ptrace(2)
# is not permitted. A signal arrives. Without PrivateUsers=yes all of it works.
#
# What asks with the rights of its user fails where what only signals works:
# the sandbox of a unit is not one place, and some of it is private to each
# command.
#
# It is for a machine whose kernel.yama.ptrace_scope is 0, or which has no Yama:
# where it is more, a process may not trace another one that is not its child,
# and "ptrace: yes" is not to be had at all. Nothing is tried there.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

yama=/proc/sys/kernel/yama/ptrace_scope
if [ -r "$yama" ] && [ "$(cat "$yama")" -ne 0 ]; then
	echo "kernel.yama.ptrace_scope is not 0: Yama would answer" >&2
	exit 1
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

cat >"$tmp/try.py" <<'EOF'
import ctypes
import os
import select
import signal
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


LIBC.umount2(b"/old", 2)
mount(b"proc", "/proc")
with open("/etc/machine-id", "w") as f:
    f.write("0123456789abcdef0123456789abcdef\n")
os.makedirs("/etc/systemd/system", exist_ok=True)
for minor, name in (3, "null"), (9, "urandom"):
    if not os.path.exists("/dev/" + name):
        os.mknod("/dev/" + name, 0o666 | stat.S_IFCHR, os.makedev(1, minor))
unit("x.target", "")
LOOK = """import ctypes, os, sys
main = int(sys.argv[1])
seen = []
def ask(what, question):
    try:
        question()
        seen.append(what + ": yes")
    except OSError as e:
        seen.append(what + ": " + e.strerror)
def seize():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(0x4206, main, None, None):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
ask("signal", lambda: os.kill(main, 0))
ask("exe", lambda: os.readlink("/proc/%d/exe" % main))
ask("descriptor", lambda: os.readlink("/proc/%d/fd/0" % main))
ask("ptrace", seize)
for kind in "net", "user":
    seen.append(kind + " " + os.readlink("/proc/self/ns/" + kind))
with open("/said/" + sys.argv[2], "w") as f:
    f.write("\\n".join(seen))
"""
with open("/look.py", "w") as f:
    f.write(LOOK)
os.makedirs("/said", exist_ok=True)
os.chmod("/said", 0o777)
for name, users in ("own", "yes"), ("common", "no"):
    unit(name + ".service", "[Service]\nUser=www-data\n"
         "ExecStart=/usr/bin/python3 -c 'import time; time.sleep(600)'\n"
         "PrivateNetwork=yes\n"
         "ExecReload=/usr/bin/python3 /look.py $MAINPID %s\n"
         "PrivateUsers=%s\n" % (name, users))


def look(name):
    """What the command sees, and which namespaces are those of main."""
    control("start", name)
    main = control("show", "-P", "MainPID", name)
    control("reload", name)
    lines = says("/said/" + name).split("\n")
    for i in 4, 5:
        kind, its = lines[i].split()
        shared = os.readlink("/proc/%s/ns/%s" % (main, kind)) == its
        lines[i] = kind + (": shared" if shared else ": its own")
    control("stop", name)
    return lines


def action():
    check("PrivateUsers=yes", ["signal: yes", "exe: Permission denied",
                               "descriptor: Permission denied",
                               "ptrace: Operation not permitted",
                               "net: shared", "user: its own"], look("own"))
    check("PrivateUsers=no", ["signal: yes", "exe: yes", "descriptor: yes",
                              "ptrace: yes", "net: shared", "user: shared"],
          look("common"))


subprocess.run(["/usr/lib/systemd/systemd", "--version"])
under_systemd(action)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

# try SUITE PACKAGE...
try()
{
	root=$tmp/$1
	suite=$1
	shift
	mmdebstrap --quiet --variant=extract \
	    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
	    --include="$(printf '%s,' "$@")" \
	    "$suite" "$root" "${MIRROR:-http://deb.debian.org/debian}"
	cp "$tmp/try.py" "$root"
	cd "$root"
	mkdir -p proc tmp run
	chmod 1777 tmp
	printf '%s\n' root:x:0:0::/:/bin/sh www-data:x:33:33::/:/bin/sh \
	    nobody:x:65534:65534::/:/bin/sh >etc/passwd
	printf '%s\n' root:x:0: www-data:x:33: nogroup:x:65534: >etc/group
	printf '%s\n' "$@"
	# In a chroot the kernel makes no user namespace.
	timeout 120 env -i LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	    unshare --net --pid --mount --fork --kill-child sh -c '
	    mount --bind "$0" "$0" && cd "$0" && mkdir old &&
	    pivot_root . old && exec /usr/bin/python3 /try.py' "$root"
}

try bookworm systemd=252.39-1~deb12u2 python3=3.11.2-1+b1
