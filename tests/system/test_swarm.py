# SPDX-License-Identifier: ISC
"""Docker Swarm on three nodes, with the recipe's HAProxy: what is lost when the
application is updated, a node is drained, tasks become fewer and more, one is
killed, or all of a node is. By hand, as it needs a root of its own:

    sh tests/system/root.sh build/swarm-root docker.io,iptables,mount,procps
    sh tests/system/run.sh --soak 1 -s test_swarm.py
"""

import collections
import contextlib
import re
import time

import pytest

import harness as h
import recipes
import several
import swarm
from test_recipes import KINDS, NONE, POST_ONLY, Site

PLAIN_ONLY = True
REPLICAS = 3
PATH = "/page?token=%s&log=did-%k-%s&sleep=20&env"


@pytest.fixture(scope="module")
def engine():
    with several.namespaces(recipes.HOSTS), \
            swarm.swarm(recipes.HOSTS) as s:
        yield s


def check(answer, token):
    """Which container it was."""
    assert answer.headers["X-Token"] == token, answer
    return re.search(r"^env HOSTNAME=(\w{12})$", answer.text, re.MULTILINE)[1]


class Front:
    """The recipe's HAProxy, on the first node."""
    program, port = "haproxy", swarm.PORT

    def __init__(self, engine):
        self.log = engine.web_logs


class Stack(Site):
    def __init__(self, engine, front, crew):
        super().__init__(None, None, front, {}, crew)
        self.engine = engine

    def why(self):
        return "\n".join([super().why(), self.engine.why(),
                          self.server.log()[-4000:]])

    def done_twice(self):
        log = "".join(n.logs() for n in self.engine.nodes.values())
        # HAProxy's own log names those that it lost.
        times = collections.Counter(re.findall(r"^did-POST-\w+$", log,
                                               re.MULTILINE))
        assert len(times) > 50
        return sum(n > 1 for n in times.values())

    def until_served(self, number=REPLICAS, without=()):
        """By so many tasks, and by each of them; none is one of these."""
        def right():
            tasks = self.engine.tasks()
            return len(tasks) == number and not set(tasks) & set(without) \
                and tasks
        tasks = h.wait_for(right, 90, self.why, pause=0.5)
        self.crew.seen(tasks)
        return tasks

    @contextlib.contextmanager
    def event(self, what):
        """Says what it has cost, and how long it took."""
        sent = {k: t.sent for k, t in self.crew.tallies.items()}
        before, began = self.crew.lost(), time.monotonic()
        yield
        self.crew.past()
        took = time.monotonic() - began
        print(f"{what}: {took:.0f} s", {
            k: f"{self.crew.lost()[k] - before[k]} of {t.sent - sent[k]}"
            for k, t in self.crew.tallies.items()}, flush=True)


def started(engine):
    h.wait_for(lambda: len(engine.tasks()) == REPLICAS, 90, engine.why,
               pause=0.5)


@contextlib.contextmanager
def crew_of(engine, front, kinds=KINDS):
    with several.Crew(front, PATH, check, kinds) as crew:
        site = Stack(engine, front, crew)
        site.until_served()
        yield site
        assert site.done_twice() == 0, site.why()


@contextlib.contextmanager
def asked(engine, name, once=False):
    address = recipes.HOSTS["one"]
    kinds = {k: (n, {**how, "host": address})
             for k, (n, how) in KINDS.items()}

    def answers():
        with contextlib.suppress(OSError):
            return swarm.fetch(address).status == 200
    with engine.stack(name, once):
        started(engine)
        h.wait_for(answers, 60, engine.why, pause=0.5)
        with crew_of(engine, Front(engine), kinds) as site:
            yield site


class Outside(recipes.HAProxy):
    """Before ports of the nodes, where nobody answers an agent check."""

    def text(self):
        return recipes.substitute(super().text(), 1, r"agent-check .*",
                                  f"maxconn {recipes.WORKERS}")


def of_nodes(stack):
    """The recipe for a web server that is not in the swarm."""
    del stack["services"]["web"], stack["configs"]
    app = stack["services"]["app"]
    app["ports"] = [{"target": 9000, "published": 9000, "mode": "host"}]
    words = app["entrypoint"]
    words[words.index("--allow") + 1] = ",".join(
        map(several.our_address, recipes.HOSTS.values()))
    deploy = app["deploy"]
    deploy["mode"] = "global"
    del deploy["replicas"]
    for what in "update_config", "rollback_config":
        deploy[what]["order"] = "stop-first"


def updated(site, *words):
    """A change of the service, by Swarm's rolling update."""
    engine = site.engine
    old, last = engine.tasks(), engine.updates()
    engine.docker("service", "update", "--detach", "--no-resolve-image",
                  *words, engine.service())

    def complete():
        began, state = engine.updates()
        return began != last[0] and state == "completed"
    h.wait_for(complete, 90, site.why, pause=0.5)
    site.until_served(without=old)
    ended(site)


def other_image(engine):
    return engine.docker("service", "inspect", "-f",
                         "{{.Spec.TaskTemplate.ContainerSpec.Image}}",
                         engine.service()).strip()[:-1] + "2"


def scaled(site, number):
    site.engine.docker("service", "scale", "--detach",
                       f"{site.engine.service()}={number}")
    tasks = site.until_served(number)
    ended(site)
    return tasks


def ended(site):
    """Nothing of it runs that is to stop."""
    h.wait_for(lambda: site.engine.running() == len(site.engine.tasks()), 60,
               site.why, pause=0.5)


@h.soak
def test_updates_and_scaling_lose_nothing(engine):
    """Although HAProxy asks no second task."""
    with asked(engine, "once", once=True) as site:
        with site.event("update of the image"):
            updated(site, "--image", other_image(engine))
        with site.event("update of the environment"):
            updated(site, "--env-add", "EDIT=1")
        with site.event("tasks from 3 to 1 to 3"):
            scaled(site, 1)
            scaled(site, 3)
        assert site.crew.lost() == NONE, site.why()


@h.soak
def test_drained_nodes_lose_nothing(engine):
    """Although HAProxy asks no second task."""
    with asked(engine, "drains", once=True) as site:
        for name in "two", "three":
            with site.event(f"drain of node {name}"):
                old = [t for t in engine.tasks() if t.node.name == name]
                engine.docker("node", "update", "--availability", "drain",
                              name)
                site.until_served(without=old)
                ended(site)
            with site.event(f"node {name} is back"):
                engine.docker("node", "update", "--availability", "active",
                              name)
                updated(site, "--force")
        assert site.crew.lost() == NONE, site.why()


@h.soak
def test_ports_of_the_nodes(engine):
    """HAProxy is told of nothing, and has to ask another node."""
    with engine.stack("nodes", change=of_nodes):
        started(engine)
        with Outside() as front, crew_of(engine, front) as site:
            with site.event("update of the image"):
                updated(site, "--image", other_image(engine))
            with site.event("drain of node two"):
                old = [t for t in engine.tasks() if t.node.name == "two"]
                engine.docker("node", "update", "--availability", "drain",
                              "two")
                site.until_served(REPLICAS - 1, without=old)
                ended(site)
            with site.event("node two is back"):
                engine.docker("node", "update", "--availability", "active",
                              "two")
                site.until_served()
            assert site.crew.lost() == NONE, site.why()


@h.soak
def test_what_a_kill_costs(engine):
    """At most what the task was working on."""
    with asked(engine, "kills") as site:
        def elsewhere():
            return [t for t in engine.tasks() if t.node.name != "one"][0]

        with site.event("kill -9 of a supervisor"):
            task = elsewhere()
            site.assert_lost_by(task.kill, POST_ONLY)
            site.until_served(without=[task])

        with site.event("kill of a container"):
            task = elsewhere()

            def kill_container():
                task.node.docker("kill", task.container)
            site.assert_lost_by(kill_container, POST_ONLY)
            site.until_served(without=[task])

        with site.event("docker stop of a container"):
            task = elsewhere()

            def stop_container():
                task.node.docker("stop", "-t", 40, task.container)
            site.assert_lost_by(stop_container, NONE)
            site.until_served(without=[task])

        with site.event("kill of all of a node"):
            task = elsewhere()
            site.assert_lost_by(task.node.kill, POST_ONLY)
            site.until_served(without=[task])
            task.node.boot()
            h.wait_for(engine.ready, 60, site.why)
