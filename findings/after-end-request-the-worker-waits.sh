#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A request that does not ask to keep the connection: the worker has written
# FCGI_END_REQUEST, and the client is slow to close its own end.
#
# Guess: the worker closes and is free for the next request at once.
# Seen: libfcgi 2.4.2 (Perl's FCGI, fcgiwrap) stays with that connection for two
# seconds, and php-cgi until the client closes, without a limit. Both have shut
# their side down and read what may still come, so that the answer does not get
# lost. A client that closes at once, as web servers do, frees it at once;
# others do not: health checks, monitors, a web server stopped in that moment.
#
# "Has answered" and "is free" are two moments. A worker in between sleeps in a
# read or select on a connection that it has finished with: a process manager
# that counts held connections sees it busy, a graceful stop waits for it, a
# limit on the time of a request ends it although nobody loses anything.
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
    process = start(argv, listen(path))
    params = {"SCRIPT_FILENAME": script, "REQUEST_METHOD": "GET",
              "REDIRECT_STATUS": "1"}
    for held in False, True:
        sock = connect(path)
        sock.sendall(request(params))
        check(name + " answers", "END_REQUEST", answer(sock)[1])
        since = time.monotonic()
        if not held:
            sock.close()
        free = wait_for(lambda: accepts(process.pid), 4)
        took = time.monotonic() - since
        print("%s: %s after %.2f s" % (name, "free" if free else "busy still",
                                       took))
        if held:
            check(name + ", client holds on: free within 4 s",
                  name != "php-cgi", free)
            check(name + ", not before 1.5 s", True, took > 1.5)
            sock.close()
            check(name + ", client has closed: free", True,
                  wait_for(lambda: accepts(process.pid), 4))
        else:
            check(name + ", client closes: free within 1 s", True,
                  free and took < 1)
    end(process)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
