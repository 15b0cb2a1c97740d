#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A worker forks in the middle of a request, and the child ends at once: a job
# for later, or an exec that failed. The parent waits for it and writes the
# rest.
#
# Guess: the child's end changes nothing for the request, as with a CGI program.
# Seen: libfcgi (C with fcgi_stdio, Perl's FCGI) ends the request in the child's
# exit: what was written so far goes out, then the end of stdout and an
# FCGI_END_REQUEST with status 0, and the connection is shut down. The client
# has half a page that counts as whole; what the parent writes after that goes
# nowhere, and it is told nothing. With _exit in the child the page is whole.
# Ruby's own library does not end it either way.
#
# A process manager sees a worker that still works on a request whose answer the
# web server has already taken for complete; if it measures a request until its
# end record it is wrong by the rest of the work, and no log has the loss.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='gcc=4:12.2.0-3
    libc6-dev=2.36-9+deb12u14
    libfcgi-dev=2.4.2-2+deb12u1
    libfcgi-perl=0.82+ds-2
    ruby-fcgi=0.9.2.1-3+b2
    ruby=1:3.1
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
import os
import signal
import socket
import struct
import subprocess
import sys

FAILED = []
HEAD = r"Content-Type: text/plain\r\n\r\n"
LIMIT = 5


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


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


def write(name, text):
    with open("/tmp/" + name, "w") as f:
        f.write(text)


write("x.c", """#include <fcgi_stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	while (FCGI_Accept() >= 0) {
		printf("%sbefore ");
		if (fork() == 0) {
			if (argc > 1)
				_exit(0);
			exit(0);
		}
		wait(NULL);
		printf("after");
	}
	return 0;
}
""" % HEAD)
write("x.pl", "use FCGI; use POSIX; my $r = FCGI::Request();"
      "while ($r->Accept() >= 0) { print \"%sbefore \"; my $p = fork;"
      "if (!$p) { POSIX::_exit(0) if @ARGV; exit 0; }"
      "waitpid $p, 0; print 'after'; }" % HEAD)
write("x.rb", "require 'fcgi'; FCGI.each { |r| r.out.print \"%sbefore \";"
      "p = fork { ARGV.empty? ? exit(0) : exit!(0) }; Process.wait p;"
      "r.out.print 'after'; r.finish }" % HEAD)
subprocess.run(["gcc", "-o", "/tmp/c", "/tmp/x.c", "-lfcgi"], check=True)
for name, argv in (("c", ["/tmp/c"]),
                   ("perl", ["/usr/bin/perl", "/tmp/x.pl"]),
                   ("ruby", ["/usr/bin/ruby3.1", "/tmp/x.rb"])):
    for way, more in ("exit", []), ("_exit", ["x"]):
        path = "/tmp/%s%s" % (name, way)
        process = start(argv + more, listen(path), stderr=subprocess.DEVNULL)
        for turn in "first", "second":
            sock = connect(path)
            sock.sendall(request({"REQUEST_METHOD": "GET"}))
            seen, last = answer(sock)
            text = b"".join(data for kind, _, data in seen if kind == 6)
            half = way == "exit" and name != "ruby"
            check("%s, %s in the child, %s request" % (name, way, turn),
                  ("before " if half else "before after", bytes(8), last),
                  (text.decode().partition("\r\n\r\n")[2], seen[-1][2],
                   "END_REQUEST"))
            sock.close()
        check("  the worker lives", None, process.poll())
        end(process)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
