# SPDX-License-Identifier: ISC
"""The listen socket: whose it is, what it replaces, what it never touches."""

import os
import signal
import socket
import stat
import subprocess
import sys

import pytest

import harness as h

EX_CANTCREAT, EX_NOPERM, EX_UNAVAILABLE = 73, 77, 69
SOMAXCONN = "/proc/sys/net/core/somaxconn"
WWW, APP, WEB, MANY = (h.USERS[n] for n in ("www", "_app", "web", "many"))


@pytest.fixture
def program(place):
    return h.install(h.app("echo"), f"{place}/bin/app")


@pytest.fixture
def addr(place):
    """A path for a socket, in a directory of root's."""
    os.mkdir(f"{place}/dir", 0o755)
    return f"{place}/dir/sock"


def refused(addr, program, *options, **kw):
    """Runs a spawnd that must refuse; returns its status and its line."""
    result = h.run_spawnd("-n", "-s", addr, "-u", "www", *options, "--",
                          program, **kw)
    return result.status, h.line_of(result)


def stale(path):
    """A socket that nobody listens on; returns its inode."""
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.close()
    return os.lstat(path).st_ino


# Owner and mode

@pytest.mark.parametrize("options, uid, gid, mode", [
    ([], APP, APP, 0o660),
    (["-g", "beta"], APP, 72, 0o660),
    (["-U", "www"], WWW, WWW, 0o660),
    (["-U", "www", "-g", "beta"], WWW, WWW, 0o660),
    (["-G", "web"], APP, WEB, 0o660),
    (["-U", "www", "-G", "web", "-M", "0600"], WWW, WEB, 0o600),
    (["-U", "4242", "-g", "beta"], 4242, 72, 0o660),
    (["-U", "0", "-G", "4343", "-M", "666"], 0, 4343, 0o666),
    (["--socket-mode=0", "--socket-user", "web"], WEB, WEB, 0),
])
@pytest.mark.parametrize("umask", [0o077, 0])
def test_owner_and_mode(spawnd, addr, program, options, uid, gid, mode,
                        umask):
    spawnd("-s", addr, "-u", "_app", "-F", 1, *options, "--", program,
           become=lambda: os.umask(umask))
    st = os.lstat(addr)
    assert stat.S_ISSOCK(st.st_mode)
    assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == \
        (uid, gid, mode)


def test_mode_is_right_from_the_first_instant(spawnd, addr, program):
    seen = set()
    s = spawnd("-s", addr, "-u", "www", "-M", "0600", "-F", 1, "--", program,
               ready=False, become=lambda: os.umask(0))
    ready = False
    while not ready:
        ready = h.READY.search(s.log())     # and then once more
        try:
            seen.add(stat.S_IMODE(os.lstat(addr).st_mode))
        except FileNotFoundError:
            pass
    assert seen == {0o600}


def test_relative_path_begins_at_the_callers_directory(spawnd, place,
                                                        program):
    spawnd("-s", "here.sock", "-u", "www", "-F", 1, "--", "bin/app",
           cwd=place)
    assert h.request(f"{place}/here.sock", "pid").status == 200


def test_plain_user_may_give_the_socket_to_a_group_of_its(spawnd, place,
                                                          program):
    own = h.own_directory(f"{place}/own", "many")
    spawnd("-s", f"{own}/sock", "-G", "beta", "-F", 1, "--", program,
           user="many")
    st = os.lstat(f"{own}/sock")
    assert (st.st_uid, st.st_gid) == (MANY, 72)


# TCP

@pytest.mark.parametrize("options, good, bad", [
    ([], ("127.0.0.1",), ("::1",)),
    (["-a", "127.0.0.2"], ("127.0.0.2",), ("127.0.0.1", "::1")),
    (["-a", "::1"], ("::1",), ("127.0.0.1",)),
    (["-a", "0.0.0.0"], ("127.0.0.1", "127.0.0.3"), ("::1",)),
    (["-a", "::"], ("::1",), ("127.0.0.1",)),
])
def test_tcp_listens_where_it_was_told(spawnd, program, options, good, bad):
    port = h.free_port()
    spawnd("-p", port, *options, "-u", "www", "-F", 1, "--", program)
    for address in good:
        answer = h.request((address, port), "facts")
        assert answer.fact("uid").split()[0] == str(WWW)
    for address in bad:
        with pytest.raises(h.FcgiError) as e:
            h.request((address, port))
        assert e.value.kind == "refused"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_tcp_listener_has_nodelay_and_keepalive(spawnd, program, address):
    s = spawnd("-p", h.free_port(), "-a", address, "-u", "www", "-F", 1, "--",
               program)
    with socket.socket(fileno=h.pidfd_getfd(s.pid, 0)) as listener:
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_tcp_address_in_use_is_refused(place, program):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = h.run_spawnd("-n", "-p", port, "-u", "www", "--", program)
    assert result.status == EX_CANTCREAT
    line = h.line_of(result)
    assert f"127.0.0.1:{port}" in line and "in use" in line


def test_tcp_restart_does_not_wait_for_old_connections(spawnd, program):
    port = h.free_port()
    s = spawnd("-p", port, "-u", "www", "-F", 1, "--", program)
    # The server's side closes first, which leaves it in TIME_WAIT.
    assert h.request(("127.0.0.1", port), "pid").status == 200
    assert s.stop() == 0
    spawnd("-p", port, "-u", "www", "-F", 1, "--", program)


def test_tcp_address_of_another_machine_is_refused(program):
    result = h.run_spawnd("-n", "-p", 8000, "-a", "192.0.2.1", "-u", "www",
                          "--", program)
    assert result.status == EX_CANTCREAT
    assert "192.0.2.1:8000" in h.line_of(result)


def test_tcp_privileged_port_without_root_is_refused(program):
    result = h.run_spawnd("-n", "-p", 80, "--", program, user="many")
    assert result.status == EX_NOPERM
    assert "127.0.0.1:80" in h.line_of(result)


# The backlog

@pytest.fixture
def somaxconn():
    with open(SOMAXCONN, encoding="ascii") as f:
        before = f.read()

    def put(value):
        with open(SOMAXCONN, "w", encoding="ascii") as f:
            f.write(str(value))
    yield put
    put(before)


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_backlog_cut_by_the_kernel_is_said(spawnd, addr, program, somaxconn,
                                           kind):
    somaxconn(200)
    where = ["-s", addr] if kind == "unix" else ["-p", h.free_port()]
    s = spawnd(*where, "-b", 201, "-u", "www", "-F", 1, "--", program)
    lines = [x for x in s.log().splitlines() if "somaxconn" in x]
    assert len(lines) == 1, s.log()
    assert "201" in lines[0] and "200" in lines[0]


def test_backlog_within_the_kernels_limit_is_not_said(spawnd, addr, program,
                                                      somaxconn):
    somaxconn(200)
    s = spawnd("-s", addr, "-b", 200, "-u", "www", "-F", 1, "--", program)
    assert "somaxconn" not in s.log()


def test_backlog_is_what_was_asked_for(spawnd, addr, program):
    s = spawnd("-s", addr, "-b", 5, "-u", "www", "-F", 1, "--", program)
    worker = s.wait_workers(1)[0]
    os.kill(worker, signal.SIGSTOP)
    h.wait_for(lambda: h.stat(worker).state == "T")
    waiting = h.fill(addr)
    assert len(waiting) == 6        # the kernel counts from 0
    for c in waiting:
        c.close()


# What is there already

class Listener:
    def __init__(self, path, backlog=5, kind=socket.SOCK_STREAM):
        self.sock = socket.socket(socket.AF_UNIX, kind)
        self.sock.bind(path)
        if kind != socket.SOCK_DGRAM:
            self.sock.listen(backlog)

    def __enter__(self):
        return self.sock

    def __exit__(self, *exc):
        self.sock.close()


def test_live_socket_is_refused_and_its_holder_named(addr, program):
    with Listener(addr):
        before = h.tree(os.path.dirname(addr))
        code, line = refused(addr, program)
        assert h.tree(os.path.dirname(addr)) == before
    assert code == EX_CANTCREAT
    assert addr in line and f"in use by pid {os.getpid()}" in line


def test_live_socket_with_a_full_backlog_is_refused(addr, program):
    with Listener(addr, backlog=1):
        waiting = h.fill(addr)
        before = h.tree(os.path.dirname(addr))
        code, line = refused(addr, program, deadline=5)
        assert h.tree(os.path.dirname(addr)) == before
        for c in waiting:
            c.close()
    assert code == EX_CANTCREAT
    assert addr in line and "in use" in line


def test_own_pool_is_refused_by_its_pid(spawnd, addr, program):
    s = spawnd("-s", addr, "-u", "www", "-F", 1, "--", program)
    code, line = refused(addr, program)
    assert code == EX_CANTCREAT
    assert f"in use by pid {s.pid}" in line
    assert h.request(addr, "pid").status == 200


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_live_socket_of_another_type_is_refused(addr, program, kind):
    with Listener(addr, kind=kind):
        before = h.tree(os.path.dirname(addr))
        code, line = refused(addr, program)
        assert h.tree(os.path.dirname(addr)) == before
    assert code == EX_CANTCREAT
    assert addr in line and "in use" in line


def test_live_socket_that_may_not_be_connected_to_is_refused(place, program):
    own = h.own_directory(f"{place}/own", "many")
    with Listener(f"{own}/sock"):
        os.chmod(f"{own}/sock", 0o600)
        before = h.tree(own)
        result = h.run_spawnd("-n", "-s", f"{own}/sock", "--", program,
                              user="many")
        assert h.tree(own) == before
    assert result.status == EX_CANTCREAT
    assert "in use" in h.line_of(result)


def test_stale_socket_is_replaced(spawnd, addr, program):
    stale(addr)
    os.chmod(addr, 0o777)
    # Held open, so that its inode's number cannot be given out again.
    held = os.open(addr, os.O_PATH)
    spawnd("-s", addr, "-u", "www", "-F", 1, "--", program)
    assert os.lstat(addr).st_ino != os.fstat(held).st_ino
    os.close(held)
    assert stat.S_IMODE(os.lstat(addr).st_mode) == 0o660
    assert h.request(addr, "pid").status == 200


def make_file(path):
    with open(path, "w", encoding="ascii") as f:
        f.write("precious\n")


def make_link_to_stale(path):
    stale(path + ".real")
    os.symlink(path + ".real", path)


@pytest.mark.parametrize("make", [
    make_file, os.mkdir, os.mkfifo, make_link_to_stale,
    lambda p: os.symlink("/nonexistent", p),
    lambda p: os.symlink("/etc/passwd", p),
], ids=["file", "directory", "fifo", "link to a stale socket",
        "dangling link", "link to a file"])
def test_what_is_no_socket_is_never_touched(addr, program, make):
    make(addr)
    before = h.tree(os.path.dirname(addr))
    code, line = refused(addr, program)
    assert code == EX_CANTCREAT
    assert addr in line
    assert h.tree(os.path.dirname(addr)) == before


def test_missing_directory_is_named_and_not_made(place, program):
    code, line = refused(f"{place}/not/here.sock", program)
    assert code == EX_CANTCREAT
    assert f"{place}/not" in line
    assert not os.path.exists(f"{place}/not")


def test_directory_that_may_not_be_written_is_refused(place, program):
    result = h.run_spawnd("-n", "-s", f"{place}/sock", "--", program,
                          user="many")
    assert result.status == EX_NOPERM
    assert f"{place}/sock" in h.line_of(result)


def test_of_two_started_together_on_a_stale_socket_one_wins(spawnd, addr,
                                                            program):
    stale(addr)
    for turn in range(50):
        # Each attempt finds the stale socket of the winner before it.
        both = [spawnd("-s", addr, "-u", "www", "-F", 1, "--", program,
                       ready=False) for _ in range(2)]

        def decided():
            codes = [s.popen.poll() for s in both]
            ready = [bool(h.READY.search(s.log())) for s in both]
            return all(c is not None or r for c, r in zip(codes, ready))
        h.wait_for(decided, 20, f"turn {turn} to be decided", pause=0.001)
        logs = "\n".join(s.log() for s in both)
        winners = [s for s in both if s.running()]
        losers = [s for s in both if not s.running()]
        assert len(winners) == len(losers) == 1, f"turn {turn}: {logs}"
        assert losers[0].popen.returncode == EX_CANTCREAT, logs
        assert "in use" in losers[0].log()
        pid = int(h.request(addr, "pid").fact("pid"))
        assert pid in winners[0].workers()
        for s in both:
            s.end()
        assert stat.S_ISSOCK(os.lstat(addr).st_mode)


def test_start_that_is_overtaken_at_any_system_call_leaves_one_winner(
        spawnd, addr, program):
    """What the test above leaves to chance: the first is held at each of its
    steps in turn until the second is done, or waits for it."""
    argv = [h.SPAWND, "-n", "-s", addr, "-u", "www", "-F", "1", "--", program]
    directory = os.path.dirname(addr)

    def start(step=None):
        """Runs it to a step, or until its socket is there."""
        h.empty_directory(directory)
        stale(addr)
        p = h.Stepped(argv)
        while p.step() and p.steps != step:
            if step is None and os.path.exists(addr) and \
                    os.lstat(addr).st_uid == WWW:
                break
        return p

    def settled(s):
        if s.popen.poll() is not None or h.READY.search(s.log()):
            return True
        try:
            return h.stat(s.pid).state == "S" and \
                directory in h.fds(s.pid).values()
        except OSError:
            return False
    p = start()
    last = p.steps
    p.kill()
    for step in range(last - 50, last + 6):
        first = start(step)
        try:
            second = spawnd(*argv[2:], ready=False)
            h.wait_for(lambda: settled(second), 10, second.log, pause=0.001)
            popen = first.release()
            h.wait_for(lambda: (popen.poll() is None) !=
                       (second.popen.poll() is None), 10,
                       lambda: f"step {step}, first {popen.poll()}, second "
                               f"{second.popen.poll()}\n{second.log()}")
            winner = first.pid if popen.poll() is None else second.pid
            assert EX_CANTCREAT in (popen.poll(), second.popen.poll())
            pid = int(h.request(addr, "pid").fact("pid"))
            assert h.stat(pid).ppid == winner
        finally:
            first.kill()
            second.end()


# Somebody who may write the socket's directory

ATTACK = """
import os, socket, sys
directory, victim = sys.argv[1:]
os.chdir(directory)
for n in range(100):
    s = socket.socket(socket.AF_UNIX)
    s.bind("stale%d" % n)
    s.close()
print("ready", flush=True)
n = 0
while True:
    n += 1
    # A link, then nothing, then a stale socket that the next link replaces:
    # whatever step spawnd is at, the name means something else at the next.
    os.symlink(victim, "link")
    os.rename("link", "sock")
    try:
        os.unlink("sock")
    except FileNotFoundError:
        pass
    try:
        os.link("stale%d" % (n % 100), "old")
        os.rename("old", "sock")
    except OSError:
        pass
    if n % 100 == 0:
        os.write(1, b".")
"""


def test_swapping_the_name_for_a_link_never_reaches_another_file(place,
                                                                 program):
    victim = f"{place}/precious"
    make_file(victim)
    os.chmod(victim, 0o600)
    hostile = h.own_directory(f"{place}/hostile", "www")
    before = h.tree(victim)
    turns = 0
    statuses = []
    attacker = subprocess.Popen(
        [sys.executable, "-c", ATTACK, hostile, victim],
        stdout=subprocess.PIPE, preexec_fn=h.become_user("www"))
    try:
        assert attacker.stdout.readline() == b"ready\n"
        os.set_blocking(attacker.stdout.fileno(), False)
        for _ in range(200):
            # It fails when it starts the program, after the socket is done.
            result = h.run_spawnd("-n", "-s", f"{hostile}/sock", "-u", "_app",
                                  "-U", "web", "-M", "0666", "--",
                                  "/nonexistent/program")
            statuses.append(result.status)
            turns += len(attacker.stdout.read() or b"") * 100
            assert h.tree(victim) == before
        assert attacker.poll() is None, "the attacker gave up"
    finally:
        attacker.kill()
        attacker.wait(10)
        attacker.stdout.close()
    assert turns >= 2000, f"the attacker managed {turns} turns only"
    # Some starts came through, some met the attacker: it was a race.
    assert set(statuses) <= {EX_CANTCREAT, EX_UNAVAILABLE}, set(statuses)
    assert EX_CANTCREAT in statuses


class Swap:
    """Starts of spawnd, system call by system call, that fail when they exec
    the program, and a directory in which somebody else may write."""

    def __init__(self, place, occupied):
        self.victim = f"{place}/precious"
        make_file(self.victim)
        os.chmod(self.victim, 0o600)
        self.dir = h.own_directory(f"{place}/hostile", "www")
        self.addr = f"{self.dir}/sock"
        self.occupied = occupied

    def start(self):
        h.empty_directory(self.dir)
        self.before = stale(self.addr) if self.occupied else None
        return h.Stepped([h.SPAWND, "-n", "-s", self.addr, "-u", "_app", "-U",
                          "web", "-M", "0666", "--", "/nonexistent/program"])

    def inode(self):
        try:
            return os.lstat(self.addr).st_ino
        except FileNotFoundError:
            return None

    def changes(self):
        """The step at which spawnd first touches the name, and the one at
        which its own socket is there."""
        p = self.start()
        first = None
        try:
            while p.step():
                if first is None and self.inode() != self.before:
                    first = p.steps
                st = os.path.exists(self.addr) and os.lstat(self.addr)
                if st and st.st_uid == h.USERS["web"]:
                    return first, p.steps
        finally:
            p.kill()
        raise AssertionError("the socket never got its owner")

    def swap(self):
        os.symlink(self.victim, f"{self.dir}/link")
        os.rename(f"{self.dir}/link", self.addr)


@pytest.mark.parametrize("occupied", [False, True],
                         ids=["nothing there", "a stale socket there"])
def test_swapping_the_name_at_any_system_call_reaches_no_other_file(
        place, occupied):
    """What the test above leaves to chance, at each step in turn."""
    s = Swap(place, occupied)
    before = h.tree(s.victim)
    first, last = s.changes()
    statuses = set()
    for step in range(first - 30, last + 6):
        p = s.start()
        try:
            while p.steps < step:
                assert p.step(), f"it ended before step {step}"
            s.swap()
            statuses.add(p.release().wait(10))
        finally:
            p.kill()
        assert h.tree(s.victim) == before, f"swapped at step {step}"
    assert statuses == {EX_CANTCREAT, EX_UNAVAILABLE}


def test_link_that_leads_out_of_the_jail_is_not_followed(place):
    jail = h.make_jail(f"{place}/jail")
    outside = f"{place}/outside"
    os.mkdir(outside)
    os.rmdir(f"{jail}/run")
    for target in (outside, "../outside", "../../../../.." + outside):
        os.symlink(target, f"{jail}/run")
        result = h.run_spawnd("-n", "-c", jail, "-u", "www", "--",
                              "/fcgi-bin/app")
        assert result.status == EX_CANTCREAT
        assert "run/httpd.sock" in h.line_of(result)
        assert os.listdir(outside) == []
        os.unlink(f"{jail}/run")


def test_link_is_looked_up_as_the_jail_sees_it(spawnd, place):
    jail = h.make_jail(f"{place}/jail")
    inside = f"{jail}{place}/var"
    os.makedirs(inside)
    os.mkdir(f"{place}/var")
    # The same absolute path exists outside, where it must not lead.
    os.symlink(f"{place}/var", f"{jail}/spool")
    spawnd("-c", jail, "-s", "spool/mine", "-u", "www", "-F", 1, "--",
           "/fcgi-bin/app")
    assert os.listdir(inside) == ["mine"]
    assert os.listdir(f"{place}/var") == []
    assert h.request(f"{inside}/mine", "pid").status == 200


def test_dots_do_not_lead_out_of_the_jail(spawnd, place):
    jail = h.make_jail(f"{place}/jail")
    os.mkdir(f"{place}/run")
    spawnd("-c", jail, "-s", "../run/s", "-u", "www", "-F", 1, "--",
           "/fcgi-bin/app")
    assert os.listdir(f"{place}/run") == []
    assert h.request(f"{jail}/run/s", "pid").status == 200


# In a jail

def test_chroot_alone_puts_the_socket_into_it(spawnd, place):
    h.make_jail(place)
    s = spawnd("-c", place, "-u", "www", "-F", 1, "--", "/fcgi-bin/app")
    assert h.request(f"{place}/run/httpd.sock", "pid").status == 200
    assert f"unix:{place}/run/httpd.sock" in s.log()


def test_socket_path_is_inside_the_jail(spawnd, place):
    h.make_jail(place)
    spawnd("-c", place, "-s", "/run/mine", "-u", "www", "-F", 1, "--",
           "/fcgi-bin/app")
    assert h.request(f"{place}/run/mine", "pid").status == 200


def test_socket_path_may_be_outside_the_jail(spawnd, place):
    jail = h.make_jail(f"{place}/jail")
    s = spawnd("-c", jail, "-S", "-s", f"{place}/mine", "-u", "www", "-F", 1,
               "--", "/fcgi-bin/app")
    assert h.request(f"{place}/mine", "pid").status == 200
    assert f"unix:{place}/mine" in s.log()


def test_default_jail_is_named_in_an_error(www):
    result = h.run_spawnd("-n", "-u", "www", "--", "/fcgi-bin/app")
    assert result.status == EX_CANTCREAT
    line = h.line_of(result)
    assert "/var/www/run/httpd.sock" in line
    assert "(neither -s nor -p given: jail /var/www)" in line


# The end

def test_socket_is_removed_at_the_end(spawnd, place, program):
    own = h.own_directory(f"{place}/own", "many")
    s = spawnd("-s", f"{own}/sock", "-F", 1, "--", program, user="many")
    assert s.stop() == 0
    assert os.listdir(own) == []


def test_socket_in_a_jail_is_removed_at_the_end(spawnd, place):
    h.make_jail(place, owner="many")
    s = spawnd("-c", place, "-u", "many", "-F", 1, "--", "/fcgi-bin/app")
    assert os.listdir(f"{place}/run") == ["httpd.sock"]
    assert s.stop() == 0
    assert os.listdir(f"{place}/run") == []


def test_socket_that_cannot_be_removed_is_replaced_next_time(spawnd, addr,
                                                             program):
    for _ in range(2):
        s = spawnd("-s", addr, "-u", "www", "-F", 1, "--", program)
        assert h.request(addr, "pid").status == 200
        assert s.stop() == 0
        assert stat.S_ISSOCK(os.lstat(addr).st_mode)


def test_what_took_the_sockets_place_is_not_removed(spawnd, place, program):
    own = h.own_directory(f"{place}/own", "many")
    s = spawnd("-s", f"{own}/sock", "-F", 1, "--", program, user="many")
    os.rename(f"{own}/sock", f"{own}/moved")
    stale(f"{own}/sock")
    assert s.stop() == 0
    assert sorted(os.listdir(own)) == ["moved", "sock"]


def test_nobody_is_served_after_the_end(spawnd, addr, program):
    s = spawnd("-s", addr, "-u", "www", "-F", 1, "--", program)
    assert s.stop() == 0
    with pytest.raises(h.FcgiError) as e:
        h.request(addr)
    assert e.value.kind == "refused"
