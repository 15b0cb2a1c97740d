# SPDX-License-Identifier: ISC
"""
What the system tests stand on. Everything has a deadline and nothing sleeps a
fixed time to wait for something.

    SPAWND, APPS        the program under test, the directory of the workers
    Deadlines are for a machine that does nothing else, and are given
    PATIENCE times that: they turn a hang into a failure and say nothing of
    how long something takes, which tests/bench does.

    app("echo")         the path of a test application
    USERS               name -> uid (= gid) of the users that run.sh made:
                        www 67, _app 68, web 69 (also in group www),
                        many 70 (also in alpha 71, beta 72, gamma 73)

    wait_for(predicate, deadline, what)
                        polls until it is true and returns its value, else
                        raises Late; reports what it waited for
    new_place()         a new directory under /run/t that all may enter
    make_jail(dir, app, owner)
                        dir/fcgi-bin/app (a copy) and dir/run owned by owner
    install(src, dst)   a copy that everybody may execute

    Spawnd(*args)       one spawnd. The fixture `spawnd` makes, starts and
                        ends them: s = spawnd("-s", path, "-u", "www", app)
                        It runs with -n, and the call returns when the pool is
                        ready. Keywords: ready=False (do not wait),
                        daemon=True (without -n; s.status, s.log(), s.pid),
                        env={} (whole environment), cwd, wrap=[...] (a command
                        that execs its operands), become=callable (run in the
                        child before the exec), user="www" (start as), stdin
      s.pid             the supervisor
      s.log()           all it wrote to stdout and stderr so far
      s.wait_log(text)  until the log has it
      s.workers()       pids of its children; s.wait_workers(n) for n of them
      s.wait_watched()  until the supervisor has a pidfd of each of them
      s.signal(SIG)     to the supervisor
      s.stop()          TERM, returns the exit status
      s.wait(deadline)  awaits its end, returns the exit status
      s.processes()     everything alive of its session
    run_spawnd(*args)   for a command line that ends by itself: an object with
                        .status .stdout .stderr
    sanitized()         is it the build with sanitizers
    line_of(result)     its only line on stderr; asserts that it is only one

    request(addr, query="", ...) -> Answer
                        one FastCGI request on a connection of its own; addr
                        is a path or (host, port)
    Connection(addr)    the same with a connection that can be kept:
                        c.request(query, stdin=b"", params={}, role=RESPONDER,
                        keep=False), c.close()
    Answer              .status (of HTTP), .headers (lower case), .body, .text,
                        .stderr, .app_status; .facts: the body's "NAME VALUE"
                        lines, {name: [value, ...]}
    FcgiError           .kind: "refused", "missing", "denied", "full",
                        "reset", "closed", "timeout", "protocol"
    Load(addr, ...)     threads that send requests without ever retrying; each
                        has a token of its own, and token, length and end of
                        its answer are checked. load.start(), load.stop(), or
                        `with`; then load.sent == load.answered +
                        sum(load.failed.values()); load.pids: who answered

    status(pid), stat(pid), caps(pid), environ(pid), fds(pid), link(pid, what),
    cpu(pid), children(pid), alive(pid), zombies(pid), tree(dir)
                        readers of /proc and of a directory tree
    lookers(pid)        the children that only look at others, which
                        children() leaves out
    Stepped(argv)       a process run from one system call to the next
    pidfd_getfd(pid, fd)
                        a copy of another process's descriptor

The commands that `echo` and its relatives take in QUERY_STRING stand at the
top of tests/apps/answer.h.
"""

import collections
import contextlib
import ctypes
import errno
import itertools
import os
import pwd
import re
import select
import shutil
import socket
import stat as stat_m
import struct
import subprocess
import threading
import time
from signal import SIGKILL, SIGTERM

_top = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
SPAWND = os.environ.get("SPAWND") or os.path.join(_top, "build", "spawnd")
APPS = os.environ.get("APPS") or os.path.join(_top, "build", "apps")
SOURCES = os.path.join(_top, "tests", "apps")
USERS = {"www": 67, "_app": 68, "web": 69, "many": 70}
PLACES = "/run/t"

PATIENCE = 5            # times a deadline, on a machine with other load
START_DEADLINE = 20     # seconds, until a pool is ready
STOP_DEADLINE = 15      # seconds, until it has stopped
REQUEST_DEADLINE = 10   # seconds, one request

READY = re.compile(r"(\d+) workers?\b.* ready on (\S+)")

SHORT = False           # --short
SOAK = None             # N of --soak

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)


class Late(AssertionError):
    """A deadline has passed."""


class Ended(AssertionError):
    """A spawnd has ended instead of becoming ready."""


def long(test):
    """Marks a test that --short leaves out (see conftest.py)."""
    test.long = True
    return test


def soak(test):
    """Marks a test that only --soak N runs, which is SOAK (conftest.py)."""
    test.soak = True
    return test


def pass_time(seconds):
    """A time in which something is counted, or is not to happen. What is to
    happen is waited for, by wait_for()."""
    time.sleep(seconds)


def share(pid, seconds):
    """The share of a core that the process uses for so long from now."""
    before, began = cpu(pid), time.monotonic()
    pass_time(seconds)
    return (cpu(pid) - before) / (time.monotonic() - began)


def wait_for(predicate, deadline=10.0, what=None, pause=0.01):
    end = time.monotonic() + deadline * PATIENCE
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            name = what() if callable(what) else what
            raise Late(f"not within {deadline} s: "
                       f"{name or getattr(predicate, '__name__', '?')}")
        time.sleep(pause)


# Files

def app(name):
    path = os.path.join(APPS, name)
    assert os.path.exists(path), f"{path}: missing"
    return path


def source(name):
    """A script of tests/apps that is not compiled."""
    path = os.path.join(SOURCES, name)
    assert os.path.exists(path), f"{path}: missing"
    return path


def new_place():
    os.makedirs(PLACES, exist_ok=True)
    while True:
        path = f"{PLACES}/{next(_numbers)}"
        try:
            os.mkdir(path)
        except FileExistsError:
            continue
        os.chmod(path, 0o755)
        return path


def empty_directory(path):
    for entry in os.scandir(path):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def install(src, dst, mode=0o755):
    """Puts a copy in place as one step, whatever runs the old one."""
    os.makedirs(os.path.dirname(dst), exist_ok=True)
    shutil.copyfile(src, dst + ".new")
    os.chmod(dst + ".new", mode)
    os.rename(dst + ".new", dst)
    return dst


def own_directory(path, owner, mode=0o755):
    os.makedirs(path, exist_ok=True)
    uid = owner if isinstance(owner, int) else pwd.getpwnam(owner).pw_uid
    os.chown(path, uid, uid)
    os.chmod(path, mode)
    return path


def make_jail(path, program="static", owner="root"):
    """A jail with the program as fcgi-bin/app and an empty run/."""
    if not os.path.isabs(program):
        program = app(program)
    install(program, f"{path}/fcgi-bin/app")
    own_directory(f"{path}/run", owner)
    return path


def tree(path):
    """Everything about a directory tree that a program could change."""
    found = {}
    todo = [path]
    while todo:
        name = todo.pop()
        st = os.lstat(name)
        entry = [st.st_mode, st.st_uid, st.st_gid, st.st_ino, st.st_nlink,
                 st.st_mtime_ns, st.st_ctime_ns]
        if stat_m.S_ISDIR(st.st_mode):
            todo += [os.path.join(name, n) for n in os.listdir(name)]
        elif stat_m.S_ISREG(st.st_mode):
            with open(name, "rb") as f:
                entry.append(f.read())
        elif stat_m.S_ISLNK(st.st_mode):
            entry.append(os.readlink(name))
        found[name] = entry
    return found


# /proc

def _read(path):
    with open(path, "rb") as f:
        return f.read()


def status(pid):
    """The fields of /proc/PID/status."""
    fields = {}
    for line in _read(f"/proc/{pid}/status").decode().splitlines():
        name, _, value = line.partition(":")
        fields[name] = value.strip()
    return fields


Stat = collections.namedtuple("Stat", "pid state ppid pgrp session comm")
LOOKER = "spawnd: looker"


def stat(pid):
    """Fields of /proc/PID/stat, or None if there is no such process; pid may
    be PID/task/TID."""
    try:
        text = _read(f"/proc/{pid}/stat").decode(errors="replace")
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
    pairs = _read(f"/proc/{pid}/environ").decode(errors="replace").split("\0")
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


def link(pid, what):
    """The target of exe, cwd or root."""
    return os.readlink(f"/proc/{pid}/{what}")


def limits(pid):
    """{"Max open files": ("soft", "hard"), ...}"""
    found = {}
    for line in _read(f"/proc/{pid}/limits").decode().splitlines()[1:]:
        f = re.split(r"\s{2,}", line.strip())
        found[f[0]] = (f[1], f[2])
    return found


def cpu(pid):
    """Seconds of cpu that the (single-threaded) process has used."""
    return int(_read(f"/proc/{pid}/schedstat").split()[0]) / 1e9


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


def forbid_call(number, error, kills=False, **args):
    """Our own process, and what it becomes, gets that error from a system
    call from now on, by a filter, or is killed at it; if args are given
    (a0=1), with these."""
    tests = [(0, number), *((16 + 8 * int(n[1:]), v)
                            for n, v in args.items())]
    rules = []
    for i, (offset, value) in enumerate(tests):
        rules += [(0x20, 0, 0, offset),
                  (0x15, 0, 2 * (len(tests) - i) - 1, value)]
    rules += [(0x06, 0, 0, 0x80000000 if kills else 0x00050000 | error),
              (0x06, 0, 0, 0x7fff0000)]                 # allowed
    text = b"".join(struct.pack("HBBI", *r) for r in rules)
    buf = ctypes.create_string_buffer(text, len(text))
    prog = struct.pack("HP", len(rules), ctypes.addressof(buf))
    set_seccomp, with_filter = 22, 2
    if ctypes.CDLL(None).prctl(set_seccomp, with_filter, prog, 0, 0) != 0:
        raise OSError("no filter")


def kill(pid, signo=SIGKILL):
    try:
        os.kill(pid, signo)
    except ProcessLookupError:
        pass


def _syscall(number, *args):
    result = _libc.syscall(ctypes.c_long(number),
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


class Stepped:
    """A process that is stopped at the entry and at the exit of each of its
    system calls: step() runs it to the next, and tells if it has ended."""

    _TRACEME, _CONT, _DETACH, _SYSCALL = 0, 7, 17, 24

    def __init__(self, argv):
        self.popen = subprocess.Popen(
            argv, env={**BASE_ENV, **sanitizer_env()}, cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
            preexec_fn=lambda: _libc.ptrace(self._TRACEME, 0, 0, 0))
        self.pid = self.popen.pid
        self.steps = 0
        self._await()

    def _await(self):
        _, state = os.waitpid(self.pid, 0)
        if os.WIFSTOPPED(state):
            return os.WSTOPSIG(state)
        self.popen.returncode = os.waitstatus_to_exitcode(state)
        return None

    def _go(self, how, signo=0):
        _libc.ptrace(how, self.pid, None, ctypes.c_void_p(signo))

    def step(self):
        signo = 0
        while True:
            self._go(self._SYSCALL, signo)
            signo = self._await()
            if signo is None:
                return False
            if signo == 5:          # SIGTRAP: a system call
                self.steps += 1
                return True

    def release(self):
        """Lets it run as any other process."""
        if self.popen.returncode is None:
            self._go(self._DETACH)
        return self.popen

    def kill(self):
        end_session(self.pid)
        if self.popen.returncode is None:
            self.popen.wait(10)


# spawnd

Result = collections.namedtuple("Result", "status stdout stderr")

BASE_ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def sanitized():
    """Is this the build with sanitizers, whose processes cost more?"""
    return b"__asan_init" in _read(SPAWND)


def brief():
    """Are a few rounds enough: where others do the many, or each is dear?"""
    return SHORT or sanitized()


def sanitizer_env():
    """What a build with sanitizers needs to know; never reaches workers."""
    env = {k: v for k, v in os.environ.items()
           if re.fullmatch(r"[AULT]+SAN_OPTIONS", k)}
    # What is freed is kept back, but no more of it than this.
    env["ASAN_OPTIONS"] = ":".join(
        filter(None, [env.get("ASAN_OPTIONS"), "quarantine_size_mb=8"]))
    return env if sanitized() else {}


def become_user(name):
    """A function that turns the calling process into that user."""
    entry = pwd.getpwnam(name)
    extra = os.getgrouplist(name, entry.pw_gid)

    def become():
        os.setgroups(extra)
        os.setresgid(*[entry.pw_gid] * 3)
        os.setresuid(*[entry.pw_uid] * 3)
    return become


class Spawnd:
    """One spawnd and all it starts; see the top of this file."""

    def __init__(self, *args, ready=True, daemon=False, env=None, cwd="/",
                 wrap=(), become=None, user=None, binary=None,
                 stdin=subprocess.DEVNULL, deadline=START_DEADLINE):
        mode = [] if daemon else ["-n"]
        self.argv = [*wrap, binary or SPAWND, *mode, *(str(a) for a in args)]
        self.daemon = daemon
        self.want_ready = ready
        self.env = dict(BASE_ENV if env is None else env, **sanitizer_env())
        self.cwd = cwd
        self.stdin = stdin
        self.deadline = deadline
        self.become = become_user(user) if user else become
        self.pid = None
        self.status = None
        self.popen = None
        self.log_path = f"{PLACES}/log.{next(_numbers)}"
        self._sessions = set()
        self._known = set()

    def launch(self):
        with open(self.log_path, "wb") as f:
            self.popen = subprocess.Popen(
                self.argv, stdin=self.stdin, stdout=f, stderr=f,
                env=self.env, cwd=self.cwd, preexec_fn=self.become,
                start_new_session=True)
        self.pid = self.popen.pid
        self._sessions.add(self.pid)
        if self.daemon:
            self._daemon()
        elif self.want_ready:
            self.wait_ready(self.deadline)

    def _daemon(self):
        self.status = self.wait(self.deadline)
        found = re.search(r"\bpid (\d+)", self.log())
        self.pid = int(found.group(1)) if found else None
        if self.pid:
            s = stat(self.pid)
            self._sessions |= {self.pid} | ({s.session} if s else set())
        if self.want_ready and (self.status != 0 or not self.pid):
            raise Ended(f"{self.argv}: status {self.status}:\n{self.log()}")

    def log(self):
        return _read(self.log_path).decode(errors="replace")

    def wait_ready(self, deadline=START_DEADLINE):
        def ready():
            if READY.search(self.log()):
                return True
            code = self.popen.poll()
            # The line may have been written between the two looks.
            if code is not None and not READY.search(self.log()):
                raise Ended(f"{self.argv}: status {code}:\n{self.log()}")
            return False
        wait_for(ready, deadline, lambda: f"ready: {self.argv}\n{self.log()}")
        return self

    def wait_log(self, text, deadline=10, start=0):
        """Until a regular expression is in the log (behind `start`)."""
        return wait_for(lambda: re.search(text, self.log()[start:]), deadline,
                        lambda: f"log has {text!r}:\n{self.log()}")

    def workers(self):
        found = children(self.pid)
        self._known.update(found)
        return found

    def wait_workers(self, count, other_than=(), deadline=10):
        """Until there are exactly count live workers, none of the given."""
        def right():
            now = self.workers()
            if len(now) == count and not set(now) & set(other_than):
                return now
            return None
        return wait_for(right, deadline,
                        lambda: f"{count} workers other than {other_than}: "
                                f"{self.workers()}\n{self.log()}")

    def wait_watched(self, deadline=5):
        """Until each worker has its pidfd, a second after its start. Then the
        supervisor of an idle pool does nothing more by itself."""
        wait_for(lambda: sum("pidfd" in link for link in
                             fds(self.pid).values()) == len(self.workers()),
                 deadline, lambda: f"pidfds: {fds(self.pid)}")

    def processes(self):
        return sorted(s.pid for s in all_stats()
                      if s.session in self._sessions and s.state not in "ZX")

    def signal(self, signo):
        os.kill(self.pid, signo)

    def running(self):
        if self.daemon:
            return bool(self.pid) and alive(self.pid)
        return self.popen.poll() is None

    def wait(self, deadline=STOP_DEADLINE):
        """Awaits the end (of the first process); returns its status."""
        try:
            return self.popen.wait(deadline * PATIENCE)
        except subprocess.TimeoutExpired:
            raise Late(f"{self.argv}: still there after {deadline} s:\n"
                       f"{self.log()}") from None

    def stop(self, signo=SIGTERM, deadline=STOP_DEADLINE):
        """Stops it; returns the exit status (None for a daemon)."""
        self.workers()
        self.signal(signo)
        if self.daemon:
            wait_for(lambda: not alive(self.pid), deadline,
                     lambda: f"end of {self.argv}")
            return None
        return self.wait(deadline)

    def end(self):
        """Ends everything at once, by pid: the last resort of a test."""
        for _ in range(200):
            # The supervisor first, or it would start new ones.
            left = self.processes()
            left.sort(key=lambda pid: pid != self.pid)
            for pid in left:
                kill(pid)
            if self.popen and self.popen.poll() is None:
                self.popen.kill()
            left += [p for p in self._known if self._is_ours(p)]
            if not left:
                break
            time.sleep(0.01)
        if self.popen:
            self.popen.wait(5)
        try:
            os.unlink(self.log_path)
        except FileNotFoundError:
            pass

    def _is_ours(self, pid):
        s = stat(pid)
        return s is not None and s.state not in "ZX" \
            and s.session in self._sessions


def run_spawnd(*args, env=None, cwd="/", wrap=(), become=None, user=None,
               stdin=subprocess.DEVNULL, deadline=10, pass_fds=()):
    """Runs spawnd to its end, which must come before the deadline."""
    argv = [*wrap, SPAWND, *(a if isinstance(a, bytes) else str(a)
                             for a in args)]
    p = subprocess.Popen(
        argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=dict(BASE_ENV if env is None else env, **sanitizer_env()),
        cwd=cwd, start_new_session=True, pass_fds=pass_fds,
        preexec_fn=become_user(user) if user else become)
    try:
        out, err = p.communicate(timeout=deadline * PATIENCE)
    except subprocess.TimeoutExpired:
        end_session(p.pid)
        out, err = p.communicate()
        raise Late(f"{argv}: still there after {deadline} s:\n"
                   f"{err.decode(errors='replace')}") from None
    # A daemon that was not expected is found by its parentage or session.
    end_session(p.pid)
    found = re.search(rb"ready on .*\bpid (\d+)", out + err)
    if found:
        end_session(int(found.group(1)))
    return Result(p.returncode, out.decode(errors="replace"),
                  err.decode(errors="replace"))


def end_session(sid):
    for _ in range(200):
        left = [s.pid for s in all_stats()
                if s.session == sid and s.state not in "ZX"]
        if not left:
            return
        for pid in left:
            kill(pid)
        time.sleep(0.01)


def line_of(result):
    """The one line that a spawnd which refused has written."""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, f"not one line: {result.stderr!r}"
    assert result.stderr.endswith("\n")
    assert lines[0].startswith("spawnd: "), lines[0]
    assert result.stdout == ""
    return lines[0]


# FastCGI, the web server's side

RESPONDER, AUTHORIZER, FILTER = 1, 2, 3
_BEGIN, _ABORT, _END, _PARAMS, _STDIN, _STDOUT, _STDERR = range(1, 8)

_KINDS = {
    errno.ECONNREFUSED: "refused", errno.ENOENT: "missing",
    errno.EACCES: "denied", errno.EAGAIN: "full", errno.EPIPE: "closed",
    errno.ECONNRESET: "reset", errno.ETIMEDOUT: "timeout",
}


class FcgiError(Exception):
    def __init__(self, kind, text=""):
        super().__init__(f"{kind}: {text}" if text else kind)
        self.kind = kind


class Answer:
    def __init__(self, stdout, stderr, app_status):
        self.stderr = stderr
        self.app_status = app_status
        self.status = 200
        self.headers = {}
        head, sep, self.body = stdout.partition(b"\r\n\r\n")
        if not sep:
            head, sep, self.body = stdout.partition(b"\n\n")
        if not sep:
            raise FcgiError("protocol", f"no end of headers: {stdout[:200]!r}")
        for line in head.decode(errors="replace").splitlines():
            name, colon, value = line.partition(":")
            if not colon:
                raise FcgiError("protocol", f"header {line!r}")
            self.headers[name.strip().lower()] = value.strip()
        if "status" in self.headers:
            self.status = int(self.headers["status"].split()[0])

    @property
    def text(self):
        return self.body.decode(errors="replace")

    @property
    def facts(self):
        found = collections.defaultdict(list)
        for line in self.text.splitlines():
            name, _, value = line.partition(" ")
            found[name].append(value)
        return found

    def fact(self, name):
        """The only value of a fact."""
        values = self.facts[name]
        assert len(values) == 1, f"{name}: {values} in {self.text!r}"
        return values[0]


def _record(kind, data, ident=1):
    pad = -len(data) % 8
    return struct.pack(">BBHHBx", 1, kind, ident, len(data), pad) + data \
        + bytes(pad)


def _stream(kind, data):
    parts = [_record(kind, data[i:i + 65528])
             for i in range(0, len(data), 65528)]
    return b"".join(parts) + _record(kind, b"")


def _length(n):
    return bytes([n]) if n < 128 else struct.pack(">I", n | 1 << 31)


def _pairs(params):
    out = []
    for name, value in params.items():
        n, v = os.fsencode(name), os.fsencode(str(value))
        out += [_length(len(n)), _length(len(v)), n, v]
    return b"".join(out)


def request_bytes(query, stdin=b""):
    """A request as it goes over the wire."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        c = Connection.__new__(Connection)
        c.sock = ours
        c.send(query, stdin)
        return theirs.recv(65536)


class Connection:
    """A connection to a FastCGI application."""

    def __init__(self, addr, deadline=REQUEST_DEADLINE):
        self.deadline = deadline
        self.buf = b""
        tcp = not isinstance(addr, (str, bytes))
        family = socket.AF_UNIX if not tcp else \
            socket.AF_INET6 if ":" in addr[0] else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(deadline * PATIENCE)
        try:
            self.sock.connect(addr)
        except (TimeoutError, OSError) as e:
            self.sock.close()
            raise self._error(e) from None
        self.sock.setblocking(False)

    @staticmethod
    def _error(e):
        if isinstance(e, TimeoutError):
            return FcgiError("timeout", str(e))
        return FcgiError(_KINDS.get(e.errno, f"errno {e.errno}"), str(e))

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def request(self, query="", stdin=b"", params=None, role=RESPONDER,
                keep=False):
        self.send(query, stdin, params, role, keep)
        return self.receive()

    def send(self, query="", stdin=b"", params=None, role=RESPONDER,
             keep=False):
        """Queues a request; receive() sends what the socket does not take."""
        env = {
            "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1",
            "REQUEST_METHOD": "POST" if stdin else "GET",
            "SCRIPT_NAME": "/test", "REQUEST_URI": f"/test?{query}",
            "QUERY_STRING": query, "CONTENT_LENGTH": len(stdin),
        }
        env.update(params or {})
        self.out = _record(_BEGIN, struct.pack(">HB5x", role, int(keep))) \
            + _stream(_PARAMS, _pairs(env))
        if role != AUTHORIZER:
            self.out += _stream(_STDIN, stdin)
        self._write()

    def _write(self):
        try:
            while self.out:
                self.out = self.out[self.sock.send(self.out[:262144]):]
        except BlockingIOError:
            pass
        except OSError as e:
            # The answer may have come all the same; receive() decides.
            if e.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise self._error(e) from None
            self.out = b""

    def receive(self):
        end = time.monotonic() + self.deadline * PATIENCE
        stdout, stderr = [], []
        while True:
            kind, data = self._next(end)
            if kind == _STDOUT:
                stdout.append(data)
            elif kind == _STDERR:
                stderr.append(data)
            elif kind == _END:
                app_status, protocol = struct.unpack(">IB3x", data)
                if protocol:
                    raise FcgiError("protocol", f"status {protocol}")
                return Answer(b"".join(stdout), b"".join(stderr), app_status)
            else:
                raise FcgiError("protocol", f"record of type {kind}")

    def _next(self, end):
        while True:
            if len(self.buf) >= 8:
                version, kind, _, size, pad = struct.unpack(
                    ">BBHHBx", self.buf[:8])
                if version != 1:
                    raise FcgiError("protocol", f"version {version}")
                if len(self.buf) >= 8 + size + pad:
                    data = self.buf[8:8 + size]
                    self.buf = self.buf[8 + size + pad:]
                    return kind, data
            self._more(end)

    def _more(self, end):
        left = end - time.monotonic()
        writers = [self.sock] if self.out else []
        if left <= 0:
            raise FcgiError("timeout", f"{self.deadline} s")
        r, w, _ = select.select([self.sock], writers, [], left)
        if w:
            self._write()
        if not r:
            return
        try:
            data = self.sock.recv(262144)
        except BlockingIOError:
            return
        except OSError as e:
            raise self._error(e) from None
        if not data:
            raise FcgiError("closed", "before the end of the answer")
        self.buf += data


def request(addr, query="", deadline=REQUEST_DEADLINE, **kw):
    with Connection(addr, deadline) as c:
        return c.request(query, **kw)


# Load

def all_answer(addr, workers):
    """Does each of so many connections at once have a worker of its own?"""
    held = []
    try:
        for _ in range(workers):
            c = Connection(addr, 1)
            held.append(c)
            c.send("sleep=100")
        return len({c.receive().headers["x-pid"] for c in held}) == workers
    except FcgiError:
        return False
    finally:
        for c in held:
            c.close()


class Load:
    """
    `threads` threads send one request after another, each on a connection of
    its own unless keep, at `rate` requests a second in all (None: as fast as
    they can), until stop() or `count` requests in all. A request is never
    repeated. Its answer must carry its token and have the length asked for.
    """

    def __init__(self, addr, threads=4, rate=None, count=None, size=100,
                 query="", deadline=REQUEST_DEADLINE):
        self.addr, self.size, self.query = addr, size, query
        self.count, self.deadline = count, deadline
        self.interval = threads / rate if rate else 0
        self.sent = self.connected = self.answered = 0
        self.failed = collections.Counter()
        self.errors = []            # the first texts
        self.pids = collections.Counter()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,),
                                          daemon=True)
                         for n in range(threads)]

    def start(self):
        for t in self._threads:
            t.start()
        return self

    def stop(self):
        self._stop.set()
        return self.join()

    def join(self):
        for t in self._threads:
            t.join(self.deadline * PATIENCE + 60)
            assert not t.is_alive(), "a thread of the load hangs"
        assert self.sent == self.answered + sum(self.failed.values())
        return self

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def _take(self):
        with self._lock:
            if self._stop.is_set() or \
                    (self.count is not None and self.sent >= self.count):
                return None
            self.sent += 1
            return self.sent

    def _run(self, number):
        due = time.monotonic() + number * self.interval / len(self._threads)
        while True:
            if self.interval:
                if self._stop.wait(max(0, due - time.monotonic())):
                    return
                due += self.interval
            serial = self._take()
            if serial is None:
                return
            self._one(f"t{number}x{serial}x{os.getpid()}")

    def _one(self, token):
        query = f"token={token}&pid&{self.query}&big={self.size}"
        try:
            with Connection(self.addr, self.deadline) as c:
                with self._lock:
                    self.connected += 1
                answer = c.request(query)
            self.check(answer, token)
        except FcgiError as e:
            with self._lock:
                self.failed[e.kind] += 1
                if len(self.errors) < 10:
                    self.errors.append(str(e))
        else:
            with self._lock:
                self.answered += 1
                self.pids[int(answer.headers["x-pid"])] += 1

    def check(self, answer, token):
        if answer.headers.get("x-token") != token:
            raise FcgiError("token", f"{answer.headers} instead of {token}")
        if answer.status != 200:
            raise FcgiError("status", str(answer.status))
        filler = answer.body.rpartition(b"\n")[2]
        if filler != b"x" * self.size:
            raise FcgiError("length", f"{len(filler)} not {self.size}")

    def __str__(self):
        return f"sent {self.sent} = answered {self.answered} + failed " \
               f"{dict(self.failed)} {self.errors}"
