# SPDX-License-Identifier: ISC
"""What lasts: thousands of recyclings, a thousand workers, kills without end,
and a supervisor that dies at any step of a retirement."""

import os
import random
import re
import shutil
import signal
import subprocess
import time

import ctl as c
import harness as h
import test_retire

LONG = True
PLAIN_ONLY = True       # what is measured here is not the sanitizers' work

CLIENTS = 6
STRACE = "/usr/bin/strace"


class Load(test_retire.Load):
    """The load generator; ends with the block."""

    def __init__(self, where, seconds, ms=0):
        super().__init__(where, ms=ms, seconds=seconds)
        self.counts = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.counts = self.result()


def memory(pid):
    """Private dirty memory of a process, in KB."""
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return int(re.search(r"Private_Dirty:\s+(\d+)", f.read()).group(1))


def recycled(s):
    """How many workers have ended as they should: the pool's own count."""
    seen = len(s.log())
    s.signal(signal.SIGUSR2)
    found = s.wait_log(r"recycled (\d+)", start=seen)
    return int(found.group(1))


def recyclings(spawnd, place, count):
    """So many workers that each serve one request and exit lose nothing and
    leave nothing."""
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 4, "--",
               h.app("bare"), "max", 1)
    early = None
    with Load(f"{place}/sock", 1000000) as load:
        while load.running():
            n = recycled(s)
            if n >= count / 10 and early is None:
                early = memory(s.pid), len(h.fds(s.pid))
            if n >= count:
                break
            h.pass_time(0.05)       # between two looks
        late = memory(s.pid), len(h.fds(s.pid))
        load.popen.send_signal(signal.SIGINT)
    assert load.counts["failed"] == 0, (load.counts, s.log()[-3000:])
    # What the allocator has taken by the first tenth varies a little.
    assert late[0] <= early[0] + 32, (early, late)
    # One pipe more or less, of a worker that is just being replaced.
    assert late[1] <= early[1] + 4, (early, late)
    h.wait_for(lambda: not h.zombies(s.pid), 5)
    assert s.stop() == 0


def test_recyclings(spawnd, place):
    recyclings(spawnd, place, 3000)


def test_workers_that_end_all_the_time_keep_no_order_waiting(spawnd, place):
    """While one is reaped the next ends: there is no last one to wait for."""
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 16, "--name", "p",
               "--", h.app("maxreq"), "max=1")

    with Load(f"{place}/sock", 200) as load:
        h.wait_for(lambda: recycled(s) > 100, 10, s.log)
        with c.Raw(c.pool("p") + "/control", 30) as client:
            before = recycled(s)

            def answers_meanwhile():
                for _ in range(20):
                    assert client.ask("status")[-1] == "end"
                return recycled(s) - before > 20
            h.wait_for(answers_meanwhile, 10, s.log)
            # A new worker that has served and gone before anybody saw it can
            # count as failed, if the machine is slow enough: also an answer.
            answer = client.ask("reload")[-1]
            assert answer == "end" or answer.startswith("error 69 reload: ")
        assert load.running()
        assert s.stop() == 0
        load.end()


def killings(spawnd, place, count):
    """A random worker is killed every 20 ms, so many times."""
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 4, "--",
               h.app("bare"))
    kills = 0
    rng = random.Random(20)
    with Load(f"{place}/sock", 1000000, ms=1) as load:
        due = time.monotonic()
        while kills < count:
            workers = s.workers()
            if workers:
                h.kill(rng.choice(workers))
                kills += 1
            due += 0.02
            h.pass_time(max(0, due - time.monotonic()))
        assert load.running()
        load.end()
    assert load.counts["failed"] <= kills, (load.counts, kills)
    assert load.counts["late"] == load.counts["refused"] == 0, load.counts
    s.wait_workers(4)
    assert h.request(f"{place}/sock", "token").text.startswith("token")
    assert s.stop() == 0


def test_random_worker_killed_every_20_ms(spawnd, place):
    killings(spawnd, place, 250)


def respawns(spawnd, place, n):
    """Kills all n workers; the supervisor's cpu for each new one."""
    s = spawnd("-s", f"{place}/sock{n}", "-u", "www", "-F", n, "--",
               h.app("bare"), deadline=60)
    before = s.wait_workers(n)
    used = h.cpu(s.pid)
    for pid in before:
        h.kill(pid)
    s.wait_workers(n, other_than=before, deadline=30)
    # Until the last of them has been seen to be ready.
    h.wait_for(lambda: f"status: {n} of {n} workers ready" in status_of(s),
               20, s.log)
    used = h.cpu(s.pid) - used
    assert h.request(f"{place}/sock{n}", "token").text.startswith("token")
    assert s.stop() == 0
    assert "killed" not in s.log().partition("stop: SIGTERM")[2]
    return used / n


def status_of(s):
    seen = len(s.log())
    s.signal(signal.SIGUSR2)
    s.wait_log("workers ready", start=seen)
    return s.log()[seen:]


def test_thousand_workers_cost_no_more_each_than_ten(spawnd, place):
    few = min(respawns(spawnd, place, 10) for _ in range(3))
    many = respawns(spawnd, place, 1000)
    assert many < 3 * few, (few, many)


# A supervisor that dies at any moment

STEPS = 200


class Attached(h.Stepped):
    """A process that runs already, taken over."""

    def __init__(self, popen):
        self.popen, self.pid, self.steps = popen, popen.pid, 0
        self._go(16)                    # PTRACE_ATTACH
        self._await()

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        while self._await() is not None:
            pass


def die_at(spawnd, place, step):
    """One worker too many: it is looked at, stopped, looked at, told, and
    continued. At that entry or exit of a system call on that way the
    supervisor dies. Returns the states that its workers were in then."""
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--",
               h.app("bare"))
    workers = s.workers()
    tracer = Attached(s.popen)
    s.signal(signal.SIGTTOU)
    for _ in range(step + 1):
        assert tracer.step()
    states = {x.state for x in map(h.stat, workers) if x}
    tracer.kill()
    h.wait_for(lambda: not s.processes(), 3, lambda: str(
        (step, states, [h.stat(pid) for pid in s.processes()])))
    s.end()
    os.unlink(f"{place}/sock")
    return states


def test_supervisor_killed_at_any_step_of_a_retirement(spawnd, place):
    reached = set()
    for step in range(STEPS):
        reached |= die_at(spawnd, place, step)
    assert "T" in reached, "no step was one with a stopped worker"


# What a look and an end must not do

def test_busy_worker_is_not_disturbed_by_looks(spawnd, place):
    """All workers are to go, and none may before its request is answered."""
    # Beside other load the tracer makes each stop of a worker a long one.
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 5, "--stop-timeout",
               120, "--", h.app("hostile"))
    workers = s.workers()
    busy = [h.Connection(f"{place}/sock", deadline=120) for _ in workers]
    for one in busy:
        one.send("wait=4000")
    h.wait_for(lambda: all(map(h.serves, workers)), 5, s.log)
    trace = f"{place}/trace"
    tracer = subprocess.Popen([STRACE, "-q", "-o", trace, "-e",
                               "trace=openat", "-p", str(s.pid)])
    h.wait_for(lambda: h.status(s.pid)["TracerPid"] != "0", 5)
    s.signal(signal.SIGTERM)
    answers = [c.receive() for c in busy]
    assert s.wait(10) == 0
    tracer.wait(10)
    assert [a.fact("wait") for a in answers] == ["0"] * 5
    with open(trace) as f:
        looks = len(re.findall(r'"\d+/fd"', f.read()))
    assert looks >= 60, looks


def test_job_of_php_in_the_background_survives_recycling(spawnd, place):
    shutil.copy(h.source("php/token.php"), place)
    with open(f"{place}/job.php", "w") as f:
        f.write("<?php exec('sleep 60 >/dev/null 2>&1 & echo $!', $out);"
                " echo $out[0];")
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1,
               "-e", "PHP_FCGI_MAX_REQUESTS=1", "--stop-timeout", 1, "--",
               "/usr/bin/php-cgi", "-n")

    def get(script):
        return h.request(f"{place}/sock", params={
            "SCRIPT_FILENAME": f"{place}/{script}",
            "REDIRECT_STATUS": "200"})
    job = int(get("job.php").text)
    for _ in range(3):
        assert get("token.php").status == 200
    h.wait_for(lambda: h.stat(job).ppid == s.pid, 5)
    s.signal(signal.SIGHUP)
    s.wait_log("all workers are new")
    # Whoever retires is gone by the deadline.
    h.pass_time(1.5)
    assert h.alive(job), s.log()
    assert s.stop() == 0
    h.wait_for(lambda: not h.alive(job), 5)
