#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A CGI program sends its visitor elsewhere as RFC 3875 has it, by a Location
# and nothing else: "Location: http://other.example/", an empty line, the end.
# It runs under fcgiwrap, or speaks FastCGI itself.
#
# Guess: each web server makes it "302 Found", which is what Location without a
# Status means in CGI; and a Location that is a path is answered from there, or
# is a 302 as well.
# Seen: nginx, lighttpd and HAProxy answer 302, to both. Apache's mod_proxy_fcgi
# and Caddy answer 200 with the Location in it, which browsers do not follow:
# the visitor has an empty page. None of the five answers from the path itself.
#
# A script that did well under Apache's mod_cgi redirects nobody when it is
# moved behind mod_proxy_fcgi, or from nginx to Caddy; every log has 200. The
# program has to send a Status with each Location.
#
# Needs root, mmdebstrap and an archive of Debian's snapshots ($SNAPSHOT).

set -eu

packages='apache2-bin=2.4.69-1
    caddy=2.11.4-1
    haproxy=3.2.26-1
    lighttpd=1.4.85-1
    nginx=1.30.6-2
    python3=3.14.8-1'

snapshot=http://snapshot.debian.org/archive/debian/20261030T120000Z

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

# The archive's date is not looked at: sid's list is valid for some days only.
# shellcheck disable=SC2086	# one word a package
mmdebstrap --quiet --variant=extract \
    --aptopt='Acquire::Check-Valid-Until "false"' \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --include="$(printf '%s,' $packages)" \
    sid "$tmp/root" "${SNAPSHOT:-$snapshot}"

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
WAIT = 5


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
ProxyPass / unix:%(path)s|fcgi://x/
""" % {"port": port, "path": path, "more": more, "limit": LIMIT,
       "modules": "\n".join(
           "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so" % (m, m)
           for m in ("mpm_event", "proxy", "proxy_fcgi", "authz_core"))})
    return web_server(["/usr/sbin/apache2", "-DFOREGROUND", "-f",
                       "/tmp/apache.conf"], port)


def caddy(port, path):
    with open("/tmp/Caddyfile", "w") as f:
        f.write("""{
 admin off
 auto_https off
}
http://:%d {
 bind 127.0.0.1
 reverse_proxy unix/%s {
  transport fastcgi
 }
}
""" % (port, path))
    os.environ["HOME"] = "/tmp"
    return web_server(["/usr/bin/caddy", "run", "--config", "/tmp/Caddyfile",
                       "--adapter", "caddyfile"], port)


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


def lighttpd(port, path, more=""):
    with open("/tmp/lighttpd.conf", "w") as f:
        f.write("""server.modules = ("mod_fastcgi")
server.document-root = "/tmp"
server.bind = "127.0.0.1"
server.port = %d
%s
fastcgi.server = ("/" => (("socket" => "%s", "check-local" => "disable")))
""" % (port, more, path))
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


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


where = []


def serve(conn):
    rid, _ = read_request(conn)
    conn.sendall(record(6, rid, b"Location: %s\r\n\r\n" % where[-1]) +
                 record(6, rid) + end_request(rid))


def location(reply):
    return [line.split(b" ", 1)[1] for line in reply.split(b"\r\n")
            if line.lower().startswith(b"location:")]


loopback()
for argv in (("/usr/sbin/apache2", "-v"), ("/usr/bin/caddy", "version"),
             ("/usr/sbin/haproxy", "-v"), ("/usr/sbin/lighttpd", "-v"),
             ("/usr/sbin/nginx", "-v")):
    subprocess.run(argv)
application("/tmp/app", serve)
for port, server in ((8001, apache), (8002, caddy), (8003, haproxy),
                     (8004, lighttpd), (8005, nginx)):
    process = server(port, "/tmp/app")
    for url in b"http://other.example/", b"/y":
        where.append(url)
        reply = http(port)
        check("%s, Location: %s" % (server.__name__, url.decode()),
              ("200" if server in (apache, caddy) else "302", [url]),
              (status(reply), location(reply)))
    end(process)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
