#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A threaded program may let its main thread end (pthread_exit in main) while
# the others serve on.
#
# Guess: /proc/PID shows state Z, and refuses to list the descriptors.
# Seen: /proc/PID/fd can be listed, without an error, and is empty; cmdline is
# empty, memory (statm) is 0, the state stays Z even while the process is
# stopped, ps calls it defunct. It serves all the same. wait() has nothing, a
# pidfd is not readable, and only /proc/PID/task/TID/fd of a living thread shows
# listener and connections.
#
# A process manager that asks /proc/PID/fd who holds a connection gets a clear
# and wrong "nobody" and may end a busy worker; one that takes state Z for dead
# waits for ever for a process to reap, or replaces one that works. An empty
# list is "unknown" unless descriptor 0 is in it, and Z is dead only if the
# pidfd is readable or no other task is left.
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
import select
import os
import signal
import socket
import subprocess
import sys
import threading
import time

LIMIT = 5
FAILED = []


def read(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def connect(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(LIMIT)
    sock.connect(path)
    return sock


def listen(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen(16)
    return sock


def start(argv, listener, **kw):
    return subprocess.Popen(argv, stdin=listener, **kw)


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


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


SERVER = """
import ctypes, socket, sys, threading
listener = socket.socket(fileno=0)
def serve():
    while True:
        conn = listener.accept()[0]
        conn.sendall(conn.recv(64))
        conn.recv(1)
for _ in range(2):
    threading.Thread(target=serve).start()
# SYS_exit ends the calling thread only: what pthread_exit comes to
ctypes.CDLL(None).syscall(%d, 0)
""" % {"x86_64": 60, "aarch64": 93}[os.uname().machine]


def text(name):
    with open("/proc/%d/%s" % (pid, name)) as f:
        return f.read()


def state():
    return text("stat").rpartition(")")[2].split()[0]


print(" ".join(os.uname()))
path = "/tmp/app"
process = start(["/usr/bin/python3", "-c", SERVER], listen(path))
pid = process.pid
pidfd = os.pidfd_open(pid)
check("the main thread ends", True, wait_for(lambda: state() == "Z"))
sock = connect(path)
sock.sendall(b"alive")
check("a client is answered", b"alive", read(sock, 5))
check("its descriptors", [], os.listdir("/proc/%d/fd" % pid))
check("its command line", "", text("cmdline"))
check("its memory", {"0"}, set(text("statm").split()))
check("its tasks", 3, len(os.listdir("/proc/%d/task" % pid)))
others = [t for t in os.listdir("/proc/%d/task" % pid) if int(t) != pid]
links = [[os.readlink("/proc/%d/task/%s/fd/%s" % (pid, t, d)) for d in
          os.listdir("/proc/%d/task/%s/fd" % (pid, t))] for t in others]
check("sockets in the list of a living thread", True,
      all(sum(name.startswith("socket:") for name in names) >= 2
          for names in links))
check("wait", None, os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG |
                              os.WNOWAIT))
check("pidfd", [], select.select([pidfd], [], [], 0.2)[0])
os.kill(pid, signal.SIGSTOP)
check("a stop is reported", True, wait_for(
    lambda: os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOHANG)))
check("state while it is stopped", "Z", state())
os.kill(pid, signal.SIGCONT)
end(process)
check("pidfd after its end", [pidfd], select.select([pidfd], [], [], 2)[0])

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
