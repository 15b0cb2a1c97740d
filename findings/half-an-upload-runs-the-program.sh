#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A visitor sends a form and leaves in the middle of it: 50,000 of 60,000 bytes
# have arrived. The web server passes the body on as it comes, as Apache does by
# its defaults, and nginx with "fastcgi_request_buffering off", and closes its
# connection to the application before FCGI_STDIN has ended.
#
# Guess: the request is given up. The worker waits for the rest, finds the
# connection closed, and accepts the next one; the program never starts.
# Seen: it starts, at that moment. PHP runs the script with REQUEST_METHOD POST
# and the CONTENT_LENGTH of the whole. $_POST has the fields of the first 49,152
# bytes, cut to blocks of 16,384, the last field shortened; of a form below that
# it is empty. connection_aborted() is 0. Perl's FCGI runs, too, and reads what
# came as if that were the end.
#
# A visitor who leaves, or a web server that is ended, starts work in a pool
# that acts on half a form and whose answer nobody reads. Only a program that
# compares CONTENT_LENGTH with what it has can tell. To a process manager it is
# a request served as usual.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='apache2-bin=2.4.71-1~deb13u1
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


def wait_for(what, seconds=5):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def said():
    try:
        with open("/tmp/said") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def upload(port, size, sent):
    """Send the first bytes of a form, and leave; what the program has."""
    if said():
        os.unlink("/tmp/said")
    form = b"a=1&b=" + b"x" * (size - 10) + b"&c=3"
    sock = socket.create_connection(("127.0.0.1", port), LIMIT)
    sock.sendall(b"POST /x.php HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
                 b"Content-Type: application/x-www-form-urlencoded\r\n"
                 b"Connection: close\r\n\r\n" % size + form[:sent])
    early = sent < size and wait_for(said, 1)
    if sent == size:
        wait_for(said)
    sock.close()
    return "early" if early else said() if wait_for(said) else "not run"


with open("/tmp/x.php", "w") as f:
    f.write("""<?php
$said = sprintf("POST of %s: %s, aborted %d", $_SERVER["CONTENT_LENGTH"],
    json_encode(array_map("strlen", $_POST)), connection_aborted());
file_put_contents("/tmp/.said", $said);
rename("/tmp/.said", "/tmp/said");
""")
with open("/tmp/x.pl", "w") as f:
    f.write(r"""use FCGI;
my %env;
my $r = FCGI::Request(\*STDIN, \*STDOUT, \*STDERR, \%env);
while ($r->Accept() >= 0) {
    my $all = "";
    while (read(STDIN, my $part, 1000)) { $all .= $part; }
    open(my $f, ">", "/tmp/.said");
    print $f "$env{REQUEST_METHOD} of $env{CONTENT_LENGTH}: ", length($all);
    close($f);
    rename("/tmp/.said", "/tmp/said");
    print "Content-Type: text/plain\r\n\r\nhello";
}
""")
for argv in (("/usr/sbin/apache2", "-v"), ("/usr/sbin/nginx", "-v"),
             ("/usr/bin/php-cgi8.4", "-n", "-v")):
    subprocess.run(argv)
loopback()
port = 8000
for server in apache, nginx_unbuffered, nginx:
    for program, argv in (
            ("php-cgi", ["/usr/bin/php-cgi8.4", "-n", "-d",
                         "cgi.force_redirect=0"]),
            ("perl", ["/usr/bin/perl", "/tmp/x.pl"])):
        port += 1
        path = "/tmp/%d.socket" % port
        worker = subprocess.Popen(argv, stdin=listen(path), env={})
        web = server(port, path)
        for size, sent in (60000, 60000), (60000, 50000), (6000, 5000):
            if server == nginx and sent < size:
                has = "not run"
            elif program == "perl":
                has = "POST of %d: %d" % (size, sent)
            else:
                whole = sent if sent == size else sent // 16384 * 16384
                fields = '{"a":1,"b":%d,"c":1}' % (size - 10) \
                    if whole == size else '{"a":1,"b":%d}' % (whole - 6) \
                    if whole else "[]"
                has = "POST of %d: %s, aborted 0" % (size, fields)
            check("%s, %s, %d of %d" % (server.__name__, program, sent, size),
                  has, upload(port, size, sent))
        check("%s, %s, still runs" % (server.__name__, program), None,
              worker.poll())
        end(web)
        end(worker)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
