#!/bin/sh
# SPDX-License-Identifier: ISC
#
# apachectl graceful (SIGUSR1) while one FastCGI request of mod_fcgid is at
# work.
#
# Guess: the new generation serves at once and the old one ends its requests
# beside it, as it does with mod_proxy_fcgi; graceful has no gap.
# Seen: the parent waits for mod_fcgid's process manager, and that one for its
# FastCGI processes, before it starts the new generation; the old one has
# stopped to accept. Nobody is served meanwhile, files neither: connections wait
# in the queue until the request has ended. If it does not, its process is
# killed after some eleven seconds, its visitor gets 500, and all others have
# waited as long. Without a request at work a file is served at once.
#
# One long request turns each "graceful" restart, a nightly logrotate for
# instance, into eleven seconds in which the whole server stands still. A
# process manager of its own behind mod_proxy_fcgi takes the application out of
# Apache's restart.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='apache2-bin=2.4.68-1~deb12u1
    libapache2-mod-fcgid=1:2.3.9-4
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
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

FAILED = []
LIMIT = 30
PORT = 8001


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


with open("/tmp/x.pl", "w") as f:
    f.write("""#!/usr/bin/perl
use FCGI;
my $r = FCGI::Request();
while ($r->Accept() >= 0) {
	open my $f, '>', '/tmp/www/begun';
	close $f;
	select undef, undef, undef, 0.05 until -e '/tmp/end';
	print "Content-Type: text/plain\\r\\n\\r\\nhello";
}
""")
with open("/tmp/apache.conf", "w") as f:
    f.write("""ServerRoot /tmp/apache
%s
ServerName x
User www-data
Group www-data
Listen 127.0.0.1:%d
DefaultRuntimeDir .
PidFile pid
Mutex posixsem
ErrorLog error.log
FcgidIPCDir /tmp/www
FcgidProcessTableFile /tmp/www/table
DocumentRoot /tmp
<Directory /tmp>
Options +ExecCGI
Require all granted
</Directory>
<Files x.pl>
SetHandler fcgid-script
</Files>
ProxyPass /proxy unix:/tmp/socket|fcgi://x/
""" % ("\n".join("LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so" %
                 (m, m) for m in ("mpm_event", "fcgid", "proxy", "proxy_fcgi",
                                  "authz_core")), PORT))
os.chmod("/tmp/x.pl", 0o755)
os.mkdir("/tmp/apache")
os.mkdir("/tmp/www")
os.chmod("/tmp/www", 0o777)
with open("/tmp/file", "w") as f:
    f.write("a file")


class Visitor(threading.Thread):
    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.reply = path, b""
        self.start()

    def run(self):
        with socket.create_connection(("127.0.0.1", PORT), LIMIT) as sock:
            sock.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n"
                         b"Connection: close\r\n\r\n" % self.path)
            while True:
                part = sock.recv(65536)
                if not part:
                    return
                self.reply += part

    def status(self, seconds):
        self.join(seconds)
        return "waits" if self.is_alive() else status(self.reply)


def serve(listener, begun, may_end):
    """A FastCGI application of its own, for one request."""
    conn = listener.accept()[0]
    rid, _ = read_request(conn)
    begun.set()
    may_end.wait(LIMIT)
    conn.sendall(record(6, rid, b"Content-Type: text/plain\r\n\r\nhello") +
                 record(6, rid) + end_request(rid))
    conn.close()


def says_resuming(times):
    with open("/tmp/apache/error.log") as f:
        return f.read().count("resuming normal operations") == times


def graceful(process, times):
    """Ask for it and wait until the old generation has stopped to accept."""
    os.kill(process.pid, signal.SIGUSR1)
    if times:
        wait_for(lambda: says_resuming(times))
    time.sleep(1)


subprocess.run(["/usr/sbin/apache2", "-v"])
loopback()
process = web_server(["/usr/sbin/apache2", "-DFOREGROUND", "-f",
                      "/tmp/apache.conf"], PORT)
check("a file", "200", Visitor(b"/file").status(9))
graceful(process, 2)
check("graceful without a request: a file", "200", Visitor(b"/file").status(9))

listener = socket.socket(socket.AF_UNIX)
listener.bind("/tmp/socket")
listener.listen(16)
os.chmod("/tmp/socket", 0o666)
begun, may_end = threading.Event(), threading.Event()
threading.Thread(target=serve, args=(listener, begun, may_end),
                 daemon=True).start()
slow = Visitor(b"/proxy")
begun.wait(9)
graceful(process, 3)
check("graceful with a request of mod_proxy_fcgi: a file", "200",
      Visitor(b"/file").status(9))
check("  the request", "waits", slow.status(0))
may_end.set()
check("it may end: the request", "200", slow.status(9))

slow = Visitor(b"/x.pl")
wait_for(lambda: os.path.exists("/tmp/www/begun"))
graceful(process, 0)
other = Visitor(b"/file")
check("graceful with a request of mod_fcgid: a file", "waits", other.status(3))
check("  the request", "waits", slow.status(0))
open("/tmp/end", "w").close()
check("it may end: the request", "200", slow.status(9))
check("  a file", "200", other.status(9))

os.unlink("/tmp/end")
os.unlink("/tmp/www/begun")
slow = Visitor(b"/x.pl")
wait_for(lambda: os.path.exists("/tmp/www/begun"))
graceful(process, 0)
other = Visitor(b"/file")
check("graceful, the request does not end: a file", "waits", other.status(3))
check("  then the request", "500", slow.status(25))
check("  then a file", "200", other.status(9))
end(process)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
