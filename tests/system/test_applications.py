# SPDX-License-Identifier: ISC
"""Real applications: a page, a worker that is killed, reloads under load with
no request lost, and the stop."""

import os
import re
import shutil
import signal
import subprocess

import pytest

import harness as h
from ctl import figures

PLAIN_ONLY = True       # what it shows is nothing that sanitizers see

CLIENTS = 6
SECONDS = 3
LONGEST = 90            # if they go on until all is done
STOP_WITHIN = 5         # seconds, of idle workers

# What is started; options of spawnd; what the load generator has to be told
# (script, query).
NODE = ["-e", "NODE_PATH=/usr/share/nodejs", "-e", "NODE_NO_WARNINGS=1"]
APPLICATIONS = {
    "php-cgi, children": (["/usr/bin/php-cgi", "-n"], ["-F", 2, "-C", 2],
                          [h.source("php/load.php")]),
    "perl": ([h.source("load.pl")], ["-F", 4], []),
    "plackup": (["/usr/bin/plackup", "-s", "FCGI", "-E", "deployment",
                 "--manager=", h.source("load.psgi")], ["-F", 4], []),
    "ruby": ([h.source("load.rb")], ["-F", 4, "--stop-signal", "USR1"], []),
    "go": ([os.path.join(h.APPS, "load-go")], ["-F", 4], []),
    "node": (["/usr/bin/node", h.source("load.js")], ["-F", 4, *NODE], []),
    "lua": ([h.source("load.lua")], ["-F", 4], []),
    "fcgiwrap": (["/usr/sbin/fcgiwrap", "-c", "3"], ["-F", 2],
                 [h.app("cgi")]),
    "mapserv": (["/usr/bin/mapserv"], ["-F", 4],
                ["/", "mode=browse&token="]),
    # As kcgi does, it shuts itself in before it accepts.
    "sandboxed": ([h.app("sandboxed")], ["-F", 4], []),
}
SMALL = ["mapserv", "sandboxed"]        # whose answers have one size
PACKAGES = {"lua": "lua-wsapi-fcgi"}
each = pytest.mark.parametrize("name", APPLICATIONS)


def start(spawnd, place, name, *more):
    argv, options, _ = APPLICATIONS[name]
    if name == "mapserv":
        shutil.copytree(h.source("mapserv"), f"{place}/map")
        with open(f"{place}/conf", "w") as f:
            f.write(f'CONFIG\nENV\nMS_MAPFILE "{place}/map/load.map"\n'
                    "END\nEND\n")
        options = [*options, "-e", f"MAPSERVER_CONFIG_FILE={place}/conf"]
    s = spawnd("-s", f"{place}/sock", "--name", "p", "-u", "www", *options,
               *more, "--", *argv)
    # All of it is shown of workers that are confined.
    holds = figures("p")["guarantees"]
    assert holds["confine_signals"] == holds["confine_limits"] == "yes", holds
    return s


def ask(place, name, token="t0k3n", size=0):
    script, query = (*APPLICATIONS[name][2], None, None)[:2]
    return h.request(
        f"{place}/sock",
        query + token if query else f"{token} 0 {size}", params={
            "SCRIPT_FILENAME": script or "", "SCRIPT_NAME": "/load",
            "REQUEST_URI": f"/load?{token} 0 {size}"})


class Load:
    def __init__(self, place, name, seconds=SECONDS):
        told = APPLICATIONS[name][2]
        self.popen = subprocess.Popen(
            [h.app("load"), f"{place}/sock", str(CLIENTS), str(seconds), "1",
             "0", *told], stdout=subprocess.PIPE, text=True)

    def running(self):
        return self.popen.poll() is None

    def end(self):
        self.popen.send_signal(signal.SIGINT)

    def result(self):
        words = self.popen.communicate(timeout=SECONDS + 120)[0].split()
        return dict(zip(words[::2], map(int, words[1::2])))


@each
def test_page(spawnd, place, name):
    start(spawnd, place, name)
    big = 0 if name in SMALL else 1 << 20
    answer = ask(place, name, size=big)
    assert answer.status == 200, answer.text[:300]
    head, _, rest = answer.text.partition("\n")
    assert head.split()[0] == "t0k3n", head
    assert rest == "x" * big


@each
def test_killed_worker_is_replaced(spawnd, place, name):
    s = start(spawnd, place, name)
    before = s.workers()
    h.kill(before[0])
    s.wait_workers(len(before), other_than=before[:1])
    for i in range(2 * len(before)):
        assert ask(place, name, f"t{i}").text.startswith(f"t{i} ")


@each
def test_reloads_under_load_lose_nothing(spawnd, place, name):
    s = start(spawnd, place, name)
    before = set(s.workers())
    load = Load(place, name)
    done = 0
    while load.running():
        s.signal(signal.SIGHUP)
        done += 1
        h.wait_for(lambda: not load.running() or len(re.findall(
            "all workers are new", s.log())) >= done, SECONDS + 20, s.log)
    result = load.result()
    assert result["sent"] == result["answered"] + result["failed"], result
    assert result["sent"] >= done * CLIENTS, (done, result)
    assert result["busy"] >= 50, result
    assert result["failed"] == 0, (result, s.log())
    # The last one comes to its end, too.
    h.wait_for(lambda: len(re.findall("reload: begun", s.log())) == len(
        re.findall("all workers are new", s.log())), 20, s.log)
    assert not before & set(s.workers())
    everybody = set(h.descendants(s.pid))
    assert s.stop(deadline=STOP_WITHIN) == 0, s.log()
    h.wait_for(lambda: not any(map(h.alive, everybody)), 5, "end of all")


@each
def test_recycling_under_load_loses_nothing(spawnd, place, name):
    """php-cgi ends its children itself, after so many requests."""
    php = name == "php-cgi, children"
    s = start(spawnd, place, name, *(["-e", "PHP_FCGI_MAX_REQUESTS=50"] if php
                                     else ["--max-age", 1]))

    def serving():
        workers = set(s.workers())
        return set(h.descendants(s.pid)) - workers if php else workers
    before = serving()
    load = Load(place, name, LONGEST)
    try:
        h.wait_for(lambda: not before & serving(), 20, s.log)
    finally:
        load.end()
        result = load.result()
    assert result["sent"] == result["answered"] + result["failed"], result
    assert result["failed"] == 0, (result, s.log())
    assert result["busy"] >= 50, result
    assert s.stop(deadline=STOP_WITHIN) == 0, s.log()
