# SPDX-License-Identifier: ISC
"""A worker that ends while another process traces it: the kernel says nothing
of that to its parent and keeps it as a zombie. The pool sees it all the same,
says so, replaces it, and waits for it neither then nor at the stop."""

import errno
import os
import re
import resource
import signal
import subprocess
import sys

import pytest

import ctl
import harness as h

WORKERS = 4
SOON = 3                # seconds, for a pool to be whole again
CANNOT = "has ended, but cannot be reaped"
HELD = "was killed, but is held at its exit"
KILLED = "is a process of this pool and was killed"
ALONE = "is not a process of this pool and is left alone"

TRACER = """
import ctypes, os, sys

UNTRUSTED = True
libc = ctypes.CDLL(None, use_errno=True)
options = int(sys.argv[1])
for pid in sys.argv[2:]:
    for tid in os.listdir(f"/proc/{pid}/task"):
        if libc.ptrace(0x4206, int(tid), None, ctypes.c_void_p(options)) != 0:
            sys.exit(os.strerror(ctypes.get_errno()))
print("traces", flush=True)
sys.stdin.read()
"""
EXIT_STOP = 0x40        # PTRACE_O_TRACEEXIT


class Tracer:
    """An administrator's: it traces all tasks of the processes, and does
    nothing but that."""

    def __init__(self, *pids, options=0):
        self.popen = subprocess.Popen(
            [sys.executable, "-c", TRACER, str(options), *map(str, pids)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.popen.stdout.readline() == b"traces\n"
        self.pid = self.popen.pid

    def end(self):
        self.popen.stdin.close()
        self.popen.stdout.close()
        assert self.popen.wait(5) == 0


def has_ended(pid):
    """The main thread of a process may be a zombie before the others."""
    try:
        tasks = [h.stat(f"{pid}/task/{tid}")
                 for tid in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return False
    return all(t is None or t.state == "Z" for t in tasks)


class Pool:
    def __init__(self, spawnd, place, *options, args=(), **kw):
        self.addr = f"{place}/sock"
        self.s = spawnd("--name", "traced", "-s", self.addr, "-u", "www",
                        "-F", WORKERS, "--confine", "no", *options, "--",
                        h.app("hostile"), *args, **kw)
        self.first = self.s.workers()

    def attack(self, query):
        answer = h.request(self.addr, query)
        assert {v for f in answer.facts.values() for v in f} <= {"0"}, \
            answer.text
        return int(answer.headers["x-pid"])

    def shows_no_dead(self):
        """No worker of which every task has ended is shown as ready."""
        dead = {str(s.pid) for s in h.all_stats() if has_ended(s.pid)}
        for w in ctl.figures("traced")["worker"]:
            assert w.get("pid") not in dead or w["state"] != "ready", w

    def whole(self):
        """All workers are there and answer: as many at once."""
        def ready():
            self.shows_no_dead()
            return h.all_answer(self.addr, WORKERS)
        h.wait_for(ready, SOON, lambda: f"{WORKERS} workers answer: "
                   f"{self.s.workers()}\n{self.s.log()[-3000:]}")

    def said(self, pid, *what):
        found = self.s.wait_log(f"worker {pid}: .*", SOON).group()
        for text in what:
            assert text in found, self.s.log()
        return found

    def stops(self, deadline=4):
        """It ends long before --stop-timeout."""
        assert self.s.stop(deadline=deadline) == 0


def tracers():
    """Processes that trace others."""
    found = set()
    for s in h.all_stats():
        try:
            found.add(int(h.status(s.pid)["TracerPid"]))
        except (OSError, KeyError):
            pass
    return found - {0}


@pytest.fixture
def pool(spawnd, place):
    return lambda *options, **kw: Pool(spawnd, place, *options, **kw)


# The others of a threaded process are seen by their output's end, or, if that
# is kept open or they are held at their exit, by the next look.
@pytest.mark.parametrize("args, how", [
    ((), "f"), (("threaded",), "f"), (("threaded",), "o"),
    (("threaded",), "fo"), (("threaded",), "fok"), ((), "fx"),
    (("threaded",), "fox")])
def test_siblings_killed_under_trace_are_replaced(pool, args, how):
    p = pool(args=args)
    pid = p.attack(f"trace={how}&siblings=9")
    dead = set(p.first) - {pid}
    if "k" in how or "x" in how:
        p.whole()
    p.s.wait_workers(WORKERS, other_than=dead, deadline=SOON)
    for d in dead:
        p.s.wait_log(f"worker {d}: was killed by SIGKILL after", SOON)
    # The first that is met tells of the tracer, which then lets all others go.
    said = re.findall(f"worker (\\d+): (?:{CANNOT}|{HELD}): process \\d+ "
                      ".hostile. traces it .the pool goes on without it; "
                      f".*{KILLED}",
                      p.s.log())
    assert said and set(map(int, said)) <= dead, p.s.log()
    h.wait_for(lambda: not h.zombies(p.s.pid), SOON,
               lambda: str(h.zombies(p.s.pid)))
    p.whole()
    assert tracers() == set()
    p.stops()


def test_worker_that_its_own_child_traces_is_replaced(pool):
    p = pool()
    pid = p.attack("trace=pf")
    h.kill(pid)
    p.s.wait_workers(WORKERS, other_than={pid}, deadline=SOON)
    p.said(pid, CANNOT, KILLED)
    p.whole()
    p.stops()


def test_worker_that_recycles_under_trace_is_replaced(pool):
    p = pool()
    pid = p.attack("trace=pf&leave")
    p.s.wait_workers(WORKERS, other_than={pid}, deadline=SOON)
    p.said(pid, CANNOT, KILLED)
    p.whole()
    # How it ended is known: nothing is wrong with it.
    assert "its status is unknown" not in p.s.log()
    assert "exited with" not in p.s.log()
    counts = ctl.figures("traced")["count"]
    assert (counts["recycled"], counts["crashed"]) == ("1", "0")
    p.stops()


def test_start_of_workers_that_end_under_trace_fails_at_once(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--",
               h.app("hostile"), "doomed", ready=False)
    assert s.wait(10) == 69
    assert CANNOT in s.log()
    assert "no worker became ready: the last one exited with status 3" in \
        s.log()


def test_administrators_tracer_keeps_its_worker_and_nothing_else(pool):
    p = pool()
    dead = p.first[0]
    t = Tracer(dead)
    try:
        h.kill(dead)
        p.s.wait_workers(WORKERS, other_than={dead}, deadline=SOON)
        p.said(dead, CANNOT, f"process {t.pid} (", ALONE)
        assert h.zombies(p.s.pid) == [dead]
        p.whole()
        assert h.zombies(p.s.pid) == [dead]
    finally:
        t.end()
    h.wait_for(lambda: not h.zombies(p.s.pid), SOON)
    assert p.s.log().count(f"worker {dead}:") == 2      # and its signal
    p.stops()


@pytest.mark.parametrize("args", [(), ("threaded",)])
def test_stop_does_not_wait_for_what_a_tracer_keeps(pool, args):
    """That a tracer which only sleeps keeps the stop signal from them, too,
    is another matter: so each lives until KILL."""
    p = pool("--stop-timeout", 1, args=args)
    t = Tracer(*p.first)
    try:
        p.stops()
        assert "the stop does not wait for it" in p.s.log()
        assert ALONE in p.s.log()
    finally:
        t.end()


def test_reload_does_not_wait_for_what_a_tracer_keeps(pool):
    p = pool()
    t = Tracer(*p.first)
    try:
        p.s.signal(signal.SIGHUP)
        p.s.wait_log("all workers are new", 20)
        p.whole()
    finally:
        t.end()
    h.wait_for(lambda: not h.zombies(p.s.pid), SOON)
    p.stops()


def test_worker_that_is_held_at_its_exit_is_not_waited_for(pool):
    """Even KILL does not end a process that its tracer stops there."""
    p = pool("--stop-timeout", 1)
    t = Tracer(p.first[0], options=EXIT_STOP)
    try:
        p.stops()
        p.said(p.first[0], HELD, ALONE)
    finally:
        t.end()


def test_request_that_waits_for_the_dead_is_served(pool):
    """All are held at their exit, where no descriptor tells of their end; a
    connection that waits does."""
    p = pool()
    t = Tracer(*p.first, options=EXIT_STOP)
    try:
        for pid in p.first:
            h.kill(pid)
        h.wait_for(lambda: all(h.stat(pid).state == "t" for pid in p.first),
                   SOON)
        assert h.request(p.addr, deadline=20).status == 200
        p.said(p.first[0], HELD, ALONE)
        p.s.wait_workers(2 * WORKERS)   # the dead are still there
    finally:
        t.end()
    p.s.wait_workers(WORKERS)
    p.stops()


def test_orphan_that_a_tracer_keeps_is_not_waited_for(pool):
    """It is nobody's worker, and the stop ends it, too."""
    p = pool()
    pid = p.attack("hide=1")
    orphan = h.wait_for(lambda: [c for c in h.children(p.s.pid)
                                 if c not in p.first], SOON)[0]
    t = Tracer(orphan)
    try:
        h.kill(orphan)
        h.wait_for(lambda: h.stat(orphan).state == "Z", SOON)
        assert pid in h.children(p.s.pid)
        p.stops()
    finally:
        t.end()


def without_pidfds():
    """As on a kernel before 5.3."""
    h.forbid_call(434, errno.ENOSYS)


@pytest.mark.parametrize("args, how", [((), "f"), (("threaded",), "fo")])
def test_system_without_pidfds_says_so_and_sees_ends_by_the_output(
        pool, args, how):
    p = pool(args=args, become=without_pidfds)
    p.s.wait_log("the end of a worker that another process traces cannot "
                 "always be seen here: Function not implemented")
    pid = p.attack(f"trace={how}&siblings=9")
    dead = set(p.first) - {pid}
    p.s.wait_workers(WORKERS, other_than=dead, deadline=SOON)
    for d in dead:
        p.s.wait_log(f"worker {d}: {CANNOT}: .* is a process of this pool, "
                     "but cannot be killed")
    p.whole()
    assert ctl.figures("traced")["guarantees"]["traced_ends"] == "no"
    p.stops()


def limited(n):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))


def test_limit_too_low_to_watch_is_said_and_the_pool_runs(spawnd, place):
    h.own_directory(place, "www")

    def lower():
        h.become_user("www")()
        limited(100)()
    s = spawnd("-s", f"{place}/sock", "-F", 16, "--", h.app("echo"),
               become=lower)
    s.wait_log("open files: 128 would be needed to see the end")
    s.wait_workers(16)
    s.wait_log("limit is 100")
    assert s.stop() == 0
    r = h.run_spawnd("-t", "-s", f"{place}/sock", "-F", 16, "--",
                     h.app("echo"), become=lower)
    assert "ends of traced workers are seen: no" in r.stdout
    assert "note: open files: 128 would be needed" in r.stdout
    assert r.status == 0


def test_pool_that_outgrows_the_limit_stops_watching(spawnd, place):
    """Pipes come first: it grows to what it could be without."""
    h.own_directory(place, "www")

    def lower():
        h.become_user("www")()
        limited(160)()
    s = spawnd("--name", "grows", "-s", f"{place}/sock", "-F", 4,
               "--control", f"{place}/ctl", "--", h.app("echo"),
               become=lower)
    assert "open files" not in s.log()
    r = ctl.ctl("-p", f"{place}/ctl", "scale", 80)
    assert r.status == 0, r
    s.wait_workers(80, deadline=20)
    s.wait_log("open files: few are left below the limit")
    assert "Too many open files" not in s.log()
    assert s.stop() == 0


@pytest.mark.parametrize("workers, what", [
    (306, "guarantees: ends of traced workers are seen: yes"),
    (307, "open files: 1001 would be needed to see the end"),
    (10000, "-F: 10000: needs 10080 open files, the limit is 1000")])
def test_workers_fit_the_limit_or_the_test_says_what_is_missing(
        place, workers, what):
    r = h.run_spawnd("-t", "-s", f"{place}/sock", "-u", "www", "-F", workers,
                     "--", h.app("echo"), become=limited(1000))
    assert what in r.stdout
    assert r.status == (78 if workers == 10000 else 0)
