# SPDX-License-Identifier: ISC
"""
What the tests of a take-over share.

    Pool(place, ...)    a pool that is taken over again and again:
      p.begin()         starts the first spawnd
      p.take_over(...)  the next one, whose options follow the common ones;
                        returns its Result
      p.pid             who has the name, by the pidfile of its directory
      p.check()         one pool is there: its name, socket, files and status
                        are one process's
      p.end()           ends what is left, by pid
    Successor(p)        plays one that takes over: a connection, on which
                        .to("HELD") goes as far as that step
    Taker(p, ...)       a real one, from one system call to the next
"""

import os
import signal
import socket
import subprocess
import time

import harness as h
from ctl import Raw, ask, ctl, figures, pool

NAME = "taken"
LONGEST = 20            # seconds for a take-over


class Pool:
    def __init__(self, place, where, *common, user=None, control=None):
        self.place, self.user = place, user
        self.dir = control or pool(NAME)
        self.where = [str(w) for w in where]
        self.common = ["--name", NAME, "-P", f"{place}/pid", "--log",
                       f"{place}/log", *(["--control", control] if control
                                         else []), *map(str, common)]
        self.pids = []

    def _become(self, first):
        def become():
            if first:
                first()
            if self.user:
                h.become_user(self.user)()
        return become

    def _run(self, args, binary=None, deadline=LONGEST, become=None):
        argv = [binary or h.SPAWND, *self.where, *self.common, *map(str, args)]
        with open(f"{self.place}/err", "w+b") as f:
            p = subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=f, stderr=f, cwd="/",
                env={**h.BASE_ENV, **h.sanitizer_env()},
                preexec_fn=self._become(become),
                timeout=deadline * h.PATIENCE, start_new_session=True)
            f.seek(0)
            text = f.read().decode(errors="replace")
        return h.Result(p.returncode, text, text)

    def begin(self, *args, **kw):
        r = self._run(args, **kw)
        assert r.status == 0, r.stderr
        self.pids.append(self.pid)
        return r

    def take_over(self, *args, **kw):
        r = self._run(["--replace", *args], **kw)
        if self.pid not in self.pids:
            self.pids.append(self.pid)
        return r

    def changed(self, *args, **kw):
        """A take-over that has to succeed."""
        before = self.pid
        r = self.take_over(*args, **kw)
        assert r.status == 0, (r.stderr, self.log())
        assert self.pid != before
        return r

    def refused(self, status, text, *args, **kw):
        """One that has to fail, and to change nothing."""
        before = self.pid
        r = self.take_over(*args, **kw)
        assert r.status == status and text in r.stderr, (r, self.log())
        assert self.pid == before and h.alive(before)
        h.wait_for(self.is_settled, 10, self.log)
        return r

    def is_settled(self):
        """Has each one that has begun come to its end?"""
        log = self.log()
        return log.count("take-over: begun") == log.count("has given up") + \
            log.count("serves from now on")

    @property
    def pid(self):
        with open(f"{self.dir}/pid") as f:
            return int(f.read())

    def log(self):
        with open(f"{self.place}/log") as f:
            return f.read()

    def wait_alone(self, deadline=40):
        """Until those before have ended."""
        h.wait_for(lambda: [p for p in self.pids if h.alive(p)] == [self.pid],
                   deadline, self.log)
        self.pids = [self.pid]

    def check(self):
        pid = self.pid
        assert h.alive(pid), self.log()
        assert figures(NAME)["pool"]["pid"] == str(pid)
        with open(f"{self.place}/pid") as f:
            assert int(f.read()) == pid
        # One by one the workers may be exchanged once more.
        assert ctl("-p", NAME, "wait-ready", "10").status == 0

    def end(self):
        left = set(self.pids)
        try:
            left.add(self.pid)
        except (OSError, ValueError):
            pass
        for pid in left:
            for sig in (signal.SIGTERM, signal.SIGKILL):
                if not h.alive(pid):
                    break
                try:
                    os.kill(pid, sig)
                except ProcessLookupError:
                    break
                try:
                    h.wait_for(lambda: not h.alive(pid), 5, "its end")
                except h.Late:
                    pass


class Successor(Raw):
    """One that takes over: it says so, and has no pool. What it is passed
    it drops."""

    STEPS = ["GIVEN", "HELD", "GONE"]

    def __init__(self, p, user=None):
        self.peer = None
        if user is None:
            super().__init__(p.dir + "/control")
        else:
            super().__init__(p.dir + "/control", connect=self._as(user))

    def _as(self, user):
        """A process of that user connects, and lives as long as we do."""
        def connect(path):
            ours, its = socket.socketpair()
            if (pid := os.fork()) == 0:
                try:
                    ours.close()
                    h.become_user(user)()
                    with socket.socket(socket.AF_UNIX) as c:
                        c.connect(path)
                        socket.send_fds(its, [b"x"], [c.fileno()])
                    its.recv(1)
                finally:
                    os._exit(0)
            its.close()
            self.peer = ours, pid
            return socket.socket(fileno=socket.recv_fds(ours, 1, 1)[1][0])
        return connect

    def close(self):
        super().close()
        if self.peer:
            self.peer[0].close()
            os.waitpid(self.peer[1], 0)

    def to(self, step, pid=None):
        for command in ["takeover 1", f"commit {pid or os.getpid()}",
                        "done"][:self.STEPS.index(step) + 1]:
            answer = self.ask(command)
            assert answer[-1] == "end", (command, answer)
        return self


class Taker(h.Stepped):
    """A spawnd that takes over, from one system call to the next."""

    def __init__(self, p, *args):
        super().__init__([h.SPAWND, "-n", *p.where, *p.common, "--replace",
                          *map(str, args)])

    def run_to(self, step):
        """False if it ends before that."""
        while self.steps < step:
            if not self.step():
                return False
        return True


class Watch:
    """Asks for the status all the time; .errors are those that failed."""

    def __init__(self):
        import threading
        self.errors, self.asked = [], 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self.over.is_set():
            for command in ("status", "ping"):
                lines = []
                try:
                    lines = ask(pool(NAME) + "/control", command)
                except (OSError, EOFError) as e:
                    lines = [repr(e)]
                self.asked += 1
                if lines[-1] != "end":
                    self.errors.append((command, lines))
            time.sleep(0.001)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.thread.join(20 * h.PATIENCE)
