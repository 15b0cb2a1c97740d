# SPDX-License-Identifier: ISC
"""A worker that was broken into does all that its user may, where nothing
confines it (test_confine.py has what that keeps it from). The pool recovers,
or spawnd ends with 71 for a service manager to start it anew: without a hang,
and without using the cpu."""

import os
import re
import signal
import subprocess
import time

import pytest

import harness as h
from ctl import ctl

UNTRUSTED = True

EX_OSERR = 71
WORKERS = 4
SOON = 10               # seconds, for a pool to be whole again
WINDOW = 0.5            # seconds, over which cpu is measured
SHARE = 0.25            # of a core, that a supervisor may use then


class Pool:
    """A pool of hostile workers and a second, ordinary user of it."""

    def __init__(self, spawnd, place, *options, args=(), **kw):
        self.addr = f"{place}/sock"
        self.s = spawnd("-s", self.addr, "-u", "www", "-F", WORKERS,
                        "--stop-timeout", 2, "--confine", "no", *options,
                        "--", h.app("hostile"), *args, **kw)
        self.first = self.s.workers()

    def attack(self, query):
        """Tells one worker; its pid, and what it said of it."""
        answer = h.request(self.addr, query)
        return int(answer.headers["x-pid"]), answer.facts

    def answers(self):
        try:
            return h.request(self.addr, deadline=1).status == 200
        except h.FcgiError:
            return False

    def whole(self, deadline=SOON):
        """Waits until all workers answer: as many at once as there are."""
        def ready():
            return self.s.running() and self.answers() and \
                h.all_answer(self.addr, WORKERS)
        h.wait_for(ready, deadline, lambda: f"{WORKERS} workers answer: "
                   f"{self.s.workers()}\n{self.s.log()[-3000:]}")

    def idles(self):
        """The supervisor does not spin."""
        share = h.share(self.s.pid, WINDOW)
        assert share < SHARE, f"{share}\n{self.s.log()[-3000:]}"

    def stops(self):
        """It ends, in time, and nothing is left of it."""
        assert self.s.stop(deadline=6) == 0
        h.wait_for(lambda: not self.s.processes() and not h.descendants(
            self.s.pid), 2, lambda: str(self.s.processes()))


@pytest.fixture
def pool(spawnd, place):
    return lambda *options, **kw: Pool(spawnd, place, *options, **kw)


@pytest.fixture
def hidden():
    """Ends what has left every session; gives the pids of its program."""
    def find():
        found = []
        for s in h.all_stats():
            try:
                if s.state not in "ZX" and \
                        h.link(s.pid, "exe") == h.app("hostile"):
                    found.append(s.pid)
            except OSError:
                pass
        return found
    yield find
    for pid in find():
        h.kill(pid)


@pytest.mark.parametrize("signo", [signal.SIGKILL, signal.SIGTERM])
def test_siblings_that_are_killed_are_replaced(pool, signo):
    p = pool()
    pid, _ = p.attack(f"siblings={int(signo)}")
    p.s.wait_workers(WORKERS, other_than=set(p.first) - {pid}, deadline=SOON)
    p.whole()
    p.idles()
    p.stops()


STAYS = r"worker (\d+): was stopped by another process \(left so for"
CONTINUED = r"worker (\d+): was stopped by another process \(continuing it\)"


def is_stopped(pid):
    return h.stat(pid).state in "Tt"


def test_siblings_that_are_stopped_go_on_but_for_one(pool):
    """Who has stopped them cannot be seen: it may be an administrator."""
    p = pool()
    attacker, _ = p.attack(f"siblings={int(signal.SIGSTOP)}")
    pid = int(p.s.wait_log(STAYS).group(1))
    h.wait_for(lambda: len(re.findall(CONTINUED, p.s.log())) == WORKERS - 2,
               5, p.s.log)
    assert [w for w in p.first if is_stopped(w)] == [pid] != [attacker]
    for _ in range(20):
        assert p.answers()
    p.idles()
    assert is_stopped(pid)
    os.kill(pid, signal.SIGCONT)
    p.s.wait_log(f"worker {pid}: was continued by another process")
    p.whole()
    p.stops()


def test_worker_that_stops_itself_ends_with_the_pool(pool):
    p = pool()
    with h.Connection(p.addr) as c:
        c.send("stop")
        pid = int(p.s.wait_log(STAYS).group(1))
        assert is_stopped(pid) and p.answers()
        p.s.signal(signal.SIGTERM)
        assert c.receive().status == 200
    assert p.s.wait(6) == 0


@pytest.mark.parametrize("signo", [signal.SIGTSTP, signal.SIGTTOU])
def test_what_a_terminal_stops_goes_on(pool, signo):
    p = pool()
    os.kill(p.first[0], signo)
    assert int(p.s.wait_log(CONTINUED).group(1)) == p.first[0]
    p.stops()


def test_stopped_worker_is_left_so_for_a_time(pool):
    p = pool()
    os.kill(p.first[0], signal.SIGSTOP)
    p.s.wait_log(STAYS)
    # Others meanwhile are not.
    os.kill(p.first[1], signal.SIGSTOP)
    assert int(p.s.wait_log(CONTINUED).group(1)) == p.first[1]
    assert is_stopped(p.first[0])
    p.s.wait_log(rf"worker {p.first[0]}: was .*continuing it", deadline=90)
    # Nor is it again, so soon after.
    os.kill(p.first[0], signal.SIGSTOP)
    h.wait_for(lambda: len(re.findall(CONTINUED, p.s.log())) == 3, 5, p.s.log)
    p.whole()
    p.stops()


def test_stopped_worker_does_not_hold_up_a_reload(pool):
    p = pool()
    os.kill(p.first[0], signal.SIGSTOP)
    p.s.wait_log(STAYS)
    p.s.signal(signal.SIGHUP)
    p.s.wait_log("all workers are new", deadline=20)
    assert not set(p.s.workers()) & set(p.first)
    assert "killed" not in p.s.log()
    p.stops()


def test_last_worker_that_is_stopped_goes_on(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--",
               h.app("hostile"))
    os.kill(s.workers()[0], signal.SIGSTOP)
    s.wait_log(CONTINUED)
    assert h.request(f"{place}/sock", deadline=5).status == 200


def test_worker_that_root_traces_is_left_alone(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--",
               h.app("hostile"))
    pid = s.workers()[0]
    with h.straced(pid):
        os.kill(pid, signal.SIGSTOP)
        s.wait_log(f"worker {pid}: was stopped and is traced by a process "
                   r"of another user \(left alone until that ends\)")
        h.pass_time(2)
        assert is_stopped(pid) and not re.search(CONTINUED, s.log())
    s.wait_log(CONTINUED)
    assert h.request(f"{place}/sock", deadline=5).status == 200


def test_worker_that_the_pools_user_traces_goes_on(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--",
               h.app("hostile"))
    pid = s.workers()[0]
    with h.straced(pid, preexec_fn=h.become_user("www")):
        os.kill(pid, signal.SIGSTOP)
        s.wait_log(CONTINUED)
    assert h.request(f"{place}/sock", deadline=5).status == 200


def test_core_of_a_running_worker(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--",
               h.app("hostile"))
    pid = s.workers()[0]
    done = subprocess.run(["gcore", "-o", f"{place}/core", str(pid)],
                          stdin=subprocess.DEVNULL, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert os.path.getsize(f"{place}/core.{pid}") > 0, done.stdout
    assert h.request(f"{place}/sock", deadline=5).status == 200
    assert "stopped" not in s.log() and s.workers() == [pid]


def test_supervisor_that_is_killed_takes_all_along(pool, hidden):
    p = pool()
    p.attack(f"parent={int(signal.SIGKILL)}")
    assert p.s.wait() == -signal.SIGKILL
    h.wait_for(lambda: not hidden(), what=lambda: str(hidden()))


def test_supervisor_that_was_stopped_goes_on_when_it_may(pool):
    """Stopped it can do nothing. The workers serve on meanwhile."""
    p = pool()
    p.attack(f"parent={int(signal.SIGSTOP)}")
    h.wait_for(lambda: h.stat(p.s.pid).state == "T", 2)
    assert p.answers()
    for pid in p.s.workers()[:2]:
        h.kill(pid)
        h.wait_for(lambda: not h.alive(pid), 2)
    assert p.answers()
    p.s.signal(signal.SIGCONT)
    p.whole()
    p.stops()


@pytest.mark.parametrize("signo", [signal.SIGHUP, signal.SIGUSR1,
                                   signal.SIGCHLD, signal.SIGTTIN])
def test_signals_to_the_supervisor_do_not_end_it(pool, signo):
    p = pool()
    p.attack("&".join([f"parent={int(signo)}"] * 20))
    assert p.answers()
    p.idles()
    h.wait_for(lambda: len(p.s.workers()) >= WORKERS and p.answers(), SOON)
    p.stops()


@pytest.mark.parametrize("how", ["hide=3", "deaf&hide=3"])
def test_hidden_processes_are_ended_at_the_stop(pool, hidden, how):
    p = pool()
    p.attack(how)
    h.wait_for(lambda: len(hidden()) == WORKERS + 3, 2, lambda: str(hidden()))
    p.whole()
    p.stops()
    assert hidden() == []


@pytest.mark.parametrize("n", [8, 48])
def test_processes_that_fork_faster_than_they_end_do_not_hold_up_a_stop(
        pool, hidden, n):
    p = pool("--rlimit", "nproc=2000", "--stop-timeout", 1)
    p.attack(f"hop={n}")
    assert p.answers()
    p.s.signal(signal.SIGTERM)
    # Its time-out, five seconds, and two for a last try.
    assert p.s.wait(10) == 0
    found = re.search(r"stop: \d+ process(es)? could not be ended",
                      p.s.log())
    assert found or hidden() == []
    # They end by themselves, and are not to slow down what comes next.
    h.wait_for(lambda: hidden() == [], 20, "they have ended")


def test_stop_tells_of_what_it_could_not_end(pool):
    """As a process is that hangs in the kernel; here nothing is sent."""
    p = pool("--name", "left", "--stop-timeout", 1)
    p.attack("deaf&sulk")
    with h.straced(p.s.pid, "-e", "inject=kill:retval=0"):
        r = ctl("-p", "left", "stop")
        assert p.s.wait(10) == 0
    assert r.status == 69 and "processes are left that could not be ended" \
        in r.stderr
    p.s.wait_log(r"warning: stop: \d+ process(es)? could not be ended in "
                 r"time \((they are|it is) left behind\)")


def test_hidden_processes_that_accept_go_with_their_worker(pool, hidden):
    p = pool()
    pid, _ = p.attack("serve=3")
    h.wait_for(lambda: len(hidden()) == WORKERS + 3, 2, lambda: str(hidden()))
    h.kill(pid)
    h.wait_for(lambda: len(hidden()) == WORKERS, 5, lambda: str(hidden()))
    p.whole()
    p.idles()
    p.stops()


def test_listener_that_is_shut_down_ends_it_at_once(pool, hidden):
    p = pool()
    p.attack("shut")
    assert p.s.wait(4) == EX_OSERR
    assert "has been shut down" in p.s.log()
    assert hidden() == []


def test_listener_that_is_shut_down_by_a_deaf_worker_ends_it(pool, hidden):
    p = pool()
    p.attack("deaf&shut")
    assert p.s.wait(4) == EX_OSERR
    assert hidden() == []


def test_nonblocking_listener_is_undone(pool):
    p = pool()
    p.attack("nonblock")
    # Whoever asks next meets EAGAIN and ends, and so do the others.
    p.whole()
    p.idles()
    p.stops()


def test_flood_of_output_keeps_nobody_from_serving(pool):
    p = pool()
    p.attack("flood=1500")
    before, began = h.cpu(p.s.pid), time.monotonic()
    for _ in range(20):
        assert h.request(p.addr, deadline=2).status == 200
    p.whole()
    assert os.path.getsize(p.s.log_path) < 64 << 20
    assert h.cpu(p.s.pid) - before < time.monotonic() - began
    p.stops()


def test_deaf_worker_is_replaced_by_a_reload(pool):
    p = pool()
    p.attack("deaf")
    p.s.signal(signal.SIGHUP)
    p.s.wait_log("all workers are new")
    assert not set(p.s.workers()) & set(p.first)
    p.whole()
    p.stops()


@pytest.mark.parametrize("how", ["away", "join"])
def test_worker_that_leaves_its_group_is_replaced_by_a_reload(pool, hidden,
                                                              how):
    p = pool()
    pid, facts = p.attack(how)
    assert facts[how] == ["0"]
    p.s.signal(signal.SIGHUP)
    h.wait_for(lambda: pid not in p.s.workers(), 6, p.s.log)
    p.s.wait_log("all workers are new")
    p.whole()
    p.stops()
    assert hidden() == []


# With the last two the child dies in its exec.
@pytest.mark.parametrize("what", ["nofile", "nproc"] + (
    [] if h.sanitized() else ["as", "stack"]))
def test_supervisor_that_can_start_no_worker_any_more_ends(pool, what,
                                                           hidden):
    """Its limits were taken from it, which only a new start can mend."""
    p = pool()
    _, facts = p.attack(f"limit={what}")
    assert facts["limit"] == ["0"]
    assert p.answers()
    h.kill(p.s.workers()[0])
    assert p.s.wait(2) == EX_OSERR
    assert "limit" in p.s.log()
    assert hidden() == []


# A soft limit it raises again by itself.
@pytest.mark.parametrize("what", ["fsize", "soft"])
def test_other_limits_do_not_keep_it_from_replacing(pool, what):
    p = pool()
    _, facts = p.attack(f"limit={what}")
    assert facts["limit"] == ["0"]
    h.kill(p.s.workers()[0])
    p.whole()
    p.stops()


def test_supervisor_with_the_least_of_the_cpu_still_acts(pool):
    p = pool()
    p.attack("slow")
    h.kill(p.s.workers()[0])
    p.whole()
    p.stops()


def test_more_orphans_than_can_be_ended_at_a_time_are_told(pool, hidden):
    p = pool()
    pid, _ = p.attack("tree=100")
    h.kill(pid)
    p.s.wait_workers(WORKERS + 100, other_than=[pid])
    p.s.signal(signal.SIGTERM)
    p.s.wait_log(r"warning: orphans: dead workers left \d+ more processes "
                 r"than the 64 that can be stopped at once \(the rest wait\)")
    p.s.wait_log("info: orphans: no more of them are waiting")
    assert p.s.wait(6) == 0
    assert hidden() == []


def cost_of_one_look(pid):
    """The seconds of cpu that it takes us to read of all its processes, tasks
    and descriptors once."""
    began = time.thread_time()
    for each in [pid, *h.descendants(pid)]:
        h.fds(each)
        for task in os.listdir(f"/proc/{each}/task"):
            for what in ("status", "syscall"):
                h.read(f"/proc/{each}/task/{task}/{what}")
    return time.thread_time() - began


@pytest.mark.parametrize("how", ["fds=5000", "threads=1500", "tree=300"])
def test_worker_of_any_size_costs_little(pool, how):
    """It may be more than is looked at, but is not taken for idle, nor is it
    looked at again and again; at the deadline it goes, if not before. All that
    is no more than some looks, to follow so many tasks included: a third to
    half of this. To look without a pause takes a core until it goes."""
    limit = 6
    p = pool("--rlimit", "nofile=8192", "--stop-timeout", limit)
    pid, _ = p.attack(how)
    one, before = cost_of_one_look(pid), h.cpu(p.s.pid)
    p.s.signal(signal.SIGHUP)
    h.wait_for(lambda: pid not in p.s.workers(), limit + 7, p.s.log)
    p.s.wait_log("all workers are new")
    assert h.cpu(p.s.pid) - before < 40 * one
    p.whole()
    p.stops()


def test_workers_without_their_first_thread_are_seen_to_be_busy(pool):
    p = pool(args=["leaderless"])
    with h.Connection(p.addr) as c:
        c.send("sleep=700")
        p.s.signal(signal.SIGHUP)
        assert c.receive().status == 200
    p.s.wait_log("all workers are new")
    p.stops()
