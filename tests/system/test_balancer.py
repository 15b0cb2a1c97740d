# SPDX-License-Identifier: ISC
"""HAProxy before pools on three hosts, with the recipe's configuration and an
agent on each: what a stop with a drain costs, and what HAProxy makes of what an
agent says. test_recipes.py has the rest."""

import signal

import pytest

import harness as h
import recipes
import several
from ctl import ctl

PLAIN_ONLY = True
CLIENTS = 9
REQUESTS = 600
PATH = "/page?token=%s&pid&sleep=20"
WAYS = pytest.mark.parametrize("how", [{}, {"method": "POST", "body": b"x"}],
                               ids=["GET", "POST"])


@pytest.fixture(scope="module")
def hosts():
    with several.namespaces(recipes.HOSTS):
        yield


@pytest.fixture
def bare(hosts, spawnd):
    """A balancer that asks once."""
    with recipes.before(recipes.HAProxy.once, spawnd) as both:
        yield both


@pytest.fixture
def site(hosts, spawnd):
    with recipes.before(recipes.HAProxy, spawnd) as both:
        yield both


def load_during(server, pools, change, how):
    return several.load_during(server, pools.values(), change, recipes.check,
                               CLIENTS, REQUESTS, PATH, **how)


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


def test_haproxy_does_what_the_agent_says(site, spawnd):
    server, pools = site

    def one(key):
        return server.rows()["one"][key]

    def becomes(key, value):
        h.wait_for(lambda: one(key).startswith(value), 15,
                   lambda: repr(server.rows()["one"]))
    becomes("status", "UP")
    becomes("slim", str(recipes.WORKERS))
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
    pools["one"] = recipes.start(spawnd, "one")
    becomes("status", "UP")
    becomes("slim", str(recipes.WORKERS))
