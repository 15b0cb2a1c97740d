# SPDX-License-Identifier: ISC
"""Behind each web server, with the file of scripts/web for it: pages and posts
of 2 MB are whole while the pool is reloaded all the time."""

import itertools
import os
import signal
import threading

import pytest

import harness as h
import matrix
import sites
import web
from test_webservers import PATHS, WORKERS, pools   # noqa: F401, a fixture

LONG = True
PLAIN_ONLY = True       # what it shows is nothing that sanitizers see

REQUESTS = 60           # of each kind, or more
RELOADS = 3             # or more; with kept connections one takes long
CLIENTS = 2 * WORKERS
SIZE = 2 << 20


class Client(threading.Thread):
    """Asks for pages and posts by turns, while there is anything left."""

    def __init__(self, site, paths, left, tallies):
        super().__init__(daemon=True)
        self.site, self.paths, self.left = site, paths, left
        self.tallies = tallies
        self.body = os.urandom(SIZE)

    def run(self):
        for number in iter(self.left, None):
            kind = ("get", "post")[number % 2]
            one = iter((True, False))
            if kind == "get":
                path, how = self.paths[2] % SIZE + "&unique=%s", {}
            else:
                path, how = self.paths[1] + "?%s", {
                    "method": "POST", "body": self.body, "headers": {
                        "Content-Type": "application/octet-stream"}}
            web.one_by_one(self.site.port, path, getattr(self, kind),
                           self.tallies[kind], lambda one=one: next(one),
                           **how)

    @staticmethod
    def get(answer, _token):
        assert answer.body.rpartition(b"\n")[2] == b"x" * SIZE, answer

    def post(self, answer, _token):
        assert answer.body == self.body, answer


def reloads(pool, site, app, requests):
    """How many there were, and what became of the requests, by kind."""
    lock, numbers = threading.Lock(), itertools.count()
    done, least = 0, 1 if site.keep else RELOADS

    def left():
        with lock:
            number = next(numbers)
        return number if number < 2 * requests or done < least else None
    tallies = {kind: web.Tally() for kind in ("get", "post")}
    clients = [Client(site, PATHS[app], left, tallies)
               for _ in range(CLIENTS)]
    for c in clients:
        c.start()
    begun = pool.log().count("all workers are new")
    while any(c.is_alive() for c in clients):
        pool.signal(signal.SIGHUP)
        h.wait_for(lambda: pool.log().count("all workers are new") >
                   begun + done, 60, pool.log)
        done += 1
    for c in clients:
        c.join()
    said = f"{site.program}, {app}{', kept' if site.keep else ''}: " \
        f"{done} reloads: {tallies}"
    print(said)
    matrix.note(said)
    return done, tallies, said


def behind(pools, server, app, requests):   # noqa: F811
    with server() as site:
        done, tallies, said = reloads(pools[app], site, app, requests)
        assert done >= RELOADS, said
        assert sum(t.lost for t in tallies.values()) == 0, \
            (said, site.log()[-2000:], pools[app].log()[-2000:])
        assert sum(t.sent for t in tallies.values()) >= 2 * requests, said


def behind_keeping(pools, server, app, requests):   # noqa: F811
    """What comes over a connection at the moment in which it is closed is
    lost, if the server does not ask again, as HAProxy does unless there is too
    much of it: hardly ever, and never wrong. A connection that is kept without
    a request is waited for, --keep-idle, which may take longer than all of
    these requests."""
    with server(keep=True) as site:
        done, tallies, said = reloads(pools[app], site, app, requests)
        assert done >= 1, said
        assert not any(t.wrong for t in tallies.values()), said
        told = said, site.log()[-2000:], pools[app].log()[-2000:]
        assert sum(t.lost for t in tallies.values()) <= 4 * done, told
        assert site.program != "haproxy" or tallies["get"].lost == 0, told


by_program = {"ids": lambda s: getattr(s, "program", s)}


@pytest.mark.parametrize("app", PATHS)
@pytest.mark.parametrize("server", sites.SERVERS, **by_program)
def test_nothing_is_lost_behind(pools, server, app):    # noqa: F811
    behind(pools, server, app, REQUESTS)


@pytest.mark.parametrize("app", PATHS)
@pytest.mark.parametrize("server", sites.KEEPERS, **by_program)
def test_little_is_lost_behind_keeping(pools, server, app):     # noqa: F811
    behind_keeping(pools, server, app, REQUESTS)
