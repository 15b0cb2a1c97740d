# SPDX-License-Identifier: ISC
"""spawnctl explain and advise, and what the status tells at the first look:
of pools with which something is wrong."""

import errno
import json
import os
import re
import subprocess
import time

import pytest

import ctl as c
import harness as h
from ctl import ctl, figures, pool

UNTRUSTED = True

PTRACE = 101            # of x86_64


@pytest.fixture
def start(spawnd, place):
    def run(*args, program="echo", workers=("-F", 2), **kw):
        s = spawnd("-s", f"{place}/s", "-u", "www", *workers, "--name", "p",
                   "--status-group", "alpha", *args, "--",
                   program if "/" in program else h.app(program), **kw)
        s.sock = f"{place}/s"
        return s
    return run


def explain(path="p"):
    """What is said, as one line, and the exit status."""
    r = ctl("-p", path, "explain")
    assert r.status in (0, 1) and r.stderr == "", r
    return re.sub(r"\s+", " ", r.stdout), r.status


def wait_explained(text, log=None):
    def found():
        said, status = explain()
        return status == 1 and re.search(text, said) and said
    return h.wait_for(found, 10, log or explain)


def wait_fine():
    h.wait_for(lambda: explain()[1] == 0, 30, explain)


def occupy(sock, n, milliseconds=600000):
    clients = [h.Connection(sock) for _ in range(n)]
    for client in clients:
        client.send(f"sleep={milliseconds}&pid")
    return clients


def close(clients):
    for client in clients:
        client.close()


def test_nothing_is_wrong(start):
    start()
    said, status = explain()
    assert status == 0 and said.startswith("p: nothing is wrong."), said


def test_a_saturated_pool(start):
    s = start()
    clients = occupy(s.sock, 5)
    said = wait_explained("The pool is saturated.* 3 wait now, the oldest "
                          r"for at least [\d.]+ s")
    assert "all 2 workers were busy" in said
    assert "spawnctl scale 2-4" in said
    h.wait_for(lambda: re.search(
        r"has taken [\d.]+ s, in worker (%s)" % "|".join(map(str,
                                                             s.workers())),
        explain()[0]), 10, explain)
    assert "saturated for" in ctl("status").stdout
    close(clients)


def test_workers_that_do_not_stay_and_their_last_words(start, place):
    program = h.install(h.app("echo"), f"{place}/app")
    s = start(program=program)
    h.install(h.app("fail"), program)
    for pid in s.workers():
        h.kill(pid)
    said = wait_explained("Workers do not stay.*last words: fail", s.log)
    assert re.search(r"worker \d+ exited with status 1 after [\d.]+ s, before "
                     "it was ready. Its last words: fail: this program "
                     "always fails", said), said
    # They may be private: not by the socket of the group.
    said, status = explain(pool("p") + "/status")
    assert status == 1 and "exited with status 1" in said
    assert "always fails" not in said and "The log has" in said, said
    h.install(h.app("echo"), program)
    s.wait_workers(2)


def test_workers_that_end_with_status_0_at_once(start, place):
    """That is no crash, and no less a failure; the log need not have each."""
    program = h.install(h.app("echo"), f"{place}/app")
    s = start(program=program)
    with open(f"{place}/script", "w", encoding="ascii") as f:
        f.write("#!/bin/sh\necho no table >&2\n")
    h.install(f"{place}/script", program)
    for pid in s.workers():
        h.kill(pid)
    said = wait_explained(r"exited with status 0 after [\d.]+ s, before it "
                          "was ready. Its last words: no table.", s.log)
    assert "Workers do not stay: " in said
    s.wait_log("exited with status 0 after .*failure 8 in a row")
    assert "failure 7 in a row" not in s.log()
    h.install(h.app("echo"), program)
    s.wait_workers(2)


def test_workers_of_one_request_have_not_failed(start):
    """Some of them come and go between two looks."""
    s = start("-e", "PHP_FCGI_MAX_REQUESTS=1", program="maxreq")
    for _ in range(200):
        h.request(s.sock, "pid")
    h.wait_for(lambda: int(figures("p")["count"]["recycled"]) >= 199, 10)
    assert "failed" not in ctl("status").stdout, s.log()
    assert "warning" not in s.log()


def test_a_worker_that_crashed(start):
    s = start()
    h.kill(s.workers()[0])
    said = wait_explained("1 worker failed within the last minute", s.log)
    assert "killed by SIGKILL" in said or "signal" in said, said


def test_a_way_in_that_is_gone(start, place):
    s = start()
    os.rename(s.sock, f"{place}/other")
    said = wait_explained("Clients cannot connect", s.log)
    assert s.sock in said
    os.rename(f"{place}/other", s.sock)
    wait_fine()


def test_every_worker_on_a_connection_that_is_kept(start):
    """Two connections without a request, and a third that has to wait."""
    s = start()
    kept = [h.Connection(s.sock) for _ in range(2)]
    for client in kept:
        assert client.request("pid", keep=True).status == 200
    third = h.Connection(s.sock)
    third.send("pid")
    said = wait_explained("Every worker holds a connection on which nothing "
                          "comes", s.log)
    assert "1 connection waits" in said and "saturated" not in said, said
    close(kept)
    assert third.receive().status == 200
    third.close()


def test_a_reload_that_failed(start, place):
    program = h.install(h.app("echo"), f"{place}/app")
    start(program=program)
    h.install(h.app("fail"), program)
    assert ctl("reload").status == 69
    said = wait_explained("The last reload failed")
    assert "always fails" in said
    h.install(h.app("echo"), program)
    assert ctl("reload").status == 0
    assert "reload failed" not in explain()[0]


def test_a_pool_of_no_workers(start):
    start()
    assert ctl("scale", 0).status == 0
    wait_explained("may have no worker")


def test_a_request_that_was_ended(start):
    s = start("--request-timeout", 1)
    clients = occupy(s.sock, 1)
    said = wait_explained("A request was ended by --request-timeout", s.log)
    assert "served one request for" in said
    close(clients)


def without_ptrace():
    h.forbid_call(PTRACE, errno.EPERM)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="its number")
def test_tracing_that_is_refused_is_no_fault(start):
    start(become=without_ptrace)
    said, status = explain()
    assert status == 0 and "nothing is wrong" in said
    assert re.search(r"Not in force: door: busy workers get .+ \(.+\)\. "
                     "A reload", said), said


@pytest.mark.parametrize("workers", [("-F", 1), ("-F", 1, "-N", 4)],
                         ids=["one-size", "adapts"])
def test_the_first_look_knows_how_long_a_request_takes(start, workers):
    """Nobody has asked before."""
    s = start(workers=workers)
    began = time.monotonic()
    # A connection that a worker takes at once may be missed. One that has to
    # wait is not, and then the worker is looked at.
    clients = occupy(s.sock, 2 if workers == ("-F", 1) else 1)
    h.pass_time(3)
    row = [line for line in ctl("status").stdout.splitlines()
           if " busy " in line][-1].split()
    took = time.monotonic() - began
    # One that adapts may have missed it: then that is said.
    shown = re.search(r"(>?[\d.]+) s +\d+ +\d+ +[\d.]+ s +\S+$",
                      " ".join(row))
    worker, = (w for w in figures("p")["worker"]
               if w.get("connections") == "1")
    assert float(worker["busy"]) <= time.monotonic() - began
    assert float(worker["busy_most"]) + 0.1 >= took
    if workers == ("-F", 1):
        assert shown and 2 <= float(shown.group(1).lstrip(">")) <= took, row
    close(clients)


def test_advice_needs_a_history(start):
    s = start()
    for _ in range(5):
        h.request(s.sock, "pid")
    clients = occupy(s.sock, 2)
    h.wait_for(lambda: float(figures("p", "load")["load"]["busy_time"]) > 1,
               20, "the pool has seen them")
    r = ctl("advise")
    assert r.status == 0 and "fewer than 1000 connections" in r.stdout, r
    data = json.loads(ctl("advise", "--json").stdout)
    assert data["advice"] is None and "few" in data["doubts"]
    assert data["erlangs"] > 0 and data["most"] >= 2 and data["pss"] > 0
    assert ctl("advise", "--full").status == 64
    # Others than root may ask, too.
    assert ctl("-p", pool("p") + "/status", "advise").status == 0
    close(clients)


def test_what_cannot_be_written_is_74(start):
    start()
    with open("/dev/full", "w", encoding="utf-8") as full:
        for command in ("explain", "advise"):
            r = subprocess.run([c.SPAWNCTL, command], stdout=full,
                                 stderr=subprocess.PIPE, check=False,
                                 timeout=10 * h.PATIENCE)
            assert r.returncode == 74, r
