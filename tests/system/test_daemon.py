# SPDX-License-Identifier: ISC
"""The start as a daemon: what the caller gets, and what is left running."""

import fcntl
import os
import pwd
import re
import signal
import socket
import subprocess
import termios

import pytest

import harness as h

CLOSED = "0<&- 1>&- 2>&-"


@pytest.fixture
def begin():
    """Starts spawnd as a daemon without waiting for its first process."""
    started = []

    def start(*args, **kw):
        s = h.Spawnd(*args, ready=False, **kw)
        s.argv.remove("-n")
        started.append(s)
        s.launch()
        return s
    yield start
    for s in started:
        s.end()


def options(place, *more):
    """With a log that does not depend on a syslogd."""
    return ["-s", f"{place}/sock", "-u", "www", "--log", f"{place}/log",
            *more]


def log_of(place):
    with open(f"{place}/log", encoding="utf-8", errors="replace") as f:
        return f.read()


def adopt(s, pid):
    """The daemon is known by its pidfile only."""
    s.pid = pid
    s._sessions.add(pid)
    return s


def pid_in(path):
    with open(path, encoding="ascii") as f:
        text = f.read()
    assert re.fullmatch(r"\d+\n", text), repr(text)
    return int(text)


def tty(pid):
    """The controlling terminal's number, 0: none."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        return int(f.read().rpartition(")")[2].split()[4])


def script(place, text):
    path = f"{place}/app"
    with open(path, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def give_away(place):
    """Only then may www, who is all that is left, remove the socket."""
    return h.own_directory(place, "www")


def is_clean(place):
    return not os.path.exists(f"{place}/sock") and (
        not os.path.exists(f"{place}/pid") or
        os.path.getsize(f"{place}/pid") == 0)


def nothing_left(place):
    h.wait_for(lambda: is_clean(place), 5, lambda: os.listdir(place))


# Success

def test_start_says_so_on_stdout_and_leaves_the_pool_behind(place):
    r = subprocess.Popen(
        [h.SPAWND, *options(place, "-F", "2"), "--", h.app("echo")],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=dict(h.BASE_ENV, **h.sanitizer_env()))
    # Both outputs end with the first process: nobody else holds them.
    out, err = r.communicate(timeout=h.START_DEADLINE)
    pid = int(re.search(rb"pid (\d+)", out).group(1))
    try:
        assert r.returncode == 0
        assert err == b""
        assert re.fullmatch(
            rf"spawnd: echo: 2 workers ready on unix:{place}/sock "
            rf"\(www:www 0660\), uid 67, pid {pid}\n", out.decode()), out
        assert len(h.children(pid)) == 2
        assert h.request(f"{place}/sock", "pid").status == 200
    finally:
        workers = h.children(pid)
        os.kill(pid, signal.SIGTERM)
        h.wait_for(lambda: not h.alive(pid), h.STOP_DEADLINE, "its end")
    h.wait_for(lambda: not any(map(h.alive, workers)), 5, "the workers' end")


def test_success_is_logged_too(place, spawnd):
    s = spawnd(*options(place, "-F", 2), "--", h.app("echo"), daemon=True)
    assert re.search(rf"echo\[{s.pid}\] info: 2 workers ready on "
                     rf"unix:{place}/sock ", log_of(place))


def test_daemon_has_a_session_of_its_own_and_no_terminal(place, spawnd):
    master, slave = os.openpty()

    def on_terminal():
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    s = spawnd(*options(place), "--", h.app("echo"), daemon=True,
               become=on_terminal)
    try:
        # The control: what only leads its session has this terminal.
        shell = subprocess.Popen(
            ["cat"], stdin=subprocess.PIPE, start_new_session=True,
            preexec_fn=on_terminal)
        assert tty(shell.pid) != 0
        shell.communicate(timeout=5 * h.PATIENCE)
        assert tty(s.pid) == 0
        d = h.stat(s.pid)
        assert d.session == d.pgrp == s.pid
        assert d.ppid == 1
        for pid in s.wait_workers(4):
            assert tty(pid) == 0
            assert h.stat(pid).session == s.pid
    finally:
        os.close(slave)
        os.close(master)
    # And the hang-up of that terminal is not its own.
    assert h.request(f"{place}/sock", "pid").status == 200
    assert h.alive(s.pid)


def test_daemon_stands_in_the_root_directory(place, spawnd):
    s = spawnd(*options(place), "--", h.app("echo"), daemon=True, cwd=place)
    assert h.link(s.pid, "cwd") == "/"
    assert {h.link(p, "cwd") for p in s.wait_workers(4)} == {"/"}


def test_relative_paths_are_those_of_the_caller(place, spawnd):
    h.install(h.app("echo"), f"{place}/bin/app")
    s = spawnd("-s", "sock", "-u", "www", "-P", "pid", "--log", "./log", "--",
               "bin/app", daemon=True, cwd=place)
    assert pid_in(f"{place}/pid") == s.pid
    assert h.request(f"{place}/sock", "log=here").status == 200
    h.wait_for(lambda: ": here\n" in log_of(place), 5, "the log")
    assert h.request(f"{place}/sock", "pid").status == 200


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", CLOSED])
def test_start_with_closed_descriptors(place, spawnd, closed):
    s = spawnd(*options(place, "-P", f"{place}/pid", "-F", 2), "--",
               h.app("echo"), daemon=True, ready=False,
               wrap=["sh", "-c", f'exec "$@" {closed}', "sh"])
    assert s.status == 0, s.log()
    adopt(s, pid_in(f"{place}/pid"))
    # It says how the start went first, where whoever started it listens.
    h.wait_for(lambda: h.fds(s.pid)[2] == "/dev/null", 5, s.log)
    found = h.fds(s.pid)
    assert found[0].startswith("socket:")
    assert found[1] == found[2] == "/dev/null"
    facts = h.request(f"{place}/sock", "facts")
    assert facts.fact("fds").split() == ["0", "1", "2"]
    for pid in s.wait_workers(2):
        # In their output nothing lands that is a file of ours.
        assert h.fds(pid)[1].startswith("pipe:")
        assert h.fds(pid)[1] == h.fds(pid)[2]
    with open(f"{place}/pid", encoding="ascii") as f:
        assert f.read() == f"{s.pid}\n"


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "0<&- 1>&-"])
def test_foreground_with_closed_descriptors(place, spawnd, closed):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "--", h.app("echo"),
               wrap=["sh", "-c", f'exec "$@" {closed}', "sh"])
    assert h.fds(s.pid)[0].startswith("socket:")
    assert h.request(f"{place}/sock", "facts").fact("fds") == "0 1 2"


def test_strange_descriptors_of_the_caller_are_not_kept(place, spawnd):
    s = spawnd(*options(place), "--", h.app("echo"), daemon=True,
               wrap=["sh", "-c", f'exec 7>{place}/seven; exec 9</etc/passwd;'
                     ' exec "$@"', "sh"])
    assert not {f"{place}/seven", "/etc/passwd"} & set(
        h.fds(s.pid).values())
    for pid in s.wait_workers(4):
        h.wait_fds(pid, {0, 1, 2})


# Failure

def test_bind_failure(place):
    result = h.run_spawnd("-s", f"{place}/none/sock", "-u", "www", "--log",
                          f"{place}/log", "--", h.app("echo"))
    assert result.status == 73
    assert h.line_of(result) == (
        f"spawnd: socket: unix:{place}/none/sock: its directory: No such "
        "file or directory")


def test_socket_in_use(place, spawnd):
    s = spawnd(*options(place), "--", h.app("echo"), daemon=True)
    result = h.run_spawnd(*options(place), "--", h.app("echo"))
    assert result.status == 73
    assert h.line_of(result) == (
        f"spawnd: socket: unix:{place}/sock: in use by pid {s.pid}")
    assert h.request(f"{place}/sock", "pid").status == 200


def test_port_in_use(place):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = h.run_spawnd("-p", port, "-u", "www", "-P", f"{place}/pid",
                              "--log", f"{place}/log", "--", h.app("echo"))
    assert result.status == 73
    assert h.line_of(result) == (
        f"spawnd: bind: tcp:127.0.0.1:{port}: in use by another process")
    nothing_left(place)


def test_missing_program(place):
    give_away(place)
    result = h.run_spawnd(*options(place, "-P", f"{place}/pid"), "--",
                          f"{place}/none")
    assert result.status == 69
    assert h.line_of(result) == (
        f"spawnd: exec {place}/none: No such file or directory")
    nothing_left(place)


def test_missing_program_in_a_jail(www):
    h.own_directory(f"{www}/run", "www")
    result = h.run_spawnd("-u", "www", "--log", "/run/t/missing.log", "--",
                          "/fcgi-bin/none")
    assert result.status == 69
    assert h.line_of(result) == (
        "spawnd: exec /fcgi-bin/none in /var/www: No such file or directory "
        "(neither -s nor -p given: jail /var/www)")
    h.wait_for(lambda: os.listdir(f"{www}/run") == [], 5, "no socket")
    os.unlink("/run/t/missing.log")


def test_program_that_dies_at_the_start(place):
    give_away(place)
    result = h.run_spawnd(*options(place, "-F", 2, "-P", f"{place}/pid"),
                          "--", h.app("fail"), 3)
    assert result.status == 69
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0] == "spawnd: fail: this program always fails"
    assert lines[-1] == (f"spawnd: {h.app('fail')}: no worker became ready: "
                         "the last one exited with status 3")
    assert set(lines[:-1]) == {lines[0]}
    nothing_left(place)


def test_last_words_without_a_newline_are_shown(place):
    app = script(place, "printf 'cannot read my configuration' >&2; exit 1")
    result = h.run_spawnd(*options(place, "-F", 1), "--", app)
    assert result.status == 69
    lines = result.stderr.splitlines()
    assert "spawnd: cannot read my configuration" in lines[:-1], lines
    # Each one before its own end, in the log as well.
    told = [x for x in log_of(place).splitlines() if "my config" in x or
            "exited with" in x and " start: " not in x]
    assert len(told) >= 2
    assert ["exited" in x for x in told] == [False, True] * (len(told) // 2)


def test_terminal_sees_no_control_bytes_of_a_failing_program(place):
    app = script(place, r"printf '\033]0;owned\007\n' >&2; exit 1")
    result = h.run_spawnd(*options(place, "-F", 1), "--", app)
    assert result.status == 69
    assert "owned" in result.stderr
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", result.stderr)


def test_only_the_last_of_many_words_is_shown(place):
    app = script(place, "i=0; while [ $i -lt 300 ]; do i=$((i + 1)); "
                 "echo line $i of it all; done; exit 1")
    result = h.run_spawnd(*options(place, "-F", 1), "--", app)
    assert result.status == 69
    lines = result.stderr.splitlines()
    assert lines[-2] == "spawnd: line 300 of it all"
    assert 3 < len(lines) < 100
    assert all(x.startswith("spawnd: ") for x in lines)


def test_nul_bytes_of_a_failing_program_do_no_harm(place):
    long = "x" * 509
    app = script(place, f"for i in 1 2 3 4; do printf '{long}\\0\\n' >&2; "
                 "done; echo the end >&2; exit 1")
    result = h.run_spawnd(*options(place, "-F", 1), "--", app)
    assert result.status == 69
    assert "spawnd: the end" in result.stderr.splitlines()


def test_program_that_is_never_ready(place):
    give_away(place)
    result = h.run_spawnd(*options(place, "-F", 2, "--start-timeout", 1),
                          "--", h.app("echo"), "never", deadline=20)
    assert result.status == 69
    assert "--start-timeout" in result.stderr.splitlines()[-1] or \
        "no worker became ready" in result.stderr.splitlines()[-1]
    nothing_left(place)


def test_failed_start_is_over_when_it_is_told(place, begin):
    """A script that starts it again at once is not met by the last try."""
    give_away(place)
    s = begin(*options(place, "-F", 2, "-P", f"{place}/pid",
                       "--start-timeout", 1), "--", h.app("echo"), "deaf",
              "never")
    pid = h.wait_for(lambda: (h.children(s.pid) or [0])[0], 5, "supervisor")
    s._sessions.add(pid)
    workers = h.wait_for(lambda: len(h.children(pid)) == 2 and
                         h.children(pid), 5, "workers")
    assert s.wait() == 69
    assert [p for p in [pid, *workers] if h.alive(p)] == []
    assert is_clean(place)


def test_half_of_the_pool_dies_at_the_start(place, spawnd):
    """Two of four get one of the two places there are."""
    h.own_directory(f"{place}/slots", "www")
    app = script(place, f"cd {place}/slots; for i in 1 2; do "
                 f"mkdir $i 2>/dev/null && exec {h.app('echo')}; done; "
                 "echo no place for me; exit 1")
    s = spawnd(*options(place, "-F", 4), "--", app, daemon=True)
    assert s.status == 0
    assert re.match(rf"spawnd: app: 2 of 4 workers ready on "
                    rf"unix:{place}/sock \(", s.log()), s.log()
    assert h.request(f"{place}/sock", "pid").status == 200
    text = log_of(place)
    assert "no place for me" in text
    assert re.search(r"warning: worker \d+: exited with status 1 .*failure "
                     r"\d+ in a row; next start in ", text)


# Signals to the first process

@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT,
                                   signal.SIGQUIT])
def test_signal_during_the_start_ends_it_all(place, begin, signo):
    s = begin(*options(place, "-F", 2, "-P", f"{place}/pid"), "--",
              h.app("echo"), "never")
    pid = h.wait_for(lambda: (h.children(s.pid) or [0])[0], 5, "supervisor")
    s._sessions.add(pid)
    workers = h.wait_for(lambda: len(h.children(pid)) == 2 and
                         h.children(pid), 5, "workers")
    give_away(place)
    os.kill(s.pid, signo)
    assert s.wait() == 69
    assert "spawnd: stopped before it was ready" in s.log().splitlines()
    h.wait_for(lambda: not any(map(h.alive, [pid, *workers])), 10,
               "the end of all")
    nothing_left(place)


def test_end_of_the_supervisor_during_the_start_is_told(place, begin):
    s = begin(*options(place, "-F", 2), "--", h.app("echo"), "never")
    pid = h.wait_for(lambda: (h.children(s.pid) or [0])[0], 5, "supervisor")
    s._sessions.add(pid)
    workers = h.wait_for(lambda: len(h.children(pid)) == 2 and
                         h.children(pid), 5, "workers")
    os.kill(pid, signal.SIGKILL)
    assert s.wait() == 71
    assert s.log().splitlines()[-1] == \
        "spawnd: the supervisor ended during the start"
    h.wait_for(lambda: not any(map(h.alive, workers)), 5, "the workers' end")


SPARE, CONT = 20, 3     # seconds, see privilege.h and daemonize.c


def test_supervisor_that_a_worker_has_stopped_is_continued(place):
    """It says itself that its start has failed then, and ends as always."""
    give_away(place)
    app = script(place, f"kill -STOP $PPID; exec {h.app('echo')}")
    result = h.run_spawnd(*options(place, "-F", 1, "--start-timeout", 1,
                                   "--confine", "no"),
                          "--", app, deadline=1 + SPARE + CONT)
    assert result.status == 69
    assert result.stderr.endswith("no worker was ready within 1 s "
                                  "(--start-timeout)\n")
    nothing_left(place)


def test_supervisor_that_is_stopped_again_and_again_is_given_up(place):
    give_away(place)
    app = script(place, "while kill -STOP $PPID; do sleep 0.02; done")
    result = h.run_spawnd(*options(place, "-F", 1, "--start-timeout", 1,
                                   "--stop-timeout", 1, "--confine", "no"),
                          "--", app,
                          deadline=2 * (1 + SPARE + 2 * CONT))
    assert result.status == 69, result
    assert "said nothing" in result.stderr or \
        "no worker was ready" in result.stderr
    h.wait_for(lambda: not [s for s in h.all_stats() if s.comm == "app"], 5)


def test_supervisor_that_hangs_is_killed(place, begin):
    """Here by a tracer that delays each of its system calls."""
    s = begin(*options(place, "-F", 1, "--start-timeout", 2), "--",
              h.app("echo"), "never")
    pid = h.wait_for(lambda: (h.children(s.pid) or [0])[0], 5, "supervisor")
    s._sessions.add(pid)
    workers = h.wait_for(lambda: h.children(pid), 5, "workers")
    with h.straced(pid, "-e", "inject=all:delay_enter=100000000"):
        assert s.wait(2 + SPARE + 2 * CONT) == 69
    # A tracer may not have let its end be seen yet.
    assert re.fullmatch(
        rf"spawnd: the supervisor said nothing for {2 + SPARE} s, nor after "
        r"SIGCONT, and (was|cannot be) killed \(a worker may have stopped "
        r"it\)", s.log().splitlines()[-1]), s.log()
    h.wait_for(lambda: not any(map(h.alive, [pid, *workers])), 5, "their end")


# The pidfile

def test_pidfile(place, spawnd):
    s = spawnd(*options(place, "-P", f"{place}/pid"), "--", h.app("echo"),
               daemon=True)
    assert pid_in(f"{place}/pid") == s.pid
    assert os.stat(f"{place}/pid").st_mode & 0o7777 == 0o600


def test_pidfile_in_the_foreground(place, spawnd):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-P", f"{place}/pid",
               "--", h.app("echo"))
    assert pid_in(f"{place}/pid") == s.pid


def test_pidfile_is_locked(place, spawnd):
    s = spawnd(*options(place, "-P", f"{place}/pid"), "--", h.app("echo"),
               daemon=True)
    result = h.run_spawnd("-s", f"{place}/sock2", "-u", "www", "-P",
                          f"{place}/pid", "--log", f"{place}/log2", "--",
                          h.app("echo"))
    assert result.status == 73
    assert h.line_of(result) == \
        f"spawnd: -P: {place}/pid: in use by pid {s.pid}"
    assert not os.path.exists(f"{place}/sock2")
    assert pid_in(f"{place}/pid") == s.pid


def test_pidfile_of_a_dead_one_is_taken_over(place, spawnd):
    with open(f"{place}/pid", "w", encoding="ascii") as f:
        f.write("4194304\n")
    s = spawnd(*options(place, "-P", f"{place}/pid"), "--", h.app("echo"),
               daemon=True)
    assert pid_in(f"{place}/pid") == s.pid


@pytest.mark.parametrize("text", ["123456789012345\nand more\n", "key: 1\n",
                                  "1" * 100])
def test_pidfile_that_is_another_file_is_left_alone(place, text):
    with open(f"{place}/conf", "w", encoding="ascii") as f:
        f.write(text)
    result = h.run_spawnd("-s", f"{place}/sock", "-u", "www", "-P",
                          f"{place}/conf", "--", h.app("echo"))
    assert result.status == 73
    assert h.line_of(result) == (f"spawnd: -P: {place}/conf: is not a "
                                 "pidfile: it contains something else")
    with open(f"{place}/conf", encoding="ascii") as f:
        assert f.read() == text


def test_lock_goes_with_the_supervisor(place, spawnd):
    """No worker holds it, however the supervisor ended."""
    s = spawnd(*options(place, "-P", f"{place}/pid"), "--", h.app("echo"),
               daemon=True)
    for pid in s.wait_workers(4):
        h.wait_fds(pid, {0, 1, 2})
    fd = os.open(f"{place}/pid", os.O_RDONLY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        s.signal(signal.SIGKILL)
        h.wait_for(lambda: not h.alive(s.pid), 5, "its end")
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(fd)


def test_pidfile_is_emptied_at_the_end(place, spawnd):
    s = spawnd(*options(place, "-P", f"{place}/pid"), "--", h.app("echo"),
               daemon=True)
    s.stop()
    # www may not remove anything there.
    assert os.path.getsize(f"{place}/pid") == 0


def test_pidfile_is_emptied_at_the_end_from_a_jail(place, www, spawnd):
    h.make_jail(www)
    s = spawnd("-u", "www", "-P", f"{place}/pid", "--log", f"{place}/log",
               "--", "/fcgi-bin/app", daemon=True)
    assert pid_in(f"{place}/pid") == s.pid
    s.stop()
    assert os.path.getsize(f"{place}/pid") == 0


def test_pidfile_is_removed_where_that_is_allowed(place, spawnd):
    h.own_directory(f"{place}/run", "www")
    s = spawnd(*options(place, "-P", f"{place}/run/pid"), "--",
               h.app("echo"), daemon=True)
    assert pid_in(f"{place}/run/pid") == s.pid
    s.stop()
    assert os.listdir(f"{place}/run") == []


def make_link(path, other):
    os.symlink(other, path)


def make_directory(path, other):
    os.mkdir(path)


def make_fifo(path, other):
    os.mkfifo(path)


def make_hard_link(path, other):
    os.link(other, path)


def make_device(path, other):
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))


@pytest.mark.parametrize("option", ["-P", "--log"])
def test_link_on_the_way_to_a_file_of_root(option, place):
    os.mkdir(f"{place}/roots")
    os.symlink(f"{place}/roots", f"{place}/logs")
    os.lchown(f"{place}/logs", pwd.getpwnam("www").pw_uid, -1)
    for test in ([], ["-t"]):
        r = h.run_spawnd("-s", f"{place}/s", "-u", "www", option,
                         f"{place}/logs/x", *test, "--", h.app("echo"))
        assert r.status == (78 if test else 73), r
        assert f"{option}: {place}/logs/x: its directory: a symbolic " \
            "link on the way is not owned by root" in r.stdout + r.stderr, r
        assert os.listdir(f"{place}/roots") == []


@pytest.mark.parametrize("make", [make_link, make_directory, make_fifo,
                                  make_hard_link, make_device])
def test_pidfile_that_is_something_else(place, make):
    other, path = f"{place}/other", f"{place}/pid"
    with open(other, "w", encoding="ascii") as f:
        f.write("precious\n")
    make(path, other)
    before = h.tree(place)
    result = h.run_spawnd("-s", f"{place}/sock", "-u", "www", "-P", path,
                          "--log", "/run/t/other.log", "--", h.app("echo"))
    assert result.status == 73
    assert h.line_of(result).startswith(f"spawnd: -P: {path}: ")
    assert h.tree(place) == before
    os.unlink("/run/t/other.log")


def test_pidfile_in_a_directory_that_is_missing(place):
    result = h.run_spawnd(*options(place, "-P", f"{place}/none/pid"), "--",
                          h.app("echo"))
    assert result.status == 73
    assert h.line_of(result) == (f"spawnd: -P: {place}/none/pid: its "
                                 "directory: No such file or directory")
