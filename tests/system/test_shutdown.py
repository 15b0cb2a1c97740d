# SPDX-License-Identifier: ISC
"""What one holder of the listen socket can do to all of them."""

import re
import socket

import pytest

import harness as h

@pytest.mark.parametrize("how", [0, 2])
@pytest.mark.parametrize("where", ["unix", "tcp"])
def test_socket_that_was_shut_down_ends_spawnd(spawnd, place, how, where):
    sock = ["-s", f"{place}/sock"] if where == "unix" else ["-p", 9098]
    s = spawnd(*sock, "-u", "www", "-F", 2, "--", h.app("echo"))
    # As a worker could: it is the same socket.
    with socket.socket(fileno=h.pidfd_getfd(s.workers()[0], 0)) as listener:
        listener.shutdown(how)
    assert s.wait(deadline=4) == 71
    assert re.search("listen socket: has been shut down", s.log())


def test_listener_that_serves_is_not_taken_for_shut_down(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--",
               h.app("poller"))
    for _ in range(50):
        h.request(f"{place}/sock", "pid")
    assert s.running()
    assert s.stop() == 0
