#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A connection that is opened and closed without a byte: what a TCP health
# check, a monitor or a port scanner does, and what "is the socket alive?" does.
#
# Guess: no runtime minds; each goes back to accept.
# Seen: libfcgi (Perl's FCGI, fcgiwrap) and php-cgi do, and count no request for
# it. With Debian's Ruby library, which is pure Ruby, the worker raises a
# RuntimeError and exits with status 1 at the first such connection: the loop
# that is to rescue from it rescues EPIPE and EOFError only.
#
# A process manager must not try its own listener by connecting to it, and a
# pool of Ruby workers under a health check every few seconds is a pool in a
# restart loop: an exit with an error after it was ready says nothing about the
# application.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='ruby-fcgi=0.9.2.1-3+b2
    ruby=1:3.1
    fcgiwrap=1.1.0-14+deb12u1
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
import time

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


def wait_for(what, seconds=5):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def accepts(pid):
    """Does the process sleep in accept or accept4 on descriptor 0?"""
    with open("/proc/%d/syscall" % pid) as f:
        words = f.read().split()
    return words[0] in ("43", "288", "202", "242") and words[1] == "0x0"


def end(process):
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


with open("/tmp/x.pl", "w") as f:
    f.write("use FCGI; my $r = FCGI::Request(); $r->Accept(); exit 3")
with open("/tmp/x.rb", "w") as f:
    f.write("require 'fcgi'; FCGI.each { |r| r.out.print "
            "\"Content-Type: text/plain\\r\\n\\r\\nhello\"; r.finish }")
subprocess.run(["/usr/bin/ruby3.1", "-v"])
subprocess.run(["/usr/bin/php-cgi8.2", "-n", "-v"])
for name, argv in (
        ("fcgiwrap", ["/usr/sbin/fcgiwrap"]),
        ("perl", ["/usr/bin/perl", "/tmp/x.pl"]),
        ("php-cgi", ["/usr/bin/php-cgi8.2", "-n"]),
        ("ruby", ["/usr/bin/ruby3.1", "/tmp/x.rb"])):
    path = "/tmp/" + name
    listener = listen(path)
    with open(path + ".log", "w+b") as log:
        process = start(argv, listener, stdout=log, stderr=log,
                        env={"PHP_FCGI_MAX_REQUESTS": "2"})
        if name != "ruby":
            check(name + " waits in accept", True,
                  wait_for(lambda: accepts(process.pid)))
            for _ in range(5):
                connect(path).close()
            time.sleep(0.3)
            check(name + " still runs after 5", None, process.poll())
        else:
            sock = connect(path)
            sock.sendall(request({"REQUEST_METHOD": "GET"}))
            check("ruby answers a request", "END_REQUEST", answer(sock)[1])
            sock.close()
            connect(path).close()
            wait_for(lambda: process.poll() is not None)
            check("ruby has ended, exit status", 1, process.poll())
        end(process)
        log.seek(0)
        said = log.read().decode()
        print(said)
        check(name + " has said RuntimeError", name == "ruby",
              "RuntimeError" in said)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
