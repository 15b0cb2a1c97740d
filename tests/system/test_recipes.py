# SPDX-License-Identifier: ISC
"""Each web server before three hosts, with its recipe's configuration, while
clients ask by GET and POST: what is lost when a host is taken out, stopped,
killed, or silent. Nothing that was asked for by POST is done twice."""

import collections
import contextlib
import re
import signal

import pytest

import harness as h
import recipes
import several
from ctl import ctl

PLAIN_ONLY = True
KINDS = {"GET": (5, {}), "POST": (4, {"method": "POST", "body": b"x"})}
ALL = {name: many for name, (many, _) in KINDS.items()}
NONE = dict.fromkeys(KINDS, 0)
POST_ONLY = {**ALL, "GET": 0}
# Who loses some at a stop: these cannot tell a connection that was refused from
# a request that was not answered, and are to repeat no POST.
STOP = {"apache2": POST_ONLY, "caddy": POST_ONLY}
# At the kill of a host's processes: who repeats GET loses none of it. HAProxy
# does so three times, which seldom is not enough.
KILL = {"lighttpd": ALL, "haproxy": {**POST_ONLY, "GET": 1}}
# With a host that is silent: who repeats GET after a time-out, too.
SILENT = {"haproxy": ALL, "lighttpd": ALL, "apache2": ALL}
LONGEST = 10    # seconds that an answer may take, where a host is silent


@pytest.fixture(scope="module", autouse=True)
def hosts():
    with several.namespaces(recipes.HOSTS):
        yield


each = pytest.mark.parametrize("kind", recipes.SERVERS,
                               ids=lambda s: s.program)


class Site:
    """A server that is asked all the time, and the pools by name."""

    def __init__(self, kind, spawnd, server, pools, crew):
        self.spawnd, self.server, self.pools = spawnd, server, pools
        self.crew = crew
        self.ended = []

    def start(self, name):
        self.ended.append(self.pools[name])
        self.pools[name] = recipes.start(self.spawnd, name)

    def assert_lost_by(self, change, most):
        """And afterwards, until the others have served for a while: no more
        than that, a request of each client, and as much while it was made."""
        before = self.crew.lost()
        change()
        meanwhile = self.crew.lost()
        self.crew.past()
        self.crew.more(50)
        lost = self.crew.lost()
        print(self.server.program, change.__name__,
              {k: n - before[k] for k, n in lost.items()})
        assert all(n - meanwhile[k] <= most[k] and
                   n - before[k] <= 2 * most[k]
                   for k, n in lost.items()), self.why()

    def done_twice(self):
        """How many requests of POST more than one worker was at work on."""
        log = "".join(p.log() for p in [*self.pools.values(), *self.ended])
        times = collections.Counter(re.findall(r"did-POST-\w+", log))
        assert len(times) > 50
        return sum(n > 1 for n in times.values())

    def wait_unused(self, name):
        """Whoever was on the way to it when it was taken out has come, too."""
        self.crew.past()
        workers = self.pools[name].workers()

        def quiet():
            before = self.crew.answers(workers)
            self.crew.more(20)
            return self.crew.answers(workers) == before
        h.wait_for(quiet, 30, self.why)

    def why(self):
        return f"{self.crew}\n{self.server.log()[-2000:]}"


@contextlib.contextmanager
def asked(kind, spawnd, **settings):
    path = "/page?token=%s&log=did-%k-%s&sleep=20&pid"
    with recipes.before(kind, spawnd, **settings) as (server, pools), \
            several.Crew(server, path, recipes.check, KINDS) as crew:
        site = Site(kind, spawnd, server, pools, crew)
        crew.seen(pools.values())
        yield site
        assert site.done_twice() == 0, site.why()


def kill(pids):
    for pid in pids:
        h.kill(pid)


def all_dead(pids):
    h.wait_for(lambda: not any(map(h.alive, pids)), 10, "their end")


@each
def test_hosts_are_taken_out_and_put_back(kind, spawnd):
    """One by itself, then two at once, so that three become one and three
    again; and lose nothing, although no other host is asked where the server
    can be told so. To a reload of all of them it need not be told."""
    with asked(kind.once or kind, spawnd) as site:
        one, *others = site.pools
        for names in [one], others:
            for name in names:
                site.server.take_out(name)
                assert ctl("-p", name, "drain").status == 0
            for name in names:
                site.wait_unused(name)
                assert ctl("-p", name, "stop").status == 0
                assert site.pools[name].wait() == 0
            for name in names:
                site.start(name)
                site.server.put_back(name)
            site.crew.seen([site.pools[name] for name in names])
        for pool in site.pools.values():
            pool.signal(signal.SIGHUP)
            h.wait_for(lambda pool=pool: "all workers are new" in pool.log(),
                       20, site.why)
        site.crew.seen(site.pools.values())
        assert site.crew.lost() == NONE, site.why()


@each
def test_what_a_stop_and_a_kill_cost(kind, spawnd):
    """A stop of one host nothing, for most; the kill of another one's
    supervisor, and then of all that runs on a host, a request of a client."""
    with asked(kind, spawnd) as site:
        def stop():
            assert site.pools["one"].stop() == 0

        def kill_supervisor():
            workers = site.pools["two"].workers()
            h.kill(site.pools["two"].pid)
            all_dead(workers)

        def kill_all():
            pids = several.pids("one")
            kill(pids)
            all_dead(pids)
        program = site.server.program
        site.assert_lost_by(stop, STOP.get(program, NONE))
        site.start("one")
        site.crew.seen(site.pools.values())
        for change in kill_supervisor, kill_all:
            site.assert_lost_by(change, KILL.get(program, POST_ONLY))


@h.soak
@each
def test_what_a_host_that_is_silent_costs(kind, spawnd):
    """What it was at work on; and it serves again when it is back."""
    with asked(kind, spawnd, longest=LONGEST) as site:
        def silence():
            several.ip("-n", "one", "link", "set", "eth0", "down")
        try:
            site.assert_lost_by(silence, SILENT.get(site.server.program,
                                                    POST_ONLY))
        finally:
            several.ip("-n", "one", "link", "set", "eth0", "up")
        workers = site.pools["one"].workers()
        before = site.crew.answers(workers)
        h.wait_for(lambda: site.crew.answers(workers) > before, 20, site.why)
