# SPDX-License-Identifier: ISC
"""The control sockets: who may use them, and what those who misuse them do
not do to the pool."""

import contextlib
import os
import re
import select
import socket
import stat
import subprocess
import threading
import time

import pytest

import harness as h
from ctl import Raw, ask, ctl, figures, pool, records, serves

UNTRUSTED = True

MANUALS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                       "man")


@pytest.fixture
def echo(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--name", "p",
               "--status-group", "alpha", "--", h.app("echo"))
    s.sock = f"{place}/sock"
    s.control, s.read = pool("p") + "/control", pool("p") + "/status"
    yield s
    # Whatever was done to it: it serves, and others get answers.
    serves(s.sock)
    assert ask(s.control, "ping")[-1] == "end"


def test_directory_and_sockets_are_roots(echo):
    for path, mode, gid in ((pool("p"), 0o40755, 0),
                            (echo.control, 0o140600, 0),
                            (echo.read, 0o140660, 71)):
        st = os.lstat(path)
        assert (st.st_uid, st.st_gid, st.st_mode) == (0, gid, mode), path
    assert stat.S_IMODE(os.lstat(pool("p") + "/pid").st_mode) == 0o600


def test_a_person_can_type_it(echo):
    out = subprocess.run(["socat", "-", f"UNIX:{echo.read}"], input=b"ping",
                         stdout=subprocess.PIPE, check=True,
                         timeout=10 * h.PATIENCE)
    assert out.stdout == b"spawnd 1\nping state=up\nend\n"


def test_the_socket_for_reading_only_reads(echo):
    for command in ("reload", "scale 3", "stop", "stop now", "log-reopen"):
        assert ask(echo.read, command)[-1].startswith("error 77 "), command
    listed = {f["name"] for _, f in records(ask(echo.read, "help"))}
    assert listed == {"help", "ping", "status", "history", "load", "trace"}
    listed = {f["name"] for _, f in records(ask(echo.control, "help"))}
    assert listed > {"reload", "scale", "stop", "log-reopen"}
    assert len(echo.workers()) == 2


def test_another_user_is_refused(echo):
    r = ctl("-p", "p", "ping", user="web")
    assert r.status == 77 and "Permission denied" in r.stderr, r
    r = ctl("-p", "p", "reload", user="many")
    assert r.status == 77, r
    for command in ("ping", "status", "list"):
        r = ctl(command, user="web")
        assert r.status == 77 and "that you may query" in r.stderr, r
    # Whoever has got at the socket all the same is asked who he is.
    os.chmod(echo.control, 0o666)
    r = ctl("-p", echo.control, "ping", user="web")
    assert r.status == 75 and "you may not connect" in r.stderr, r
    os.seteuid(69)
    try:
        with Raw(echo.control) as c:
            assert c.answer() == ["spawnd 1",
                                  "error 75 too many clients, or you may "
                                  "not connect"]
    finally:
        os.seteuid(0)
    os.chmod(echo.control, 0o600)
    # many is in the group of the status.
    r = ctl("-p", "p", "status", user="many")
    assert r.status == 0 and "2 of 2 ready" in r.stdout, r


def test_unknown_and_malformed_commands_are_errors(echo):
    with Raw(echo.control) as c:
        for command in ("nix", "status all", "scale", "scale x", "scale 3-2",
                        "scale 99999", "ping pong", "a b c d e f", ""):
            assert c.ask(command)[-1].startswith("error 64 "), command
        assert c.ask("ping")[-1] == "end"


def never_read(path):
    """A client that asks on and on and takes no answer."""
    c = Raw(path)
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    c.sock.setblocking(False)
    try:
        while True:
            c.sock.send(b"status\n" * 100)
    except BlockingIOError:
        return c


def is_hung_up(sock):
    poll = select.poll()
    poll.register(sock, 0)
    return bool(poll.poll(0))


def drip(c, deadline):
    """Takes a little of its answers every few seconds, until it is left."""
    began = time.monotonic()
    while not is_hung_up(c.sock) and time.monotonic() - began < deadline:
        with contextlib.suppress(BlockingIOError):
            c.sock.recv(4096)
        poll = select.poll()
        poll.register(c.sock, 0)
        poll.poll(3000)


def test_who_is_slow_is_given_up(echo):
    echo.wait_watched()
    before = len(h.fds(echo.pid))
    bits = never_read(echo.read)
    dripping = threading.Thread(target=drip, args=(bits, 150))
    dripping.start()
    with Raw(echo.read, 30) as c, never_read(echo.read), Raw(echo.read) as d:
        d.ask("ping")                   # and says no more
        began = time.monotonic()
        # The time counts from the first byte, whatever comes after it.
        with pytest.raises(OSError):
            while time.monotonic() - began < 100:
                c.send(b"s")
                serves(echo.sock)
                try:
                    c.sock.settimeout(1)
                    assert c.sock.recv(1) == b""
                    raise ConnectionResetError
                except TimeoutError:
                    pass
        assert time.monotonic() - began > 8
        # Who takes a bit now and then is not spared for it.
        dripping.join()
        assert is_hung_up(bits.sock)
        bits.close()
        h.wait_for(lambda: len(h.fds(echo.pid)) == before + 1, 5,
                   lambda: h.fds(echo.pid))
        assert d.ask("ping")[-1] == "end"


def test_who_never_reads_holds_nobody_up(echo):
    clients = [never_read(echo.read) for _ in range(10)]
    for _ in range(20):
        serves(echo.sock)
        assert ask(echo.control, "status")[-1] == "end"
    assert h.share(echo.pid, 1) < 0.1
    for c in clients:
        c.close()


def test_a_thousand_at_once(echo):
    clients = []
    for _ in range(1000):
        c = socket.socket(socket.AF_UNIX)
        c.setblocking(False)
        try:
            c.connect(echo.read)
        except BlockingIOError:
            pass                    # the backlog is full
        clients.append(c)
    for _ in range(10):
        serves(echo.sock)
        assert ask(echo.control, "ping")[-1] == "end"
        assert ctl("-p", "p", "ping").status == 0
    assert len(h.fds(echo.pid)) < 60
    for c in clients:
        c.close()
    # One user's crowd does not keep another from reading.
    r = ctl("-p", "p", "status", user="many")
    assert r.status == 0, r


def test_clients_that_have_gone_keep_no_place(spawnd, place):
    control = pool("slow") + "/control"
    spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--name", "slow",
           "--", h.app("echo"), "delay=1500")
    for _ in range(8):
        with Raw(control) as c:
            c.send(b"reload\n")
            assert c.line() == "spawnd 1"
            assert c.line().startswith("progress ")
    assert ask(control, "ping")[-1] == "end"


def raw_of_many(path):
    """A connection by the user many, who is in the group of the status."""
    os.setgroups([71])
    os.seteuid(70)
    try:
        return Raw(path)
    finally:
        os.seteuid(0)
        os.setgroups([0])


def test_a_crowd_of_one_user_leaves_room_for_another(echo):
    crowd = [Raw(echo.read) for _ in range(40)]
    r = ctl("-p", "p", "status", user="many")
    assert r.status == 0, r
    for c in crowd:
        c.close()
    # Who has one place keeps it, be he last or not.
    for before in (0, 15):
        with raw_of_many(echo.read) as c:
            crowd = [Raw(echo.read) for _ in range(before)]
            with raw_of_many(echo.read) as d:
                crowd += [Raw(echo.read) for _ in range(20)]
                assert d.ask("ping")[-1] == "end"
            assert c.ask("ping")[-1] == "end"
        for c in crowd:
            c.close()


def test_readers_get_a_tenth_of_a_processor(echo):
    """And 0.2 s at once; what they send costs a little beside."""
    stop = threading.Event()
    answers = []

    def ask_on():
        with Raw(echo.read, 30) as c:
            while not stop.is_set():
                c.ask("status")
                answers.append(1)
    readers = [threading.Thread(target=ask_on) for _ in range(4)]
    before, began = h.cpu(echo.pid), time.monotonic()
    for r in readers:
        r.start()
    h.pass_time(4)
    # root's own are not made to wait by them
    assert ask(echo.control, "status")[-1] == "end"
    used, took = h.cpu(echo.pid) - before, time.monotonic() - began
    stop.set()
    for r in readers:
        r.join()
    print("readers:", used, "of", took, "with", len(answers), "answers")
    assert len(answers) > 20
    assert used < 0.2 + 0.3 * took or h.sanitized()


def test_junk_and_a_megabyte_of_line(echo):
    with Raw(echo.control) as c:
        c.send(bytes(range(256)))
        assert c.line() == "spawnd 1"
        assert c.line().startswith("error 64 ") and c.closed()
    for data in (b"\0" * 1000 + b"\n", os.urandom(4096) + b"\n"):
        with Raw(echo.control) as c:
            try:
                c.send(data)
                c.closed()
            except (BrokenPipeError, ConnectionResetError):
                pass
    with Raw(echo.control) as c:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(100):
                c.send(b"a" * 100000)


def test_descriptors_that_are_sent_are_not_kept(echo):
    before = len(h.fds(echo.pid))
    for path in (echo.control, echo.read):
        for n in (1, 2, 3, 100):
            with Raw(path) as c:
                fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(n)]
                socket.send_fds(c.sock, [b"ping\n"], fds)
                for fd in fds:
                    os.close(fd)
                assert c.answer()[-1] == "end"
                # The one that log-reopen could have is all there may be.
                assert len(h.fds(echo.pid)) <= before + 2
    h.wait_for(lambda: len(h.fds(echo.pid)) == before, 5,
               lambda: h.fds(echo.pid))


def test_every_record_and_key_is_in_the_manual(echo):
    words = set()
    for name, section in (("spawnd.8", "CONTROL SOCKETS"),
                          ("spawnctl.1", "RECORDS")):
        with open(f"{MANUALS}/{name}") as f:
            text = f.read().split(f".Sh {section}\n")[1].split(".Sh ")[0]
        words |= set(re.findall(r"\w+", text))
    serves(echo.sock)
    for command in ("help", "ping", "status full", "history", "scale 2"):
        found = records(ask(echo.control, command))
        assert found, command
        for kind, fields in found:
            if command in ("help", "ping", "scale 2"):
                assert command.split()[0] in words
                continue
            assert {kind, *fields} <= words, (kind, set(fields) - words)


def limit_files(s, n):
    subprocess.run(["prlimit", "--pid", str(s.pid), f"--nofile={n}:"],
                   check=True, preexec_fn=h.become_user("www"))


def test_no_descriptors_left_pauses_and_goes_on(spawnd, place):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--name", "p",
               "--", h.app("echo"))
    used = len(h.fds(s.pid))
    limit_files(s, used)
    with Raw(pool("p") + "/control") as c:
        c.send(b"ping\n")
        serves(f"{place}/sock")
        assert h.share(s.pid, 1.5) < 0.2            # it does not spin
        c.sock.settimeout(0)
        with pytest.raises(BlockingIOError):
            c.line()
        limit_files(s, 200)
        c.sock.settimeout(5 * h.PATIENCE)
        assert c.answer()[-1] == "end"


def test_idle_with_a_client_makes_no_wake_ups(echo):
    with Raw(echo.control) as c:
        c.ask("status")
        echo.wait_watched()
        h.wait_for(lambda: h.rests(echo.pid, 3), 12, "rest")
        assert h.rests(echo.pid, 3)


def test_names_that_clash(spawnd, place):
    one = spawnd("-s", f"{place}/1", "-u", "www", "-F", 1, h.app("echo"))
    two = spawnd("-s", f"{place}/2", "-u", "www", "-F", 1, h.app("echo"))
    assert f"name: echo: in use by pid {one.pid}, this pool is called " \
        "echo-2" in two.log()
    assert figures("echo-2")["pool"]["pid"] == str(two.pid)
    r = h.run_spawnd("-n", "-s", f"{place}/3", "-u", "www", "--name", "echo",
                     h.app("echo"))
    assert r.status == 73
    assert h.line_of(r) == f"spawnd: --name: echo: in use by pid {one.pid}"
    assert not os.path.exists(f"{place}/3")
    r = h.run_spawnd("-n", "-s", f"{place}/3", "-u", "www", "--control",
                     pool("echo"), h.app("echo"))
    assert r.status == 73 and "in use by pid" in h.line_of(r)


def test_what_a_dead_pool_left_is_taken_over(spawnd, place):
    s = spawnd("-s", f"{place}/1", "-u", "www", "--name", "p", h.app("echo"))
    os.kill(s.pid, 9)
    s.wait()
    assert ctl("-p", "p", "ping").status == 69
    assert ctl("list").stdout == ""
    os.chmod(pool("p") + "/pid", 0o666)
    s = spawnd("-s", f"{place}/1", "-u", "www", "--name", "p", h.app("echo"))
    assert figures("p")["pool"]["pid"] == str(s.pid)
    # Whoever may read that file may lock it.
    assert stat.S_IMODE(os.stat(pool("p") + "/pid").st_mode) == 0o600


def test_a_link_in_the_place_of_the_directory_is_not_followed(place):
    os.makedirs("/run/spawnd", exist_ok=True)
    os.mkdir(f"{place}/x")
    os.symlink(f"{place}/x", pool("linked"))
    r = h.run_spawnd("-n", "-s", f"{place}/3", "-u", "www", "--name",
                     "linked", h.app("echo"))
    os.unlink(pool("linked"))
    assert r.status == 73
    assert h.line_of(r) == \
        "spawnd: control: /run/spawnd: is not a directory"
    assert os.listdir(f"{place}/x") == []


def test_a_directory_that_others_may_write_is_refused(place):
    h.own_directory(f"{place}/c", "www")
    r = h.run_spawnd("-n", "-s", f"{place}/3", "-u", "www", "--control",
                     f"{place}/c", h.app("echo"))
    assert r.status == 77 and "others may write there" in h.line_of(r)
    assert os.listdir(f"{place}/c") == []


def test_another_place_and_none(spawnd, place):
    s = spawnd("-s", f"{place}/1", "-u", "www", "--control", f"{place}/c/",
               h.app("echo"))
    assert ctl("-p", f"{place}/c", "ping").status == 0
    assert ctl("-p", f"{place}/c/status", "ping").status == 0
    assert s.stop() == 0
    s = spawnd("-s", f"{place}/1", "-u", "www", "--control", "none",
               "--name", "nowhere", h.app("echo"))
    assert not os.path.exists(pool("nowhere"))


def test_only_what_is_its_own_is_removed_from_another_place(spawnd, place):
    h.own_directory(f"{place}/d", "www")
    args = ("-s", f"{place}/d/sock", "--control", f"{place}/d/c", "--",
            h.app("echo"))
    s = spawnd(*args, user="www")
    assert s.stop() == 0
    assert os.listdir(f"{place}/d") == []       # it had made c, too
    h.own_directory(f"{place}/d/c", "www")
    for name in ("log", "control", "status", "pid"):
        with open(f"{place}/d/c/{name}", "w", encoding="ascii") as f:
            f.write("precious\n")
        os.chown(f"{place}/d/c/{name}", h.USERS["www"], -1)
        if name == "log":
            assert spawnd(*args, user="www").stop() == 0
        else:
            r = h.run_spawnd("-n", *args, user="www")
            assert r.status == 73 and name in h.line_of(r), r
        with open(f"{place}/d/c/{name}", encoding="ascii") as f:
            assert f.read() == "precious\n", name
        os.unlink(f"{place}/d/c/{name}")
    assert os.listdir(f"{place}/d/c") == []


@pytest.mark.parametrize("args, status", [
    (["--control", "/run/t/c", "-P", "/run/t/c/pid"], 78),
    (["--control", "/run/t/c", "--log", "/run/t/c/log"], 78),
    (["--control", "/run/t/c", "-s", "/run/t/c/control"], 78),
    (["--control", "none", "--status-group", "alpha"], 64)])
def test_options_that_are_at_odds(place, args, status):
    r = h.run_spawnd(*(["-s", f"{place}/s"] if "-s" not in args else []),
                     *args, "-u", "www", "--", h.app("echo"))
    assert r.status == status, r
    assert "--control" in h.line_of(r)


def test_a_group_that_one_is_not_in_is_refused(place):
    h.own_directory(f"{place}/d", "www")
    r = h.run_spawnd("-s", f"{place}/d/s", "--control", f"{place}/d/c",
                     "--status-group", "root", "--", h.app("echo"),
                     user="www")
    assert r.status == 77, r
    assert h.line_of(r) == "spawnd: --status-group: root: you are not in " \
        "this group (only root may name another)"


def test_without_root_it_is_the_users_own_and_is_removed(spawnd, place):
    h.own_directory(f"{place}/run", "www", 0o700)
    env = {**h.BASE_ENV, "XDG_RUNTIME_DIR": f"{place}/run"}
    s = spawnd("-s", f"{place}/run/sock", "--", h.app("echo"), user="www",
               env=env)
    assert sorted(os.listdir(f"{place}/run/spawnd/echo")) == \
        ["control", "pid", "status"]
    assert ctl("ping", user="www", env=env).status == 0
    assert s.stop() == 0
    assert os.listdir(f"{place}/run/spawnd") == []


def test_the_jail_has_no_way_out_by_it(spawnd, place):
    jail = h.make_jail(f"{place}/j", owner="www")
    s = spawnd("-c", jail, "-s", "run/s", "-u", "www", "--name", "p", "--",
               "/fcgi-bin/app")
    for fd, link in h.fds(s.pid).items():
        assert not link.startswith("/run/spawnd") or \
            link == "/run/spawnd/p/pid", (fd, link)
    assert ctl("-p", "p", "ping").status == 0
    for pid in s.workers():
        assert set(h.fds(pid)) == {0, 1, 2}
