# SPDX-License-Identifier: ISC
"""What a service manager is told, by the protocol of sd_notify(3)."""

import os
import signal
import socket
import time

import pytest

import harness as h
from stubs import Datagrams

UNTRUSTED = True

WATCHDOG = 0.4          # seconds, as the manager asks for


def fields(text):
    """The assignments of a message."""
    pairs = [line.partition("=") for line in text.splitlines()]
    assert all(sep == "=" for _, sep, _ in pairs), text
    return {name: value for name, _, value in pairs}


class Manager(Datagrams):
    def messages(self):
        return [fields(t) for t in self.texts()]

    def wait_for(self, name, after=0, deadline=10):
        """The first message with that name, its time and its number."""
        def found():
            for n, (when, text) in enumerate(self.got):
                if n >= after and name in fields(text):
                    return fields(text), when, n
            return None
        return h.wait_for(found, deadline, lambda: f"{name} behind {after}: "
                          f"{self.texts()}")


@pytest.fixture(params=["path", "abstract"])
def manager(request, place):
    name = f"{place}/notify" if request.param == "path" else \
        f"@spawnd-notify-{os.getpid()}"
    with Manager(name) as m:
        yield m


@pytest.fixture(params=["free", "jailed"])
def service(request, place, www, spawnd):
    """Starts a spawnd that is told of a manager."""
    def start(m, *args, env=(), program="static", arguments=(), **kw):
        env = dict(h.BASE_ENV, NOTIFY_SOCKET=m.path, **dict(env))
        if request.param == "jailed":
            h.make_jail(www, program, "www")
            s = spawnd("-u", "www", "-F", 2, *args, "--", "/fcgi-bin/app",
                       *arguments, env=env, **kw)
            s.sock = f"{www}/run/httpd.sock"
        else:
            s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, *args,
                       "--", h.app(program), *arguments, env=env, **kw)
            s.sock = f"{place}/sock"
        return s
    return start


def test_ready(manager, service):
    s = service(manager)
    message, _, n = manager.wait_for("READY")
    assert message["READY"] == "1"
    assert "2" in message["STATUS"] and "ready" in message["STATUS"]
    assert message.get("MAINPID", str(s.pid)) == str(s.pid)
    assert n == 0
    assert not any("WATCHDOG" in m for m in manager.messages())


def test_not_ready_before_the_pool_is(manager, service):
    s = service(manager, arguments=["delay=400"], ready=False)
    start = time.monotonic()
    h.wait_for(lambda: len(s.workers()) == 2, 5, "workers")
    _, when, _ = manager.wait_for("READY")
    assert when - start > 0.2
    assert " ready on " in s.log()


def test_failed_start_is_never_ready(manager, service):
    s = service(manager, program="fail", ready=False)
    assert s.wait() == 69
    assert not any("READY" in m for m in manager.messages())


def test_daemon_tells_its_own_pid(manager, service, place):
    """The manager would take the first process for the service."""
    s = service(manager, "--log", f"{place}/log", daemon=True)
    message, _, _ = manager.wait_for("READY")
    assert message["MAINPID"] == str(s.pid)


def test_reload(manager, service):
    s = service(manager)
    _, _, ready = manager.wait_for("READY")
    old = s.wait_workers(2)
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    s.signal(signal.SIGHUP)
    message, _, n = manager.wait_for("RELOADING", after=ready + 1)
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert message["RELOADING"] == "1"
    assert before <= int(message["MONOTONIC_USEC"]) <= after
    message, _, _ = manager.wait_for("READY", after=n + 1)
    assert message["READY"] == "1"
    # It is said when it is true.
    assert not set(old) & set(s.workers())


def test_reload_that_fails_ends_too(place, manager, spawnd):
    """A manager would wait for it until its timeout."""
    app = h.install(h.app("echo"), f"{place}/bin/app")
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--", app,
               env=dict(h.BASE_ENV, NOTIFY_SOCKET=manager.path))
    _, _, ready = manager.wait_for("READY")
    old = s.wait_workers(2)
    h.install(h.app("fail"), app)
    s.signal(signal.SIGHUP)
    _, _, n = manager.wait_for("RELOADING", after=ready + 1)
    manager.wait_for("READY", after=n + 1)
    assert set(old) <= set(s.workers())


def test_stop(manager, service):
    s = service(manager, "--stop-timeout", 7)
    _, _, ready = manager.wait_for("READY")
    assert s.stop() == 0
    message, _, _ = manager.wait_for("STOPPING", after=ready + 1)
    assert message["STOPPING"] == "1"
    later = [m for m in manager.messages()[ready + 1:]
             if "EXTEND_TIMEOUT_USEC" in m]
    # No less than the workers are given.
    assert max(int(m["EXTEND_TIMEOUT_USEC"]) for m in later) >= 7000000
    assert not any("READY" in m for m in manager.messages()[ready + 1:])


def test_stop_is_told_before_the_workers_have_ended(manager, service):
    s = service(manager, "--stop-timeout", 10)
    _, _, ready = manager.wait_for("READY")
    with h.Connection(s.sock) as c:
        c.send("hold")
        h.wait_for(lambda: any(map(h.serves, s.workers())), 5, s.log)
        s.signal(signal.SIGTERM)
        manager.wait_for("STOPPING", after=ready + 1)
        assert s.workers()
        s.signal(signal.SIGINT)


def test_watchdog(manager, service):
    """It is fed at half of its time, and goes hungry with us."""
    s = service(manager, env={"WATCHDOG_USEC": str(int(WATCHDOG * 1e6))})
    manager.wait_for("READY")

    def fed():
        return [when for when, text in manager.got
                if fields(text).get("WATCHDOG") == "1"]
    h.wait_for(lambda: len(fed()) >= 6, 5, "watchdog")
    times = fed()
    # On a machine with other load one of them may be late, but none is more
    # than is due.
    pause = (times[-1] - times[0]) / (len(times) - 1)
    assert WATCHDOG / 2 * 0.8 < pause < WATCHDOG * h.PATIENCE
    s.signal(signal.SIGSTOP)
    h.wait_for(lambda: h.stat(s.pid).state == "T", 5, "stopped")
    h.pass_time(WATCHDOG)       # one message may still be on its way
    before = len(fed())
    h.pass_time(2 * WATCHDOG)
    assert len(fed()) == before
    s.signal(signal.SIGCONT)
    h.wait_for(lambda: len(fed()) > before, 5, "fed again")


@pytest.mark.parametrize("env", [
    {}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"},
    {"WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"},
    {"WATCHDOG_USEC": "200000", "WATCHDOG_PID": ""}])
def test_watchdog_of_nobody(place, spawnd, env):
    with Manager(f"{place}/notify") as m:
        s = spawnd("-s", f"{place}/sock", "-u", "www", "--", h.app("echo"),
                   env=dict(h.BASE_ENV, NOTIFY_SOCKET=m.path, **env))
        m.wait_for("READY")
        h.pass_time(0.5)
        assert not any("WATCHDOG" in x for x in m.messages())
        assert s.running()


def test_watchdog_that_names_us(place, spawnd):
    with Manager(f"{place}/notify") as m:
        spawnd("-s", f"{place}/sock", "-u", "www", "--", h.app("echo"),
               env=dict(h.BASE_ENV, NOTIFY_SOCKET=m.path,
                        WATCHDOG_USEC="200000"),
               wrap=["sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh"])
        m.wait_for("WATCHDOG")


def test_workers_are_told_nothing_of_it(place, spawnd):
    with Manager(f"{place}/notify") as m:
        s = spawnd("-s", f"{place}/sock", "-u", "www", "-e", "*", "--",
                   h.app("echo"),
                   env=dict(h.BASE_ENV, NOTIFY_SOCKET=m.path, MAINPID="1",
                            WATCHDOG_USEC="1000000"))
        names = {x.partition("=")[0] for x in
                 h.request(f"{place}/sock", "env").facts["env"]}
        assert "LANG" in names
        assert not names & {"NOTIFY_SOCKET", "WATCHDOG_USEC",
                            "WATCHDOG_PID", "MAINPID"}
        for pid in s.wait_workers(4):
            h.wait_fds(pid, {0, 1, 2})


@pytest.mark.parametrize("name", ["relative", "/run/t/none", "", "@",
                                  "/" + "x" * 200])
def test_manager_that_cannot_be_told(place, spawnd, name):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "--", h.app("echo"),
               env=dict(h.BASE_ENV, NOTIFY_SOCKET=name))
    assert h.request(f"{place}/sock", "pid").status == 200
    assert s.stop() == 0


def test_manager_that_is_gone_or_does_not_read(place, spawnd):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(f"{place}/notify")
        s = spawnd("-s", f"{place}/sock", "-u", "www", "--", h.app("echo"),
                   env=dict(h.BASE_ENV, NOTIFY_SOCKET=f"{place}/notify",
                            WATCHDOG_USEC="2000"))
        h.pass_time(0.5)
        assert h.request(f"{place}/sock", "pid").status == 200
    os.unlink(f"{place}/notify")
    assert h.request(f"{place}/sock", "pid").status == 200
    assert s.stop() == 0


def test_what_a_full_queue_has_kept_waiting_is_whole(place, spawnd):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        deaf.bind(f"{place}/notify")
        os.chmod(f"{place}/notify", 0o666)
        deaf.settimeout(10 * h.PATIENCE)
        other.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                other.sendto(b"x", f"{place}/notify")
        s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--",
                   h.app("echo"),
                   env=dict(h.BASE_ENV, NOTIFY_SOCKET=f"{place}/notify"))
        for _ in range(8):
            old = s.workers()
            s.signal(signal.SIGHUP)
            s.wait_workers(1, other_than=old)
        while (text := deaf.recv(65536).decode()) == "x":
            pass
        lines = text.split("\n")
        names = [line.partition("=")[0] for line in lines]
        assert sorted(names) == sorted(set(names)), text
        assert {"READY", "STATUS"} <= set(names), text
        assert all("=" in line for line in lines), text
