# SPDX-License-Identifier: ISC
"""Workers that end by themselves after some requests, as php-cgi does."""

import shutil
import signal
import threading

import pytest

import harness
import web

PHP = "/usr/bin/php-cgi"
WORKERS = 4
REQUESTS = 500
THREADS = 8
# Each takes 2 ms, so that THREADS of them keep all workers busy.
PATH = "/token.php?us=2000&token=%s"


def check(answer, token):
    """The pid that answered, if this is the whole answer to the token."""
    lines = answer.text.split("\n")
    assert len(lines) == 4 and lines[0] == "token " + token \
        and lines[2:] == ["end", ""], answer
    return int(lines[1].removeprefix("pid "))


@pytest.fixture
def pool(place, spawnd):
    """Starts a pool of php-cgi that ends after so many requests."""
    shutil.copy(harness.source("php/token.php"), place)

    def start(limit):
        path = place + "/socket"
        # Without php.ini: so many starts are to fit into a test.
        s = spawnd("-s", path, "-U", "web", "-u", "_app", "-F", WORKERS,
                   "-e", "PHP_FCGI_MAX_REQUESTS=%d" % limit,
                   "--", PHP, "-n")
        return s, web.Nginx("unix:" + path, place, "web")
    return start


@pytest.mark.parametrize("limit", [5, 1])
def test_no_request_is_lost_to_recycling(pool, limit):
    s, nginx = pool(limit)
    first = set(s.wait_workers(WORKERS))
    with nginx:
        tally = web.request_many(nginx.port, PATH, check, REQUESTS, THREADS)
        assert tally.lost == 0, "%r\n%s\n%s" % (
            tally, nginx.log()[-2000:], s.log()[-2000:])
        assert tally.sent == tally.answered == REQUESTS
        # Nobody outlived his requests, and each successor is a new process.
        assert max(tally.values.values()) == limit, tally.values
        assert len(tally.values) >= REQUESTS // limit
        assert first <= set(tally.values)
        s.wait_workers(WORKERS, other_than=first)
    harness.wait_for(lambda: not harness.zombies(s.pid), 5, "no zombie")


def test_the_same_run_with_killed_workers_loses_some(pool):
    """The control: these requests do meet a worker that ends too early."""
    s, nginx = pool(5)
    over = threading.Event()

    def killer():
        # No faster than that: a pool whose workers all die before they have
        # served slows down, and so would one on a loaded machine.
        while not over.wait(0.3):
            for pid in s.workers()[:1]:
                harness.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=killer, daemon=True)
    with nginx:
        thread.start()
        try:
            # Each kill may happen to come between two requests.
            for _ in range(10):
                tally = web.request_many(nginx.port, PATH, check, REQUESTS,
                                         THREADS)
                assert tally.sent == tally.answered + tally.lost
                if tally.lost > 0:
                    break
        finally:
            over.set()
            thread.join()
        assert tally.lost > 0, "the load is too weak to show a loss"
        # nginx passes an answer that breaks off after its headers on as a
        # whole one: it takes the check of its end to see that.
        assert set(tally.failed) <= {"status 502", "wrong answer"}, tally
        s.wait_workers(WORKERS)
        assert nginx.fetch(PATH % "last").text.startswith("token last\n")
    assert s.running()
