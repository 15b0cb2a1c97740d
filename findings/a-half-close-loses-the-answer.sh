#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A client sends a whole request, shuts down its sending half, since it has no
# more to say, and reads: what "nc -N" or socat does in a probe. The program
# takes half a second for its answer.
#
# Guess: the answer comes, from every runtime; the records have told the end of
# the request, and a half-closed connection is as good as any for the rest.
# Seen: php-cgi, Perl's FCGI, Ruby's and fcgiwrap answer. Go's net/http/fcgi and
# node-fastcgi close the connection at once, without a record; the handler works
# on to its end for nobody, and writes where nobody reads. Nothing is said.
#
# A probe or a warm-up request that a process manager sends must not half-close:
# it finds healthy workers dead, and each try leaves one more request at work in
# them that no connection shows.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='fcgiwrap=1.1.0-16
    golang-1.24-go=1.24.4-1
    golang-1.24-src=1.24.4-1
    libfcgi-perl=0.82+ds-3+b2
    node-fastcgi=1.3.3-8
    node-fastcgi-stream=1.0.0-2
    nodejs=20.19.2+dfsg-1+deb13u3
    php8.4-cgi=8.4.27-1~deb13u1
    ruby-fcgi=0.9.2.2-1+b2
    ruby=1:3.3+b1
    coreutils=9.7-3
    dash=0.5.12-12
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
import os
import socket
import struct
import subprocess
import sys
import time

FAILED = []
LIMIT = 9


def record(kind, data=b""):
    return struct.pack(">BBHHBx", 1, kind, 1, len(data), 0) + data


def pair(name, value):
    return struct.pack(">II", len(name) | 1 << 31, len(value) | 1 << 31) + \
        name.encode() + value.encode()


def ask(path, params, half):
    """The answer to a request, and whether it has ended."""
    names = b"".join(pair(n, v) for n, v in params.items())
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(LIMIT)
        sock.connect(path)
        sock.sendall(record(1, struct.pack(">HB5x", 1, 0)) +
                     record(4, names) + record(4) + record(5))
        if half:
            sock.shutdown(socket.SHUT_WR)
        data = b""
        try:
            while record(3, bytes(8)) not in data:
                part = sock.recv(65536)
                if not part:
                    return "closed after %d bytes" % len(data)
                data += part
        except OSError as e:
            return str(e)
    return "answered" if b"hello" in data else "no answer"


def listen(path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(16)
    return listener


def done(name):
    try:
        return os.path.getsize("/tmp/done-" + name)
    except FileNotFoundError:
        return 0


def wait_for(what, seconds=5):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


# Each takes half a second, answers, and makes its file in /tmp longer.
write("/tmp/x.php", """<?php usleep(500000); echo "hello";
file_put_contents("/tmp/done-php-cgi", "x", FILE_APPEND);""")
write("/tmp/x.pl", r"""use FCGI; my $r = FCGI::Request();
while ($r->Accept() >= 0) { select(undef, undef, undef, .5);
print "Content-Type: text/plain\r\n\r\nhello";
open(my $f, ">>", "/tmp/done-perl"); print $f "x"; close($f); }""")
write("/tmp/x.cgi", r"""#!/bin/dash
sleep .5; printf 'Content-Type: text/plain\n\nhello'
printf x >>/tmp/done-fcgiwrap""")
os.chmod("/tmp/x.cgi", 0o755)
write("/tmp/x.rb", r"""require "fcgi"
FCGI.each { |r| sleep 0.5
r.out.print "Content-Type: text/plain\r\n\r\nhello"; r.finish
File.write("/tmp/done-ruby", "x", mode: "a") }""")
write("/tmp/x.js", """const fs = require("fs");
require("/usr/share/nodejs/node-fastcgi").createServer((q, s) =>
setTimeout(() => { s.end("hello"); fs.appendFileSync("/tmp/done-node", "x"); },
500)).listen({fd: 0});""")
write("/tmp/x.go", """package main

import ("io"; "net/http"; "net/http/fcgi"; "os"; "time")

func answer(w http.ResponseWriter, r *http.Request) {
	time.Sleep(500 * time.Millisecond)
	io.WriteString(w, "hello")
	f, _ := os.OpenFile("/tmp/done-go",
		os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0644)
	f.WriteString("x")
	f.Close()
}

func main() { fcgi.Serve(nil, http.HandlerFunc(answer)) }
""")
GO = "/usr/lib/go-1.24"
subprocess.run([GO + "/bin/go", "build", "-p", "1", "-o", "/tmp/x.bin",
                "/tmp/x.go"], check=True,
               env={"HOME": "/tmp", "CGO_ENABLED": "0", "GO111MODULE": "off",
                    "GOROOT": GO, "PATH": "/usr/bin"})
for argv in ((GO + "/bin/go", "version"), ("/usr/bin/node", "--version"),
             ("/usr/bin/php-cgi8.4", "-n", "-v")):
    subprocess.run(argv, env={"GOROOT": GO, "HOME": "/tmp"})
for name, argv, script in (
        ("php-cgi", ["/usr/bin/php-cgi8.4", "-n"], "/tmp/x.php"),
        ("perl", ["/usr/bin/perl", "/tmp/x.pl"], "/x"),
        ("ruby", ["/usr/bin/ruby", "-W0", "/tmp/x.rb"], "/x"),
        ("fcgiwrap", ["/usr/sbin/fcgiwrap"], "/tmp/x.cgi"),
        ("go", ["/tmp/x.bin"], "/x"),
        ("node", ["/usr/bin/node", "/tmp/x.js"], "/x")):
    path = "/tmp/%s.socket" % name
    process = subprocess.Popen(argv, stdin=listen(path),
                               env={"PATH": "/usr/bin"})
    params = {"REQUEST_METHOD": "GET", "REDIRECT_STATUS": "1",
              "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_URI": "/x",
              "SCRIPT_FILENAME": script}
    for half in False, True:
        lost = half and name in ("go", "node")
        before = done(name)
        check("%s, %s" % (name, "half-closed" if half else "open"),
              "closed after 0 bytes" if lost else "answered",
              ask(path, params, half))
        check(name + ", the work is done", True,
              wait_for(lambda: done(name) > before))
    check(name + ", still runs", None, process.poll())
    process.kill()
    process.wait()

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 180 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
