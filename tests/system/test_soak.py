# SPDX-License-Identifier: ISC
"""What is run before a release ("make soak ROUNDS=N", for hours if wanted):
tests that find the more the longer they take. A matrix that is too large for
every change belongs here, too, with a small part of it, by pairs, beside the
tests of its area."""

import pytest

import harness as h
import test_endurance
from test_retire import PROGRAMS, Load, reload, start


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
