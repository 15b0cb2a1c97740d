# SPDX-License-Identifier: ISC
"""What spawnctl shows of a pool is true, in each of its forms, and monitors
read it."""

import http.server
import json
import re
import subprocess
import threading
import time
import urllib.request
import xml.etree.ElementTree

import pytest

import ctl as c
import harness as h
from ctl import ctl, figures, pool

UNTRUSTED = True


def busy_load(echo_sock, n, query):
    clients = []
    for _ in range(n):
        client = h.Connection(echo_sock)
        client.send(query)
        clients.append(client)
    return clients


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_the_figures_are_those_of_the_load(spawnd, place, kind):
    """4 workers, 10 clients: 4 are served and 6 wait; exactly."""
    addr = f"{place}/s" if kind == "unix" else ("127.0.0.1", 9123)
    s = spawnd(*(["-s", addr] if kind == "unix" else ["-p", 9123]), "-u",
               "www", "-F", 4, "--name", "p", "--", h.app("echo"))
    began = time.monotonic()
    clients = busy_load(addr, 10, "hold")

    def all_known():
        f = figures("p", "status full")
        return f["queue"].get("now") == "6" and \
            f["connections"]["now"] == "4" and \
            all("pss" in w for w in f["worker"]) and f
    f = h.wait_for(all_known, 5, s.log)
    assert f["connections"] == {"now": "4", "peak": "4", "left": "0"}
    assert (f["sum"]["busy"], f["sum"]["idle"]) == ("4", "0")
    assert f["queue"]["limit"] == "1024"
    assert {w["connections"] for w in f["worker"]} == {"1"}
    assert {int(w["pid"]) for w in f["worker"]} == set(s.workers())
    for w in f["worker"]:
        status = h.status(int(w["pid"]))
        rss = int(status["VmRSS"].split()[0]) * 1024
        # The kernel keeps a part of it apart for each cpu and each kind.
        assert abs(int(w["rss"]) - rss) <= 2 ** 20
        assert 0 < int(w["pss"]) < int(w["rss"])
        assert 0 <= float(w["busy"]) <= time.monotonic() - began
    for client in clients:
        client.close()
    h.wait_for(lambda: h.let_go(s.workers(), 0) or
               figures("p")["connections"]["now"] == "0", 12)
    f = figures("p")
    # Who looks while they come may see some that are served at once.
    assert 6 <= int(f["queue"]["peak"]) <= 10
    points = c.records(c.ask(pool("p") + "/status", "history"))
    assert max(int(p["queue_peak"]) for _, p in points) == \
        int(f["queue"]["peak"])


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_the_figures_follow_the_load(spawnd, place, kind):
    """Busy and queued are those in flight, give or take one (median) and
    four at most: they come and go while somebody counts. Who is about to
    connect may be in flight or not."""
    addr = f"{place}/s" if kind == "unix" else ("127.0.0.1", 9123)
    spawnd(*(["-s", addr] if kind == "unix" else ["-p", 9123]), "-u", "www",
           "-F", 4, "--name", "p", "--", h.app("echo"))
    off = []
    with h.Load(addr, threads=12, query="sleep=100") as load:
        h.wait_for(lambda: load.answered > 12, 5)
        for _ in range(25):
            connected, answered = load.connected, load.answered
            f = figures("p")
            least, most = connected - load.answered, load.sent - answered
            n = int(f["connections"]["now"]) + int(f["queue"]["now"])
            off.append(max(least - n, n - most, 0))
    print("off by:", off)
    assert not load.failed and max(off) <= 4 and sorted(off)[12] <= 1, off


def test_a_pool_of_one_size_has_a_history_nobody_asked_for(echo):
    """2 workers, 5 clients of 1.5 s each: it is over after 4.5 s."""
    began = time.monotonic()
    clients = busy_load(echo.sock, 5, "sleep=1500&pid")
    for client in clients:
        assert client.receive().status == 200
        client.close()
    took = time.monotonic() - began
    assert h.has_a_timer(echo.pid)

    def read():
        return [{k: int(v) for k, v in p.items()} for _, p in
                c.records(c.ask(pool("p") + "/status", "history"))]
    # At rest nothing is going to wake it up.
    h.wait_for(lambda: not h.has_a_timer(echo.pid) and
               not read()[-1]["busy"], 5)
    points = read()
    assert {p["workers"] for p in points} == {2}
    # A second may have seen the end of what was before.
    busy = [p for p in points if p["busy"] or p["queue"]]
    assert {p["busy"] for p in busy} <= {1, 2}
    assert max(p["queue"] for p in busy) == 3
    assert {1, 3} <= {p["queue"] for p in busy}
    assert (points[-1]["busy"], points[-1]["queue"]) == (0, 0)
    assert 3 <= busy[0]["ago"] - points[-1]["ago"] <= took + 3, points
    count = figures("p")["count"]
    assert count["saturations"] == "1"
    assert 2 <= float(count["saturated"]) <= took + 1, count
    # And workers that come are points of their own.
    assert ctl("scale", 3).status == 0
    echo.wait_workers(3)
    h.wait_for(lambda: c.ask(pool("p") + "/status", "history")[-2].split()[2]
               == "workers=3", 5)


def test_pss_is_for_who_asks_for_it(echo):
    assert "PSS" not in ctl("status").stdout
    # A worker that has just begun may have none yet.
    h.wait_for(lambda: re.search(r"PSS +OF-AGO$", ctl(
        "status", "--full").stdout, re.M), 5)
    for args, there in (([], False), (["--full"], True)):
        data = json.loads(ctl("status", "--json", *args).stdout)
        for w in data["worker"]:
            assert ("pss" in w) is there, w
            assert not there or (0 < w["pss"] < w["rss"] and
                                 0 <= w["pss_age"] < 30), w


def test_the_forms(echo):
    r = ctl("status", "--json")
    data = json.loads(r.stdout)
    assert data["pool"]["name"] == "p" and data["protocol"] == 1
    assert len(data["worker"]) == 2 and data["guarantees"]["proc"] is True
    for args in (["status", "--openmetrics"],
                 ["status", "--openmetrics", "--full"]):
        r = ctl(*args)
        samples = {n: v for n, _, v in c.openmetrics(r.stdout)}
        assert samples["spawnd_started_total"] == 2
        # promtool reads the older form, where a counter's description has
        # the name of its sample.
        text = re.sub(r"^(# \w+ )(\S+) ", lambda m: m.group(1) + m.group(2) +
                      ("_total" if m.group(2) + "_total" in samples else "")
                      + " ", r.stdout, flags=re.M)
        p = subprocess.run(["promtool", "check", "metrics"], input=text,
                           text=True, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, timeout=20 * h.PATIENCE)
        assert (p.returncode, p.stdout) == (0, "")


FPM = ["pool", "process manager", "start time", "start since",
       "accepted conn", "listen queue", "max listen queue",
       "listen queue len", "idle processes", "active processes",
       "total processes", "max active processes", "max children reached",
       "slow requests", "memory peak"]
FPM_PROCESS = ["pid", "state", "start time", "start since", "requests",
               "request duration", "request method", "request uri",
               "content length", "user", "script", "last request cpu",
               "last request memory"]
REQUIRED = {"pool", "process manager", "listen queue", "idle processes",
            "active processes", "total processes"}


def ordered(keys, known):
    """Known keys only, in their order, the required ones among them."""
    keys = list(keys)
    assert keys == [k for k in known if k in keys], keys


def test_php_fpms_forms_as_its_monitors_read_them(echo):
    text = ctl("status", "--fpm").stdout
    pairs = [re.fullmatch(r"([a-z ]+): +(\S.*)", line).groups()
             for line in text.splitlines()]
    ordered((k for k, _ in pairs), FPM)
    assert REQUIRED <= {k for k, _ in pairs} and text.startswith("pool:")
    assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}",
                        dict(pairs)["start time"])
    data = json.loads(ctl("status", "--fpm=json", "--full").stdout)
    processes = data.pop("processes")
    ordered(data, FPM)
    assert REQUIRED <= set(data)
    assert all(isinstance(v, int) for k, v in data.items()
               if k not in ("pool", "process manager"))
    assert len(processes) == 2
    for process in processes:
        ordered(process, FPM_PROCESS)
        assert process["state"] in ("Idle", "Running")
    text, *each = ctl("status", "--fpm", "--full").stdout.split(
        "\n************************\n")
    assert text.startswith("pool:") and len(each) == 2
    for process in each:
        ordered((line.split(":")[0] for line in process.splitlines()),
                FPM_PROCESS)
    root = xml.etree.ElementTree.fromstring(
        ctl("status", "--fpm=xml", "--full").stdout)
    assert root.tag == "status" and root[-1].tag == "processes"
    ordered((e.tag.replace("-", " ") for e in root[:-1]), FPM)
    assert [e.tag for e in root[-1]] == ["process"] * 2
    for process in root[-1]:
        ordered((e.tag.replace("-", " ") for e in process), FPM_PROCESS)
    samples = c.openmetrics(ctl("status", "--fpm=openmetrics").stdout)
    assert {n for n, _, _ in samples} >= {
        "phpfpm_up", "phpfpm_listen_queue", "phpfpm_listen_queue_length",
        "phpfpm_idle_processes", "phpfpm_active_processes"}


class _Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with open(self.server.file, "rb") as f:
            body = f.read()
        self.send_response(200)
        self.send_header("Content-Type", "application/openmetrics-text; "
                         "version=1.0.0; charset=utf-8")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


def test_prometheus_scrapes_it(echo, place):
    with open(f"{place}/metrics", "w") as f:
        f.write(ctl("status", "--openmetrics", "--full").stdout)
    server = http.server.HTTPServer(("127.0.0.1", 0), _Metrics)
    server.file = f"{place}/metrics"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with open(f"{place}/p.yml", "w") as f:
        f.write("scrape_configs:\n- job_name: s\n  scrape_interval: 100ms\n"
                "  scrape_timeout: 100ms\n  static_configs:\n"
                f"  - targets: ['127.0.0.1:{server.server_port}']\n")
    p = subprocess.Popen(
        ["prometheus", f"--config.file={place}/p.yml",
         f"--storage.tsdb.path={place}/data",
         "--web.listen-address=127.0.0.1:9191"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def value():
        try:
            with urllib.request.urlopen(
                    "http://127.0.0.1:9191/api/v1/query?query="
                    "spawnd_started_total", timeout=2) as f:
                found = json.load(f)["data"]["result"]
        except OSError:
            return None
        return found and found[0]
    try:
        found = h.wait_for(value, 30, "prometheus has it")
        assert found["metric"]["pool"] == "p"
        assert found["value"][1] == "2"
    finally:
        p.kill()
        p.wait()
        server.shutdown()
