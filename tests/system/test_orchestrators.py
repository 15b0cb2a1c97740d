# SPDX-License-Identifier: ISC
"""What the files of scripts/recipes/swarm and kubernetes have a container do,
outside of one: with the capabilities that they leave, as process of root."""

import os
import re
import signal

import pytest
import yaml

import harness as h
import recipes
from ctl import ctl

PLAIN_ONLY = True
PORT = 9000


class Swarm:
    def __init__(self):
        app = read("swarm/stack.yml")[0]["services"]["app"]
        self.argv = app["entrypoint"]
        self.probe = app["healthcheck"]["test"][1:]
        self.user = app["user"]
        self.drop, self.add = app["cap_drop"], app["cap_add"]
        self.grace = int(re.fullmatch(r"(\d+)s", app["stop_grace_period"])[1])


class Kubernetes:
    def __init__(self):
        pod = read("kubernetes/app.yaml")[0]["spec"]["template"]["spec"]
        app, = pod["containers"]
        self.argv = app["command"]
        self.probe = app["readinessProbe"]["exec"]["command"]
        rights = app["securityContext"]
        self.user = f"{rights['runAsUser']}:0"
        self.drop = rights["capabilities"]["drop"]
        self.add = rights["capabilities"]["add"]
        self.grace = pod["terminationGracePeriodSeconds"]


def read(name):
    with open(os.path.join(recipes.RECIPES, name), encoding="ascii") as f:
        return list(yaml.safe_load_all(f))


@pytest.fixture(params=[Swarm, Kubernetes], ids=lambda k: k.__name__)
def recipe(request):
    r = request.param()
    assert r.argv[0] == "/spawnd" and r.argv[-1] == "/app"
    r.words = [*r.argv[1:-1], h.app("static")]
    r.option = dict(zip(r.words, r.words[1:]))
    assert r.drop == ["ALL"] and r.user == "0:0"
    kept = ",".join("+" + name.lower() for name in r.add)
    r.wrap = ["setpriv", "--inh-caps", "-all", "--bounding-set",
              "-all," + kept]
    return r


def test_its_command_line_is_right(recipe):
    r = h.run_spawnd("--test=strict", *recipe.words, wrap=recipe.wrap)
    assert r.status == 0, r


def test_it_drains_within_the_time_that_it_is_given(recipe, spawnd):
    longest = int(recipe.option["--drain"]) + \
        int(recipe.option["--stop-timeout"])
    assert longest < recipe.grace
    s = spawnd(*recipe.words, wrap=recipe.wrap)
    for pid in s.workers():
        assert set(h.caps(pid).values()) == {0}
        assert h.ids(pid, "Uid") == [65534] * 4
    program, *probe = recipe.probe
    assert program == "/spawnctl"
    assert ctl(*probe).status == 0
    s.signal(signal.SIGTERM)
    h.wait_for(lambda: ctl(*probe).status == 75, 5)
    # What Kubernetes asks whether it lives.
    assert ctl("status").status == 0
    s.signal(signal.SIGTERM)
    assert s.wait() == 0
