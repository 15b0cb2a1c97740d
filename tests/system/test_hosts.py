# SPDX-License-Identifier: ISC
"""One web server before pools on two hosts: what it loses while one of them
reloads. The hosts are network namespaces; test_recipes.py has the rest."""

import signal

import pytest

import harness as h
import several
import web

PLAIN_ONLY = True
HOSTS = {"one": "10.213.1.2", "two": "10.213.2.2"}
PORT = 9000
CLIENTS = 6
REQUESTS = 1500


@pytest.fixture(scope="module")
def hosts():
    with several.namespaces(HOSTS):
        yield HOSTS


class Lighttpd(web.Lighttpd):
    """By round robin; a host that refuses is left out for a second."""

    def config(self):
        text = super().config()
        before, _, rest = text.partition("fastcgi.server = (")
        both = ", ".join(
            f'( "host" => "{a}", "port" => {PORT}, '
            '"check-local" => "disable" )' for a in HOSTS.values())
        return before + 'fastcgi.balance = "round-robin"\n' \
            f'fastcgi.server = ( "/" => ( {both} ) )\n'


class Nginx(web.Nginx):
    """By round robin; fastcgi_next_upstream is "error timeout"."""

    def config(self):
        servers = "".join(f"\t\tserver {a}:{PORT};\n" for a in HOSTS.values())
        text = super().config().replace(
            "http {\n", "http {\n\tupstream hosts {\n" + servers + "\t}\n")
        text = text.replace("\t\t\tfastcgi_next_upstream off;\n", "")
        return text.replace(f"fastcgi_pass {self.peer};",
                            "fastcgi_pass hosts;")


@pytest.fixture(params=[Lighttpd, Nginx], ids=lambda s: s.program)
def site(hosts, spawnd, request):
    pools = [spawnd("-a", address, "-p", PORT, "-u", "www", "-F", 4,
                    "--allow", address[:-1] + "1", "--stop-timeout", 3,
                    "--", h.app("echo"),
                    wrap=["ip", "netns", "exec", name])
             for name, address in hosts.items()]
    with request.param("tcp:127.0.0.1:1", "/", "web") as server:
        yield server, pools


def check(answer, token):
    assert answer.headers["X-Token"] == token, answer
    return int(answer.headers["X-Pid"])


def load_during(server, pools, change, **how):
    return several.load_during(server, pools, change, check, CLIENTS, REQUESTS,
                               "/page?token=%s&pid&sleep=2", **how)


def test_reload_loses_nothing(site):
    server, pools = site
    old = set(pools[0].workers())

    def change(_tally):
        pools[0].signal(signal.SIGHUP)
        pools[0].wait_log("all workers are new")
    tally = load_during(server, pools, change)
    assert tally.lost == 0, (tally, server.log()[-2000:], pools[0].log())
    assert set(tally.values) & (set(pools[0].workers()) - old)
