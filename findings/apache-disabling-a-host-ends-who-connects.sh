#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Apache balances over hosts, and one is taken out in the balancer-manager while
# a request is connecting to it.
#
# Guess: "Disabled" and "Draining Mode" both concern the choice of a host for
# the next request; who has been sent to this one is served, as it is up and
# takes the connection.
# Seen: with "Disabled" the connection is made, and closed without a byte: the
# visitor has 503, and the log a "failed to make connection" without a reason.
# With "Draining Mode" the request is answered.
#
# To take a host out without a failure it is set to "Draining Mode", although
# the manual presents that one as a matter of sticky sessions.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='apache2-bin=2.4.68-1~deb12u1
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
printf '%s\n' root:x:0:0::/:/bin/sh www-data:x:33:33::/:/bin/sh >etc/passwd
printf '%s\n' root:x:0: www-data:x:33: >etc/group

cat >try.py <<'EOF'
import fcntl
import html
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

WEB, HOST = 8001, 9001
MANAGER = f"http://127.0.0.1:{WEB}/balancer-manager"
CONF = f"""ServerRoot /tmp
ServerName x
User www-data
Group www-data
Listen 127.0.0.1:{WEB}
DefaultRuntimeDir .
PidFile pid
Mutex posixsem
ErrorLog error.log
<Proxy "balancer://hosts">
    BalancerMember "fcgi://127.0.0.1:{HOST}" timeout=20
</Proxy>
ProxyPass /app balancer://hosts/app
<Location "/balancer-manager">
    SetHandler balancer-manager
</Location>
""" + "".join(
    f"LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n"
    for m in ("mpm_event", "proxy", "proxy_fcgi", "proxy_balancer",
              "slotmem_shm", "lbmethod_byrequests", "authz_core"))


def until(condition, what):
    end = time.monotonic() + 15
    while not condition():
        if time.monotonic() > end:
            sys.exit("no " + what)
        time.sleep(0.01)


def answers():
    try:
        urllib.request.urlopen(MANAGER, timeout=5).close()
    except OSError:
        return False
    return True


def connecting():
    """Is somebody's SYN to the host unanswered? 02 is SYN_SENT."""
    with open("/proc/net/tcp") as f:
        return any(line.split()[2].endswith(f":{HOST:04X}") and
                   line.split()[3] == "02" for line in f)


def switch(status, on):
    page = urllib.request.urlopen(MANAGER, timeout=5).read().decode()
    link = next(x for x in re.findall(r'href="[^"?]*\?([^"]*)"', page)
                if "w=" in x)
    fields = dict(urllib.parse.parse_qsl(html.unescape(link)))
    fields["w_status_" + status] = str(int(on))
    request = urllib.request.Request(
        MANAGER, urllib.parse.urlencode(fields).encode(),
        {"Referer": MANAGER})
    urllib.request.urlopen(request, timeout=5).close()


def record(kind, data=b""):
    return struct.pack(">BBHHBx", 1, kind, 1, len(data), 0) + data


def serve(conn):
    """Returns how many bytes came."""
    data = b""
    while not data.endswith(record(5)):
        part = conn.recv(65536)
        if not part:
            return len(data)
        data += part
    conn.sendall(record(6, b"Content-Type: text/plain\r\n\r\nhello") +
                 record(6) + record(3, bytes(8)))
    return len(data)


def ask(into):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{WEB}/app",
                                    timeout=30) as answer:
            into.append(answer.status)
    except urllib.error.HTTPError as e:
        into.append(e.code)


def try_one(status):
    """What the visitor has, and whether the host was sent anything."""
    listener = socket.create_server(("127.0.0.1", HOST), backlog=0)
    others = socket.create_connection(("127.0.0.1", HOST))
    seen = []
    visitor = threading.Thread(target=ask, args=(seen,))
    visitor.start()
    until(connecting, "connection under way")
    switch(status, True)
    listener.accept()[0].close()        # the queue has room for the next SYN
    conn = listener.accept()[0]
    came = serve(conn)
    conn.close()
    visitor.join()
    switch(status, False)
    others.close()
    listener.close()
    return seen[0], came > 0


with socket.socket() as s:              # the namespace's loopback is down
    fcntl.ioctl(s, 0x8914, struct.pack("16sH22x", b"lo", 1))
with open("/tmp/apache.conf", "w") as f:
    f.write(CONF)
subprocess.run(["/usr/sbin/apache2", "-v"], check=True)
process = subprocess.Popen(["/usr/sbin/apache2", "-DFOREGROUND", "-f",
                            "/tmp/apache.conf"])
until(answers, "Apache")
changed = []
for what, expected, found in (
        ("Draining Mode", (200, True), try_one("N")),
        ("Disabled", (503, False), try_one("D"))):
    print("ok     " if found == expected else "CHANGED", what,
          "(status, host was asked):", found)
    if found != expected:
        changed.append(what)
process.terminate()
process.wait()
with open("/tmp/error.log") as f:
    print(*(line for line in f if "AH01079" in line or "AH00957" in line))
if changed:
    sys.exit("changed: " + ", ".join(changed))
EOF

printf '%s\n' "$packages"
timeout 120 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py
