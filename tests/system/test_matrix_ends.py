# SPDX-License-Identifier: ISC
"""The cells of test_matrix.py in which a pool stops, or its workers are too
old."""

import pytest

import matrix

LONG = True
PLAIN_ONLY = True       # what it shows is nothing that sanitizers see
REQUESTS = 200


@pytest.mark.parametrize("cell", matrix.pairs("age", "stop"), ids=matrix.name)
def test_nothing_is_lost(spawnd, place, cell):
    matrix.run(spawnd, place, cell, REQUESTS)
