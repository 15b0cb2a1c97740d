#!/bin/sh
# SPDX-License-Identifier: ISC
#
# A Java program that was started with a listen socket as its descriptor 0, as
# process managers and inetd do, gets it by System.inheritedChannel(). To stop
# gracefully it closes that channel, so that nobody new comes, and finishes what
# it has.
#
# Guess: the close takes descriptor 0 away; where 1 and 2 lead is untouched.
# Seen, OpenJDK 25: the close puts /dev/null in place of 0, of 1 and of 2,
# whatever they were. The program goes on and answers in full, but all that it
# says from then on is lost, with no error for it (checkError() is false), also
# the stack trace of the exception that ends it with status 1.
#
# The log of a manager shows the workers up to their graceful stop, and never
# what goes wrong in it. A log of its own, by a file or a socket, still writes.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='openjdk-25-jdk-headless=25.0.5+8-1~deb13u1
    openjdk-25-jre-headless=25.0.5+8-1~deb13u1
    libc6=2.41-12+deb13u5
    libgcc-s1=14.2.0-19
    libstdc++6=14.2.0-19
    zlib1g=1:1.3.dfsg+really1.3.1-1+deb13u1
    python3-minimal=3.13.5-1'

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM

# shellcheck disable=SC2086	# one word a package
mmdebstrap --quiet --variant=extract \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --include="$(printf '%s,' $packages)" \
    trixie "$tmp/root" "${MIRROR:-http://deb.debian.org/debian}"

cd "$tmp/root"
mkdir -p proc tmp dev
[ -e dev/null ] || mknod -m 666 dev/null c 1 3

cat >Worker.java <<'EOF'
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;

class Worker {
    static String leads(int fd) throws Exception {
        return Files.readSymbolicLink(Path.of("/proc/self/fd/" + fd))
            .toString().replaceFirst(":.*", "");
    }

    static String all() throws Exception {
        return leads(0) + " " + leads(1) + " " + leads(2);
    }

    public static void main(String[] how) throws Exception {
        var listener = (ServerSocketChannel) System.inheritedChannel();
        SocketChannel client = listener.accept();
        System.err.println("serves");
        String before = all();

        listener.close();
        System.err.println("stops");
        String said = before + ", " + all() + ", " + System.err.checkError();
        client.write(ByteBuffer.wrap(said.getBytes()));
        client.close();
        if (how[0].equals("fails"))
            throw new IllegalStateException("what went wrong");
    }
}
EOF

cat >try.py <<'EOF'
import os
import socket
import subprocess
import sys

FAILED = []
JAVA = "/usr/lib/jvm/java-25-openjdk-amd64/bin/"


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


def worker(family, address, how):
    """What the client gets, what the worker's log has, and its status."""
    with socket.socket(family) as listener:
        listener.bind(address)
        listener.listen()
        p = subprocess.Popen([JAVA + "java", "-cp", "/tmp", "Worker", how],
                             stdin=listener, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
        with socket.socket(family) as client:
            client.connect(listener.getsockname())
            got = b""
            while part := client.recv(4096):
                got += part
    log = p.communicate()[0].decode().split("\n")
    return got.decode(), [line for line in log if line], p.returncode


subprocess.check_call([JAVA + "javac", "-d", "/tmp", "/Worker.java"])
print(subprocess.check_output([JAVA + "java", "--version"]).decode()
      .split("\n", maxsplit=1)[0])
for name, family, address in (
        ("TCP", socket.AF_INET, ("127.0.0.1", 0)),
        ("unix", socket.AF_UNIX, "/tmp/sock")):
    said, log, status = worker(family, address, "ends")
    check(name + ": descriptors before and after the close, and an error",
          "socket pipe pipe, /dev/null /dev/null /dev/null, false", said)
    check(name + ": what the log has", ["serves"], log)
    check(name + ": status", 0, status)
said, log, status = worker(socket.AF_INET, ("127.0.0.1", 0), "fails")
check("of an exception the log has", (["serves"], 1), (log, status))

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 300 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    sh -c 'ip link set lo up && exec env -i LC_ALL=C PATH=/usr/sbin:/usr/bin \
	chroot . /usr/bin/python3 /try.py'
