#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A worker is started with variables of its own: PATH, TZ, the password of the
# database. The request brings variables, too (FCGI_PARAMS).
#
# Guess: in a request the program finds both, those of the request on top.
# Seen: with libfcgi the request's variables take the place of the environment.
# In Perl's FCGI and Lua's wsapi, PATH and all else is gone while a request
# runs, also for the commands that the program starts. Before the first request
# it is there; in Perl it is not back when a request has ended. In Ruby and PHP
# and under fcgiwrap it is found all the time.
#
# What a process manager sets for its workers (-e, --env-file) arrives and
# cannot be found when it is needed; a program of that kind has to copy it
# before its first request. /proc/PID/environ goes on showing it, so a look from
# outside finds nothing wrong.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='php8.2-cgi=8.2.32-1~deb12u1
    libfcgi-perl=0.82+ds-2
    lua-wsapi-fcgi=1.6.1-2
    lua5.1=5.1.5-9
    ruby-fcgi=0.9.2.1-3+b2
    ruby=1:3.1
    fcgiwrap=1.1.0-14+deb12u1
    dash=0.5.12-2
    coreutils=9.1-1
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

ENV = {"WORD": "own", "PATH": "/usr/bin"}
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
    os.chmod("/tmp/" + name, 0o755)


# Each prints WORD as the program sees it, as a program that it starts does, and
# REQUEST_METHOD.
CHILD = "/usr/bin/printenv WORD"
write("x.sh", "#!/usr/bin/dash\nprintf '%s%%s %%s %%s' \"$WORD\" \"$(%s)\" "
      "$REQUEST_METHOD\n" % (HEAD, CHILD))
write("x.php", "<?php echo getenv('WORD'), ' ', trim(shell_exec('%s')), ' ', "
      "getenv('REQUEST_METHOD');" % CHILD)
write("x.rb", "require 'fcgi'; FCGI.each { |r| r.out.print \"%s\" + ["
      "ENV['WORD'], `%s`.strip, r.env['REQUEST_METHOD']].join(' ');"
      "r.finish }" % (HEAD, CHILD))
write("x.pl", "use FCGI; my $r = FCGI::Request(); my $outside = $ENV{WORD};"
      "while ($r->Accept() >= 0) { my $c = `%s`; my $w = $ENV{WORD};"
      "my $m = $ENV{REQUEST_METHOD}; $w //= 'none'; $c ||= 'none';"
      "print \"%s$w $c $m $outside\"; $r->Finish();"
      "$outside = $ENV{WORD} // 'gone'; }" % (CHILD, HEAD))
write("x.lua", """local function out(env)
    local p = io.popen("%s")
    local child = p:read("*a")
    coroutine.yield((os.getenv("WORD") or "none") .. " " ..
        (child == "" and "none" or child) .. " " ..
        os.getenv("REQUEST_METHOD"))
end
require("wsapi.fastcgi").run(function(env)
    return 200, {["Content-Type"] = "text/plain"},
        coroutine.wrap(function() out(env) end)
end)
""" % CHILD)
for name, argv, first, second in (
        ("fcgiwrap", ["/usr/sbin/fcgiwrap"], "own own GET", None),
        ("php-cgi", ["/usr/bin/php-cgi8.2", "-n"], "own own GET", None),
        ("ruby", ["/usr/bin/ruby3.1", "/tmp/x.rb"], "own own GET", None),
        ("perl", ["/usr/bin/perl", "/tmp/x.pl"], "none none GET own",
         "none none GET gone"),
        ("lua", ["/usr/bin/lua5.1", "/tmp/x.lua"], "none none GET", None)):
    path = "/tmp/" + name
    process = start(argv, listen(path), stderr=subprocess.DEVNULL, env=ENV)
    for expected in first, second or first:
        sock = connect(path)
        sock.sendall(request({
            "REQUEST_METHOD": "GET", "REDIRECT_STATUS": "200",
            "SCRIPT_FILENAME": "/tmp/x" + (".sh" if name == "fcgiwrap" else
                                           ".php")}))
        seen, last = answer(sock)
        text = b"".join(data for kind, _, data in seen if kind == 6).decode()
        check(name, (expected, "END_REQUEST"),
              (text.partition("\r\n\r\n")[2], last))
        sock.close()
    with open("/proc/%d/environ" % process.pid) as f:
        check("  in /proc/PID/environ", True, "WORD=own\0" in f.read())
    end(process)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
