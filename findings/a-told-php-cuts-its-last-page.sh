#!/bin/sh
# SPDX-License-Identifier: ISC
#
# php-cgi waits on a connection that its web server keeps (FCGI_KEEP_CONN), and
# is sent SIGTERM there. Then the server sends the next request over it.
#
# Guess: it ends at once, and the request is not read; or it serves that first,
# whole.
# Seen: the read goes on as if nothing had been. The request is served, with no
# error, and then php-cgi ends, status 0. But it has not read the empty record
# that ends the body: over TCP the kernel resets such a connection at the close,
# and throws away what the client has not got. So the server has the head of a
# page with status 200, and a reset in the middle. One that is not told answers
# the same request whole.
#
# For a process manager: "idle, and told" is not enough while a connection is
# kept; make sure that nothing is read from it any more.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='php8.2-cgi=8.2.32-1~deb12u1
    dash=0.5.12-2
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
echo '<?php echo file_get_contents("php://input");' >echo.php

cat >try.py <<'PYTHON'
import signal
import socket
import struct
import subprocess
import time

LIMIT = 20
WHERE = ("127.0.0.1", 9000)
SMALL, LARGE = 10, 300000


def record(kind, data=b""):
    return struct.pack(">BBHHBx", 1, kind, 1, len(data), 0) + data


def pair(name, value):
    return struct.pack(">BB", len(name), len(value)) + name.encode() + \
        value.encode()


def request(size):
    body = b"x" * size
    env = {"SCRIPT_FILENAME": "/echo.php", "REDIRECT_STATUS": "200",
           "REQUEST_METHOD": "POST", "CONTENT_TYPE": "text/plain",
           "CONTENT_LENGTH": str(size)}
    return record(1, struct.pack(">HB5x", 1, 1)) + \
        record(4, b"".join(pair(*x) for x in env.items())) + record(4) + \
        b"".join(record(5, body[i:i + 32768])
                 for i in range(0, size, 32768)) + record(5)


def answer(sock):
    """How much of the answer came, and what ended it."""
    data, size = b"", 0
    while True:
        try:
            more = sock.recv(65536)
        except ConnectionResetError:
            return size, "reset"
        if not more:
            return size, "closed"
        data += more
        while len(data) >= 8:
            _, kind, _, length, pad = struct.unpack(">BBHHBx", data[:8])
            if len(data) < 8 + length + pad:
                break
            data = data[8 + length + pad:]
            size += length if kind == 6 else 0
            if kind == 3:
                return size, "whole"


def wait_for(predicate, what):
    end = time.monotonic() + LIMIT
    while not predicate():
        if time.monotonic() > end:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.01)


def connect():
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(LIMIT)
    return sock if sock.connect_ex(WHERE) == 0 else sock.close()


def reads(pid):
    with open(f"/proc/{pid}/syscall") as f:
        return f.read().split()[0] in ("0", "63")      # x86-64, arm64


def pending(pid):
    with open(f"/proc/{pid}/status") as f:
        return any(line.startswith("ShdPnd") and int(line.split()[1], 16)
                   for line in f)


def run(told):
    php = subprocess.Popen(["/usr/bin/php-cgi8.2", "-n", "-b",
                            "%s:%d" % WHERE])
    try:
        found = []
        wait_for(lambda: found.append(connect()) or found[-1], "php-cgi")
        with found[-1] as sock:
            sock.sendall(request(SMALL))
            assert answer(sock)[1] == "whole"
            wait_for(lambda: reads(php.pid), "its next read")
            if told:
                php.send_signal(signal.SIGTERM)
                wait_for(lambda: not pending(php.pid) and reads(php.pid),
                         "its handler")
            sock.sendall(request(LARGE))
            if told:
                php.wait(LIMIT)
            return answer(sock), php.poll()
    finally:
        php.kill()
        php.wait()


(size, how), status = run(False)
print(f"not told: {size} bytes, {how}, still there: {status is None}")
whole = size > LARGE and how == "whole" and status is None
(size, how), status = run(True)
print(f"told: {how} before the end, exit status {status}")
if not whole or size > LARGE or how != "reset" or status != 0:
    raise SystemExit("this has changed")
PYTHON

printf '%s\n' "$packages"
# A network of its own, so that nobody else has the port.
timeout 120 unshare --net --pid --fork --kill-child \
    --mount-proc="$PWD/proc" sh -c 'ip link set lo up &&
    exec env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . \
    /usr/bin/python3 /try.py'
