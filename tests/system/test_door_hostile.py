# SPDX-License-Identifier: ISC
"""Workers that do what makes it hard to keep them from new connections: while
all are busy a reload and a stop end in time, the supervisor does not spin, and
nobody else is touched."""

import signal
import subprocess
import threading

import pytest

import harness as h
from test_hostile import WORKERS, Pool, hidden, pool    # noqa: F401, fixtures

PLAIN_ONLY = True       # what is measured here is not the sanitizers' work

ACTS = {
    "traces itself": "traceme",
    "its child traces it": "trace=fp",
    "leaves the group": "away",
    "joins the supervisor's group": "join",
    "duplicates the listener": "dup",
    "accepts by io_uring": "uring",
    "accepts nobody": "sulk",
    "forks all the time": "forks=4000",
    "ignores signals": "deaf",
    "ignores signals, in another group": "away&deaf",
    "ignores signals, forks, accepts nobody": "deaf&forks=4000&sulk",
    "does all of it": "deaf&away&dup&traceme&forks=4000",
}


class Crowd:
    """Requests on and on; what becomes of them is not asked."""

    def __init__(self, addr):
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(addr,),
                                         daemon=True)
                        for _ in range(2 * WORKERS)]
        for t in self.threads:
            t.start()

    def run(self, addr):
        while not self.over.is_set():
            try:
                h.request(addr, "sleep=30", deadline=1)
            except h.FcgiError:
                self.over.wait(0.01)

    def end(self):
        self.over.set()
        for t in self.threads:
            t.join(30 * h.PATIENCE)


@pytest.fixture
def bystander():
    """A process of the same user, which is not the pool's."""
    p = subprocess.Popen(["/bin/sleep", "300"], start_new_session=True,
                         preexec_fn=h.become_user("www"))
    yield p.pid
    p.kill()
    p.wait()


def untouched(pid):
    return h.stat(pid).state == "S" and h.status(pid)["TracerPid"] == "0"


def held():
    """Whoever is stopped or traced."""
    found = []
    for s in h.all_stats():
        try:
            if s.state in "tT" or h.status(s.pid)["TracerPid"] != "0":
                found.append(s)
        except (OSError, KeyError):
            pass
    return found


@pytest.mark.parametrize("act", ACTS)
def test_busy_workers_are_replaced_and_stopped(pool, hidden, bystander,
                                               act):    # noqa: F811
    p = pool()
    told = set()
    while len(told) < WORKERS // 2:
        told.add(p.attack(ACTS[act])[0])
    crowd = Crowd(p.addr)
    try:
        p.s.signal(signal.SIGHUP)
        p.s.wait_log("all workers are new", 2 * WORKERS * 2 + 5)
        p.idles()
        assert not set(p.first) & set(p.s.workers())
        assert untouched(bystander)
        assert h.request(p.addr, deadline=5).status == 200
        # And at the stop, with others.
        for _ in range(WORKERS // 2):
            p.attack(ACTS[act])
        p.stops()
    finally:
        crowd.end()
    assert untouched(bystander)
    h.wait_for(lambda: not hidden(), 5, lambda: str(
        [h.stat(pid) for pid in hidden()]))
    assert not held(), held()


def test_worker_that_serves_by_io_uring_serves_to_the_end(pool):  # noqa: F811
    """What the tracer cannot see is waited for all the same."""
    p = pool()
    told = set()
    while len(told) < WORKERS:
        pid, facts = p.attack("uring")
        assert facts["uring"] == ["0"]
        told.add(pid)
    busy = [h.Connection(p.addr) for _ in range(WORKERS)]
    for c in busy:
        c.send("sleep=1500")
    h.wait_for(lambda: all(map(h.serves, told)), 5, p.s.log)
    p.s.signal(signal.SIGHUP)
    assert {int(c.receive().headers["x-pid"]) for c in busy} == told
    p.s.wait_log("all workers are new")
    p.stops()
