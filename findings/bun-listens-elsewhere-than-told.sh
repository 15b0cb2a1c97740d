#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A program written for Node is run by Bun 1.4.5. A process manager gives it a
# unix listen socket as descriptor 0, and it serves that by
# http.createServer(...).listen({ fd: 0 }).
#
# Guess: Bun takes the descriptor, as Node does, and as its own net.createServer
# does; or it says that it cannot.
# Seen: net takes it. http does not look at "fd": it opens a socket of its own,
# TCP, on every address of the machine and on a random port, and calls back that
# it listens. There is no error and no message. Who connects to the unix socket
# is let in by nobody and waits.
#
# The program says that it is ready, and is not to be reached where its manager
# listens; but it is from all the network, past a socket file whose mode said
# who may. A process manager that takes the word of the program, or its sleep in
# epoll_wait, for readiness does not find it; one that looks where its listen
# socket is waited for does.
#
# Needs root, mmdebstrap, a Debian mirror ($MIRROR), and npm with its registry.

set -eu

packages='libnode115=20.19.2+dfsg-1+deb13u3
    nodejs=20.19.2+dfsg-1+deb13u3
    python3=3.13.5-1'

bun='@oven/bun-linux-x64@1.4.5'

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
(cd "$tmp" && npm install --no-audit --no-fund --ignore-scripts --silent "$bun")
cp ../node_modules/@oven/bun-linux-x64/bin/bun .
printf '%s\n' root:x:0:0::/:/bin/sh www-data:x:33:33::/:/bin/sh \
    nobody:x:65534:65534::/:/bin/sh >etc/passwd
printf '%s\n' root:x:0: www-data:x:33: nogroup:x:65534: >etc/group

cat >try.py <<'EOF'
import os
import socket
import subprocess
import sys
import time

FAILED = []
LIMIT = 10


def wait_for(what, seconds=LIMIT):
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


def tcp_listeners():
    """Addresses on which somebody listens in this network namespace."""
    found = []
    for name in "/proc/net/tcp", "/proc/net/tcp6":
        with open(name) as f:
            found += [x.split()[1].split(":")[0] for x in f
                      if x.split()[3] == "0A"]
    return found


def answers(path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(2)
        sock.connect(path)
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        try:
            return b"hello" in sock.recv(65536)
        except TimeoutError:
            return False


for name, answer in (("net", "c => c.end('hello')"),
                     ("http", "(q, r) => r.end('hello')")):
    with open("/tmp/%s.js" % name, "w") as f:
        f.write("""const server = require("node:%s").createServer(%s);
server.on("error", e => { console.log("error " + e.code); process.exit(1); });
server.listen({ fd: 0 }, () => console.log("listening"));
""" % (name, answer))
if not os.path.exists("/dev/null"):
    os.mknod("/dev/null", 0o020666, os.makedev(1, 3))
if not os.path.exists("/dev/urandom"):
    os.mknod("/dev/urandom", 0o020666, os.makedev(1, 9))
for runtime in "/usr/bin/node", "/bun":
    subprocess.run([runtime, "--version"])
    for name in "net", "http":
        path = "/tmp/%s%s" % (name, os.path.basename(runtime))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(16)
        log = path + ".log"
        with open(log, "w") as f:
            process = subprocess.Popen([runtime, "/tmp/%s.js" % name],
                                       stdin=listener, stdout=f, stderr=f,
                                       env={"HOME": "/tmp"})
        said = []

        def speaks():
            with open(log) as f:
                said[:] = f.read().split("\n")
            return len(said) > 1
        wait_for(speaks)
        strange = runtime == "/bun" and name == "http"
        what = "%s, %s: " % (os.path.basename(runtime), name)
        check(what + "says", ["listening", ""], said)
        check(what + "answers where its listener is", not strange,
              answers(path))
        check(what + "listens on TCP at", ["0" * 32] if strange else [],
              tcp_listeners())
        check(what + "runs", None, process.poll())
        process.kill()
        process.wait()

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
