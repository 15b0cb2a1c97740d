# SPDX-License-Identifier: ISC
"""A stop that is announced: the pool says so to whoever asks, serves on until
it is due, and takes it back if it is told to."""

import json
import os
import signal
import subprocess
import threading
import time

import pytest

import harness as h
from ctl import SPAWNCTL, ask, ctl, figures, openmetrics, pool, serves
from stubs import Datagrams
from takeovers import Pool, Successor

UNTRUSTED = True

LATER = 600              # seconds that no test waits for


@pytest.fixture
def start(spawnd, place):
    def begin(*args, program="echo", arguments=(), **kw):
        s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--name", "p",
                   *args, "--", h.app(program), *arguments, **kw)
        s.sock = f"{place}/sock"
        return s
    return begin


def state():
    return figures("p")["pool"]["state"]


class Waiting:
    """spawnctl, which waits for its outcome."""

    def __init__(self, *args):
        self.proc = subprocess.Popen(
            [SPAWNCTL, *map(str, args)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**h.BASE_ENV, **h.sanitizer_env()})

    def end(self, deadline=20):
        out, err = self.proc.communicate(timeout=deadline * h.PATIENCE)
        return h.Result(self.proc.returncode, out.decode(), err.decode())


def test_whoever_asks_is_told_and_served(start):
    s = start()
    workers = s.wait_workers(2)
    assert ctl("drain", LATER).status == 0
    r = ctl("ping")
    assert r.status == 75 and "the pool is draining: it stops in" in r.stderr
    assert "resume" in r.stderr
    assert ctl("wait-ready", 0).status == 75
    shown = json.loads(ctl("status", "--json").stdout)
    assert shown["pool"]["state"] == "draining"
    assert shown["drain"]["announced"] is True
    assert LATER - 60 < shown["drain"]["stops_in"] <= LATER
    samples = {n: v for n, l, v in openmetrics(
        ctl("status", "--openmetrics").stdout) if not set(l) - {"pool"}}
    assert samples["spawnd_draining"] == 1
    assert LATER - 60 < samples["spawnd_drain_seconds"] <= LATER
    assert "p: draining, up for" in ctl("status").stdout
    assert " draining " in ctl("list").stdout
    serves(s.sock)
    assert s.workers() == workers


def test_resume_takes_it_back(start):
    s = start()
    assert ctl("drain", LATER).status == 0
    assert ctl("resume").status == 0
    assert ctl("ping").status == 0 and state() == "up"
    assert figures("p")["drain"] == {"announced": "no"}
    assert ctl("resume").status == 0            # nothing to take back
    serves(s.sock)
    s.wait_log("drain: taken back")


def test_without_a_time_it_lasts(start):
    s = start()
    assert ctl("drain").status == 0
    assert figures("p")["drain"] == {"announced": "yes"}
    assert ctl("ping").status == 75
    s.wait_rest()
    assert ctl("stop").status == 0
    assert s.wait() == 0


def test_stop_with_a_drain_serves_all_of_its_time(start):
    s = start()
    began = time.monotonic()
    served, over = [], threading.Event()

    def visit():
        while not over.is_set():
            try:
                served.append((time.monotonic() - began,
                               h.request(s.sock, "pid").status))
            except (OSError, h.FcgiError):
                return

    client = Waiting("stop", "--drain", 1)
    h.wait_for(lambda: state() == "draining", 10, s.log)
    visitor = threading.Thread(target=visit, daemon=True)
    visitor.start()
    r = client.end()
    over.set()
    visitor.join(10 * h.PATIENCE)
    assert r.status == 0 and "draining for" in r.stderr, r
    assert s.wait() == 0
    assert time.monotonic() - began >= 1
    assert all(status == 200 for _, status in served)
    # The socket was there until then.
    assert served and served[-1][0] >= 0.9, served[-1:]
    assert "drain: its time is over: the pool stops" in s.log()


def test_it_stops_when_it_is_due(start):
    s = start()
    assert ctl("drain", 1).status == 0
    assert s.wait() == 0


def test_the_last_word_counts(start):
    s = start()
    assert ctl("drain", LATER).status == 0
    assert ctl("drain", 2 * LATER).status == 0
    assert float(figures("p")["drain"]["stops_in"]) > LATER
    assert ctl("drain", 0).status == 0
    assert s.wait() == 0


def test_who_waits_for_the_stop_is_told_that_it_was_taken_back(start):
    s = start()
    client = Waiting("stop", "--drain", LATER)
    h.wait_for(lambda: state() == "draining", 10, s.log)
    assert ctl("resume").status == 0
    r = client.end()
    assert r.status == 75 and "was taken back" in r.stderr, r
    serves(s.sock)


def test_a_stop_ends_the_drain(start):
    s = start()
    client = Waiting("stop", "--drain", LATER)
    h.wait_for(lambda: state() == "draining", 10, s.log)
    assert ctl("stop").status == 0
    assert client.end().status == 0
    assert s.wait() == 0


def test_term_drains_and_a_second_one_stops(start):
    s = start("--drain", LATER)
    s.signal(signal.SIGTERM)
    h.wait_for(lambda: state() == "draining", 10, s.log)
    serves(s.sock)
    with h.Connection(s.sock) as c:
        c.send("hold&pid")
        h.wait_for(lambda: any(map(h.serves, s.workers())), 5, s.log)
        s.signal(signal.SIGTERM)
        h.let_go(s.workers())
        assert c.receive().status == 200       # gracefully
    assert s.wait() == 0
    assert "lost" not in s.log()


def test_what_term_has_announced_can_be_taken_back(start):
    s = start("--drain", LATER)
    s.signal(signal.SIGTERM)
    h.wait_for(lambda: state() == "draining", 10, s.log)
    assert ctl("resume").status == 0 and state() == "up"
    serves(s.sock)


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGQUIT],
                         ids=["INT", "QUIT"])
def test_other_signals_do_not_wait(start, signo):
    s = start("--drain", LATER)
    assert s.stop(signo) == 0


def test_term_in_the_start_does_not_wait(start):
    s = start("--drain", LATER, arguments=["delay=600000"], ready=False)
    h.wait_for(lambda: len(s.workers()) == 2, 5, s.log)
    r = ctl("-p", "p", "drain", 1)
    assert r.status == 75 and "the pool is starting" in r.stderr
    assert s.stop() == 69


def test_a_pool_that_stops_announces_nothing(start):
    s = start("--stop-timeout", LATER)
    with h.Connection(s.sock) as c:
        c.send("sleep=600000")
        h.wait_for(lambda: any(map(h.serves, s.workers())), 5, s.log)
        s.signal(signal.SIGTERM)
        h.wait_for(lambda: state() == "stopping", 10, s.log)
        for words in (["drain", 5], ["resume"]):
            r = ctl("-p", "p", *words)
            assert r.status == 75 and "is stopping" in r.stderr, r
        s.signal(signal.SIGINT)
        s.signal(signal.SIGINT)
    s.wait()


def test_the_pool_goes_on_meanwhile(start):
    """A reload and a new size are what they are at other times."""
    s = start()
    before = set(s.wait_workers(2))
    assert ctl("drain", LATER).status == 0
    assert ctl("reload").status == 0
    assert ctl("scale", 3).status == 0
    assert not before & set(s.wait_workers(3))
    assert state() == "draining"


def test_only_who_may_change_the_pool_announces(start):
    start("--status-group", "web")
    for words in ("drain 5", "resume", "stop drain 5"):
        answer = ask(pool("p") + "/status", words)
        assert answer[-1].startswith("error 77 "), answer


@pytest.mark.parametrize("words", [
    ["drain", "1m"], ["drain", "-1"], ["drain", "86401"], ["drain", "1", "2"],
    ["resume", "x"], ["stop", "--drain"], ["stop", "--drain", "x"],
    ["stop", "--drain=5", "--now"], ["ping", "--drain", "5"]], ids=" ".join)
def test_a_wrong_command_line_is_64(start, words):
    s = start()
    r = ctl(*words)
    assert r.status == 64 and r.stderr.count("\n") == 1, r
    assert state() == "up" and s.running()


@pytest.mark.parametrize("line", ["drain x", "stop drain", "stop drain x",
                                  "stop now 5", "stop drain 5 6"])
def test_a_wrong_command_is_64_and_changes_nothing(start, line):
    start()
    assert ask(pool("p") + "/control", line)[-1].startswith("error 64 ")
    assert state() == "up"


# Take-overs

@pytest.fixture
def taken(place):
    p = Pool(place, ["-s", f"{place}/s"], "-u", "_app")
    yield p
    p.end()


def test_a_draining_pool_is_not_taken_over(taken):
    """It is to stop: whoever wants it to go on says so first."""
    taken.begin("-F", 1, h.app("echo"))
    assert ctl("drain", LATER).status == 0
    taken.refused(75, "the pool is draining", "-F", 1, h.app("echo"))
    assert ctl("ping").status == 75
    assert ctl("resume").status == 0
    taken.changed("-F", 1, h.app("echo"))
    taken.check()


def test_nothing_is_announced_in_a_take_over(taken):
    taken.begin("-F", 1, "--drain", LATER, h.app("echo"))
    with Successor(taken) as taker:
        taker.to("GIVEN")
        for words in ("drain 5", "stop drain 5"):
            assert ask(taken.dir + "/control", words)[-1].startswith(
                "error 75 another spawnd is about"), words
        # A stop was always stronger than a take-over, and still is.
        os.kill(taken.pid, signal.SIGTERM)
        pid = taken.pids[0]
        h.wait_for(lambda: not h.alive(pid), 20, taken.log)


# The service manager

def test_the_manager_is_told(spawnd, place):
    with Datagrams(f"{place}/notify") as m:
        s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--name", "p",
                   "--drain", LATER, "--stop-timeout", 7, "--", h.app("echo"),
                   env=dict(h.BASE_ENV, NOTIFY_SOCKET=m.path))
        m.wait(lambda t: "READY=1" in t)
        s.signal(signal.SIGTERM)
        m.wait(lambda t: "STATUS=draining: 2 of 2 workers ready" in t)
        m.wait(lambda t: "EXTEND_TIMEOUT_USEC=" in t and
               int(t.partition("=")[2]) >= (LATER + 7) * 1000000)
        assert not any("STOPPING" in t for t in m.texts())
        assert ctl("resume").status == 0
        m.wait(lambda t: t.startswith("STATUS=2 of 2 workers ready"))
        s.signal(signal.SIGTERM)
        s.signal(signal.SIGQUIT)
        m.wait(lambda t: "STOPPING=1" in t)
        assert s.wait() == 0
