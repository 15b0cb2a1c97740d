# SPDX-License-Identifier: ISC
"""Each web server, with the file of scripts/web for it, before php-cgi and
Perl."""

import contextlib
import hashlib
import http.client
import os
import shutil
import socket

import pytest

import harness
import sites

PHP = "/usr/bin/php-cgi"
WORKERS = 3
MB = 1 << 20

# What is asked for: a page, whatever is posted, a large answer.
PATHS = {
    "php": ("/worker.php?token=%s", "/post.php",
            "/worker.php?token=t&big=%d"),
    "perl": ("/app/page?token=%s", "/app/post", "/app/page?token=t&big=%d"),
}
both = pytest.mark.parametrize("app", PATHS)


@pytest.fixture(scope="module")
def pools():
    """A pool of php-cgi and one of Perl, on the sockets the files name."""
    harness.empty_directory("/var/www")
    shutil.copytree(harness.source("php"), sites.ROOT)
    shutil.copy(harness.source("worker.php"), sites.ROOT)
    pools = {}
    with contextlib.ExitStack() as stack:
        for app, path, argv in (
                ("php", sites.PHP, [PHP]),
                ("perl", sites.APP, [harness.source("app.pl")])):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            pools[app] = harness.Spawnd("-s", path, "-U", "web", "-u", "_app",
                                        "-F", WORKERS, "--", *argv)
            stack.callback(pools[app].end)
            pools[app].launch()
        yield pools
        for pool in pools.values():
            assert pool.stop() == 0
    harness.empty_directory("/var/www")


@pytest.fixture(scope="module", params=sites.SERVERS,
                ids=lambda s: s.program)
def site(pools, request):
    with request.param() as w:
        yield w


@pytest.fixture(scope="module", params=sites.KEEPERS,
                ids=lambda s: s.program)
def keeper(pools, request):
    with request.param(keep=True) as w:
        yield w


def page(answer, token):
    """The pid that answered the request with this token."""
    assert answer.status == 200 and answer.headers["X-Token"] == token, answer
    assert answer.text.startswith("pid %s\n" % answer.headers["X-Pid"])
    return int(answer.headers["X-Pid"])


@both
def test_page(site, pools, app):
    a = site.fetch(PATHS[app][0] % "t0k3n")
    assert page(a, "t0k3n") in pools[app].workers(), (a, site.log())


def test_what_php_is_told(site):
    import json
    told = json.loads(site.fetch("/env.php?a=1&b=%20").text)["server"]
    expected = {"SCRIPT_FILENAME": sites.ROOT + "/env.php",
                "DOCUMENT_ROOT": sites.ROOT, "SCRIPT_NAME": "/env.php",
                "REQUEST_URI": "/env.php?a=1&b=%20",
                "QUERY_STRING": "a=1&b=%20", "REQUEST_METHOD": "GET"}
    assert {n: told.get(n) for n in expected} == expected


def test_what_is_no_file_is_404(site):
    if site.program == "haproxy":
        # It has no files to look at: that is PHP's own answer.
        assert "No input file" in site.fetch("/none.php").text
    assert site.fetch("/none.php").status == 404


@both
def test_post(site, app):
    body = os.urandom(300000)
    a = site.fetch(PATHS[app][1], method="POST", body=body, headers={
        "Content-Type": "application/octet-stream"})
    assert a.status == 200, (a, site.log())
    assert hashlib.sha256(a.body).digest() == hashlib.sha256(body).digest()


@both
def test_answer_of_1_mb(site, app):
    a = site.fetch(PATHS[app][2] % MB)
    assert a.status == 200, (a, site.log())
    assert a.body.rpartition(b"\n")[2] == b"x" * MB


def several(server, path, count=6):
    """Requests over one kept connection of HTTP; the pids that answered."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port,
                                            timeout=10 * harness.PATIENCE)
    with contextlib.closing(connection):
        connection.connect()
        sock, pids = connection.sock, set()
        for i in range(count):
            connection.request("GET", path % i)
            a = connection.getresponse()
            text = a.read().decode()
            assert (a.status, a.headers["X-Token"]) == (200, str(i)), text
            pids.add(int(a.headers["X-Pid"]))
            assert connection.sock is sock, "closed by the server"
    return pids


def holders(pool):
    """Workers that have more than they are born with: a connection."""
    return [p for p in pool.workers() if len(connections(p)) > 1]


def connections(pid):
    return [t for t in harness.fds(pid).values() if t.startswith("socket:")]


@both
def test_keep_alive_off(site, pools, app):
    """The client's connection is kept, the worker's is closed each time."""
    pids = several(site, PATHS[app][0])
    assert pids <= set(pools[app].workers())
    harness.wait_for(lambda: not holders(pools[app]), 5,
                     lambda: "connections of %s" % holders(pools[app]))


@both
def test_keep_alive_on(keeper, pools, app):
    """A worker's connection serves many requests, and stays open."""
    pids = several(keeper, PATHS[app][0])
    # Apache may not have it back yet when the next request comes.
    assert len(pids) < 6, pids
    # Those of a web server that has ended may not be seen to yet.
    harness.wait_for(lambda: set(holders(pools[app])) <= pids, 5,
                     lambda: f"{pids}, connections of {holders(pools[app])}")
    assert holders(pools[app])
    # Others are served beside it.
    assert page(keeper.fetch(PATHS[app][0] % "other"), "other")


def leave(server, data, enough):
    """Sends data, reads so many bytes of an answer, and goes away."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as s:
        s.sendall(data)
        while enough > 0:
            got = s.recv(min(enough, 65536))
            assert got, server.log()
            enough -= len(got)


def gone_away(server, pool, app):
    before = pool.workers()
    get = "GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % (PATHS[app][2] % (50 * MB))
    post = "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" \
        % PATHS[app][1]
    for _ in range(WORKERS):
        leave(server, get.encode(), 100000)
        leave(server, post.encode() + b"x" * 100000, 0)
    for i in range(2 * WORKERS):
        page(server.fetch(PATHS[app][0] % i), str(i))
    assert pool.workers() == before, pool.log()
    # Nobody is left with a request whose client has gone.
    harness.wait_for(lambda: all(
        page(server.fetch(PATHS[app][0] % "t"), "t") for _ in range(4)), 5)


@both
def test_client_that_goes_away(site, pools, app):
    gone_away(site, pools[app], app)
    harness.wait_for(lambda: not holders(pools[app]), 10,
                     lambda: "connections of %s" % holders(pools[app]))


@both
def test_client_that_goes_away_with_keep_alive(keeper, pools, app):
    gone_away(keeper, pools[app], app)
