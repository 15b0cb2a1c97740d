# SPDX-License-Identifier: ISC
"""One listen socket for IPv4 and IPv6: where it listens, what it is called,
and what is seen of clients of either family."""

import contextlib
import errno
import platform
import socket
import sys

import pytest

import harness as h
from ctl import ctl, figures

EX_CANTCREAT, EX_CONFIG = 73, 78
BOTH = ["127.0.0.1", "::1"]
BINDV6ONLY = "/proc/sys/net/ipv6/bindv6only"
# The numbers of socket(2) and setsockopt(2).
SOCKET, SETSOCKOPT = {"x86_64": (41, 54), "aarch64": (198, 208)}[
    platform.machine()]


def no_ipv6():
    h.forbid_call(SOCKET, errno.EAFNOSUPPORT, a0=socket.AF_INET6)


def none_for_both():
    """As OpenBSD has it."""
    h.forbid_call(SETSOCKOPT, errno.EINVAL, a1=socket.IPPROTO_IPV6,
                  a2=socket.IPV6_V6ONLY)


@contextlib.contextmanager
def setting(path, value):
    with open(path, encoding="ascii") as f:
        before = f.read()
    try:
        with open(path, "w", encoding="ascii") as f:
            f.write(value)
        yield
    finally:
        with open(path, "w", encoding="ascii") as f:
            f.write(before)


def pool(spawnd, port, *options, **kw):
    return spawnd("-a", "*", "-p", port, "-u", "www", "--name", "p",
                  *options, "--", h.app("echo"), **kw)


@pytest.mark.parametrize("only", ["0", "1"])
def test_it_listens_for_both_however_the_system_is_set(spawnd, only):
    port = h.free_port()
    with setting(BINDV6ONLY, only):
        s = pool(spawnd, port, "-F", 1)
    s.wait_log(rf"ready on tcp:\*:{port}\b")
    for address in [*BOTH, "127.0.0.3"]:
        assert h.request((address, port), "pid").status == 200


def test_it_is_called_the_same_everywhere(spawnd):
    port = h.free_port()
    s = pool(spawnd, port, "-F", 1)
    assert f"tcp:*:{port}" in s.log()
    for form in ([], ["--json"], ["--openmetrics"]):
        out = ctl("-p", "p", "status", *form).stdout
        assert f"tcp:*:{port}" in out, out
    test = h.run_spawnd("-t", "-a", "*", "-p", port, "-u", "www", "--",
                        h.app("echo"))
    assert f"socket: tcp:*:{port}\n" in test.stdout


@pytest.mark.parametrize("only", ["0", "1"])
def test_two_colons_are_ipv6_alone(spawnd, only):
    port = h.free_port()
    with setting(BINDV6ONLY, only):
        s = spawnd("-a", "::", "-p", port, "-u", "www", "-F", 1, "--",
                   h.app("echo"))
    s.wait_log(rf"ready on tcp:\[::\]:{port}\b")
    assert h.request(("::1", port), "pid").status == 200
    with pytest.raises(h.FcgiError) as e:
        h.request(("127.0.0.1", port))
    assert e.value.kind == "refused"


@pytest.mark.parametrize("daemon", [False, True])
def test_without_ipv6_it_is_ipv4_which_is_said(spawnd, daemon):
    port = h.free_port()
    s = pool(spawnd, port, "-F", 1, become=no_ipv6, daemon=daemon)
    assert "spawnd: -a: *: there is no IPv6 here: IPv4 alone\n" in s.log()
    assert f"ready on tcp:0.0.0.0:{port}" in s.log()
    assert h.request(("127.0.0.3", port), "pid").status == 200
    test = h.run_spawnd("-t", "-a", "*", "-p", port, "-u", "www", "--",
                        h.app("echo"), become=no_ipv6)
    assert "\nnote: -a: *: there is no IPv6 here: IPv4 alone\n" in test.stdout


def test_ipv6_alone_without_ipv6_is_an_error():
    result = h.run_spawnd("-n", "-a", "::", "-p", "9000", "-u", "www", "--",
                          h.app("echo"), become=no_ipv6)
    assert result.status == EX_CANTCREAT
    assert h.line_of(result).startswith("spawnd: bind: tcp:[::]:9000: Address "
                                        "family not supported")


def test_where_no_socket_is_for_both_it_says_what_to_do():
    # Linux has the option off; there it is on.
    with setting(BINDV6ONLY, "1"):
        result = h.run_spawnd("-n", "--address", "*", "-p", "9000", "-u",
                              "www", "--", h.app("echo"),
                              become=none_for_both)
    assert result.status == EX_CONFIG
    assert h.line_of(result) == (
        "spawnd: --address: *: no socket is for both IPv4 and IPv6 on this "
        "system (start two pools, with --address 0.0.0.0 and --address ::)")


@pytest.mark.parametrize("taken", [*BOTH, "0.0.0.0", "::", "*"])
def test_either_family_in_use_is_seen(taken):
    """By the start, and by a test, which does not disturb who listens."""
    family = socket.AF_INET if "." in taken else socket.AF_INET6
    args = ["-a", "*", "-u", "www", "--", h.app("echo")]
    with socket.socket(family) as s:
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY,
                         taken != "*")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((taken if taken != "*" else "::", 0))
        s.listen()
        port = s.getsockname()[1]
        start = h.run_spawnd("-n", "-p", port, *args)
        test = h.run_spawnd("-t", "-p", port, *args)
        reach = "127.0.0.1" if "." in taken or taken == "*" else "::1"
        with socket.create_connection((reach, port)):
            s.accept()[0].close()
    line = f"bind: tcp:*:{port}: in use by another process"
    assert start.status == EX_CANTCREAT
    assert h.line_of(start) == f"spawnd: {line}"
    assert test.status == 0
    assert f"\nnote: {line} (a start fails until that has ended)\n" in \
        test.stdout


def test_ipv4_in_use_is_no_matter_to_ipv6_alone(spawnd):
    with socket.socket() as s:
        s.bind(("0.0.0.0", 0))
        s.listen()
        port = s.getsockname()[1]
        args = ["-a", "::", "-p", port, "-u", "www", "-F", 1, "--",
                h.app("echo")]
        assert "in use" not in h.run_spawnd("-t", *args).stdout
        spawnd(*args)
        assert h.request(("::1", port), "pid").status == 200


def test_clients_of_both_are_busy_and_in_the_queue(spawnd):
    """Two workers have one client of each, and so has the queue."""
    port = h.free_port()
    pool(spawnd, port, "-F", 2)
    clients = []
    for address in BOTH + BOTH + ["127.0.0.2"]:
        c = h.Connection((address, port))
        clients.append(c)
        c.send("sleep=60000")
        want = {1: ("1", "0"), 2: ("2", "0"), 3: ("2", "1"), 4: ("2", "2"),
                5: ("2", "3")}[len(clients)]

        def seen():
            f = figures("p")
            return f["sum"]["busy"], f["queue"]["now"]
        h.wait_for(lambda w=want: seen() == w, 10,
                   lambda a=address: f"{a}: {seen()} instead of {want}")
    assert figures("p")["connections"]["now"] == "2"
    for c in clients:
        c.close()


@pytest.mark.parametrize("address", BOTH)
def test_an_adaptive_pool_grows_for_either(spawnd, address):
    port = h.free_port()
    s = pool(spawnd, port, "-F", 1, "-N", 4)
    clients = [h.Connection((address, port)) for _ in range(4)]
    for c in clients:
        c.send("hold")
    s.wait_workers(4)
    h.let_go(s.workers(), 4)
    for c in clients:
        assert c.receive().status == 200
        c.close()


def test_a_reload_and_a_stop_lose_nobody_of_either(spawnd):
    port = h.free_port()
    s = pool(spawnd, port, "-F", 3)
    loads = [h.Load((a, port), threads=3, query="sleep=5") for a in BOTH]
    for load in loads:
        load.start()
    for _ in range(2):
        old = s.workers()
        assert ctl("-p", "p", "reload", deadline=60).status == 0
        assert not set(s.workers()) & set(old)
    for load in loads:
        load.stop()
        assert load.answered > 0 and not load.failed, load
    held = [h.Connection((a, port)) for a in BOTH]
    for c in held:
        c.send("hold")
    h.wait_for(lambda: figures("p")["connections"]["now"] == "2", 10)
    s.signal(15)
    h.let_go(s.workers(), 2)
    for c in held:
        assert c.receive().status == 200
    assert s.wait() == 0


# A socket that somebody else has made

PARENT = """
import os, socket, sys
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(sys.argv[1]))
s.bind((sys.argv[2], int(sys.argv[3])))
s.listen()
os.dup2(s.fileno(), 0)
os.execv(sys.argv[4], sys.argv[4:])
"""


@pytest.mark.parametrize("only, address, name, reached", [
    (0, "::", "*", BOTH), (1, "::", "[::]", ["::1"]),
    (0, "::1", "[::1]", ["::1"]),
    (0, "::ffff:127.0.0.1", "[::ffff:127.0.0.1]", ["127.0.0.1"])])
def test_an_inherited_socket_is_called_what_it_is(spawnd, only, address,
                                                   name, reached):
    port = h.free_port()
    wrap = [sys.executable, "-c", PARENT, str(only), address, str(port)]
    s = spawnd("-u", "www", "-F", 1, "--", h.app("echo"), wrap=wrap)
    assert f"ready on tcp:{name}:{port} (passed in)," in s.log()
    for where in BOTH:
        if where in reached:
            assert h.request((where, port), "pid").status == 200
            continue
        with pytest.raises(h.FcgiError) as e:
            h.request((where, port))
        assert e.value.kind == "refused"
