#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A process manager has bound a unix socket, listens with a backlog of 2,000 and
# gives it to its workers as descriptor 0.
#
# Guess: a worker accepts from it; how many may wait, and whom the web server
# sees as its peer (SO_PEERCRED), is settled by the one who called listen.
# Seen: node (net.Server.listen on a descriptor) and Python's asyncio (sock=)
# call listen again, each with a default of its own: from then on 511 or 100 may
# wait, for all workers and for good, and the peer of each later client is the
# worker that was started last, by process ID and uid. php-cgi and Perl's FCGI
# leave the listener as it was.
#
# A backlog that was set and checked at the start is not the one in force:
# bursts are refused, with EAGAIN, at a twentieth of it, and a later worker of
# another kind changes it again. Who asks SO_PEERCRED for the process manager
# may get a worker that ended long ago. Only the kernel tells (ss -xl,
# sock_diag); a process manager can call listen again after each start.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='nodejs=18.20.4+dfsg-1~deb12u2
    libnode108=18.20.4+dfsg-1~deb12u2
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
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time

BACKLOG = 2000
FAILED = []


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


def write(name, text):
    with open("/tmp/" + name, "w") as f:
        f.write(text)


def state(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rpartition(") ")[2][0]


def waits(pid):
    """Does the worker sleep in accept, accept4 or epoll_wait (pwait)?"""
    with open("/proc/%d/syscall" % pid) as f:
        return f.read().split()[0] in ("43", "288", "232", "281",
                                       "202", "242", "22")


def fill(path):
    """How many connections fit into the queue, and the peer of the first."""
    held = []
    while len(held) < 2 * BACKLOG:
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            sock.connect(path)
        except BlockingIOError:
            break
        held.append(sock)
    pid, uid, _ = struct.unpack("iii", held[0].getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    for sock in held:
        sock.close()
    return len(held), pid, uid


def drain(listener):
    listener.setblocking(False)
    try:
        while True:
            listener.accept()[0].close()
    except BlockingIOError:
        pass


write("x.py", """import asyncio
import socket


async def serve(reader, writer):
    writer.close()


async def main():
    server = await asyncio.start_unix_server(serve,
                                             sock=socket.socket(fileno=0))
    await server.serve_forever()


asyncio.run(main())
""")
write("x.js", "require('net').createServer((c) => c.end()).listen({fd: 0});")
write("x.pl", "use FCGI; my $r = FCGI::Request(); while ($r->Accept() >= 0) {}")
print(" ".join(os.uname()))
subprocess.run(["/usr/bin/node", "--version"])
subprocess.run(["/usr/bin/python3", "--version"])
resource.setrlimit(resource.RLIMIT_NOFILE, (3 * BACKLOG, 3 * BACKLOG))
for name, argv, backlog in (
        ("php-cgi", ["/usr/bin/php-cgi8.2", "-n"], BACKLOG),
        ("perl", ["/usr/bin/perl", "/tmp/x.pl"], BACKLOG),
        ("node", ["/usr/bin/node", "/tmp/x.js"], 511),
        ("asyncio", ["/usr/bin/python3", "/tmp/x.py"], 100)):
    path = "/tmp/" + name
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(BACKLOG)
        os.chmod(path, 0o666)
        worker = subprocess.Popen(argv, stdin=listener, user=33, group=33,
                                  extra_groups=[])
        wait_for(lambda: waits(worker.pid), 10)
        time.sleep(0.3)
        os.kill(worker.pid, signal.SIGSTOP)
        wait_for(lambda: state(worker.pid) == "T")
        mine = backlog == BACKLOG
        number, pid, uid = fill(path)
        check("%s: fit into the queue (backlog + 1)" % name, backlog + 1,
              number)
        check("  the peer, its uid", ("the manager", 0) if mine else
              ("the worker", 33),
              ({os.getpid(): "the manager",
                worker.pid: "the worker"}.get(pid), uid))
        worker.kill()
        worker.wait()
        drain(listener)
        listener.listen(BACKLOG)
        check("  listen again: fit into it, the peer's uid",
              (BACKLOG + 1, 0), fill(path)[::2])

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
