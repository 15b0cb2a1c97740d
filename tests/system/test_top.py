# SPDX-License-Identifier: ISC
"""spawnctl top, on a terminal of tmux."""

import os
import re
import signal
import subprocess
import time

import pytest

import ctl as c
import harness as h

ENV = {**h.BASE_ENV, **h.sanitizer_env(), "TERM": "xterm-256color",
       "LC_ALL": "C.UTF-8"}


class Terminal:
    def __init__(self, place, columns, rows):
        self.tmux = ["tmux", "-S", f"{place}/tmux", "-f", "/dev/null"]
        self.run("new-session", "-d", "-x", columns, "-y", rows,
                 "sh -c 'stty -a >%s/before; %s top; echo ended with $?; "
                 "stty -a >%s/after; read x'" % (place, c.SPAWNCTL, place))

    def run(self, *args):
        return subprocess.run([*self.tmux, *map(str, args)], env=ENV,
                              check=True, stdout=subprocess.PIPE, text=True,
                              timeout=10 * h.PATIENCE).stdout

    def screen(self):
        return self.run("capture-pane", "-p").splitlines()

    def wait(self, pattern, deadline=8):
        return h.wait_for(lambda: re.search(
            pattern, "\n".join(self.screen())), deadline,
            lambda: "\n".join(self.screen()))

    def end(self):
        subprocess.run([*self.tmux, "kill-server"], env=ENV, check=False)


@pytest.fixture
def pool(spawnd, place):
    s = spawnd("-s", f"{place}/s", "-u", "www", "-F", 8, "--name", "p", "--",
               h.app("echo"))
    s.sock = f"{place}/s"
    return s


@pytest.mark.parametrize("columns, rows", [(80, 24), (200, 50)])
def test_top_under_load_after_a_resize_and_at_the_end(pool, place, columns,
                                                      rows):
    t = Terminal(place, columns, rows)
    try:
        t.wait(r"p  up .* pid %d" % pool.pid)
        with h.Load(pool.sock, threads=12, query="sleep=300") as load:
            # 12 clients: 8 are served, and some of 4 wait.
            t.wait(r"busy   \[█+\.?\] 8 of 8")
            t.wait(r"queue  \[.*[▁-█].*\] [1-4], peak \d+ of 1024")
            lines = t.screen()
            assert len(lines) <= rows
            assert all(len(line) <= columns for line in lines), lines
            assert sum(" busy " in line for line in lines) >= 7, lines
            assert lines[-1].startswith("q quit"), lines
            t.run("resize-window", "-x", 60, "-y", 12)
            t.wait(r"q quit, j k scroll: 1 to 5 of 8", 3)
            lines = t.screen()
            assert len(lines) <= 12 and all(len(x) <= 60 for x in lines)
            t.run("send-keys", "j")
            t.wait("scroll: 2 to 6 of 8", 3)
        assert not load.failed, load
        t.run("send-keys", "q")
        t.wait("ended with 0")
        h.wait_for(lambda: os.path.exists(f"{place}/after") and
                   os.path.getsize(f"{place}/after") > 0, 5)
        with open(f"{place}/before") as f, open(f"{place}/after") as g:
            # Its size has changed, and nothing else.
            size = re.compile(r"rows \d+; columns \d+")
            assert size.sub("", f.read()) == size.sub("", g.read())
    finally:
        t.end()


def test_top_ends_with_its_pool(pool, place):
    t = Terminal(place, 80, 24)
    try:
        t.wait("p  up")
        assert pool.stop() == 0
        t.wait("spawnctl: the pool ended .*\n*ended with 69|"
               "the pool has gone")
    finally:
        t.end()


def test_q_ends_top_while_the_pool_does_not_answer(pool, place):
    t = Terminal(place, 80, 24)
    try:
        t.wait("p  up")
        os.kill(pool.pid, signal.SIGSTOP)
        # By then it has asked again, once a second, and waits.
        h.pass_time(1.5)
        t.run("send-keys", "q")
        t.wait("ended with 0", 3)
    finally:
        os.kill(pool.pid, signal.SIGCONT)
        t.end()


def test_top_without_a_terminal_is_an_error(pool):
    r = c.ctl("top")
    assert r.status == 69 and "needs a terminal" in r.stderr


def test_top_asks_a_pool_once_a_second(spawnd, place):
    """It costs what that many answers do."""
    s = spawnd("-s", f"{place}/s", "-u", "www", "-F", 100, "--", h.app(
        "hello"))
    s.wait_workers(100, deadline=h.START_DEADLINE)
    before = h.cpu(s.pid)
    for _ in range(20):
        c.ask(c.pool("hello") + "/status", "status")
    one = (h.cpu(s.pid) - before) / 20
    t = Terminal(place, 80, 24)
    try:
        t.wait("hello  up")
        before, began = h.cpu(s.pid), time.monotonic()
        h.pass_time(5)
        used, took = h.cpu(s.pid) - before, time.monotonic() - began
        print("an answer:", one, "top:", used, "in", took)
        assert used < 3 * one * (took + 1)
    finally:
        t.end()
