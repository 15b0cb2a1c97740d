# SPDX-License-Identifier: ISC
"""Workers are not ended while they serve: reloads under load, with programs
that do and do not handle their stop signal, and the control that such a load
loses requests when the signal is sent blindly."""

import contextlib
import os
import re
import select
import signal
import subprocess
import time

import pytest

import fastcgi
import harness as h
import web

UNTRUSTED = True

CLIENTS = 8
SECONDS = 6
REQUESTS = 2 * CLIENTS  # at the least, in a reload: less is no load
RELOADS = 5            # test_soak.py has as many as wanted
if h.brief():           # their work is the same after a few
    SECONDS, RELOADS = 2, 3
LONGEST = 180           # seconds that the reloads may take

PHP = ["/usr/bin/php-cgi", "-n"]

# A process of the worker's that has inherited the listen socket.
HELPER = f"exec 3<&0; sleep 300 <&3 3<&- & exec 3<&-; exec {h.app('bare')}"

# What is started, the script it is asked for, the options of spawnd.
PROGRAMS = {
    "no handler": ([h.app("bare")], None, ["-F", 4]),
    "libfcgi": ([h.app("lib")], None, ["-F", 4]),
    "libfcgi, threads": ([h.app("lib"), "4"], None, ["-F", 4]),
    "php-cgi": (PHP, "php/load.php", ["-F", 4]),
    "php-cgi, children": (PHP, "php/load.php", ["-F", 2, "-C", 2]),
    "perl": ([h.source("load.pl")], None, ["-F", 4]),
    "with a helper": (["/bin/sh", "-c", HELPER], None, ["-F", 4]),
    "fcgiwrap, children": (["/usr/sbin/fcgiwrap", "-c", "3"], h.app("cgi"),
                           ["-F", 2]),
    "go": ([os.path.join(h.APPS, "load-go")], None, ["-F", 4]),
    "node": (["/usr/bin/node", h.source("load.js")], None,
             ["-F", 4, "-e", "NODE_PATH=/usr/share/nodejs", "-e",
              "NODE_NO_WARNINGS=1"]),
}

# ms in the worker: if all its threads compute all the time they are hardly ever
# idle at once, and a reload of four takes five seconds. Where no client waits
# for a worker, the clients' own time is to be little beside it.
SLEEPS = {"libfcgi, threads": 1, "go": 5, "node": 5}


class Load:
    """The load generator, in the background."""

    def __init__(self, where, script=None, ms=1, seconds=SECONDS, half=False):
        argv = [h.app("load"), where, str(CLIENTS), str(seconds), str(ms),
                "0", h.source(script) if script else "",
                *(["half"] if half else [])]
        self.popen = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)

    def running(self):
        return self.popen.poll() is None

    def end(self):
        self.popen.send_signal(signal.SIGINT)

    def result(self):
        out = self.popen.communicate(timeout=LONGEST + 20)[0]
        words = out.split()
        return dict(zip(words[::2], map(int, words[1::2])))


def start(spawnd, place, name, *more):
    argv, script, options = PROGRAMS[name]
    return spawnd("-s", f"{place}/sock", "-u", "www", *options, *more, "--",
                  *argv), script


def enough(result, requests=REQUESTS):
    assert result["sent"] == result["answered"] + result["failed"], result
    assert result["sent"] >= requests, result
    assert result["busy"] >= 50, result


def reload(s, load):
    """A reload, to its end or that of the load."""
    done = len(re.findall("all workers are new", s.log()))
    s.signal(signal.SIGHUP)
    h.wait_for(lambda: len(re.findall("all workers are new", s.log())) > done
               or not load.running(), LONGEST, s.log)


def reloads(s, load):
    """One after another; test_soak.py has more of them."""
    done = 0
    while load.running() and done < RELOADS:
        reload(s, load)
        done += 1
    load.end()
    result = load.result()
    print(f"{done} reloads: {result}")
    assert done >= RELOADS, (result, s.log())
    enough(result, done * REQUESTS)
    return result


@pytest.mark.parametrize("name", PROGRAMS)
def test_reloads_under_load_lose_nothing(spawnd, place, name):
    s, script = start(spawnd, place, name)
    before = set(s.workers())
    load = Load(f"{place}/sock", script, ms=SLEEPS.get(name, 0),
                seconds=LONGEST)
    result = reloads(s, load)
    assert result["failed"] == 0, (result, s.log())
    # The one that the end of the load has cut short comes to its end, too.
    h.wait_for(lambda: len(re.findall("reload: begun", s.log())) ==
               len(re.findall("all workers are new", s.log())), 10, s.log)
    assert not before & set(s.workers())
    assert s.stop() == 0


@pytest.mark.parametrize("half", [False, True], ids=["", "half-closed"])
def test_reloads_over_tcp_lose_nothing(spawnd, half):
    s = spawnd("-p", 9099, "-u", "www", "-F", 4, "--", h.app("bare"))
    load = Load("127.0.0.1:9099", ms=0, seconds=LONGEST, half=half)
    result = reloads(s, load)
    assert result["failed"] == 0, (result, s.log())


class KeepingNginx(web.Nginx):
    """nginx that keeps its connections to the workers open. As it comes, it
    asks again when one of them turns out to be closed."""

    def config(self):
        text = super().config()
        text = text.replace("fastcgi_next_upstream off;", "")
        peer = re.search(r"fastcgi_pass (.*);", text).group(1)
        return text.replace(f"fastcgi_pass {peer};",
                            "fastcgi_pass app;\n\t\t\tfastcgi_keep_conn on;") \
            .replace("\tserver {", f"\tupstream app {{\n\t\tserver {peer};\n"
                     "\t\tkeepalive 8;\n\t}\n\tserver {", 1)


@pytest.mark.parametrize("name", ["libfcgi", "php-cgi", "perl"])
def test_reload_behind_kept_open_connections(spawnd, place, name):
    """No HTTP client sees it."""
    s, script = start(spawnd, place, name, "-U", "www-data")
    before = set(s.workers())
    path = (h.source(script) if script else "/x") + "?%s"

    def check(answer, token):
        assert answer.text.split()[0] == token, answer
        return int(answer.text.split()[1])
    with KeepingNginx(f"unix:{place}/sock") as nginx, \
            web.requesting(nginx.port, path, check) as tally, \
            web.requesting(nginx.port, path, check) as other:
        h.wait_for(lambda: tally.answered > 100, 10, lambda: str(tally))
        s.signal(signal.SIGHUP)
        s.wait_log("all workers are new")
        assert ": killed:" not in s.log()
        done = tally.answered
        h.wait_for(lambda: tally.answered > done + 100, 10,
                   lambda: str(tally))
    assert tally.sent == tally.answered and other.sent == other.answered, \
        (tally, other, nginx.log(), s.log())
    assert not before & set(s.workers())


def test_signals_sent_blindly_lose_requests(spawnd, place):
    """The control: without a look the same load does lose."""
    s, script = start(spawnd, place, "no handler")
    load = Load(f"{place}/sock", script)
    while load.running():
        for pid in s.workers():
            h.kill(pid, signal.SIGTERM)
        s.wait_workers(4)
    result = load.result()
    enough(result)
    assert result["failed"] >= result["sent"] * 0.01, result


def test_long_request_is_waited_for(spawnd, place):
    s, _ = start(spawnd, place, "no handler")
    client = Load(f"{place}/sock", ms=4000, seconds=0.1)
    h.wait_for(lambda: busy(s), 5, s.log)
    s.signal(signal.SIGHUP)
    result = client.result()
    assert result["failed"] == 0 and result["answered"] == CLIENTS, result
    s.wait_log("all workers are new")


def busy(s):
    """Are the clients' connections accepted by all the workers?"""
    return all(map(h.serves, s.workers()))


def test_stop_waits_for_the_requests_that_are_served(spawnd, place):
    s, _ = start(spawnd, place, "no handler", "-F", CLIENTS)
    client = Load(f"{place}/sock", ms=3000, seconds=0.1)
    h.wait_for(lambda: busy(s), 5, s.log)
    s.signal(signal.SIGTERM)
    result = client.result()
    assert result["failed"] == 0 and result["answered"] == CLIENTS, result
    assert s.wait() == 0
    assert "killed" not in s.log()


# In its session, since sessions may share a processor evenly: others compute
# beside it, on the same one.
CROWD = """
for i in $(seq "$2"); do
	(sh -c 'ulimit -t 60; while :; do :; done' & echo $! >> "$1")
done
shift 2
exec "$@"
"""


@contextlib.contextmanager
def crowd(place, loops):
    """How a command begins that has to share a processor with so many."""
    with open(f"{place}/crowd", "x", encoding="ascii") as f:
        try:
            processor = min(os.sched_getaffinity(0))
            yield ["taskset", "-c", str(processor), "sh", "-c", CROWD, "sh",
                   f.name, str(loops)] if loops else []
        finally:
            for pid in h.read(f.name).split():
                os.kill(int(pid), signal.SIGKILL)


def is_met(s, path, calls, signo):
    """Does the signal come while the pool makes so many calls for a request?
    That is served."""
    with fastcgi.Connection(path) as c:
        c.send(f"many 0 0 {calls}")
        h.wait_for(lambda: busy(s) or select.select([c.sock], [], [], 0)[0],
                   5, s.log)
        s.signal(signo)
        met = busy(s)
        assert c.receive().text.startswith("many ")
    if signo == signal.SIGTERM:
        assert s.wait() == 0
    else:
        s.wait_log("all workers are new")
    assert "lost" not in s.log()
    return met


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("calls, loops", [(8000000, 0), (1000000, 10)])
def test_request_of_many_system_calls_is_served(spawnd, place, signo, calls,
                                                loops):
    """Each of them takes a hundred times as long for one that is followed, and
    longer where each time both wait for a processor. Where other load keeps us
    from looking, the request may be over too soon: then one of more calls."""
    path = f"{place}/sock"
    with crowd(place, loops) as wrap:
        for times in (1, 4, 16):
            s = spawnd("-s", path, "-u", "www", "-F", 1, "--", h.app("bare"),
                       wrap=wrap)
            if is_met(s, path, times * calls, signo):
                return
            if signo != signal.SIGTERM:
                assert s.stop() == 0
    pytest.fail("all of them were over too soon")


def test_worker_that_does_not_end_is_killed_and_counted(spawnd, place):
    s, _ = start(spawnd, place, "no handler", "-F", 1, "--stop-timeout", 1)
    client = Load(f"{place}/sock", ms=30000, seconds=0.1)
    h.wait_for(lambda: busy(s), 5, s.log)
    pid = s.workers()[0]
    began = time.monotonic()
    s.signal(signal.SIGTERM)
    assert s.wait() == 0
    assert time.monotonic() - began > 0.9
    assert re.search(rf"worker {pid}: killed: still running after 1 s "
                     r"\(--stop-timeout\), lost \d+ requests?, ",
                     s.log()), s.log()
    assert client.result()["failed"] >= CLIENTS


def test_fast_stop_does_not_wait(spawnd, place):
    """Its requests last until the generator gives them up."""
    s, _ = start(spawnd, place, "no handler", "--stop-timeout", 86400)
    client = Load(f"{place}/sock", ms=600000, seconds=0.1)
    h.wait_for(lambda: busy(s), 5, s.log)
    s.signal(signal.SIGINT)
    assert s.wait() == 0
    assert ": killed:" not in s.log()
    assert client.result()["failed"] >= CLIENTS


def test_nobody_is_left_stopped_by_a_supervisor_that_is_killed(spawnd, place):
    for pause in range(8):
        s, script = start(spawnd, place, "no handler")
        load = Load(f"{place}/sock", script, seconds=600)
        h.wait_for(lambda: busy(s), 5, s.log)
        workers = s.workers()
        s.signal(signal.SIGHUP)
        h.pass_time(pause / 1000)       # what is varied, not waited for
        h.kill(s.pid, signal.SIGKILL)

        def left():
            return [x for x in map(h.stat, workers)
                    if x and x.state not in "ZX" and x.ppid != s.pid]
        h.wait_for(lambda: not left(), 5, lambda: str(left()))
        load.popen.kill()
        load.result()
        s.end()
        os.unlink(f"{place}/sock")


def test_children_of_a_killed_php_go_when_they_are_idle(spawnd, place):
    """They hold the listen socket, and would serve for ever."""
    s, script = start(spawnd, place, "php-cgi, children")
    leader = s.workers()[0]
    children = h.children(leader)
    assert len(children) == 2
    h.kill(leader)
    h.wait_for(lambda: not any(h.alive(pid) for pid in children), 10, s.log)
    s.wait_workers(2, other_than=[leader])
    load = Load(f"{place}/sock", script, seconds=1)
    assert load.result()["failed"] == 0


def test_who_was_there_before_is_left_alone(spawnd, place):
    """As behind a container's entry script, and whoever they belong to."""
    entry = ["/bin/sh", "-c", 'sleep 300 & exec "$@"', "sh"]
    for who in (["-u", "www"], []):
        os.chmod(place, 0o777)
        s = spawnd("-s", f"{place}/sock{len(who)}", *who, "-F", 1, "--",
                   h.app("bare"), wrap=entry, user=None if who else "web")
        job = next(pid for pid in h.children(s.pid)
                   if "sleep" in h.link(pid, "exe") or
                   h.stat(pid).pgrp == s.pid)
        assert s.stop() == 0
        assert h.alive(job)
        h.kill(job)


def test_orphans_go_also_while_workers_end_all_the_time(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--", "/bin/sh",
               "-c", f"{HELPER} max 1")
    load = Load(f"{place}/sock", ms=5, seconds=LONGEST)
    first = set(h.descendants(s.pid))
    h.wait_for(lambda: not first & set(h.descendants(s.pid)), 20, s.log)
    assert load.running()
    load.end()
    assert load.result()["failed"] == 0


def test_job_in_the_background_survives_its_worker(spawnd, place):
    script = f"{place}/app"
    with open(script, "w") as f:
        f.write(f"#!/bin/sh\n(exec sleep 60 <&- >&- 2>&-) &\n"
                f"echo $! >{place}/job\nexec {h.app('bare')}\n")
    os.chmod(script, 0o755)
    os.chmod(place, 0o777)
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--", script)
    worker = s.workers()[0]
    with open(f"{place}/job") as f:
        job = int(f.read())
    # Until its shell has come that far, the job holds the listen socket.
    h.wait_for(lambda: h.stat(job).comm == "sleep", 10, "the job")
    h.kill(worker)
    # It is a child of spawnd's now, beside the new worker.
    h.wait_for(lambda: h.stat(job).ppid == s.pid and
               set(s.workers()) - {worker, job}, 10, s.log)
    s.signal(signal.SIGHUP)
    s.wait_log("all workers are new")
    assert h.alive(job)
    assert s.stop() == 0
    h.wait_for(lambda: not h.alive(job), 5, "the job ends with spawnd")
