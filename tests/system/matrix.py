# SPDX-License-Identifier: ISC
"""
Every kind of program, in every way that workers go, over both kinds of
sockets, with and without connections that are kept: under a load that leaves
the workers no idle moment, no request is lost and no answer is wrong.

    PROGRAMS, WAYS, SOCKETS, KEEPING
                        what is combined
    pairs(WAY...)       a few cells, in which each program meets each way, and
                        each of both each socket; no connection is kept
    cells()             all of them
    run(spawnd, place, cell, requests)
                        one cell, with so many requests at the least; asserts
                        that nothing is lost or wrong
    note(line)          keeps it, for a table

Each cell leaves a line in the file "matrix" beside the program under test.
"""

import collections
import itertools
import os
import re
import signal
import subprocess
import tempfile
import time

import ctl
import harness as h

WORKERS = 4             # requests at a time that a pool can serve
CLIENTS = 2 * WORKERS
KEPT = 2
PAUSE = 300             # ms between two requests over a kept connection
MS = 20                 # ms of a request in the worker
RELOADS, SCALES = (20, 5) if h.SOAK else (4, 3)
STOP_TIMEOUT = 20       # longer than any request, on a machine with other load
PORT = 9077
NAME = "matrix"
LONGEST = 600 if h.SOAK else 150    # seconds for 2,000 requests and all that

PHP = ["/usr/bin/php-cgi", "-n"]
PAGE = h.source("php/load.php")
CGI = h.app("cgi")
NODE = ["-e", "NODE_PATH=/usr/share/nodejs", "-e", "NODE_NO_WARNINGS=1"]
UWSGI = ["/usr/bin/uwsgi", "--plugin", "python3", "--protocol", "fastcgi",
         "--socket", "fd://0", "--wsgi-file", h.source("load.wsgi"),
         "--disable-logging"]

# What is started, with which options, and which script is asked for.
PROGRAMS = {
    "bare": ([h.app("bare")], ["-F", WORKERS], ""),     # knows no signal
    "libfcgi": ([h.app("lib")], ["-F", WORKERS], ""),
    "threads": ([h.app("lib"), "8"], ["-F", 2], ""),
    "php-cgi": (PHP, ["-F", WORKERS], PAGE),
    "php-cgi -C 3": (PHP, ["-F", 2, "-C", 3], PAGE),
    "perl": ([h.source("load.pl")], ["-F", WORKERS], ""),
    "ruby": ([h.source("load.rb")], ["-F", WORKERS], ""),
    "go": ([os.path.join(h.APPS, "load-go")], ["-F", 2], ""),
    "node": (["/usr/bin/node", h.source("load.js")], ["-F", 2, *NODE], ""),
    "asyncio": ([h.source("load.py")], ["-F", 2], ""),
    "anyevent": ([h.source("load-anyevent.pl")], ["-F", 2], ""),
    "fcgiwrap": (["/usr/sbin/fcgiwrap"], ["-F", WORKERS], CGI),
    "fcgiwrap -c 3": (["/usr/sbin/fcgiwrap", "-c", "3"], ["-F", 2], CGI),
    "procmanager": ([h.source("load-manager.pl"), "3"], ["-F", 2], ""),
    "uwsgi": (UWSGI, ["-F", WORKERS], ""),
    "sandboxed": ([h.app("sandboxed")], ["-F", WORKERS], ""),
    "timeout": (["/usr/bin/timeout", "600", h.app("bare")], ["-F", WORKERS],
                ""),
    "prefork": ([h.app("prefork"), "3", h.app("bare")], ["-F", 2], ""),
}
# Requests at a time, where a worker serves more than one: 95 % busy is more.
CROWDS = {"threads": 16, "php-cgi -C 3": 6, "fcgiwrap -c 3": 6,
          "procmanager": 6, "prefork": 6, "go": 16, "node": 16,
          "asyncio": 16, "anyevent": 16}
# Bytes: node-fastcgi stands still when more comes at once than it buffers.
MOST = {"node": 8192}
# node-fastcgi ends each connection after its answer, whatever it is asked: who
# asks again before that, on a machine with other load, gets no answer.
CLOSES = ["node"]
# A server of FCGI::ProcManager that hears TERM right after its fork takes
# itself for the manager and waits for ever, and the manager for it.
HANGS = ["procmanager"]
WAYS = ["reload", "scale", "age", "stop"]
SOCKETS = ["unix", "tcp"]
KEEPING = ["", "kept"]

Cell = collections.namedtuple("Cell", "program way socket keeping")


def cells():
    found = itertools.starmap(Cell, itertools.product(PROGRAMS, WAYS, SOCKETS,
                                                      KEEPING))
    return [c for c in found if not c.keeping or c.program not in CLOSES]


def pairs(*ways):
    """Each program in each of the ways; the sockets take turns. Kept
    connections are in cells()."""
    found = []
    for p, program in enumerate(PROGRAMS):
        for w, way in enumerate(WAYS):
            found.append(Cell(program, way, SOCKETS[(p + w) % 2], KEEPING[0]))
    return [cell for cell in found if cell.way in ways]


def name(cell):
    return ", ".join(filter(None, cell))


class Load:
    """post.c, in the background."""

    def __init__(self, address, script="", clients=CLIENTS, kept=0, enough=0,
                 till_refused=False, ms=MS, most=2 << 20):
        argv = [h.app("post"), "-k", str(kept), "-p", str(PAUSE), "-m",
                str(most), "-n", str(enough), "-s", script,
                *(["-x"] if till_refused else []), address, str(clients),
                str(ms)]
        self.out, self.err = (tempfile.TemporaryFile() for _ in range(2))
        self.popen = subprocess.Popen(argv, stdout=self.out, stderr=self.err)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        self.out.close()
        self.err.close()

    @staticmethod
    def read(f):
        return os.pread(f.fileno(), 1 << 16, 0).decode(errors="replace")

    def enough(self):
        """Have there been so many requests?"""
        text = self.read(self.out)
        assert self.popen.poll() is None or text, "the load has ended"
        return text.startswith("enough")

    def errors(self):
        """What it has told of the first failures so far."""
        return self.read(self.err)

    def end(self):
        """Ends it; what became of the requests."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGINT)
        self.popen.wait(200)
        words = self.read(self.out).replace("enough\n", "").split()
        found = collections.Counter(
            dict(zip(words[::2], map(int, words[1::2]))))
        assert found["sent"] == found["answered"] + failed(found)
        return found


LOST = ["connect", "reset", "eof", "short", "wrong", "late"]


def failed(found):
    return found["refused"] + lost(found)


def lost(found):
    """Of those that were let in."""
    return sum(found[kind] for kind in LOST)


class Run:
    """A cell, while it is run."""

    def __init__(self, spawnd, place, cell, requests):
        self.spawnd, self.place, self.cell = spawnd, place, cell
        self.requests = requests
        self.argv, self.options, self.script = PROGRAMS[cell.program]
        self.found = collections.Counter()
        self.errors = ""
        self.gap, self.busy = 0, 100
        self.times = 0          # reloads, workers that went, stops
        self.end = time.monotonic() + LONGEST * max(1, requests / 2000)

    def start(self, *options):
        where = ["-s", f"{self.place}/sock"] if self.cell.socket == "unix" \
            else ["-p", PORT]
        s = self.spawnd("--name", NAME, *where, "-u", "www", *self.options,
                        "--stop-timeout", STOP_TIMEOUT, *options, "--",
                        *self.argv)
        h.wait_for(self.answers, 20, s.log)
        # All that follows is shown of workers that are confined.
        holds = ctl.figures(NAME)["guarantees"]
        assert holds["confine_signals"] == holds["confine_limits"] == "yes", \
            holds
        return s

    def address(self):
        return f"{self.place}/sock" if self.cell.socket == "unix" else \
            f"127.0.0.1:{PORT}"

    def answers(self):
        """Does the program?"""
        where = f"{self.place}/sock" if self.cell.socket == "unix" else \
            ("127.0.0.1", PORT)
        return h.request(where, "first 0 0", params={
            "SCRIPT_FILENAME": self.script,
            "REDIRECT_STATUS": 200}).text.startswith("first ")

    def load(self, enough, **kw):
        crowd = CROWDS.get(self.cell.program, WORKERS)
        return Load(self.address(), self.script, 2 * crowd,
                    KEPT if self.cell.keeping else 0, enough,
                    most=MOST.get(self.cell.program, 2 << 20), **kw)

    def end_of(self, load):
        now = load.end()
        self.gap = max(self.gap, now.pop("gap_us"))
        self.busy = min(self.busy, now.pop("busy"))
        self.found += now
        self.errors += load.errors()

    def late(self):
        return time.monotonic() > self.end

    def goes_on(self, load, times):
        return not (load.enough() and self.times >= times) and \
            not self.late()

    @staticmethod
    def ready():
        return sum(w["state"] == "ready"
                   for w in ctl.figures(NAME)["worker"])

    def counted(self):
        """Lost and killed, as the pool has it."""
        count = ctl.figures(NAME)["count"]
        return int(count["lost"]) + (
            0 if self.cell.program in HANGS else int(count["killed"]))

    def killed(self, s):
        """Lost and killed, as the log has it."""
        what = r"lost [1-9]" if self.cell.program in HANGS else \
            r": killed:|lost [1-9]"
        return re.search(what, s.log())

    def reload(self):
        s = self.start()
        with self.load(self.requests) as load:
            while self.goes_on(load, RELOADS):
                s.signal(signal.SIGHUP)
                h.wait_for(lambda: s.log().count("all workers are new") >
                           self.times, 2 * STOP_TIMEOUT, s.log)
                self.times += 1
            self.end_of(load)
        assert self.times >= RELOADS, self.said(s)
        self.finish(s)

    def scale(self):
        """Down to one worker, and up again."""
        s = self.start()
        all_of_them = len(s.workers())
        with self.load(self.requests) as load:
            while self.goes_on(load, SCALES):
                for n in (1, all_of_them):
                    said = ctl.ask(ctl.pool(NAME) + "/control", f"scale {n}")
                    assert said[-1] == "end", (said, self.said(s))
                    h.wait_for(lambda n=n: self.ready() == n ==
                               len(s.workers()), 2 * STOP_TIMEOUT, s.log)
                    h.pass_time(0.1)    # in which all of them serve
                self.times += 1
            self.end_of(load)
        assert self.times >= SCALES, self.said(s)
        self.finish(s)

    def age(self):
        s = self.start("--max-age", 1)
        gone, before = set(), set(s.workers())
        with self.load(self.requests) as load:
            while self.goes_on(load, 6):
                now = set(s.workers())
                gone |= before - now
                before = now
                self.times = len(gone)
                h.pass_time(0.05)       # between two looks
            self.end_of(load)
        assert self.times >= 6, self.said(s)
        self.finish(s)

    def stop(self):
        """While the load lasts, a few times: whoever was let in is served."""
        each = max(50, self.requests // 8)
        while self.found["sent"] < self.requests and not self.late():
            s = self.start()
            with self.load(each, till_refused=True) as load:
                h.wait_for(load.enough, LONGEST, s.log)
                s.signal(signal.SIGTERM)
                assert s.wait(STOP_TIMEOUT + 5) == 0, s.log()
                self.end_of(load)
            self.times += 1
            assert not self.killed(s), self.said(s)
            if self.cell.socket == "unix" and \
                    os.path.exists(f"{self.place}/sock"):
                os.unlink(f"{self.place}/sock")
            self.check(s)
        assert self.found["sent"] >= self.requests, self.said(s)

    def finish(self, s):
        assert self.found["refused"] == 0, self.said(s)
        self.check(s)
        assert self.found["sent"] >= self.requests, self.said(s)
        assert self.counted() == 0, self.said(s)
        assert s.stop(deadline=STOP_TIMEOUT) == 0, self.said(s)
        assert not self.killed(s), self.said(s)

    def check(self, s):
        assert lost(self.found) == 0, self.said(s)
        # Clients that were refused have ended before the others.
        assert self.busy >= 95 or self.cell.way == "stop", self.said(s)

    def said(self, s):
        return f"{self.line()}\n{self.errors}\n{s.log()[-4000:]}"

    def line(self):
        return f"{name(self.cell)}: {self.times} times: " + " ".join(
            f"{k} {n}" for k, n in self.found.items() if n) + \
            f" busy {self.busy} gap_us {self.gap}"


def note(line):
    with open(os.path.join(os.path.dirname(h.SPAWND), "matrix"), "a",
              encoding="utf-8") as f:
        f.write(f"{line}\n")


def run(spawnd, place, cell, requests):
    r = Run(spawnd, place, cell, requests)
    result = "FAILED"
    try:
        getattr(r, cell.way)()
        result = "passed"
    finally:
        note(f"{result} {r.line()}")
