# SPDX-License-Identifier: ISC
"""The pool: it comes up, keeps its size, and goes down."""

import os
import re
import shutil
import signal
import struct
import threading
import time
import types

import pytest

import harness as h

UNAVAILABLE = 69
PHP = "/usr/bin/php-cgi"
WATCHED = 30        # seconds that programs which always fail are watched
SHARE = 0.05        # of a core, that the supervisor may use in that time
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d "
                  r"[A-Za-z0-9._-]{1,32}\[\d+\] (info|warning|error): \S.*")


class Pool:
    """A pool of a test application, with its socket at .addr."""

    def __init__(self, spawnd, place, *options, program="echo", args=(),
                 workers=4, **kw):
        self.place = place
        self.addr = f"{place}/sock"
        self.path = program
        if "/" not in program:
            self.path = h.install(h.app(program), f"{place}/bin/app")
        size = [] if workers is None else ["-F", workers]
        self.s = spawnd("-s", self.addr, "-u", "www", *size, *options, "--",
                        self.path, *args, **kw)

    def ask(self, query="", **kw):
        return h.request(self.addr, query, **kw)


@pytest.fixture
def pool(spawnd, place):
    def make(*options, **kw):
        return Pool(spawnd, place, *options, **kw)
    return make


# Programs that fail for ever are watched while the other tests run.

@pytest.fixture(scope="module", autouse=True)
def failing():
    """Two pools whose program was replaced, once they were ready, by one
    that always fails, and by one that exits 0 at once."""
    found = {}
    for name in ("fail", "exit0"):
        place = h.new_place()
        program = h.install(h.app("echo"), f"{place}/bin/app")
        s = h.Spawnd("-s", f"{place}/sock", "-u", "www", "-F", 4,
                     "--control", "none", "--", program)
        found[name] = types.SimpleNamespace(place=place, s=s)
    try:
        for name, f in found.items():
            f.s.launch()
            workers = f.s.wait_workers(4)
            h.install(h.app(name), f"{f.place}/bin/app")
            f.start, f.cpu = time.monotonic(), h.cpu(f.s.pid)
            for pid in workers:
                h.kill(pid)
        yield found
    finally:
        for f in found.values():
            f.s.end()
            shutil.rmtree(f.place)


def watched(f):
    """Waits until it has been watched for long enough: it runs, and does not
    spin. Returns the log."""
    h.pass_time(max(0, f.start + WATCHED - time.monotonic()))
    assert f.s.running()
    used, took = h.cpu(f.s.pid) - f.cpu, time.monotonic() - f.start
    # A fork of a build with sanitizers takes some of it.
    share = SHARE * (4 if h.sanitized() else 1)
    assert used < share * took, (used, took)
    return f.s.log()


# As a daemon

def test_exactly_the_command_of_the_manual(www, spawnd):
    h.make_jail(www)
    s = spawnd("-U", "www", "-u", "www", "--", "/fcgi-bin/app", daemon=True)
    assert s.status == 0
    # The one on syslog is about this machine, which has none.
    line = r"(spawnd: syslog: .*\n)?" \
           r"spawnd: app: 4 workers ready on unix:/var/www/run/httpd\.sock " \
           r"\(www:www 0660\), jail /var/www, uid 67, pid \d+\n"
    assert re.fullmatch(line, s.log()), s.log()
    assert len(s.workers()) == 4
    answer = h.request("/var/www/run/httpd.sock", "facts&open=/etc/passwd")
    assert answer.fact("uid") == "67 67 67"
    assert answer.fact("open") == "/etc/passwd 2"
    left = [s.pid, *s.workers()]
    s.stop()
    h.wait_for(lambda: not any(h.alive(p) for p in left), 5, "all are gone")


def test_daemon_is_detached(www, spawnd):
    h.make_jail(www)
    s = spawnd("-u", "www", "--", "/fcgi-bin/app", daemon=True)
    d = h.stat(s.pid)
    assert d.session == d.pid != h.stat(os.getpid()).session
    assert d.ppid == 1
    assert h.link(s.pid, "cwd") == www
    found = h.fds(s.pid)
    assert found[0].startswith("socket:")
    assert found[1] == found[2] == "/dev/null"


def test_daemon_leaves_no_first_process_behind(www, spawnd):
    h.make_jail(www)
    s = spawnd("-u", "www", "--", "/fcgi-bin/app", daemon=True)
    session = s.popen.pid
    assert [x for x in h.all_stats() if x.session == session] == []


def test_caller_is_not_kept_waiting_by_the_daemons_outputs(www):
    """`$(spawnd ...)` in a script ends when the first process does."""
    h.make_jail(www)
    result = h.run_spawnd("-u", "www", "--", "/fcgi-bin/app", deadline=20)
    assert result.status == 0       # and its outputs were read to their end
    assert " ready on " in result.stdout + result.stderr


# All kinds of programs

@pytest.mark.parametrize("program", [
    "echo", "threaded", "poller", "maxreq", "static"])
def test_program_in_c(pool, program):
    p = pool(program=program)
    assert len(p.s.wait_workers(4)) == 4
    assert " 4 workers ready on " in p.s.log()
    load = h.Load(p.addr, threads=4, count=200, size=20000)
    load.start().join()
    assert load.answered == 200, str(load)
    assert set(load.pids) <= set(p.s.workers())
    assert p.ask("stdin", stdin=b"a" * 300000).body == \
        b"stdin 300000\n" + b"a" * 300000


def test_program_in_perl(pool, place):
    script = h.install(h.source("app.pl"), f"{place}/app.pl")
    p = pool(program=script)
    assert len(p.s.wait_workers(4)) == 4
    load = h.Load(p.addr, threads=4, count=100)
    load.start().join()
    assert load.answered == 100, str(load)
    assert p.ask().fact("uid") == str(h.USERS["www"])


def test_php_with_children_of_its_own(pool, place):
    script = h.install(h.source("worker.php"), f"{place}/worker.php", 0o644)
    p = pool("-C", 3, program=PHP, workers=None)
    assert re.search(r" 1 worker x \(3 children \+ 1\) ready on ",
                     p.s.log()), p.s.log()
    leader = p.s.wait_workers(1)[0]
    children = h.wait_for(lambda: len(c := h.children(leader)) == 3 and c)
    seen = set()
    for n in range(20):
        answer = p.ask(f"token=t{n}", params={
            "SCRIPT_FILENAME": script, "REDIRECT_STATUS": "200"})
        assert answer.headers["x-token"] == f"t{n}"
        assert answer.fact("children") == "3"
        seen.add(int(answer.fact("pid")))
    assert seen <= set(children)


def test_worker_that_is_a_tree(pool):
    p = pool(args=["children=3"], workers=2)
    leaders = p.s.wait_workers(2)
    serving = h.wait_for(
        lambda: len(d := h.descendants(p.s.pid)) == 8 and set(d), 5,
        lambda: h.descendants(p.s.pid)) - set(leaders)
    load = h.Load(p.addr, threads=4, count=100)
    load.start().join()
    assert load.answered == 100, str(load)
    assert set(load.pids) <= serving


# Ready

def test_not_ready_before_the_worker_waits_for_requests(pool):
    started = time.monotonic()
    pool(args=["delay=700"], workers=2)
    assert time.monotonic() - started >= 0.7


def test_poller_is_ready_when_it_polls(pool):
    started = time.monotonic()
    p = pool(program="poller", args=["delay=500"], workers=1)
    assert time.monotonic() - started >= 0.5
    assert p.ask("pid").status == 200


def test_worker_that_holds_a_connection_counts_as_ready(pool):
    """The first request comes before the look does, and lasts."""
    p = pool("--stop-timeout", 0, args=["delay=300"], workers=1, ready=False)
    h.wait_for(lambda: os.path.exists(p.addr))

    def connect():
        try:
            return h.Connection(p.addr)
        except h.FcgiError:
            return None
    with h.wait_for(connect) as c:
        c.send("sleep=600000&pid")
        p.s.wait_ready()
        assert p.s.stop() == 0
        with pytest.raises(h.FcgiError):
            c.receive()


# The pool keeps its size

def no_zombies(s):
    h.wait_for(lambda: not h.zombies(s.pid), 5,
               lambda: f"zombies {h.zombies(s.pid)} of {s.pid}")


def test_each_killed_worker_is_replaced(pool):
    p = pool()
    for victim in p.s.wait_workers(4):
        before = p.s.workers()
        os.kill(victim, signal.SIGKILL)
        after = p.s.wait_workers(4, other_than=[victim])
        assert len(set(after) & set(before)) == 3
        p.s.wait_log(rf"\b{victim}\b.*SIGKILL")
    no_zombies(p.s)
    assert p.ask("pid").status == 200


def test_all_workers_killed_at_once_are_replaced(pool):
    p = pool()
    victims = p.s.wait_workers(4)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    p.s.wait_workers(4, other_than=victims)
    no_zombies(p.s)


def test_hundred_crashes_in_a_row(pool):
    p = pool()
    seen = set()
    for _ in range(100):
        seen.update(p.s.workers())
        with pytest.raises(h.FcgiError) as e:
            p.ask("crash", deadline=5)
        assert e.value.kind in ("closed", "reset")
    p.s.wait_workers(4)
    assert len(seen) > 20
    h.wait_for(lambda: p.s.log().count("SIGSEGV") == 100, 5,
               lambda: f"{p.s.log().count('SIGSEGV')} crashes in the log")
    no_zombies(p.s)
    assert p.ask("pid").status == 200
    assert p.s.running()


def test_url_that_crashes_its_worker_does_not_hurt_other_requests(pool):
    p = pool()
    crashed, stop = [], threading.Event()

    def crash():
        due = time.monotonic()
        while not stop.wait(max(0, due - time.monotonic())):
            due += 0.1
            try:
                p.ask("crash")
                crashed.append("answered")
            except h.FcgiError as e:
                crashed.append(e.kind)
    other = threading.Thread(target=crash)
    load = h.Load(p.addr, threads=8, rate=100, count=500, deadline=3)
    other.start()
    load.start().join()
    stop.set()
    other.join(10 * h.PATIENCE)
    assert load.sent == 500 and load.answered == 500, str(load)
    assert len(crashed) >= 40
    assert set(crashed) <= {"closed", "reset"}, crashed
    p.s.wait_workers(4)


def test_worker_that_exits_after_its_requests_is_replaced(pool):
    """Many more exits than the bucket of the crashes has tokens."""
    p = pool("-e", "PHP_FCGI_MAX_REQUESTS=1", program="maxreq")
    load = h.Load(p.addr, threads=4, count=400)
    load.start().join()
    assert load.answered == 400, str(load)
    assert len(load.pids) == 400
    p.s.wait_workers(4, other_than=load.pids)
    no_zombies(p.s)


def test_error_exit_of_a_ready_worker_is_replaced_and_said(pool):
    p = pool(workers=1)
    with pytest.raises(h.FcgiError):
        p.ask("exit=3")
    p.s.wait_log("exited with status 3")
    assert p.ask("pid").status == 200


def test_nonblocking_listener_is_made_blocking_for_the_next_worker(pool):
    p = pool(workers=2)
    assert p.ask("nonblock&facts").fact("listener_flags") == "1"
    # A worker that accepts on it leaves; all are replaced.
    victims = p.s.workers()
    for pid in victims:
        h.kill(pid)
    p.s.wait_workers(2, other_than=victims)
    # Not yet where one starts while another has neither ended nor begun: they
    # need a rest from requests in which all have.
    h.wait_for(lambda: p.ask("facts").fact("listener_flags") == "0", 10,
               p.s.log, pause=0.5)


def test_orphans_of_a_dead_worker_are_reaped(pool):
    p = pool(args=["children=2"], workers=1)
    leader = p.s.wait_workers(1)[0]
    below = h.wait_for(lambda: len(c := h.children(leader)) == 2 and c)
    os.kill(leader, signal.SIGKILL)
    p.s.wait_log(rf"\b{leader}\b.*SIGKILL")
    for pid in below:
        h.kill(pid)
    h.wait_for(lambda: not any(h.stat(pid) for pid in below), 5,
               lambda: [h.stat(pid) for pid in below])
    assert p.s.running()


# It does not come up

def fails_to_start(*args, deadline=10, daemon=True):
    """Status 69 and the text, with no process left."""
    result = h.run_spawnd(*([] if daemon else ["-n"]), *args,
                          deadline=deadline)
    assert result.status == UNAVAILABLE, result
    return result


@pytest.fixture
def jail(place):
    return h.make_jail(place)


def exec_failure(jail, program="/fcgi-bin/app"):
    result = fails_to_start("-c", jail, "-u", "www", "--", program)
    line = h.line_of(result)
    assert re.match(rf"spawnd: exec {program} in {jail}: ", line), line
    return line


def write(path, text, mode=0o755):
    with open(path, "wb") as f:
        f.write(text)
    os.chmod(path, mode)


def test_missing_program(jail):
    os.unlink(f"{jail}/fcgi-bin/app")
    assert exec_failure(jail).endswith("No such file or directory")


def test_failed_daemon_has_gone_when_its_first_process_returns(jail):
    """Or the next start, at once, would find the socket in use."""
    os.unlink(f"{jail}/fcgi-bin/app")
    for _ in range(20):
        exec_failure(jail)
        with pytest.raises(h.FcgiError) as e:
            h.request(f"{jail}/run/httpd.sock")
        assert e.value.kind in ("refused", "missing")


def test_missing_loader_in_the_jail(jail):
    h.install(h.app("echo"), f"{jail}/fcgi-bin/app")
    line = exec_failure(jail)
    assert re.search("No such file or directory: the file exists, but its "
                     r"loader /lib.*/ld-.* does not \(link it statically",
                     line), line


def test_missing_interpreter(jail):
    write(f"{jail}/fcgi-bin/app", b"#! /usr/bin/perl -w\nexit;\n")
    line = exec_failure(jail)
    assert "interpreter /usr/bin/perl does not" in line


def test_script_with_carriage_returns(jail):
    write(f"{jail}/fcgi-bin/app", b"#!/fcgi-bin/sh\r\n")
    write(f"{jail}/fcgi-bin/sh", b"")
    assert "CR LF" in exec_failure(jail)


@pytest.mark.parametrize("mode", [0o644, 0o700, 0o740])
def test_program_that_is_not_executable(jail, mode):
    os.chmod(f"{jail}/fcgi-bin/app", mode)
    line = exec_failure(jail)
    assert "Permission denied" in line and f"{mode:04o}" in line


def test_program_in_a_directory_that_may_not_be_searched(jail):
    os.chmod(f"{jail}/fcgi-bin", 0o700)
    line = exec_failure(jail)
    assert "Permission denied" in line and "directory" in line


def test_directory_as_program(jail):
    line = exec_failure(jail, "/fcgi-bin")
    assert "Permission denied" in line and "directory" in line


@pytest.mark.parametrize("machine, name", [
    (183, "AArch64"), (40, "ARM"), (243, "RISC-V"), (9999, "9999")])
def test_program_for_another_machine(jail, machine, name):
    path = f"{jail}/fcgi-bin/app"
    with open(path, "r+b") as f:
        f.seek(18)
        assert struct.unpack("<H", f.read(2)) != (machine,)
        f.seek(18)
        f.write(struct.pack("<H", machine))
    line = exec_failure(jail)
    assert "Exec format error" in line and name in line


@pytest.mark.parametrize("text", [b"", b"print 1\n", b"\x7fELF"])
def test_program_that_is_none(jail, text):
    write(f"{jail}/fcgi-bin/app", text)
    assert "Exec format error" in exec_failure(jail)


def test_missing_program_without_a_jail(place):
    line = h.line_of(fails_to_start("-s", f"{place}/sock", "-u", "www", "--",
                                    "/nonexistent/app"))
    assert line.startswith("spawnd: exec /nonexistent/app: No such file")


def test_missing_program_in_the_foreground(jail):
    os.unlink(f"{jail}/fcgi-bin/app")
    line = h.line_of(fails_to_start("-c", jail, "-u", "www", "--",
                                    "/fcgi-bin/app", daemon=False))
    assert "No such file or directory" in line


def test_missing_working_directory(jail):
    line = h.line_of(fails_to_start("-c", jail, "-u", "www", "-d",
                                    "/not/there", "--", "/fcgi-bin/app"))
    assert re.search(r"chdir /not/there.*No such file", line), line


@pytest.mark.parametrize("daemon", [True, False])
def test_program_that_fails_from_the_start(place, daemon):
    """Each slot has its three attempts; then the worker's own words."""
    program = h.install(h.app("fail"), f"{place}/app")
    started = time.monotonic()
    result = fails_to_start("-s", f"{place}/sock", "-u", "www", "-F", 2,
                            "--", program, daemon=daemon)
    assert time.monotonic() - started > 0.1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("spawnd: ") and program in last
    assert "exited with status 1" in last
    assert "this program always fails" in result.stderr


def test_failing_start_tries_each_slot_three_times(place):
    program = h.install(h.app("fail"), f"{place}/app")
    result = fails_to_start("-s", f"{place}/sock", "-u", "www", "-F", 2,
                            "--", program, daemon=False)
    assert result.stderr.count("this program always fails") == 6


def test_program_that_exits_0_from_the_start(place):
    program = h.install(h.app("exit0"), f"{place}/app")
    result = fails_to_start("-s", f"{place}/sock", "-u", "www", "-F", 1,
                            "--start-timeout", 1, "--", program)
    assert result.stderr.splitlines()[-1].startswith("spawnd: ")


@pytest.mark.parametrize("how", ["never", "spin"])
def test_program_that_never_becomes_ready(place, how):
    program = h.install(h.app("echo"), f"{place}/app")
    started = time.monotonic()
    result = fails_to_start("-s", f"{place}/sock", "-u", "www", "-F", 1,
                            "--start-timeout", 1, "--", program, how)
    assert time.monotonic() - started >= 1
    last = result.stderr.splitlines()[-1]
    assert "--start-timeout" in last or "1 s" in last, last


def test_one_ready_worker_makes_the_pool_ready(pool, place):
    """The others, which hang, are ended after --start-timeout."""
    gate = f"{place}/gate"
    script = f"{place}/first"
    h.own_directory(f"{place}/state", "www")
    h.install(h.app("echo"), f"{place}/bin/app")
    write(script, f"#!/bin/sh\nmkdir {place}/state/x 2>/dev/null && "
          f"exec {place}/bin/app\nexec {place}/bin/app never\n".encode())
    assert not os.path.exists(gate)
    p = pool("--start-timeout", 2, program=script, workers=2)
    assert " 1 of 2 workers ready on " in p.s.log()
    assert p.ask("pid").status == 200
    p.s.wait_log("not ready", deadline=6)
    assert p.ask("pid").status == 200


def test_signal_during_the_start_ends_it(pool):
    p = pool(args=["never"], workers=2, ready=False)
    p.s.wait_workers(2)
    p.s.signal(signal.SIGTERM)
    assert p.s.wait(5) != 0
    assert p.s.processes() == []


# Signals

@pytest.mark.parametrize("signo", [
    signal.SIGTERM, signal.SIGQUIT, signal.SIGINT])
def test_stop(pool, signo):
    p = pool()
    assert p.s.stop(signo) == 0
    assert ": killed:" not in p.s.log()
    assert p.s.processes() == []


def test_stop_ends_whole_trees(pool):
    p = pool(args=["children=3"], workers=2)
    h.wait_for(lambda: len(h.descendants(p.s.pid)) == 8)
    assert p.s.stop() == 0
    h.wait_for(lambda: p.s.processes() == [], 5, lambda: p.s.processes())


def test_stop_while_workers_wait_for_their_next_start(pool):
    p = pool(workers=1)
    h.install(h.app("fail"), p.path)
    h.kill(p.s.wait_workers(1)[0])
    p.s.wait_log("exited with status 1")
    assert p.s.stop() == 0


def test_worker_that_ignores_term_is_killed_after_stop_timeout(pool):
    p = pool("--stop-timeout", 1, args=["deaf"], workers=2, program="poller")
    pids = p.s.wait_workers(2)
    started = time.monotonic()
    assert p.s.stop() == 0
    assert time.monotonic() - started > 0.9
    assert not any(h.alive(pid) for pid in pids)
    assert p.s.log().count("killed") == 2


def test_int_kills_after_two_seconds(pool):
    p = pool("--stop-timeout", 86400, args=["deaf"], workers=2)
    started = time.monotonic()
    assert p.s.stop(signal.SIGINT) == 0
    assert time.monotonic() - started > 1.9


def test_second_term_makes_it_fast(pool):
    p = pool("--stop-timeout", 86400, args=["deaf"], workers=1,
             program="poller")
    p.s.signal(signal.SIGTERM)
    p.s.wait_log("stop: SIGTERM")
    h.pass_time(0.5)
    assert p.s.running()
    started = time.monotonic()
    assert p.s.stop() == 0
    assert time.monotonic() - started > 1.5


def test_stop_signal_is_the_one_asked_for(pool):
    p = pool("--stop-signal", "USR1", args=["usr1"], workers=2)
    assert p.s.stop() == 0
    assert ": killed:" not in p.s.log()


def test_reload_replaces_every_worker_while_the_pool_answers(pool):
    p = pool()
    old = p.s.wait_workers(4)
    with h.Load(p.addr, threads=2, rate=200, deadline=2) as load:
        for _ in range(3):
            p.s.signal(signal.SIGHUP)
            old = p.s.wait_workers(4, other_than=old)
    # A worker that is told to stop may hold one connection; no other fails,
    # and none is refused or left waiting.
    assert set(load.failed) <= {"closed", "reset"}, str(load)
    assert sum(load.failed.values()) <= 12, str(load)
    assert load.answered > 0
    no_zombies(p.s)


def test_reload_takes_the_new_program(pool):
    p = pool(workers=2)
    old = p.s.wait_workers(2)
    h.install(h.app("threaded"), p.path)
    p.s.signal(signal.SIGHUP)
    new = p.s.wait_workers(2, other_than=old)
    for pid in new:
        assert os.path.exists(h.link(pid, "exe"))     # not "(deleted)"
    assert p.ask("pid").status == 200


@pytest.mark.parametrize("program", ["fail", "missing"])
def test_reload_that_fails_leaves_the_old_workers(pool, program):
    p = pool(workers=3)
    old = p.s.wait_workers(3)
    if program == "missing":
        os.unlink(p.path)
    else:
        h.install(h.app(program), p.path)
    p.s.signal(signal.SIGHUP)
    p.s.wait_log("(?i)reload.*(fail|end|gave up|old)")
    assert p.s.wait_workers(3) == old
    assert p.ask("pid").status == 200
    # The next one, with a program that works, succeeds.
    h.install(h.app("echo"), p.path)
    p.s.signal(signal.SIGHUP)
    p.s.wait_workers(3, other_than=old)


def test_reload_does_not_wait_for_one_that_never_is_ready(pool):
    p = pool("--start-timeout", 1, workers=2, args=["failif=/nonexistent"])
    old = p.s.wait_workers(2)
    write(p.path + ".sh", f"#!/bin/sh\nexec {p.place}/real never\n".encode())
    h.install(h.app("echo"), f"{p.place}/real")
    os.rename(p.path + ".sh", p.path)
    p.s.signal(signal.SIGHUP)
    p.s.wait_log("(?i)reload", deadline=8)
    h.wait_for(lambda: p.s.workers() == old, 5, lambda: p.s.workers())
    assert p.ask("pid").status == 200


def test_stop_during_a_reload(pool):
    p = pool("--stop-timeout", 1, args=["delay=200"], workers=3)
    p.s.signal(signal.SIGHUP)
    assert p.s.stop() == 0
    assert p.s.processes() == []


def test_signals_of_a_terminal_do_not_end_it(pool):
    p = pool(workers=1)
    for signo in (signal.SIGPIPE, signal.SIGHUP):
        p.s.signal(signo)
    p.s.wait_workers(1)
    assert p.ask("pid").status == 200


# The log

def test_log_lines_have_their_form(pool):
    p = pool()
    h.kill(p.s.wait_workers(4)[0])
    p.s.wait_log("SIGKILL")
    p.s.wait_workers(4)
    lines = p.s.log().splitlines()
    assert len(lines) >= 2
    for line in lines:
        assert LINE.fullmatch(line), line
        assert f" app[{p.s.pid}] " in line


def test_log_names_the_time_zone(spawnd, place):
    program = h.install(h.app("echo"), f"{place}/app")
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--", program,
               env={"PATH": "/bin", "TZ": "UTC-03:30"})
    assert LINE.match(s.log()) and "+03:30 " in s.log(), s.log()


def test_output_of_the_workers_is_passed_on(pool):
    p = pool(args=["say=hello from a worker"], workers=2)
    h.wait_for(lambda: p.s.log().count("hello from a worker\n") == 2, 5,
               p.s.log)
    p.ask("log=and later")
    p.s.wait_log("and later")


# These wait for what the first fixture has started, so they come last.

def test_program_that_always_fails_is_started_ever_more_slowly(failing):
    log = watched(failing["fail"])
    starts = log.count("this program always fails")
    # 0.1 s doubling to 30 s: about eight attempts for each of four slots.
    assert 12 <= starts <= 60, starts
    waits = [float(m) for m in re.findall(
        r"exited with status 1.*?(\d+(?:\.\d+)?) s\b[^,]*$", log, re.M)]
    assert len(waits) >= 12, log
    assert max(waits) > 4 and min(waits) < 0.5, waits


def test_program_that_exits_0_at_once_is_started_ever_more_slowly(failing):
    watched(failing["exit0"])


def test_failing_program_that_works_again_is_taken_up(failing):
    """A pool that was ready once never gives up."""
    watched(failing["exit0"])
    f = failing["exit0"]
    h.install(h.app("echo"), f"{f.place}/bin/app")
    f.s.wait_workers(4, deadline=5)
    h.wait_for(lambda: h.request(f"{f.place}/sock", "pid").status == 200)
