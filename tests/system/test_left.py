# SPDX-License-Identifier: ISC
"""What a supervisor that was killed has left, and holds the socket: the next
start by the same user ends it, if it is certain what it is."""

import re
import signal
import socket

import pytest

import harness as h

UNTRUSTED = True

EX_CANTCREAT = 73


def kill_supervisor(s):
    """Returns those of its processes that are left, except the looker."""
    workers = s.workers()
    before = h.descendants(s.pid)
    h.kill(s.pid)
    h.wait_for(lambda: not h.alive(s.pid), 5, "its end")
    return workers, before


def with_children(spawnd, place, *options, **kw):
    """Two children of a worker that have outlived it and their supervisor."""
    s = spawnd("-s", f"{place}/sock", "-F", 1, *options, "--", h.app("echo"),
               "children=2", **kw)
    worker = s.workers()[0]
    h.wait_for(lambda: len(h.children(worker)) == 2, 5, "its children")
    left = h.children(worker)
    workers, _ = kill_supervisor(s)
    h.wait_for(lambda: not any(map(h.alive, workers)), 5, "the worker's end")
    assert all(map(h.alive, left))
    return s, left


def refused(place, *args, user=None):
    r = h.run_spawnd("-n", "-s", f"{place}/sock", *args, "--", h.app("echo"),
                     user=user)
    assert r.status == EX_CANTCREAT
    return h.line_of(r)


NAMED = r"in use by pid (\d+), left by an earlier spawnd \(end it: " \
    r"kill -9 \1\)$"


@pytest.mark.parametrize("daemon", [False, True])
@pytest.mark.parametrize("user", [None, "www"])
def test_next_start_ends_children_of_workers(spawnd, place, daemon, user):
    h.own_directory(place, user or "root")
    options = [] if user else ["-u", "www"]
    s, left = with_children(spawnd, place, *options, user=user, daemon=daemon)
    again = spawnd("-s", f"{place}/sock", *options, "--", h.app("echo"),
                   user=user)
    assert f"socket: unix:{place}/sock: 2 processes that an earlier spawnd " \
        f"(pid {s.pid}) has left were ended" in again.log()
    assert not any(map(h.alive, left))
    assert h.request(f"{place}/sock", "pid").status == 200


def test_next_start_kills_what_ignores_its_signals(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--",
               h.app("hostile"))
    pid = int(h.request(f"{place}/sock", "deaf").headers["x-pid"])
    kill_supervisor(s)
    assert h.alive(pid)
    again = spawnd("-s", f"{place}/sock", "-u", "www", "--", h.app("echo"))
    assert re.search(r" 1 process that an earlier spawnd \(pid \d+\) has left "
                     r"was ended\n", again.log())
    assert not h.alive(pid)


def test_next_start_ends_nobody_if_one_of_them_is_unknown(spawnd, place):
    """One is in a session of its own: it could be anybody's."""
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--",
               h.app("hostile"))
    deaf = int(h.request(f"{place}/sock", "deaf&serve=1").headers["x-pid"])
    _, before = kill_supervisor(s)
    h.wait_for(lambda: len(list(filter(h.alive, before))) == 2, 5)
    left = set(filter(h.alive, before))
    assert deaf in left
    try:
        line = refused(place, "-u", "www")
        found = re.search(r"in use by pid (\d+)", line)
        named = int(found.group(1))
        assert named in left
        # Of one in another session nobody is told to kill it.
        session = h.stat(named).session
        assert bool(re.search(NAMED, line)) == (session == s.pid), line
        assert all(map(h.alive, left))
    finally:
        for pid in left:
            h.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("first,options,user", [
    # Its workers had another user.
    (("-u", "www"), ("-u", "_app"), None),
    # Root did not start it.
    (("user", "www"), ("-u", "www"), None),
    # Its output is not known to have gone to a supervisor.
    (("-u", "www", "--worker-log", "none"), ("-u", "www"), None),
], ids=["workers", "starter", "output"])
def test_next_start_ends_nobody_elses(spawnd, place, first, options, user):
    h.own_directory(place, "www")
    if first[0] == "user":
        _, left = with_children(spawnd, place, user=first[1])
    else:
        _, left = with_children(spawnd, place, *first)
    line = refused(place, *options, user=user)
    found = re.search(r"in use by pid (\d+)", line)
    assert int(found.group(1)) in left
    assert bool(re.search(NAMED, line)) == ("none" not in first)
    assert all(map(h.alive, left))


@pytest.mark.parametrize("how", ["queue", "session"])
def test_nobody_is_told_to_kill_what_may_not_be_left(spawnd, place, how):
    """Whose queue is full does not say who made the socket. In a session of
    its own it may be another's that got the socket from the pool."""
    if how == "queue":
        s, left = with_children(spawnd, place, "-u", "www", "-b", 1)
    else:
        s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--",
                   h.app("hostile"))
        worker = int(h.request(f"{place}/sock", "serve=1").headers["x-pid"])
        h.wait_for(lambda: len(h.children(s.pid)) >= 2, 5)
        _, before = kill_supervisor(s)
        h.wait_for(lambda: not h.alive(worker), 5)
        left = [pid for pid in before if h.alive(pid) and
                h.stat(pid).session == pid]
        assert len(left) == 1
    crowd = []
    while how == "queue":
        crowd.append(socket.socket(socket.AF_UNIX))
        crowd[-1].setblocking(False)
        try:
            crowd[-1].connect(f"{place}/sock")
        except BlockingIOError:
            # Those that wait in accept have taken theirs.
            if len(crowd) > len(left) + 2:
                break
            h.pass_time(0.01)
    try:
        line = refused(place, "-u", "www")
        found = re.search(r"in use by pid (\d+)", line)
        assert int(found.group(1)) in left and "kill" not in line, line
        assert line.endswith(", with a full backlog") == (how == "queue")
        assert all(map(h.alive, left))
    finally:
        for pid in left:
            h.kill(pid)
        for sock in crowd:
            sock.close()


def test_user_is_not_told_to_kill_a_pool_that_runs(spawnd, place):
    """What its supervisor holds is hidden from its own user."""
    h.own_directory(place, "www")
    s = spawnd("-s", f"{place}/sock", "-F", 1, "--", h.app("echo"),
               user="www")
    before = h.descendants(s.pid)
    line = refused(place, user="www")
    assert "in use by pid" in line and "earlier" not in line
    assert h.descendants(s.pid) == before


def test_next_start_ends_no_pool_that_runs(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--",
               h.app("echo"), "children=2")
    before = h.descendants(s.pid)
    # Not even while its supervisor is stopped.
    s.signal(signal.SIGSTOP)
    assert f"in use by pid {s.pid}" in refused(place, "-u", "www")
    s.signal(signal.SIGCONT)
    assert h.descendants(s.pid) == before
    assert s.stop() == 0
