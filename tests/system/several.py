# SPDX-License-Identifier: ISC
"""
Several hosts on one machine: network namespaces, and a web server before the
pools in them.

    namespaces(hosts)   {name: address}, each of a /24 network of its own in
                        which we have .1; a context
    inside(name)        the words before a command in one
    pids(name)          of what runs in one
    Crew(...)           clients that ask while the block runs
    load_during(...)    requests before, during and after a change; the tally
"""

import contextlib
import subprocess
import threading

import harness as h
import web


def ip(*words):
    subprocess.run(["ip", *words], check=True, timeout=10 * h.PATIENCE)


@contextlib.contextmanager
def namespaces(hosts):
    with contextlib.ExitStack() as stack:
        for name, address in hosts.items():
            here = our_address(address) + "/24"
            ip("netns", "add", name)
            stack.callback(ip, "netns", "del", name)
            ip("link", "add", "to-" + name, "type", "veth", "peer", "name",
               "eth0", "netns", name)
            ip("addr", "add", here, "dev", "to-" + name)
            ip("link", "set", "to-" + name, "up")
            ip("-n", name, "addr", "add", address + "/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield hosts


def our_address(address):
    return address.rpartition(".")[0] + ".1"


def inside(name):
    return ["ip", "netns", "exec", name]


def pids(name):
    """Whatever runs in one."""
    out = subprocess.run(["ip", "netns", "pids", name], check=True,
                         stdout=subprocess.PIPE, timeout=10 * h.PATIENCE)
    return list(map(int, out.stdout.split()))


class Crew:
    """Clients that ask one after another, of several kinds at once: {name: (how
    many, how they ask)}. The name stands for %k in the path. Each kind has a
    tally."""

    def __init__(self, server, path, check, kinds):
        self.server = server
        self.tallies = {name: web.Tally() for name in kinds}
        self.over = threading.Event()
        self.begun = []
        self.threads = [
            self.client(path.replace("%k", name), check, name, how)
            for name, (many, how) in kinds.items() for _ in range(many)]

    def client(self, path, check, name, how):
        number = len(self.begun)
        self.begun.append(0)

        def wanted():
            self.begun[number] += 1
            return not self.over.is_set()
        return threading.Thread(
            target=web.one_by_one, daemon=True, kwargs=how,
            args=(self.server.port, path, check, self.tallies[name], wanted))

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *unused):
        self.over.set()
        for t in self.threads:
            t.join()
        for name, t in self.tallies.items():
            print(self.server.program, name, t)
            assert t.sent == t.answered + t.lost

    def __repr__(self):
        return repr(self.tallies)

    def lost(self):
        return {name: t.lost for name, t in self.tallies.items()}

    def answers(self, values):
        """How many are among these."""
        return sum(t.values[v] for t in self.tallies.values() for v in values)

    def past(self, deadline=30):
        """What is asked for now has an answer, or none."""
        before = self.begun[:]
        h.wait_for(lambda: all(map(int.__gt__, self.begun, before)), deadline,
                   lambda: repr(self))

    def more(self, count, deadline=30):
        """So many answers more to each kind."""
        wanted = {name: t.answered + count for name, t in self.tallies.items()}
        h.wait_for(lambda: all(t.answered >= wanted[name]
                               for name, t in self.tallies.items()), deadline,
                   lambda: repr(self))

    def seen(self, pools):
        """Each pool has answered, with the workers that it has now."""
        workers = [p.workers() for p in pools]
        h.wait_for(lambda: all(map(self.answers, workers)), 10,
                   lambda: repr(self))


def load_during(server, pools, change, check, clients, requests, path, **how):
    """From that many clients; at least so many requests, and 500 more once the
    change is over."""
    with Crew(server, path, check, {"": (clients, how)}) as crew:
        tally = crew.tallies[""]
        crew.seen(pools)
        change(tally)
        wanted = max(requests, tally.sent + 500)
        h.wait_for(lambda: tally.sent > wanted, 30, lambda: repr(tally))
    return tally
