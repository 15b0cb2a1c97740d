# SPDX-License-Identifier: ISC
"""One spawnd takes over from another."""

import os

import pytest

import harness as h
from ctl import ask, ctl, figures, pool


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_the_pool_changes_hands(spawnd, kind):
    place = h.new_place()
    sock = f"{place}/s" if kind == "unix" else ("127.0.0.1", 9017)
    where = ["-s", sock] if kind == "unix" else ["-p", "9017"]
    old = spawnd("-u", "_app", "-U", "www", *where, "--name", "web", "-F", "2",
                 "-P", f"{place}/pid", "--log", f"{place}/log", h.app("echo"),
                 daemon=True) if kind == "unix" else spawnd(
                     "-u", "_app", *where, "--name", "web", "-F", "2", "-P",
                     f"{place}/pid", "--log", f"{place}/log", h.app("echo"),
                     daemon=True)
    with h.Load(sock) as load:
        new = spawnd("-u", "_app", *where, "--name", "web", "-F", "3", "-P",
                     f"{place}/pid", "-e", "X=1", "--log", f"{place}/log",
                     "--replace", h.app("echo"), daemon=True)
        h.wait_for(lambda: not h.alive(old.pid), 10, "the old one has ended")
    print(open(f"{place}/log").read())
    assert load.sent == load.answered
    assert figures("web")["pool"]["pid"] == str(new.pid)
    assert int(open(f"{place}/pid").read()) == new.pid
    assert len(new.workers()) == 3
