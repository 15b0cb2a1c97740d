# SPDX-License-Identifier: ISC
"""Real applications behind real web servers."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

import harness
import web

UNTRUSTED = True

PHP = "/usr/bin/php-cgi"
PERL = "/usr/bin/perl"


@pytest.fixture
def scripts(place):
    """The PHP scripts, where every user can read them."""
    shutil.copytree(harness.source("php"), place + "/php")
    shutil.copy(harness.source("worker.php"), place + "/php")
    return place + "/php"


def listen(kind, place):
    """spawnd's options for a socket, and the same for a web server."""
    if kind == "tcp":
        port = harness.free_port()
        return ["-p", port], "tcp:127.0.0.1:%d" % port
    path = place + "/socket"
    return ["-s", path, "-U", "web"], "unix:" + path


def php_server(server, backend, root):
    if server is web.Lighttpd:
        return web.Lighttpd(backend, root, "web", match=".php")
    return web.Nginx(backend, root, "web")


# PHP behind both servers, over both kinds of sockets

both_servers = pytest.mark.parametrize("server", [web.Nginx, web.Lighttpd])
both_sockets = pytest.mark.parametrize("kind", ["unix", "tcp"])


@both_servers
@both_sockets
def test_php_page(spawnd, place, scripts, server, kind):
    options, backend = listen(kind, place)
    s = spawnd(*options, "-u", "_app", "-F", 2, "-e", "GREETING=good day",
               "--", PHP,
               env=dict(harness.BASE_ENV, LEAKED="secret", TZ="UTC"))
    workers = s.wait_workers(2)
    version = subprocess.run([PHP, "-v"], capture_output=True, text=True,
                             check=True,
                             timeout=10 * harness.PATIENCE).stdout.split()[1]
    with php_server(server, backend, scripts) as w:
        a = w.fetch("/env.php?name=a%20b&n=1", headers={"X-Token": "t0k3n"})
    assert a.status == 200, (a, w.log())
    page = json.loads(a.text)
    assert page["sapi"] == "cgi-fcgi"
    assert page["version"] == version
    assert page["pid"] in workers
    assert page["get"] == {"name": "a b", "n": "1"}

    expected = {
        "FCGI_ROLE": "RESPONDER", "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/env.php?name=a%20b&n=1",
        "QUERY_STRING": "name=a%20b&n=1", "SCRIPT_NAME": "/env.php",
        "SCRIPT_FILENAME": scripts + "/env.php", "DOCUMENT_ROOT": scripts,
        "PHP_SELF": "/env.php", "REMOTE_ADDR": "127.0.0.1",
        "SERVER_PORT": str(w.port), "HTTP_X_TOKEN": "t0k3n",
    }
    found = {name: page["server"].get(name) for name in expected}
    assert found == expected

    # To PHP the request's variables and the process's are one.
    passed = {"GREETING": "good day", "TZ": "UTC", "USER": "_app",
              "LOGNAME": "_app", "HOME": "/nonexistent",
              "PATH": harness.BASE_ENV["PATH"]}
    assert {name: page["env"].get(name) for name in passed} == passed
    assert "LEAKED" not in page["env"] and "LEAKED" not in page["server"]


@both_servers
@both_sockets
def test_php_post_of_1_mb(spawnd, place, scripts, server, kind):
    options, backend = listen(kind, place)
    spawnd(*options, "-u", "_app", "-F", 2, "--", PHP)
    body = os.urandom(1 << 20)
    with php_server(server, backend, scripts) as w:
        a = w.fetch("/post.php", method="POST", body=body, headers={
            "Content-Type": "application/octet-stream"})
    assert a.status == 200, (a, w.log())
    assert a.headers["X-Length"] == str(len(body))
    assert a.headers["X-Hash"] == hashlib.sha256(body).hexdigest()
    assert a.body == body


# lighttpd's authorizer

@pytest.fixture
def guarded(spawnd, place):
    """A lighttpd that asks the authorizer about everything in /private."""
    path = place + "/socket"
    spawnd("-s", path, "-U", "web", "-u", "_app", "--",
           harness.app("authorizer"))
    os.makedirs(place + "/docs/private")
    with open(place + "/docs/private/page.txt", "w", encoding="ascii") as f:
        f.write("for friends only\n")
    with web.Lighttpd("unix:" + path, place + "/docs", "web",
                      match="/private", mode="authorizer") as w:
        yield w


# lighttpd ends by SIGSEGV there, whatever the authorizer is.
@harness.broken("/usr/sbin/lighttpd", b"lighttpd/1.4.85")
def test_authorizer_lets_in(guarded):
    a = guarded.fetch("/private/page.txt?user=friend")
    assert (a.status, a.text) == (200, "for friends only\n"), guarded.log()


def test_authorizer_refuses(guarded):
    a = guarded.fetch("/private/page.txt?deny")
    assert a.status == 403, (a, guarded.log())
    assert a.text.startswith("refused by "), a


# Every kind of application, in the default jail

def needed(path):
    """The shared libraries and the loader of a program or module."""
    out = subprocess.run(["ldd", path], capture_output=True, text=True,
                         check=True, timeout=10 * harness.PATIENCE).stdout
    return re.findall(r"(/\S+) \(0x", out)


def copy_in(jail, *files):
    """Files and the libraries of those that are ELF, under their names."""
    for path in files:
        with open(path, "rb") as f:
            elf = f.read(4) == b"\177ELF"
        for name in [path] + (needed(path) if elf else []):
            if not os.path.exists(jail + name):
                harness.install(name, jail + name)


def perl_files():
    """Everything perl opens for `use FCGI`."""
    out = subprocess.run(
        [PERL, "-e", "use strict; use warnings; use FCGI; use DynaLoader;"
         "print join qq(\\n), values %INC, @DynaLoader::dl_shared_objects"],
        capture_output=True, text=True, check=True,
        timeout=10 * harness.PATIENCE).stdout
    return out.split("\n")


def jail_static(jail):
    harness.make_jail(jail, "static")


def jail_libfcgi(jail):
    harness.make_jail(jail, "echo")
    copy_in(jail, *needed(harness.app("echo")))


def jail_threaded(jail):
    harness.make_jail(jail, "threaded")
    copy_in(jail, *needed(harness.app("threaded")))


def jail_perl(jail):
    harness.make_jail(jail, harness.source("app.pl"))
    copy_in(jail, PERL, *perl_files())


def jail_php(jail):
    harness.make_jail(jail, PHP)
    copy_in(jail, *needed(PHP))
    harness.install(harness.source("worker.php"), jail + "/worker.php")


def check(answer, token):
    assert answer.headers["X-Token"] == token, answer
    assert answer.body.rpartition(b"\n")[2] == b"x" * 1000, answer
    return int(answer.headers["X-Pid"])


ECHO = "/page?token=%s&pid&big=1000"
WORKER = "/worker.php?token=%s&big=1000"


def everybody(workers):
    """The workers and those that serve for them."""
    return set(workers).union(*(harness.descendants(p) for p in workers))


@pytest.mark.parametrize("prepare, options, server, path", [
    (jail_static, [], web.Nginx, ECHO),
    (jail_libfcgi, [], web.Nginx, ECHO),
    (jail_threaded, [], web.Lighttpd, ECHO),
    (jail_perl, [], web.Nginx, ECHO),
    (jail_php, ["-C", "3"], web.Lighttpd, WORKER),
], ids=["static", "libfcgi", "threaded", "perl", "php-C3"])
def test_in_the_default_jail(spawnd, www, prepare, options, server, path):
    prepare(www)
    s = spawnd(*options, "-U", "www", "-u", "www", "--", "/fcgi-bin/app")
    workers = s.wait_workers(1 if options else 4)
    # php-cgi is ready with its first child.
    harness.wait_for(lambda: len(everybody(workers)) == 4, 10, s.log)
    who = everybody(workers)
    for pid in who:
        assert harness.link(pid, "root") == www
        assert set(harness.ids(pid, "Uid")) == {harness.USERS["www"]}
    backend = "unix:" + www + "/run/httpd.sock"
    kw = {"match": ".php"} if path == WORKER else {}
    # Not the owner: www's group is what lets it in.
    with server(backend, "/", "web", **kw) as w:
        tally = web.request_many(w.port, path, check, 40, 4)
        assert tally.answered == tally.sent == 40, (tally, w.log(), s.log())
    assert set(tally.values) <= who
    # TERM interrupts the accept of one thread only: the others stay in it.
    signo = signal.SIGINT if prepare is jail_threaded else signal.SIGTERM
    assert s.stop(signo) == 0, s.log()
    harness.wait_for(lambda: not any(map(harness.alive, who)), 10,
                     "end of all that served")


# What an administrator does meanwhile

@pytest.mark.parametrize("workers, command, path", [
    (3, [PHP], WORKER),
    (2, ["-C", "3", PHP], WORKER),
    (3, [None], ECHO),
], ids=["php", "php-C3", "libfcgi"])
def test_reload_between_requests(spawnd, place, scripts, workers, command,
                                 path):
    options, backend = listen("unix", place)
    # 500 if nothing is said, which some get to here and others do not.
    s = spawnd(*options, "-u", "_app", "-F", workers,
               "-e", "PHP_FCGI_MAX_REQUESTS=0",
               *(arg or harness.app("echo") for arg in command))
    first = s.wait_workers(workers)
    old = everybody(first)
    with web.Nginx(backend, scripts, "web") as w:
        with web.requesting(w.port, path, check) as tally:
            harness.wait_for(lambda: tally.answered > 20, 10, "answers")
            s.signal(signal.SIGHUP)
            s.wait_log("all workers are new")
            new = s.wait_workers(workers, other_than=first)
            harness.wait_for(lambda: not any(map(harness.alive, old)), 10,
                             "end of all old ones")
            before = tally.answered
            harness.wait_for(lambda: tally.answered > before + 20, 10,
                             lambda: "answers afterwards: %r" % tally)
        # A plain stop signal can fall between accept and the first read:
        # that is one request for each that was told to go, and no more.
        assert tally.sent == tally.answered + tally.lost
        assert tally.lost <= len(old), (tally, w.log()[-2000:])
        assert set(tally.failed) <= {"status 502"}, tally
        after = web.request_many(w.port, path, check, 100, 4)
        assert after.answered == 100, (after, w.log()[-2000:])
    assert set(after.values) <= everybody(new)
    assert s.workers() == new


@both_sockets
def test_502_while_stopped_and_200_again(spawnd, place, kind):
    options, backend = listen(kind, place)
    line = [*options, "-u", "_app", "--", harness.app("echo")]
    s = spawnd(*line)
    with web.Nginx(backend, "/", "web") as w:
        assert w.fetch(ECHO % "before").status == 200
        assert s.stop() == 0
        assert w.fetch(ECHO % "meanwhile").status == 502
        spawnd(*line)
        a = w.fetch(ECHO % "after")
        assert a.status == 200, (a, w.log())
        check(a, "after")


# Who may connect

def test_the_sockets_mode_shuts_a_web_server_out(spawnd, place):
    path = place + "/socket"
    spawnd("-s", path, "-U", "web", "-u", "_app", "--", harness.app("echo"))
    with web.Nginx("unix:" + path, "/", "web") as owner:
        assert owner.fetch(ECHO % "mine").status == 200
    with web.Nginx("unix:" + path, "/", "www") as other:
        assert other.fetch(ECHO % "yours").status == 502
        assert re.search(r"connect\(\) to unix:%s failed "
                         r"\(13: Permission denied\)" % re.escape(path),
                         other.log()), other.log()
        # It was the mode, and nothing else on the way.
        assert os.stat(path).st_mode & 0o7777 == 0o660
        os.chmod(path, 0o666)
        assert other.fetch(ECHO % "ours").status == 200


def test_a_wider_mode_lets_every_web_server_in(spawnd, place):
    path = place + "/socket"
    spawnd("-s", path, "-M", "0666", "-U", "web", "-u", "_app", "--",
           harness.app("echo"))
    with web.Nginx("unix:" + path, "/", "www") as other:
        check(other.fetch(ECHO % "ours"), "ours")


def test_the_sockets_group_lets_a_web_server_in(spawnd, place):
    path = place + "/socket"
    spawnd("-s", path, "-U", "_app", "-G", "www", "-u", "_app", "--",
           harness.app("echo"))
    # web belongs to www by way of group(5) only.
    with web.Nginx("unix:" + path, "/", "web") as member:
        check(member.fetch(ECHO % "member"), "member")
    with web.Nginx("unix:" + path, "/", "many") as other:
        assert other.fetch(ECHO % "stranger").status == 502
        assert "(13: Permission denied)" in other.log()
