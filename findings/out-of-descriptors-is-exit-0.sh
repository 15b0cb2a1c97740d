#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A worker that has used up its descriptors (RLIMIT_NOFILE, a leak) cannot
# accept the next connection: accept gives EMFILE.
#
# Guess: it says so on stderr, and exits with an error or tries again.
# Seen: php-cgi, Perl's FCGI, Lua's wsapi and fcgiwrap exit with status 0 and no
# word, exactly as they do after PHP_FCGI_MAX_REQUESTS or a graceful
# stop. The connection they could not accept stays in the queue, so the next
# worker gets it. The kernel reserves the descriptor before accept sleeps: the
# first connection after the limit was reached is still served.
#
# Exit status 0 does not mean "recycled by plan". A leak that ends a worker
# every few requests looks to a process manager like healthy recycling, is
# replaced at once, for ever, and no log names it; only the rate shows it.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='fcgiwrap=1.1.0-14+deb12u1
    libfcgi0ldbl=2.4.2-2+deb12u1
    libfcgi-perl=0.82+ds-2
    lua-wsapi-fcgi=1.6.1-2
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
import resource
import signal
import socket
import struct
import subprocess
import sys
import time

LIMIT = 1
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
with open("/tmp/x.lua", "w") as f:
    f.write('require("wsapi.fastcgi").run(function() return 200, '
            '{["Content-Type"] = "text/plain"}, coroutine.wrap(function() '
            'coroutine.yield("hello") end) end)')
with open("/tmp/x.php", "w") as f:
    f.write("hello")
subprocess.run(["/usr/bin/php-cgi8.2", "-n", "-v"])
for name, argv, script in (
        ("fcgiwrap", ["/usr/sbin/fcgiwrap"], "/tmp/x"),
        ("perl", ["/usr/bin/perl", "/tmp/x.pl"], "/tmp/x"),
        ("lua", ["/usr/bin/lua5.1", "/tmp/x.lua"], "/tmp/x"),
        ("php-cgi", ["/usr/bin/php-cgi8.2", "-n"], "/tmp/x.php")):
    path = "/tmp/" + name
    listener = listen(path)
    with open(path + ".log", "w+b") as log:
        process = start(argv, listener, stdout=log, stderr=log)
        params = {"SCRIPT_FILENAME": script, "REQUEST_METHOD": "GET",
                  "REDIRECT_STATUS": "1"}
        check(name + " waits in accept", True,
              wait_for(lambda: accepts(process.pid)))
        held = [int(d) for d in os.listdir("/proc/%d/fd" % process.pid)]
        free = min(set(range(max(held) + 2)) - set(held))
        hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (free, hard))
        for turn in 1, 2:
            sock = connect(path)
            try:
                sock.sendall(request(params))
            except BrokenPipeError:
                pass
            seen, how = answer(sock)
            sock.close()
            # fcgiwrap needs descriptors for its pipes as well
            check("%s, request %d" % (name, turn), "END_REQUEST" if turn == 1
                  else "silent", how)
        check(name + " has ended", True,
              wait_for(lambda: process.poll() is not None))
        check(name + ", exit status", 0, process.poll())
        end(process)
        log.seek(0)
        check(name + " has said", b"", log.read())

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
