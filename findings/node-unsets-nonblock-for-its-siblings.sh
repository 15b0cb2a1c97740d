#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Two Node servers share a listen socket that they have inherited as descriptor
# 0, and one of them ends.
#
# Guess: nothing changes for the other. O_NONBLOCK, which libuv sets on the
# socket, belongs to all who share it, but who would clear it?
# Seen: Node does. At its end it gives descriptors 0, 1 and 2 the flags back
# that they had when it started, by process.exit() as by SIGTERM, and without a
# word. Who started while the flag was not set clears it for all: the other
# server, which accepts until nobody is left, takes its next client and then
# waits in accept(2) for one more, and so on. Its timer of 0.1 s never runs: it
# lets everybody in and answers nobody, with no cpu time and no message.
#
# SIGKILL and a descriptor above 2 leave the flag alone. A process manager whose
# workers inherit the socket as descriptor 0, as FastCGI has it, has to set the
# flag again after each end of a Node worker.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='nodejs=18.20.4+dfsg-1~deb12u2
    libnode108=18.20.4+dfsg-1~deb12u2
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
mkdir -p proc tmp
chmod 1777 tmp
[ -c dev/null ] || mknod -m 666 dev/null c 1 3

cat >server.js <<'EOF'
// Says what it is to each client, 0.1 s after it came.
const number = process.argv[2] | 0;
require("net").createServer((c) => {
    setTimeout(() => c.end(String(process.pid)), 100);
}).listen({ fd: number });
process.on("SIGUSR2", () => process.exit(0));
EOF

cat >try.py <<'EOF'
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time

FAILED = []
LIMIT = 20


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


def wait_for(what):
    end = time.monotonic() + LIMIT
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def has_nonblock(sock):
    return bool(fcntl.fcntl(sock, fcntl.F_GETFL) & os.O_NONBLOCK)


def listening():
    path = "/tmp/sock"
    if os.path.exists(path):
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen()
    return sock


def server(sock, number):
    def before():
        os.dup2(sock.fileno(), number)
        os.set_inheritable(number, True)
    child = subprocess.Popen(["/usr/bin/node", "/server.js", str(number)],
                             preexec_fn=before, close_fds=number < 3,
                             stdin=None if number == 0 else
                             subprocess.DEVNULL)
    # It polls by then.
    wait_for(lambda: has_nonblock(sock) and polls(child.pid))
    return child


def polls(pid):
    with open("/proc/%d/syscall" % pid) as f:
        return f.read().split()[0] in ("232", "281")


def ask():
    c = socket.socket(socket.AF_UNIX)
    c.connect("/tmp/sock")
    return c


def after_the_end_of_one(signo, number):
    """Is the flag there, and is one client alone answered?"""
    sock = listening()
    first, second = [start_server(sock, number) for _ in range(2)]
    wait_for(lambda: has_nonblock(sock))
    first.send_signal(signo)
    first.wait(LIMIT)
    flag = has_nonblock(sock)
    c = ask()
    c.settimeout(3)
    try:
        alone = c.recv(64).decode() == str(second.pid)
    except TimeoutError:
        alone = False
    other = ask()
    c.settimeout(3)
    try:
        then = alone or c.recv(64).decode() == str(second.pid)
    except TimeoutError:
        then = False
    other.close()
    second.kill()
    second.wait()
    sock.close()
    return flag, alone, then


def start_server(sock, number):
    # Both start while the flag is not set, as two workers at once do.
    os.set_blocking(sock.fileno(), True)
    return server(sock, number)


check("flag, one client is answered, or when another came; SIGTERM",
      (False, False, False), after_the_end_of_one(signal.SIGTERM, 0))
check("the same, process.exit()",
      (False, False, False), after_the_end_of_one(signal.SIGUSR2, 0))
check("the same, SIGKILL",
      (True, True, True), after_the_end_of_one(signal.SIGKILL, 0))
check("the same, SIGTERM, descriptor 5",
      (True, True, True), after_the_end_of_one(signal.SIGTERM, 5))
if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
