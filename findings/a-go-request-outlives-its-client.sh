#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A Go program serves FastCGI by net/http/fcgi and stops its work when
# r.Context() is done, as it would under net/http. The visitor has gone, and the
# web server tells it: it closes the connection, or sends FCGI_ABORT_REQUEST.
#
# Guess: the context is cancelled, as the documentation of Request.Context has
# it for the end of the client's connection.
# Seen: it never is. The handler waits to its own limit after the close, and
# learns of it by the error of its write. After FCGI_ABORT_REQUEST it is the
# same, and the record has no effect at all: the whole answer is sent.
#
# A worker that holds no connection may be at work for as long as its handlers
# please, also behind the one web server that says at once that the client left.
# Whoever counts connections to find an idle worker takes it for idle; one that
# stops it loses no answer, but work.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='golang-1.19-go=1.19.8-2
    golang-src=2:1.19~1
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
import os
import signal
import socket
import struct
import subprocess
import sys
import time

FAILED = []
LIMIT = 9


def record(kind, rid, data=b""):
    return struct.pack(">BBHHBx", 1, kind, rid, len(data), 0) + data


def read(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def read_record(sock):
    _, kind, rid, size, pad = struct.unpack(">BBHHBx", read(sock, 8))
    return kind, rid, read(sock, size + pad)[:size]


def pair(name, value):
    return struct.pack(">II", len(name) | 1 << 31, len(value) | 1 << 31) + \
        name.encode() + value.encode()


def begin(rid=1, keep=0):
    return record(1, rid, struct.pack(">HB5x", 1, keep))


def request(params, rid=1, keep=0):
    names = b"".join(pair(n, v) for n, v in params.items())
    return begin(rid, keep) + record(4, rid, names) + record(4, rid) + \
        record(5, rid)


def connect(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(LIMIT)
    sock.connect(path)
    return sock


def answer(sock):
    """Everything up to END_REQUEST, the end or LIMIT, and how it ended."""
    seen = []
    try:
        while True:
            seen.append(read_record(sock))
            if seen[-1][0] == 3:
                return seen, "END_REQUEST"
    except EOFError:
        return seen, "closed"
    except ConnectionResetError:
        return seen, "reset"
    except TimeoutError:
        return seen, "silent"


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


with open("/tmp/x.go", "w") as f:
    f.write("""package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/fcgi"
	"os"
	"time"
)

func handle(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(os.Stderr, "begins")
	select {
	case <-r.Context().Done():
		fmt.Fprintln(os.Stderr, "cancelled")
	case <-time.After(2 * time.Second):
		fmt.Fprintln(os.Stderr, "not cancelled")
	}
	_, err := io.WriteString(w, "hello")
	fmt.Fprintln(os.Stderr, "written,", err == nil)
}

func main() {
	fcgi.Serve(nil, http.HandlerFunc(handle))
}
""")
go = "/usr/lib/go-1.19/bin/go"
os.environ.update(HOME="/tmp", GO111MODULE="off", CGO_ENABLED="0")
subprocess.run([go, "version"])
subprocess.run([go, "build", "-o", "/tmp/x", "/tmp/x.go"], check=True)
log = open("/tmp/log", "w+")
process = start(["/tmp/x"], listen("/tmp/socket"), stderr=log)


def said():
    with open("/tmp/log") as f:
        return f.read().split("\n")[:-1]


def ask():
    log.truncate(0)
    log.seek(0)
    sock = connect("/tmp/socket")
    sock.sendall(request({"REQUEST_METHOD": "GET", "REQUEST_URI": "/",
                          "SERVER_PROTOCOL": "HTTP/1.1"}))
    wait_for(said)
    return sock


ask().close()
wait_for(lambda: len(said()) == 3, LIMIT)
check("closed", ["begins", "not cancelled", "written, false"], said())
sock = ask()
sock.sendall(record(2, 1))
seen, last = answer(sock)
check("aborted", ["begins", "not cancelled", "written, true"], said())
text = b"".join(data for kind, _, data in seen if kind == 6)
check("answer after FCGI_ABORT_REQUEST", ("hello", "END_REQUEST"),
      (text.decode().partition("\r\n\r\n")[2], last))
end(process)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
