#!/bin/sh
# SPDX-License-Identifier: ISC
#
# HEAD for a CGI program or an application that prints its page as it does for
# GET, as most do, since web servers cut the body off.
#
# Guess: HAProxy cuts it off too.
# Seen: nginx and lighttpd answer 200 without the body. HAProxy answers 502,
# whatever the length of the body, with or without a Content-Length, as if the
# application had broken the protocol; the application was content and ended the
# request as usual. GET is fine, and so is HEAD for a program without a body.
#
# A monitor that asks HAProxy by HEAD reports a dead pool while every worker is
# well, and a 502 in HAProxy's statistics is no proof that a worker was lost.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='haproxy=2.6.12-1+deb12u3
    lighttpd=1.4.69-1
    nginx=1.22.1-9+deb12u9
    fcgiwrap=1.1.0-14+deb12u1
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
import threading
import time

LIMIT = 5
FAILED = []
WAIT = 4


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


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])



def script(text):
    with open("/tmp/y", "w") as f:
        f.write("#!/bin/dash\nprintf 'Content-Type: text/plain\\r\\n%s'\n" %
                text)
    os.chmod("/tmp/y", 0o755)
    os.rename("/tmp/y", "/tmp/x")


loopback()
for argv in ("haproxy", "-v"), ("lighttpd", "-v"), ("nginx", "-v"):
    subprocess.run(("/usr/sbin/" + argv[0], argv[1]))
listener = socket.socket(socket.AF_UNIX)
listener.bind("/tmp/app")
listener.listen(16)
os.chmod("/tmp/app", 0o666)
application = subprocess.Popen(["/usr/sbin/fcgiwrap"], stdin=listener)
for port, server in (8001, haproxy), (8002, lighttpd), (8003, nginx):
    more = ("fastcgi_param SCRIPT_FILENAME /tmp/x;",) if server is nginx \
        else ("no option keep-conn",) if server is haproxy else ()
    process = server(port, "/tmp/app", *more)
    for name, text in (("no body", "\\r\\n"),
                       ("5 bytes", "\\r\\nhello"),
                       ("5 bytes, length",
                        "Content-Length: 5\\r\\n\\r\\nhello"),
                       ("9000 bytes", "\\r\\n%09000d")):
        script(text)
        for method in "GET", "HEAD":
            fails = server is haproxy and method == "HEAD" and \
                name != "no body"
            reply = http(port, method)
            check("%s, %s, %s" % (server.__name__, method, name),
                  "502" if fails else "200", status(reply))
    end(process)
end(application)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
