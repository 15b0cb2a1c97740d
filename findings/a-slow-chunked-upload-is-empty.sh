#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A client uploads a form in chunks, without a Content-Length, as HTTP/1.1
# allows. It sends the first half, and the second one a second later.
#
# Guess: the web server waits for the whole and tells its length, or answers
# 411; a CGI program knows the end of its input by CONTENT_LENGTH alone.
# Seen: nginx, HAProxy and lighttpd do wait for the whole. Apache by its
# defaults, and nginx with "fastcgi_request_buffering off", wait for what comes
# at once: a form that is complete by then has its CONTENT_LENGTH, and PHP has
# it. Of one that takes a second they pass both halves and no length: PHP has an
# empty $_POST and an empty php://input, no error, and answers 200. Perl's FCGI
# reads to the end of FCGI_STDIN and has all of it.
#
# An upload is lost or not by how the network cuts it: whoever tries it by hand
# finds it well. The worker counts a request served, and neither log nor status
# tells.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='apache2-bin=2.4.71-1~deb13u1
    haproxy=3.0.11-1+deb13u4
    lighttpd=1.4.79-2
    nginx=1.26.3-3+deb13u10
    php8.4-cgi=8.4.27-1~deb13u1
    libfcgi-perl=0.82+ds-3+b2
    python3=3.13.5-1'

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

# shellcheck disable=SC2086	# one word a package
mmdebstrap --quiet --variant=extract \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --include="$(printf '%s,' $packages)" \
    trixie "$tmp/root" "${MIRROR:-http://deb.debian.org/debian}"

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
LIMIT = 9


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
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def listen(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(16)
    os.chmod(path, 0o666)
    return listener


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


def apache(port, path):
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
ProxyFCGISetEnvIf true SCRIPT_FILENAME /tmp/x.php
ProxyPass / unix:%(path)s|fcgi://x/
""" % {"port": port, "path": path, "modules": "\n".join(
            "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so" % (m, m)
            for m in ("mpm_event", "proxy", "proxy_fcgi", "authz_core"))})
    return web_server(["/usr/sbin/apache2", "-DFOREGROUND", "-f",
                       "/tmp/apache.conf"], port)


def nginx(port, path, more=""):
    os.makedirs("/tmp/nginx%d" % port)
    os.chmod("/tmp/nginx%d" % port, 0o777)
    with open("/tmp/nginx.conf", "w") as f:
        f.write("""daemon off; master_process off; pid pid; events {}
error_log error.log;
http { access_log off;
%(temp)s
server { listen 127.0.0.1:%(port)d; location / { fastcgi_pass unix:%(path)s;
fastcgi_param REQUEST_METHOD $request_method;
fastcgi_param CONTENT_LENGTH $content_length;
fastcgi_param CONTENT_TYPE $content_type;
fastcgi_param SCRIPT_FILENAME /tmp/x.php; %(more)s } } }
""" % {"port": port, "path": path, "more": more, "temp": "\n".join(
            "%s_temp_path %s;" % (n, n) for n in
            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))})
    return web_server(["/usr/sbin/nginx", "-p", "/tmp/nginx%d" % port, "-e",
                       "error.log", "-c", "/tmp/nginx.conf"], port)


def nginx_unbuffered(port, path):
    return nginx(port, path, "fastcgi_request_buffering off;")


def haproxy(port, path):
    with open("/tmp/haproxy.cfg", "w") as f:
        f.write("""defaults
 mode http
 timeout client 9s
 timeout server 9s
 timeout connect 1s
fcgi-app app
 docroot /tmp
frontend web
 bind 127.0.0.1:%d
 default_backend pool
backend pool
 use-fcgi-app app
 server s unix@%s proto fcgi
""" % (port, path))
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


def upload(port, pause):
    """What the application says of the form a=1&b=2."""
    with socket.create_connection(("127.0.0.1", port), LIMIT) as sock:
        sock.sendall(b"POST /x.php HTTP/1.1\r\nHost: x\r\n"
                     b"Connection: close\r\nTransfer-Encoding: chunked\r\n"
                     b"Content-Type: application/x-www-form-urlencoded\r\n"
                     b"\r\n" + (b"4\r\na=1&\r\n" if pause else
                                b"4\r\na=1&\r\n3\r\nb=2\r\n0\r\n\r\n"))
        if pause:
            time.sleep(pause)
            sock.sendall(b"3\r\nb=2\r\n0\r\n\r\n")
        data = b""
        try:
            while True:
                part = sock.recv(65536)
                if not part:
                    break
                data += part
        except TimeoutError:
            return "silent"
    said = data.partition(b"<")[2].partition(b">")[0].decode()
    return data[9:12].decode() + ", " + said


with open("/tmp/x.php", "w") as f:
    f.write("""<?php
$length = $_SERVER["CONTENT_LENGTH"] ?? "";
printf("<length '%s', input '%s', %d fields>", $length,
    file_get_contents("php://input"), count($_POST));
""")
with open("/tmp/x.pl", "w") as f:
    f.write(r"""use FCGI;
my %env;
my $r = FCGI::Request(\*STDIN, \*STDOUT, \*STDERR, \%env);
while ($r->Accept() >= 0) {
    my $all = "";
    while (read(STDIN, my $part, 1000)) { $all .= $part; }
    my $length = $env{CONTENT_LENGTH} // "";
    print "Content-Type: text/plain\r\n\r\n<length '$length', input '$all'>";
}
""")
for argv in (("/usr/sbin/apache2", "-v"), ("/usr/sbin/haproxy", "-v"),
             ("/usr/sbin/lighttpd", "-v"),
             ("/usr/sbin/nginx", "-v"), ("/usr/bin/php-cgi8.4", "-n", "-v")):
    subprocess.run(argv)
loopback()
port = 8000
for server in apache, nginx_unbuffered, nginx, haproxy, lighttpd:
    cut = server in (apache, nginx_unbuffered)
    for program, argv in (
            ("php-cgi", ["/usr/bin/php-cgi8.4", "-n", "-d",
                         "cgi.force_redirect=0"]),
            ("perl", ["/usr/bin/perl", "/tmp/x.pl"])):
        php = program == "php-cgi"
        port += 1
        path = "/tmp/%d.socket" % port
        worker = subprocess.Popen(argv, stdin=listen(path), env={})
        web = server(port, path)
        whole = "200, length '7', input 'a=1&b=2'" + ", 2 fields" * php
        bare = "200, length '', input ''" + ", 0 fields" if php else \
            "200, length '', input 'a=1&b=2'"
        name = "%s, %s" % (server.__name__, program)
        check(name + ", at once", whole, upload(port, 0))
        check(name + ", a second between", bare if cut else whole,
              upload(port, 1))
        end(web)
        end(worker)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
