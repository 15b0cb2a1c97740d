# SPDX-License-Identifier: ISC
"""The trace of a pool: who may read it, what it says, and that the simulation
replays what a real daemon has recorded."""

import datetime
import fcntl
import os
import re
import signal
import subprocess

import pytest

import ctl as c
import harness as h
from ctl import ask, ctl, pool, records

UNTRUSTED = True

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(
    __file__))))
LINE = re.compile(r" *-(\d+\.\d{6}) (\S+) (event|action|notice) (.*)")


@pytest.fixture(scope="session")
def simulation():
    """The program that replays; built unless make check-system has."""
    program = TOP + "/build/obj/pool_sim.sim"
    with open(TOP + "/Makefile") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["make", "-s", "-C", TOP, "sims"], check=True,
                       stdout=subprocess.DEVNULL)
    return program


@pytest.fixture
def replay(simulation, place):
    def run(text):
        with open(f"{place}/trace", "w") as f:
            f.write(text)
        p = subprocess.run([simulation, "-t", f"{place}/trace"], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=60, check=False)
        return h.Result(p.returncode, p.stdout, p.stderr)
    return run


@pytest.fixture
def echo(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 3, "--name", "p",
               "--env", "SECRET=of-the-environment", "--status-group",
               "alpha", "--", h.app("echo"))
    s.sock = f"{place}/sock"
    return s


def trace(*args):
    r = ctl(*args, "trace")
    assert r.status == 0 and r.stderr == "", r
    assert r.stdout.startswith("trace format=1 ") and \
        r.stdout.endswith("\nend\n"), r.stdout
    return r.stdout


def fields(line):
    return dict(f.split("=", 1) for f in line.split() if "=" in f)


def entries(text):
    """(kind, {key: value}) of each event, action and notice."""
    found = (LINE.fullmatch(line) for line in text.splitlines())
    return [(m.group(3), fields(m.group(4))) for m in found if m]


def kill_one(s):
    """Kills a worker, and waits for the next one."""
    before = sorted(s.workers())
    pid = before[0]
    h.kill(pid)
    s.wait_workers(len(before), other_than=[pid])
    h.wait_for(lambda: c.figures("p")["workers"]["ready"] ==
               c.figures("p")["pool"]["target"], 5)
    return pid


def live(s):
    """All that a pool goes through; returns who was killed."""
    assert ctl("reload").status == 0
    pid = kill_one(s)
    assert ctl("scale", 5).status == 0
    s.wait_workers(5)
    assert ctl("scale", 2).status == 0
    s.wait_workers(2)
    assert h.request(s.sock, "pid").status == 200
    return pid


def check_replays(r):
    assert r.status == 0, r.stderr
    assert re.search(r"(\d+) entries, replayed without a difference",
                     r.stdout), r
    return int(re.search(r"(\d+) entries", r.stdout).group(1))


def test_it_says_what_happened_to_a_worker(echo):
    pid = kill_one(echo)
    text = trace()
    found = [line for line in text.splitlines()
             if "what=exit slot=" in line and f"pid={pid} " in line]
    assert len(found) == 2, text
    m = LINE.fullmatch(found[0])
    assert m and m.group(3) == "event", found
    event = fields(m.group(4))
    assert (event["killed"], event["from"], event["to"]) == \
        ("9", "ready", "spawning"), event
    assert float(m.group(1)) < 60 * h.PATIENCE
    then = datetime.datetime.fromisoformat(m.group(2))
    age = (datetime.datetime.now() - then).total_seconds()
    assert abs(age - float(m.group(1))) < 10 * h.PATIENCE
    assert LINE.fullmatch(found[1]).group(3) == "notice", found
    at = entries(text).index(("event", event))
    spawn = entries(text)[at + 1:at + 3]
    assert ("action", "spawn", event["slot"]) in [
        (kind, e["what"], e["slot"]) for kind, e in spawn], spawn


def test_it_has_neither_environment_nor_output(echo):
    h.request(echo.sock, "pid&stderr=of-the-output")
    text = trace()
    assert "of-the" not in text and "SECRET" not in text


def test_whoever_reads_the_status_reads_it(echo):
    for path in (pool("p") + "/control", pool("p") + "/status"):
        found = records(ask(path, "trace"))
        assert [kind for kind, _ in found[:2]] == ["trace", "conf"]
        assert found[0][1]["pid"] == str(echo.pid)
    assert ctl("-p", "p", "trace", user="many").status == 0
    r = ctl("-p", "p", "trace", user="web")
    assert (r.status, r.stdout) == (77, "") and r.stderr.count("\n") == 1, r
    assert "wrong number" in ask(pool("p") + "/control", "trace x")[-1]


def test_several_pools_have_to_be_told_apart(echo, spawnd, place):
    other = spawnd("-s", f"{place}/2", "-u", "www", "-F", 1, "--name", "q",
                   "--", h.app("echo"))
    r = ctl("trace")
    assert r.status == 64 and "several pools run here: p, q" in r.stderr, r
    assert f" pid={echo.pid} " in trace("-p", "p").splitlines()[0]
    assert f" pid={other.pid} " in trace("-p", "q").splitlines()[0]


def test_without_a_pool_it_is_69(place):
    for args in (["trace"], ["-p", "nix", "trace"]):
        r = ctl(*args)
        assert r.status == 69 and r.stderr.count("\n") == 1, r


def test_a_trace_from_the_start_is_replayed(echo, replay):
    pid = kill_one(echo)
    text = trace()
    assert fields(text.splitlines()[0])["replay"] == "start"
    assert str(pid) in text
    assert check_replays(replay(text)) == len(entries(text))


def test_a_trace_that_has_wrapped_is_replayed(echo, replay):
    for _ in range(3):
        live(echo)
    head = fields(trace().splitlines()[0])
    assert head["entries"] == "256" and int(head["lost"]) > 0, head
    assert head["replay"] == "snapshot"
    text = trace()
    assert check_replays(replay(text)) >= 128, text
    kinds = [line.split()[0] for line in text.splitlines()]
    assert kinds.count("pool") == 1 and kinds.count("slot") >= 3, text


def test_a_trace_of_a_stop_is_replayed(echo, replay):
    live(echo)
    with h.Connection(echo.sock) as client:
        client.send("hold&pid")
        h.wait_for(lambda: c.figures("p")["connections"]["now"] == "1", 5)
        echo.signal(signal.SIGTERM)
        echo.wait_log("stop: ")
        h.wait_for(lambda: len(echo.workers()) == 1, 5)
        text = trace()
        assert ("event", "stop") in [(kind, e["what"])
                                     for kind, e in entries(text)], text
        check_replays(replay(text))
        h.let_go(echo.workers())
        assert client.receive().status == 200
    assert echo.wait() == 0


def test_one_line_that_was_changed_is_found(echo, replay):
    kill_one(echo)
    lines = trace().splitlines(keepends=True)
    at = [n for n, line in enumerate(lines) if " what=spawn " in line][-1]
    for old, new in (("slot=", "slot=1"),
                     ("what=spawn ", "what=check_ready "),
                     ("action", "notice")):
        changed = lines[at].replace(old, new, 1)
        r = replay("".join(lines[:at] + [changed] + lines[at + 1:]))
        assert r.status == 1, r
        said = r.stderr.splitlines()
        assert said[0].endswith(f"trace:{at + 1}: differs"), r.stderr
        assert "recorded" in said[1] and new in said[1], r.stderr
        assert "replayed" in said[2] and old in said[2], r.stderr


def test_one_action_that_is_missing_or_too_many_is_found(echo, replay):
    kill_one(echo)
    lines = trace().splitlines(keepends=True)
    at = [n for n, line in enumerate(lines) if " what=spawn " in line][-1]
    assert replay("".join(lines[:at] + lines[at + 1:])).status == 1
    assert replay("".join(lines[:at] + lines[at:at + 1] +
                          lines[at:])).status == 1
    # The last of all.
    at = [n for n, line in enumerate(lines) if " action " in line][-1]
    r = replay("".join(lines[:at] + ["end\n"]))
    assert r.status == 1 and "1 are now" in r.stderr, r


def test_other_settings_are_found(echo, replay):
    kill_one(echo)
    text = trace()
    other = re.sub(r"(?m)^(conf .* seed)=\d+", r"\1=1", text)
    assert other != text
    assert replay(other.replace(" workers=3", " workers=2")).status == 1


def test_a_trace_that_was_cut_off_is_65(echo, replay):
    text = trace()
    lines = text.splitlines(keepends=True)
    cuts = ["", text[:40], text[:-1], text[:-4], text[:len(text) // 2],
            lines[0], "".join(lines[:2]), "".join(lines[:8]),
            "".join(lines[1:]), "".join(lines[:1] + lines[2:])]
    for cut in cuts:
        r = replay(cut)
        assert r.status == 65 and r.stderr.count("\n") == 1, (cut[-80:], r)


@pytest.mark.parametrize("old, new", [
    (r"\Atrace ", "nix "),
    (r"format=1", "format=2"),
    (r"replay=start", "replay=never"),
    (r"replay=start", "replay=x"),
    (r" queued=0", ""),
    (r" began=\d+", ""),
    (r" max=\d+", " max=99999999"),
    (r" seed=", " nix="),
    (r"(event time=)\d+", r"\1x"),
    (r"(event time=)\d+", r"\g<1>1"),
    (r"event time=\d+", "event"),
    (r"(event .*slot)=\d+", r"\1=9999"),
    (r"(event .*)what=\w+", r"\1what=timer"),
    (r"(event .*)what=\w+", r"\1what=nix"),
    (r"(what=readiness .*readiness)=\w+", r"\1=nix"),
    (r" event ", " nix "),
    (r" event ", " event ="),
    (r"end\n\Z", "end\nend\n"),
], ids=str)
def test_a_trace_that_makes_no_sense_is_65(echo, replay, old, new):
    text = trace()
    bad, n = re.subn(old, new, text, count=1)
    assert n == 1, text
    r = replay(bad)
    assert r.status == 65 and re.fullmatch(r"\S+:\d+: .+\n", r.stderr), r


def test_a_large_pool_says_that_it_cannot_be_replayed(spawnd, place, replay):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 250, "--name", "p",
               "--", h.app("echo"))
    s.wait_workers(250, deadline=h.START_DEADLINE)
    text = trace()
    assert len(entries(text)) == 256
    r = replay(text)
    assert r.status == 65 and "cannot be replayed" in r.stderr, r


def test_make_sim_takes_it(simulation, echo, place):
    for make in ("make", "bmake"):
        with open(f"{place}/t", "w") as f:
            f.write(trace())
        p = subprocess.run([make, "-s", "-C", TOP, "sim",
                            f"TRACE={place}/t"], text=True, check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert p.returncode == 0 and "without a difference" in p.stdout, p


def test_usr2_logs_the_end_of_it(echo):
    live(echo)
    seen = len(echo.log())
    echo.signal(signal.SIGUSR2)
    echo.wait_log("trace: ", start=seen)
    h.wait_for(lambda: echo.log()[seen:].count("trace: ") >= 32, 5, echo.log)
    logged = re.findall(r"trace: \d+\.\d{6} s ago: (.*)", echo.log()[seen:])
    assert len(logged) == 32
    wanted = [f"{kind} " + " ".join(f"{k}={v}" for k, v in e.items()
                                    if k != "time")
              for kind, e in entries(trace())]
    at = wanted.index(logged[-1], len(wanted) - 40)
    assert logged == wanted[at - 31:at + 1]
