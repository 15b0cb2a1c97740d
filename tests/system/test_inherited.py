# SPDX-License-Identifier: ISC
"""Listen sockets that somebody else has made."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys

import pytest

import ctl
import harness as h
import matrix
import test_retire as retire
from test_readiness import write

PHP = "/usr/bin/php-cgi"
SPAWN_FCGI = "/usr/bin/spawn-fcgi"
ACTIVATE = "systemd-socket-activate"

UNTRUSTED = True

# A parent as sd_listen_fds(3) wants it: the sockets from descriptor 3 on,
# and the pid that of the process which becomes spawnd.
PARENT = r"""
import fcntl, json, os, socket, sys
how = json.loads(sys.argv[1])
made = []
for what in how["sockets"]:
    kind, _, where = what.partition(":")
    if kind == "unix":
        s = socket.socket(socket.AF_UNIX)
        s.bind(where)
        os.chmod(where, how["mode"])
    elif kind == "tcp":
        s = socket.socket(socket.AF_INET)
        s.bind(("127.0.0.1", int(where)))
    elif kind == "abstract":
        s = socket.socket(socket.AF_UNIX)
        s.bind("\0" + where)
    elif kind == "datagram":
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    elif kind == "idle":
        s = socket.socket(socket.AF_UNIX)
    else:
        s = open(where)
    if kind in ("unix", "tcp", "abstract"):
        s.listen(how["backlog"])
    made.append(s)
high = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 100) for s in made]
for s in made:
    s.close()
for n, fd in enumerate(high):
    os.dup2(fd, how["first"] + n, inheritable=True)
    os.close(fd)
    if how["nonblock"]:
        os.set_blocking(how["first"] + n, False)
env = dict(os.environ)
env.update(how["env"])
if how["pid"] is not None:
    env["LISTEN_PID"] = str(os.getpid() + how["pid"])
if how["count"]:
    env["LISTEN_FDS"] = str(len(high))
os.execve(sys.argv[2], sys.argv[2:], env)
"""


def parent(*sockets, names=None, pid=0, nonblock=False, first=3, count=True,
           mode=0o666, env=(), backlog=64):
    env = dict(env)
    if names is not None:
        env["LISTEN_FDNAMES"] = names
    how = dict(sockets=sockets, pid=pid, nonblock=nonblock, first=first,
               count=count, env=env, mode=mode, backlog=backlog)
    return [sys.executable, "-c", PARENT, json.dumps(how)]


def facts(path):
    """What could be changed of a socket's file."""
    st = os.lstat(path)
    return (st.st_mode, st.st_uid, st.st_gid, st.st_ino, st.st_nlink,
            st.st_mtime_ns)


# LISTEN_FDS

@pytest.mark.parametrize("daemon", [False, True])
def test_socket_of_a_parent(place, spawnd, daemon):
    """As a daemon spawnd forks only after it has asked for its pid."""
    path = f"{place}/sock"
    s = spawnd("-u", "www", "--log", "stderr", "--", h.app("echo"),
               daemon=daemon, wrap=parent(f"unix:{path}"))
    assert re.search(rf"4 workers ready on unix:{path} ", s.log())
    load = h.Load(path, threads=4, count=200)
    load.start().join()
    assert load.answered == 200, load
    found = h.fds(s.pid)
    assert found[0].startswith("socket:")
    assert list(found.values()).count(found[0]) == 1, found


def test_tcp_socket_of_a_parent(spawnd):
    port = h.free_port()
    s = spawnd("-u", "www", "--", h.app("echo"), wrap=parent(f"tcp:{port}"))
    s.wait_log(rf"ready on tcp:127\.0\.0\.1:{port}\b")
    assert h.request(("127.0.0.1", port), "pid").status == 200


def test_abstract_socket_of_a_parent(spawnd):
    name = f"spawnd-test-{os.getpid()}"
    s = spawnd("-u", "www", "--", h.app("echo"),
               wrap=parent(f"abstract:{name}"))
    s.wait_log(rf"ready on unix:@{name}\b")
    assert h.request("\0" + name, "pid").status == 200


def test_no_jail_is_taken_by_default(place, www, spawnd):
    """kfcgi's jail goes with its socket."""
    s = spawnd("-u", "www", "--", h.app("echo"),
               wrap=parent(f"unix:{place}/sock"))
    assert "jail" not in s.log()
    assert h.link(s.pid, "root") == "/"


def test_jail_with_a_socket_of_a_parent(place, www, spawnd):
    h.make_jail(www)
    s = spawnd("-u", "www", "-c", www, "--", "/fcgi-bin/app",
               wrap=parent(f"unix:{place}/sock"))
    s.wait_log("jail /var/www")
    assert h.request(f"{place}/sock", "open=/etc/passwd").fact(
        "open") == "/etc/passwd 2"
    assert os.listdir(f"{www}/run") == []


def test_two_sockets_by_name(place, spawnd):
    for name in ("first", "second"):
        s = spawnd("-u", "www", "--name", name, "--", h.app("echo"),
                   wrap=parent(f"unix:{place}/{name}.1",
                               f"unix:{place}/{name}.2",
                               names="first:second"))
        number = {"first": 1, "second": 2}[name]
        s.wait_log(rf"ready on unix:{place}/{name}\.{number} ")
        assert h.request(f"{place}/{name}.{number}", "pid").status == 200
        # The other one is nobody's any more.
        with pytest.raises(h.FcgiError) as e:
            h.request(f"{place}/{name}.{3 - number}")
        assert e.value.kind == "refused"


def test_name_of_the_application_chooses_too(place, spawnd):
    s = spawnd("-u", "www", "--", h.app("echo"),
               wrap=parent(f"unix:{place}/a", f"unix:{place}/b",
                           names="other:echo"))
    s.wait_log(rf"ready on unix:{place}/b ")


def test_single_socket_needs_no_name(place, spawnd):
    s = spawnd("-u", "www", "--name", "mine", "--", h.app("echo"),
               wrap=parent(f"unix:{place}/a", names="spawnd.socket"))
    s.wait_log(rf"ready on unix:{place}/a ")


@pytest.mark.parametrize("names", ["a:b", "", "xmine:minex", None,
                                   "mine:mine"])
def test_name_that_chooses_none(place, names):
    """Or more than one."""
    wrap = parent(f"unix:{place}/a", f"unix:{place}/b", names=names)
    args = ["-u", "www", "--log", f"{place}/log", "--name", "mine", "--",
            h.app("echo")]
    result = h.run_spawnd(*args, wrap=wrap)
    assert result.status == 78
    assert re.match(r"spawnd: LISTEN_FD(S|NAMES): .*\bmine\b",
                    h.line_of(result))


@pytest.mark.parametrize("what", ["idle:", "datagram:", "file:/etc/passwd"])
def test_what_is_no_listening_socket(what):
    result = h.run_spawnd("-u", "www", "--", h.app("echo"),
                          wrap=parent(what))
    assert result.status == 78
    assert h.line_of(result) == ("spawnd: descriptor 3: is not a listening "
                                 "stream socket")


def test_descriptor_that_is_not_open():
    env = "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\""
    result = h.run_spawnd("-u", "www", "--", h.app("echo"),
                          wrap=["sh", "-c", env, "sh"])
    assert result.status == 78
    h.line_of(result)


@pytest.mark.parametrize("count", ["x", "-1", "1x", "99999999999999999999",
                                   ""])
def test_count_that_makes_no_sense(count):
    result = h.run_spawnd("-u", "www", "--", h.app("echo"), wrap=[
        "sh", "-c", f'LISTEN_FDS="{count}" LISTEN_PID=$$ exec "$@"', "sh"])
    assert result.status == 78
    assert h.line_of(result).startswith("spawnd: LISTEN_FDS: ")


@pytest.mark.parametrize("options", [
    ["-s", "/run/t/other"], ["-p", "12345"], ["-U", "www"], ["-G", "www"],
    ["-M", "0600"], ["-b", "10"]])
def test_options_that_contradict_it(place, options):
    path = f"{place}/sock"
    result = h.run_spawnd(*options, "-u", "www", "--", h.app("echo"),
                          wrap=parent(f"unix:{path}"))
    assert result.status == 64
    assert h.line_of(result).startswith(f"spawnd: {options[0]}: ")
    assert not os.path.exists("/run/t/other")
    assert os.path.exists(path)


def test_file_is_neither_changed_nor_removed(place, spawnd):
    path = f"{place}/sock"
    h.own_directory(place, "www")       # www could remove it
    s = spawnd("-u", "www", "--", h.app("echo"),
               wrap=parent(f"unix:{path}", mode=0o640))
    before = facts(path)
    assert stat.S_IMODE(before[0]) == 0o640 and before[1] == 0
    assert s.stop() == 0
    assert facts(path) == before


def test_socket_lives_on_after_a_stop(place, spawnd):
    """Whoever shares it still listens: it was not shut down."""
    path = f"{place}/sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(5)
        fd = listener.fileno()
        for _ in range(2):
            s = spawnd("-u", "www", "--", h.app("echo"),
                       stdin=fd)
            assert h.request(path, "pid").status == 200
            assert s.stop(signal.SIGTERM) == 0
        # Nobody accepts, and yet a connection is taken.
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(5 * h.PATIENCE)
        client.connect(path)
        client.close()


def test_nothing_of_it_is_passed_on(place, spawnd):
    path = f"{place}/sock"
    s = spawnd("-u", "www", "-e", "*", "--", h.app("echo"),
               wrap=parent(f"unix:{path}", names="x"))
    answer = h.request(path, "env&facts")
    names = {x.partition("=")[0] for x in answer.facts["env"]}
    assert not {n for n in names if n.startswith("LISTEN_")}
    assert answer.fact("fds") == "0 1 2"
    for pid in s.wait_workers(4):
        h.wait_fds(pid, {0, 1, 2})


def test_sockets_of_another_process_are_ignored(place, spawnd):
    """And are not left open."""
    s = spawnd("-s", f"{place}/own", "-u", "www", "--", h.app("echo"),
               wrap=parent(f"unix:{place}/other", pid=1))
    s.wait_log(rf"ready on unix:{place}/own ")
    with pytest.raises(h.FcgiError) as e:
        h.request(f"{place}/other")
    assert e.value.kind == "refused"


def test_sockets_without_a_pid_are_ignored(place, spawnd):
    s = spawnd("-s", f"{place}/own", "-u", "www", "--", h.app("echo"),
               wrap=parent(f"unix:{place}/other", pid=None))
    s.wait_log(rf"ready on unix:{place}/own ")


# O_NONBLOCK, which all holders share

@pytest.mark.parametrize("nonblock", [True, False])
def test_perl_on_a_nonblocking_socket(place, spawnd, nonblock):
    path = f"{place}/sock"
    s = spawnd("-u", "www", "-F", 2, "--", h.source("app.pl"),
               wrap=parent(f"unix:{path}", nonblock=nonblock))
    load = h.Load(path, threads=4, count=100)
    load.start().join()
    assert load.answered == 100, load
    assert "exited" not in s.log()


def test_php_on_a_nonblocking_socket(place, spawnd):
    path = f"{place}/sock"
    script = h.install(h.source("worker.php"), f"{place}/worker.php", 0o644)
    s = spawnd("-u", "www", "-F", 2, "--", PHP,
               wrap=parent(f"unix:{path}", nonblock=True))
    for _ in range(20):
        answer = h.request(path, "token=t&big=10", params={
            "SCRIPT_FILENAME": script, "REDIRECT_STATUS": "200"})
        assert answer.headers["x-token"] == "t"
    assert "exited" not in s.log()


def polls(pid):
    with open(f"/proc/{pid}/fdinfo/0") as f:
        flags = next(line for line in f if line.startswith("flags:"))
    return bool(int(flags.split()[1], 8) & os.O_NONBLOCK)


def test_what_node_does_to_the_socket_when_it_ends_is_undone(place, spawnd):
    """It gives descriptor 0 its flags back, under its siblings."""
    s = spawnd("--name", "node", "-s", f"{place}/sock", "-u", "www", "-F", 3,
               *matrix.NODE, "--", h.source("load.js"))
    h.wait_for(lambda: polls(s.pid), 20, s.log)
    for n in (2, 1):
        assert ctl.ask(ctl.pool("node") + "/control",
                       f"scale {n}")[-1] == "end"
        h.wait_for(lambda n=n: len(s.workers()) == n, 10, s.log)
        h.wait_for(lambda: polls(s.pid), 10, s.log)


# An event loop that does the same, and takes its time to end.
LINGERS = f"""#!/usr/bin/python3
import os, runpy, signal, time
def leave(*_):
    os.set_blocking(0, True)
    while not os.path.exists(__file__ + ".go"):
        time.sleep(0.01)
    os._exit(0)
signal.signal(signal.SIGTERM, leave)
runpy.run_path("{h.source('load.py')}", run_name="__main__")
"""


def test_who_waits_meanwhile_is_freed(place, spawnd):
    """It accepts until nobody is left, and has taken a client before."""
    write(f"{place}/loop", LINGERS)
    s = spawnd("--name", "loop", "-s", f"{place}/sock", "-u", "www", "-F", 2,
               "--", f"{place}/loop")
    h.wait_for(lambda: polls(s.pid), 20, s.log)
    assert ctl.ask(ctl.pool("loop") + "/control", "scale 1")[-1] == "end"
    h.wait_for(lambda: not polls(s.pid), 10, s.log)
    with h.Connection(f"{place}/sock") as client:
        client.send("token 0 0")
        h.wait_for(lambda: ctl.figures("loop")["connections"]["now"] == "1",
                   10, s.log)
        write(f"{place}/loop.go", "")
        assert client.receive().text.startswith("token ")
    h.wait_for(lambda: len(s.workers()) == 1, 10, s.log)
    assert polls(s.pid)


def test_what_a_killed_leader_leaves_goes_on_polling(place, spawnd):
    """Its successor starts at once, before what is left has a slot. What
    timeout(1) of coreutils 9.10 starts ends with it."""
    script = f"{place}/app"
    with open(script, "w") as f:
        f.write("#!/bin/sh\nsed -n 's/flags:./flags: /p' /proc/self/fdinfo/0 "
                ">&2\n"
                f"exec {h.source('load.py')}\n")
    os.chmod(script, 0o755)
    s = spawnd("--name", "led", "-s", f"{place}/sock", "-u", "www", "-F", 1,
               "--", h.app("prefork"), "1", script)
    leader, = h.children(s.pid)
    h.wait_for(lambda: polls(s.pid), 20, s.log)

    def started():
        return [bool(int(flags, 8) & os.O_NONBLOCK) for flags in
                re.findall(r"flags:\s+(\d+)", s.log())]
    load = retire.Load(f"{place}/sock", ms=5, seconds=retire.LONGEST)
    try:
        h.wait_for(lambda: ctl.figures("led")["connections"]["now"] != "0",
                   20, s.log)
        os.kill(leader, signal.SIGKILL)
        h.wait_for(lambda: len(started()) == 2, 20, s.log)
        assert started() == [False, True], s.log()
        h.wait_for(lambda: len(s.workers()) == 1, 30, s.log)
    finally:
        load.end()
        result = load.result()
    assert result["failed"] == 0, (result, s.log())


# systemd-socket-activate

def listening(path):
    """It is bound before it listens, and refuses in between."""
    with open("/proc/net/unix") as f:
        return any(line.split()[3] == "00010000" and
                   line.rstrip().endswith(" " + path) for line in f)


@pytest.fixture
def activate(spawnd):
    def start(listen, names, *args):
        """It binds, and becomes spawnd when the first client comes."""
        wrap = [ACTIVATE, *[x for one in listen for x in ("-l", one)]]
        if names:
            wrap.append(f"--fdname={names}")
        s = spawnd(*args, wrap=wrap, ready=False)
        for path in listen:
            h.wait_for(lambda: listening(path), 10, path)
        return s
    return start


def test_systemd_socket_activate(place, activate):
    path = f"{place}/sock"
    s = activate([path], None, "-u", "www", "--", h.app("echo"))
    assert h.request(path, "pid").status == 200
    s.wait_log(rf"4 workers ready on unix:{path} ")
    assert h.link(s.pid, "exe") == os.path.realpath(h.SPAWND)
    load = h.Load(path, threads=4, count=100)
    load.start().join()
    assert load.answered == 100, load
    before = facts(path)
    assert s.stop() == 0
    assert facts(path) == before


def test_systemd_socket_activate_with_two_sockets(place, activate):
    paths = [f"{place}/a", f"{place}/b"]
    s = activate(paths, "web:admin", "-u", "www", "--name", "admin", "--",
                 h.app("echo"))
    assert h.request(paths[1], "pid").status == 200
    s.wait_log(rf"ready on unix:{paths[1]} ")


# Descriptor 0

def test_listening_descriptor_0(place, spawnd):
    path = f"{place}/sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(50)
        os.set_blocking(listener.fileno(), False)
        before = facts(path)
        s = spawnd("-u", "www", "--", h.source("app.pl"),
                   stdin=listener.fileno())
    s.wait_log(rf"ready on unix:{path} ")
    assert h.request(path, "token=t").headers["x-token"] == "t"
    assert s.stop() == 0
    assert facts(path) == before


@pytest.mark.parametrize("options", [
    ["-s", "/run/t/other"], ["-p", "12345"], ["-M", "0600"], ["-b", "10"]])
def test_options_that_contradict_descriptor_0(place, options):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{place}/sock")
        listener.listen(5)
        result = h.run_spawnd(*options, "-u", "www", "--", h.app("echo"),
                              stdin=listener.fileno())
    assert result.status == 64
    assert h.line_of(result).startswith(f"spawnd: {options[0]}: ")
    assert not os.path.exists("/run/t/other")


def test_connection_on_descriptor_0_is_not_a_listener(place, spawnd):
    """As under a terminal server or a supervisor with socket stdio."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        s = spawnd("-s", f"{place}/sock", "-u", "www", "--", h.app("echo"),
                   stdin=theirs.fileno())
        assert h.request(f"{place}/sock", "pid").status == 200
        s.wait_log(rf"ready on unix:{place}/sock ")


def test_spawn_fcgi_without_fork(place, spawnd):
    """It binds, execs us with the socket on 0, and stays root for us."""
    path = f"{place}/sock"
    s = spawnd("-u", "www", "-F", 2, "--", h.app("echo"), wrap=[
        SPAWN_FCGI, "-n", "-s", path, "-M", "0600", "--"])
    s.wait_log(rf"2 workers ready on unix:{path} ")
    assert h.link(s.pid, "exe") == os.path.realpath(h.SPAWND)
    assert h.request(path, "facts").fact("uid") == "67 67 67"
    load = h.Load(path, threads=4, count=100)
    load.start().join()
    assert load.answered == 100, load
    before = facts(path)
    assert stat.S_IMODE(before[0]) == 0o600
    assert s.stop() == 0
    assert facts(path) == before


def test_spawn_fcgi_that_drops_its_rights(place, spawnd):
    path = f"{place}/sock"
    s = spawnd("--", h.app("echo"), wrap=[
        SPAWN_FCGI, "-n", "-s", path, "-u", "www", "-g", "www", "--"])
    assert h.ids(s.pid, "Uid") == [67] * 4
    assert h.request(path, "facts").fact("uid") == "67 67 67"


def test_daemon_under_spawn_fcgi(place):
    path = f"{place}/sock"
    p = subprocess.run(
        [SPAWN_FCGI, "-n", "-s", path, "--", h.SPAWND, "--log",
         f"{place}/log", "-P", f"{place}/pid", "-u", "www", "--",
         h.app("echo")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, timeout=h.START_DEADLINE,
        env=dict(h.BASE_ENV, **h.sanitizer_env()), check=False)
    assert p.returncode == 0, p
    pid = int(re.search(rb"pid (\d+)$", p.stdout.strip()).group(1))
    try:
        assert h.request(path, "pid").status == 200
    finally:
        os.kill(pid, signal.SIGTERM)
        h.wait_for(lambda: not h.alive(pid), h.STOP_DEADLINE, "its end")
    assert os.path.exists(path)
