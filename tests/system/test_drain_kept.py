# SPDX-License-Identifier: ISC
"""A stop when all threads wait on kept connections while others wait to be
accepted."""

import select
import signal
import time

import pytest

import harness as h
from test_drain import waiting

# The supervisor has no cpu for so long once it has made a worker.
SLOW = [] if h.sanitized() else [
    "strace", "-D", "-qq", "-o", "/dev/null", "-e", "trace=futex", "-e",
    "inject=futex:delay_exit=300000"]


@pytest.mark.parametrize("more, wrap", [(3, []), (5, []), (7, []), (5, SLOW)],
                         ids=["3", "5", "7", "slow"])
def test_stop_behind_kept_connections_loses_nothing(spawnd, place, more, wrap):
    """Who has it keeps the other threads from accept in the end, so another
    worker is started for those that wait. Its last thread, which ends it,
    comes to accept when nothing waits any more, and the socket is shut."""
    where = f"{place}/sock"
    s = spawnd("-s", where, "-u", "www", "-F", 1, "--", h.app("lib"), more + 1,
               wrap=wrap)
    kept = h.Connection(where)
    assert kept.request("kept", keep=True).status == 200
    # Threads accept for as long as they are kept from it by nobody.
    end = time.monotonic() + 30 * h.PATIENCE
    while True:
        assert time.monotonic() < end, s.log()
        first = h.Connection(where)
        first.send("client0 300")
        if not select.select([first.sock], [], [], 2)[0] and \
                waiting(where) == 1:
            break
        first.receive()
        first.close()
    clients = [first] + [h.Connection(where) for _ in range(more - 1)]
    for n, c in enumerate(clients[1:], 1):
        c.send(f"client{n} 300")
    h.wait_for(lambda: waiting(where) == more, 5, "all wait")
    s.signal(signal.SIGTERM)
    for n, c in enumerate(clients):
        assert c.receive().text.startswith(f"client{n} "), s.log()
        c.close()
    assert s.wait() == 0
    kept.close()
