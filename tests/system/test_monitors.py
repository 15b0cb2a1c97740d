# SPDX-License-Identifier: ISC
"""Monitors: the alerts for Prometheus and the dashboard for Grafana, by series
that are made up and by pools with which just that is wrong; and one that reads
php-fpm's page."""

import contextlib
import errno
import http.server
import json
import os
import re
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

import pytest

import ctl as c
import harness as h
from ctl import ctl

TOP = os.path.dirname(os.path.dirname(h.SOURCES))
RULES = os.path.join(TOP, "scripts", "prometheus", "spawnd.rules.yml")
DASHBOARD = os.path.join(TOP, "scripts", "prometheus", "spawnd-dashboard.json")
SERIES = os.path.join(TOP, "tests", "scripts", "alerts.yml")
COLLECTD = "/usr/sbin/collectd"
STATUS = os.path.join(os.path.dirname(h.SPAWND), "spawnd-status")


def text_of(path):
    with open(path, encoding="ascii") as f:
        return f.read()


def example(manual, begins):
    """What a manual shows that begins so."""
    found = re.findall(r"(?ms)^\.Bd -literal[^\n]*\n(.*?)^\.Ed$",
                       text_of(os.path.join(TOP, "man", manual)))
    text, = (t for t in found if t.startswith(begins))
    return text.replace(r"\(dq", '"')


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


class Relay(http.server.BaseHTTPRequestHandler):
    """The web server before spawnd-status."""

    def do_GET(self):
        path, _, query = self.path.partition("?")
        try:
            a = h.request(self.server.sock, query, params={
                "SCRIPT_NAME": path, "REQUEST_METHOD": "GET"})
        except h.FcgiError as e:
            self.send_error(502, str(e))
            return
        self.send_response(a.status)
        self.send_header("Content-Type", a.headers["content-type"])
        self.end_headers()
        self.wfile.write(a.body)

    def log_message(self, *args):
        pass


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
    """Where pools are shown. many is in the group alpha."""
    spawnd("-s", f"{place}/status.sock", "-U", "www", "-u", "many", "-F", 1,
           "--name", "status", "--", STATUS)
    relay = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    relay.sock = f"{place}/status.sock"
    threading.Thread(target=relay.serve_forever, daemon=True).start()
    yield relay.server_port
    relay.shutdown()
    relay.server_close()


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


CONFIG = """\
Hostname "here"
FQDNLookup false
Interval 0.5
BaseDir "{place}"
PIDFile "{place}/pid"
LoadPlugin logfile
LoadPlugin csv
LoadPlugin curl_json
<Plugin logfile>
    LogLevel warning
    File stderr
</Plugin>
<Plugin csv>
    DataDir stdout
</Plugin>
"""
FIGURES = ["accepted conn", "listen queue", "max listen queue",
           "listen queue len", "idle processes", "active processes",
           "total processes", "max active processes", "max children reached",
           "slow requests"]
SOCKET, AF_NETLINK = 41, 16     # of x86_64


def collectd_config(place, port, pools):
    """With what the manual shows of a pool, for each, and more figures."""
    text = example("spawnd-status.8", "<Plugin curl_json>")
    key = re.search(r"(?s) *<Key .*?</Key>\n", text)[0]
    keys = "".join(key.replace("active processes", k) for k in FIGURES)
    text = re.sub(r"(?s) *<Key .*</Key>\n", keys, text)
    return CONFIG.format(place=place) + "".join(
        text.replace("127.0.0.1:8090/php", f"127.0.0.1:{port}/{pool}")
        .replace('Instance "php"', f'Instance "{pool}"') for pool in pools)


def without_netlink():
    """A pool that cannot see its connections and queue."""
    h.forbid_call(SOCKET, errno.EPERM, a0=AF_NETLINK)


# What each pool has, and nothing else: unknown is missing, and not 0. How long
# the queue can be, and was before, is not known in advance.
READ = {
    ("busy", "listen queue"): 2, ("busy", "idle processes"): 0,
    ("busy", "active processes"): 3, ("busy", "total processes"): 3,
    ("busy", "max active processes"): 3, ("busy", "max children reached"): 1,
    ("php", "listen queue"): 0, ("php", "max listen queue"): 0,
    ("php", "idle processes"): 4, ("php", "active processes"): 0,
    ("php", "total processes"): 4, ("php", "max active processes"): 0,
    ("php", "max children reached"): 0,
    ("blind", "total processes"): 2}
ROUGHLY = [("busy", "listen queue len"), ("busy", "max listen queue"),
           ("php", "listen queue len")]


@h.needs(COLLECTD)
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="its number")
def test_collectd_reads_it_as_it_reads_php_fpm(start, port, place):
    """Tried with 5.12.0."""
    busy = start("busy", "-F", 3)
    start("php", "-F", 2, "-C", 2, program="/usr/bin/php-cgi")
    start("blind", "-F", 2, become=without_netlink)
    with open(f"{place}/collectd.conf", "w", encoding="ascii") as f:
        f.write(collectd_config(place, port, ("busy", "php", "blind")))
    found = {}

    def read():
        # Whatever was ever said counts, and the last value of it.
        for pool, key, value in re.findall(
                r'(?m)^PUTVAL "here/curl_json-(\w+)/gauge-([^"]+)" \S+ '
                r"[\d.]+:(\S+)$", h.read(f"{place}/out").decode()):
            found[pool, key.replace("_", " ")] = float(value)
        return {k: v for k, v in found.items() if k not in ROUGHLY}
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(h.Connection(busy.sock)).send(
                "sleep=600000&pid")
        with open(f"{place}/out", "wb") as out:
            p = subprocess.Popen(
                [COLLECTD, "-f", "-C", f"{place}/collectd.conf"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        stack.callback(p.wait)
        stack.callback(p.kill)
        h.wait_for(lambda: read() == READ, 10,
                   lambda: h.read(f"{place}/out").decode())
    length, most, other = (found[k] for k in ROUGHLY)
    assert length == other > 0 and 2 <= most <= 5
