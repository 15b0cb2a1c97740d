#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A service of Docker Swarm has two tasks and no virtual address, so that the
# name tasks.app has the addresses of both. One of them is stopped in two ways,
# and takes four seconds to end after TERM.
#
# Guess: "docker stop" and a service that is made smaller both send TERM to the
# container of a task; both take it out of the name first, or neither does.
# Seen: Swarm takes the address away, then sends TERM. "docker stop" sends TERM,
# and the name has the address until the container has ended: whoever asks
# meanwhile is sent to a server that is shutting down.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR), and a kernel with vxlan,
# overlay and nat for iptables.

set -eu

packages='docker.io=20.10.24+dfsg1-1+deb12u1+b6
    containerd=1.6.20~ds1-1+deb12u3
    iptables=1.8.9-2
    iproute2=6.1.0-3
    dash=0.5.12-2
    coreutils=9.1-1
    libc-bin=2.36-9+deb12u14
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
mkdir -p proc sys dev tmp run var/lib/docker
chmod 1777 tmp
printf '%s\n' root:x:0:0::/:/bin/sh >etc/passwd
printf '%s\n' root:x:0: docker:x:1: >etc/group
printf '%s\n' 'nameserver 127.0.0.1' >etc/resolv.conf
# The commands by these names are links that a configured package makes.
for name in iptables ip6tables; do
	ln -sf xtables-nft-multi "usr/sbin/$name"
done

cat >try.py <<'EOF'
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time

LIB = "/lib/x86_64-linux-gnu"
FAILED = []
# Process 1 of a task: it goes on for four seconds after TERM.
TASK = "trap 'sleep 4; exit 0' TERM; while :; do sleep 0.1; done"


def docker(*argv):
    return subprocess.run(("docker",) + argv, check=True, timeout=60,
                          capture_output=True, text=True).stdout


def until(condition, what):
    end = time.monotonic() + 60
    while True:
        try:
            value = condition()
            if value:
                return value
        except subprocess.CalledProcessError:
            pass
        if time.monotonic() > end:
            sys.exit("no " + what)
        time.sleep(0.1)


def containers():
    return set(docker("ps", "-q", "--no-trunc").split())


def address(container):
    found, = json.loads(docker("inspect", container))
    return found["NetworkSettings"]["Networks"]["net"]["IPAddress"]


def named(container):
    """The addresses that a task sees."""
    said = docker("exec", container, "/usr/bin/getent", "ahostsv4",
                  "tasks.app")
    return {line.split()[0] for line in said.splitlines()}


def image():
    for path in ("/usr/bin/dash", "/usr/bin/sleep", "/usr/bin/getent",
                 LIB + "/libc.so.6", "/lib64/ld-linux-x86-64.so.2"):
        copy = "/image" + path
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copy(os.path.realpath(path), copy)
    with tarfile.open("/image.tar", "w") as tar:
        tar.add("/image", "/")
    docker("import", "/image.tar", "task:1")


def try_one(stop):
    """Whether the name has the address of a task that has been told to stop,
    and has not ended."""
    def both():
        now = containers()
        return len(now) == 2 and len(named(min(now))) == 2 and now
    two = until(both, "two tasks")
    where = {c: address(c) for c in two}
    going = stop(sorted(two))
    time.sleep(2)
    stays = (two - {going}).pop() if going else None
    if not stays:       # Swarm has chosen; the one that it named stays
        left = named(min(two)) & set(where.values())
        assert containers() == two
        return len(left) == 2
    assert going in containers()
    return where[going] in named(stays)


def by_hand(two):
    subprocess.Popen(("docker", "stop", "-t", "20", two[0]),
                     stdout=subprocess.DEVNULL)
    return two[0]


def by_swarm(two):
    docker("service", "scale", "--detach", "app=1")


def loopback():
    subprocess.run(("ip", "link", "set", "lo", "up"), check=True)
    subprocess.run(("ip", "link", "add", "eth0", "type", "veth", "peer",
                    "name", "eth1"), check=True)
    for device in "eth0", "eth1":
        subprocess.run(("ip", "link", "set", device, "up"), check=True)
    subprocess.run(("ip", "addr", "add", "192.0.2.1/24", "dev", "eth0"),
                   check=True)


loopback()
log = open("/tmp/dockerd", "w")
daemon = subprocess.Popen(("dockerd", "--bridge", "none", "--cgroup-parent",
                           "/finding", "--storage-driver", "vfs"),
                          stdout=log, stderr=log)
until(lambda: docker("version"), "dockerd")
print(docker("version", "--format", "docker {{.Server.Version}}"), end="")
image()
docker("swarm", "init", "--advertise-addr", "192.0.2.1")
docker("network", "create", "-d", "overlay", "net")
docker("service", "create", "--detach", "--no-resolve-image", "--name", "app",
       "--network", "net", "--endpoint-mode", "dnsrr", "--replicas", "2",
       "--stop-grace-period", "20s", "task:1", "/usr/bin/dash", "-c", TASK)
for what, expected, stop in (("docker stop", True, by_hand),
                             ("service scale", False, by_swarm)):
    seen = try_one(stop)
    print("%s %s: a task that stops is named: %s" % (
        "ok     " if seen == expected else "CHANGED", what, seen), flush=True)
    if seen != expected:
        FAILED.append(what)
docker("swarm", "leave", "--force")
daemon.send_signal(signal.SIGTERM)
daemon.wait(60)
for group in glob.glob("/sys/fs/cgroup/**/finding", recursive=True):
    os.rmdir(group)
if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
# runc needs a root that is a mount.
# shellcheck disable=SC2016	# the inner shell expands it
timeout 300 unshare --mount --propagation private --net --pid --uts --fork \
    --kill-child sh -ec '
mount --bind . .
cd "$PWD"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=711 tmpfs var/lib/docker
exec env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3 /try.py'
