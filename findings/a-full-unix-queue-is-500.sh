#!/bin/sh
# SPDX-License-Identifier: ISC
#
# The queue of the application's unix socket is full: every worker is busy and
# as many connections as the backlog allows are waiting.
#
# Guess: a web server waits for its connect time limit, as it would over TCP,
# and then answers 502, 503 or 504.
# Seen: the kernel answers EAGAIN at once. HAProxy makes it 503 and nginx and
# Caddy 502, in no time, whatever their time limits. lighttpd takes the
# connection for one under way, fails to write, logs "connection was dropped
# after accept() (perhaps the gw process died)", and answers 500. Apache waits,
# as one would over TCP, and is served when there is room.
#
# A pool that is only busy looks like one whose workers die, by status and by
# log, and each server calls it by another name. The backlog of a unix socket is
# a limit on the visitors at the same time, not a buffer that one may keep
# small.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='apache2-bin=2.4.68-1~deb12u1
    caddy=2.6.2-5
    haproxy=2.6.12-1+deb12u3
    lighttpd=1.4.69-1
    nginx=1.22.1-9+deb12u9
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

FAILED = []
LIMIT = 5
WAIT = 3


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


def loopback():
    """The network namespace is ours: its loopback is down at first."""
    with socket.socket() as sock:
        fcntl.ioctl(sock, 0x8914, struct.pack("16sH22x", b"lo", 1))


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


def lighttpd(port, path):
    with open("/tmp/lighttpd.conf", "w") as f:
        f.write("""server.modules = ("mod_fastcgi")
server.document-root = "/tmp"
server.bind = "127.0.0.1"
server.port = %d
fastcgi.server = ("/" => (("socket" => "%s", "check-local" => "disable")))
""" % (port, path))
    return web_server(["/usr/sbin/lighttpd", "-D", "-f",
                       "/tmp/lighttpd.conf"], port)


def nginx(port, path, more="", upstream=""):
    os.makedirs("/tmp/nginx%d" % port)
    os.chmod("/tmp/nginx%d" % port, 0o777)
    with open("/tmp/nginx.conf", "w") as f:
        f.write("""daemon off; master_process off; pid pid; events {}
error_log error.log;
http { access_log off; client_max_body_size 9m;
%(temp)s
upstream app { server unix:%(path)s; %(upstream)s }
server { listen 127.0.0.1:%(port)d; location / {
fastcgi_pass app; fastcgi_param REQUEST_METHOD $request_method;
fastcgi_param CONTENT_LENGTH $content_length; %(more)s } } }
""" % {"port": port, "path": path, "more": more, "upstream": upstream,
       "temp": "\n".join("%s_temp_path %s;" % (n, n) for n in
                         ("client_body", "proxy", "fastcgi", "uwsgi",
                          "scgi"))})
    return web_server(["/usr/sbin/nginx", "-p", "/tmp/nginx%d" % port, "-e",
                       "error.log", "-c", "/tmp/nginx.conf"], port)


def caddy(port, path):
    with open("/tmp/Caddyfile", "w") as f:
        f.write("""{
 admin off
 auto_https off
}
:%d {
 bind 127.0.0.1
 reverse_proxy unix/%s {
  transport fastcgi {
   root /tmp
  }
 }
}
""" % (port, path))
    os.environ["HOME"] = "/tmp"
    return web_server(["/usr/bin/caddy", "run", "--config", "/tmp/Caddyfile",
                       "--adapter", "caddyfile"], port)


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


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


loopback()
for argv in ("sbin/apache2", "-v"), ("bin/caddy", "version"), \
        ("sbin/haproxy", "-v"), ("sbin/lighttpd", "-v"), ("sbin/nginx", "-v"):
    subprocess.run(("/usr/" + argv[0], argv[1]))


def listen(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(0)
    os.chmod(path, 0o666)
    waiting = socket.socket(socket.AF_UNIX)
    waiting.connect(path)
    return listener, waiting


def make_room(listener):
    """The application is free again: serve whoever comes."""
    listener.accept()[0].close()
    conn = listener.accept()[0]
    rid, _ = read_request(conn)
    conn.sendall(record(6, rid, b"Content-Type: text/plain\r\n\r\nhello") +
                 record(6, rid) + end_request(rid))
    conn.close()


for port, server, path, expected in (
        (8001, apache, "unix:/tmp/%d|fcgi://x/", "200"),
        (8002, caddy, "//tmp/%d", "502"), (8003, haproxy, "/tmp/%d", "503"),
        (8004, lighttpd, "/tmp/%d", "500"), (8005, nginx, "/tmp/%d", "502")):
    listener, waiting = listen("/tmp/%d" % port)
    process = server(port, path % port)
    timer = threading.Timer(2, make_room, [listener])
    timer.daemon = True
    timer.start()
    begun = time.monotonic()
    reply = http(port)
    check(server.__name__, expected, status(reply))
    check("  at once", server is not apache, time.monotonic() - begun < 1)
    timer.cancel()
    end(process)
    if server is lighttpd:
        with open("/tmp/log%d" % port) as f:
            check("  says that it may have died", True,
                  "perhaps the gw process died" in f.read())

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
