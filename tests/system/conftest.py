# SPDX-License-Identifier: ISC
"""Fixtures of the system tests, and the rule that nothing is skipped."""

import os
import resource
import shutil
import signal
import subprocess

import pytest

import harness

TEST_DEADLINE = 400     # seconds; no test may hang the run


def pytest_configure(config):
    harness.SHORT = config.getoption("--short")
    harness.SOAK = config.getoption("--soak")
    if not os.path.exists("/run/etc/passwd"):
        raise pytest.UsageError("start the system tests with run.sh")
    for path in (harness.SPAWND, harness.APPS):
        if not os.path.exists(path):
            raise pytest.UsageError(f"{path}: missing")
    # Whoever started the tests may ignore these, as a shell's background does.
    for signo in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(signo, signal.SIG_DFL)
    for signo in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signo, signal.default_int_handler)
    # Crashing is part of the tests; core files are not.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


# Which tests are run. A file with LONG = True, but for what @h.always marks,
# is left out by --short, with which h.brief() is true besides; of a build with
# sanitizers it runs the files with UNTRUSTED = True alone. Those that @h.soak
# marks are run by --soak N alone, and have N as h.SOAK.

def pytest_addoption(parser):
    parser.addoption("--short", action="store_true",
                     help="without what takes long")
    parser.addoption("--soak", type=int, metavar="N",
                     help="only what is run before a release, N times each")


def pytest_collection_modifyitems(config, items):
    """A module with PLAIN_ONLY = True is not for the build with
    sanitizers."""
    soak = harness.SOAK

    def wanted(item):
        long = getattr(item.module, "LONG", False) and \
            not getattr(item.function, "always", False)
        plain = getattr(item.module, "PLAIN_ONLY", False) or \
            harness.SHORT and not getattr(item.module, "UNTRUSTED", False)
        return getattr(item.function, "soak", False) == bool(soak) and \
            not (long and harness.SHORT) and \
            not (plain and harness.sanitized())
    out = [i for i in items if not wanted(i)]
    items[:] = [i for i in items if wanted(i)]
    for item in list(items):
        if lacks(item):
            print(f"not had here: {lacks(item)}: {item.nodeid}")
            items.remove(item)
            out.append(item)
    config.hook.pytest_deselected(items=out)


def lacks(item):
    """What a test cannot be without and this system does not have, or "".

    PACKAGES of a module: package that a value of a parameter needs. A web
    server (sites.py) needs the package of its name."""
    absent = os.environ.get("SPAWND_ABSENT", "").split()
    params = getattr(item, "callspec", None)
    values = list(params.params.values()) if params else []
    needed = [package for value, package in
              getattr(item.module, "PACKAGES", {}).items() if value in values]
    needed += [v.program for v in values if hasattr(v, "program")]
    for package in needed:
        if package in absent:
            return package
    what = getattr(item.function, "needs", "/")
    if callable(what) and not what():
        return what.__doc__
    if not callable(what) and not os.path.exists(what):
        return what
    program, version = getattr(item.function, "broken", (None, None))
    if program and version in subprocess.run(
            [program, "-v"], stdout=subprocess.PIPE, check=True).stdout:
        return f"a {program} other than {version.decode()}"
    return ""


def pytest_terminal_summary(terminalreporter):
    """The closing line of all that is counted (see scripts/tally.sh)."""
    n = {what: len(terminalreporter.getreports(what))
         for what in ("passed", "failed", "error")}
    print(f"{n['passed']} passed, {n['failed'] + n['error']} failed, "
          "0 skipped")


def fail_if_skipped(report, nodeid):
    """What is missing fails: a skipped test has shown nothing."""
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{nodeid}: skipped, which counts as failed"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    fail_if_skipped(outcome.get_result(), item.nodeid)


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector):
    outcome = yield
    fail_if_skipped(outcome.get_result(), collector.nodeid)


@pytest.fixture(autouse=True)
def deadline():
    def late(signo, frame):
        raise harness.Late(f"the test took more than {TEST_DEADLINE} s")
    signal.signal(signal.SIGALRM, late)
    signal.alarm(TEST_DEADLINE + 10 * (harness.SOAK or 0))
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
    bugs = [line for s in started for line in s.bugs()]
    for s in started:
        s.end()
    assert not bugs


@pytest.fixture
def echo(spawnd, place):
    """A pool of the name p."""
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--name", "p",
               "--", harness.app("echo"))
    s.sock = f"{place}/sock"
    return s
