#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A CGI program under fcgiwrap fails in the middle of its page: it exits with a
# status other than 0, or is killed by a signal (a limit on its time or memory,
# the kernel's out-of-memory killer).
#
# Guess: the status is passed on in FCGI_END_REQUEST, and a killed program makes
# a torn answer, or at least a line in the log.
# Seen: both end as a complete answer: FCGI_END_REQUEST with application status
# 0, request complete, nothing on stderr, and the worker goes on. Killed after
# the header's end the page is cut at a random place and correct to every web
# server, cache and browser.
#
# Ending a CGI program that takes too long, or limiting its memory, is no safe
# way to end its request: the visitor gets half a page that counts as served.
# Whoever ends it must end the connection, that is the worker, first.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='fcgiwrap=1.1.0-14+deb12u1
    libfcgi0ldbl=2.4.2-2+deb12u1
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

LIMIT = 5
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


with open("/tmp/x", "w") as f:
    f.write("""#!/bin/dash
printf 'Content-Type: text/plain\\r\\n\\r\\nfirst half,'
case $QUERY_STRING in
fails)  exit 3 ;;
killed) kill -KILL $$ ;;
esac
printf ' second half'
""")
os.chmod("/tmp/x", 0o755)
listener = listen("/tmp/app")
with open("/tmp/log", "w+b") as log:
    process = start(["/usr/sbin/fcgiwrap"], listener, stdout=log, stderr=log)
    for query in "", "fails", "killed":
        sock = connect("/tmp/app")
        sock.sendall(request({"SCRIPT_FILENAME": "/tmp/x",
                              "REQUEST_METHOD": "GET",
                              "QUERY_STRING": query}))
        records, how = answer(sock)
        sock.close()
        print(query, records)
        page = b"".join(r[2] for r in records if r[0] == 6)
        check((query or "well") + ": body", b"first half," + (
            b"" if query else b" second half"),
              page.partition(b"\r\n\r\n")[2])
        check((query or "well") + ": end", ("END_REQUEST", (0, 0)),
              (how, struct.unpack(">IB3x", records[-1][2])))
    check("still runs", None, process.poll())
    end(process)
    log.seek(0)
    check("has said", b"", log.read())

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
