# SPDX-License-Identifier: ISC
"""
Several hosts on one machine: network namespaces, and a web server before the
pools in them.

    namespaces(hosts)   {name: address}, each of a /24 network of its own in
                        which we have .1; a context
    inside(name)        the words before a command in one
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


def load_during(server, pools, change, check, clients, requests, path, **how):
    """From that many threads; at least so many requests, and 500 more once the
    change is over."""
    tally = web.Tally()
    over = threading.Event()
    crew = [threading.Thread(
        target=web.one_by_one, daemon=True,
        args=(server.port, path, check, tally, lambda: not over.is_set()),
        kwargs=how) for _ in range(clients)]
    workers = [set(p.workers()) for p in pools]
    for t in crew:
        t.start()
    h.wait_for(lambda: all(w & set(tally.values) for w in workers), 10,
               lambda: repr(tally))
    change(tally)
    wanted = max(requests, tally.sent + 500)
    h.wait_for(lambda: tally.sent > wanted, 30, lambda: repr(tally))
    over.set()
    for t in crew:
        t.join()
    print(server.program, tally)
    assert tally.sent == tally.answered + tally.lost
    return tally
