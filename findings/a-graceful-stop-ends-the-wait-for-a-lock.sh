#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A request waits in flock(LOCK_EX) for another process, and at that moment the
# worker is asked to stop gracefully: after this request.
#
# Guess: the request ends as if nothing had been, and the worker goes after it.
# Seen: the answer is complete, but flock has returned false, at once: PHP under
# php-cgi (TERM) and under php-fpm (QUIT and USR2 to the master, that is stop
# and reload, with a long process_control_timeout), Perl's FCGI (TERM). The
# signal's handler ends the call with EINTR, and neither language tries again.
# Ruby (USR1) does: it waits on and has the lock.
#
# Most programs do not look at what flock returned, since it only fails when it
# must not wait: they go on without the lock beside the one who has it.
# "Graceful" is safe for the connection and not for what the request does; a
# process manager has to send its signal while the worker has no request in
# hand.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='php8.2-cgi=8.2.32-1~deb12u1
    php8.2-fpm=8.2.32-1~deb12u1
    libfcgi-perl=0.82+ds-2
    ruby-fcgi=0.9.2.1-3+b2
    ruby=1:3.1
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
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import time

FAILED = []
GRACE = 20
HEAD = r"Content-Type: text/plain\r\n\r\n"
LIMIT = 5


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


def write(name, text):
    with open("/tmp/" + name, "w") as f:
        f.write(text)


def says(name, word):
    with open(name) as f:
        return word in f.read()


def waits():
    """Does a process of this namespace wait for a lock?"""
    return says("/proc/locks", "->")


def body(seen):
    text = b"".join(data for kind, _, data in seen if kind == 6).decode()
    return text.partition("\r\n\r\n")[2]


def try_lock(name, argv, stop):
    path = "/tmp/socket"
    fpm = "fpm" in argv[0]
    write("log", "")
    process = start(argv, None if fpm else listen(path),
                    stderr=subprocess.DEVNULL)
    if fpm and not wait_for(lambda: says("/tmp/log", "ready to handle")):
        sys.exit("php-fpm did not start")
    with open("/tmp/lock", "w") as lock:
        os.chmod("/tmp/lock", 0o666)
        fcntl.flock(lock, fcntl.LOCK_EX)
        sock = connect(path)
        sock.sendall(request({"REQUEST_METHOD": "GET", "SCRIPT_NAME": "/x",
                              "SCRIPT_FILENAME": "/tmp/x.php",
                              "REDIRECT_STATUS": "200"}))
        if not wait_for(waits):
            sys.exit(name + " does not wait for the lock")
        if stop:
            os.kill(process.pid, stop)
            wait_for(lambda: not waits(), 1)
        check("%s, %s, still waits" % (name, stop.name if stop else "nothing"),
              not stop or name == "ruby", waits())
    seen = answer(sock)
    sock.close()
    check("  request", ("locked" if not stop or name == "ruby" else
                        "not locked", "END_REQUEST"), (body(seen[0]), seen[1]))
    end(process)
    wait_for(lambda: not waits())
    os.unlink(path)


write("x.php", "<?php $f = fopen('/tmp/lock', 'c');"
      "echo flock($f, LOCK_EX) ? 'locked' : 'not locked';")
write("x.pl", "use FCGI; my $r = FCGI::Request(); while ($r->Accept() >= 0) {"
      "open my $f, '>>', '/tmp/lock';"
      "print \"%s\", flock($f, 2) ? 'locked' : 'not locked'; }" % HEAD)
write("x.rb", "require 'fcgi'; FCGI.each { |r| f = File.open('/tmp/lock', 'a')"
      "; r.out.print \"%s\" + (f.flock(File::LOCK_EX) ? 'locked' : "
      "'not locked'); r.finish }" % HEAD)
write("fpm.conf", """[global]
daemonize = no
error_log = /tmp/log
process_control_timeout = %d
[www]
listen = /tmp/socket
user = www-data
pm = static
pm.max_children = 1
""" % GRACE)
subprocess.run(["/usr/bin/php-cgi8.2", "-n", "-v"])
subprocess.run(["/usr/bin/perl", "-e", "print $^V, qq{\\n}"])
subprocess.run(["/usr/bin/ruby3.1", "-v"])
fpm = ["/usr/sbin/php-fpm8.2", "-n", "-F", "-y", "/tmp/fpm.conf"]
for name, argv, *stops in (
        ("php-cgi", ["/usr/bin/php-cgi8.2", "-n"], signal.SIGTERM),
        ("php-fpm", fpm, signal.SIGQUIT, signal.SIGUSR2),
        ("perl", ["/usr/bin/perl", "/tmp/x.pl"], signal.SIGTERM),
        ("ruby", ["/usr/bin/ruby3.1", "/tmp/x.rb"], signal.SIGUSR1)):
    for stop in [None] + stops:
        try_lock(name, argv, stop)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
