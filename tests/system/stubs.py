# SPDX-License-Identifier: ISC
"""What a system would have running beside spawnd: a syslogd, a service
manager that is notified, a slow reader of the log; and a /dev to put the
first of them in."""

import os
import select
import shutil
import socket
import subprocess
import threading
import time

import harness as h

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def mount(*args):
    subprocess.run(["mount", *args], check=True)


def unmount(path):
    subprocess.run(["umount", "-l", path], check=True)


class Mounted:
    """A context with something mounted on a path."""

    def __init__(self, path, *args):
        self.path, self.args = path, args

    def __enter__(self):
        mount(*self.args, self.path)
        return self.path

    def __exit__(self, *exc):
        unmount(self.path)


class Dev:
    """A /dev of our own, as the host's is not ours to put anything in."""

    def __enter__(self):
        self.old = h.new_place()
        mount("--rbind", "/dev", self.old)
        mount("-t", "tmpfs", "-o", "mode=755,size=1m", "tmpfs", "/dev")
        for name in DEVICES:
            with open(f"/dev/{name}", "wb"):
                pass
            mount("--bind", f"{self.old}/{name}", f"/dev/{name}")
        for name in ("pts", "shm"):
            os.mkdir(f"/dev/{name}")
            mount("--bind", f"{self.old}/{name}", f"/dev/{name}")
        os.symlink("pts/ptmx", "/dev/ptmx")
        os.symlink("/proc/self/fd", "/dev/fd")
        for n, name in enumerate(("stdin", "stdout", "stderr")):
            os.symlink(f"/proc/self/fd/{n}", f"/dev/{name}")
        return self

    def __exit__(self, *exc):
        unmount("/dev")
        unmount(self.old)
        os.rmdir(self.old)


class Datagrams:
    """A datagram socket that keeps what comes: .got, of (time, text)."""

    def __init__(self, path):
        self.path = path
        self.got = []
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if path.startswith("@"):
            self.sock.bind("\0" + path[1:])
        else:
            self.sock.bind(path)
            os.chmod(path, 0o666)
        self._wake = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            r, _, _ = select.select([self.sock, self._wake[0]], [], [])
            if self.sock in r:
                data = self.sock.recv(262144)
                self.got.append((time.monotonic(),
                                 data.decode(errors="replace")))
            elif r:
                return

    def texts(self):
        return [text for _, text in self.got]

    def wait(self, predicate, deadline=10, what=""):
        """The first text for which the predicate is true, and its time."""
        def found():
            return next((g for g in self.got if predicate(g[1])), None)
        return h.wait_for(found, deadline,
                          lambda: f"datagram {what}: {self.texts()}")

    def close(self):
        """Ends as a daemon does: its socket's file goes with it."""
        os.write(self._wake[1], b"x")
        self._thread.join(5)
        self.sock.close()
        for fd in self._wake:
            os.close(fd)
        if not self.path.startswith("@"):
            os.unlink(self.path)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Disk:
    """A small file system of its own."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        self.path = h.new_place()
        mount("-t", "tmpfs", "-o", f"size={self.size},mode=755", "tmpfs",
              self.path)
        return self.path

    def __exit__(self, *exc):
        unmount(self.path)
        shutil.rmtree(self.path, ignore_errors=True)
