# SPDX-License-Identifier: ISC
"""What is left of root: in the supervisor, in the workers, and on the way."""

import fcntl
import os
import resource
import signal
import stat
import struct
import subprocess
import sys
import termios

import pytest

import harness as h

PROGRAM = "/fcgi-bin/app"
SOCKET = "run/httpd.sock"
MANY = h.USERS["many"]
EXTRA = {71, 72, 73}        # the supplementary groups of "many"
EPERM, ENOENT = 1, 2
WHO = ["supervisor", "worker"]


class Jailed:
    """A pool of one worker in a jail, as user many."""

    def __init__(self, spawnd, place, *options, **kw):
        self.jail = h.make_jail(place)
        self.addr = f"{place}/{SOCKET}"
        self.spawnd = spawnd("-c", place, "-U", "www", "-u", "many",
                             "-F", 1, *options, "--", PROGRAM, **kw)

    def pid(self, who):
        if who == "supervisor":
            return self.spawnd.pid
        return self.spawnd.wait_workers(1)[0]

    def ask(self, query):
        return h.request(self.addr, query)


@pytest.fixture
def jailed(spawnd, place):
    return Jailed(spawnd, place)


def without(cap):
    """A command that takes a capability from what it execs."""
    return ["setpriv", f"--bounding-set=-{cap}"]


# Ids, groups, capabilities

@pytest.mark.parametrize("who", WHO)
def test_ids_are_those_of_the_user(jailed, who):
    pid = jailed.pid(who)
    assert h.ids(pid, "Uid") == [MANY] * 4
    assert h.ids(pid, "Gid") == [MANY] * 4


@pytest.mark.parametrize("who", WHO)
def test_supplementary_groups_are_those_of_the_user(spawnd, place, who):
    def become():
        os.setgroups([0, 4, 27, 67])
    jailed = Jailed(spawnd, place, become=become)
    assert set(h.groups(jailed.pid(who))) - {MANY} == EXTRA


@pytest.mark.parametrize("who", WHO)
def test_group_option_replaces_the_primary_group(spawnd, place, who):
    pid = Jailed(spawnd, place, "-g", "alpha").pid(who)
    assert h.ids(pid, "Gid") == [71] * 4
    assert set(h.groups(pid)) - {71} == {72, 73}


@pytest.mark.parametrize("who", WHO)
def test_every_capability_set_is_empty(jailed, who):
    assert h.caps(jailed.pid(who)) == dict.fromkeys(
        ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), 0)


@pytest.mark.parametrize("who", WHO)
def test_no_new_privs_is_set(jailed, who):
    assert h.status(jailed.pid(who))["NoNewPrivs"] == "1"


def test_worker_sees_the_same_from_inside(jailed):
    answer = jailed.ask("facts")
    assert answer.fact("uid") == f"{MANY} {MANY} {MANY}"
    assert answer.fact("gid") == f"{MANY} {MANY} {MANY}"
    assert set(map(int, answer.fact("groups").split())) - {MANY} == EXTRA
    assert answer.fact("nnp") == "1"
    assert answer.fact("bounding") == "0"


def test_worker_cannot_become_root_again(jailed):
    assert jailed.ask("setuid=0").fact("setuid") == str(EPERM)


def test_numeric_ids_without_passwd_entry_lose_every_group(spawnd, place):
    h.make_jail(place)
    s = spawnd("-c", place, "-u", 12345, "-g", 12345, "-F", 1, "--", PROGRAM,
               become=lambda: os.setgroups([0, 4, 27, 67]))
    for pid in [s.pid, *s.wait_workers(1)]:
        assert h.ids(pid, "Uid") == [12345] * 4
        assert h.ids(pid, "Gid") == [12345] * 4
        assert set(h.groups(pid)) <= {12345}
        assert not any(h.caps(pid).values())


def test_numeric_user_with_passwd_entry_has_its_groups(spawnd, place):
    h.make_jail(place)
    s = spawnd("-c", place, "-u", MANY, "-F", 1, "--", PROGRAM)
    assert h.ids(s.pid, "Gid") == [MANY] * 4
    assert set(h.groups(s.pid)) - {MANY} == EXTRA


# The jail

@pytest.mark.parametrize("who", WHO)
def test_root_directory_is_the_jail(jailed, who):
    assert h.link(jailed.pid(who), "root") == jailed.jail
    assert h.link(jailed.pid(who), "cwd") == jailed.jail


def test_worker_cannot_open_what_is_outside(jailed):
    assert os.path.exists("/etc/passwd")
    facts = jailed.ask("open=/etc/passwd&open=/../../../etc/passwd").facts
    assert facts["open"] == [f"/etc/passwd {ENOENT}",
                             f"/../../../etc/passwd {ENOENT}"]


def identity(st):
    return st.st_dev, st.st_ino


def outside_of(jail):
    """Identities of all directories above a jail, and of some beside it."""
    found = {identity(os.stat(p)) for p in ("/", "/etc", "/usr", "/etc/passwd")}
    while jail != "/":
        jail = os.path.dirname(jail)
        found.add(identity(os.stat(jail)))
    return found


def look_out(fd, forbidden):
    for depth in range(1, 12):
        for end in ("", "/etc", "/etc/passwd"):
            path = "/".join([".."] * depth) + end
            try:
                new = os.open(path, os.O_PATH, dir_fd=fd)
            except OSError:
                continue
            reached = identity(os.fstat(new)) in forbidden
            os.close(new)
            if reached:
                return path
    return None


def ways_out(pid, jail, descriptors):
    """Which of our descriptors lead a process in pid's root directory out of
    it; tried in a child that goes there."""
    forbidden = outside_of(jail)
    r, w = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.chroot(f"/proc/{pid}/root")
            os.chdir("/")
            found = [f"{fd}:{out}" for fd in descriptors
                     if (out := look_out(fd, forbidden))]
            os.write(w, ("ok " + " ".join(found)).encode())
        finally:
            os._exit(0)
    os.close(w)
    with os.fdopen(r, "rb") as f:
        text = f.read().decode()
    os.waitpid(child, 0)
    assert text.startswith("ok "), "the child failed"
    return text.split()[1:]


def test_no_descriptor_of_the_supervisor_leads_out_of_the_jail(jailed):
    pid = jailed.spawnd.pid
    held = [h.pidfd_getfd(pid, fd) for fd in h.fds(pid)]
    held.append(os.open(f"/proc/{pid}/cwd", os.O_PATH))
    planted = os.open("/proc", os.O_RDONLY)
    try:
        assert len(held) >= 4
        assert ways_out(pid, jailed.jail, held) == []
        # The search finds one that does lead out.
        assert len(ways_out(pid, jailed.jail, [planted])) == 1
    finally:
        for fd in held + [planted]:
            os.close(fd)


def test_supervisor_holds_no_plain_directory(jailed):
    pid = jailed.spawnd.pid
    for fd, target in h.fds(pid).items():
        copy = h.pidfd_getfd(pid, fd)
        try:
            is_directory = stat.S_ISDIR(os.fstat(copy).st_mode)
        finally:
            os.close(copy)
        # A detached mount has no path that leads to it.
        assert not is_directory or target == "/", f"{fd}: {target}"


def as_user(name, code):
    """Runs Python code as a user; returns what it prints."""
    p = subprocess.run([sys.executable, "-c", code], capture_output=True,
                       text=True,
                       timeout=20 * h.PATIENCE, preexec_fn=h.become_user(name))
    assert p.returncode == 0, p.stderr
    return p.stdout.strip()


def test_same_user_cannot_look_into_the_supervisor(jailed):
    pid = jailed.pid("supervisor")
    code = f"""
import os, ctypes
refused = []
for what in (lambda: os.listdir("/proc/{pid}/fd"),
             lambda: open("/proc/{pid}/environ").read(),
             lambda: open("/proc/{pid}/mem", "rb").read(1)):
    try:
        what()
        refused.append(False)
    except PermissionError:
        refused.append(True)
libc = ctypes.CDLL(None, use_errno=True)
pidfd = os.pidfd_open({pid})
refused.append(libc.syscall(438, pidfd, 0, 0) == -1)
refused.append(libc.ptrace(16, {pid}, 0, 0) == -1)
print(refused)
"""
    assert as_user("many", code) == str([True] * 5)


# What a worker is started with

def test_worker_has_the_socket_and_two_outputs_and_nothing_else(
        spawnd, place):
    leak = ["/bin/sh", "-c", 'exec "$@" 5</etc/passwd 7</dev/null 9>/dev/null',
            "sh"]
    jailed = Jailed(spawnd, place, wrap=leak)
    found = h.fds(jailed.pid("worker"))
    assert sorted(found) == [0, 1, 2]
    assert found[0].startswith("socket:")
    assert not found[2].startswith("socket:")
    assert jailed.ask("facts").fact("fds") == "0 1 2"


def test_supervisor_keeps_no_inherited_descriptor(spawnd, place):
    leak = ["/bin/sh", "-c", 'exec "$@" 5</etc/passwd 9</etc/group', "sh"]
    jailed = Jailed(spawnd, place, wrap=leak)
    found = h.fds(jailed.spawnd.pid)
    assert not {"/etc/passwd", "/etc/group"} & set(found.values()), found


def hostile_signals():
    signal.pthread_sigmask(signal.SIG_BLOCK, {
        signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM})
    for signo in (signal.SIGINT, signal.SIGQUIT, signal.SIGUSR2,
                  signal.SIGPIPE, signal.SIGCHLD, signal.SIGRTMIN + 3):
        signal.signal(signo, signal.SIG_IGN)


def test_worker_starts_with_no_signal_blocked_ignored_or_caught(
        spawnd, place):
    h.make_jail(place)
    # "never" runs before the application's library catches any.
    s = spawnd("-c", place, "-u", "many", "-F", 1, "--", PROGRAM, "never",
               ready=False, become=hostile_signals)

    def started():
        pids = s.workers()
        # While it sleeps, its exec is over: the file is new a moment before
        # the handlers are gone.
        return pids if pids and h.stat(pids[0]).state == "S" and \
            h.link(pids[0], "exe").endswith("/app") else None
    worker = h.wait_for(started, 10, s.log)[0]
    for what in ("SigBlk", "SigIgn", "SigCgt"):
        assert h.signals(worker, what) == set(), what


def test_signals_work_although_the_caller_had_them_blocked(spawnd, place):
    jailed = Jailed(spawnd, place, become=hostile_signals)
    os.kill(jailed.pid("worker"), signal.SIGKILL)
    jailed.spawnd.wait_log("SIGKILL")
    jailed.spawnd.wait_workers(1)
    assert jailed.spawnd.stop() == 0


def test_worker_leads_a_process_group_in_the_supervisors_session(jailed):
    supervisor = h.stat(jailed.spawnd.pid)
    worker = h.stat(jailed.pid("worker"))
    assert worker.pgrp == worker.pid
    assert worker.session == supervisor.session
    assert worker.ppid == supervisor.pid


@pytest.mark.parametrize("options, umask", [
    ([], "022"), (["--umask", "027"], "027"), (["--umask=0"], "000")])
def test_umask(spawnd, place, options, umask):
    jailed = Jailed(spawnd, place, *options, become=lambda: os.umask(0o077))
    assert jailed.ask("facts").fact("umask") == umask


@pytest.mark.parametrize("nice", [5, -5])
def test_nice(spawnd, place, nice):
    jailed = Jailed(spawnd, place, "--nice", nice)
    assert jailed.ask("facts").fact("nice") == str(nice)


def test_nice_of_the_caller_stays_without_the_option(spawnd, place):
    jailed = Jailed(spawnd, place, become=lambda: os.nice(3))
    assert jailed.ask("facts").fact("nice") == str(min(os.nice(0) + 3, 19))


def test_nice_does_not_touch_the_supervisor(spawnd, place):
    # What is better than ours is for the supervisor, too.
    jailed = Jailed(spawnd, place, "--nice", min(os.nice(0) + 5, 19))
    assert os.getpriority(os.PRIO_PROCESS, jailed.spawnd.pid) == os.nice(0)


@pytest.mark.parametrize("value, limits", [
    ("nofile=300:400", "300 400"), ("nofile=200", "200 4096")])
def test_rlimit(spawnd, place, value, limits):
    def become():
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))
    jailed = Jailed(spawnd, place, "--rlimit", value, become=become)
    assert jailed.ask("facts").fact("nofile") == limits


def test_rlimit_adds_up_and_the_last_of_a_name_wins(spawnd, place):
    jailed = Jailed(spawnd, place, "--rlimit", "nofile=300:400", "--rlimit",
                    "core=0:0", "--rlimit", "nofile=500:600")
    limits = h.limits(jailed.pid("worker"))
    assert limits["Max open files"] == ("500", "600")
    assert limits["Max core file size"] == ("0", "0")


def low_limit():
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512))


def test_limit_above_the_hard_one_needs_sys_resource(place):
    h.make_jail(place)
    result = h.run_spawnd(
        "-n", "-c", place, "-u", "many", "--rlimit", "nofile=1000:2000",
        "--", PROGRAM, become=low_limit, wrap=without("sys_resource"))
    assert result.status == 77
    assert "--rlimit: nofile: " in h.line_of(result)
    assert os.listdir(f"{place}/run") == []


def test_limits_of_the_caller_stay_without_the_option(spawnd, place):
    jailed = Jailed(spawnd, place, become=low_limit)
    assert jailed.ask("facts").fact("nofile") == "256 512"


def test_working_directory_is_inside_the_jail(spawnd, place):
    os.makedirs(f"{place}/srv/data")
    jailed = Jailed(spawnd, place, "-d", "/srv/data", cwd="/tmp")
    assert jailed.ask("dir").fact("cwd") == "/srv/data"
    assert h.link(jailed.pid("worker"), "cwd") == f"{place}/srv/data"


def test_relative_working_directory_begins_at_the_jails_root(spawnd, place):
    os.makedirs(f"{place}/srv/data")
    jailed = Jailed(spawnd, place, "-d", "srv/data", cwd="/tmp")
    assert jailed.ask("dir").fact("cwd") == "/srv/data"


def test_working_directory_is_the_root_by_default(spawnd, place):
    jailed = Jailed(spawnd, place, cwd="/tmp")
    assert jailed.ask("dir").fact("cwd") == "/"


def test_killed_supervisor_takes_its_workers_along(spawnd, place):
    h.make_jail(place)
    s = spawnd("-c", place, "-u", "many", "-F", 3, "--", PROGRAM)
    workers = s.wait_workers(3)
    s.signal(signal.SIGKILL)
    h.wait_for(lambda: not any(h.alive(p) for p in workers), 5,
               "the workers are gone")


def test_killed_supervisor_takes_those_along_that_ignore_signals(
        spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--",
               h.app("poller"), "deaf")
    workers = s.wait_workers(2)
    s.signal(signal.SIGKILL)
    h.wait_for(lambda: not any(h.alive(p) for p in workers), 5,
               "the workers are gone")


READER = """#!/usr/bin/perl
use FCGI;
my $r = FCGI::Request();
while ($r->Accept() >= 0) {
	my $n = 0;
	$n++ while read(STDIN, my $byte, 1);
	print "Content-Type: text/plain\r\n\r\n$n\n";
}
"""


def unread(sock):
    """How much of what was sent over it nobody has read yet."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ,
                                          bytes(4)))[0]


def test_killed_supervisor_makes_no_wrong_answer(spawnd, place):
    """libfcgi, here Perl's, takes a read that a signal ends for the end of
    the body, and answers 200 to half of it."""
    with open(f"{place}/reader", "w") as f:
        f.write(READER)
    os.chmod(f"{place}/reader", 0o755)
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--",
               f"{place}/reader")
    worker = s.workers()[0]
    with h.Connection(f"{place}/sock") as c:
        c.sock.sendall(h.request_bytes("a", b"x" * 1000)[:-200])
        h.wait_for(lambda: unread(c.sock) == 0 and
                   h.stat(worker).state == "S", 5, s.log)
        s.signal(signal.SIGKILL)
        c.out = b""
        with pytest.raises(h.FcgiError):
            print(c.receive().text)
    h.wait_for(lambda: not h.alive(worker), 5, "the worker is gone")


# The environment

OURS = {"USER": "many", "LOGNAME": "many", "HOME": "/home/many",
        "SHELL": "/bin/sh"}
MANAGER = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "x",
           "NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "9",
           "WATCHDOG_PID": "1", "MAINPID": "1",
           "FCGI_LISTENSOCK_DESCRIPTORS": "0"}
ALLOWED = {"PATH": "/opt/bin:/bin", "TZ": "UTC", "TMPDIR": "/var/tmp",
           "LANG": "C", "LC_ALL": "C.UTF-8", "LC_TIME": "C", "PHPRC": "/p",
           "PHP_INI_SCAN_DIR": "/q", "PHP_FCGI_MAX_REQUESTS": "1000",
           "FCGI_WEB_SERVER_ADDRS": "127.0.0.1"}
SECRETS = {"SECRET": "1", "LD_PRELOAD": "", "SSH_AUTH_SOCK": "/x",
           "HOME": "/root", "USER": "root", "LOGNAME": "root",
           "SHELL": "/bin/zsh", "PWD": "/root", "APP_ONE": "1",
           "APP_TWO": "two words", "BPP": "3"}


def environment(spawnd, place, *options, env):
    """The environment of a worker, as it sees it itself."""
    jailed = Jailed(spawnd, place, *options, env=env)
    facts = jailed.ask("env").facts
    inside = dict(line.partition("=")[::2] for line in facts["env"])
    assert inside == h.environ(jailed.pid("worker"))
    return inside


def test_only_the_allowlist_passes(spawnd, place):
    found = environment(spawnd, place, env={**ALLOWED, **SECRETS, **MANAGER})
    assert found == {**ALLOWED, **OURS}


def test_path_is_there_when_the_caller_has_none(spawnd, place):
    found = environment(spawnd, place, env={})
    assert found == {"PATH": "/usr/local/bin:/usr/bin:/bin", **OURS}


def test_env_lets_a_name_through(spawnd, place):
    found = environment(spawnd, place, "-e", "APP_TWO", "-e", "NOT_THERE",
                        env={**SECRETS, "PATH": "/bin"})
    assert found == {"PATH": "/bin", "APP_TWO": "two words", **OURS}


def test_env_takes_patterns(spawnd, place):
    found = environment(spawnd, place, "-e", "APP_*",
                        env={**SECRETS, "PATH": "/bin"})
    assert found == {"PATH": "/bin", "APP_ONE": "1", "APP_TWO": "two words",
                     **OURS}


def test_no_pattern_lets_the_service_managers_names_through(spawnd, place):
    env = {**MANAGER, "APP_ONE": "1", "PATH": "/bin"}
    found = environment(spawnd, place, "-e", "*", "-e", "?ISTEN_*",
                        "-e", "[N]OTIFY_SOCKET", env=env)
    # A sanitized spawnd's own options pass by "*" like any other.
    for name in h.sanitizer_env():
        found.pop(name, None)
    assert found == {"APP_ONE": "1", "PATH": "/bin", **OURS}


def test_env_sets_and_wins(spawnd, place):
    found = environment(
        spawnd, place, "-e", "PATH=/own", "-e", "NEW=a=b c", "-e", "EMPTY=",
        "-e", "HOME=/srv", "-e", "TZ=first", "-e", "TZ=second",
        env={"PATH": "/bin", "TZ": "UTC"})
    assert found == {**OURS, "PATH": "/own", "NEW": "a=b c", "EMPTY": "",
                     "HOME": "/srv", "TZ": "second"}


def test_env_file_sets_and_wins(spawnd, place):
    path = f"{place}/env"
    with open(path, "w", encoding="ascii") as f:
        f.write("# a comment\n\nDB=host=x port=1\nTZ=UTC\nQUOTED=\"a b\" \n")
    os.chmod(path, 0o600)
    found = environment(spawnd, place, "--env-file", path, "-e", "LAST=1",
                        env={"PATH": "/bin", "TZ": "Europe/Oslo"})
    assert found == {"PATH": "/bin", "DB": "host=x port=1", "TZ": "UTC",
                     "QUOTED": "\"a b\" ", "LAST": "1", **OURS}


def test_id_without_passwd_entry_has_home_only(spawnd, place):
    h.make_jail(place)
    s = spawnd("-c", place, "-u", 12345, "-g", 12345, "-F", 1, "--", PROGRAM,
               env={"PATH": "/bin", "USER": "root", "HOME": "/root"})
    assert h.environ(s.wait_workers(1)[0]) == {"PATH": "/bin", "HOME": "/"}


def test_php_children_are_set_for_the_workers(spawnd, place):
    h.make_jail(place)
    s = spawnd("-c", place, "-u", "many", "-C", 3, "--", PROGRAM,
               env={"PATH": "/bin", "PHP_FCGI_CHILDREN": "9"})
    workers = s.wait_workers(1)     # and -F is 1 then
    assert h.environ(workers[0])["PHP_FCGI_CHILDREN"] == "3"


# With less than all of root's rights

def test_without_setpcap_it_starts_by_no_new_privs_and_says_so(
        spawnd, place):
    jailed = Jailed(spawnd, place, wrap=without("setpcap"))
    for who in WHO:
        pid = jailed.pid(who)
        found = h.caps(pid)
        assert found.pop("CapBnd") != 0
        assert not any(found.values()), found
        assert h.ids(pid, "Uid") == [MANY] * 4
        assert h.status(pid)["NoNewPrivs"] == "1"
    lines = [x for x in jailed.spawnd.log().splitlines() if "bounding" in x]
    assert len(lines) == 1, jailed.spawnd.log()
    assert "no_new_privs" in lines[0]


@pytest.mark.parametrize("cap", ["setgid", "setuid", "sys_chroot"])
def test_without_a_right_it_needs_it_fails_before_anything_runs(place, cap):
    h.make_jail(place)
    h.own_directory(f"{place}/ran", "many", 0o777)
    result = h.run_spawnd(
        "-n", "-c", place, "-u", "many", "--", PROGRAM, "say=it ran",
        wrap=without(cap))
    assert result.status == 77
    assert "it ran" not in result.stderr
    line = h.line_of(result)
    assert {"setgid": "CAP_SETGID", "setuid": "CAP_SETUID",
            "sys_chroot": "chroot"}[cap] in line
    assert os.listdir(f"{place}/run") == []


def test_without_chown_no_socket_is_left_behind(place):
    h.make_jail(place)
    result = h.run_spawnd("-n", "-c", place, "-U", "www", "-u", "many", "--",
                          PROGRAM, wrap=without("chown"))
    assert result.status == 77
    assert "httpd.sock" in h.line_of(result)
    assert os.listdir(f"{place}/run") == []


def test_without_sys_admin_a_plain_proc_is_said(spawnd, place):
    jailed = Jailed(spawnd, place, wrap=without("sys_admin"))
    lines = [x for x in jailed.spawnd.log().splitlines() if "/proc" in x]
    assert len(lines) == 1, jailed.spawnd.log()
    assert not any(h.caps(jailed.spawnd.pid).values())


def test_with_all_rights_nothing_is_said(jailed):
    """The control of the two tests above."""
    lines = jailed.spawnd.log().splitlines()
    assert len(lines) == 1 and " ready on " in lines[0], lines


@pytest.mark.parametrize("who", WHO)
def test_no_new_privs_already_set(spawnd, place, who):
    jailed = Jailed(spawnd, place, wrap=["setpriv", "--no-new-privs"])
    pid = jailed.pid(who)
    assert h.status(pid)["NoNewPrivs"] == "1"
    assert not any(h.caps(pid).values())
    assert h.ids(pid, "Uid") == [MANY] * 4


@pytest.mark.parametrize("who", WHO)
def test_no_new_privs_no_leaves_the_bounding_set(spawnd, place, who):
    before = h.caps(os.getpid())["CapBnd"]
    jailed = Jailed(spawnd, place, "--no-new-privs", "no")
    pid = jailed.pid(who)
    found = h.caps(pid)
    assert found.pop("CapBnd") == before != 0
    assert not any(found.values())
    assert h.status(pid)["NoNewPrivs"] == "0"
    jailed.spawnd.wait_log("no-new-privs")


def plain(spawnd, place, **kw):
    own = h.own_directory(f"{place}/own", "many")
    program = h.install(h.app("echo"), f"{place}/app")
    s = spawnd("-s", f"{own}/sock", "-F", 1, "--", program, user="many", **kw)
    return s, f"{own}/sock"


def test_plain_user_serves_as_itself(spawnd, place):
    s, addr = plain(spawnd, place)
    for pid in [s.pid, *s.wait_workers(1)]:
        assert h.ids(pid, "Uid") == [MANY] * 4
        assert h.ids(pid, "Gid") == [MANY] * 4
        assert set(h.groups(pid)) - {MANY} == EXTRA
        assert h.status(pid)["NoNewPrivs"] == "1"
        assert not any(v for k, v in h.caps(pid).items() if k != "CapBnd")
    assert h.request(addr, "facts").fact("uid") == f"{MANY} {MANY} {MANY}"


def test_plain_user_has_its_own_names_in_the_environment(spawnd, place):
    s, _ = plain(spawnd, place, env={"PATH": "/bin", "USER": "someone"})
    found = h.environ(s.wait_workers(1)[0])
    assert found == {"PATH": "/bin", **OURS}


def test_plain_user_with_no_new_privs_already_set(spawnd, place):
    s, addr = plain(spawnd, place, wrap=["setpriv", "--no-new-privs"])
    assert h.request(addr, "facts").fact("nnp") == "1"


# Options that name the caller

NAMED = ["-u", "many", "-g", "many", "-U", "many", "-G", "many", "-S"]


@pytest.mark.parametrize("options", [
    NAMED, ["-u", "many"], ["-u", str(MANY)], ["-g", "many"],
    ["-g", str(MANY)], ["-U", "many"], ["-U", str(MANY), "-G", "beta"]],
    ids="-".join)
def test_plain_user_may_name_itself(spawnd, place, options):
    own = h.own_directory(f"{place}/own", "many")
    program = h.install(h.app("echo"), f"{place}/app")
    s = spawnd("-s", f"{own}/sock", "-F", 1, *options, "--", program,
               user="many", env={"PATH": "/bin"})
    for pid in [s.pid, *s.wait_workers(1)]:
        assert h.ids(pid, "Uid") == [MANY] * 4
        assert h.ids(pid, "Gid") == [MANY] * 4
        assert set(h.groups(pid)) - {MANY} == EXTRA
        assert not any(v for k, v in h.caps(pid).items() if k != "CapBnd")
    st = os.lstat(f"{own}/sock")
    assert (st.st_uid, st.st_gid) == \
        (MANY, 72 if "beta" in options else MANY)
    assert h.environ(s.wait_workers(1)[0]) == {"PATH": "/bin", **OURS}


def many_with(groups, gid=None):
    """A process of many's, but with these supplementary groups."""
    def become():
        os.setgroups(list(groups))
        os.setresgid(*[MANY if gid is None else gid] * 3)
        os.setresuid(*[MANY] * 3)
    return become


@pytest.mark.parametrize("become, options, named", [
    (many_with(EXTRA), ["-u", "www"], "-u"),
    (many_with(EXTRA), ["-u", "root"], "-u"),
    (many_with(EXTRA), ["-u", "many", "-g", "beta"], "-u, -g"),
    (many_with(EXTRA), ["-g", "beta"], "-g"),
    (many_with(EXTRA), ["-u", "many", "-U", "www"], "-U"),
    (many_with(EXTRA), [*NAMED, "-c", "/"], "-c, -S"),
    # One group more than many has could not be given up, one fewer would be
    # missed, and another primary group is another one.
    (many_with(EXTRA | {69}), ["-u", "many"], "-u"),
    (many_with(EXTRA - {72}), ["-u", "many"], "-u"),
    (many_with([]), NAMED[:4], "-u, -g"),
    (many_with(EXTRA | {MANY}, 72), ["-u", "many"], "-u"),
    (many_with([], 72), ["-U", "many"], "-U"),
], ids=range(11))
def test_plain_user_may_not_change_anything(place, become, options, named):
    own = h.own_directory(f"{place}/own", "many")
    program = h.install(h.app("echo"), f"{place}/app")
    result = h.run_spawnd("-n", "-s", f"{own}/sock", *options, "--", program,
                          become=become)
    assert result.status == 77
    assert h.line_of(result) == (
        f"spawnd: {named}: only root may ask for this (start spawnd as root, "
        "or leave it out)")
    assert os.listdir(own) == []


def test_plain_user_in_another_primary_group_of_its(spawnd, place):
    """As after newgrp(1): with -g that is what -u is to mean."""
    own = h.own_directory(f"{place}/own", "many")
    program = h.install(h.app("echo"), f"{place}/app")
    s = spawnd("-s", f"{own}/sock", "-F", 1, "-u", "many", "-g", "beta", "--",
               program, become=many_with(EXTRA, 72))
    assert h.ids(s.wait_workers(1)[0], "Gid") == [72] * 4


def test_two_users_keep_the_workers_off_the_socket(spawnd, place):
    """-U www -u _app: the workers may serve, but not replace or reopen."""
    h.make_jail(place, owner="www")
    s = spawnd("-c", place, "-U", "www", "-u", "_app", "-F", 1, "--", PROGRAM)
    assert h.ids(s.wait_workers(1)[0], "Uid") == [h.USERS["_app"]] * 4
    code = f"""
import socket
s = socket.socket(socket.AF_UNIX)
try:
    s.connect("{place}/{SOCKET}")
    print("connected")
except PermissionError:
    print("refused")
"""
    assert as_user("_app", code) == "refused"
    assert as_user("www", code) == "connected"
    assert as_user("web", code) == "connected"
