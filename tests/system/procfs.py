# SPDX-License-Identifier: ISC
"""What the kernel says of a process, in /proc and by ptrace(2)."""

import collections
import contextlib
import ctypes
import functools
import os
import re
import struct
import subprocess
import sys
import time
from signal import SIGKILL, SIGUSR2

from deadline import pass_time, wait_for

libc = ctypes.CDLL(None, use_errno=True)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def status(pid):
    """The fields of /proc/PID/status."""
    fields = {}
    for line in read(f"/proc/{pid}/status").decode().splitlines():
        name, _, value = line.partition(":")
        fields[name] = value.strip()
    return fields


Stat = collections.namedtuple("Stat", "pid state ppid pgrp session comm")
LOOKER = "spawnd: looker"


def stat(pid):
    """Fields of /proc/PID/stat, or None if there is no such process; pid may
    be PID/task/TID."""
    try:
        text = read(f"/proc/{pid}/stat").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    f = text[text.rindex(")") + 2:].split()
    return Stat(int(str(pid).rpartition("/")[2]), f[0], int(f[1]), int(f[2]),
                int(f[3]), text[text.index("(") + 1:text.rindex(")")])


def all_stats():
    found = (stat(n) for n in os.listdir("/proc") if n.isdigit())
    return [s for s in found if s]


def caps(pid):
    """The five capability sets as numbers."""
    fields = status(pid)
    return {n: int(fields[n], 16)
            for n in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


def ids(pid, what):
    """Real, effective, saved and file system Uid or Gid."""
    return [int(n) for n in status(pid)[what].split()]


def groups(pid):
    return sorted(int(n) for n in status(pid)["Groups"].split())


def signals(pid, what):
    """The set of signals in SigBlk, SigIgn or SigCgt. 32 and 33 are libc's
    own, which sigaction() refuses; a parent may have left them ignored."""
    mask = int(status(pid)[what], 16)
    return {n for n in range(1, 65) if mask >> (n - 1) & 1} - {32, 33}


def environ(pid):
    pairs = read(f"/proc/{pid}/environ").decode(errors="replace").split("\0")
    return dict(p.partition("=")[::2] for p in pairs if p)


def fds(pid):
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            pass
    return found


def wait_fds(pid, expected, deadline=5):
    """Waits: a worker closes a connection a moment after its answer."""
    wait_for(lambda: set(fds(pid)) == expected, deadline,
             lambda: f"descriptors of {pid}: {fds(pid)}")


def serves(pid):
    """Has it a connection: a socket of its own besides the listen socket?"""
    open_now = fds(pid)
    return any(n > 2 and link.startswith("socket:") and
               link != open_now.get(0) for n, link in open_now.items())


def holds_on(pid):
    """Is it at the command "hold" of a request? Before its exec a worker has
    spawnd's handlers, and all signals are blocked."""
    try:
        found = status(pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    caught, blocked = (int(found[s], 16) for s in ("SigCgt", "SigBlk"))
    return bool(caught & ~blocked & 1 << SIGUSR2 - 1)


def let_go(pids, count=1):
    """Ends what so many of these processes hold on to, once they do."""
    held = []

    def begun():
        held[:] = filter(holds_on, pids)
        return len(held) >= count
    wait_for(begun, what=f"{count} held requests")
    for pid in held:
        os.kill(pid, SIGUSR2)


def link(pid, what):
    """The target of exe, cwd or root; of a process that has gone ""."""
    try:
        return os.readlink(f"/proc/{pid}/{what}")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def limits(pid):
    """{"Max open files": ("soft", "hard"), ...}"""
    found = {}
    for line in read(f"/proc/{pid}/limits").decode().splitlines()[1:]:
        f = re.split(r"\s{2,}", line.strip())
        found[f[0]] = (f[1], f[2])
    return found


def cpu(pid):
    """Seconds of cpu that the (single-threaded) process has used."""
    return int(read(f"/proc/{pid}/schedstat").split()[0]) / 1e9


def alive(pid):
    s = stat(pid)
    return s is not None and s.state not in "ZX"


def children(pid):
    """The pids of all live children but lookers."""
    return sorted(s.pid for s in all_stats()
                  if s.ppid == pid and s.state not in "ZX" and
                  s.comm != LOOKER)


def lookers(pid):
    return sorted(s.pid for s in all_stats()
                  if s.ppid == pid and s.state not in "ZX" and
                  s.comm == LOOKER)


def descendants(pid):
    stats = all_stats()
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        below = [s.pid for s in stats
                 if s.ppid == parent and s.state not in "ZX"]
        found += below
        todo += below
    return sorted(found)


def zombies(pid):
    return sorted(s.pid for s in all_stats()
                  if s.ppid == pid and s.state == "Z")


def forbid_call(number, error, kills=False, later=False, **args):
    """Our own process, and what it becomes, gets that error from a system
    call from now on, by a filter, or is killed at it; if args are given
    (a0=1), with these. later: from those of higher numbers, too."""
    tests = [(0, number), *((16 + 8 * int(n[1:]), v)
                            for n, v in args.items())]
    rules = []
    for i, (offset, value) in enumerate(tests):
        rules += [(0x20, 0, 0, offset),
                  (0x35 if later and i == 0 else 0x15, 0,
                   2 * (len(tests) - i) - 1, value)]
    rules += [(0x06, 0, 0, 0x80000000 if kills else 0x00050000 | error),
              (0x06, 0, 0, 0x7fff0000)]                 # allowed
    text = b"".join(struct.pack("HBBI", *r) for r in rules)
    buf = ctypes.create_string_buffer(text, len(text))
    prog = struct.pack("HP", len(rules), ctypes.addressof(buf))
    set_seccomp, with_filter = 22, 2
    if ctypes.CDLL(None).prctl(set_seccomp, with_filter, prog, 0, 0) != 0:
        raise OSError("no filter")


# getpid(2) by int $0x80.
OLD_CALL = """
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes.fromhex("b814000000cd80c3"))
at = ctypes.addressof(ctypes.c_char.from_buffer(code))
ctypes.CFUNCTYPE(ctypes.c_int)(at)()
"""


@functools.lru_cache(None)
def old_calls():
    """a kernel with the calls of 32 bits"""
    return os.uname().machine == "x86_64" and subprocess.run(
        [sys.executable, "-c", OLD_CALL], check=False).returncode == 0


@functools.lru_cache(None)
def user_namespaces():
    """user namespaces, which nobody can make in a chroot(2)"""
    return subprocess.run(["unshare", "-U", "true"], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0


def kill(pid, signo=SIGKILL):
    try:
        os.kill(pid, signo)
    except ProcessLookupError:
        pass


def _syscall(number, *args):
    result = libc.syscall(ctypes.c_long(number),
                           *(ctypes.c_long(a) for a in args))
    if result < 0:
        err = ctypes.get_errno()
        raise OSError(err, os.strerror(err))
    return result


def pidfd_getfd(pid, fd):
    """A duplicate of descriptor fd of another process."""
    pidfd = os.pidfd_open(pid)
    try:
        return _syscall(438, pidfd, fd, 0)
    finally:
        os.close(pidfd)


@contextlib.contextmanager
def straced(pid, *options, **kw):
    """strace is attached to the process meanwhile, and detached after that."""
    tracer = subprocess.Popen(
        ["strace", "-q", "-o", "/dev/null", "-p", str(pid), *options],
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kw)
    try:
        wait_for(lambda: status(pid)["TracerPid"] == str(tracer.pid), 5,
                 "strace is attached")
        yield
    finally:
        tracer.terminate()
        tracer.wait(10)


def waits(pid):
    """How often it has waited: others may take the cpu from it besides."""
    return int(status(pid)["voluntary_ctxt_switches"])


def switches(pid):
    """How often it has waited or lost the cpu: more only if it has run."""
    return waits(pid) + int(status(pid)["nonvoluntary_ctxt_switches"])


def rests(pid, seconds):
    """Does it do nothing for so long from now?"""
    before = switches(pid)
    pass_time(seconds)
    return switches(pid) == before


def share(pid, seconds):
    """The share of a core that the process uses for so long from now."""
    before, began = cpu(pid), time.monotonic()
    pass_time(seconds)
    return (cpu(pid) - before) / (time.monotonic() - began)
