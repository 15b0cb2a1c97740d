# SPDX-License-Identifier: ISC
"""HAProxy before pools on three hosts, with the recipe's configuration and an
agent on each: what a stop, a drain and a kill cost."""

import contextlib
import csv
import os
import re
import signal
import socket

import pytest

import harness as h
import several
import web
from ctl import ctl
from test_agent import Agent

PLAIN_ONLY = True
HOSTS = {"one": "10.213.1.2", "two": "10.213.2.2", "three": "10.213.3.2"}
RECIPE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                      "scripts", "recipes", "haproxy", "haproxy.cfg")
WORKERS = 4
CLIENTS = 9
REQUESTS = 600
PATH = "/page?token=%s&pid&sleep=20"
WAYS = pytest.mark.parametrize("how", [{}, {"method": "POST", "body": b"x"}],
                               ids=["GET", "POST"])


class HAProxy(web.WebServer):
    program = "haproxy"
    retries = True

    def config(self):
        with open(RECIPE, encoding="ascii") as f:
            text = f.read()
        text, n = re.subn("bind :80", f"bind 127.0.0.1:{self.port}", text)
        assert n == 1
        for name, address in HOSTS.items():
            text, n = re.subn(rf"server {name} \S+:",
                              f"server {name} {address}:", text)
            assert n == 1
        if not self.retries:
            text, n = re.subn(r"\t(retries|option redispatch|retry-on) .*\n",
                              "", text)
            assert n == 3
            text = text.replace("\tuse-fcgi-app", "\tretries 0\n"
                                "\tuse-fcgi-app")
        self.stats = f"{self.dir}/stats"
        return f"""\
global
	user {self.user}
	stats socket {self.stats} level admin
defaults
	mode http
	timeout client 60s
	timeout server 60s
""" + text

    def command(self, conf):
        return ["/usr/sbin/haproxy", "-db", "-f", conf]

    def rows(self):
        """{server: its row of the statistics}"""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10 * h.PATIENCE)
            try:
                s.connect(self.stats)
            except (FileNotFoundError, ConnectionRefusedError):
                return {}           # it begins
            s.sendall(b"show stat\n")
            data = b""
            while part := s.recv(65536):
                data += part
        table = csv.DictReader(data.decode().lstrip("# ").splitlines())
        return {r["svname"]: r for r in table if r["pxname"] == "app"}


class NoRetries(HAProxy):
    retries = False


@pytest.fixture(scope="module")
def hosts():
    with several.namespaces(HOSTS):
        yield HOSTS


@contextlib.contextmanager
def before(kind, spawnd):
    """The balancer, and the pools by name."""
    with contextlib.ExitStack() as stack:
        pools = {}
        for name, address in HOSTS.items():
            us = several.our_address(address)
            pools[name] = start(spawnd, name)
            a = Agent("-p", name, "--allow", us, listen=f"{address}:9707",
                      wrap=several.inside(name))
            stack.callback(a.end)
        server = stack.enter_context(kind("tcp:127.0.0.1:1", "/", "web"))
        h.wait_for(lambda: {name for name, row in server.rows().items()
                            if row["agent_status"] == "L7OK"} >= set(HOSTS),
                   10, lambda: repr(server.rows()))
        yield server, pools


def start(spawnd, name):
    address = HOSTS[name]
    return spawnd("-a", address, "-p", 9000, "-u", "www", "-F", WORKERS,
                  "--allow", several.our_address(address), "--stop-timeout", 5,
                  "--name", name, "--", h.app("echo"),
                  wrap=several.inside(name))


@pytest.fixture
def bare(hosts, spawnd):
    """A balancer that asks once."""
    with before(NoRetries, spawnd) as both:
        yield both


@pytest.fixture
def site(hosts, spawnd):
    with before(HAProxy, spawnd) as both:
        yield both


def check(answer, token):
    assert answer.headers["X-Token"] == token, answer
    return int(answer.headers["X-Pid"])


def load_during(server, pools, change, how):
    return several.load_during(server, pools.values(), change, check, CLIENTS,
                               REQUESTS, PATH, **how)


@WAYS
def test_a_stop_that_is_announced_loses_nothing(bare, how):
    """Although nothing is asked for twice."""
    server, pools = bare

    def change(_tally):
        r = ctl("-p", "one", "stop", "--drain", 2)
        assert r.status == 0, r
        assert pools["one"].wait() == 0
    tally = load_during(server, pools, change, how)
    assert tally.lost == 0, (tally, server.log()[-2000:], pools["one"].log())


def test_one_that_is_not_loses_some(bare):
    """Else the test above would show nothing."""
    server, pools = bare
    tally = load_during(server, pools, lambda _: pools["one"].stop(),
                        {"method": "POST", "body": b"x"})
    assert tally.lost > 0


@WAYS
def test_with_retries_a_stop_loses_nothing(site, how):
    server, pools = site
    tally = load_during(server, pools, lambda _: pools["one"].stop(), how)
    assert tally.lost == 0, (tally, server.log()[-2000:], pools["one"].log())


@WAYS
def test_a_kill_loses_what_was_in_work_at_most(site, how):
    """And what came in while the host's processes ended: one of a client."""
    server, pools = site
    workers = pools["one"].workers()

    def change(_tally):
        h.kill(pools["one"].pid)
        h.wait_for(lambda: not any(map(h.alive, workers)), 10, "their end")
    tally = load_during(server, pools, change, how)
    assert tally.lost <= (CLIENTS if how else 0), (tally,
                                                   server.log()[-2000:])


def test_haproxy_does_what_the_agent_says(site, spawnd):
    server, pools = site

    def one(key):
        return server.rows()["one"][key]

    def becomes(key, value):
        h.wait_for(lambda: one(key).startswith(value), 15,
                   lambda: repr(server.rows()["one"]))
    becomes("status", "UP")
    becomes("slim", str(WORKERS))
    becomes("weight", "100")
    becomes("check_status", "L4OK")
    assert ctl("-p", "one", "drain").status == 0
    becomes("status", "DRAIN")
    assert ctl("-p", "one", "resume").status == 0
    becomes("status", "UP")
    assert ctl("-p", "one", "scale", 2).status == 0
    becomes("slim", "2")
    # What does not answer may serve all the same.
    pools["one"].signal(signal.SIGSTOP)
    h.pass_time(2)
    assert (one("status"), one("chkdown")) == ("UP", "0"), one("agent_status")
    pools["one"].signal(signal.SIGCONT)
    assert pools["one"].stop() == 0
    becomes("status", "DOWN")
    pools["one"] = start(spawnd, "one")
    becomes("status", "UP")
    becomes("slim", str(WORKERS))
