# SPDX-License-Identifier: ISC
"""Pacemaker on three nodes, behind HAProxy: what is lost when a node is taken
out, pools become fewer and more, one is killed, or all of a node is. By hand,
as it needs a root of its own:

    sh tests/system/root.sh build/cluster-root corosync,pacemaker,\\
        pacemaker-cli-utils,resource-agents,libxml2-utils
    sh tests/system/run.sh --soak 1 -s test_cluster.py
"""

import contextlib
import os
import signal
import time

import pytest

import cluster
import harness as h
import recipes
import several
from test_recipes import KINDS, NONE, POST_ONLY, Site

PLAIN_ONLY = True


@pytest.fixture(scope="module")
def nodes():
    with several.namespaces(recipes.HOSTS), \
            cluster.cluster(recipes.HOSTS) as all_nodes:
        yield all_nodes


@contextlib.contextmanager
def asked(nodes, kind):
    path = "/page?token=%s&log=did-%k-%s&sleep=20&pid"
    with kind() as server:
        h.wait_for(lambda: sum(r["status"].startswith("UP") and
                               r["agent_status"] == "L7OK"
                               for r in server.rows().values()) ==
                   len(nodes), 60, lambda: repr(server.rows()))
        with several.Crew(server, path, recipes.check, KINDS) as crew:
            site = Site(kind, None, server, nodes, crew)
            crew.seen(nodes.values())
            yield site
            assert site.done_twice() == 0, site.why()


def until_ended(site, what, pids):
    began = time.monotonic()
    h.wait_for(lambda: not any(map(h.alive, pids)), 60, site.why)
    print(f"{what}: stopped after {time.monotonic() - began:.1f} s")


def until_served(site, what, nodes):
    began = time.monotonic()
    h.wait_for(lambda: all(len(n.workers()) == recipes.WORKERS for n in nodes),
               60, lambda: site.why() + nodes[0].log()[-4000:])
    site.crew.seen(nodes)
    print(f"{what}: serves again after {time.monotonic() - began:.1f} s, lost "
          f"{site.crew.lost()}")


@h.soak
def test_the_agent_passes_ocf_tester(nodes):
    """On a node that the cluster leaves alone for it."""
    one, two, _ = nodes.values()
    pids = one.workers()
    two.run("crm_standby", "-N", "one", "-v", "on")
    h.wait_for(lambda: not any(map(h.alive, pids)), 60, one.log)
    r = one.run("ocf-tester", "-n", "app", "-o", "pool=app",
                "/usr/lib/ocf/resource.d/spawnd/pool", check=False)
    print(r.stdout, r.stderr)
    assert r.returncode == 0 and "passed all tests" in r.stdout
    two.run("crm_standby", "-N", "one", "-v", "off")


def clone_max(node, number):
    node.run("crm_resource", "--resource", "pools", "--meta",
             "--set-parameter", "clone-max", "--parameter-value", str(number))


@h.soak
def test_what_is_planned_loses_nothing(nodes):
    """Although HAProxy asks no second host."""
    with asked(nodes, recipes.HAProxyOnce) as site:
        one, *others = nodes.values()
        for node in nodes.values():
            old = node.workers()
            one.run("crm_standby", "-N", node.name, "-v", "on")
            until_ended(site, f"standby of {node.name}", old)
            one.run("crm_standby", "-N", node.name, "-v", "off")
            until_served(site, f"standby of {node.name}", [node])

        for node in nodes.values():
            node.run("spawnctl", "-p", "app", "restart")
            until_served(site, f"restart of {node.name}", [node])

        old = {n.name: n.workers() for n in nodes.values()}
        clone_max(one, 1)
        h.wait_for(lambda: sum(any(map(h.alive, pids))
                               for pids in old.values()) == 1, 60, one.log)
        print("one pool is left")
        clone_max(one, 3)
        until_served(site, "three pools", list(nodes.values()))

        node = others[0]
        old = node.workers()
        daemon, = [pid for pid in several.pids(node.name)
                   if h.stat(pid).comm == "pacemakerd"]
        os.kill(daemon, signal.SIGTERM)
        until_ended(site, "Pacemaker's end", [daemon, *old])
        node.run("sh", "-c", "setsid pacemakerd >/dev/null 2>&1 &")
        until_served(site, "Pacemaker's start", [node])
        assert site.crew.lost() == NONE, site.why()
    assert "Failed" not in one.run("crm_mon", "-1").stdout


@h.soak
def test_what_a_kill_costs(nodes):
    """At most what the host was working on."""
    with asked(nodes, recipes.HAProxy) as site:
        one, two, _ = nodes.values()

        def kill_supervisor():
            workers = one.workers()
            h.kill(one.supervisor())
            h.wait_for(lambda: not any(map(h.alive, workers)), 10, site.why)

        site.assert_lost_by(kill_supervisor, POST_ONLY)
        until_served(site, "kill of a supervisor", [one])

        site.assert_lost_by(two.kill, POST_ONLY)
        print(f"kill of all of a node: lost {site.crew.lost()}")
        two.boot()
        until_served(site, "kill of all of a node", [two])
        print(one.run("crm_mon", "-1").stdout)
