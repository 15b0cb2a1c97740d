# SPDX-License-Identifier: ISC
"""Fixtures of the system tests, and the rule that nothing is skipped."""

import os
import resource
import shutil
import signal

import pytest

import harness

TEST_DEADLINE = 150     # seconds; no test may hang the run


def pytest_configure(config):
    if not os.path.exists("/run/etc/passwd"):
        raise pytest.UsageError("start the system tests with run.sh")
    for path in (harness.SPAWND, harness.APPS):
        if not os.path.exists(path):
            raise pytest.UsageError(f"{path}: missing")
    # Whoever started the tests may ignore these, as a shell's background does.
    for signo in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(signo, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Crashing is part of the tests; core files are not.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def pytest_addoption(parser):
    parser.addoption("--measuring", action="store_true",
                     help="only what needs the machine for itself")
    parser.addoption("--rest", action="store_true",
                     help="only the others, which do not mind company")


def pytest_collection_modifyitems(config, items):
    """A module with PLAIN_ONLY = True is not for the build with sanitizers;
    one with MEASURING = True, or a test that @h.measuring marks, needs the
    machine for itself."""
    def wanted(item):
        measuring = getattr(item.module, "MEASURING", False) or \
            getattr(item.function, "measuring", False)
        return not (
            getattr(item.module, "PLAIN_ONLY", False) and
            harness.sanitized() or
            config.getoption("--measuring") and not measuring or
            config.getoption("--rest") and measuring)
    out = [i for i in items if not wanted(i)]
    items[:] = [i for i in items if wanted(i)]
    config.hook.pytest_deselected(items=out)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """What is missing fails: a skipped test has shown nothing."""
    outcome = yield
    report = outcome.get_result()
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped, which counts as failed"


@pytest.fixture(autouse=True)
def deadline():
    def late(signo, frame):
        raise harness.Late(f"the test took more than {TEST_DEADLINE} s")
    signal.signal(signal.SIGALRM, late)
    signal.alarm(TEST_DEADLINE)
    yield
    signal.alarm(0)


@pytest.fixture
def place():
    """A new empty directory that every user can enter, as a str."""
    path = harness.new_place()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def www():
    """/var/www, empty before and after."""
    harness.empty_directory("/var/www")
    yield "/var/www"
    harness.empty_directory("/var/www")


@pytest.fixture
def spawnd():
    """Starts spawnd as often as called (see harness.Spawnd); all of them and
    all they left behind are ended after the test."""
    started = []

    def start(*args, **kw):
        s = harness.Spawnd(*args, **kw)
        started.append(s)
        s.launch()
        return s
    yield start
    for s in started:
        s.end()
