# SPDX-License-Identifier: ISC
"""A stop serves what the kernel has accepted: under load, with connections
in the listen queue, with workers that leave after every request, whatever the
program, and over unix and TCP."""

import re
import signal
import socket
import subprocess
import time

import pytest

import harness as h
import wire
from test_retire import LONGEST, PROGRAMS, Load, busy, start

UNTRUSTED = True

WAITING = 50            # clients at once
TCP = ("127.0.0.1", 9098)

RECYCLING = {
    "php-cgi, one request": (
        ["/usr/bin/php-cgi", "-n"], "php/load.php",
        ["-F", 2, "-e", "PHP_FCGI_MAX_REQUESTS=1"]),
    "poller": ([h.app("poller")], None, ["-F", 2]),
}

# Programs that wait in a loop until their socket is readable, and how many
# requests a pool of theirs serves at once.
LOOPS = {"go": 8, "node": 8, "fcgiwrap, children": 6}


def waiting(where):
    """How many connections wait in the listen queue."""
    unix = isinstance(where, str)
    out = subprocess.run(["ss", "-Hnlx" if unix else "-Hnlt"], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    name = where if unix else f"{where[0]}:{where[1]}"
    for line in out.splitlines():
        words = line.split()
        if name in words:
            return int(words[2 if unix else 1])
    return 0


def listening(port):
    """Where the listen socket of a TCP port is bound to."""
    return subprocess.run(["ss", "-Hnlt", f"sport = :{port}"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout


def accepted(path):
    """How many connections of a unix socket are served."""
    out = subprocess.run(["ss", "-Hnx", "state", "established"], check=True,
                         stdout=subprocess.PIPE, text=True).stdout
    return out.count(f" {path} ") - waiting(path)


def crowd(where, script, ms, seconds=0.05, clients=WAITING):
    """Many clients that come once, or a few times."""
    name = where if isinstance(where, str) else f"{where[0]}:{where[1]}"
    argv = [h.app("load"), name, str(clients), str(seconds), str(ms), "0"]
    if script:
        argv.append(h.source(script))
    load = Load.__new__(Load)
    load.popen = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    return load


def waiting_crowd(where, script, ms, clients):
    """One of which a good deal waits, however slowly its clients come."""
    while True:
        load = crowd(where, script, ms, clients=clients)
        h.wait_for(lambda: waiting(where) > WAITING - 20 or
                   load.popen.poll() is not None, 20, str(where))
        if load.popen.poll() is None:
            return load
        load.result()
        ms *= 2


def start_at(spawnd, place, name, tcp, *more):
    """A pool on a unix or TCP socket; where it is, and its script."""
    if not tcp:
        s, script = start(spawnd, place, name, *more)
        return s, f"{place}/sock", script
    argv, script, options = PROGRAMS[name]
    s = spawnd("-p", TCP[1], "-u", "www", *options, *more, "--", *argv)
    return s, TCP, script


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@pytest.mark.parametrize("name", ["no handler", "libfcgi", "libfcgi, threads",
                                  "php-cgi", "php-cgi, children", "perl"])
def test_stop_serves_those_that_wait(spawnd, place, name, tcp):
    s, where, script = start_at(spawnd, place, name, tcp)
    many = "threads" in name
    load = waiting_crowd(where, script, 600 if many else 150,
                         WAITING + 60 + 30 * many)
    s.signal(signal.SIGTERM)
    result = load.result()
    assert s.wait() == 0
    assert result["sent"] >= WAITING
    # Who comes after the stop is refused; nobody else fails.
    assert result["failed"] == result["refused"], (result, s.log())
    assert result["answered"] > WAITING - 20, (result, s.log())
    # With sanitizers one that is started for them cannot be looked at until it
    # has its program: it is a fork.
    assert "warning" not in s.log() or h.sanitized(), s.log()


@pytest.mark.parametrize("name", RECYCLING)
def test_stop_replaces_those_that_leave_meanwhile(spawnd, place, name):
    argv, script, options = RECYCLING[name]
    s = spawnd("-s", f"{place}/sock", "-u", "www", *options, "--", *argv)
    if script is None:
        requests = [h.Connection(f"{place}/sock") for _ in range(8)]
        for i, c in enumerate(requests):
            c.send(f"token={i}&sleep=100&last=0")
        h.wait_for(lambda: waiting(f"{place}/sock") > 3, 5, s.log)
        s.signal(signal.SIGTERM)
        for i, c in enumerate(requests):
            with c:     # libfcgi waits for the client to close
                assert c.receive().headers["x-token"] == str(i), s.log()
    else:
        load = crowd(f"{place}/sock", script, 20)
        h.wait_for(lambda: waiting(f"{place}/sock") > WAITING / 2, 5, s.log)
        s.signal(signal.SIGTERM)
        result = load.result()
        assert result["answered"] > WAITING / 2, (result, s.log())
        assert result["failed"] == result["refused"], (result, s.log())
    assert s.wait() == 0


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
def test_stop_under_load_loses_nothing(spawnd, place, tcp):
    s, where, script = start_at(spawnd, place, "no handler", tcp)
    load = Load(where if not tcp else f"{TCP[0]}:{TCP[1]}", script,
                seconds=LONGEST)
    h.wait_for(lambda: busy(s), 5, s.log)
    h.wait_for(lambda: h.cpu(s.workers()[0]) > 0.05, 10, s.log)
    s.signal(signal.SIGTERM)
    assert s.wait() == 0
    load.end()
    result = load.result()
    assert result["answered"] > 50, result
    assert result["failed"] == result["refused"], (result, s.log())


@h.needs("/dev/net/tun")
def test_stop_over_tcp_ends_a_handshake_and_refuses_the_next(spawnd, place):
    """The client has its answer to a SYN, and the stop comes before it can
    send the rest: that it was let in cannot be taken back."""
    with wire.Wire() as w:
        s = spawnd("-a", wire.HERE, "-p", TCP[1], "-u", "www", "-F", 1, "--",
                   h.app("bare"))
        first, late = (wire.Peer(w, port, TCP[1]) for port in (5001, 5002))
        assert first.begin() == wire.SYN | wire.ACK
        s.signal(signal.SIGTERM)
        h.wait_for(lambda: "%if" in listening(TCP[1]), 5, s.log)
        assert late.begin() & wire.RST
        assert b"early" in first.finish(h.request_bytes("early"))
        assert s.wait() == 0


def test_stop_of_an_inherited_socket_leaves_those_that_wait(spawnd, place):
    """They are for whoever has the socket next."""
    path = f"{place}/sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(64)
        s = spawnd("-u", "www", "-F", 1, "--", h.app("bare"),
                   stdin=listener)
        first = h.Connection(path)
        first.send("a 300")
        h.wait_for(lambda: busy(s), 5, s.log)
        second = h.Connection(path)
        second.send("b")
        s.signal(signal.SIGTERM)
        assert first.receive().text.startswith("a ")
        assert s.wait() == 0
        other = spawnd("-u", "www", "-F", 1, "--", h.app("bare"),
                       stdin=listener)
        assert second.receive().text.startswith("b ")
        assert other.stop() == 0


def test_what_cannot_be_served_in_time_is_said(spawnd, place):
    s, _ = start(spawnd, place, "no handler", "-F", 1, "--stop-timeout", 1)
    load = crowd(f"{place}/sock", None, 5000)
    h.wait_for(lambda: waiting(f"{place}/sock") > WAITING / 2, 5, s.log)
    s.signal(signal.SIGTERM)
    assert s.wait() == 0
    found = re.search(r"stop: (\d+) connections still waited, and were not "
                      "served", s.log())
    assert found and int(found.group(1)) >= WAITING / 2, s.log()
    assert load.result()["failed"] >= int(found.group(1))


@pytest.mark.parametrize("name", LOOPS)
def test_event_loops_do_not_spin_while_they_finish(spawnd, place, name):
    """The cpu of the workers during a drain of some seconds."""
    s, script = start(spawnd, place, name)
    load = crowd(f"{place}/sock", script, 4000, clients=LOOPS[name])
    h.wait_for(lambda: accepted(f"{place}/sock") == LOOPS[name], 5, s.log)
    used = dict.fromkeys([s.pid, *h.descendants(s.pid)], 0)

    def measure():
        for pid in used:
            try:
                used[pid] = h.cpu(pid)
            except OSError:     # it has ended, with what was seen last
                pass
        return s.popen.poll() is not None
    measure()
    before, began = dict(used), time.monotonic()
    s.signal(signal.SIGTERM)
    h.wait_for(measure, 10, s.log)
    took = time.monotonic() - began
    result = load.result()
    assert result["answered"] == LOOPS[name], (result, s.log())
    # One that spins takes all of a core that it can get. Workers that sleep
    # need nothing, and to look at them meanwhile takes the supervisor a
    # twentieth of a core, or twice that where a machine is slow.
    ours = used.pop(s.pid) - before.pop(s.pid)
    theirs = sum(used.values()) - sum(before.values())
    assert theirs < 0.1 * took, (used, before, took)
    assert ours < 0.4 * took, (ours, took)
    assert s.wait() == 0
