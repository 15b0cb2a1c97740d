# SPDX-License-Identifier: ISC
"""Monitors of php-fpm, as they come, read pools of other programs: what they
then know is what the pool says, and what it does not know is nothing."""

import contextlib
import errno
import json
import os
import re
import socket
import struct
import subprocess
import urllib.error
import urllib.request

import pytest

import ctl as c
import harness as h
import monitors
from ctl import ctl

COLLECTD = "/usr/sbin/collectd"
MONIT = "/usr/bin/monit"
ZABBIX = "/usr/sbin/zabbix_agent2"
EXPORTER = "/usr/bin/prometheus-phpfpm-exporter"
SOCKET, AF_NETLINK = 41, 16
X86_64 = pytest.mark.skipif(os.uname().machine != "x86_64",
                            reason="the number of socket(2)")

# What each pool has, and nothing else: unknown is missing, and not 0. How long
# the queue can be, and was before, is not known in advance.
READ = {
    "busy": {"listen queue": 2, "idle processes": 0, "active processes": 3,
             "total processes": 3, "max active processes": 3,
             "max children reached": 1},
    "php": {"listen queue": 0, "max listen queue": 0, "idle processes": 4,
            "active processes": 0, "total processes": 4,
            "max active processes": 0, "max children reached": 0},
    "blind": {"total processes": 2}}

FIGURES = ["accepted conn", "listen queue", "max listen queue",
           "listen queue len", "idle processes", "active processes",
           "total processes", "max active processes", "max children reached",
           "slow requests"]
ROUGHLY = {"listen queue len": "limit", "max listen queue": "peak"}
PONG = r"pong($|\r?\n)"


class Scene:
    """The pools of READ, a responder and what is before it."""

    def __init__(self, place, port):
        self.place, self.port = place, port
        self.sock = f"{place}/status.sock"
        self.known = {p: dict(v) for p, v in READ.items()}
        for pool, known in self.known.items():
            queue = json.loads(ctl("-p", pool, "status",
                                   "--json").stdout)["queue"]
            known.update((k, queue[name]) for k, name in ROUGHLY.items()
                         if name in queue)
        assert 2 <= self.known["busy"]["max listen queue"] <= 5
        assert self.known["php"]["listen queue len"] > 0
        assert not ROUGHLY.keys() & self.known["blind"].keys()

    def url(self, path):
        return f"http://127.0.0.1:{self.port}/{path}"

    def run(self, *argv, status=0):
        r = subprocess.run(argv, stdin=subprocess.DEVNULL, cwd=self.place,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           env={**h.BASE_ENV, "HOME": self.place}, text=True,
                           timeout=30 * h.PATIENCE, check=False)
        assert r.returncode == status, r.stdout
        return r.stdout

    def write(self, name, text):
        path = f"{self.place}/{name}"
        with open(path, "w", encoding="ascii",
                  opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(text)
        return path


def without_netlink():
    """A pool that cannot see its connections and queue."""
    h.forbid_call(SOCKET, errno.EPERM, a0=AF_NETLINK)


@pytest.fixture
def scene(spawnd, place):
    def start(name, *args, program=h.app("echo"), **kw):
        return spawnd("-s", f"{place}/{name}.sock", "-u", "www", "--name",
                      name, "--status-group", "alpha", *args, "--", program,
                      **kw)
    start("busy", "-F", 3)
    start("php", "-F", 2, "-C", 2, program="/usr/bin/php-cgi")
    start("blind", "-F", 2, become=without_netlink)
    gone = start("gone", "-F", 1)
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(monitors.shown(spawnd, place))
        for _ in range(5):
            stack.enter_context(h.Connection(f"{place}/busy.sock")).send(
                "sleep=600000&pid")
        h.wait_for(lambda: (c.figures("busy")["connections"]["now"],
                            c.figures("busy")["queue"]["now"],
                            c.figures("busy")["count"]["saturations"]) ==
                   ("3", "2", "1"), 10, lambda: c.figures("busy"))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/gone/ping") as f:
            assert f.read() == b"pong"
        assert gone.stop() == 0
        yield Scene(place, port)


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


def collectd_config(scene):
    """With what the manual shows of a pool, for each, and more figures."""
    text = monitors.example("spawnd-status.8", "<Plugin curl_json>")
    key = re.search(r"(?s) *<Key .*?</Key>\n", text)[0]
    keys = "".join(key.replace("active processes", k) for k in FIGURES)
    text = re.sub(r"(?s) *<Key .*</Key>\n", keys, text)
    return CONFIG.format(place=scene.place) + "".join(
        text.replace("http://127.0.0.1:8090/php/", scene.url(f"{pool}/"))
        .replace('Instance "php"', f'Instance "{pool}"')
        for pool in scene.known)


@h.needs(COLLECTD)
@X86_64
def test_collectd(scene):
    """Tried with 5.12.0."""
    config = scene.write("collectd.conf", collectd_config(scene))
    found = {pool: {} for pool in scene.known}

    def read():
        # Whatever was ever said counts, and the last value of it.
        for pool, key, value in re.findall(
                r'(?m)^PUTVAL "here/curl_json-(\w+)/gauge-([^"]+)" \S+ '
                r"[\d.]+:(\S+)$", h.read(f"{scene.place}/out").decode()):
            found[pool][key.replace("_", " ")] = float(value)
        return found
    with contextlib.ExitStack() as stack:
        with open(f"{scene.place}/out", "wb") as out:
            p = subprocess.Popen([COLLECTD, "-f", "-C", config],
                                 stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=out)
        stack.callback(p.wait)
        stack.callback(p.kill)
        h.wait_for(lambda: read() == scene.known, 10,
                   lambda: h.read(f"{scene.place}/out").decode())


@contextlib.contextmanager
def zabbix(scene):
    """An agent. Yields what asks it for a page as its template for php-fpm
    does, and returns that with its head."""
    config = scene.write(
        "zabbix.conf", "LogType=console\nHostname=here\nServer=127.0.0.1\n"
        f"ListenIP=127.0.0.1\nPidFile={scene.place}/z.pid\n"
        f"ControlSocket={scene.place}/z.sock\n")

    def get(path):
        item = f"web.page.get[{scene.url(path)}]".encode()
        with socket.create_connection(("127.0.0.1", 10050), 10) as s:
            s.sendall(b"ZBXD\1" + struct.pack("<Q", len(item)) + item)
            with s.makefile("rb") as f:
                return f.read()[13:].decode()

    def answers():
        try:
            return get("").startswith("HTTP/")
        except OSError:
            return False
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(open(f"{scene.place}/zabbix", "wb"))
        p = subprocess.Popen([ZABBIX, "-f", "-c", config], stdout=out,
                             stdin=subprocess.DEVNULL, stderr=out)
        stack.callback(p.wait)
        stack.callback(p.kill)
        h.wait_for(answers, 10, lambda: h.read(f"{scene.place}/zabbix"))
        yield get


@h.needs(ZABBIX)
@X86_64
def test_zabbix(scene):
    """Tried with 6.0.14. The template takes keys of "/status?json", and looks
    for a word in the answer to a ping."""
    with zabbix(scene) as get:
        for pool, known in scene.known.items():
            page = json.loads(get(f"{pool}/status?json").splitlines()[-1])
            assert {k: page[k] for k in FIGURES if k in page} == known
            assert page["pool"] == pool
            assert page["process manager"] == "static"
            assert page["start time"] > 1e9 and page["start since"] >= 0
            assert re.search(PONG, get(f"{pool}/ping"))
        for path in ("gone/ping", "ping"):
            assert not re.search(PONG, get(path))


def monit_config(scene):
    """Whether a pool serves, whether nobody waits there, and whether it is
    known how many are served."""
    text = f"set idfile {scene.place}/monit.id\n" \
        f"set statefile {scene.place}/monit.state\n"
    for pool in (*scene.known, "gone"):
        text += f"check host {pool} with address 127.0.0.1\n"
        for path, content in (("ping", "^pong$"),
                              ("status", "listen queue: +0"),
                              ("status?json", "active processes")):
            text += f"    if failed port {scene.port} protocol http request " \
                f'"/{pool}/{path}" with content = "{content}" then alert\n'
    return text


@h.needs(MONIT)
@X86_64
def test_monit(scene):
    """Tried with 5.33.0."""
    said = scene.run(MONIT, "-c", scene.write("monitrc", monit_config(scene)),
                     "-v", "validate", status=1)
    known = set(re.findall(r"'\w+' (\w+) (?:testing protocol|protocol test) "
                           r"\[HTTP\] at \[[\d.]+\]:\d+/(\S+)", said))
    assert known == {
        ("succeeded", "busy/ping"), ("failed", "busy/status"),
        ("succeeded", "busy/status?json"), ("succeeded", "php/ping"),
        ("succeeded", "php/status"), ("succeeded", "php/status?json"),
        ("succeeded", "blind/ping"), ("failed", "blind/status"),
        ("failed", "blind/status?json"), ("failed", "gone/ping"),
        ("failed", "gone/status"), ("failed", "gone/status?json")}, said


@contextlib.contextmanager
def exporters(scene, paths):
    """One for each path, as each reads one. Yields what asks that of a path:
    {metric: value}."""
    log = f"{scene.place}/exporters"
    ports = {path: h.free_port() for path in paths}

    def metrics(path):
        try:
            with urllib.request.urlopen(
                    f"http://127.0.0.1:{ports[path]}/metrics", timeout=10) as f:
                return {n: float(v) for n, v in re.findall(
                    r"(?m)^php_fpm_(\w+)\{[^}]*\} (\S+)$",
                    f.read().decode())}
        except urllib.error.URLError:
            return None
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(open(log, "wb"))
        for path, port in ports.items():
            p = subprocess.Popen(
                [EXPORTER, f"--web.listen-address=127.0.0.1:{port}",
                 f"--phpfpm.socket-paths={scene.sock}",
                 f"--phpfpm.status-path={path}"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)
            stack.callback(p.wait)
            stack.callback(p.kill)
        for path in paths:
            h.wait_for(lambda p=path: metrics(p), 10, lambda: h.read(log))
        yield metrics


@h.needs(EXPORTER)
@X86_64
def test_the_exporter_for_prometheus(scene):
    """Tried with 0.6.0."""
    names = {k.replace(" len", " length").replace(" ", "_"): k
             for k in FIGURES}
    down = ["/gone/status", "/none/status", "/status", "/"]
    with exporters(scene, [f"/{p}/status" for p in scene.known] + down) as ask:
        for pool, known in scene.known.items():
            found = ask(f"/{pool}/status")
            assert found.pop("up") == 1
            assert found.pop("start_time_seconds") > 1e9
            assert {names[n]: v for n, v in found.items()} == known
        for path in down:
            assert ask(path) == {"up": 0}, path


# By FastCGI, what these send and no more; "full" has the processes, too.
REQUESTS = {
    "php-fpm_exporter 2.2": {"QUERY_STRING": "json&full",
                             "SCRIPT_FILENAME": "{}", "CONTENT_LENGTH": "0"},
    "telegraf 1.40": {"SCRIPT_FILENAME": "{}", "CONTENT_LENGTH": "0",
                      "SERVER_PROTOCOL": "HTTP/1.0"},
    "netdata 2.11": {"QUERY_STRING": "json&full", "SCRIPT_FILENAME": "{}",
                    "CONTENT_TYPE": "application/json"},
    "munin's php_fpm_process": {"SCRIPT_FILENAME": "", "QUERY_STRING": ""}}
NOTHING = dict.fromkeys(["GATEWAY_INTERFACE", "SERVER_PROTOCOL", "REQUEST_URI",
                         "QUERY_STRING", "CONTENT_LENGTH"])


def read_page(text):
    """The numbers of a page, by key, and its processes. Of the text, munin's
    plugins take the first place that has the key, wherever that begins."""
    if text.startswith("{"):
        page = json.loads(text)
        return {k: page[k] for k in FIGURES if k in page}, \
            page.get("processes")
    found = {k: re.search(rf"{k}: +(\S+)\n", text) for k in FIGURES}
    return {k: int(m[1]) for k, m in found.items() if m}, None


@X86_64
def test_requests_of_monitors_that_are_not_packaged(scene):
    for pool, known in scene.known.items():
        path = f"/{pool}/status"
        for who, params in REQUESTS.items():
            a = h.request(scene.sock, params={
                **NOTHING, "SCRIPT_NAME": path, "REQUEST_METHOD": "GET",
                **{k: v.format(path) for k, v in params.items()}})
            assert (a.status, a.stderr) == (200, b""), who
            found, processes = read_page(a.text)
            # They decode integers, and nothing else.
            assert found == known and "." not in str(found.values()), who
            for p in processes or []:
                assert p.pop("state", "Idle") in ("Idle", "Running")
                assert all(isinstance(v, int) for v in p.values()), (who, p)
        # By a web server: telegraf and munin, and netdata.
        for query in ("", "?json"):
            with urllib.request.urlopen(scene.url(path[1:]) + query) as f:
                assert read_page(f.read().decode())[0] == known, query
