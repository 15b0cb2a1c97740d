# SPDX-License-Identifier: ISC
"""spawnctl agent: what it tells of a pool, and that no client can keep others
from their answer."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time

import pytest

import ctl as c
import harness as h
from ctl import ctl

UNTRUSTED = True


@pytest.fixture
def start(spawnd, place):
    def begin(*args, name="p", program="echo", **kw):
        s = spawnd("-s", f"{place}/{name}", "-u", "www", "--name", name, *args,
                   "--", h.app(program), **kw)
        s.sock = f"{place}/{name}"
        return s
    return begin


class Agent:
    """One that listens."""

    def __init__(self, *args, listen="127.0.0.1:0", user=None, wrap=()):
        self.proc = subprocess.Popen(
            [*wrap, c.SPAWNCTL, *map(str, args), "agent", "--listen", listen],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            env={**h.BASE_ENV, **h.sanitizer_env()},
            preexec_fn=h.become_user(user) if user else None)
        said = self.proc.stdout.readline().decode()
        m = re.fullmatch(r"agent: listens on (\S+):(\d+)\n", said)
        assert m, said
        self.address = m[1].strip("[]"), int(m[2])

    def connect(self):
        s = socket.create_connection(self.address, 10 * h.PATIENCE)
        return s

    def ask(self, say=b""):
        with self.connect() as s:
            if say:
                s.sendall(say)
            data = b""
            while part := s.recv(4096):
                data += part
            return data.decode()

    def end(self):
        self.proc.terminate()
        try:
            return self.proc.wait(10 * h.PATIENCE)
        finally:
            self.proc.stdout.close()


@contextlib.contextmanager
def agent(*args, **kw):
    a = Agent(*args, **kw)
    try:
        yield a
    finally:
        if a.proc.poll() is None:
            assert a.end() == 0


def told(*args):
    r = ctl(*args, "agent")
    assert (r.status, r.stderr) == (0, ""), r
    return r.stdout


def test_it_tells_how_much_is_idle(start):
    s = start("-F", 4, "--stop-timeout", 1)
    s.wait_workers(4)
    assert told() == "ready up 100% maxconn:4\n"
    with h.Connection(s.sock) as one, h.Connection(s.sock) as two:
        for x in (one, two):
            x.send("sleep=600000")
        h.wait_for(lambda: told() == "ready up 87% maxconn:4\n", 10, told)
        assert ctl("agent", "--each", 8).stdout == "ready up 98% maxconn:32\n"
        assert ctl("agent", "--each=0").stdout == "ready up\n"


def test_a_pool_on_demand_counts_at_its_largest(start):
    start("-F", 0, "-N", 8)
    assert told() == "ready up 100% maxconn:8\n"


def test_a_drain_and_the_end(start):
    s = start("-F", 2)
    assert ctl("drain", 600).status == 0
    assert told() == "drain\n"
    assert ctl("resume").status == 0
    assert told().startswith("ready up ")
    with h.Connection(s.sock) as client:
        client.send("sleep=600000")
        h.wait_for(lambda: any(map(h.serves, s.workers())), 5, s.log)
        s.signal(signal.SIGTERM)
        h.wait_for(lambda: told() == "drain\n", 10, told)
        s.signal(signal.SIGINT)
        s.signal(signal.SIGINT)
    s.wait()
    assert told() == "down #no pool runs here (-p names one in another place)\n"


def test_never_up_without_a_way_in(start):
    s = start("-F", 1)
    os.unlink(s.sock)
    h.wait_for(lambda: told().startswith("fail #"), 10, told)


def test_several_pools_have_to_be_told_apart(start):
    start("-F", 1, name="one")
    start("-F", 3, name="two")
    r = ctl("agent")
    assert r.status == 64 and "-p: required" in r.stderr
    assert r.stdout.startswith("fail #-p: required")
    assert told("-p", "two") == "ready up 100% maxconn:3\n"
    r = ctl("agent", "--listen", "127.0.0.1:0")
    assert r.status == 64 and "-p: required" in r.stderr and not r.stdout


def test_by_a_socket_as_of_inetd(start):
    """What HAProxy may send is read, lest the answer be lost with it."""
    start("-F", 2)
    with socket.create_server(("127.0.0.1", 0)) as server, \
            socket.create_connection(server.getsockname()) as client:
        inside, _ = server.accept()
        client.sendall(b"hello\n" * 100)
        with inside:
            p = subprocess.Popen([c.SPAWNCTL, "agent"], stdin=inside,
                                 stdout=inside, env=h.BASE_ENV)
        client.settimeout(10 * h.PATIENCE)
        data = b""
        while part := client.recv(4096):
            data += part
        assert data == b"ready up 100% maxconn:2\n"
        client.close()
        assert p.wait(10 * h.PATIENCE) == 0


def test_a_server_tells_each_client(start):
    s = start("-F", 2)
    with agent("-p", "p") as a:
        for say in (b"", b"p\n", b"x" * 100000):
            assert a.ask(say) == "ready up 100% maxconn:2\n"
        assert s.stop() == 0
        h.wait_for(lambda: a.ask().startswith("down #"), 5, a.ask)
        start("-F", 3)
        h.wait_for(lambda: a.ask() == "ready up 100% maxconn:3\n", 5, a.ask)


def test_a_server_may_be_first(start):
    with agent() as a:
        assert a.ask().startswith("down #no pool runs here")
        start("-F", 1)
        h.wait_for(lambda: a.ask().startswith("ready up"), 5, a.ask)


def test_nobody_keeps_others_from_their_answer(start):
    start("-F", 1)
    with agent() as a, contextlib.ExitStack() as stack:
        held = [stack.enter_context(a.connect()) for _ in range(200)]
        for s in held[:50]:
            with contextlib.suppress(OSError):
                s.sendall(b"x" * 60000)
        began = time.monotonic()
        for _ in range(20):
            assert a.ask() == "ready up 100% maxconn:1\n"
        assert time.monotonic() - began < 5 * h.PATIENCE
        # Each had its line all the same, and no more than some are kept.
        fds = len(os.listdir(f"/proc/{a.proc.pid}/fd"))
        assert fds < 50, fds
        assert held[-1].recv(100) == b"ready up 100% maxconn:1\n"
        # They are hung up on in a moment, and then it rests.
        h.wait_for(lambda: len(os.listdir(f"/proc/{a.proc.pid}/fd")) < 8, 10,
                   "places that are free")


def test_of_a_supervisor_that_is_stopped_nothing_is_said(start):
    s = start("-F", 1)
    with agent("-p", "p") as a:
        assert a.ask().startswith("ready up")
        s.signal(signal.SIGSTOP)
        h.wait_for(lambda: a.ask() == "\n", 20, a.ask)
        s.signal(signal.SIGCONT)
        h.wait_for(lambda: a.ask().startswith("ready up"), 10, a.ask)


@pytest.mark.parametrize("listen, family", [
    ("[::1]:0", socket.AF_INET6), ("127.0.0.2:0", socket.AF_INET)])
def test_an_address_of_either_family(start, listen, family):
    start("-F", 1)
    with agent(listen=listen) as a:
        assert a.ask().startswith("ready up")


def test_only_who_is_allowed_is_answered(start):
    start("-F", 1)
    a = Agent("--allow", "127.0.0.2,10.0.0.0/8", listen="*:0")
    try:
        port = a.address[1]
        for source, answer in (("127.0.0.2", b"ready up"), ("127.0.0.1", b"")):
            with socket.create_connection(("127.0.0.1", port),
                                          10 * h.PATIENCE,
                                          (source, 0)) as s:
                assert s.recv(8) == answer
    finally:
        assert a.end() == 0


def test_any_user_who_may_read_the_status_will_do(start):
    start("-F", 1, "--status-group", "web")
    with agent(user="web") as a:
        assert a.ask() == "ready up 100% maxconn:1\n"
    r = ctl("agent", "--listen", "127.0.0.1:0", user="_app")
    assert r.status == 77 and r.stderr.count("\n") == 1


def test_an_address_in_use_is_69(start):
    with agent() as a:
        r = ctl("agent", "--listen", "127.0.0.1:%d" % a.address[1])
        assert r.status == 69 and r.stderr.count("\n") == 1
        assert "Address already in use" in r.stderr


@pytest.mark.parametrize("words, status", [
    (["--listen", "0.0.0.0:0"], 64), (["--listen", "*:0"], 64),
    (["--listen", "[::]:0"], 64), (["--listen", "10.1.2.3:0"], 64),
    (["--listen", "127.0.0.1"], 64), (["--listen", "127.0.0.1:x"], 64),
    (["--listen", "localhost:0"], 64), (["--listen", "::1:0"], 64),
    (["--listen", "127.0.0.1:65536"], 64), (["--listen"], 64),
    (["--allow", "10.0.0.1"], 64), (["--each", "x"], 64),
    (["--listen", "127.0.0.1:0", "--allow", "x"], 64),
    (["--listen", "127.0.0.1:0", "--allow", "10.0.0.1,"], 64),
    (["--listen", "10.1.2.3:0", "--allow", "10.0.0.1"], 69),
    (["x"], 64), (["--now"], 64)], ids=str)
def test_a_wrong_command_line_is_one_line(words, status):
    r = ctl("agent", *words)
    assert r.status == status and r.stdout == "", r
    assert r.stderr.startswith("spawnctl: ") and r.stderr.count("\n") == 1, r


def test_its_options_are_its_own():
    r = ctl("ping", "--listen", "127.0.0.1:0")
    assert r.status == 64 and "only agent takes it" in r.stderr
