#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The application is away for a moment (a restart) while Apache has a request.
#
# Guess: ProxyPass puts the backend into the error state for retry= seconds, 60
# unless set, as its manual has it, so that a gap of a moment becomes a minute
# of 503.
# Seen: neither over a unix socket nor over TCP, with retry=60 written out: the
# request in the gap gets 503, the next one is tried and served. (The members of
# a balancer were not tried.)
#
# A gap in the service of a pool costs the requests that fall into it and no
# more; advice to set retry=0 for a single FastCGI backend changes nothing, and
# where a minute of 503 follows a restart the cause is another.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='apache2-bin=2.4.68-1~deb12u1
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
import threading
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


def read_request(sock, body=True):
    """The request's id and whether the web server keeps the connection."""
    keep = 0
    while True:
        kind, rid, data = read_record(sock)
        if kind == 1:
            keep = data[2]
        if kind == (5 if body else 4) and not data:
            return rid, keep


def end_request(rid, status=0, protocol=0):
    return record(3, rid, struct.pack(">IB3x", status, protocol))


def application(path, serve):
    """A FastCGI application: serve(connection) for each connection."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(16)
    os.chmod(path, 0o666)

    def one(conn):
        try:
            serve(conn)
        except (EOFError, OSError):
            pass
        conn.close()

    def loop():
        while True:
            conn = listener.accept()[0]
            threading.Thread(target=one, args=(conn,), daemon=True).start()
    threading.Thread(target=loop, daemon=True).start()


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


def apache(port, path, more=""):
    os.makedirs("/tmp/apache%d" % port)
    with open("/tmp/apache.conf", "w") as f:
        f.write("""ServerRoot /tmp/apache%(port)d
%(modules)s
ServerName x
User www-data
Group www-data
Listen 127.0.0.1:%(port)d
DefaultRuntimeDir .
PidFile pid
Mutex posixsem
ErrorLog error.log
ProxyTimeout %(limit)d
%(more)s
ProxyPass / %(path)s
""" % {"port": port, "path": path, "more": more, "limit": LIMIT,
       "modules": "\n".join(
           "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so" % (m, m)
           for m in ("mpm_event", "proxy", "proxy_fcgi", "authz_core"))})
    return web_server(["/usr/sbin/apache2", "-DFOREGROUND", "-f",
                       "/tmp/apache.conf"], port)


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])



def serve(conn):
    rid, _ = read_request(conn)
    conn.sendall(record(6, rid, b"Content-Type: text/plain\r\n\r\nhello") +
                 record(6, rid) + end_request(rid))


def tcp(serve, port):
    listener = socket.create_server(("127.0.0.1", port))

    def loop():
        while True:
            conn = listener.accept()[0]
            try:
                serve(conn)
            except (EOFError, OSError):
                pass
            conn.close()
    threading.Thread(target=loop, daemon=True).start()


loopback()
subprocess.run(["/usr/sbin/apache2", "-v"])
for port, where in ((8001, "unix:/tmp/app|fcgi://x/"),
                    (8002, "fcgi://127.0.0.1:9001/")):
    process = apache(port, where + " retry=60")
    check(where + ", away", ["503", "503"], [status(http(port))
                                             for _ in range(2)])
    if port == 8001:
        application("/tmp/app", serve)
    else:
        tcp(serve, 9001)
    check(where + ", back", ["200"] * 3, [status(http(port))
                                          for _ in range(3)])
    with open("/tmp/apache%d/error.log" % port) as f:
        log = f.read()
        print(log)
        check("the log: connection refused, backend disabled", (True, False),
              ("AH01079" in log, "AH00959" in log))
    end(process)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
