# SPDX-License-Identifier: ISC
"""Where the control sockets are if nothing says it, as in a container: daemon
and client agree without a variable, a name for the user, or a writable /run."""

import os
import shutil
import signal
import subprocess

import pytest

import harness as h
from ctl import ctl
from takeovers import NAME, Pool

WWW = h.USERS["www"]
PLACES = [f"/run/user/{WWW}", f"/run/spawnd-{WWW}", f"/dev/shm/spawnd-{WWW}"]


@pytest.fixture(autouse=True)
def shm():
    """As a container has it, and as little of /run as a new one."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs",
                    "/dev/shm"], check=True)
    yield
    subprocess.run(["umount", "-l", "/dev/shm"], check=True)
    for path in PLACES[:2]:
        shutil.rmtree(path, ignore_errors=True)


def pool(spawnd, place, **kw):
    h.own_directory(f"{place}/own", "www")
    return spawnd("-s", f"{place}/own/s", "--", h.app("echo"), user="www",
                  **kw)


@pytest.mark.parametrize("which", PLACES)
def test_both_know_the_place(spawnd, place, which):
    if which != PLACES[2]:
        h.own_directory(which, "www")
    s = pool(spawnd, place)
    base = f"{which}/spawnd" if which == PLACES[0] else which
    assert os.listdir(base) == ["echo"]
    assert ctl("ping", user="www").status == 0
    assert ctl("list", user="www").stdout.count("\n") == 2
    assert ctl("ping", user="web").status in (69, 77)
    assert s.stop() == 0


def test_a_variable_that_is_no_use_is_passed_over(spawnd, place):
    s = pool(spawnd, place, env={**h.BASE_ENV, "XDG_RUNTIME_DIR": "/proc"})
    assert ctl("ping", user="www").status == 0
    assert s.stop() == 0


def test_anothers_directory_is_not_taken(spawnd, place):
    h.own_directory(PLACES[2], "web")
    s = pool(spawnd, place)
    s.wait_log(f"no control sockets: {PLACES[2]} belongs to another user")
    assert os.listdir(PLACES[2]) == []
    assert ctl("ping", user="www").status in (69, 77)
    assert s.stop() == 0


def test_one_directory_is_not_two_pools(spawnd, place):
    s = spawnd("-s", f"{place}/s", "-u", "www", "--status-group", "alpha",
               "--", h.app("echo"))
    for env in ({}, {"XDG_RUNTIME_DIR": "/run"}):
        assert ctl("ping", user="many", env=env).status == 0
    assert s.stop() == 0


def test_a_place_that_is_removed_only_hides_the_pool(spawnd, place):
    """As by RemoveIPC= of logind, when the user has logged out."""
    s = pool(spawnd, place)
    before = s.workers()
    shutil.rmtree(PLACES[2])
    assert ctl("ping", user="www").status in (69, 77)
    s.signal(signal.SIGHUP)
    s.wait_workers(4, other_than=before)
    assert h.request(f"{place}/own/s", "pid").status == 200
    assert s.stop() == 0
    assert not os.path.exists(PLACES[2])


@pytest.fixture
def started(place):
    """A pool of www, in the last of the places."""
    own = h.own_directory(f"{place}/own", "www")
    p = Pool(own, ["-s", f"{own}/s"], user="www")
    p.dir = f"{PLACES[2]}/{NAME}"
    p.begin(h.app("echo"))
    yield p
    p.end()


def test_a_take_over_finds_it_where_it_is(started):
    """Since its start a better place has come."""
    h.own_directory(PLACES[0], "www")
    started.changed(h.app("echo"))
    started.wait_alone()
    assert os.listdir(PLACES[0]) == []
    assert ctl("ping", user="www").status == 0


def test_what_a_killed_pool_has_left_hides_none(started):
    left = h.own_directory(f"{PLACES[1]}", "www") + f"/{NAME}"
    h.own_directory(left, "www")
    assert ctl("-p", NAME, "ping", user="www").status == 0
    started.changed(h.app("echo"))
    assert os.listdir(left) == []


def test_a_take_over_from_root_says_why_not(spawnd, place):
    spawnd("-s", f"{place}/s", "-u", "www", "--name", NAME, h.app("echo"))
    r = h.run_spawnd("-s", f"{place}/s", "--name", NAME, "--replace",
                     h.app("echo"), user="www")
    assert r.status == 77 and "Permission denied" in r.stderr, r


def test_process_1_needs_the_foreground(place):
    r = subprocess.run(["unshare", "--pid", "--fork", "--kill-child", h.SPAWND,
                        "-s", f"{place}/s", "-u", "www", "--",
                        h.app("echo")], stdin=subprocess.DEVNULL, timeout=60,
                       stderr=subprocess.PIPE, encoding="utf-8", check=False)
    assert r.returncode == 64, r
    assert r.stderr.startswith("spawnd: -n: required for process 1"), r
