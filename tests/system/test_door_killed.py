# SPDX-License-Identifier: ISC
"""The supervisor is killed at any step of a reload of busy workers: nobody is
left stopped or traced, and the next start serves."""

import signal
import subprocess
import time

import harness as h
from test_endurance import Attached

LONG = True
PLAIN_ONLY = True       # what it shows is nothing that sanitizers see

ROUNDS = 40
WORKERS = 2


class Dying:
    """A saturated pool whose supervisor goes from one system call to the
    next, from the begin of a reload."""

    def __init__(self, spawnd, place):
        self.spawnd, self.place = spawnd, place
        self.s = self.start()
        self.load = subprocess.Popen(
            [h.app("load"), f"{place}/sock", str(2 * WORKERS), "300", "20"],
            stdout=subprocess.DEVNULL)
        self.workers = self.s.workers()
        h.wait_for(lambda: all(map(h.serves, self.workers)), 5, self.s.log)
        self.tracer = Attached(self.s.popen)
        self.s.signal(signal.SIGHUP)

    def start(self):
        return self.spawnd("-s", f"{self.place}/sock", "-u", "www", "-F",
                           WORKERS, "--stop-timeout", 20, "--",
                           h.app("bare"))

    def states(self):
        """What the workers are in now: T, t, or that they are traced."""
        found = set()
        for pid in self.workers:
            try:
                found.add(h.stat(pid).state)
                if h.status(pid)["TracerPid"] != "0":
                    found.add("traced")
            except (AttributeError, OSError, KeyError):
                pass
        return found

    def all_gone(self):
        return not any(map(h.alive, self.workers))

    def steps(self):
        """How many it takes until all workers have been replaced."""
        steps, until = 0, time.monotonic() + 60
        while steps % 8 or not self.all_gone():
            assert time.monotonic() < until, "the reload does not end"
            assert self.tracer.step()
            steps += 1
        return steps

    def go(self, steps):
        for _ in range(steps):
            assert self.tracer.step()
            if self.tracer.steps % 8 == 0 and self.all_gone():
                break

    def kill(self):
        """What the workers were in when it died; and what is shown."""
        states = self.states()
        self.tracer.kill()
        h.wait_for(lambda: not held(self.s.processes()), 3,
                   lambda: str(held(self.s.processes())))
        self.load.kill()
        self.load.wait()
        h.wait_for(lambda: not self.s.processes(), 3, lambda: str(
            [h.stat(pid) for pid in self.s.processes()]))
        nexts = self.start()
        assert h.request(f"{self.place}/sock", "t 0 0").text.startswith("t ")
        assert nexts.stop() == 0
        return states


def held(pids):
    found = []
    for pid in pids:
        s = h.stat(pid)
        try:
            if s and (s.state in "tT" or h.status(pid)["TracerPid"] != "0"):
                found.append(s)
        except (OSError, KeyError):
            pass
    return found


def killed_at_steps(spawnd, place, rounds):
    first = Dying(spawnd, place)
    total = first.steps()
    first.kill()
    reached = set()
    for n in range(rounds):
        dying = Dying(spawnd, place)
        dying.go(1 + n * total // rounds)
        reached |= dying.kill()
        dying.s.end()
    print(f"{rounds} of {total} steps: {reached}")
    assert "traced" in reached, "no step was one with a traced worker"


def test_supervisor_killed_at_any_step_of_a_reload(spawnd, place):
    killed_at_steps(spawnd, place, ROUNDS)
