# SPDX-License-Identifier: ISC
"""
Web servers before three hosts, configured by the files of scripts/recipes.

    HOSTS               {name: address}, for several.namespaces()
    start(spawnd, name) the pool of a host
    SERVERS             classes of servers, each with
        take_out(name)  what an operator does before he stops the host, and
        put_back(name)  when it serves again
        companion(...)  what runs on each host beside the pool, a context
        once            a class of it that asks no other host, or None
"""

import contextlib
import csv
import html
import os
import re
import signal
import socket
import urllib.parse

import harness as h
import several
import sites
import web
from test_agent import Agent

HOSTS = {"one": "10.213.1.2", "two": "10.213.2.2", "three": "10.213.3.2"}
WORKERS = 4
MIGRATE = "/proc/sys/net/ipv4/tcp_migrate_req"
RECIPES = os.path.join(sites.TOP, "scripts", "recipes")


def start(spawnd, name):
    address = HOSTS[name]
    return spawnd("-a", address, "-p", 9000, "-u", "www", "-F", WORKERS,
                  "--allow", several.our_address(address), "--stop-timeout", 5,
                  "--name", name, "--", h.app("echo"),
                  wrap=several.inside(name))


def substitute(text, count, pattern, by):
    text, n = re.subn(pattern, by, text)
    assert n == count, (pattern, n)
    return text


class Recipe:
    """Before a class of sites.py."""

    recipe = ""
    once = None
    longest = 60    # seconds that an answer may take

    def __init__(self):
        super().__init__()
        self.root = self.tmp
        self.out = set()

    named = 1       # how often the file names each host

    def text(self):
        with open(os.path.join(RECIPES, self.recipe, self.snippet),
                  encoding="ascii") as f:
            text = f.read()
        for number, address in enumerate(HOSTS.values(), 11):
            text = substitute(text, self.named, rf"192\.0\.2\.{number}\b",
                              address)
        return self.with_port(self.with_longest(text))

    def with_longest(self, text):
        if self.longest == 60:
            return text
        return re.sub(r"(timeout\W+)60", rf"\g<1>{self.longest}", text)

    def rewrite(self):
        with open(os.path.join(self.dir, self.snippet), "w",
                  encoding="ascii") as f:
            f.write(self.text())

    def take_out(self, name):
        self.out.add(name)
        self.reload()

    def put_back(self, name):
        self.out.discard(name)
        self.reload()

    def reload(self):
        pass

    def companion(self, spawnd, name):
        return contextlib.nullcontext()

    def wait_companions(self):
        pass


class Nginx(Recipe, sites.Nginx):
    recipe = "nginx"

    def text(self):
        text = super().text()
        for name in self.out:
            text = substitute(text, 1, rf"(server {HOSTS[name]}:.*);",
                              r"\1 down;")
        return text

    def reload(self):
        old = set(h.children(self.process.pid))
        self.rewrite()
        self.process.send_signal(signal.SIGHUP)
        h.wait_for(lambda: (now := set(h.children(self.process.pid)))
                   and not now & old, 10, self.log)


class NginxOnce(Nginx):
    def text(self):
        return substitute(super().text(), 1,
                          r"fastcgi_next_upstream error timeout",
                          "fastcgi_next_upstream off")


class Lighttpd(Recipe, sites.Lighttpd):
    recipe = "lighttpd"

    def text(self):
        text = super().text()
        for name in self.out:
            text = substitute(text, 1, rf'\t\t\(\s+"host" => "{HOSTS[name]}"'
                              r"[^)]*\),?\n", "")
        return text

    def reload(self):
        began = self.log().count("server started")
        self.rewrite()
        self.process.send_signal(signal.SIGUSR1)
        h.wait_for(lambda: self.log().count("server started") > began and
                   not h.children(self.process.pid), 20, self.log)


class Apache(Recipe, sites.Apache):
    recipe = "apache"
    modules = (*sites.Apache.modules, "authz_host", "proxy_balancer",
               "slotmem_shm", "lbmethod_bybusyness", "rewrite")
    named = 2

    def links(self):
        """Of the manager's page: {(balancer, host): where it is changed}"""
        page = self.fetch("/balancer-manager").text
        found = [html.unescape(x) for x in
                 re.findall(r'href="/balancer-manager\?([^"]*)"', page)]
        found = [dict(urllib.parse.parse_qsl(x)) for x in found]
        return {(x["b"], x["w"]): x for x in found if "w" in x}

    def manage(self, name, draining):
        where = f"127.0.0.1:{self.port}"
        mine = [x for (_, host), x in self.links().items()
                if HOSTS[name] in host]
        assert len(mine) == self.named
        for fields in mine:
            a = self.fetch(
                "/balancer-manager", method="POST",
                body=urllib.parse.urlencode(
                    {**fields, "w_status_N": int(draining)}),
                headers={"Content-Type": "application/x-www-form-urlencoded",
                         "Host": where,
                         "Referer": f"http://{where}/balancer-manager"})
            assert a.status == 200, a

    def take_out(self, name):
        self.manage(name, True)

    def put_back(self, name):
        self.manage(name, False)


class Caddy(Recipe, sites.Caddy):
    recipe = "caddy"

    def __init__(self):
        super().__init__()
        self.admin = h.free_port()

    def start(self):
        with contextlib.suppress(FileNotFoundError), \
                open(MIGRATE, "w", encoding="ascii") as f:
            f.write("1")
        super().start()

    def frame(self):
        return substitute(super().frame(), 1, "admin off",
                          f"admin 127.0.0.1:{self.admin}")

    def text(self):
        text = super().text()
        for name in self.out:
            text = substitute(text, 1, rf"\t\tto {HOSTS[name]}:", r"#\g<0>")
        return text

    def reload(self):
        """As "caddy reload" does."""
        self.rewrite()
        with open(os.path.join(self.dir, "conf"), "rb") as f:
            a = web.fetch(self.admin, "/load", method="POST", body=f.read(),
                          headers={"Content-Type": "text/caddyfile"})
        assert a.status == 200, a


class CaddyOnce(Caddy):
    def text(self):
        return substitute(super().text(), 2, r"\t\tlb_try_\w+ .*\n", "")


class HAProxy(Recipe, web.WebServer):
    program, recipe, snippet = "haproxy", "haproxy", "haproxy.cfg"

    def __init__(self):
        web.WebServer.__init__(self, "tcp:127.0.0.1:1", "/", "web")

    def with_port(self, text):
        return substitute(text, 1, "bind :80", f"bind 127.0.0.1:{self.port}")

    def config(self):
        self.stats = f"{self.dir}/stats"
        return f"""\
global
	user {self.user}
	stats socket {self.stats} level admin
defaults
	mode http
	timeout client 60s
	timeout server {self.longest}s
""" + self.text()

    def command(self, conf):
        return ["/usr/sbin/haproxy", "-dW", "-db", "-f", conf]

    @contextlib.contextmanager
    def companion(self, spawnd, name):
        a = Agent("-p", name, "--allow", several.our_address(HOSTS[name]),
                  listen=f"{HOSTS[name]}:9707", wrap=several.inside(name))
        try:
            yield
        finally:
            a.end()

    def take_out(self, name):
        """Its agent tells."""

    put_back = take_out

    def wait_companions(self):
        h.wait_for(lambda: {name for name, row in self.rows().items()
                            if row["agent_status"] == "L7OK"} >= set(HOSTS),
                   10, lambda: repr(self.rows()))

    def rows(self):
        """{server: its row of the statistics}"""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10 * h.PATIENCE)
            try:
                s.connect(self.stats)
            except (FileNotFoundError, ConnectionRefusedError):
                return {}           # it begins
            s.sendall(b"show stat\n")
            data = b""
            while part := s.recv(65536):
                data += part
        table = csv.DictReader(data.decode().lstrip("# ").splitlines())
        return {r["svname"]: r for r in table if r["pxname"] == "app"}


def ask_once(text):
    """HAProxy's configuration, but that it asks no second host."""
    text = substitute(text, 3,
                      r"\t(retries|option redispatch|retry-on) .*\n", "")
    return text.replace("\tuse-fcgi-app", "\tretries 0\n\tuse-fcgi-app")


class HAProxyOnce(HAProxy):
    def text(self):
        return ask_once(super().text())


Nginx.once, Caddy.once, HAProxy.once = NginxOnce, CaddyOnce, HAProxyOnce
SERVERS = [HAProxy, Nginx, Lighttpd, Apache, Caddy]


@contextlib.contextmanager
def before(kind, spawnd, **settings):
    """The server, and the pools by name."""
    with contextlib.ExitStack() as stack:
        server = kind()
        for name, value in settings.items():
            setattr(server, name, value)
        pools = {}
        for name in HOSTS:
            pools[name] = start(spawnd, name)
            stack.enter_context(server.companion(spawnd, name))
        stack.enter_context(server)
        server.wait_companions()
        yield server, pools


def check(answer, token):
    assert answer.headers["X-Token"] == token, answer
    assert answer.text == f"pid {answer.headers['X-Pid']}\n", answer
    return int(answer.headers["X-Pid"])
