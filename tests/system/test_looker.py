# SPDX-License-Identifier: ISC
"""The process that reads for the supervisor what may not return: there is
none without need, it has nothing, and one that does not answer holds up
nobody."""

import os
import re
import signal
import time

import pytest

import ctl
import harness as h

UNTRUSTED = True

KEEP_IDLE = 1           # seconds
LOST = 15               # seconds at the most until one is given up
SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
NO_ANSWER = r"looker {}: killed: it did not answer in time, so process " \
            r"\d+ {} \(a new looker may start in \d+ s\)"
BUSY, READY = "counts as busy", "is ready once it sleeps"


@pytest.fixture
def start(spawnd, place):
    def go(*options, program="keeps", **kw):
        s = spawnd("-s", f"{place}/sock", "--name", "p", "-u", "www", "-F", 2,
                   "--keep-idle", KEEP_IDLE, *options, "--", h.app(program),
                   **kw)
        s.sock = f"{place}/sock"
        return s
    return go


def workers():
    return ctl.figures("p", "status full")["worker"]


def all_are_known():
    """A machine with other load may need a second question."""
    h.wait_for(lambda: all(int(w.get("pss", 0)) > 0 for w in workers()), 20,
               "proportional memory")


def looker(s):
    """The looker, which is made for the question."""
    all_are_known()
    found, = h.lookers(s.pid)
    return found


def kept(s):
    """A connection that is kept open, and its worker."""
    c = h.Connection(s.sock)
    return c, int(c.request(keep=True).text)


def answers(s):
    assert ctl.ctl("-p", "p", "ping", deadline=5).status == 0
    assert ctl.ctl("-p", "p", "status", deadline=5).status == 0
    assert h.request(s.sock, deadline=5).status == 200


class Traced:
    """A process that we have stopped, and which is gone only when we let it:
    after a KILL it stays in the table, as one in state D would."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        assert h.libc.ptrace(SEIZE, self.pid, None, None) == 0
        assert h.libc.ptrace(INTERRUPT, self.pid, None, None) == 0
        h.wait_for(lambda: h.stat(self.pid).state == "t", 5, "it is stopped")
        return self

    def __exit__(self, *exc):
        h.kill(self.pid)
        h.wait_for(lambda: h.stat(self.pid) is None or
                   os.waitpid(self.pid, os.WNOHANG | 0x40000000)[0], 5,
                   "the traced process is gone")


def test_there_is_none_without_need(start):
    """Whether who waits in accept is ready takes no looker."""
    s = start(program="bare")
    before = s.workers()
    answers(s)
    s.signal(signal.SIGHUP)
    s.wait_log("all workers are new")
    assert not set(before) & set(s.workers())
    assert not h.lookers(s.pid)
    looker(s)


@pytest.mark.parametrize("jail", [False, True], ids=["", "jail"])
def test_it_has_two_descriptors_and_cannot_be_looked_into(spawnd, place, jail):
    where = ["-s", f"{place}/sock", "-F", 2, "--", h.app("keeps")]
    if jail:
        h.make_jail(place, "static")
        where = ["-c", place, "-s", "run/sock", "-F", 2, "--", "/fcgi-bin/app"]
    s = spawnd("--name", "p", "-u", "www", *where)
    pid = looker(s)
    found = h.fds(pid)
    assert len(found) == 2, found
    assert sorted(v.partition(":")[0] for v in found.values()) == \
        ["/", "socket"], found
    assert h.ids(pid, "Uid") == [h.USERS["www"]] * 4
    assert os.stat(f"/proc/{pid}/fd").st_uid == 0   # it is not dumpable
    assert set(h.caps(pid).values()) == {0}
    assert h.link(pid, "root") == h.link(s.pid, "root")
    # What is sent to all of the pool is not meant for it.
    for signo in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        h.kill(pid, signo)
    assert looker(s) == pid
    assert s.stop() == 0
    assert not s.processes()


def test_it_goes_with_a_supervisor_that_is_killed(start):
    s = start()
    pid = looker(s)
    h.kill(s.pid)
    h.wait_for(lambda: not h.alive(pid), 5, "the looker has gone")


def test_kept_connection_is_seen_to_be_quiet(start):
    """The control of the next: it does not hold up the reload."""
    s = start()
    c, _ = kept(s)
    s.signal(signal.SIGHUP)
    s.wait_log("all workers are new")
    assert len(h.lookers(s.pid)) == 1
    c.close()


def test_one_that_does_not_answer_holds_up_nobody(start):
    s = start()
    pid = looker(s)
    c, worker = kept(s)
    h.kill(pid, signal.SIGSTOP)
    s.signal(signal.SIGHUP)
    end = time.monotonic() + LOST
    # Whichever of the two is asked for first.
    said = NO_ANSWER.format(pid, f"(?:{BUSY}|{READY})")
    while not re.search(said, s.log()):
        assert time.monotonic() < end, s.log()
        answers(s)
        assert h.alive(worker), s.log()
        h.pass_time(0.1)
    answers(s)
    assert h.alive(worker), s.log()
    assert "all workers are new" not in s.log()
    assert not h.lookers(s.pid)
    c.close()
    s.wait_log("all workers are new")
    assert s.log().count("looker") == 2, s.log()    # one line
    assert s.stop() == 0


def test_pss_is_absent_where_it_is_not_known(start):
    s = start(program="bare")
    h.kill(looker(s), signal.SIGSTOP)
    s.signal(signal.SIGHUP)
    s.wait_log("all workers are new")
    found = workers()
    s.wait_log(r"has no known pss \(a new looker may start in \d+ s\)",
               LOST)
    assert len(found) == 2 and not any("pss" in w for w in found), found
    shown = ctl.ctl("-p", "p", "status", "--full", "--json").stdout
    assert '"pss"' not in shown, shown


def test_one_that_does_not_answer_holds_no_event_loop_up(start):
    """What a new worker waits for is not known then, and not for long."""
    s = start()
    pid = looker(s)
    h.kill(pid, signal.SIGSTOP)
    before = s.workers()
    s.signal(signal.SIGHUP)
    s.wait_log(NO_ANSWER.format(pid, READY), LOST)
    s.wait_log("all workers are new", LOST)
    assert not set(before) & set(s.workers())
    assert s.log().count("taken as ready: it sleeps, and what it waits for "
                         "cannot be seen") == 1


def test_slow_answers_do_not_add_up(spawnd, place):
    """After a second of them the rest is shown without."""
    n = 100
    s = spawnd("-s", f"{place}/sock", "--name", "p", "-u", "www", "-F", 1,
               "--", h.app("keeps"))
    pid = looker(s)
    assert ctl.ctl("-p", "p", "scale", n).status == 0
    s.wait_workers(n)
    with h.straced(pid, "-e", "inject=read:delay_enter=15000"):
        found = workers()
    assert len(found) == n
    # On a busy machine even the first answers come too late to be shown.
    assert 0 < sum("pss" in w for w in found) <= 1000 // 15 + 2, found
    all_are_known()


def test_one_that_somebody_kills_is_said(start):
    s = start()
    pid = looker(s)
    h.kill(pid)
    s.wait_log(rf"looker {pid}: was ended by somebody else \(a new looker may "
               r"start in \d+ s\)")
    answers(s)
    assert not h.lookers(s.pid) and not h.zombies(s.pid)


def test_stop_does_not_wait_for_one_that_cannot_be_killed(start):
    s = start()
    pid = looker(s)
    c, worker = kept(s)
    with Traced(pid):
        s.signal(signal.SIGHUP)
        # Which question comes first depends on how soon the new one accepts.
        s.wait_log(NO_ANSWER.format(pid, f"(?:{BUSY}|{READY})"), LOST)
        assert h.stat(pid).ppid == s.pid
        answers(s)
        c.close()
        s.wait_log("all workers are new")
        # It would be ended and waited for as what a dead worker has left.
        h.kill(s.workers()[0])
        s.wait_workers(2, other_than=[worker])
        assert s.stop(deadline=5) == 0
        assert "still there" not in s.log()
        assert h.stat(pid) is not None
        assert not s.processes()
