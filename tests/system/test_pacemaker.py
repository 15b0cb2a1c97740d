# SPDX-License-Identifier: ISC
"""The resource agent of scripts/recipes/pacemaker, each action of it as
Pacemaker calls it, with real pools. What a cluster does with it is shown by
test_cluster.py."""

import contextlib
import os
import shutil
import signal
import subprocess
import xml.etree.ElementTree

import pytest

import harness as h
from ctl import ctl
from test_scripts import SAMPLES, gone, put, run

PLAIN_ONLY = True
SUCCESS, GENERIC, ARGS, UNIMPLEMENTED, INSTALLED, CONFIGURED, NOT_RUNNING = \
    0, 1, 2, 3, 5, 6, 7
REASON = "ocf-exit-reason:"
ACTIONS = {"start", "stop", "monitor", "validate-all", "meta-data"}


@pytest.fixture(scope="module")
def installed():
    """A directory as an installation."""
    place = h.new_place()
    run("sh", f"{SAMPLES}/install.sh", place, h.SPAWND)
    h.install(h.app("echo"), f"{place}/echo")
    os.mkdir(f"{place}/socket")
    yield place
    shutil.rmtree(place)


class Agent:
    """Of the pool `pool`."""

    def __init__(self, place):
        self.place, self.path = place, f"{place}/ocf/pool"
        self.socket = f"{place}/socket/s"
        self.pidfile = f"{place}/run/spawnd-pool.pid"
        self.configure()

    def configure(self, options="", program=None):
        put(f"{self.place}/etc/spawnd/pool.conf",
            f"SPAWND_OPTS=-s {self.socket} -u _app -F 2 {options}\n"
            f"SPAWND_APP={program or self.place + '/echo'}\n")

    def environment(self, pool="pool", timeout=60):
        """As Pacemaker gives it, with the seconds it allows the action."""
        return {"OCF_ROOT": "/usr/lib/ocf", "OCF_RESOURCE_INSTANCE": "pool",
                "OCF_RESKEY_CRM_meta_timeout": str(timeout * 1000),
                **({} if pool is None else {"OCF_RESKEY_pool": pool})}

    def __call__(self, action, **how):
        return run(self.path, action, env=self.environment(**how))

    def does(self, action, status, **how):
        """Why, if it says so."""
        r = self(action, **how)
        assert r.status == status, (action, r)
        said = [x for x in r.stderr.splitlines() if x.startswith(REASON)]
        assert len(said) == (status in (GENERIC, ARGS, INSTALLED, CONFIGURED))
        return said[0][len(REASON):] if said else ""

    @contextlib.contextmanager
    def meanwhile(self, action, **how):
        """It runs; and has succeeded at the end."""
        with subprocess.Popen([self.path, action], start_new_session=True,
                              env=h.BASE_ENV | self.environment(**how)) as p:
            try:
                yield
                assert p.wait(20 * h.PATIENCE) == SUCCESS
            finally:
                h.end_session(p.pid)

    def pid(self):
        with open(self.pidfile, encoding="ascii") as f:
            return int(f.read())

    def answers(self):
        return h.request(self.socket).status == 200

    def end(self):
        with contextlib.suppress(FileNotFoundError, ValueError):
            # Emptied by a clean end.
            pid = self.pid()
            if h.stat(pid) and h.stat(pid).comm == "spawnd":
                h.kill(pid)
                gone(pid)


@pytest.fixture
def agent(installed):
    a = Agent(installed)
    yield a
    a.end()


def test_start_monitor_stop(agent):
    """Each may be called again, and finds what it is to bring about."""
    agent.does("validate-all", SUCCESS)
    agent.does("monitor", NOT_RUNNING)
    agent.does("stop", SUCCESS)
    agent.does("start", SUCCESS)
    pid, workers = agent.pid(), h.children(agent.pid())
    assert agent.answers()
    for action in "monitor", "start", "validate-all":
        agent.does(action, SUCCESS)
    assert agent.pid() == pid
    agent.does("stop", SUCCESS)
    assert not any(map(h.alive, [pid, *workers]))
    agent.does("stop", SUCCESS)
    agent.does("monitor", NOT_RUNNING)


def test_a_stop_drains_first(agent):
    agent.configure("--drain 1000")
    agent.does("start", SUCCESS)
    with agent.meanwhile("stop", timeout=2000):
        h.wait_for(lambda: ctl("-p", "pool", "agent").stdout == "drain\n", 10,
                   "the announcement")
        assert agent.answers()
        agent.does("monitor", SUCCESS)
        os.kill(agent.pid(), signal.SIGTERM)
    agent.does("monitor", NOT_RUNNING)


def test_a_pool_that_is_drained_by_hand_is_left_alone(agent):
    agent.does("start", SUCCESS)
    assert ctl("-p", "pool", "drain").status == 0
    agent.does("monitor", SUCCESS)
    agent.does("start", SUCCESS)
    assert ctl("-p", "pool", "agent").stdout == "drain\n"


def test_a_pool_without_a_way_in_fails_and_is_stopped_at_once(agent):
    """Nobody is sent to it: it has nothing to announce."""
    agent.configure("--drain 1000")
    agent.does("start", SUCCESS)
    os.unlink(agent.socket)
    assert "its file was removed" in agent.does("monitor", GENERIC)
    r = agent("stop")
    assert (r.status, r.stderr) == (SUCCESS, ""), r
    agent.does("start", SUCCESS)
    assert agent.answers()


def test_a_worker_that_is_replaced_is_waited_for(agent):
    put(f"{agent.place}/slow", "#!/bin/sh\n"
        f"[ ! -p {agent.place}/wait ] || read -r x <{agent.place}/wait\n"
        f"exec {agent.place}/echo\n")
    os.chmod(f"{agent.place}/slow", 0o755)
    agent.configure("-F 1", f"{agent.place}/slow")
    agent.does("start", SUCCESS)
    os.mkfifo(f"{agent.place}/wait")
    os.chmod(f"{agent.place}/wait", 0o666)
    worker, = h.children(agent.pid())
    h.kill(worker)
    h.wait_for(lambda: "fail" in ctl("-p", "pool", "agent").stdout, 10)
    with agent.meanwhile("monitor"), \
            open(f"{agent.place}/wait", "w", encoding="ascii") as f:
        f.write("\n")


def test_a_supervisor_that_was_killed_does_not_run(agent):
    agent.does("start", SUCCESS)
    pid = agent.pid()
    h.kill(pid)
    gone(pid)
    agent.does("monitor", NOT_RUNNING)
    agent.does("stop", SUCCESS)
    agent.does("start", SUCCESS)
    assert agent.pid() != pid and agent.answers()


def test_one_that_does_not_end_is_killed(agent):
    """Before Pacemaker gives the stop up and fences the node."""
    agent.does("start", SUCCESS)
    pid, workers = agent.pid(), h.children(agent.pid())
    os.kill(pid, signal.SIGSTOP)
    assert agent.does("monitor", GENERIC, timeout=6)
    r = agent("stop", timeout=6)
    assert r.status == SUCCESS and "killed" in r.stderr, r
    assert not any(map(h.alive, [pid, *workers]))
    agent.does("start", SUCCESS)


def test_a_take_over_is_not_seen(agent):
    agent.does("start", SUCCESS)
    pid = agent.pid()
    agent.configure("-F 3")
    with subprocess.Popen(
            [f"{agent.place}/libexec/spawnd/service", "restart", "pool"],
            env=h.BASE_ENV, stdout=subprocess.DEVNULL) as other:
        while other.poll() is None:
            agent.does("monitor", SUCCESS)
        assert other.returncode == 0
    agent.does("monitor", SUCCESS)
    assert agent.pid() != pid and len(h.children(agent.pid())) == 3
    agent.does("stop", SUCCESS)


@pytest.mark.parametrize("pool, status", [
    (None, CONFIGURED), ("", CONFIGURED), ("a/b", CONFIGURED),
    ("other", INSTALLED)])
def test_a_wrong_name_is_told_from_one_without_a_file(agent, pool, status):
    for action in "start", "validate-all":
        assert agent.does(action, status, pool=pool)
    # A probe and a clean-up go everywhere, also to where the pool cannot be.
    if status == INSTALLED:
        agent.does("monitor", NOT_RUNNING, pool=pool)
        agent.does("stop", SUCCESS, pool=pool)


@pytest.mark.parametrize("options, program, why", [
    ("'", None, "quotes"), ("-F many", None, "many"),
    ("--control none", None, "--control"),
    ("", "/nonexistent/app", "/nonexistent/app")])
def test_what_cannot_work_on_this_node_is_not_tried_again(agent, options,
                                                          program, why):
    agent.configure(options, program)
    for action in "start", "validate-all":
        assert why in agent.does(action, ARGS)
    agent.does("monitor", NOT_RUNNING)


def test_an_application_that_fails_may_be_tried_again(agent):
    agent.configure("", h.app("fail"))
    assert "69" in agent.does("start", GENERIC)
    agent.does("monitor", NOT_RUNNING)


def test_without_its_programs_it_is_not_installed(agent):
    directory = f"{agent.place}/libexec/spawnd"
    os.rename(directory, directory + ".gone")
    try:
        assert "readconf.sh" in agent.does("start", INSTALLED)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(agent.pidfile)
        agent.does("monitor", NOT_RUNNING)
        agent.does("stop", SUCCESS)
    finally:
        os.rename(directory + ".gone", directory)


def test_its_description_has_the_actions_that_it_knows(agent):
    r = agent("meta-data", pool=None)
    assert r.status == SUCCESS and not r.stderr
    top = xml.etree.ElementTree.fromstring(r.stdout)
    assert {a.get("name") for a in top.iter("action")} == ACTIONS
    assert {p.get("name") for p in top.iter("parameter")} == {"pool"}
    for action in "", "promote", "reload", "notify":
        agent.does(action, UNIMPLEMENTED)
