# SPDX-License-Identifier: ISC
"""A take-over in which either spawnd is killed, at each of its steps: one pool
is left, it serves, and has its name."""

import re
import signal
import subprocess

import pytest

import harness as h
from takeovers import LONGEST, NAME, Pool, Taker

KILLS = 8 if h.brief() else 25
LAST = 20               # steps


@pytest.fixture
def pool(place):
    p = Pool(place, ["-s", f"{place}/s"], "-u", "_app")
    yield p
    p.end()


def begin(p):
    if p.pids and h.alive(p.pids[-1]):
        return
    p.begin("-F", 2, h.app("bare"))


def serves(p):
    h.wait_for(lambda: subprocess.run(
        [h.app("load"), f"{p.place}/s", "2", "0", "0"],
        capture_output=True, text=True,
        timeout=30 * h.PATIENCE).stdout.split()[5:6] == ["0"], 20, p.log)


def count_steps(p):
    """How many system calls a take-over is, to where it is done."""
    begin(p)
    t = Taker(p, "-F", 2, h.app("bare"))
    try:
        while "serves from now on" not in p.log():
            assert t.step(), p.log()
    finally:
        t.kill()
    p.pids.clear()
    return t.steps


def steps(p, kills):
    """Those of all of it, and each of the last, when it changes hands."""
    most = count_steps(p)
    last = range(most - LAST, most + 1)
    return [1 + most * n // kills for n in range(kills)] + list(last)


def kill_the_new(p, step):
    """True if it was one that takes over, and not yet the pool."""
    begin(p)
    old = p.pid
    before = len(p.log())
    t = Taker(p, "-F", 2, h.app("bare"))
    t.run_to(step)
    h.kill(old, signal.SIGSTOP)

    def is_still():
        found = h.stat(old)
        return found is None or found.state in "TZX"
    h.wait_for(is_still, 10, p.log)
    begun = "begun" in p.log()[before:]
    t.kill()
    h.kill(old, signal.SIGCONT)
    # Who is stopped between its last answer and its line says that later.
    if begun:
        h.wait_for(p.is_settled, 20, p.log)
    if "serves from now on" in p.log()[before:]:
        h.wait_for(lambda: not h.alive(old), 20, p.log)
        p.pids.clear()
        return False
    assert h.alive(old) and p.pid == old, p.log()
    p.check()
    serves(p)
    return begun


def kill_the_old(p, step):
    begin(p)
    old = p.pid
    before = len(p.log())
    t = Taker(p, "-F", 2, h.app("bare"))
    t.run_to(step)
    begun = "begun" in p.log()[before:]
    h.kill(old)         # it may have ended, where all is done
    h.wait_for(lambda: not h.alive(old), 20, p.log)
    t.release()
    try:
        if not begun:       # it has nothing of it
            if t.popen.poll() is None:
                h.wait_for(lambda: t.popen.poll() is not None or "ready on" in
                           p.log()[before:], 20, p.log)
            return False
        h.wait_for(lambda: "ready on" in p.log()[before:], 20, p.log)
        h.wait_for(lambda: p.pid == t.pid, 20, p.log)
        p.check()
        serves(p)
        return True
    finally:
        t.kill()
        p.pids.clear()


@pytest.mark.parametrize("which", ["new", "old"])
def test_one_is_killed(pool, which, kills=KILLS):
    kill = kill_the_new if which == "new" else kill_the_old
    at = steps(pool, kills)
    met = sum(kill(pool, step) for step in at)
    print(f"{which}: {met} of {len(at)} kills met a take-over")
    assert met >= len(at) // 4
    # A right one works afterwards.
    begin(pool)
    pool.changed("-F", 3, h.app("bare"), deadline=LONGEST)
    pool.wait_alone()
    pool.check()


@h.soak
@pytest.mark.parametrize("which", ["new", "old"])
def test_one_is_killed_at_many_steps(pool, which):
    test_one_is_killed(pool, which, max(200, h.SOAK))


def test_two_at_once(pool):
    begin(pool)
    pool.changed(h.app("echo"))
    pool.wait_alone()       # whose answers have no token
    argv = [h.SPAWND, *pool.where, *pool.common, "--replace", h.app("echo")]
    with h.Load(f"{pool.place}/s", threads=2) as load:
        for _ in range(KILLS // 4):
            both = [subprocess.Popen(argv, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, cwd="/",
                                     env={**h.BASE_ENV, **h.sanitizer_env()})
                    for _ in range(3)]
            ends = [(b.communicate(timeout=60 * h.PATIENCE)[1].decode(),
                     b.returncode)
                    for b in both]
            pool.pids.append(pool.pid)
            assert 0 in [status for _, status in ends], ends
            for text, status in ends:
                assert status == 0 or re.search(
                    "is about to take over|has taken over|the pool is st|"
                    "no pool|the pool ended before", text), ends
            pool.pids = [x for x in pool.pids if h.alive(x)]
    assert load.sent == load.answered > 0, load
    pool.wait_alone()
    pool.check()
    assert NAME in pool.log()
