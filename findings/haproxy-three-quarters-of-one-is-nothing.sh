#!/bin/sh
# SPDX-License-Identifier: ISC
#
# HAProxy asks an agent how much its server can take, and the agent says "75%"
# of the server's weight. No weight is set, so each server has 1, as the manual
# has it.
#
# Guess: with servers of one weight the percentages tell them apart, or at least
# a share of 1 stays 1.
# Seen: the weight is rounded down, to 0. A server of weight 0 is drained: it is
# well, and gets nobody new. Where every server has something to do,
# so that no agent says 100%, the whole site is 503 while all servers are well.
# With "weight 100" the same answer leaves 75.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='haproxy=2.6.12-1+deb12u3
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
printf '%s\n' root:x:0:0::/:/bin/sh >etc/passwd
printf '%s\n' root:x:0: >etc/group

cat >try.py <<'EOF'
import csv
import fcntl
import socket
import struct
import subprocess
import sys
import threading
import time

ANSWER = b"75%\n"
FAILED = []


def loopback():
    with socket.socket() as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sH22x", b"lo", 1))


def serve(port, answer, read):
    """Answers everybody who connects to the port."""
    listener = socket.create_server(("127.0.0.1", port))

    def loop():
        while True:
            sock = listener.accept()[0]
            with sock:
                if read:
                    sock.recv(65536)
                sock.sendall(answer)
    threading.Thread(target=loop, daemon=True).start()


def stats():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect("/tmp/stats")
        sock.sendall(b"show stat\n")
        data = b""
        while part := sock.recv(65536):
            data += part
    rows = csv.DictReader(data.decode().lstrip("# ").splitlines())
    return {r["svname"]: r for r in rows if r["pxname"] == "web"}


def ask():
    with socket.create_connection(("127.0.0.1", 8000), 5) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return sock.recv(65536)[9:12].decode()


def until(what):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            if what():
                return
        except OSError:
            pass
        time.sleep(0.05)
    sys.exit("nothing came")


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


subprocess.run(("/usr/sbin/haproxy", "-v"))
loopback()
serve(8001, b"HTTP/1.0 200 OK\r\n\r\nhello", True)
serve(8002, ANSWER, False)
for weight, expected in (("", ("0", "503")),
                         ("weight 100", ("75", "200"))):
    with open("/tmp/haproxy.cfg", "w") as f:
        f.write("""global
 stats socket /tmp/stats
defaults
 mode http
 timeout client 5s
 timeout server 5s
 timeout connect 1s
 timeout queue 1s
listen web
 bind 127.0.0.1:8000
 server a 127.0.0.1:8001 agent-check agent-port 8002 agent-inter 200ms %(w)s
 server b 127.0.0.1:8001 agent-check agent-port 8002 agent-inter 200ms %(w)s
""" % {"w": weight})
    process = subprocess.Popen(("/usr/sbin/haproxy", "-db", "-f",
                                "/tmp/haproxy.cfg"))
    until(lambda: not {"1", "100"} & {stats()[s]["weight"] for s in "ab"})
    for server in "ab":
        row = stats()[server]
        check("%s, server %s: weight" % (weight or "no weight", server),
              expected[0], row["weight"])
    check("%s: a visitor gets" % (weight or "no weight"), expected[1], ask())
    process.kill()
    process.wait()

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
