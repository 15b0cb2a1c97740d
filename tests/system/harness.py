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

What waits stands in deadline.py, what the kernel says of a process in
procfs.py, and the web server's side in fastcgi.py.

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

    free_port()         a port of 127.0.0.1 that nobody listens on
    fill(path)          fills the queue of a unix socket: the connections

    switches(pid), waits(pid), rests(pid, seconds), share(pid, seconds)
                        whether a process runs, and how much
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
import ctypes
import itertools
import os
import pwd
import re
import shutil
import stat as stat_m
import subprocess
import time
from signal import SIGTERM

from deadline import (Late, PATIENCE, START_DEADLINE, STOP_DEADLINE,
                      pass_time, wait_for)
from fastcgi import (Answer, Connection, FcgiError, Load, all_answer, fill,
                     free_port, request, request_bytes)
from procfs import (LOOKER, alive, all_stats, caps, children, cpu, descendants,
                    environ, fds, forbid_call, groups, ids, kill, let_go, libc,
                    limits, link, lookers, old_calls, pidfd_getfd, read, rests,
                    serves, share, signals, stat, status, straced, switches,
                    user_namespaces, wait_fds, waits, zombies)

# What the tests take from here, too.
__all__ = ["Answer", "Connection", "FcgiError", "LOOKER", "Load", "all_answer",
           "caps", "cpu", "descendants", "environ", "fill", "forbid_call",
           "free_port", "groups", "ids", "let_go", "limits", "link", "lookers",
           "old_calls", "pass_time", "pidfd_getfd", "request",
           "request_bytes", "rests", "serves", "share", "signals", "status",
           "straced", "switches", "user_namespaces", "wait_fds", "waits",
           "zombies"]

_top = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
SPAWND = os.environ.get("SPAWND") or os.path.join(_top, "build", "spawnd")
APPS = os.environ.get("APPS") or os.path.join(_top, "build", "apps")
SOURCES = os.path.join(_top, "tests", "apps")
USERS = {"www": 67, "_app": 68, "web": 69, "many": 70}
PLACES = "/run/t"

READY = re.compile(r"(\d+) workers?\b.* ready on (\S+)")

SHORT = False           # --short
SOAK = None             # N of --soak

_numbers = itertools.count(1)


class Ended(AssertionError):
    """A spawnd has ended instead of becoming ready."""


def always(test):
    """Marks a test that --short runs though its file takes long (conftest.py).
    """
    test.always = True
    return test


def needs(what):
    """Marks a test that cannot be without this file, or without what this
    function finds and its docstring names; where that is not there the test is
    named, and neither passes nor fails (see conftest.py)."""
    def mark(test):
        test.needs = what
        return test
    return mark


def broken(program, version):
    """Marks a test that this version of another's program makes fail, by a
    fault of its own: named as one of needs()."""
    def mark(test):
        test.broken = program, version
        return test
    return mark


def soak(test):
    """Marks a test that only --soak N runs, which is SOAK (conftest.py)."""
    test.soak = True
    return test


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


class Stepped:
    """A process that is stopped at the entry and at the exit of each of its
    system calls: step() runs it to the next, and tells if it has ended."""

    _TRACEME, _CONT, _DETACH, _SYSCALL = 0, 7, 17, 24

    def __init__(self, argv):
        self.popen = subprocess.Popen(
            argv, env={**BASE_ENV, **sanitizer_env()}, cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
            preexec_fn=lambda: libc.ptrace(self._TRACEME, 0, 0, 0))
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
        libc.ptrace(how, self.pid, None, ctypes.c_void_p(signo))

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
    return b"__asan_init" in read(SPAWND)


def brief():
    """Are a few rounds enough: where others do the many, or each takes long?"""
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


def has_a_timer(pid):
    """Is one of its timerfds going to expire?"""
    timers = [fd for fd, link in fds(pid).items() if "[timerfd]" in link]
    assert timers
    for fd in timers:
        with open(f"/proc/{pid}/fdinfo/{fd}") as f:
            if "it_value: (0, 0)" not in f.read():
                return True
    return False


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
        return read(self.log_path).decode(errors="replace")

    def bugs(self):
        """What it has found to be a bug of its own, whatever was tested."""
        if not os.path.exists(self.log_path):
            return []
        return [line for line in self.log().splitlines()
                if "(a bug: please report it)" in line]

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
        """Until each worker has its pidfd, a second after its start."""
        wait_for(lambda: sum("pidfd" in link for link in
                             fds(self.pid).values()) == len(self.workers()),
                 deadline, lambda: f"pidfds: {fds(self.pid)}")

    def wait_rest(self, deadline=10):
        """Until the supervisor of an idle pool does nothing more by itself."""
        def rests_now():
            # It may set a timer, and sleep again, after the first look; one
            # that has expired is none, but then it does not sleep.
            before = switches(self.pid)
            return not has_a_timer(self.pid) and \
                stat(self.pid).state == "S" and switches(self.pid) == before
        self.wait_watched()
        wait_for(rests_now, deadline, "rest")

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
