#!/bin/sh
# SPDX-License-Identifier: ISC
#
# "fastcgi_keep_conn on" in nginx, an upstream block without "keepalive", as in
# many a configuration, and one idle php-cgi worker. Two locations pass to it.
#
# Guess: nothing is kept, since keepalive sets how many connections are, and it
# is not set; fastcgi_keep_conn alone only makes nginx end the answer at
# FCGI_END_REQUEST.
# Seen: so it is in nginx 1.26. nginx 1.30 keeps the connection, in a place of
# each location's own: a visitor of the same location is served over it, and one
# of the other location opens a second connection and waits for a worker that
# does nothing; it still does after 5 seconds. "keepalive 0" gives the old
# behavior back, and "keepalive 4" shares between the locations.
# fastcgi_pass with the socket's address instead of an upstream block keeps
# nothing in either.
#
# An upgrade of nginx alone ties idle workers to locations; a pool with fewer
# workers than nginx has locations and processes may keep visitors waiting at
# hardly any load, with each worker idle and none in accept.
#
# Needs root, mmdebstrap and, as no release keeps what it had, Debian's archive
# of that day ($SNAPSHOT).

set -eu

old='nginx=1.26.3-3+deb13u10
    php8.4-cgi=8.4.27-1~deb13u1
    python3=3.13.5-1'
new='nginx=1.30.6-2
    php8.4-cgi=8.4.27-1
    python3=3.14.8-1'

snapshot=http://snapshot.debian.org/archive/debian/20261030T120000Z

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

cat >"$tmp/try.py" <<'EOF'
import fcntl
import os
import socket
import struct
import subprocess
import sys
import time

FAILED = []
LIMIT = 5


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


def nginx(port, path, upstream, direct=False):
    os.makedirs("/tmp/nginx%d" % port)
    os.chmod("/tmp/nginx%d" % port, 0o777)
    with open("/tmp/nginx.conf", "w") as f:
        f.write("""daemon off; master_process off; pid pid; events {}
error_log error.log;
http { access_log off;
%(temp)s
fastcgi_keep_conn on; fastcgi_param REQUEST_METHOD $request_method;
fastcgi_param SCRIPT_FILENAME /tmp/x;
upstream app { server unix:%(path)s; %(upstream)s }
server { listen 127.0.0.1:%(port)d;
location /a { fastcgi_pass %(target)s; }
location /b { fastcgi_pass %(target)s; } } }
""" % {"port": port, "path": path, "upstream": upstream,
       "target": "unix:" + path if direct else "app",
       "temp": "\n".join("%s_temp_path %s;" % (n, n) for n in
                         ("client_body", "proxy", "fastcgi", "uwsgi",
                          "scgi"))})
    return web_server(["/usr/sbin/nginx", "-p", "/tmp/nginx%d" % port, "-e",
                       "error.log", "-c", "/tmp/nginx.conf"], port)


def visit(port, path):
    with socket.create_connection(("127.0.0.1", port), LIMIT) as sock:
        sock.sendall(b"GET " + path + b" HTTP/1.0\r\n\r\n")
        try:
            return sock.recv(65536)[9:12].decode()
        except TimeoutError:
            return "waits"


def where(pid):
    """What the worker sleeps in: accept, or read on a connection."""
    end = time.monotonic() + 2
    while True:
        with open("/proc/%d/syscall" % pid) as f:
            words = f.read().split()
        accepts = words[0] in ("43", "288", "202", "242")
        if accepts or time.monotonic() > end:
            return "accept" if accepts else "a connection"
        time.sleep(0.02)


new = sys.argv[1] == "new"
with open("/tmp/x", "w") as f:
    f.write("<?php echo 'hello';")
subprocess.run(["/usr/sbin/nginx", "-v"])
subprocess.run(["/usr/bin/php-cgi8.4", "-n", "-v"])
loopback()
port = 8000
for name, args, kept, shared in (
        ("upstream", ("",), new, False),
        ("upstream, keepalive 4", ("keepalive 4;",), True, True),
        ("upstream, keepalive 0", ("keepalive 0;",), False, False),
        ("address", ("", True), False, False)):
    if name == "upstream, keepalive 0" and not new:
        continue
    port += 1
    path = "/tmp/%d.socket" % port
    worker = subprocess.Popen(["/usr/bin/php-cgi8.4", "-n", "-d",
                               "cgi.force_redirect=0"], stdin=listen(path),
                              env={})
    web = nginx(port, path, *args)
    for visitor in b"/a", b"/a", b"/b":
        late = visitor == b"/b" and kept and not shared
        check("%s, %s" % (name, visitor.decode()), "waits" if late else "200",
              visit(port, visitor))
    check("%s, the idle worker is in" % name,
          "a connection" if kept else "accept", where(worker.pid))
    end(web)
    end(worker)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

# try NAME RELEASE PACKAGES MIRROR: the same in a root of that release. The
# archive's date is not looked at: sid's list is valid for some days only.
try() {
	# shellcheck disable=SC2086	# one word a package
	mmdebstrap --quiet --variant=extract \
	    --aptopt='Acquire::Check-Valid-Until "false"' \
	    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
	    --include="$(printf '%s,' $3)" \
	    "$2" "$tmp/$1" "$4"
	cd "$tmp/$1"
	cp ../try.py .
	mkdir -p proc tmp run
	chmod 1777 tmp
	printf '%s\n' root:x:0:0::/:/bin/sh www-data:x:33:33::/:/bin/sh \
	    nobody:x:65534:65534::/:/bin/sh >etc/passwd
	printf '%s\n' root:x:0: www-data:x:33: nogroup:x:65534: >etc/group

	printf '%s\n' "$3"
	timeout 120 unshare --net --pid --fork --kill-child \
	    --mount-proc="$PWD/proc" \
	    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin \
	    chroot . /usr/bin/python3 /try.py "$1"
}

try old trixie "$old" "${SNAPSHOT:-$snapshot}"
try new sid "$new" "${SNAPSHOT:-$snapshot}"
