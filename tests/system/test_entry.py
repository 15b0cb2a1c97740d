# SPDX-License-Identifier: ISC
"""The way in: a socket whose file is gone, or that was made deaf, is noticed,
and a pool at rest makes no wake-up for it."""

import ctypes
import errno
import json
import os
import re
import signal
import socket
import struct
import subprocess
import time

import pytest

import harness as h
from ctl import ask, ctl, figures, pool
from stubs import Datagrams
from test_families import SOCKET

EX_UNAVAILABLE = 69
CONTROL = pool("p") + "/control"
REMOVED = "its file was removed: no client can connect"
REPLACED = "another file has taken its place: no client comes here"
MOVED = "its file or a directory above was renamed, or something is mounted " \
    "over it: no client can connect"
CLOSED = "its owner, group or mode was changed: clients may be refused"
HOLDER = "a worker or another process that holds it "
FILTER = HOLDER + "has set a packet filter: clients may get no answer"
DEVICE = HOLDER + "has bound it to a network device: clients may be refused"
TTL = HOLDER + "has set a minimum TTL: clients may get no answer"
BACKLOG = HOLDER + "has cut its queue: clients may be refused"
UNSEEN = "what its holders do to it"


# Pools, and where their sockets are

class Place:
    """A pool with a unix socket, at addr, in a directory that is moved."""

    def __init__(self, spawnd, place, *options, jail=None, program=None,
                 **kw):
        self.dir = f"{jail or place}/run"
        os.makedirs(self.dir, exist_ok=True)
        self.addr = f"{self.dir}/sock"
        self.s = spawnd("-s", "/run/sock" if jail else self.addr, *options,
                        "-u", "www", "-F", 1, "--name", "p", "--",
                        program or h.app("echo"), **kw)
        assert ctl("ping").status == 0

    def faulty(self, text, asked=True):
        """All who ask are told, and the log is."""
        line = f"listen socket: unix:{self.addr}: {text} (restart spawnd)"
        refused(line, self.s, asked)

    def well(self):
        r = ctl("ping")
        assert (r.status, r.stderr) == (0, "")
        self.s.wait_log("clients can connect again")
        assert listener()["reachable"] is True


def listener():
    """What the status says of it."""
    return json.loads(ctl("status", "--json").stdout)["listener"]


def refused(line, s, asked=True):
    if not asked:
        s.wait_log(re.escape(f"warning: {line}"))
    for command in (["ping"], ["wait-ready", "60"]):
        r = ctl(*command)
        assert (r.status, r.stderr) == (EX_UNAVAILABLE, f"spawnctl: {line}\n")
    assert s.log().count(line) == 1
    found = listener()
    found.pop("unseen", None)
    assert found == {"reachable": False, "why": line}
    assert f"  unreachable  {line}\n" in ctl("status").stdout
    assert "\nspawnd_listener_reachable{pool=\"p\"} 0\n" in \
        ctl("status", "--openmetrics").stdout


def free(spawnd, place):
    return Place(spawnd, place)


def jailed(spawnd, place):
    jail = h.make_jail(f"{place}/jail")
    return Place(spawnd, place, "-c", jail, jail=jail,
                 program="/fcgi-bin/app")


def outside(spawnd, place):
    jail = h.make_jail(f"{place}/jail")
    p = Place(spawnd, place, "-c", jail, "-S", program="/fcgi-bin/app")
    assert listener()["unseen"] == "whether something is " \
        "mounted over its path, which is out of reach"
    return p


@pytest.fixture(params=[free, jailed, outside])
def place_of(request, spawnd, place):
    return request.param(spawnd, place)


def another(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.listen()
    s.close()


# What becomes of the file; nobody needs to ask

def test_removed(place_of):
    os.unlink(place_of.addr)
    place_of.faulty(REMOVED, asked=False)


def test_renamed_and_back(place_of):
    os.rename(place_of.addr, place_of.addr + ".old")
    place_of.faulty(MOVED, asked=False)
    os.rename(place_of.addr + ".old", place_of.addr)
    place_of.well()


def test_replaced(place_of):
    another(place_of.addr + ".new")
    os.rename(place_of.addr + ".new", place_of.addr)
    text = REPLACED
    # From its jail it only sees that its own file is gone.
    if "unseen" in listener():
        text = REMOVED
    place_of.faulty(text, asked=False)


@pytest.mark.parametrize("change", [
    lambda path: os.chmod(path, 0),
    lambda path: os.chmod(path, 0o600),
    lambda path: os.chown(path, 4242, -1),
    lambda path: os.chown(path, -1, 4242)])
def test_closed_and_open_again(place_of, change):
    st = os.stat(place_of.addr)
    change(place_of.addr)
    place_of.faulty(CLOSED, asked=False)
    os.chmod(place_of.addr, 0o660)
    os.chown(place_of.addr, st.st_uid, st.st_gid)
    place_of.well()


# What becomes of the way to it, when somebody asks

def test_directory_renamed_and_back(place_of):
    os.rename(place_of.dir, place_of.dir + ".old")
    place_of.faulty(MOVED)
    os.rename(place_of.dir + ".old", place_of.dir)
    place_of.well()


def test_directory_mounted_over(place_of):
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place_of.dir],
                   check=True)
    try:
        if "unseen" in listener():
            assert ctl("ping").status == 0
        else:
            place_of.faulty(MOVED)
    finally:
        subprocess.run(["umount", place_of.dir], check=True)
    assert ctl("ping").status == 0


def test_directory_out_of_reach(spawnd, place):
    """Its user may not look there, but sees its own file."""
    p = Place(spawnd, place)
    os.chmod(p.dir, 0o700)
    assert ctl("ping").status == 0
    assert "out of reach" in listener()["unseen"]
    os.unlink(p.addr)
    p.faulty(REMOVED, asked=False)


def test_without_proc_and_out_of_reach(spawnd, place):
    jail = h.make_jail(f"{place}/jail")
    p = Place(spawnd, place, "-c", jail, "-S", program="/fcgi-bin/app",
              wrap=["unshare", "-m", "sh", "-c",
                    'mount -t tmpfs tmpfs /proc && exec "$@"', "sh"])
    unseen = {"unseen": "whether its file is renamed, as its path is out of "
                        "reach"}
    assert listener() == unseen
    os.rename(p.addr, p.addr + ".old")
    assert ctl("ping").status == 0 and listener() == unseen
    os.unlink(p.addr + ".old")
    p.faulty(REMOVED, asked=False)


# From within the jail the kernel shows a file by another path than outside.

@pytest.mark.parametrize("how", ["outside", "passed", "inside"])
def test_file_within_the_jail(spawnd, place, how):
    jail = h.make_jail(f"{place}/jail")
    addr = f"{jail}/run/sock"
    os.makedirs(f"{jail}/run", exist_ok=True)
    args = {"outside": ["-S", "-s", addr], "inside": ["-s", "/run/sock"],
            "passed": []}[how]
    with socket.socket(socket.AF_UNIX) as sock:
        if how == "passed":
            sock.bind(addr)
            sock.listen()
        s = spawnd(*args, "-c", jail, "-u", "www", "-F", 1, "--name", "p",
                   "--", "/fcgi-bin/app",
                   stdin=sock if how == "passed" else subprocess.DEVNULL)
    # Its user may not look there.
    os.chmod(f"{jail}/run", 0o700)
    assert ctl("ping").status == 0
    found = listener()
    assert found.get("reachable") is True or "out of reach" in found["unseen"]
    os.rename(addr, f"{jail}/run/moved")
    s.wait_log(re.escape(MOVED))
    os.rename(f"{jail}/run/moved", addr)
    s.wait_log("clients can connect again")
    assert ctl("ping").status == 0


def test_link_in_its_place_that_leads_to_it(spawnd, place):
    p = Place(spawnd, place)
    os.rename(p.addr, p.addr + ".real")
    os.symlink("sock.real", p.addr)
    assert h.request(p.addr, "pid").status == 200
    assert ctl("ping").status == 0
    assert listener() == {"reachable": True}


def test_other_changes_are_no_fault(spawnd, place):
    p = Place(spawnd, place)
    for change in (lambda: os.chmod(p.addr, 0o666),
                   lambda: os.chown(p.addr, 4242, 4242),
                   lambda: os.utime(p.addr),
                   lambda: os.link(p.addr, p.addr + ".too"),
                   lambda: os.unlink(p.addr + ".too")):
        change()
        assert ctl("ping").status == 0
    assert "listen socket" not in p.s.log()


def test_file_that_cannot_be_watched(spawnd, place):
    """That is logged, and what becomes of it is seen when somebody asks."""
    h.own_directory(f"{place}/own", "www")
    addr = f"{place}/own/sock"
    s = spawnd("-s", addr, "-u", "www", "-F", 1, "--name", "p", "--",
               h.app("echo"), wrap=[
                   "/usr/bin/strace", "-D", "-o", "/dev/null", "-e",
                   "inject=inotify_add_watch:error=ENOSPC"])
    s.wait_log(f"info: socket: unix:{addr}: watching its file: "
               "No space left on device ")
    os.unlink(addr)
    assert ctl("ping").status == EX_UNAVAILABLE
    s.wait_log(REMOVED)


def test_what_its_holders_do_is_said_to_be_unseen(spawnd, place):
    """Where the kernel does not tell of the queue, it does not tell who cuts
    it either."""
    def without():
        h.forbid_call(SOCKET, errno.EAFNOSUPPORT, a0=socket.AF_NETLINK)
    p = Place(spawnd, place, become=without)
    with holder(p.s) as sock:
        cut_queue(sock)
    assert ctl("ping").status == 0
    assert listener() == {"reachable": True, "unseen": UNSEEN}
    assert f"  not seen     of the listen socket: {UNSEEN}\n" in \
        ctl("status").stdout
    test = h.run_spawnd("-t", "-s", f"{place}/other", "-u", "www", "--",
                        h.app("echo"), become=without)
    assert "\nguarantees: listen queue can be seen: no (" in test.stdout
    os.unlink(p.addr)
    p.faulty(REMOVED, asked=False)


# A socket that was passed in

def passed(spawnd, sock, *options):
    s = spawnd(*options, "-u", "www", "-F", 1, "--name", "p", "--",
               h.app("echo"), stdin=sock)
    assert ctl("ping").status == 0
    return s


def test_file_of_a_passed_socket(spawnd, place):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"{place}/sock")
        sock.listen()
        s = passed(spawnd, sock)
    os.unlink(f"{place}/sock")
    refused(f"listen socket: unix:{place}/sock: {REMOVED} (restart the "
            "program that passed it in, such as the .socket unit)", s, False)


def test_passed_socket_without_a_file(spawnd):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("\0spawnd-test")
        sock.listen()
        passed(spawnd, sock)
    assert listener() == {"reachable": True}


def test_passed_socket_whose_file_is_not_there(spawnd, place):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"{place}/sock")
        sock.listen()
        os.rename(f"{place}/sock", f"{place}/moved")
        passed(spawnd, sock)
    assert listener() == {"unseen": "what becomes of its file"}


def test_passed_socket_may_be_as_it_likes(spawnd):
    """A filter, a device and a short queue of whoever has made it."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(1)
        set_filter(sock, accept=0xffffffff)
        set_device(sock)
        port = sock.getsockname()[1]
        passed(spawnd, sock)
    assert h.request(("127.0.0.1", port), "pid").status == 200
    assert listener() == {"reachable": True}


# What a holder can do to it

def set_filter(sock, accept=0):
    """Drops all packets, or takes them."""
    text = struct.pack("HBBI", 0x06, 0, 0, accept)
    buf = ctypes.create_string_buffer(text, len(text))
    sock.setsockopt(socket.SOL_SOCKET, 26,              # SO_ATTACH_FILTER
                    struct.pack("HP", 1, ctypes.addressof(buf)))


def set_device(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")


def set_ttl(sock):
    sock.setsockopt(socket.IPPROTO_IP, 21, 255)         # IP_MINTTL


def set_hops(sock):
    sock.setsockopt(socket.IPPROTO_IPV6, 73, 255)       # IPV6_MINHOPCOUNT


def cut_queue(sock):
    sock.listen(0)


def holder(s):
    """The listen socket, as a worker has it."""
    return socket.socket(fileno=h.pidfd_getfd(s.workers()[0], 0))


def tcp_pool(spawnd, address):
    port = h.free_port()
    s = spawnd("-p", port, "-a", address, "-u", "www", "-F", 1, "--name", "p",
               "--", h.app("echo"))
    s.addr = (address, port)
    assert ctl("ping").status == 0
    return s


@pytest.fixture
def tcp(spawnd):
    return tcp_pool(spawnd, "127.0.0.1")


@pytest.mark.parametrize("address, deafen, text", [
    ("127.0.0.1", set_filter, FILTER), ("127.0.0.1", set_device, DEVICE),
    ("127.0.0.1", set_ttl, TTL), ("127.0.0.1", cut_queue, BACKLOG),
    ("::1", set_filter, FILTER), ("::1", set_device, DEVICE),
    ("::1", set_hops, TTL), ("::1", cut_queue, BACKLOG)])
def test_tcp_socket_that_was_made_deaf(spawnd, address, deafen, text):
    s = tcp_pool(spawnd, address)
    with holder(s) as sock:
        deafen(sock)
    name = f"{f'[{address}]' if ':' in address else address}:{s.addr[1]}"
    refused(f"listen socket: tcp:{name}: {text} (restart spawnd)", s)


def test_filter_that_takes_the_place_of_another(spawnd):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        set_filter(sock, accept=0xffffffff)
        s = passed(spawnd, sock)
        set_filter(sock)
    r = ctl("ping")
    assert (r.status, FILTER in r.stderr) == (EX_UNAVAILABLE, True)
    assert s.log().count(FILTER) == 1


def test_unix_socket_that_was_made_deaf(spawnd, place):
    p = Place(spawnd, place)
    with holder(p.s) as sock:
        # These have no effect there.
        set_filter(sock)
        set_device(sock)
        assert h.request(p.addr, "pid").status == 200
        assert ctl("ping").status == 0
        cut_queue(sock)
        p.faulty(BACKLOG)
        sock.listen(64)
    p.well()


def test_what_a_program_asks_for_is_no_fault(spawnd, place):
    """Python's servers listen again, with 5."""
    p = Place(spawnd, place)
    with holder(p.s) as sock:
        sock.listen(5)
    assert ctl("ping").status == 0
    assert figures("p")["queue"]["limit"] == "5"


def test_it_is_logged_once_the_pool_does_something(tcp):
    """Nobody asks, and no watchdog is due."""
    with holder(tcp) as sock:
        set_device(sock)

    def logged():
        for pid in tcp.workers():
            h.kill(pid)
        return DEVICE in tcp.log()
    h.wait_for(logged, 10, tcp.log)


def test_it_is_logged_after_requests(tcp):
    """Clients can get in no more, so that nothing happens any more."""
    tcp.wait_rest()
    # One that the worker takes at once might not be seen.
    load = h.Load(tcp.addr, threads=3, count=3, query="hold")
    load.start()
    h.wait_for(lambda: figures("p")["queue"]["now"] == "2", 5)
    with holder(tcp) as sock:
        set_ttl(sock)
    h.wait_for(lambda: h.let_go(tcp.workers(), 0) or load.answered == 3)
    tcp.wait_log(TTL)
    load.join()


def test_it_is_logged_after_the_start_of_a_worker(spawnd, place):
    path = f"{place}/deafener"
    with open(path, "w") as f:
        f.write("#!/usr/bin/python3\nimport socket\n"
                "s = socket.socket(fileno=0)\n"
                "s.setsockopt(socket.IPPROTO_IP, 21, 255)\n"
                "s.accept()\n")
    os.chmod(path, 0o755)
    s = spawnd("-p", h.free_port(), "-a", "127.0.0.1", "-u", "www", "-F", 1,
               "--name", "p", "--", path)
    s.wait_log(TTL)


# Our own doing

@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_stop_is_no_fault(spawnd, place, tcp, kind):
    if kind == "unix":
        tcp.stop()
        addr = f"{h.own_directory(f'{place}/own', 'www')}/sock"
        s = spawnd("-s", addr, "-u", "www", "-F", 1, "--name", "p", "--",
                   h.app("echo"))
    else:
        s, addr = tcp, tcp.addr
    load = h.Load(addr, threads=1, count=1, query="hold")
    load.start()
    h.wait_for(lambda: figures("p")["connections"].get("now") == "1", 5)
    s.signal(signal.SIGTERM)
    s.wait_log("SIGTERM received")
    assert "the pool is stopping" in ctl("ping").stderr
    assert "reachable" not in listener()
    h.let_go(s.workers())
    assert s.wait() == 0
    load.join()
    assert load.answered == 1 and "listen socket" not in s.log()


# The watchdog

def test_watchdog_is_told_no_more(spawnd, place):
    with Datagrams(f"{place}/notify") as m:
        os.mkdir(f"{place}/run")
        addr = f"{place}/run/sock"
        s = spawnd("-s", addr, "-u", "www", "-F", 1, "--name", "p", "--",
                   h.app("echo"), env=dict(h.BASE_ENV, NOTIFY_SOCKET=m.path,
                                           WATCHDOG_USEC="200000"))

        def fed():
            return sum("WATCHDOG=1" in t for t in m.texts())
        h.wait_for(lambda: fed() > 2, 5, "watchdog")
        os.rename(addr, addr + ".old")
        s.wait_log(re.escape(f"{MOVED} (the service manager restarts spawnd, "
                             "since its watchdog hears nothing)"))
        h.wait_for(lambda: any(MOVED in t for t in m.texts()), 5, m.texts)
        before = fed()
        h.pass_time(0.6)
        assert fed() == before
        os.rename(addr + ".old", addr)
        h.wait_for(lambda: fed() > before, 5, "fed again")


def test_watchdog_is_told_where_a_restart_is_no_cure(spawnd, place):
    with Datagrams(f"{place}/notify") as m, \
            socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"{place}/sock")
        sock.listen()
        s = spawnd("-u", "www", "-F", 1, "--name", "p", "--", h.app("echo"),
                   stdin=sock, env=dict(h.BASE_ENV, NOTIFY_SOCKET=m.path,
                                        WATCHDOG_USEC="200000"))
        os.unlink(f"{place}/sock")
        s.wait_log(REMOVED)
        before = len(m.texts())
        h.wait_for(lambda: sum("WATCHDOG=1" in t
                               for t in m.texts()[before:]) > 2, 5, "fed")


# What it costs

def test_a_pool_at_rest_is_not_woken(place_of):
    """Neither by time nor by what is done beside the socket."""
    place_of.s.wait_rest()
    before = h.switches(place_of.s.pid)
    for n in range(50):
        path = f"{place_of.dir}/{n}"
        another(path)
        os.chmod(path, 0o600)
        os.unlink(path)
    assert h.rests(place_of.s.pid, 2)
    assert h.switches(place_of.s.pid) == before


def test_a_tcp_pool_at_rest_is_not_woken(tcp):
    assert h.request(tcp.addr, "pid").status == 200
    tcp.wait_rest()
    assert h.rests(tcp.pid, 3)


def test_who_changes_the_file_all_the_time_costs_little(spawnd, place):
    p = Place(spawnd, place)
    p.s.wait_rest()
    attacker = subprocess.Popen(
        ["python3", "-c", "import os, sys\n"
         "while True:\n for m in 0o600, 0o660: os.chmod(sys.argv[1], m)",
         p.addr], preexec_fn=h.become_user("www"))
    try:
        pids, began = (p.s.pid, attacker.pid), time.monotonic()
        before, waited = list(map(h.cpu, pids)), h.waits(p.s.pid)
        h.wait_for(lambda: h.cpu(attacker.pid) > before[1] + 2, 30)
        waited = h.waits(p.s.pid) - waited
        ours, its = (h.cpu(pid) - b for pid, b in zip(pids, before))
        # It would take as much as the attacker to heed each change.
        assert ours < its / 20, (ours, its)
        assert 1 <= waited <= 1 + 3 * (time.monotonic() - began)
    finally:
        attacker.kill()
        attacker.wait(10)
    os.unlink(p.addr)
    p.faulty(REMOVED, asked=False)


def test_the_control_sockets_say_it_in_a_record(spawnd, place):
    p = Place(spawnd, place)
    os.unlink(p.addr)
    p.s.wait_log(REMOVED)
    lines = ask(CONTROL, "ping")
    assert lines[1] == "listener reachable=no"
    assert lines[2].startswith("error 69 listen socket: ")
