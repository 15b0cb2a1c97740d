#!/bin/sh
# SPDX-License-Identifier: ISC
#
# Workers share a unix listen socket that another process has made, bound and
# passed to them. One of them serves it by asyncio.start_unix_server(sock=...),
# and closes its server in order to stop gracefully.
#
# Guess: it closes its descriptor. The file belongs to the one that bound it,
# and the other workers go on serving whoever connects.
# Seen: Python 3.13 (and 3.14.10, by hand) removes the file, also of a socket
# that was passed in; nobody can connect any more, while the others still
# listen, and nothing is said. Only cleanup_socket=False, which 3.12 does not
# know, prevents that. Which file it is asyncio learns from getsockname(2): of a
# socket that was bound by a name which is no longer there, or that lies in a
# directory it may not write to, the file stays (in the second case it logs an
# error).
#
# A reload in turn, meant to lose nothing, ends with a service that runs and
# that nobody reaches.
#
# Needs root, mmdebstrap and a Debian mirror ($MIRROR).

set -eu

packages='python3-minimal=3.13.5-1
    python3.13=3.13.5-2+deb13u5
    libpython3.13-stdlib=3.13.5-2+deb13u5'

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

cat >try.py <<'EOF'
import asyncio
import os
import socket
import sys

FAILED = []
PATH = "/tmp/dir/sock"


def check(what, expected, seen):
    good = expected == seen
    print("%s %s: %s" % ("ok     " if good else "CHANGED", what, seen if good
                         else "%r, was %r" % (seen, expected)), flush=True)
    FAILED.extend([] if good else [what])


async def serve_and_close(sock, options):
    server = await asyncio.start_unix_server(
        lambda reader, writer: writer.close(), sock=sock, **options)
    server.close()
    await server.wait_closed()


def worker(sock, options, uid):
    """Serves in a process of its own, until it has closed its server."""
    pid = os.fork()
    if pid == 0:
        os.setuid(uid)
        own = socket.socket(fileno=os.dup(sock.fileno()))
        asyncio.run(serve_and_close(own, options))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def reached():
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(PATH)
        except OSError as e:
            return type(e).__name__
        return "yes"


def after(options=None, uid=0, first_name=PATH):
    """The worker's status, and whether a client still reaches the others."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(first_name)
        if first_name != PATH:
            os.rename(first_name, PATH)
        os.chmod(PATH, 0o777)
        sock.listen()
        status = worker(sock, options or {}, uid)
        found = reached()
    if os.path.exists(PATH):
        os.unlink(PATH)
    return status, found


os.mkdir("/tmp/dir")
print("Python", sys.version.split()[0])
check("one worker closes its server", (0, "FileNotFoundError"), after())
check("with cleanup_socket=False", (0, "yes"),
      after({"cleanup_socket": False}))
check("bound by another name", (0, "yes"), after(first_name=PATH + ".new"))
check("in a directory of others", (0, "yes"), after(uid=65534))

if FAILED:
    sys.exit("changed: " + ", ".join(FAILED))
EOF

printf '%s\n' "$packages"
timeout 60 unshare --net --pid --fork --kill-child --mount-proc="$PWD/proc" \
    env -i LC_ALL=C PATH=/usr/sbin:/usr/bin chroot . /usr/bin/python3.13 /try.py
