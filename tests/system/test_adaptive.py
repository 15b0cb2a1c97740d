# SPDX-License-Identifier: ISC
"""Pools that fit their load: bursts, the way back, workers on demand, and
what all this costs. tests/sim has the rules; here they meet real programs."""

import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import time

import pytest

import harness as h

PHP = ["/usr/bin/php-cgi", "-n"]
BAR = 0.1               # seconds from 2 to 32 workers
SLOWER = 4 if h.sanitized() else 1
REST = 5 if h.sanitized() else 30       # seconds
COLD = 20 if h.sanitized() else 100     # starts on demand
POOLS = 20              # at a time
IDLE = 1                # -w


def load(where, clients, seconds, ms, script=None):
    argv = [h.app("load"), where, str(clients), str(seconds), str(ms), "100"]
    if script:
        argv.append(h.source(script))
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


def result(popen):
    words = popen.communicate(timeout=60)[0].split()
    r = dict(zip(words[::2], map(int, words[1::2])))
    assert r["sent"] == r["answered"] + r["failed"] and r["sent"] > 0, r
    assert r["failed"] == 0, r
    return r


def climb(s, count, deadline):
    """Seconds until there are `count` workers; looking costs next to none."""
    begin = time.monotonic()

    def there():
        with open(f"/proc/{s.pid}/task/{s.pid}/children",
                  encoding="utf-8") as f:
            return len(f.read().split()) >= count

    h.wait_for(there, deadline,
               lambda: f"{count} workers: {s.workers()}\n{s.log()}",
               pause=0.002)
    return time.monotonic() - begin


def burst(s, where, lowest, highest, script=None, deadline=10, clients=64):
    """One burst, to the highest number of workers and back."""
    popen = load(where, clients, 1, 50, script)
    took = climb(s, highest, deadline)
    assert len(s.workers()) <= highest
    result(popen)
    s.wait_workers(lowest, deadline=(IDLE + 1) * SLOWER)
    return took


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_burst_from_2_to_32_workers(spawnd, place, kind):
    where = f"{place}/sock" if kind == "unix" else "127.0.0.1:9300"
    listen = ["-s", where] if kind == "unix" else ["-p", 9300]
    s = spawnd(*listen, "-u", "www", "-F", 2, "-N", 32, "-w", IDLE, "--",
               h.app("bare"))
    n = 10 if kind == "unix" and not h.sanitized() else 3
    times = [burst(s, where, 2, 32) for _ in range(n)]
    print(kind, "ms:", [round(t * 1000) for t in times])
    # Each look at a TCP queue walks the table of all connections.
    bar = BAR * SLOWER * (1 if kind == "unix" else 3)
    assert statistics.median(times) < bar, times
    assert s.stop() == 0


# What is started, the script it is asked for, -F, -N and more options.
PROGRAMS = {
    "php-cgi": (PHP, "php/load.php", 1, 12, []),
    "php-cgi, children": (PHP, "php/load.php", 1, 4, ["-C", 4]),
    "perl": ([h.source("load.pl")], None, 1, 16, []),
    "threads": ([h.app("lib"), "4"], None, 1, 8, []),
}


@pytest.mark.parametrize("kind,name", [
    *(("unix", name) for name in PROGRAMS), ("tcp", "php-cgi, children"),
    ("tcp", "threads")])
def test_a_burst_with(spawnd, place, kind, name):
    argv, script, low, high, more = PROGRAMS[name]
    where = f"{place}/sock" if kind == "unix" else "127.0.0.1:9301"
    listen = ["-s", where] if kind == "unix" else ["-p", 9301]
    s = spawnd(*listen, "-u", "www", "-F", low, "-N", high, "-w", IDLE,
               *more, "--", *argv)
    burst(s, where, low, high, script)
    assert s.stop() == 0


def test_a_burst_with_a_poller(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "-N", 8, "-w",
               IDLE, "--", h.app("poller"))
    with h.Load(f"{place}/sock", threads=24, query="sleep=50") as clients:
        climb(s, 8, 10)
    clients.join()
    assert not clients.failed, clients
    s.wait_workers(1, deadline=(IDLE + 1) * SLOWER)


def ask(where):
    """Seconds to an answer."""
    begin = time.monotonic()
    assert h.request(where, "x 0 0").body.startswith(b"x ")
    return time.monotonic() - begin


def none_left(s):
    h.wait_for(lambda: not s.workers(), (IDLE + 1) * SLOWER, s.log)


def test_cold_starts_in_a_row_lose_nothing(spawnd, place):
    pools = [spawnd("-s", f"{place}/{i}", "-u", "www", "-F", 0, "-N", 4, "-w",
                    IDLE, "--name", f"cold{i}", "--", h.app("bare"))
             for i in range(POOLS)]
    for _ in range(COLD // POOLS):
        for i, s in enumerate(pools):
            assert s.workers() == []
            ask(f"{place}/{i}")
            assert len(s.workers()) == 1
        for s in pools:
            none_left(s)
    for s in pools:
        assert "failed" not in s.log() and "warning" not in s.log(), s.log()


def script_of(where, token):
    return h.request(where, f"{token} 0 0", params={
        "SCRIPT_FILENAME": h.source("php/load.php")})


def start_and_ask(path):
    """Seconds from a fork to the answer of a php-cgi on its own."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(8)
        begin = time.monotonic()
        php = subprocess.Popen(PHP, stdin=listener, env={})
        try:
            script_of(path, "x")
            return time.monotonic() - begin
        finally:
            php.kill()
            php.wait()
            os.unlink(path)


def test_the_first_request_waits_for_one_start_and_no_longer(spawnd, place):
    where = f"{place}/sock"
    s = spawnd("-s", where, "-u", "www", "-F", 0, "-N", 4, "-w", IDLE, "--",
               *PHP)
    alone, cold = [], []
    for _ in range(5):
        none_left(s)
        begin = time.monotonic()
        script_of(where, "x")
        cold.append(time.monotonic() - begin)
        alone.append(start_and_ask(f"{place}/alone"))
    print("cold ms", [round(t * 1e3, 1) for t in cold], "a start ms",
          [round(t * 1e3, 1) for t in alone])
    assert min(cold) < min(alone) + 0.01 * SLOWER, (cold, alone)
    assert len(s.workers()) == 1


def switches(pid):
    return sum(int(n) for key, n in h.status(pid).items()
               if key.endswith("ctxt_switches"))


def rested(spawnd, place, name, *size):
    """A pool that has had a burst and is at rest again."""
    where = f"{place}/{name}"
    s = spawnd("-s", where, "-u", "www", *size, "-w", IDLE, "--name", name,
               "--", h.app("bare"))
    result(load(where, 4, 1, 20))
    h.wait_for(lambda: len(s.workers()) == int(size[1]), 10)
    return s


def test_a_pool_at_rest_is_not_woken(spawnd, place):
    pools = [rested(spawnd, place, f"{what}{i}", "-F", low, "-N", 8)
             for what, low in (("adaptive", 2), ("demand", 0))
             for i in range(2)]
    # The end of a saturation is noted up to ten seconds later.
    deadline = time.monotonic() + 15

    def quiet():
        before = [switches(s.pid) for s in pools]
        time.sleep(2)
        return before == [switches(s.pid) for s in pools] or \
            time.monotonic() > deadline

    h.wait_for(quiet, 20)
    traced = pools[1::2]
    straces = [subprocess.Popen(
        ["strace", "-f", "-p", str(s.pid), "-o", f"{place}/trace{s.pid}"],
        stderr=subprocess.DEVNULL) for s in traced]
    for s in traced:
        h.wait_for(lambda: h.status(s.pid)["TracerPid"] != "0", 10)
    before = [switches(s.pid) for s in pools[::2]]
    time.sleep(REST)        # it is the rest itself that is looked at
    after = [switches(s.pid) for s in pools[::2]]
    for p in straces:
        p.send_signal(signal.SIGINT)
        p.wait(10)
    assert before == after
    for s in traced:
        with open(f"{place}/trace{s.pid}", encoding="utf-8") as f:
            # What attaching to it makes it do is not meant.
            woken = [line for line in f if re.search(r"epoll_wait.*= [0-9]",
                                                     line)]
        assert not woken, woken


def test_a_saturated_pool_looks_seldom_and_says_so_once(spawnd, place):
    where = f"{place}/sock"
    s = spawnd("-s", where, "-u", "www", "-F", 2, "-N", 2, "--",
               h.app("bare"))
    popen = load(where, 8, 4, 50)
    s.wait_log("all 2 workers are busy")
    before, begin = switches(s.pid), time.monotonic()
    time.sleep(2)           # the load's, of which this is a part
    rate = (switches(s.pid) - before) / (time.monotonic() - begin)
    result(popen)
    s.wait_log(r"connections waited for [34]\.\d\d s while all 2 workers were "
               r"busy, at most [678] at once", deadline=15)
    assert s.log().count("all 2 workers are busy") == 1
    assert rate < 31, rate


def test_a_busy_pool_is_not_looked_at_more_than_30_times(spawnd, place):
    where = f"{place}/sock"
    s = spawnd("-s", where, "-u", "www", "-F", 4, "-N", 32, "--",
               h.app("bare"))
    popen = load(where, 2, 4, 1)
    time.sleep(0.5)
    before, begin = switches(s.pid), time.monotonic()
    time.sleep(3)
    rate = (switches(s.pid) - before) / (time.monotonic() - begin)
    result(popen)
    # Starts and the looks at them are not meant.
    if len(s.workers()) == 4:
        assert rate < 40, rate


def test_looking_is_cheap_among_10000_sockets(spawnd, place):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        pairs = [socket.socketpair() for _ in range(5000)]
        s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "-N", 4,
                   "-w", 2, "--", h.app("bare"))
        for clients in (16, 3):     # saturated, and with surplus
            popen = load(f"{place}/sock", clients, 5, 20)
            climb(s, 4, 10)
            time.sleep(0.5)
            before, begin = h.cpu(s.pid), time.monotonic()
            time.sleep(3)
            share = (h.cpu(s.pid) - before) / (time.monotonic() - begin)
            result(popen)
            print("clients", clients, "share of a core", share)
            assert share < 0.02 * SLOWER, share
        del pairs
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_bounds_of_a_running_pool(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "-N", 4, "-w",
               IDLE, "--", h.app("bare"))
    s.signal(signal.SIGTTIN)
    s.wait_log("3 to 4 workers wanted, was 2 to 4")
    s.wait_workers(3)
    s.signal(signal.SIGTTIN)
    s.wait_workers(4)
    s.signal(signal.SIGTTIN)
    s.wait_log("5 to 5 workers wanted")
    s.wait_workers(5)
    for n in (4, 3, 2, 1):
        s.signal(signal.SIGTTOU)
        s.wait_log(f"{n} to 5 workers wanted")
    s.wait_workers(1, deadline=(IDLE + 1) * SLOWER + 1)


def test_one_size_becomes_two_bounds(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--",
               h.app("bare"))

    def scale(what):
        with socket.socket(socket.AF_UNIX) as c:
            c.settimeout(20)
            c.connect("/run/spawnd/bare/control")
            c.sendall(f"scale {what}\n".encode())
            return c.recv(4096).decode()

    assert "error" not in scale("1-6")
    s.wait_log("1 to 6 workers wanted, was 2 to 2")
    popen = load(f"{place}/sock", 24, 1, 50)
    climb(s, 6, 5)
    result(popen)
    assert "error" not in scale("3")
    s.wait_workers(3)


@pytest.mark.parametrize("size,why", [
    (["-F", 0], "-F: 0: needs an upper bound"),
    (["-F", 4, "-N", 2], "-N: 2: is below -F"),
    (["-N", 2], "-N: 2: is below -F"),
    (["-w", 5], "-w: 5: needs an upper bound"),
])
def test_sizes_that_cannot_be(place, size, why):
    done = h.run_spawnd("-n", "-s", f"{place}/sock", "-u", "www", *size, "--",
                        h.app("bare"))
    assert done.status == os.EX_USAGE
    assert why in h.line_of(done)
    assert not os.path.exists(f"{place}/sock")
