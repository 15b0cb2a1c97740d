#!/bin/sh
# SPDX-License-Identifier: ISC
#
# FCGI_GET_VALUES asks an application what it can do, before any request.
#
# Guess: libfcgi answers at once, as php-cgi does.
# Seen: libfcgi 2.4.2 writes the answer into its buffer and does not send it: a
# client that only asks hears nothing, for as long as it waits, and the worker
# sleeps in read on that connection. The answer comes when a request follows on
# the same connection, in front of that request's output. So it is with Perl's
# FCGI and fcgiwrap. (A record of unknown type is answered at once.) HAProxy
# with "option get-values" waits for the answer before it sends the request;
# when its time limit has passed it closes on the visitor without a byte,
# request after request.
#
# FCGI_GET_VALUES is therefore no probe for a process manager: each one occupies
# a healthy worker and finds it dead.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='fcgiwrap=1.1.0-14+deb12u1
    libfcgi0ldbl=2.4.2-2+deb12u1
    libfcgi-perl=0.82+ds-2
    haproxy=2.6.12-1+deb12u3
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
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import time

LIMIT = 4
FAILED = []
WAIT = 1


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


def loopback():
    """The network namespace is ours: its loopback is down at first."""
    with socket.socket() as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sH22x", b"lo", 1))


def http(port, method="GET", body=b"", more=b""):
    with socket.create_connection(("127.0.0.1", port), LIMIT) as sock:
        sock.sendall(method.encode() + b" /x HTTP/1.1\r\nHost: x\r\n" +
                     b"Connection: close\r\n" + more + b"\r\n" + body)
        data = b""
        try:
            while True:
                part = sock.recv(65536)
                if not part:
                    return data
                data += part
        except TimeoutError:
            return data + b"<silent>"


def web_server(argv, port):
    log = open("/tmp/log%d" % port, "w+")
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log,
                               stderr=log)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process
        except OSError:
            time.sleep(0.05)
    log.seek(0)
    sys.exit("%s did not start:\n%s" % (argv[0], log.read()))


def end(process):
    os.kill(process.pid, signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def status(reply):
    return reply[9:12].decode() if reply.startswith(b"HTTP/") else "none"


def haproxy(port, path, more=""):
    with open("/tmp/haproxy.cfg", "w") as f:
        f.write("""defaults
 mode http
 timeout client %(limit)ds
 timeout server %(wait)ds
 timeout connect 1s
fcgi-app app
 docroot /tmp
 %(more)s
frontend web
 bind 127.0.0.1:%(port)d
 default_backend pool
backend pool
 use-fcgi-app app
 server s unix@%(path)s proto fcgi
""" % {"port": port, "path": path, "more": more, "limit": LIMIT,
       "wait": WAIT})
    return web_server(["/usr/sbin/haproxy", "-db", "-f", "/tmp/haproxy.cfg"],
                      port)


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


NAMES = b"".join(pair(n, "") for n in ("FCGI_MAX_CONNS", "FCGI_MAX_REQS",
                                       "FCGI_MPXS_CONNS"))
with open("/tmp/x", "w") as f:
    f.write("#!/bin/dash\nprintf 'Content-Type: text/plain\\n\\nhello'\n")
os.chmod("/tmp/x", 0o755)
with open("/tmp/x.pl", "w") as f:
    f.write('use FCGI; my $r = FCGI::Request(); while ($r->Accept() >= 0) '
            '{ print "Content-Type: text/plain\\r\\n\\r\\nhello" }')
with open("/tmp/x.php", "w") as f:
    f.write("hello")
loopback()
subprocess.run(["/usr/sbin/haproxy", "-v"])
subprocess.run(["/usr/bin/php-cgi8.2", "-n", "-v"])
for name, argv, script, silent in (
        ("fcgiwrap", ["/usr/sbin/fcgiwrap"], "/tmp/x", True),
        ("perl", ["/usr/bin/perl", "/tmp/x.pl"], "/tmp/x", True),
        ("php-cgi", ["/usr/bin/php-cgi8.2", "-n"], "/tmp/x.php", False)):
    path = "/tmp/" + name
    listener = listen(path)
    os.chmod(path, 0o666)
    process = start(argv, listener)
    params = {"SCRIPT_FILENAME": script, "REQUEST_METHOD": "GET",
              "REDIRECT_STATUS": "1"}
    sock = connect(path)
    sock.sendall(record(9, 0, NAMES))
    records, how = answer(sock)
    check(name + ", asked", [] if silent else [10], [r[0] for r in records])
    check(name + ", then", "silent", how)
    sock.sendall(request(params))
    records, how = answer(sock)
    check(name + ", a request after it, first record", 10 if silent else 6,
          records[0][0])
    if silent:
        print(records[0][2])
    check(name + ", how it ends", "END_REQUEST", how)
    sock.close()
    if silent:
        process2 = haproxy(8001, path, "option get-values")
        check("HAProxy asks %s" % name, [b"", b""],
              [http(8001) for _ in range(2)])
        end(process2)
        process2 = haproxy(8001, path)
        check("HAProxy, not asking %s" % name, "200", status(http(8001)))
        end(process2)
    check(name + " still runs", None, process.poll())
    end(process)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
