# SPDX-License-Identifier: ISC
"""Workers that are replaced while the pool serves: reloads to a program that
fails, --max-age, --max-rss, --request-timeout, TTIN and TTOU."""

import os
import re
import signal
import time

import pytest

import ctl
import harness as h
from test_retire import LONGEST, Load, busy, enough, start

UNTRUSTED = True

STARTS = 8 if h.brief() else 20


def count(s, text):
    return len(re.findall(text, s.log()))


def starts(s, deadline=5):
    """The pool's own count of the processes it has started."""
    done = count(s, "started ")
    s.signal(signal.SIGUSR2)
    h.wait_for(lambda: count(s, "started ") > done, deadline, s.log)
    return int(re.findall(r"started (\d+)", s.log())[-1])


def test_reload_to_a_program_that_fails_changes_nothing(spawnd, place):
    program = h.install(h.app("bare"), f"{place}/app")
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 4, "--", program)
    before = s.workers()
    load = Load(f"{place}/sock")
    h.wait_for(lambda: busy(s), 5, s.log)
    h.install(h.app("fail"), program)
    s.signal(signal.SIGHUP)
    s.wait_log("reload: failed: new worker: exited with status .* "
               r"\(the old workers stay\)")
    assert s.workers() == before
    h.install(h.app("bare"), program)
    s.signal(signal.SIGHUP)
    s.wait_log("all workers are new")
    result = load.result()
    enough(result, 1000)
    assert result["failed"] == 0, (result, s.log())
    assert not set(before) & set(s.workers())


# A reload waits so long for the first request of the new program.
CANARY = 2


def reload(s, n):
    """The n-th reload; how long it took."""
    began = time.monotonic()
    s.signal(signal.SIGHUP)
    h.wait_for(lambda: count(s, "all workers are new") == n, 10, s.log)
    return time.monotonic() - began


def test_reload_waits_for_a_request(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--",
               h.app("echo"))
    with h.Load(f"{place}/sock", threads=2, rate=50, query="sleep=10") as load:
        h.wait_for(lambda: load.answered > 20, 5, s.log)
        # Less than what a reload without requests is waited for.
        assert min(reload(s, n) for n in range(1, 6)) < CANARY
    assert not load.failed, load
    # Nobody can know that there will be no more.
    before = set(s.workers())
    assert reload(s, 6) >= CANARY
    assert not before & set(s.workers())


def test_reload_of_a_pool_without_traffic_waits_for_no_request(
        spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 4, "--",
               h.app("echo"))
    before = set(s.workers())
    assert min(reload(s, n) for n in range(1, 4)) < CANARY
    assert not before & set(s.workers())
    before = set(s.workers())
    with h.Connection(f"{place}/sock") as c:
        c.send(f"sleep={2000 * CANARY}")
        h.wait_for(lambda: any(map(h.serves, s.workers())), 5, s.log)
        s.signal(signal.SIGHUP)
        h.pass_time(CANARY / 2)     # another request may come
        assert before <= set(s.workers())
    h.wait_for(lambda: count(s, "all workers are new") == 4, 10, s.log)


def test_reload_waits_for_no_client_that_asks_another_worker(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 3, "--keep-idle", 1,
               "--", h.app("lib"))
    times = []
    for n in range(1, 4):
        with h.Connection(f"{place}/sock") as c:
            c.request("t", keep=True)
            times.append(reload(s, n))
    # It is quiet for a second, and nobody waits for it twice.
    assert min(times) < CANARY


def test_reload_finds_what_crashes_with_few_requests(spawnd, place):
    """The new worker is the last in turn, and gets the third request."""
    program = h.install(h.app("echo"), f"{place}/app")
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--", program)
    before = s.workers()
    with h.Load(f"{place}/sock", threads=1, rate=4) as load:
        h.wait_for(lambda: load.answered >= 12, 20, s.log)
        with open(program + ".new", "w") as f:
            f.write("#!/usr/bin/perl\nuse Socket; accept(my $c, STDIN);\n"
                    "kill 'SEGV', $$; sleep 1;\n")
        os.chmod(program + ".new", 0o755)
        os.rename(program + ".new", program)
        s.signal(signal.SIGHUP)
        s.wait_log("reload: failed: new worker: was killed by SIGSEGV")
    assert sum(load.failed.values()) <= 1, load
    assert s.workers() == before


def slow_start(place, program):
    """Starts take a while: several can be seen at once."""
    path = f"{place}/slow"
    with open(path, "w") as f:
        f.write(f"#!/bin/sh\nsleep 0.2\nexec {program}\n")
    os.chmod(path, 0o755)
    return path


def test_reload_replaces_a_share_at_once(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 6,
               "--reload-surge", 3, "--", slow_start(place, h.app("bare")))
    before = set(s.workers())
    load = Load(f"{place}/sock", seconds=LONGEST)
    h.wait_for(lambda: busy(s), 5, s.log)
    most = 0
    s.signal(signal.SIGHUP)
    while count(s, "all workers are new") == 0:
        n = len(s.workers())
        assert n <= 6 + 3, s.workers()
        most = max(most, n)
        assert load.running(), s.log()
    assert most == 6 + 3
    assert not before & set(s.workers())
    load.end()
    result = load.result()
    enough(result, 100)
    assert result["failed"] == 0, (result, s.log())


def test_reload_that_fails_midway_keeps_the_size(spawnd, place):
    """Four new ones start, then no more: those that start with the one that
    fails are ended, too."""
    marks = h.own_directory(f"{place}/marks", "www")
    program = h.install(h.app("bare"), f"{place}/app")
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 8,
               "--reload-surge", 3, "--", program)
    before = set(s.workers())
    load = Load(f"{place}/sock", seconds=LONGEST)
    h.wait_for(lambda: busy(s), 5, s.log)
    with open(program + ".new", "w") as f:
        f.write("#!/bin/sh\nfor i in 1 2 3 4; do\n"
                f"\tmkdir {marks}/$i 2>/dev/null && exec {h.app('bare')}\n"
                "done\nexit 3\n")
    os.chmod(program + ".new", 0o755)
    os.rename(program + ".new", program)
    s.signal(signal.SIGHUP)
    s.wait_log("reload: failed: new worker: exited with status 3")
    h.wait_for(lambda: len(s.workers()) == 8, 5, s.log)
    assert before & set(s.workers())
    assert load.running()
    load.end()
    result = load.result()
    enough(result, 100)
    assert result["failed"] == 0, (result, s.log())


def test_reload_ends_when_the_first_request_crashes_the_new_one(
        spawnd, place):
    """The crash takes its own request along, and no other."""
    program = h.install(h.app("bare"), f"{place}/app")
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--", program)
    before = s.workers()
    with open(program + ".new", "w") as f:
        f.write("#!/usr/bin/perl\nuse Socket; accept(my $c, STDIN);\n"
                "kill 'SEGV', $$; sleep 1;\n")
    os.chmod(program + ".new", 0o755)
    os.rename(program + ".new", program)
    s.signal(signal.SIGHUP)
    h.wait_for(lambda: len(s.workers()) == 3, 5, s.log)
    load = Load(f"{place}/sock", seconds=1)
    s.wait_log("reload: failed: new worker: was killed by SIGSEGV")
    result = load.result()
    assert result["failed"] <= 1, (result, s.log())
    assert s.workers() == before


@pytest.mark.parametrize("options", [
    ["--max-age", 1], ["--max-rss", "3M"]], ids=["age", "rss"])
def test_renewals_under_load_lose_nothing(spawnd, place, options):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 4, *options, "--",
               h.app("bare"), "1" if options[0] == "--max-rss" else "0")
    before = set(s.workers())
    load = Load(f"{place}/sock", seconds=LONGEST)
    seen = 0
    # One that grows fast is kept for longer each time.
    while starts(s) < STARTS or seen < 5 or before & set(s.workers()):
        for _ in range(10):
            assert len(s.workers()) <= 5, s.workers()
            seen = max(seen, len(s.workers()))
            h.pass_time(0.02)       # between two looks
        assert load.running(), s.log()
    load.end()
    result = load.result()
    enough(result)
    assert result["failed"] == 0, (result, s.log())
    if options[0] == "--max-rss":
        assert count(s, r"has grown to \d+ MB \(--max-rss\)") >= 4


def test_idle_pool_is_renewed_by_age_one_after_another(spawnd, place):
    s, _ = start(spawnd, place, "no handler", "-F", 3, "--max-age", 1)
    before = set(s.workers())
    least = 3

    def all_new():
        nonlocal least
        # One that was started while /proc is listed may be missed there.
        least = min(least, max(len(s.workers()) for _ in range(4)))
        return not before & set(s.workers())
    h.wait_for(all_new, 6, s.log)
    assert least >= 3


def test_more_and_fewer_workers_under_load(spawnd, place):
    s, _ = start(spawnd, place, "no handler", "-F", 2)
    load = Load(f"{place}/sock", seconds=LONGEST)
    h.wait_for(lambda: busy(s), 5, s.log)
    for _ in range(2 if h.brief() else 10):
        for n in (3, 4, 5):
            s.signal(signal.SIGTTIN)
            h.wait_for(lambda: len(s.workers()) == n, 5, s.log)
        newest = s.workers()[-1]
        for n in (4, 3, 2, 1):
            s.signal(signal.SIGTTOU)
            h.wait_for(lambda: len(s.workers()) == n, 5, s.log)
        assert not h.alive(newest)
        s.signal(signal.SIGTTOU)    # the last one stays
        starts(s)
        # Of two signals that are there the lower number would come first.
        assert ctl.ctl("-p", "bare", "ping").status == 0
        s.signal(signal.SIGTTIN)
        h.wait_for(lambda: len(s.workers()) == 2, 5, s.log)
    assert load.running()
    load.end()
    result = load.result()
    enough(result)
    assert result["failed"] == 0, (result, s.log())
    assert "5 workers wanted, was 4" in s.log()


def test_old_request_is_ended_and_the_others_go_on(spawnd, place):
    s, _ = start(spawnd, place, "no handler", "-F", 2,
                 "--request-timeout", 1)
    slow = h.Connection(f"{place}/sock")
    slow.send("a 60000")
    began = time.monotonic()
    with h.Connection(f"{place}/sock") as c:
        assert c.request("b 500").text.startswith("b ")
    with pytest.raises(h.FcgiError):
        slow.receive()
    assert time.monotonic() - began > 0.9
    assert re.search(r"worker \d+: killed: has served one request for "
                     r"\d+\.\d+ s, more than 1 s \(--request-timeout\)",
                     s.log()), s.log()
    s.wait_workers(2)
    assert s.stop() == 0


def test_old_request_of_a_tree_ends_its_process_alone(spawnd, place):
    script = h.source("php/load.php")
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-C", 2,
               "--request-timeout", 1, "--", "/usr/bin/php-cgi", "-n")
    leader = s.workers()[0]
    params = {"SCRIPT_FILENAME": script, "REDIRECT_STATUS": "200"}
    slow = h.Connection(f"{place}/sock")
    began = time.monotonic()
    slow.send("a 60000", params=params)
    with pytest.raises(h.FcgiError):
        slow.receive()
    assert time.monotonic() - began > 0.9
    assert s.workers() == [leader]
    assert re.search(rf"worker {leader}: killed: its process \d+ has "
                     "served one request", s.log()), s.log()
    h.wait_for(lambda: len(h.children(leader)) == 2, 5, s.log)
    with h.Connection(f"{place}/sock") as c:
        assert c.request("b 0", params=params).text.startswith("b ")


@pytest.mark.parametrize("args", [[], ["-c", "2"]], ids=["", "children"])
def test_what_an_old_request_has_started_is_ended_with_it(spawnd, place,
                                                           args):
    """fcgiwrap's script and its commands hold the connection, too."""
    script = f"{place}/script"
    with open(script, "w") as f:
        f.write("#!/bin/sh\nsleep 600\necho never\n")
    os.chmod(script, 0o755)
    s = spawnd("--name", "old", "-s", f"{place}/sock", "-u", "www", "-F", 1,
               *([] if args else ["-N", 3, "--idle-timeout", 1]),
               "--request-timeout", 1, "--", "/usr/sbin/fcgiwrap", *args)
    slow = [h.Connection(f"{place}/sock") for _ in range(2)]
    for c in slow:
        c.send("a", params={"SCRIPT_FILENAME": script})
    h.wait_for(lambda: len(commands(s)) == 4, 5, s.log)
    h.wait_for(lambda: not commands(s), 10, lambda: str(commands(s)))
    h.wait_for(lambda: ctl.figures("old")["connections"]["now"] == "0", 10,
               lambda: str(ctl.figures("old")))
    figures = ctl.figures("old")
    assert figures["count"]["timed_out"] == "2"
    assert figures["connections"]["left"] == "0"
    if not args:
        h.wait_for(lambda: len(s.workers()) == 1, 10, s.log)
    for c in slow:
        c.close()
    assert s.stop() == 0


def commands(s):
    """What its workers' scripts have started, and they."""
    return [pid for pid in h.descendants(s.pid)
            if (st := h.stat(pid)) and st.comm in ("script", "sleep")]


# It leaves somebody with its connection who is not of its tree any more.
LEAVES = """#!/usr/bin/perl
use POSIX; use Socket;
while (accept(my $c, STDIN)) {
	next if fork() == 0 && do {
		POSIX::setsid();
		exit if fork();
		close STDIN;
		$0 = 'left';
		sleep 600;
		exit;
	};
	sleep 600;
}
"""


def test_what_an_old_request_leaves_behind_is_killed_and_shown(
        spawnd, place):
    program = f"{place}/leaves"
    with open(program, "w") as f:
        f.write(LEAVES)
    os.chmod(program, 0o755)
    s = spawnd("--name", "old", "-s", f"{place}/sock", "-u", "www", "-F", 1,
               "--request-timeout", 1, "--", program)
    worker = s.workers()[0]
    with h.Connection(f"{place}/sock") as c:
        c.send("a")
        seen = h.wait_for(lambda: (f := ctl.figures("old")) and
                          f["connections"]["left"] == "1" and
                          "busy" in f["sum"] and f, 10, s.log)
        # (Who is busy is not known while the next one has no program yet.)
        assert seen["connections"]["now"] == "0", seen
        assert seen["sum"]["busy"] == "0", seen
        with pytest.raises(h.FcgiError):
            c.receive()
    s.wait_log(r"process \d+ \(left\): killed: it was left behind by a "
               "request that has taken longer than --request-timeout")
    h.wait_for(lambda: ctl.figures("old")["connections"]["left"] == "0", 5,
               s.log)
    assert s.wait_workers(1, other_than=[worker])
    assert [h.stat(pid).comm for pid in h.descendants(s.pid)] == ["leaves"]
    assert s.log().count("left behind by a request") == 1
    assert s.stop() == 0


def test_a_request_is_no_older_than_the_last_look(spawnd, place):
    """A supervisor that had no cpu for a while does not know when it began."""
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1,
               "--request-timeout", 1, "--", h.app("lib"))
    (worker,) = s.workers()
    with h.Connection(f"{place}/sock") as c:
        assert c.request("a", keep=True).text.startswith("a ")
        h.pass_time(0.2)    # it is looked at while nothing is asked of it
        s.signal(signal.SIGSTOP)
        h.wait_for(lambda: h.stat(s.pid).state == "T", 5, "stopped")
        h.pass_time(1.5)
        waits = h.read(f"/proc/{worker}/syscall")
        c.send("b 500", keep=True)
        h.wait_for(lambda: h.read(f"/proc/{worker}/syscall") != waits, 5,
                   "it is served")
        s.signal(signal.SIGCONT)
        assert c.receive().text.startswith("b "), s.log()
    assert s.workers() == [worker]


def test_kept_open_connection_is_no_old_request(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1,
               "--request-timeout", 1, "--", h.app("lib"))
    worker = s.workers()
    with h.Connection(f"{place}/sock") as c:
        assert c.request("a", keep=True).text.startswith("a ")
        h.pass_time(2.5)
        assert c.request("b", keep=True).text.startswith("b ")
    assert s.workers() == worker
    assert "request-timeout" not in s.log()


def test_state_is_logged_on_demand(spawnd, place):
    s, _ = start(spawnd, place, "no handler", "-F", 2)
    assert starts(s) == 2
    assert "status: 2 of 2 workers ready, 0 starting, queue 0; started 2, " \
        "recycled 0, crashed 0, failed 0, retired 0, killed 0, lost 0" \
        in s.log()
    for pid in s.workers():
        assert re.search(rf"status: worker {pid}: ready, for \d", s.log())
