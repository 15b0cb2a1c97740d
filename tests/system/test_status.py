# SPDX-License-Identifier: ISC
"""spawnd-status: what a web server gets of pools that are busy, gone or silent,
in each form; and the page in a browser."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import xml.etree.ElementTree

import pytest

import ctl as c
import harness as h
import sites
import web

STATUS = os.path.join(os.path.dirname(h.SPAWND), "spawnd-status")
CHROMIUM = "/usr/bin/chromium"
WORKERS = 3


class Shown:
    """The responder, and pools that it may read."""

    def __init__(self, spawnd, place):
        self.spawnd, self.place = spawnd, place
        self.sock = f"{place}/status.sock"
        self.pools = {}

    def pool(self, name, *args, app="echo"):
        s = self.spawnd("-s", f"{self.place}/{name}.sock", "-u", "www",
                        "--name", name, "--status-group", "alpha",
                        *(args or ("-F", WORKERS)), "--", h.app(app))
        s.sock = f"{self.place}/{name}.sock"
        self.pools[name] = s
        return s

    def show(self, *args):
        """many is in the group alpha."""
        self.responder = self.spawnd(
            "-s", self.sock, "-U", "www", "-u", "many", "-F", 1, "--name",
            "status", "--", STATUS, *args)
        return self.responder

    def get(self, path="/", query="", method="GET", **params):
        return h.request(self.sock, query, params={
            "SCRIPT_NAME": path, "REQUEST_METHOD": method, **params})

    def json(self, path="/php/"):
        return json.loads(self.get(path, "json").text)


@pytest.fixture
def shown(spawnd, place):
    return Shown(spawnd, place)


def occupy(stack, pool, waiting):
    """Every worker has a connection, and so many wait. The request has only
    begun: where nothing comes, libfcgi closes a connection after two seconds.
    """
    for _ in range(WORKERS + waiting):
        connection = stack.enter_context(h.Connection(pool.sock))
        connection.sock.sendall(h.request_bytes("")[:16])


def well_formed(text):
    """The tree of a page: it has no document type and no entity of its own."""
    return xml.etree.ElementTree.fromstring(text.replace("<!DOCTYPE html>\n",
                                                         ""))


def words(element):
    return re.sub(r"\s+", " ", "".join(element.itertext())).strip()


def cells(text):
    """{title of a column: text}, of the first pool of a page."""
    return {e.get("data-title"): words(e) for e in well_formed(text).iter("td")
            if e.get("data-title")}


def test_each_path_in_each_form(shown):
    shown.pool("php")
    shown.show()
    for path, query, kind in (
            ("/", "", "text/html"), ("/php/", "", "text/html"),
            ("/", "json", "application/json"),
            ("/php/", "json&full", "application/json"),
            ("/", "openmetrics", "application/openmetrics-text"),
            ("/php/", "openmetrics&full", "application/openmetrics-text"),
            ("/status", "", "text/plain"), ("/php/status", "", "text/plain"),
            ("/status", "json&full", "application/json"),
            ("/status", "xml", "text/xml"),
            ("/status", "openmetrics", "application/openmetrics-text"),
            ("/status", "html", "text/html"),
            ("/ping", "", "text/plain"), ("/php/ping", "", "text/plain"),
            ("/spawnd/php/ping", "", "text/plain")):
        a = shown.get(path, query)
        assert (a.status, a.headers["content-type"].split(";")[0]) == \
            (200, kind), (path, query, a.text)
        assert int(a.headers["content-length"]) == len(a.body) > 0
        assert a.headers["cache-control"] == "no-store"
        policy = a.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; ")
        nonce = re.search("'nonce-([0-9a-f]{32})'", policy)
        assert bool(nonce) == (kind == "text/html")
        if kind == "text/html":
            well_formed(a.text)
            assert a.text.count(f' nonce="{nonce[1]}"') == 2
            assert not re.search(r"https?:|//[a-z]|@import|url\(", a.text)
        # The same but for the body; two pages differ by their times.
        head = shown.get(path, query, "HEAD")
        assert head.status == 200 and head.body == b""
        assert head.headers["content-type"] == a.headers["content-type"]
        assert int(head.headers["content-length"]) > 0
    assert shown.get("/ping").body == b"pong"
    c.openmetrics(shown.get("/", "openmetrics&full").text)
    assert [p["pool"]["name"] for p in shown.json("/")["pools"]] == ["php"]


def test_what_is_wrong_with_a_request_is_said(shown):
    shown.pool("php")
    shown.show()
    for status, path, query, how in (
            (404, "/favicon.ico", "", {}), (404, "/php/x", "", {}),
            (404, "/a/b/c", "", {}), (404, "/../ping", "", {}),
            (405, "/", "", {"method": "POST"}),
            (405, "/none", "", {"method": "OPTIONS"}),
            (414, "/", "x" * 3000, {}), (414, "/" + "x" * 3000, "", {}),
            (400, "/", "", {"REQUEST_METHOD": None}),
            (400, None, "", {})):
        a = shown.get(path, query, **how)
        assert a.status == status, (path, query, a.text)
        assert a.headers["content-type"].startswith("text/plain")
        # Nothing that could be the first line of php-fpm's page.
        assert re.match(r"[A-Z][A-Za-z ]+\n.+\n\Z", a.text), a.text
        assert ("allow" in a.headers) == (status == 405)
    a = shown.get("/spawnd/php")
    assert (a.status, a.headers["location"]) == (301, "php/")
    a = shown.get("/spawnd")
    assert (a.status, a.headers["location"]) == (301, "spawnd/")
    assert shown.get("/", QUERY_STRING=None).status == 200
    a = shown.get("/", method="POST", CONTENT_LENGTH=10)
    assert a.status == 405
    assert shown.get().status == 200


def test_figures_are_those_of_the_load(shown):
    pool = shown.pool("php")
    shown.show()
    with contextlib.ExitStack() as stack:
        occupy(stack, pool, 4)
        h.wait_for(lambda: (shown.json()["sum"].get("busy"),
                            shown.json()["queue"]["now"]) == (WORKERS, 4), 10,
                   shown.json)
        figures = cells(shown.get().text)
        assert figures["Busy"] == f"{WORKERS} of {WORKERS} ready of {WORKERS}"
        assert re.fullmatch(r"4 of \d+ ?peak [4-7]", figures["Queue"])
        # Of a pool that is so young there may be no history before that.
        assert re.fullmatch(r"(at least [\d.]+ s|just now)"
                            r"( (at most|maybe over) [\d.]+ s)?",
                            figures["Waiting"])
        assert re.fullmatch(r"for (over )?[\d.]+ s", figures["Saturated"])
        fpm = json.loads(shown.get("/status", "json&full").text)
        assert (fpm["active processes"], fpm["idle processes"],
                fpm["listen queue"]) == (WORKERS, 0, 4)
        assert [p["state"] for p in fpm["processes"]] == ["Running"] * WORKERS
        samples = {(n, lab.get("state")): v for n, lab, v in c.openmetrics(
            shown.get("/", "openmetrics").text)}
        assert samples["spawnd_workers_busy", None] == WORKERS
        assert samples["spawnd_queue_connections", None] == 4
        assert samples["spawnd_workers", "ready"] == WORKERS
        # The most of each second is drawn: all workers, up to 5.
        assert re.search(r'class="busy" d="[^"]*V40\.0', shown.get().text)
        assert shown.get("/ping").text == "pong"
        h.wait_for(lambda: "saturated: all workers are busy, and connections "
                   "wait<" in shown.get().text, 10)
    h.wait_for(lambda: shown.json()["queue"]["now"] == 0, 10)
    # It is over when nobody has waited for ten seconds.
    h.wait_for(lambda: "not saturated any more<" in shown.get().text, 20)
    figures = cells(shown.get().text)
    assert figures["Waiting"] == "none"
    assert re.fullmatch(r"no [\d.]+ s in all", figures["Saturated"])
    assert figures["Queue"].startswith("0 of ")
    assert figures["Since the start"] == f"started {WORKERS}"


def test_ends_are_told_and_counted_but_not_what_a_worker_says(shown):
    pool = shown.pool("php")
    shown.show()
    pid = h.request(pool.sock, "pid&log=a-secret").headers["x-pid"]
    with contextlib.suppress(h.FcgiError):
        h.request(pool.sock, "log=a-secret&exit=3")
    pool.wait_log("exited with status 3")
    text = shown.get().text
    assert "crashed 1" in cells(text)["Since the start"]
    assert re.search(r"worker \d+ exited with status 3", text), text
    assert "a-secret" in pool.log() and "a-secret" not in text
    # Not in any other form either.
    for path, query in (("/", "json"), ("/", "openmetrics&full"),
                        ("/status", "full"), ("/status", "json&full")):
        assert "a-secret" not in shown.get(path, query).text
    assert int(pid) > 0


def test_workers_are_sorted_by_links(shown):
    shown.pool("php")
    shown.show()
    heads = [e.get("href") for e in well_formed(shown.get().text).iter("a")]
    assert "./?sort=pid" in heads
    pids = [str(p) for p in sorted(shown.pools["php"].workers())]
    for query, wanted in (("sort=pid", pids), ("sort=-pid", pids[::-1])):
        page = well_formed(shown.get("/", query).text)
        table = [t for t in page.iter("table") if t.get("class") == "workers"]
        assert [words(r[1]) for r in table[0].iter("tr")][1:] == wanted


def test_a_pool_that_has_gone_is_503_and_said_when(shown):
    shown.pool("php")
    shown.pool("app")
    shown.show()
    assert shown.get("/php/ping").status == 200
    a = shown.get("/status")
    assert a.status == shown.get("/ping").status == 404, a.text
    shown.pools["php"].stop()
    for path, query in (("/php/", ""), ("/php/", "json"), ("/php/ping", ""),
                        ("/php/status", "json"), ("/php/", "openmetrics")):
        a = shown.get(path, query)
        assert a.status == 503, (path, a.text)
        if path == "/php/status":
            assert a.text.startswith(
                "Service Unavailable\n/run/spawnd/php: "), a.text
    a = shown.get()
    assert a.status == 200
    rows = [words(r) for r in well_formed(a.text).iter("tr")]
    assert any(re.match(r"php ?gone, last seen \d{4}-.* ago\)", r)
               for r in rows), rows
    gone = [p["pool"] for p in shown.json("/")["pools"]
            if p["pool"]["name"] == "php"][0]
    assert gone["state"] == "gone" and gone["seen"] > 1e9
    up = {lab["pool"]: v for n, lab, v in c.openmetrics(
        shown.get("/", "openmetrics").text) if n == "spawnd_up"}
    assert up == {"php": 0, "app": 1}
    # One that has never been there is no better.
    assert shown.get("/none/ping").status == 503
    assert shown.get("/none").status == 404
    shown.pools["app"].stop()
    assert shown.get().status == shown.get("/", "json").status == 503
    shown.pool("php")
    assert shown.get("/php/ping").text == "pong"


def test_of_the_pools_that_are_named_none_is_forgotten(shown):
    shown.pool("php")
    shown.pool("other")
    shown.show("php", f"app={c.pool('none')}", f"{c.pool('php')}x")
    a = shown.get()
    rows = [words(r) for r in well_formed(a.text).iter("tr")]
    assert a.status == 200 and "other" not in a.text
    assert any(r.startswith("app gone") or r.startswith("appgone")
               for r in rows), rows
    assert shown.get("/other/ping").status == 503
    assert shown.get("/app/ping").status == 503
    assert shown.get("/phpx/ping").status == 503
    assert shown.get("/php/ping").status == 200


@pytest.mark.parametrize("args,said", [
    (["a b"], "a b: not a name"), (["--nix"], "--nix: no such option"),
    (["--prefix"], "--prefix: needs a value"),
    (["--prefix", "x"], "--prefix: x: must begin with a slash"),
    (["--prefix=/x/"], "--prefix: /x/: must begin with a slash"),
    (["p", "p"], "p: a second pool of this name"),
    (["x=/run/a", "/run/x/"], "/run/x/: a second pool of this name"),
    ([], "standard input is no listen socket")])
def test_what_is_wrong_with_the_command_line_is_said(args, said):
    r = subprocess.run([STATUS, *args], stdin=subprocess.DEVNULL,
                       capture_output=True, text=True,
                       env={**h.BASE_ENV, **h.sanitizer_env()},
                       timeout=10 * h.PATIENCE)
    assert r.returncode == 64 and r.stdout == ""
    assert r.stderr.startswith(f"spawnd-status: {said}"), r.stderr
    assert r.stderr.count("\n") == 1


def test_a_pool_that_is_silent_keeps_the_others_waiting_no_longer(shown):
    shown.pool("php")
    stopped = shown.pool("app")
    shown.show()
    assert shown.get("/app/ping").status == 200
    stopped.signal(signal.SIGSTOP)
    try:
        a = shown.get()
        assert a.status == 200 and "does not answer, last seen" in \
            words(well_formed(a.text))
        assert f"of {WORKERS} ready" in words(well_formed(a.text))
        assert shown.get("/app/ping").status == 503
        assert shown.get("/php/ping").status == 200
    finally:
        stopped.signal(signal.SIGCONT)
    assert shown.get("/app/ping").status == 200


def test_pools_that_take_no_connections_keep_nobody_waiting(shown):
    """Their supervisors are stopped, and the queues of their sockets full."""
    shown.pool("php")
    stuck = {f"app{n}": shown.pool(f"app{n}", "-F", 1) for n in range(4)}
    shown.show()
    assert shown.get().status == 200
    crowd = []
    try:
        for name, s in stuck.items():
            s.signal(signal.SIGSTOP)
            crowd += h.fill(f"{c.pool(name)}/status")
        text = words(well_formed(shown.get().text))
        assert text.count("does not answer, last seen") == len(stuck), text
        assert f"of {WORKERS} ready" in text, text
    finally:
        for sock in crowd:
            sock.close()
        for s in stuck.values():
            s.signal(signal.SIGCONT)


def test_pools_that_drip_keep_nobody_waiting(shown, place):
    """Their answers come byte by byte, and have no end."""
    shown.pool("php")
    over = threading.Event()

    def drip(server):
        sock, _ = server.accept()
        with server, sock, contextlib.suppress(OSError):
            while not over.wait(0.02):
                sock.sendall(b"s")
    for n in range(5):
        os.mkdir(f"{place}/d{n}", 0o755)
        server = socket.socket(socket.AF_UNIX)
        server.bind(f"{place}/d{n}/status")
        os.chmod(f"{place}/d{n}/status", 0o777)
        server.listen()
        threading.Thread(target=drip, args=[server], daemon=True).start()
    shown.show(*(f"d{n}={place}/d{n}" for n in range(5)), "php")
    try:
        text = shown.get().text
    finally:
        over.set()
    assert text.count("<b>does not answer</b>") == 5, text
    assert f"</b> of {WORKERS} ready" in text, text


BROWSER = """
const answers = JSON.parse(process.argv[2]);
const lost = { hidden: true };
let main = 'first';
const known = { lost, main: { replaceWith(next) { main = String(next); } } };
globalThis.document = { getElementById: (id) => known[id] };
globalThis.DOMParser = class {
    parseFromString(text) {
        return { getElementById: () => text.startsWith('page') ? text : null };
    }
};
globalThis.getSelection = () => '';
globalThis.location = {};
globalThis.fetch = async () => ({ text: async () => answers.shift() });
globalThis.setTimeout = (look) => {
    console.log(main, lost.hidden);
    if (answers.length) { look(); }
};
"""


@h.needs("/usr/bin/node")
def test_an_answer_that_is_not_the_page_does_not_take_its_place(shown, place):
    """A web server's own, while the responder begins anew."""
    shown.pool("php")
    shown.show()
    script = re.search(r"(?s)<script[^>]*>(.*)</script>",
                       shown.get().text)[1]
    with open(f"{place}/page.js", "w", encoding="ascii") as f:
        f.write(BROWSER + script)
    r = subprocess.run(["/usr/bin/node", f"{place}/page.js", json.dumps(
        ["page 1", "502 Bad Gateway", "page 2"])], capture_output=True,
        text=True, timeout=30 * h.PATIENCE, check=True)
    assert r.stdout.splitlines() == ["first true", "page 1 true",
                                     "page 1 false", "page 2 true"], r


def test_a_pool_that_may_not_be_read_is_only_counted(shown):
    shown.spawnd("-s", f"{shown.place}/x", "-u", "www", "--name", "closed",
                 "--", h.app("echo"))
    shown.show()
    a = shown.get()
    assert a.status == 503
    assert "closed" not in a.text and "No pool runs here" in a.text
    assert shown.get("/closed/ping").status == 503


# Web servers, by the files of scripts/web. Two of them have a port of their
# own besides.

class Snippet:
    own_port = False

    def __init__(self):
        self.page = None
        super().__init__()

    def text(self):
        with open(os.path.join(sites.SNIPPETS, self.snippet),
                  encoding="ascii") as f:
            text = f.read()
        self.page = h.free_port() if self.own_port else self.port
        assert "127.0.0.1:8090" in re.sub(r"(?m)^\s*#.*", "", text)
        return text.replace("127.0.0.1:8090", f"127.0.0.1:{self.page}")

    def fetch(self, path, **how):
        return web.fetch(self.page, path, **how)


class StatusNginx(Snippet, sites.Nginx):
    snippet = "status-nginx.conf"


class StatusLighttpd(Snippet, sites.Lighttpd):
    snippet, own_port = "status-lighttpd.conf", True


class StatusApache(Snippet, sites.Apache):
    snippet, own_port = "status-apache.conf", True

    def frame(self):
        return "LoadModule authz_host_module /usr/lib/apache2/modules/" \
            "mod_authz_host.so\n" + super().frame()


class StatusCaddy(Snippet, sites.Caddy):
    snippet = "status-Caddyfile"


class StatusHAProxy(Snippet, sites.HAProxy):
    snippet = "status-haproxy.cfg"


@pytest.mark.parametrize("server", [
    StatusNginx, StatusLighttpd, StatusApache, StatusCaddy, StatusHAProxy],
    ids=lambda s: s.program)
def test_before_it_is_a_web_server(shown, server):
    # The place that the files name.
    shown.sock = "/run/spawnd-status.sock"
    os.makedirs(sites.ROOT, exist_ok=True)
    pool = shown.pool("php")
    shown.spawnd("-s", shown.sock, "-U", "web", "-u", "many", "-F", 1,
                 "--name", "status", "--", STATUS)
    with server() as w, contextlib.ExitStack() as stack:
        occupy(stack, pool, 1)
        h.wait_for(lambda: json.loads(w.fetch("/?json").text)["pools"][0]
                   ["queue"]["now"] == 1, 10, lambda: w.log())
        a = w.fetch("/")
        assert a.status == 200 and cells(a.text)["Busy"].startswith(
            f"{WORKERS} of {WORKERS} "), (a, w.log())
        assert a.headers["Content-Security-Policy"]
        for path in ("/php/", "/spawnd/php/", "/php/?sort=-age"):
            assert "Workers</h2>" in w.fetch(path).text, path
        fpm = json.loads(w.fetch("/php/status?json&full").text)
        assert (fpm["active processes"], fpm["listen queue"]) == (WORKERS, 1)
        assert w.fetch("/status?xml").text.startswith("<?xml")
        assert w.fetch("/php/ping").body == b"pong"
        head = w.fetch("/", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        assert w.fetch("/", method="POST", body=b"x").status == 405
        assert w.fetch("/nothing/here").status == 404
        pool.stop()
        assert w.fetch("/php/ping").status == 503
        assert w.fetch("/").status == 503


# The page in a browser

WIDTHS = (1280, 400)


def browse(url, place, *args):
    return subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu",
         "--disable-dev-shm-usage", f"--user-data-dir={place}/chromium",
         *args, url], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, env={**h.BASE_ENV, "HOME": place},
        timeout=120 * h.PATIENCE)


@h.soak
@h.needs(CHROMIUM)
def test_the_page_in_a_browser(shown, place):
    """Pictures of it are left in build/pictures, for whoever looks at them."""
    pictures = os.path.join(sites.TOP, "build", "pictures")
    os.makedirs(pictures, exist_ok=True)
    os.makedirs(sites.ROOT, exist_ok=True)
    shown.sock = "/run/spawnd-status.sock"
    pool = shown.pool("php")
    shown.pool("api", "-F", 1, "-N", 8)
    shown.spawnd("-s", shown.sock, "-U", "web", "-u", "many", "-F", 1,
                 "--name", "status", "--", STATUS, "php", "api", "shop")
    with StatusNginx() as w, contextlib.ExitStack() as stack:
        occupy(stack, pool, 4)
        h.wait_for(lambda: json.loads(w.fetch("/php/?json").text)["queue"]
                   ["now"] == 4, 10)
        assert c.ctl("-p", "api", "drain", 3600).status == 0
        url = f"http://127.0.0.1:{w.page}"
        for path, name in (("/", "pools"), ("/php/", "pool")):
            r = browse(url + path, place, "--dump-dom",
                       "--virtual-time-budget=5000")
            assert f"<b>{WORKERS}</b> of {WORKERS} ready" in r.stdout, r
            assert "<b>4</b> of" in r.stdout, r
            # A pool so young may have no history before that, and no bound.
            assert re.search('data-title="Waiting" class="warn">'
                             r"at least [\d.]+ s[ <]", r.stdout), r
            assert re.search('data-title="Saturated" class="bad">for ',
                             r.stdout), r
            assert bool(re.search(
                r"a stop is announced and comes in (59:\d\d|1:00:00)<",
                r.stdout)) == (path == "/"), r
            # Its script has run, and got answers.
            assert re.search('<p id="lost"[^>]* hidden=""', r.stdout), r
            assert "Refused" not in r.stderr, r.stderr
            for width in WIDTHS:
                for dark in (False, True):
                    out = f"{pictures}/{name}-{width}-" \
                        f"{'dark' if dark else 'light'}.png"
                    browse(url + path, place, f"--screenshot={out}",
                           f"--window-size={width},1400",
                           *["--blink-settings=preferredColorScheme=0"]
                           if dark else [])
                    assert os.path.getsize(out) > 10000
