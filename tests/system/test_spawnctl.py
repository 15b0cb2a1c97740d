# SPDX-License-Identifier: ISC
"""spawnctl: every command, and a daemon that is not to be trusted."""

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
    # Other load makes that late, but not each time.
    assert any(one < all_told / 3 for one, all_told in zip(beside, told))
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
