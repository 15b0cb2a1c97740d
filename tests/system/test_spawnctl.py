# SPDX-License-Identifier: ISC
"""spawnctl: every command, the truth of its figures, and a daemon that is
not to be trusted."""

import http.server
import json
import os
import pwd
import re
import select
import shutil
import signal
import socket
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


@pytest.fixture
def php(spawnd, place):
    """Two pools of php-cgi."""
    pools = [spawnd("-s", f"{place}/{n}", "-u", "www", "-F", 2, "--",
                    "/usr/bin/php-cgi") for n in range(2)]
    return pools


@pytest.fixture
def echo(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--name", "p",
               "--", h.app("echo"))
    s.sock = f"{place}/sock"
    return s


def test_two_pools_have_to_be_told_apart(php):
    r = ctl("list")
    assert r.status == 0
    names = [line.split()[0] for line in r.stdout.splitlines()[1:]]
    assert names == ["php-cgi", "php-cgi-2"]
    assert re.search(r"^php-cgi +up +2/2 +unix:", r.stdout, re.M), r.stdout
    r = ctl("status")
    assert r.status == 64 and r.stderr == "spawnctl: -p: required: several " \
        "pools run here: php-cgi, php-cgi-2\n"
    r = ctl("-p", "php-cgi-2", "status")
    assert f"pid {php[1].pid}," in r.stdout
    assert ctl("-p", "php-cgi", "stop").status == 0
    assert php[0].wait() == 0
    r = ctl("status")
    assert r.status == 0 and r.stdout.startswith("php-cgi-2: up for ")


def test_no_pool_is_69(place):
    for args in (["status"], ["ping"], ["-p", "x", "ping"],
                 ["-p", f"{place}/x", "reload"]):
        r = ctl(*args)
        assert r.status == 69 and r.stderr.count("\n") == 1, r
    r = ctl("list")
    assert (r.status, r.stdout) == (0, "")


@pytest.mark.parametrize("args", [
    [], ["nix"], ["ping", "x"], ["scale"], ["scale", "x"], ["scale", "5-4"],
    ["ping", "--json"], ["trace", "--json"], ["trace", "x"],
    ["status", "--now"], ["status", "--fpm=html"], ["--nix"], ["-p"],
    ["wait-ready", "x"]], ids=" ".join)
def test_a_wrong_command_line_is_64(args):
    r = ctl(*args)
    assert r.status == 64 and re.fullmatch(r"spawnctl: .+\n", r.stderr), r


@pytest.mark.parametrize("args", [
    ["list"], ["status"], ["status", "--json"], ["status", "--openmetrics"],
    ["status", "--fpm"], ["trace"], ["-h"],
    ["-v"]], ids=" ".join)
def test_what_cannot_be_written_is_74(echo, args):
    with open("/dev/full", "w") as full:
        r = subprocess.run([c.SPAWNCTL, *args], stdout=full,
                           timeout=10 * h.PATIENCE,
                           stderr=subprocess.PIPE, check=False)
    assert r.returncode == 74, r


def test_reload_waits_for_its_outcome(echo, place):
    before = set(echo.workers())
    r = ctl("reload")
    assert (r.status, r.stdout) == (0, ""), r
    assert not before & set(echo.workers())
    assert figures("p")["count"]["reloads"] == "1"


def test_reload_that_fails_is_69(spawnd, place):
    program = h.install(h.app("echo"), f"{place}/app")
    s = spawnd("-s", f"{place}/s", "-u", "www", "-F", 2, "--", program)
    before = s.workers()
    h.install(h.app("fail"), program)
    r = ctl("reload")
    assert r.status == 69 and "the old ones stay" in r.stderr, r
    assert s.workers() == before
    assert figures("app")["count"]["reloads_failed"] == "1"


def test_scale_up_and_down(echo):
    assert ctl("scale", 5).status == 0
    echo.wait_workers(5)
    assert ctl("scale", "1").status == 0
    echo.wait_workers(1)
    assert figures("p")["pool"]["target"] == "1"
    assert "scale: asked for by uid 0" in echo.log()


@pytest.mark.parametrize("now", [[], ["--now"]], ids=["", "now"])
def test_after_a_stop_the_next_start_finds_nobody(spawnd, place, now):
    """Closing what it has takes the first one long."""
    s = spawnd("-s", f"{place}/s", "-u", "www", "-F", 2, "--name", "p",
               "-P", f"{place}/pid", "--", h.app("hello"))
    with h.straced(s.pid, "-e", "trace=close", "-e",
                   "inject=close:delay_enter=50ms"):
        assert c.ctl("-p", "p", "stop", *now).status == 0
        # It may still have to be reaped, but holds nothing any more.
        other = spawnd("-s", f"{place}/s", "-u", "www", "-F", 1, "--name", "p",
                       "-P", f"{place}/pid", "--", h.app("hello"))
    assert other.stop() == 0
    assert s.wait() == 0


def test_stop_waits_for_requests_and_stop_now_does_not(spawnd, place):
    for now, sleep in (([], 1500), (["--now"], 600000)):
        s = spawnd("-s", f"{place}/s", "-u", "www", "-F", 1,
                   "--stop-timeout", 86400, h.app("echo"))
        client = h.Connection(f"{place}/s")
        client.send(f"sleep={sleep}&pid")
        h.wait_for(lambda: figures("echo")["connections"]["now"] == "1", 5)
        r = ctl("stop", *now)
        assert r.status == 0, r
        assert r.stderr.startswith("1 of 1 workers left\n"), r
        if not now:
            # It had come when the client was told of the end.
            client.deadline = 0.001
            assert client.receive().status == 200
        client.close()
        assert s.wait() == 0


def test_a_second_stop_waits_along(spawnd, place):
    s = spawnd("-s", f"{place}/s", "-u", "www", "-F", 1, h.app("echo"))
    client = h.Connection(f"{place}/s")
    client.send("hold&pid")
    h.wait_for(lambda: figures("echo")["connections"]["now"] == "1", 5)
    first = subprocess.Popen([c.SPAWNCTL, "stop"])
    s.wait_log("stop: asked for")
    second = subprocess.Popen([c.SPAWNCTL, "stop"])
    s.wait_log("(?s)stop: asked for.*stop: asked for")
    h.let_go(s.workers())
    assert second.wait(10) == 0
    assert client.receive().status == 200
    client.close()
    assert (first.wait(10), s.wait()) == (0, 0)


def test_no_command_waits_for_a_supervisor_that_is_stopped(spawnd, place):
    """One that answers may take its time."""
    waits = []
    for n, command in enumerate(("reload", "stop", "reload")):
        s = spawnd("--name", f"p{n}", "-s", f"{place}/{n}", "-u", "www", "-F",
                   1, "--stop-timeout", 99, "--", h.app("echo"))
        client = h.Connection(f"{place}/{n}")
        client.send("sleep=600000&pid")
        h.wait_for(lambda: figures(f"p{n}")["connections"]["now"] == "1", 5)
        asks = subprocess.Popen([c.SPAWNCTL, "-p", f"p{n}", command],
                                stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE)
        waits.append((s, client, asks))
        s.wait_log(f"{command}: asked for")
    crowd = []
    try:
        h.pass_time(25)
        for s, _, asks in waits:
            assert asks.poll() is None
            s.signal(signal.SIGSTOP)
        crowd = h.fill(pool("p2") + "/control")
        for _, _, asks in waits:
            _, err = asks.communicate(timeout=40 * h.PATIENCE)
            assert asks.returncode == 75 and b"no answer in time" in err, err
    finally:
        for sock in crowd:
            sock.close()
        for s, client, asks in waits:
            asks.kill()
            asks.wait()
            s.signal(signal.SIGCONT)
            client.close()


def test_a_pool_that_stops_takes_no_more_commands(echo):
    client = h.Connection(echo.sock)
    client.send("hold&pid")
    h.wait_for(lambda: figures("p")["connections"]["now"] == "1", 5)
    with c.Raw(pool("p") + "/control") as stopper:
        stopper.send(b"stop\n")
        assert stopper.line() == "spawnd 1"
        assert ctl("scale", 2).status == ctl("reload").status == 75
        assert ctl("ping").status == 69
        assert figures("p")["pool"]["state"] == "stopping"
        h.let_go(echo.workers())
        assert client.receive().status == 200
        assert stopper.answer()[-1] == "end"
    assert echo.wait() == 0


def test_ping_succeeds_while_all_workers_are_busy(echo):
    clients = [h.Connection(echo.sock) for _ in range(6)]
    for client in clients:
        client.send("hold&pid")
    h.wait_for(lambda: figures("p")["queue"]["now"] == "4", 5)
    assert ctl("ping").status == 0
    for client in clients:
        client.close()
    h.let_go(echo.workers(), 2)


def test_ping_fails_while_nothing_can_serve(spawnd, place):
    program = h.install(h.app("echo"), f"{place}/app")
    s = spawnd("-s", f"{place}/s", "-u", "www", "-F", 1, "--", program)
    h.install(h.app("fail"), program)
    h.kill(s.workers()[0])
    h.wait_for(lambda: ctl("ping").status == 69, 5, s.log)


def test_wait_ready(spawnd, place):
    assert ctl("wait-ready", 0).status == 75
    waiter = subprocess.Popen([c.SPAWNCTL, "wait-ready", "15"])
    s = spawnd("-s", f"{place}/s", "-u", "www", "--", h.app("echo"),
               "delay=1500", ready=False)
    h.wait_for(lambda: ctl("ping").status == 75, 5, s.log)
    assert waiter.wait(15) == 0
    assert "ready on" in s.log()


def test_log_reopen(spawnd, place):
    h.own_directory(f"{place}/log", "www")
    s = spawnd("-s", f"{place}/s", "-u", "www", "--log", f"{place}/log/x",
               "--", h.app("echo"), ready=False)
    h.wait_for(lambda: ctl("ping").status == 0, 10)
    os.rename(f"{place}/log/x", f"{place}/log/x.1")
    # -u may not make files there, so the client does, and passes it.
    os.chmod(f"{place}/log", 0o555)
    r = ctl("log-reopen")
    assert r.status == 0, r
    assert "log: reopened" in open(f"{place}/log/x").read()
    os.unlink(f"{place}/log/x")
    os.symlink(f"{place}/evil", f"{place}/log/x")
    assert ctl("log-reopen").status == 73
    assert not os.path.exists(f"{place}/evil")
    # Without a word of where it is, nobody is asked.
    os.rename(pool("echo") + "/log", f"{place}/said")
    assert ctl("log-reopen").status == 78
    os.symlink(f"{place}/said", pool("echo") + "/log")
    assert ctl("log-reopen").status == 78
    os.unlink(pool("echo") + "/log")
    h.install(f"{place}/said", pool("echo") + "/log")
    os.chown(pool("echo") + "/log", 67, 67)
    assert ctl("log-reopen").status == 78
    r = ctl("log-reopen", f"{place}/log/y")
    assert r.status == 0, r
    assert "log: reopened" in open(f"{place}/log/y").read()
    assert s.running()


def test_log_reopen_by_root_takes_no_link_of_others(spawnd, place):
    h.own_directory(f"{place}/app", "www")
    h.own_directory(f"{place}/app/logs", "www")
    os.mkdir(f"{place}/roots")
    log = f"{place}/app/logs/x"
    s = spawnd("-s", f"{place}/s", "-u", "www", "--log", log, "--name", "p",
               "--", h.app("echo"), ready=False)
    h.wait_for(lambda: ctl("ping").status == 0, 10)
    os.rename(f"{place}/app/logs", f"{place}/app/old")
    os.symlink("../roots", f"{place}/app/logs")
    os.lchown(f"{place}/app/logs", pwd.getpwnam("www").pw_uid, -1)
    r = ctl("log-reopen", log)
    assert r.status == 73 and "not owned by root" in r.stderr, r
    assert os.listdir(f"{place}/roots") == []
    # One of root's own is a way like any other.
    os.lchown(f"{place}/app/logs", 0, -1)
    r = ctl("log-reopen", log)
    assert r.status == 0, r
    assert "log: reopened" in open(f"{place}/roots/x").read()
    assert s.running()


def test_a_link_to_anothers_socket_commands_nobody(spawnd, place):
    s = spawnd("-s", f"{place}/s", "-u", "www", "--name", "p", "--",
               h.app("echo"))
    h.own_directory(pool("evil"), "www")
    os.symlink(pool("p") + "/control", pool("evil") + "/control")
    assert ctl("-p", "evil", "stop").status == 77
    assert ctl("-p", "p", "ping").status == 0
    assert s.running()
    shutil.rmtree(pool("evil"))


def lead_away(how, base, victim):
    """What _app makes of its directory, to lead to another's sockets."""
    path = f"{base}/ctl"
    if how == "directory":
        os.symlink(victim, path)
    elif how == "above":
        os.symlink(os.path.dirname(victim), path)
        path += "/" + os.path.basename(victim)
    elif how == "socket":
        path += ".sock"
        os.symlink(f"{victim}/control", path)
    elif how == "second name":
        h.own_directory(path, "_app")
        os.link(f"{victim}/control", f"{path}/control")
    elif how == "second name of a socket":
        path += ".sock"
        os.link(f"{victim}/control", path)
    if os.path.islink(f"{base}/ctl"):
        os.lchown(f"{base}/ctl", h.USERS["_app"], -1)
    return path


@pytest.mark.parametrize("how", ["directory", "above", "socket",
                                 "second name", "second name of a socket"])
@pytest.mark.parametrize("user", [None, "www"])
def test_a_way_that_another_user_leads_astray(spawnd, place, how, user):
    """Whose pool it is: root's, or that of whoever is asked to stop it."""
    h.own_directory(f"{place}/own", user or "root")
    s = spawnd("-s", f"{place}/own/s", "--control", f"{place}/own/ctl",
               *(["-u", "www"] if user is None else []), "--",
               h.app("echo"), user=user)
    h.own_directory(f"{place}/app", "_app")
    path = lead_away(how, f"{place}/app", f"{place}/own/ctl")
    if how == "socket":
        os.lchown(path, h.USERS["_app"], -1)
    r = ctl("-p", path, "stop", user=user)
    assert r.status == 77 and re.search(
        "not owned by root or you|is a link|hard link|not permitted",
        r.stderr), r
    assert s.running()
    assert ctl("-p", f"{place}/own/ctl", "ping", user=user).status == 0


def test_ones_own_link_and_roots_lead_to_a_pool(spawnd, place):
    h.own_directory(f"{place}/own", "www")
    spawnd("-s", f"{place}/own/s", "--control", f"{place}/own/ctl", "--",
           h.app("echo"), user="www")
    for owner, user, status in ((0, "www", 0), (0, None, 0),
                                (h.USERS["www"], "www", 0),
                                (h.USERS["www"], None, 77)):
        for target, name in (("own/ctl", "a"), ("own/ctl/control", "b")):
            os.symlink(f"{place}/{target}", f"{place}/{name}")
            os.lchown(f"{place}/{name}", owner, -1)
            for path in ([f"{place}/{name}", f"{place}/{name}/."]
                         if name == "a" else [f"{place}/{name}"]):
                r = ctl("-p", path, "ping", user=user)
                assert r.status == status, (path, owner, r)
            os.unlink(f"{place}/{name}")


def test_the_log_is_of_the_pool_that_was_asked(spawnd, place):
    """Its directory is the one that the socket was in, by whatever name."""
    h.own_directory(f"{place}/log", "www")
    s = spawnd("-s", f"{place}/s", "-u", "www", "--log", f"{place}/log/x",
               "--control", f"{place}/ctl", "--", h.app("echo"), ready=False)
    h.wait_for(lambda: ctl("-p", f"{place}/ctl", "ping").status == 0, 10)
    os.rename(f"{place}/log/x", f"{place}/log/x.1")
    os.chmod(f"{place}/log", 0o555)
    assert ctl("-p", f"{place}/ctl/control", "log-reopen").status == 0
    with open(f"{place}/log/x", encoding="utf-8") as f:
        assert "log: reopened" in f.read()
    assert s.running()


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


EVIL = b"\x1b]0;owned\x07\x1b[2J\x9b2J"


@pytest.mark.parametrize("answer", [
    EVIL + b"\n", b"spawnd 1\npool name=" + EVIL + b"\nend\n",
    b"spawnd 1\npool name=\\x1b[2J\\xc2\\x9b listen=\\x1b\nworker slot=1 "
    b"state=\\x1b pid=\\x9b\nend\n",
    b"error 64 " + EVIL + b"\n", b"error 64 \\x1b[2J\n", b"error 0 x\n",
    b"spawnd 2\nend\n", b"pool name=x\nend\n", b"", b"spawnd 1\n",
    b"x" * 100000,
    b"spawnd 1\n" + b"worker a=b\n" * 200000,
    b"spawnd 1\nstatus\0\nend\n"], ids=lambda a: repr(a[:20]))
def test_a_daemon_that_answers_junk(place, answer):
    os.mkdir(f"{place}/d")
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{place}/d/control")
    server.listen()

    def run():
        for _ in range(11):
            client, _ = server.accept()
            try:
                client.recv(100)
                client.sendall(answer)
            except OSError:
                pass
            client.close()
    threading.Thread(target=run, daemon=True).start()
    for args in (["status"], ["status", "--json"], ["status",
                 "--openmetrics"], ["status", "--fpm=xml"], ["reload"],
                 ["ping"], ["scale", 3], ["stop"], ["list"], ["log-reopen"],
                 ["status", "--fpm=openmetrics"]):
        r = ctl("-p", f"{place}/d", *args)
        shown = r.stdout + r.stderr
        # A byte that is no UTF-8 was replaced when it was read here.
        assert not re.search("[\0-\x09\x0b-\x1f\x7f-\x9f\ufffd]", shown), \
            shown
        assert r.status in (0, 64, 69, 76), r
        assert r.status != 0 or args == ["list"] or answer.startswith(
            b"spawnd 1\npool"), r
    server.close()


def test_a_daemon_that_says_nothing(place):
    os.mkdir(f"{place}/d")
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{place}/d/control")
    server.listen()
    began = time.monotonic()
    r = ctl("-p", f"{place}/d", "status")
    assert r.status == 75 and time.monotonic() - began > 9, r
    server.close()


def test_a_daemon_that_takes_no_connection(place):
    """It is there all the same, and can be listed."""
    os.makedirs(f"{place}/own/spawnd/d")
    server = socket.socket(socket.AF_UNIX)
    server.bind(f"{place}/own/spawnd/d/control")
    server.listen(1)
    crowd = h.fill(f"{place}/own/spawnd/d/control")
    r = ctl("-p", f"{place}/own/spawnd/d", "ping", deadline=30)
    assert r.status == 75 and "takes no connections" in r.stderr, r
    for name in ("own", "own/spawnd", "own/spawnd/d", "own/spawnd/d/control"):
        shutil.chown(f"{place}/{name}", "www")
    r = ctl("list", user="www", env={"XDG_RUNTIME_DIR": f"{place}/own"},
            deadline=60)
    assert r.status == 0 and re.search(r"^d +\? .* takes no connections",
                                       r.stdout, re.MULTILINE), r
    for sock in (*crowd, server):
        sock.close()


def test_a_name_too_long_for_a_socket_is_said(place):
    """Without /proc: with it a descriptor leads there."""
    long = "x" * 120
    os.mkdir(f"{place}/d")
    servers = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    for server, name in zip(servers, (long, long[:107])):
        server.bind(f"{place}/d/s")
        server.listen()
        os.rename(f"{place}/d/s", f"{place}/d/{name}")
    r = subprocess.run(
        ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && '
         'exec "$@"', "sh", c.SPAWNCTL, "-p", f"{place}/d/{long}", "ping"],
        env={**h.BASE_ENV, **h.sanitizer_env()}, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=30 * h.PATIENCE)
    assert r.returncode == 69 and b"File name too long" in r.stderr, r
    for server in servers:
        server.close()


def newest():
    """The pid given last; a list of a thousand workers takes 16 ms."""
    with open("/proc/loadavg", encoding="ascii") as f:
        return f.read().split()[-1]


def respawn(s):
    """Ends one of the workers, and returns the seconds until another is."""
    worker, last = s.workers()[0], newest()
    began = time.monotonic()
    h.kill(worker)
    h.wait_for(lambda: newest() != last, 5, s.log, 0.0001)
    return time.monotonic() - began


class Readers(threading.Thread):
    """Takes what clients are told as it comes, until each has so many answers;
    none of them waits for another one to be read. The answers' lines."""

    def __init__(self, clients, count):
        super().__init__(daemon=True)
        self.left = {client.sock: count for client in clients}
        self.told = {client.sock: b"" for client in clients}
        self.start()

    def run(self):
        while self.left:
            for sock in select.select(list(self.left), [], [], 30)[0]:
                part = sock.recv(65536)
                self.told[sock] += part
                if not part or self.told[sock].count(b"\nend\n") == \
                        self.left[sock]:
                    del self.left[sock]

    def answers(self):
        self.join(60 * h.PATIENCE)
        return [answer.splitlines() for told in self.told.values()
                for answer in told.split(b"\nend\n")[:-1]]


def test_a_thousand_workers_are_told_in_between(spawnd, place):
    # With sanitizers an answer takes longer than its clients may.
    many = 100 if h.sanitized() else 1000
    s = spawnd("-s", f"{place}/s", "-u", "www", "-F", many, "--name", "p",
               "--", h.app("hello"), deadline=60)
    with c.Raw(pool("p") + "/control", 30) as client:
        lines = client.ask("status")
        assert sum(w.startswith("worker ") for w in lines) == many
    # One that dies meanwhile is replaced long before all is told: after one
    # step of one answer, not after one of each.
    clients = [c.Raw(pool("p") + "/control", 30) for _ in range(4)]
    alone, beside, told = [], [], []
    for _ in range(5):
        alone.append(respawn(s))
        for client in clients:
            client.send(b"status\n" * 3)
        began = time.monotonic()
        readers = Readers(clients, 3)
        beside.append(respawn(s))
        answers = readers.answers()
        told.append(time.monotonic() - began)
        assert len(answers) == 3 * len(clients)
        for lines in answers:
            assert sum(w.startswith(b"worker ") for w in lines) >= many - 1
    for client in clients:
        client.close()
    print("respawns alone, beside readers, all told:", alone, beside, told)
    assert sorted(beside)[2] < sorted(told)[2] / 3
    # Who asks and does not take the answer costs no memory for all of it.
    before = int(h.status(s.pid)["VmData"].split()[0])
    readers = [c.Raw(pool("p") + "/status") for _ in range(16)]
    for r in readers:
        r.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        r.send(b"status\n")
    figures("p")
    h.wait_for(lambda: h.stat(s.pid).state == "S", 5)
    more = int(h.status(s.pid)["VmData"].split()[0]) - before
    print("16 that do not read:", more, "KB")
    assert more < 1024 or h.sanitized()
    for r in readers:
        r.close()
