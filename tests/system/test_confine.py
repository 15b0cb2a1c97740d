# SPDX-License-Identifier: ISC
"""What workers can do to the supervisor, to each other, to their children and
to another pool of their user, with and without --confine."""

import errno
import os
import re
import signal
import subprocess

import pytest

import ctl
import harness as h

EX_USAGE, EX_OSERR, EX_CONFIG = 64, 71, 78
LANDLOCK_CREATE, SECCOMP = 444, 277 if os.uname().machine == "aarch64" else 317
OLD_CALLS = h.old_calls()

SIGNALS = ["kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
           "pidfd_send_signal"]
MEMORY = ["seize", "attach", "process_vm_readv", "process_vm_writev",
          "pidfd_getfd"]
FILES = ["mem", "environ", "auxv", "syscall", "io", "fd/0", "cwd", "root",
         "exe", "ns/pid"]
LIMITS = ["prlimit_get", "prlimit_set", "sched_setaffinity",
          "sched_setscheduler", "sched_setparam", "sched_setattr",
          "setpriority", "setpriority_group", "setpriority_user",
          "setpriority_join", "ioprio_set", "ioprio_set_group",
          "ioprio_set_user", "migrate_pages", "move_pages"] + \
    ["setpriority_i386"] * OLD_CALLS
# Written to a file of /proc by any process of the user: see CAVEATS.
LEFT = ["oom_score_adj", "autogroup", "coredump_filter"]
# These say nothing, or what ps(1) says. Of setown see below.
HARMLESS = ["pidfd_open", "sched_getaffinity", "setown"]
OWN = ["own_limit", "own_affinity", "own_scheduler", "own_priority",
       "own_ioprio"]
SPACES = {"unshare": errno.EPERM, "clone": errno.EPERM,
          "clone3": errno.ENOSYS}
# No right, no such file in the jail, no way into a group of another session.
NO = {errno.EPERM, errno.EACCES, errno.ENOENT, errno.ENOTRECOVERABLE}


class Pool:
    """Two workers that try what they may; of a user, jailed or not."""

    def __init__(self, spawnd, base, jailed, *options, **kw):
        if jailed:
            h.make_jail(base, "reach")
            self.addr = f"{base}/run/httpd.sock"
            where, program = ["-c", base, "-U", "www"], "/fcgi-bin/app"
        else:
            self.addr = f"{base}/sock"
            where, program = ["-s", self.addr], h.app("reach")
        self.s = spawnd(*where, "-u", "_app", "-F", 2, *options, "--",
                        program, **kw)

    @property
    def workers(self):
        return self.s.wait_workers(2)

    def tries(self, target):
        """{what: errno} of another process than the one that answers."""
        for _ in range(20):
            answer = h.request(self.addr, str(target))
            if answer.headers["x-pid"] != str(target):
                return {name: int(value[0])
                        for name, value in answer.facts.items()}
        raise AssertionError(f"only {target} answers")


@pytest.fixture
def pools(spawnd, place):
    """Makes a pool, and one that its workers are to try it on."""
    def make(*options, jailed=False, **kw):
        return [Pool(spawnd, h.own_directory(f"{place}/{name}", "root"),
                     jailed, "--name", name, *options, **kw)
                for name in ("one", "other")]
    return make


def targets(one, other):
    return {"supervisor": one.s.pid, "sibling": one.workers[0],
            "other's supervisor": other.s.pid,
            "other's worker": other.workers[0]}


def results(found, names, jailed=False):
    """{name: errno}, without the files of /proc that no jail has."""
    return {n: found[n] for n in names
            if not (jailed and n in FILES + LEFT)}


@pytest.mark.parametrize("jailed", [False, True], ids=["plain", "jailed"])
def test_no_worker_reaches_another_process(pools, jailed):
    one, other = pools(jailed=jailed)
    for name, pid in targets(one, other).items():
        found = one.tries(pid)
        refused = results(found, SIGNALS + MEMORY + FILES + LIMITS)
        assert all(e in NO for e in refused.values()), (name, refused)
        assert not any(found[n] for n in HARMLESS), (name, found)
        if name in ("sibling", "other's worker") and not jailed:
            assert not any(found[n] for n in LEFT), (name, found)


@pytest.mark.parametrize("jailed", [False, True], ids=["plain", "jailed"])
def test_without_it_each_reaches_all(pools, jailed):
    """The control of the test above."""
    one, other = pools("--confine", "no", jailed=jailed)
    for name, pid in targets(one, other).items():
        found = one.tries(pid)
        # Not dumpable, for as long as it runs.
        safe = MEMORY + FILES + LEFT + ["migrate_pages", "move_pages"] \
            if "supervisor" in name else []
        # Of another session.
        if "other" in name:
            safe = [*safe, "setpriority_join"]
        names = [n for n in SIGNALS + MEMORY + FILES + LIMITS + LEFT
                 if n not in safe]
        allowed = results(found, names, jailed)
        assert not any(allowed.values()), (name, allowed)


@pytest.mark.parametrize("jailed", [False, True], ids=["plain", "jailed"])
def test_own_children_stay_its_own(pools, jailed):
    one, _ = pools(jailed=jailed)
    found = one.tries("child")
    allowed = results(found, SIGNALS + MEMORY + FILES + LEFT + HARMLESS + OWN,
                      jailed)
    assert not any(allowed.values()), allowed
    refused = results(found, LIMITS)
    assert set(refused.values()) == {errno.EPERM}, refused


def test_no_worker_makes_a_namespace_of_users(pools):
    one, _ = pools()
    assert results(one.tries("child"), SPACES) == SPACES
    one.s.stop()


def test_without_it_namespaces_are_the_systems(spawnd, place):
    one = Pool(spawnd, place, False, "--confine", "no")
    assert one.tries("child")["clone3"] == errno.EINVAL


def test_programs_of_32_bits_run(spawnd, place):
    """Where the kernel has those; what they are refused is in the matrix."""
    one = Pool(spawnd, place, False)
    found = one.tries("child")
    assert found["i386"] == (0 if OLD_CALLS else errno.ENOSYS)
    assert found["x32"] == errno.ENOSYS


@pytest.mark.parametrize("confine", ["yes", "no"])
def test_signal_by_way_of_a_file_does_not_arrive(spawnd, place, confine):
    one = Pool(spawnd, place, False, "--confine", confine)
    one.tries(one.s.pid)
    # Whatever was sent before this is heard before it.
    one.s.signal(signal.SIGHUP)
    one.s.wait_log("all workers are new")
    assert ("info: status: " in one.s.log()) == (confine == "no")


def test_filter_stands_before_the_first_worker(spawnd, place):
    one = Pool(spawnd, place, False)
    for pid in (one.s.pid, *one.workers):
        assert h.status(pid)["Seccomp"] == "2"
        assert h.status(pid)["Seccomp_filters"] == "1"
    pid = one.workers[0]
    h.kill(pid)
    for pid in one.s.wait_workers(2, other_than=[pid]):
        assert h.status(pid)["Seccomp"] == "2"


def test_without_it_there_is_no_filter(spawnd, place):
    one = Pool(spawnd, place, False, "--confine", "no")
    for pid in (one.s.pid, *one.workers):
        assert h.status(pid)["Seccomp"] == "0"


def guarantees(pool):
    g = ctl.figures(pool)["guarantees"]
    return g["confine_signals"], g["confine_limits"]


def about(s):
    """The lines of the log that say what is not confined."""
    return [line for line in s.log().splitlines()
            if re.search("confine|each other here", line)]


def test_what_holds_is_not_mentioned(spawnd, place):
    one = Pool(spawnd, place, False, "--name", "one")
    assert guarantees("one") == ("yes", "yes") and about(one.s) == []


def test_what_was_not_asked_for_is_not_mentioned(spawnd, place):
    one = Pool(spawnd, place, False, "--name", "one", "--confine", "no")
    assert guarantees("one") == ("no", "no") and about(one.s) == []


def test_set_id_programs_exclude_it(spawnd, place):
    one = Pool(spawnd, place, False, "--name", "one", "--no-new-privs", "no")
    assert guarantees("one") == ("no", "no")
    [line] = about(one.s)
    assert "set-id programs are allowed to the workers, which are not " \
        "confined (--no-new-privs no)" in line
    asked = h.run_spawnd("-n", "-s", f"{place}/s", "-u", "_app", "--confine",
                         "yes", "--no-new-privs", "no", "--", h.app("reach"))
    assert asked.status == EX_USAGE and "--confine: yes" in asked.stderr


def test_inherited_no_new_privs_is_enough(spawnd, place):
    one = Pool(spawnd, place, False, "--name", "one", "--no-new-privs", "no",
               wrap=["setpriv", "--no-new-privs"])
    assert guarantees("one") == ("yes", "yes") and about(one.s) == []


# What the kernel or a service manager refuses

def forbids(call, error):
    return lambda: h.forbid_call(call, error)


OLD = ["strace", "-f", "-qq", "-o", "/dev/null", "-e",
       "trace=landlock_create_ruleset", "-e",
       "inject=landlock_create_ruleset:retval=5"]
REFUSALS = {
    "no landlock": ({"become": forbids(LANDLOCK_CREATE, errno.ENOSYS)},
                    ("no", "yes"), "workers can signal and trace each other "
                    "here: the kernel has no Landlock"),
    "landlock is off": ({"become": forbids(LANDLOCK_CREATE,
                                           errno.EOPNOTSUPP)},
                        ("no", "yes"), "workers can signal and trace each "
                        "other here: the kernel has no Landlock"),
    "landlock is old": ({"wrap": OLD}, ("no", "yes"),
                        "workers can signal and trace each other here: "
                        "Landlock is older than that of Linux 6.12"),
    "landlock is forbidden": ({"become": forbids(LANDLOCK_CREATE,
                                                 errno.EPERM)},
                              ("no", "yes"), "workers can signal and trace "
                              "each other here: a system call filter forbids "
                              "Landlock"),
    "landlock kills": ({"become": lambda: h.forbid_call(LANDLOCK_CREATE, 0,
                                                        kills=True)},
                       ("no", "yes"), "workers can signal and trace each "
                       "other here: a system call filter forbids Landlock"),
    "seccomp is forbidden": ({"become": forbids(SECCOMP, errno.EPERM)},
                             ("yes", "no"), "workers can limit and slow each "
                             "other here: a system call filter forbids "
                             "seccomp"),
    "both are forbidden": ({"become": lambda: (
        h.forbid_call(LANDLOCK_CREATE, errno.EPERM),
        h.forbid_call(SECCOMP, errno.EPERM))}, ("no", "no"),
        "workers are not confined here: a system call filter forbids "
        "Landlock; a system call filter forbids seccomp"),
    "there is no seccomp": ({"become": forbids(SECCOMP, errno.ENOSYS)},
                            ("yes", "no"), "workers can limit and slow each "
                            "other here: the kernel has no system call"),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_does_not_hold_is_said_once(spawnd, place, what):
    how, holds, text = REFUSALS[what]
    one = Pool(spawnd, place, False, "--name", "one", **how)
    assert guarantees("one") == holds
    [line] = about(one.s)
    assert text in line and "info: " in line


@pytest.mark.parametrize("what", [x for x in REFUSALS if "old" not in x])
def test_what_was_asked_for_has_to_hold(place, what):
    how, _, text = REFUSALS[what]
    done = h.run_spawnd("-n", "-s", f"{place}/s", "-u", "_app", "--confine",
                        "yes", "--", h.app("reach"), **how)
    assert done.status == EX_OSERR
    assert "--confine: yes: workers could still " in h.line_of(done)
    assert re.split("[:;] ", text)[1] in h.line_of(done)


def test_filter_that_kills_is_survived(spawnd, place):
    """A child finds out."""
    one = Pool(spawnd, place, False, "--name", "one",
               become=lambda: h.forbid_call(SECCOMP, 0, kills=True))
    assert guarantees("one") == ("yes", "no")
    assert "a system call filter forbids seccomp" in one.s.log()


def test_trial_that_does_not_end_is_ended(spawnd, place):
    """Its own failure is no verdict on the kernel, and a warning."""
    hang = [*OLD[:-2], "-e", "inject=landlock_create_ruleset:"
            f"delay_enter={300 * 10**6}"]
    one = Pool(spawnd, place, False, "--name", "one", wrap=hang)
    assert guarantees("one") == ("no", "yes")
    warned, said = about(one.s)
    assert "warning: confine: the process that tries what the kernel can " \
        "do has not ended within" in warned
    assert "workers can signal and trace each other here: it could not be " \
        "tried" in said


def test_trial_of_doors_that_does_not_end_is_ended(spawnd, place):
    hang = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=ptrace",
            "-e", f"inject=ptrace:delay_enter={300 * 10**6}"]
    # Only below some filter it is tried.
    one = Pool(spawnd, place, False, wrap=hang, become=forbids(999, 1))
    assert "warning: door: the process that tries what the kernel can do " \
        "has not ended within" in one.s.log()
    assert "busy workers cannot be kept from new connections here: it could " \
        "not be tried" in one.s.log()


@pytest.mark.parametrize("test", [False, True])
def test_caller_that_ignores_the_ends_of_children(spawnd, place, test):
    """As a daemon may that starts us."""
    def ignore():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    if test:
        done = h.run_spawnd("--test", "-s", f"{place}/s", "-u", "_app", "--",
                            h.app("reach"), become=ignore)
        assert done.status == 0, done
        assert "guarantees: workers cannot limit or slow others: yes" in \
            done.stdout.splitlines()
    else:
        Pool(spawnd, place, False, "--name", "one", become=ignore)
        assert guarantees("one") == ("yes", "yes")


def test_preflight_says_what_holds(place):
    args = ["--test", "-s", f"{place}/s", "-u", "_app"]
    for how, signals, limits in (
            ({}, "yes", "yes"),
            ({"become": forbids(LANDLOCK_CREATE, errno.ENOSYS)}, "no", "yes"),
            ({"become": forbids(SECCOMP, errno.EPERM)}, "yes", "no")):
        done = h.run_spawnd(*args, "--", h.app("reach"), **how)
        assert done.status == 0
        assert "confine: yes" in done.stdout.splitlines()
        lines = [re.sub(r" \(.*\)$", "", line)
                 for line in done.stdout.splitlines()]
        assert "guarantees: workers cannot signal or trace others: " \
            f"{signals}" in lines
        assert "guarantees: workers cannot limit or slow others: " \
            f"{limits}" in lines
        assert ("others: no (" in done.stdout) == ("no" in (signals, limits))
    done = h.run_spawnd(*args, "--confine", "yes", "--", h.app("reach"),
                        become=forbids(SECCOMP, errno.EPERM))
    assert done.status == EX_CONFIG and \
        "error: --confine: yes" in done.stdout
    done = h.run_spawnd(*args, "--confine", "no", "--", h.app("reach"))
    assert "confine: no" in done.stdout.splitlines()
    assert "guarantees: workers cannot limit or slow others: no (it was not " \
        "asked for)" in done.stdout.splitlines()


def test_without_landlock_nobody_attaches(pools):
    """The filter keeps ptrace(2) for the supervisor, which closes doors."""
    one, other = pools(become=forbids(LANDLOCK_CREATE, errno.ENOSYS))
    for pid in (*targets(one, other).values(), "child"):
        found = one.tries(pid)
        assert found["seize"] == found["attach"] == errno.EPERM, (pid, found)
        refused = results(found, LIMITS)
        assert all(e in NO for e in refused.values()), (pid, refused)
    assert not any(results(found, SIGNALS + OWN).values()), found


@pytest.mark.parametrize("landlock", [True, False])
def test_doors_close(spawnd, place, landlock):
    """The supervisor traces a busy worker that is to go."""
    how = {} if landlock else \
        {"become": forbids(LANDLOCK_CREATE, errno.ENOSYS)}
    s = spawnd("-s", f"{place}/sock", "-u", "_app", "-F", 1, "--",
               h.app("hostile"), **how)
    [busy] = s.workers()
    idle = len(h.fds(busy))
    with h.Connection(f"{place}/sock") as c:
        c.send("sleep=5000")
        h.wait_for(lambda: len(h.fds(busy)) > idle, 4, s.log)
        s.signal(signal.SIGHUP)
        h.wait_for(lambda: h.status(busy)["TracerPid"] == str(s.pid), 10,
                   s.log)
        assert c.receive().status == 200
    s.wait_log("all workers are new")


STRACE = ["/usr/bin/strace", "-f", "-o", "/dev/null"]
GDB = ["/usr/bin/gdb", "-nx", "-batch", "-ex", "set startup-with-shell off",
       "-ex", "run", "--args"]


# Without Landlock strace 7.2 cannot: it attaches to what it starts, too.
@pytest.mark.parametrize("landlock, debugger", [
    (True, STRACE), (True, GDB), (False, GDB)],
    ids=["strace", "gdb", "gdb without Landlock"])
def test_debugger_starts_a_program(spawnd, place, landlock, debugger):
    """A worker that is one: its program asks to be traced."""
    how = {} if landlock else \
        {"become": forbids(LANDLOCK_CREATE, errno.ENOSYS)}
    s = spawnd("-s", f"{place}/sock", "-u", "_app", "-F", 1, "--",
               *debugger, h.app("echo"), **how)
    traced = h.request(f"{place}/sock").headers["x-pid"]
    assert h.status(traced)["TracerPid"] == str(s.workers()[0])
    assert s.stop() == 0


# What people run is not in its way

SHELL = """
exec 2>&1
set -e
nice true
ionice -c 3 true
taskset 1 true
prlimit --nofile=50 true
ulimit -n 60
setsid true
timeout 5 true
sleep 60 & kill $!
! wait $! || exit 1
/usr/bin/perl -e 'setpriority 0, 0, 19 or die "$!"'
/usr/bin/python3 -c 'import os; os.sched_setaffinity(0, {0})'
/usr/bin/python3 -c 'import os; os.kill(os.getpid(), 0)'
echo fine
"""
BROKEN = ["taskset -p 1 $$", "/usr/bin/perl -e "
          "'setpriority 0, $$, 19 or die \"$!\"'", "renice 19 $$"]


def run_as_worker(spawnd, place, script):
    """What a program says that is started as a worker."""
    s = spawnd("-s", f"{place}/sock", "-u", "_app", "-F", 1, "--worker-log",
               "raw", "--", "/bin/sh", "-c", script + "\nexec $0",
               h.app("echo"), user=None)
    assert h.request(f"{place}/sock").status == 200
    return s.log()


def test_tools_go_on(spawnd, place):
    assert "fine\n" in run_as_worker(spawnd, place, SHELL)


def is_broken(spawnd, place, command):
    script = f"if {command}; then echo works; else echo broken; fi"
    assert "broken\n" in run_as_worker(spawnd, place, script)
    assert subprocess.run(["/bin/sh", "-c", command], timeout=20 * h.PATIENCE,
                          stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize("command", BROKEN)
def test_what_the_manual_calls_broken_is(spawnd, place, command):
    is_broken(spawnd, place, command)


@h.needs(h.user_namespaces)
def test_user_namespaces_are_broken(spawnd, place):
    is_broken(spawnd, place, "unshare -U true")
