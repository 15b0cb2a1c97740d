# SPDX-License-Identifier: ISC
"""A busy worker that goes is kept from new connections: reloads of a saturated
pool, whatever the program does with its stop signal."""

import errno
import os
import signal
import socket
import subprocess

import pytest

import ctl
import harness as h
import matrix

UNTRUSTED = True

PTRACE = 101            # its number on x86-64
WORKERS = 3
CLIENTS = 4 * WORKERS
SECONDS = 300           # or until it is interrupted
RELOADS = 3
ROUNDS = 3
SCRIPT = h.source("php/load.php")
PROGRAMS = {
    "bare": ([h.app("bare")], None),            # has no handler
    "libfcgi": ([h.app("lib")], None),
    "events": ([h.app("events")], None),        # accepts until EAGAIN
    "php": (["/usr/bin/php-cgi", "-n"], SCRIPT),
    "children": (["/usr/bin/php-cgi", "-n"], SCRIPT),
    "perl": (["/usr/bin/perl", h.source("load.pl")], None),
    "ruby": (["/usr/bin/ruby", h.source("load.rb")], None),
    "go": ([h.app("load-go")], None),
    "multiwatch": (["/usr/bin/multiwatch", "-f", "2", "--", h.app("bare")],
                   None),
    "uwsgi, master": ([*matrix.UWSGI, "--master", "--die-on-term"], None),
}
BRIEF = ["bare", "libfcgi", "events", "children", "go"]


def load(where, ms, script, clients=CLIENTS):
    argv = [h.app("load"), where, str(clients), str(SECONDS), str(ms), "100"]
    return subprocess.Popen(argv + ([script] if script else []),
                            stdout=subprocess.PIPE, text=True)


def reload(s, n):
    """The n-th reload, from its begin to its end."""
    s.signal(signal.SIGHUP)
    h.wait_for(lambda: s.log().count("all workers are new") == n, 30, s.log)


def end(popen):
    """What the load has seen, which ends now."""
    assert popen.poll() is None
    popen.send_signal(signal.SIGINT)
    words = popen.communicate(timeout=90)[0].split("\n")[0].split()
    return dict(zip(words[::2], map(int, words[1::2])))


@pytest.fixture
def start(spawnd, place):
    def go(program, *options, **kw):
        argv, script = PROGRAMS[program]
        if program == "children":
            options += ("-C", 3)
        if not os.access(argv[0], os.X_OK):
            pytest.fail(f"{argv[0]} is not there")
        s = spawnd("--name", "door", "-s", f"{place}/sock", "-u", "www",
                   "-F", WORKERS, *options, "--", *argv, **kw)
        s.sock, s.script = f"{place}/sock", script
        return s
    return go


@pytest.mark.parametrize("program", BRIEF if h.brief() else PROGRAMS)
def test_reloads_of_a_saturated_pool_lose_nothing(start, program):
    s = start(program)
    popen = load(s.sock, 20, s.script)
    h.wait_for(lambda: int(ctl.figures("door")["connections"]["now"]) >=
               WORKERS, 5, "the load has begun")
    for n in range(1, RELOADS + 1):
        reload(s, n)
    r = end(popen)
    assert r["failed"] == 0 and r["answered"] == r["sent"] > 0, r
    # Most of the time; what else runs takes the clients' own time, too.
    assert r["busy"] >= 50, r
    count = ctl.figures("door")["count"]
    assert (count["lost"], count["killed"]) == ("0", "0"), count
    assert s.stop() == 0


@pytest.mark.parametrize("way", ["reload", "stop", "age"])
def test_command_of_a_request_is_left_alone(spawnd, place, way):
    """It is of its worker's process group, as its parents are."""
    s = spawnd("--name", "door", "-s", f"{place}/sock", "-u", "www", "-F", 1,
               "-C", 3, *(["--max-age", 1] if way == "age" else []), "--",
               "/usr/bin/php-cgi", "-n")
    (leader,) = s.workers()
    with h.Connection(f"{place}/sock") as c:
        c.send("", params={"SCRIPT_FILENAME": h.source("php/command.php"),
                           "REDIRECT_STATUS": "200"})
        h.wait_for(lambda: any((st := h.stat(pid)) and st.comm == "sleep"
                               for pid in h.descendants(leader)), 5, s.log)
        if way == "stop":
            s.signal(signal.SIGTERM)
        elif way == "reload":
            s.signal(signal.SIGHUP)
        assert c.receive().text == "done\n", s.log()
    if way == "stop":
        assert s.wait() == 0
    else:
        h.wait_for(lambda: h.stat(leader) is None, 10, s.log)
        assert ctl.figures("door")["count"]["lost"] == "0"


def test_child_that_was_told_serves_no_more(spawnd):
    """The children of php-cgi -C would read one request more of a connection
    that is kept, and end as soon as they have written its answer, which TCP
    then throws away."""
    where = ("127.0.0.1", 9078)
    env = {"SCRIPT_FILENAME": SCRIPT, "REDIRECT_STATUS": "200"}
    s = spawnd("--name", "door", "-p", where[1], "-u", "www", "-F", 1, "-C",
               2, "--keep-idle", 1, "--", "/usr/bin/php-cgi", "-n")
    for n in range(1, ROUNDS + 1):
        h.wait_for(lambda: s.log().count("all workers are new") == n - 1 and
                   len(s.workers()) == 1, 20, s.log)
        (leader,) = s.workers()
        with h.Connection(where) as c:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            child = int(c.request("a 0 0", params=env,
                                  keep=True).text.split()[1])
            s.signal(signal.SIGHUP)
            h.wait_for(lambda: h.stat(leader) is None, 20, s.log, pause=0)
            c.send("b 0 0", b"x" * 300000, env, keep=True)
            # Nothing of the answer is read until the child has ended.
            h.wait_for(lambda: c._write() or h.stat(child) is None, 20, s.log)
            try:
                begun = c.sock.recv(1, socket.MSG_PEEK)
            except OSError:
                continue        # its request was not read
            assert not begun or c.receive(), f"cut in round {n}"


def test_nobody_has_to_wait_for_an_idle_moment(start):
    """Requests so long that a look rarely comes between two: of a program
    without a handler each would be killed with one at --stop-timeout."""
    s = start("bare", "--stop-timeout", 8)
    popen = load(s.sock, 300, None)
    h.wait_for(lambda: int(ctl.figures("door")["connections"]["now"]) >=
               WORKERS, 5, "the load has begun")
    reload(s, 1)
    r = end(popen)
    assert r["failed"] == 0, r
    assert ctl.figures("door")["count"]["lost"] == "0"


def test_hundreds_of_requests_at_a_time_are_no_riddle(start):
    """And longer than the second for which what is unknown is waited for."""
    s = start("go", "-F", 1)
    popen = load(s.sock, 1500, None, clients=1000)
    h.wait_for(lambda: int(ctl.figures("door")["connections"]["now"]) >=
               1000, 20, "the load has begun")
    reload(s, 1)
    r = end(popen)
    assert r["failed"] == 0, (r, s.log())
    assert ctl.figures("door")["count"]["killed"] == "0", s.log()


@pytest.mark.parametrize("after", ["close", "told"])
def test_killed_supervisor_leaves_nobody_traced(start, after):
    s = start("bare", "--stop-timeout", 20)
    popen = load(s.sock, 200, None)
    h.wait_for(lambda: int(ctl.figures("door")["connections"]["now"]) >=
               WORKERS, 5, "the load has begun")
    first = s.workers()
    s.signal(signal.SIGHUP)
    if after == "close":
        h.wait_for(lambda: any(tracer(pid) == s.pid for pid in first), 5,
                   s.log, pause=0.001)
    else:
        h.wait_for(lambda: not set(first) <= set(s.workers()), 5, s.log)
    s.signal(signal.SIGKILL)
    # What was held goes on, and ends by the death of its parent.
    h.wait_for(lambda: not any((st := h.stat(pid)) and st.state in "tT"
                               for pid in first), 5, "nobody is stopped")
    popen.terminate()
    popen.wait()


def tracer(pid):
    try:
        return int(h.status(pid)["TracerPid"])
    except (OSError, KeyError, TypeError):
        return 0


def test_somebody_elses_tracer_is_left_alone(start):
    s = start("libfcgi")
    with h.straced(s.workers()[0]):
        popen = load(s.sock, 20, None)
        h.wait_for(lambda: int(ctl.figures("door")["connections"]["now"]) >=
                   WORKERS, 5, "the load has begun")
        reload(s, 1)
        r = end(popen)
    assert r["failed"] == 0, r
    assert ctl.figures("door")["count"]["lost"] == "0"
    s.wait_log(r"worker \d+: cannot be kept from new connections: process "
               r"\d+ \(strace\) traces it \(such a worker ends when")


def test_where_it_cannot_be_it_is_said(start):
    s = start("bare", become=without_ptrace)
    s.wait_log("busy workers cannot be kept from new connections here: a "
               "system call filter forbids")
    assert ctl.figures("door")["guarantees"]["door"] == "no"
    reload(s, 1)
    test = h.run_spawnd("-t", "-s", f"{s.sock}.t", "-u", "www", "--",
                        h.app("bare"), become=without_ptrace)
    assert "guarantees: busy workers are kept from new connections: no " \
        "(a system call filter forbids ptrace(2))\n" in test.stdout, test


def without_ptrace():
    h.forbid_call(PTRACE, errno.EPERM)
