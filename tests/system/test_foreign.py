# SPDX-License-Identifier: ISC
"""A web server in another network namespace, as in another container that
shares the directory of the socket. Its connections belong to that namespace."""

import os
import signal
import subprocess
import sys

import pytest

import harness as h
from ctl import ctl

CLIENT = """
import sys
sys.path.insert(0, sys.argv[1])
import fastcgi
c = fastcgi.Connection(sys.argv[2])
c.send(sys.argv[3])
print("sent", flush=True)
print(c.receive().text, flush=True)
"""


@pytest.fixture
def clients():
    """Some in namespaces of their own, which have sent their request."""
    started = []

    def start(n, where, query):
        for _ in range(n):
            started.append(subprocess.Popen(
                ["unshare", "-n", sys.executable, "-c", CLIENT,
                 os.path.dirname(os.path.abspath(__file__)), where, query],
                stdout=subprocess.PIPE, text=True))
        for p in started:
            assert p.stdout.readline() == "sent\n"
        return started
    yield start
    for p in started:
        p.kill()
        p.wait()


def accepted(s):
    """Has each worker a connection?"""
    return all(map(h.serves, s.workers()))


@pytest.mark.parametrize("how", ["reload", "scale", "stop"])
@pytest.mark.parametrize("program", ["hostile", "threaded"])
def test_who_serves_another_namespace_is_busy(
        spawnd, place, clients, program, how):
    argv = [h.app("hostile")] + ["threaded"] * (program == "threaded")
    s = spawnd("-s", f"{place}/sock", "-M", "0666", "-u", "www", "-F", 2,
               "--name", "p", "--", *argv)
    before = s.workers()
    both = clients(2, f"{place}/sock", "wait=4000")
    h.wait_for(lambda: accepted(s), 5, s.log)
    if how == "scale":
        assert ctl("scale", "1").status == 0
    else:
        s.signal(signal.SIGHUP if how == "reload" else signal.SIGTERM)
    for p in both:
        out, _ = p.communicate(timeout=30 * h.PATIENCE)
        assert p.returncode == 0 and "wait 0" in out, (out, s.log())
    if how == "stop":
        assert s.wait() == 0
    else:
        h.wait_for(lambda: len(s.workers()) == (2 if how == "reload" else 1)
                   and (how == "scale" or not set(s.workers()) &
                        set(before)), 10, s.log)
    assert "lost" not in s.log()


def test_it_may_be_idle(spawnd, place, clients):
    """Its connection is over: the worker goes at once."""
    s = spawnd("-s", f"{place}/sock", "-M", "0666", "-u", "www", "-F", 1,
               "--name", "p", "--", h.app("hostile"))
    before = s.workers()
    one, = clients(1, f"{place}/sock", "facts")
    one.communicate(timeout=30 * h.PATIENCE)
    s.signal(signal.SIGHUP)
    s.wait_workers(1, other_than=before)
