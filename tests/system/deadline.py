# SPDX-License-Identifier: ISC
"""Deadlines: what is waited for, and what is no wait."""

import time

PATIENCE = 5            # times a deadline, on a machine with other load
START_DEADLINE = 20     # seconds, until a pool is ready
STOP_DEADLINE = 15      # seconds, until it has stopped
REQUEST_DEADLINE = 10   # seconds, one request


class Late(AssertionError):
    """A deadline has passed."""


def pass_time(seconds):
    """A time in which something is counted, or is not to happen. What is to
    happen is waited for, by wait_for()."""
    time.sleep(seconds)


def wait_for(predicate, deadline=10.0, what=None, pause=0.01):
    end = time.monotonic() + deadline * PATIENCE
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            name = what() if callable(what) else what
            raise Late(f"not within {deadline} s: "
                       f"{name or getattr(predicate, '__name__', '?')}")
        time.sleep(pause)
