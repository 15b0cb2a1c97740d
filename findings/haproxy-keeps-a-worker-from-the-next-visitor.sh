#!/bin/sh
# SPDX-License-Identifier: ISC
#
# One worker, idle, behind HAProxy with a fcgi-app as the manual has it
# (keep-conn is the default). Visitors come one after another, each on a
# connection of his own.
#
# Guess: HAProxy keeps the connection to the worker and sends the next request
# over it; keeping is what makes it quick.
# Seen: the first visitor is served at once, each further one after five
# seconds. http-reuse is "safe" unless set: a visitor's first request may not go
# over a connection that others have used, so HAProxy opens a second one and
# leaves the first open and idle, until it purges it after five seconds. The
# worker sits in read on the idle one all that time: php-cgi and Perl's FCGI
# both. With "no option keep-conn" or "http-reuse always" all are served at
# once, and so they are by nginx with fastcgi_keep_conn and keepalive.
#
# With N workers it is the visitor N+1 within five seconds who waits, on a site
# where nobody asks for much: every worker is idle, holds a connection, and is
# busy for whoever counts connections.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='haproxy=2.6.12-1+deb12u3
    nginx=1.22.1-9+deb12u9
    php8.2-cgi=8.2.32-1~deb12u1
    libfcgi-perl=0.82+ds-2
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
import socket
import struct
import subprocess
import sys
import time

FAILED = []
LIMIT = 20
WAIT = 20


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


def status(reply):
    return reply[9:12].decode() if reply.startswith(b"HTTP/") else "none"


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


def listen(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(16)
    os.chmod(path, 0o666)
    return listener


def end(process):
    process.kill()
    process.wait()


def haproxy(port, path, more="", backend=""):
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
 %(backend)s
 server s unix@%(path)s proto fcgi
""" % {"port": port, "path": path, "more": more, "limit": LIMIT,
       "wait": WAIT, "backend": backend})
    return web_server(["/usr/sbin/haproxy", "-db", "-f", "/tmp/haproxy.cfg"],
                      port)


def ask(port):
    begun = time.monotonic()
    reply = http(port)
    return status(reply), "late" if time.monotonic() - begun > 3 else "at once"


with open("/tmp/x", "w") as f:
    f.write("<?php echo 'hello';")
with open("/tmp/x.pl", "w") as f:
    f.write("use FCGI; my $r = FCGI::Request(); while ($r->Accept() >= 0) {"
            r'print "Content-Type: text/plain\r\n\r\nhello"; }')
for argv in ("/usr/sbin/haproxy", "-v"), ("/usr/sbin/nginx", "-v"), \
        ("/usr/bin/php-cgi8.2", "-n", "-v"):
    subprocess.run(argv)
loopback()
script = "fastcgi_keep_conn on; fastcgi_param SCRIPT_FILENAME /tmp/x;"
port = 8000
for worker, argv in (("php-cgi", ["/usr/bin/php-cgi8.2", "-n", "-d",
                                  "cgi.force_redirect=0"]),
                     ("perl", ["/usr/bin/perl", "/tmp/x.pl"])):
    for name, server, more in (
            ("haproxy", haproxy, []),
            ("haproxy, no keep-conn", haproxy, ["no option keep-conn"]),
            ("haproxy, http-reuse always", haproxy,
             ["", "http-reuse always"]),
            ("nginx, keepalive", nginx, [script, "keepalive 4;"])):
        port += 1
        path = "/tmp/%d.socket" % port
        process = subprocess.Popen(argv, stdin=listen(path), env={})
        web = server(port, path, *more)
        late = name == "haproxy"
        for visitor in "first", "second", "third":
            check("%s, %s, %s visitor" % (worker, name, visitor),
                  ("200", "late" if late and visitor != "first" else
                   "at once"), ask(port))
        end(web)
        end(process)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
