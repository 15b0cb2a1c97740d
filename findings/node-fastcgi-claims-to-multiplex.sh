#!/bin/sh
# SPDX-License-Identifier: ISC
#
# node-fastcgi answers FCGI_GET_VALUES with FCGI_MPXS_CONNS 1: several requests
# at a time on one connection.
#
# Guess: then it does so, also with FCGI_KEEP_CONN.
# Seen: it takes both requests, answers the quicker one, and closes the
# connection, FCGI_KEEP_CONN or not: the slower one, whose work goes on, gets no
# record at all, not even an FCGI_END_REQUEST. A kept connection is likewise
# closed after the first answer. Nothing is logged.
#
# FCGI_MPXS_CONNS cannot be believed. A balancer or process manager that puts
# requests together on the strength of it loses all but the first that ends;
# and a worker that holds no connection may still be at work.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='node-fastcgi=1.3.3-8
    node-fastcgi-stream=1.0.0-2
    nodejs=18.20.4+dfsg-1~deb12u2
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

LIMIT = 20
FAILED = []


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


def end(process):
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


with open("/tmp/x.js", "w") as f:
    f.write("""const fastcgi = require("node-fastcgi");
fastcgi.createServer((request, response) => setTimeout(() => {
    response.writeHead(200, {"Content-Type": "text/plain"});
    response.end("hello");
    process.stdout.write("end " + request.url + "\\n");
}, request.url === "/slow" ? 800 : 0)).listen();
""")
subprocess.run(["/usr/bin/node", "-v"])
listener = listen("/tmp/app")
with open("/tmp/log", "w+b") as log:
    process = start(["/usr/bin/node", "--no-deprecation", "/tmp/x.js"],
                    listener, stdout=log, stderr=log,
                    env={"NODE_PATH": "/usr/share/nodejs"})

    def params(uri):
        return {"REQUEST_METHOD": "GET", "REQUEST_URI": uri,
                "SERVER_PROTOCOL": "HTTP/1.1"}

    sock = connect("/tmp/app")
    sock.sendall(record(9, 0, pair("FCGI_MPXS_CONNS", "")))
    said = read_record(sock)
    sock.close()
    print(said)
    check("what it says of itself", (10, b"FCGI_MPXS_CONNS1"),
          (said[0], said[2][2:]))
    sock = connect("/tmp/app")
    sock.sendall(request(params("/slow"), 1, 1))
    time.sleep(0.2)
    sock.sendall(request(params("/quick"), 2, 1))
    records, how = answer(sock)
    check("first to end", (2, "END_REQUEST"), (records[-1][1], how))
    check("then", ([], "closed"), answer(sock))
    time.sleep(1)
    for uri in "/slow", "/quick":
        sock = connect("/tmp/app")
        sock.sendall(request(params(uri), 1, 1))
        check(uri + " alone", "END_REQUEST", answer(sock)[1])
        check("then", ([], "closed"), answer(sock))
        sock.close()
    log.seek(0)
    said = log.read().decode()
    print(said)
    check("ended in the application", ["/quick", "/slow", "/slow", "/quick"],
          said.split()[1::2])
    check("still runs", None, process.poll())
    end(process)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
