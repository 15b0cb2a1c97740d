#!/bin/sh
# SPDX-License-Identifier: ISC
#
# FCGI_PARAMS is a stream: a name-value pair may begin in one record and go on
# in the next, and a pair longer than 65,535 bytes has to.
#
# Guess: every runtime joins the records.
# Seen: libfcgi (fcgiwrap, Perl) does. php-cgi reads each record by itself: if a
# pair crosses a boundary it closes the connection without an answer and without
# a line in any log; the same pairs in two records cut between the pairs are
# answered. It lives on.
#
# For a process manager that speaks FastCGI to its workers (a ping, a warm-up
# request): write whole pairs into each record. And a request that one web
# server sends in one record and another in two may be answered behind the first
# only, which looks like a worker that is lost now and then.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='fcgiwrap=1.1.0-14+deb12u1
    libfcgi0ldbl=2.4.2-2+deb12u1
    libfcgi-perl=0.82+ds-2
    php8.2-cgi=8.2.32-1~deb12u1
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
    f.write("#!/bin/dash\nprintf 'Content-Type: text/plain\\n\\nhello'\n")
os.chmod("/tmp/x", 0o755)
with open("/tmp/x.pl", "w") as f:
    f.write('use FCGI; my $r = FCGI::Request(); while ($r->Accept() >= 0) '
            '{ print "Content-Type: text/plain\\r\\n\\r\\nhello" }')
with open("/tmp/x.php", "w") as f:
    f.write("hello")
subprocess.run(["/usr/bin/php-cgi8.2", "-n", "-v"])
for name, argv, script in (
        ("fcgiwrap", ["/usr/sbin/fcgiwrap"], "/tmp/x"),
        ("perl", ["/usr/bin/perl", "/tmp/x.pl"], "/tmp/x"),
        ("php-cgi", ["/usr/bin/php-cgi8.2", "-n"], "/tmp/x.php")):
    path = "/tmp/" + name
    listener = listen(path)
    with open(path + ".log", "w+b") as log:
        process = start(argv, listener, stdout=log, stderr=log)
        first = pair("SCRIPT_FILENAME", script)
        rest = pair("REQUEST_METHOD", "GET") + pair("REDIRECT_STATUS", "1")
        for where, cut in (("none", 0), ("between pairs", len(first)),
                           ("inside a pair", len(first) + 10)):
            whole = first + rest
            sock = connect(path)
            sock.sendall(begin() + (record(4, 1, whole[:cut]) if cut else b"")
                         + record(4, 1, whole[cut:]) + record(4, 1) +
                         record(5, 1))
            seen, how = answer(sock)
            sock.close()
            fails = name == "php-cgi" and where == "inside a pair"
            check("%s, cut: %s" % (name, where),
                  (False, "reset") if fails else (True, "END_REQUEST"),
                  (b"hello" in b"".join(r[2] for r in seen), how))
        check(name + " still runs", None, process.poll())
        end(process)
        log.seek(0)
        check(name + " has said", b"", log.read())

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
