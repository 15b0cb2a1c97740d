#!/bin/sh
# SPDX-License-Identifier: ISC
#
# supervisor runs the workers of an [fcgi-program] and holds their listening
# socket for them. All of them are restarted (supervisorctl restart GROUP:*)
# while the old ones finish what they have.
#
# Guess: the socket stays, since it is supervisor's and not the workers': who
# comes meanwhile waits in its queue for the new ones.
# Seen: so long as one worker is left. With the last one supervisor closes the
# socket and makes a new one for the next start: the visitors in the queue, who
# were accepted while the old ones finished, are reset, and for about a second
# until the start nobody can connect. With one worker restarted at a time nobody
# is lost.
#
# A restart under supervisor loses all that waits, the more the longer the
# workers take to stop gracefully; with numprocs=1 every restart is one of all.
# A process manager that takes its place must hold the socket by itself, not for
# its workers' sake.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='supervisor=4.2.5-1
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
import errno
import glob
import os
import signal
import socket
import subprocess
import sys
import time

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


with open("/tmp/worker.py", "w") as f:
    f.write("""import os
import signal
import socket
import time


def stop(*args):
    open("/tmp/stops%d" % os.getpid(), "w").close()
    for _ in range(1000):
        if os.path.exists("/tmp/may-end"):
            os._exit(0)
        time.sleep(0.01)


listener = socket.socket(fileno=0)
signal.signal(signal.SIGTERM, stop)
open("/tmp/runs%d" % os.getpid(), "w").close()
while True:
    listener.accept()[0].sendall(b"hello")
""")
with open("/tmp/conf", "w") as f:
    f.write("""[supervisord]
nodaemon = true
user = root
logfile = /tmp/log
pidfile = /tmp/pid
[unix_http_server]
file = /tmp/control
[rpcinterface:supervisor]
supervisor.rpcinterface_factory =
    supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl = unix:///tmp/control
[fcgi-program:app]
command = /usr/bin/python3 /tmp/worker.py
process_name = %(process_num)d
numprocs = 2
startsecs = 0
stopwaitsecs = 20
socket = unix:///tmp/socket
""")


def count(kind):
    return len(glob.glob("/tmp/%s*" % kind))


def control(*words):
    return subprocess.Popen(["/usr/bin/supervisorctl", "-c", "/tmp/conf",
                             *words], stdout=subprocess.DEVNULL)


def connect():
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(20)
    try:
        sock.connect("/tmp/socket")
    except OSError:
        return None
    return sock


def answer(sock):
    try:
        return sock.recv(9).decode()
    except OSError as e:
        return errno.errorcode[e.errno] if e.errno else "silent"


def restart(what, workers):
    """What a visitor gets who comes while the workers finish."""
    old, stops = count("runs"), count("stops")
    ctl = control("restart", what)
    check(what + " stops", True,
          wait_for(lambda: count("stops") == stops + workers))
    visitor = connect()
    check("  connects meanwhile", True, visitor is not None)
    open("/tmp/may-end", "w").close()
    first = answer(visitor)
    next_visitor = connect()
    ctl.wait(20)
    check("  starts", True, wait_for(lambda: count("runs") == old + workers))
    os.unlink("/tmp/may-end")
    return first, answer(next_visitor) if next_visitor else "no connection"


subprocess.run(["/usr/bin/supervisord", "--version"])
daemon = subprocess.Popen(["/usr/bin/supervisord", "-c", "/tmp/conf"],
                          stdout=subprocess.DEVNULL)
if not wait_for(lambda: count("runs") == 2, 20):
    sys.exit("supervisor did not start the workers")
check("one of two, who waits, who comes after", ("hello", "hello"),
      restart("app:0", 1))
check("both, who waits, who comes after", ("ECONNRESET", "no connection"),
      restart("app:*", 2))
check("in the end", "hello", answer(connect()))
open("/tmp/may-end", "w").close()
daemon.terminate()
daemon.wait(20)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
