# SPDX-License-Identifier: ISC
"""What is run before a release ("make soak ROUNDS=N", for hours if wanted):
tests that find the more the longer they take. A matrix that is too large for
every change belongs here, too, with a small part of it, by pairs, beside the
tests of its area."""

import pytest

import harness as h
import matrix
import sites
import test_door_killed
import test_endurance
import test_matrix_web as web
from test_retire import PROGRAMS, Load, reload, start
from test_webservers import PATHS, pools    # noqa: F401, a fixture


@h.soak
def test_recyclings(spawnd, place):
    test_endurance.recyclings(spawnd, place, 100 * h.SOAK)


@h.soak
def test_kills(spawnd, place):
    test_endurance.killings(spawnd, place, 10 * h.SOAK)


@h.soak
def test_supervisor_killed_at_any_step_of_a_retirement(spawnd, place):
    for n in range(h.SOAK):
        test_endurance.die_at(spawnd, place, n % test_endurance.STEPS)


@h.soak
@pytest.mark.parametrize("name", PROGRAMS)
def test_reloads_under_load_lose_nothing(spawnd, place, name):
    s, script = start(spawnd, place, name)
    load = Load(f"{place}/sock", script, ms=1, seconds=1000000)
    for _ in range(h.SOAK):
        reload(s, load)
    assert load.running()
    load.end()
    result = load.result()
    assert result["sent"] == result["answered"], (result, s.log()[-3000:])
    assert s.stop() == 0


@h.soak
@pytest.mark.parametrize("cell", matrix.cells(), ids=matrix.name)
def test_nothing_is_lost(spawnd, place, cell):
    """With 1,000 rounds, 20,000 requests each: it takes hours."""
    matrix.run(spawnd, place, cell, 20 * h.SOAK)


@h.soak
@pytest.mark.parametrize("app", PATHS)
@pytest.mark.parametrize("server", sites.SERVERS, **web.by_program)
def test_nothing_is_lost_behind(pools, server, app):    # noqa: F811
    web.behind(pools, server, app, 5 * h.SOAK)


@h.soak
@pytest.mark.parametrize("app", PATHS)
@pytest.mark.parametrize("server", sites.KEEPERS, **web.by_program)
def test_little_is_lost_behind_keeping(pools, server, app):     # noqa: F811
    web.behind_keeping(pools, server, app, 5 * h.SOAK)


@h.soak
def test_supervisor_killed_at_any_step_of_a_reload(spawnd, place):
    test_door_killed.killed_at_steps(spawnd, place, max(1, h.SOAK // 5))
