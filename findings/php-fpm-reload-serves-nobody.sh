#!/bin/sh
# SPDX-License-Identifier: ISC
#
# php-fpm with four children is reloaded (SIGUSR2, systemctl reload) while one
# of them is at work on a long request and three are idle.
# process_control_timeout is set, so that the reload is graceful.
#
# Guess: the idle ones are replaced at once, and the busy one when it has ended.
# Seen: all are told to go, the idle ones do, and none is started until the last
# old one has gone: visitors wait in the queue for as long as the one long
# request takes, at most process_control_timeout. When that has passed the
# request is ended without an answer, and only then the others are served. With
# process_control_timeout at 0, its default, nobody waits, and the request is
# lost at once.
#
# So the setting that makes a reload graceful is the longest time that the whole
# site may stand still for one slow request; a deployment that reloads makes its
# own outage, worse with more of grace. A process manager that replaces one
# worker at a time has neither.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='php8.2-fpm=8.2.32-1~deb12u1
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
import select
import signal
import socket
import struct
import subprocess
import sys
import time

FAILED = []
LIMIT = 20


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


def wait_for(what, seconds=5):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def end(process):
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


with open("/tmp/slow.php", "w") as f:
    f.write("<?php touch('/tmp/www/begun');"
            "while (!file_exists('/tmp/end')) { clearstatcache();"
            "usleep(20000); } echo 'slow';")
with open("/tmp/quick.php", "w") as f:
    f.write("<?php echo 'quick';")
os.mkdir("/tmp/www")
os.chmod("/tmp/www", 0o777)


def ask(path, name):
    sock = connect(path)
    sock.sendall(request({"REQUEST_METHOD": "GET", "SCRIPT_NAME": name,
                          "SCRIPT_FILENAME": "/tmp/%s.php" % name}))
    return sock


def reply(sock, seconds=LIMIT):
    """The answer's body or how it failed, "waits" if nothing has come."""
    if not select.select([sock], [], [], seconds)[0]:
        return "waits"
    seen, last = answer(sock)
    if last != "END_REQUEST":
        return "no answer"
    text = b"".join(data for kind, _, data in seen if kind == 6).decode()
    return text.partition("\r\n\r\n")[2]


def start_fpm(grace):
    path = "/tmp/socket%d" % grace
    with open("/tmp/conf", "w") as f:
        f.write("""[global]
daemonize = no
error_log = /tmp/log
process_control_timeout = %d
[www]
listen = %s
user = www-data
group = www-data
pm = static
pm.max_children = 4
""" % (grace, path))
    process = subprocess.Popen(["/usr/sbin/php-fpm8.2", "-n", "-F", "-y",
                                "/tmp/conf"], stderr=subprocess.DEVNULL)
    wait_for(lambda: os.path.exists(path), 10)
    check("grace %d, a visitor" % grace, "quick", reply(ask(path, "quick")))
    return process, path


def reload_at_work(process, path):
    """Reload while a slow request is at work, and have a second visitor."""
    for name in "/tmp/www/begun", "/tmp/end":
        if os.path.exists(name):
            os.unlink(name)
    slow = ask(path, "slow")
    wait_for(lambda: os.path.exists("/tmp/www/begun"))
    os.kill(process.pid, signal.SIGUSR2)
    time.sleep(1)
    return slow, ask(path, "quick")


subprocess.run(["/usr/sbin/php-fpm8.2", "-n", "-v"])
process, path = start_fpm(10)
slow, quick = reload_at_work(process, path)
check("reload, a visitor", "waits", reply(quick, 3))
check("  the slow request", "waits", reply(slow, 0))
open("/tmp/end", "w").close()
check("it may end: the slow request", "slow", reply(slow))
check("  the visitor", "quick", reply(quick))
end(process)

process, path = start_fpm(4)
slow, quick = reload_at_work(process, path)
check("reload, it does not end: a visitor", "waits", reply(quick, 2))
check("  the slow request", "no answer", reply(slow))
check("  then the visitor", "quick", reply(quick))
end(process)

process, path = start_fpm(0)
slow, quick = reload_at_work(process, path)
check("reload: the slow request", "no answer", reply(slow, 3))
check("  a visitor", "quick", reply(quick, 3))
end(process)

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
