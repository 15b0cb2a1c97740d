# SPDX-License-Identifier: ISC
"""Monitors: the alerts for Prometheus and the dashboard for Grafana, by series
that are made up and by pools with which just that is wrong."""

import contextlib
import json
import os
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import pytest

import ctl as c
import harness as h
import monitors
from ctl import ctl
from monitors import TOP, example, text_of

RULES = os.path.join(TOP, "scripts", "prometheus", "spawnd.rules.yml")
DASHBOARD = os.path.join(TOP, "scripts", "prometheus", "spawnd-dashboard.json")
SERIES = os.path.join(TOP, "tests", "scripts", "alerts.yml")


def promtool(*args):
    r = subprocess.run(["promtool", *args], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, timeout=60 * h.PATIENCE, check=False)
    assert r.returncode == 0, r.stdout
    return r.stdout


def panels():
    return json.loads(text_of(DASHBOARD))["panels"]


def expressions():
    """Those of the dashboard, as Grafana asks them: for all pools, and here
    for the last five seconds."""
    return [t["expr"].replace("$pool", ".*").replace("$__rate_interval", "5s")
            for p in panels() for t in p["targets"]]


def test_the_alerts_of_series():
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert "5 rules found" in said
    assert "SUCCESS" in promtool("test", "rules", SERIES)


def test_what_the_dashboard_is_made_of(place):
    board = json.loads(text_of(DASHBOARD))
    variables = {v["name"]: v for v in board["templating"]["list"]}
    assert set(variables) == {"datasource", "pool"}
    assert variables["datasource"]["type"] == "datasource"
    assert "id" not in board and board["schemaVersion"] == 39
    covered = set()
    for p in board["panels"]:
        # Whatever data source is chosen, for whichever pools.
        assert p["datasource"] == variables["pool"]["datasource"] == {
            "type": "prometheus", "uid": "${datasource}"}
        assert all('{pool=~"$pool"' in t["expr"] for t in p["targets"])
        assert [t["refId"] for t in p["targets"]] == \
            list("ABCDEFGH"[:len(p["targets"])])
        g = p["gridPos"]
        cells = {(x, y) for x in range(g["x"], g["x"] + g["w"])
                 for y in range(g["y"], g["y"] + g["h"])}
        assert g["x"] + g["w"] <= 24 and not cells & covered, p["title"]
        covered |= cells
    assert len({p["id"] for p in board["panels"]}) == len(board["panels"])
    # JSON is YAML: as rules, promtool reads the expressions.
    rules = f"{place}/rules.yml"
    with open(rules, "w", encoding="ascii") as f:
        json.dump({"groups": [{"name": "dashboard", "rules": [
            {"record": f"panel:{i}", "expr": e}
            for i, e in enumerate(expressions())]}]}, f)
    assert f"{len(expressions())} rules found" in promtool("check", "rules",
                                                           rules)


def test_each_metric_is_one_that_a_pool_writes(spawnd, place):
    spawnd("-s", f"{place}/s", "-u", "www", "-F", 2, "--", h.app("echo"))
    written = {n for n, _, _ in c.openmetrics(
        ctl("status", "--openmetrics").stdout)}
    rules = re.sub("(?m)^ *#.*", "", text_of(RULES))
    used = set(re.findall(r"\bspawnd_\w+", rules + text_of(DASHBOARD)))
    assert len(used) > 10 and used <= written, used - written


class Prometheus:
    """One with the configuration of the manual, for which a minute of the
    alerts is a second."""

    def __init__(self, place, port):
        self.port = h.free_port()
        with open(f"{place}/rules.yml", "w", encoding="ascii") as f:
            f.write(re.sub(r"\b(\d+)m\b", r"\1s", text_of(RULES)))
        config = example("spawnctl.1", "rule_files: ")
        for old, new in (("/usr/local/share/examples/spawnd/spawnd.rules.yml",
                          f"{place}/rules.yml"),
                         ("127.0.0.1:8090", f"127.0.0.1:{port}")):
            assert config.count(old) == 1, config
            config = config.replace(old, new)
        with open(f"{place}/p.yml", "w", encoding="ascii") as f:
            f.write("global: { scrape_interval: 500ms, scrape_timeout: 500ms, "
                    f"evaluation_interval: 250ms }}\n{config}")
        promtool("check", "config", f"{place}/p.yml")
        self.log = f"{place}/p.log"
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(
                ["prometheus", f"--config.file={place}/p.yml",
                 f"--storage.tsdb.path={place}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def get(self, what, **query):
        """The data of an answer; None where there is no answer yet."""
        try:
            with urllib.request.urlopen(
                    f"http://127.0.0.1:{self.port}/api/v1/{what}?" +
                    urllib.parse.urlencode(query), timeout=10) as f:
                return json.load(f)["data"]
        except urllib.error.HTTPError as e:
            assert e.code == 503, e.read()      # it only begins
        except OSError:
            pass
        return None

    def ask(self, expression):
        """[(labels, value)]"""
        data = self.get("query", query=expression) or {"result": []}
        return [(r["metric"], float(r["value"][1])) for r in data["result"]]

    def alerts(self):
        """{(alert, pool): its annotations} of those that fire."""
        return {(a["labels"]["alertname"], a["labels"]["pool"]):
                a["annotations"]
                for a in (self.get("alerts") or {"alerts": []})["alerts"]
                if a["state"] == "firing"}

    def end(self):
        self.popen.kill()
        self.popen.wait()


@pytest.fixture
def start(spawnd, place):
    def run(name, *args, program=h.app("echo"), **kw):
        s = spawnd("-s", f"{place}/{name}.sock", "-u", "www", "--name", name,
                   "--status-group", "alpha", *args, "--", program, **kw)
        s.sock = f"{place}/{name}.sock"
        return s
    return run


@pytest.fixture
def port(spawnd, place):
    """Where pools are shown."""
    with monitors.shown(spawnd, place) as p:
        yield p


@pytest.fixture
def pools(start, place):
    """One for each fault."""
    program = h.install(h.app("echo"), f"{place}/app")
    return {
        "fine": start("fine", "-F", 2), "full": start("full", "-F", 2),
        "lost": start("lost", "-F", 1, "--stop-timeout", 1),
        "renamed": start("renamed", "-F", 1),
        "stopped": start("stopped", "-F", 1),
        "loop": start("loop", "-F", 2, program=program)}


@pytest.fixture
def prometheus(pools, port, place):
    p = Prometheus(place, port)
    yield p
    p.end()


def break_pools(pools, place, stack):
    """All but one, each in its own way; full goes on to fill."""
    for _ in range(2):
        stack.enter_context(h.Connection(pools["full"].sock)).send(
            "sleep=600000&pid")
    stack.enter_context(h.Connection(pools["lost"].sock)).send(
        "sleep=600000&pid")
    h.wait_for(lambda: c.figures("lost")["connections"]["now"] == "1", 5)
    os.rename(pools["renamed"].sock, f"{place}/elsewhere")
    assert pools["stopped"].stop() == 0
    h.install(h.app("fail"), f"{place}/app")
    for pid in pools["loop"].workers():
        h.kill(pid)
    ctl("-p", "lost", "reload")
    assert c.figures("lost")["count"]["lost"] == "1", pools["lost"].log()


WANTED = {("SpawndSaturated", "full"), ("SpawndQueueGrowing", "full"),
          ("SpawndCrashLoop", "loop"), ("SpawndLostRequests", "lost"),
          ("SpawndWayInGone", "renamed"), ("SpawndWayInGone", "stopped")}


def test_what_is_wrong_with_a_pool_is_an_alert(pools, prometheus, place):
    p, seen = prometheus, {}
    # Counters are seen to grow by who has seen them before.
    h.wait_for(lambda: {labels["pool"]: v for labels, v in p.ask(
        "count_over_time(spawnd_up[10s]) > 2 and spawnd_up == 1")}.keys() ==
        pools.keys(), 60, lambda: h.read(p.log))
    assert p.alerts() == {}
    with contextlib.ExitStack() as stack:
        break_pools(pools, place, stack)

        def all_fire():
            stack.enter_context(h.Connection(pools["full"].sock))
            seen.update(p.alerts())
            return WANTED <= seen.keys()
        h.wait_for(all_fire, 60, lambda: f"{WANTED - seen.keys()}", pause=0.1)
        assert seen.keys() == WANTED
        for (_, pool), said in seen.items():
            assert set(said) == {"summary", "description"}
            assert re.fullmatch(r"[^.]+\b%s\b[^.]+127\.0\.0\.1:\d+[^.]*\." %
                                pool, said["summary"]), said
            # It sends people to what knows more.
            command, = re.findall('"spawnctl (-p [^ ]+ explain)"',
                                  said["description"])
            assert f"-p {pool} " in command
            assert ctl(*command.split()).status == \
                (69 if pool == "stopped" else 1)
        # And the dashboard has something to show, in each panel.
        for e in expressions():
            assert p.ask(e), e
