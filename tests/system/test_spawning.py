# SPDX-License-Identifier: ISC
"""Workers that are kept from their program by others of their user, and pools
that take long to start: the supervisor hears signals and clients meanwhile."""

import contextlib
import os
import pwd
import re
import signal
import socket
import subprocess
import sys

import pytest

import ctl
import harness as h

PLAIN_ONLY = True       # with the sanitizers a start is a plain fork

WORKERS = 3
MANY = 300
LATE = 10               # seconds from a worker's start to its program
EARLY = LATE / 2 / h.PATIENCE           # well before that, on any machine
NOT_DONE = rf"exec \S+/app\.sh: killed: not done after {LATE} s \(its file " \
           r"system hangs, or another process has stopped it or holds a " \
           r"lease on the file\)"

HOLDER = """
import fcntl, signal, sys, time
signal.signal(signal.SIGIO, signal.SIG_IGN)
f = open(sys.argv[1], "r+b", buffering=0)
for i in range(500):
    try:
        fcntl.fcntl(f, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        break
    except BlockingIOError:
        time.sleep(0.01)
print(fcntl.fcntl(f, fcntl.F_GETLEASE) == fcntl.F_WRLCK, flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def lease(path):
    """A process of the workers' user keeps others from opening the file: the
    kernel lets them wait for up to fs.lease-break-time (45 s)."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, path],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          preexec_fn=h.become_user("www")) as holder:
        try:
            assert holder.stdout.readline() == b"True\n"
            yield
        finally:
            holder.kill()


@pytest.fixture
def program(place):
    """A script of the workers' own, as many an application is."""
    path = f"{place}/app.sh"
    with open(path, "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\nexec {h.app('bare')}\n")
    os.chmod(path, 0o755)
    os.chown(path, pwd.getpwnam("www").pw_uid, -1)
    return path


@pytest.fixture
def start(spawnd, place, program):
    def go(*options, **kw):
        return spawnd("-s", f"{place}/sock", "--name", "p", "-u", "www",
                      "-F", WORKERS, "--stop-timeout", 2, *options, "--",
                      program, **kw)
    return go


def kept(s):
    """The worker that has not become its program yet."""
    def find():
        for pid in s.workers():
            with contextlib.suppress(OSError):
                if h.link(pid, "exe") == os.path.realpath(h.SPAWND):
                    return pid
        return None
    return h.wait_for(find, 5, lambda: f"one is kept:\n{s.log()}")


def hears(s, place):
    """Signals, clients of either socket."""
    assert ctl.ctl("-p", "p", "ping", deadline=5).status == 0
    assert h.request(f"{place}/sock", deadline=5).status == 200
    n = len(s.log())
    s.signal(signal.SIGUSR2)
    s.wait_log(r"status: \d+ of \d+ workers ready", 5, start=n)


def test_one_that_is_kept_from_its_program_holds_nobody_up(start, place,
                                                           program):
    s = start()
    with lease(program):
        victims = s.workers()[:2]
        for pid in victims:
            h.kill(pid)
        pid = kept(s)
        hears(s, place)
        found = ctl.figures("p")
        assert found["workers"]["starting"] == "2"
        # What it has is the supervisor's.
        unseen, = [w for w in found["worker"] if w.get("pid") == str(pid)]
        assert "age" in unseen and "rss" not in unseen, unseen
        s.wait_log(rf"worker \d+: {NOT_DONE} \(failure 1 in a row; next "
                   r"start in ", 2 * LATE)
        hears(s, place)
    s.wait_workers(WORKERS, other_than=victims)
    h.wait_for(lambda: ctl.figures("p")["workers"]["ready"] == str(WORKERS),
               10, s.log)


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_does_not_wait_for_one_that_is_kept(start, program, signo):
    s = start()
    with lease(program):
        for pid in s.workers()[:2]:
            h.kill(pid)
        kept(s)
        assert s.stop(signo, deadline=5) == 0
        h.wait_for(lambda: not s.processes(), 2, s.processes)
    assert "not done" not in s.log()
    assert "cannot be inspected" not in s.log()     # it was not looked at


def test_one_that_is_kept_is_killed_when_it_is_to_go(start, place, program):
    """Nobody waits for the end of its time, or for that of the stop."""
    s = start("--stop-timeout", 60)
    with lease(program):
        for pid in s.workers()[:2]:
            h.kill(pid)
        pid = kept(s)
        assert ctl.ctl("-p", "p", "scale", 1).status == 0
        h.wait_for(lambda: pid not in s.workers(), EARLY, s.log)
        hears(s, place)
        h.kill(s.workers()[0])
        kept(s)
        assert s.stop(signal.SIGTERM, deadline=EARLY) == 0
    assert "not done" not in s.log()
    assert "by another process" not in s.log()


def test_one_that_is_stopped_before_its_program_is_continued(start, place,
                                                             program):
    s = start()
    with lease(program):
        victim = s.workers()[0]
        h.kill(victim)
        pid = kept(s)
        os.kill(pid, signal.SIGSTOP)
        s.wait_log(rf"worker {pid}: was stopped by another process "
                   r"\(continuing it\)", 5)
        hears(s, place)
    s.wait_workers(WORKERS, other_than=[victim])


def test_a_start_that_is_kept_fails_and_says_why(start, program):
    with lease(program):
        s = start(ready=False)
        assert s.wait(2 * LATE) == 69
    assert re.search(NOT_DONE, s.log())
    h.wait_for(lambda: not s.processes(), 2, s.processes)


# A large pool has several places for them

LARGE = 32
PLACES = LARGE // 8


@pytest.fixture
def large(spawnd, place, program):
    s = spawnd("-s", f"{place}/sock", "--name", "p", "-u", "www", "-F", LARGE,
               "--stop-timeout", 2, "--", program)
    s.wait_workers(LARGE)
    return s


def all_kept(s):
    own = os.path.realpath(h.SPAWND)
    found = []
    for pid in s.workers():
        with contextlib.suppress(OSError):
            found += [pid] if h.link(pid, "exe") == own else []
    return found


def test_several_that_are_kept_hold_nobody_up(large, place, program):
    more = PLACES + 2
    with lease(program):
        victims = large.workers()[:more]
        for pid in victims:
            h.kill(pid)
        h.wait_for(lambda: len(all_kept(large)) == PLACES, 5, large.log)
        hears(large, place)
        assert ctl.figures("p")["workers"]["starting"] == str(more)
    large.wait_workers(LARGE, other_than=victims)
    h.wait_for(lambda: ctl.figures("p")["workers"]["ready"] == str(LARGE),
               10, large.log)
    assert "not done" not in large.log()


def test_a_stop_does_not_wait_for_several_that_are_kept(large, program):
    with lease(program):
        for pid in large.workers()[:PLACES + 2]:
            h.kill(pid)
        h.wait_for(lambda: len(all_kept(large)) == PLACES, 5, large.log)
        assert large.stop(signal.SIGTERM, deadline=5) == 0
        h.wait_for(lambda: not large.processes(), 2, large.processes)
    assert "not done" not in large.log()


def test_a_killed_supervisor_takes_those_that_are_kept_along(large, place,
                                                             program):
    """Nothing of what they had in common is left: who connects is refused."""
    with lease(program):
        for pid in large.workers()[:PLACES]:
            h.kill(pid)
        h.wait_for(lambda: len(all_kept(large)) == PLACES, 5, large.log)
        large.signal(signal.SIGKILL)
        h.wait_for(lambda: not large.processes(), 5, large.processes)
        with socket.socket(socket.AF_UNIX) as c:
            with pytest.raises(ConnectionRefusedError):
                c.connect(f"{place}/sock")


def test_each_of_many_has_an_output_of_its_own(spawnd, place, program):
    """Those that start together do so with the supervisor's descriptors."""
    with open(program, "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\necho says $$ >&2\nls /proc/self/fd | tr '\\n' "
                f"' ' >&2\nexec {h.app('bare')}\n")
    s = spawnd("-s", f"{place}/sock", "--name", "p", "-u", "www",
               "-F", 2 * LARGE, "--", program)
    # One that is killed before it is ready may have said nothing.
    h.wait_for(lambda: ctl.figures("p")["workers"]["ready"] == str(2 * LARGE),
               20, s.log)
    for pid in s.workers():
        h.kill(pid)
    h.wait_for(lambda: s.log().count("says") == 4 * LARGE, 20, s.log)
    for logged, own in re.findall(r"p\[(\d+)\]: says (\d+)", s.log()):
        assert logged == own
    # 3 is the directory that ls(1) reads.
    lists = re.findall(r"p\[\d+\]: (0 1 2 .*)", s.log())
    assert lists and set(lists) == {"0 1 2 3 "}


# Many workers

def started():
    return int(ctl.figures("p")["count"]["started"])


def first_answer(s, asks, deadline=20):
    """How many had been started when it first answered."""
    def answer():
        with contextlib.suppress(OSError, EOFError):
            return asks() + 1
        return None
    return h.wait_for(answer, deadline, s.log, pause=0.001) - 1


@pytest.fixture
def many(spawnd, place):
    def go(*options, **kw):
        return spawnd("-s", f"{place}/sock", "--name", "p", "-u", "www",
                      *options, "--", h.app("bare"), **kw)
    return go


def test_clients_and_signals_are_heard_while_many_start(many):
    s = many("-F", MANY, ready=False)
    assert first_answer(s, started) < MANY
    s.signal(signal.SIGUSR2)
    s.signal(signal.SIGTERM)
    assert s.wait(20) == 69
    found = s.wait_log(r"status: .*; started (\d+),", 1)
    assert int(found.group(1)) < MANY
    h.wait_for(lambda: not s.processes(), 2, s.processes)


def test_clients_are_heard_while_a_pool_grows(many):
    s = many("-F", 1, "-N", MANY)
    with ctl.Raw(f"{ctl.pool('p')}/control") as c:
        c.send(f"scale {MANY}-{MANY}\n".encode())
        n = h.wait_for(lambda: started() - 1, 20, s.log, pause=0.001)
        assert n + 1 < MANY
        s.wait_workers(MANY, deadline=60)


def test_clients_are_heard_when_all_have_crashed(many):
    s = many("-F", MANY)
    for pid in s.workers():
        h.kill(pid)
    n = first_answer(s, started)
    assert n < 2 * MANY
    s.wait_workers(MANY, deadline=60)
