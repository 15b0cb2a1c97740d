# SPDX-License-Identifier: ISC
"""The file of the listen socket: the name that the kernel knows it by."""

import os
import pwd
import signal
import socket
import subprocess

import pytest

import harness as h
import takeovers

EX_CANTCREAT, EX_UNAVAILABLE = 73, 69


@pytest.fixture
def program(place):
    return h.install(h.app("echo"), f"{place}/bin/app")


def kernel_names(inode=None):
    """The names of the unix sockets that listen, or of the one."""
    found = []
    with open("/proc/net/unix", encoding="utf-8") as f:
        for line in f.readlines()[1:]:
            # Num RefCount Protocol Flags Type St Inode Path
            words = line.split(maxsplit=7)
            listens = int(words[3], 16) & 0x10000
            if len(words) == 8 and listens and inode in (None, words[6]):
                found.append(words[7].rstrip("\n"))
    return found


def name_of(s):
    """That of the listen socket of a running spawnd."""
    inode = h.fds(s.pid)[0].removeprefix("socket:[").rstrip("]")
    name, = kernel_names(inode)
    return name


def started(spawnd, path, program, *options, **kw):
    return spawnd("-s", path, *options, "-F", 1, "--", program, **kw)


# Where the name is the path

def test_name_is_the_path(spawnd, place, program):
    s = started(spawnd, f"{place}/sock", program, "-u", "www")
    assert name_of(s) == f"{place}/sock"


def test_name_is_the_path_below_tmp(spawnd, program):
    """Nobody but root can replace /tmp itself."""
    path = f"/tmp/spawnd-test.{os.getpid()}"
    s = started(spawnd, path, program, "-u", "www")
    try:
        assert name_of(s) == path
    finally:
        os.unlink(path)


def test_name_has_no_link_in_it(spawnd, place, program):
    os.mkdir(f"{place}/real")
    os.symlink("real", f"{place}/link")
    s = started(spawnd, f"{place}/link/../link//./sock", program, "-u", "www")
    assert name_of(s) == f"{place}/real/sock"


def test_name_is_the_path_where_a_user_may_write_the_directory(spawnd, place,
                                                               program):
    """It is for the directory's own name that it matters who may write."""
    own = h.own_directory(f"{place}/own", "web")
    s = started(spawnd, f"{own}/sock", program, "-u", "www")
    assert name_of(s) == f"{own}/sock"


def test_name_is_a_path_in_a_users_own_directories(spawnd, place, program):
    own = h.own_directory(f"{place}/own", "many", 0o700)
    below = h.own_directory(f"{own}/below", "many", 0o700)
    s = started(spawnd, f"{below}/sock", program, user="many")
    assert name_of(s) == f"{below}/sock.spawnd"
    assert os.listdir(below) == ["sock"]
    r = h.run_spawnd("-t", "-s", f"{below}/other", "--", program, user="many")
    assert f"note: socket: unix:{below}/other: ss(8) and others will see it " \
        f"as {below}/other.spawnd: the workers could remove its file" \
        in r.stdout


# Workers that could remove it

# As asyncio does since Python 3.13.
TIDY = """
import os, signal, socket, sys
s = socket.socket(fileno=os.dup(0))
made = os.stat(s.getsockname()).st_ino if os.path.exists(s.getsockname()) \
    else None
def end(*_):
    if made and os.stat(s.getsockname()).st_ino == made:
        os.unlink(s.getsockname())
    sys.exit()
signal.signal(signal.SIGTERM, end)
while True:
    s.accept()[0].close()
"""


def tidy_pools(place):
    """Who starts it, whose the directory is, and options."""
    own = h.own_directory(f"{place}/own", "www")
    group = h.own_directory(f"{place}/group", "root", 0o2775)
    os.chown(group, 0, pwd.getpwnam("www").pw_gid)
    return {"a user": (f"{own}/sock", [], "www"),
            "root": (f"{own}/sock", ["-u", "www"], None),
            "root, group": (f"{group}/sock",
                            ["-u", "www", "-g", "www", "-U", "web"], None)}


@pytest.mark.parametrize("who", ["a user", "root", "root, group"])
def test_workers_that_tidy_up_leave_the_way_in(spawnd, place, who):
    path, options, user = tidy_pools(place)[who]
    s = spawnd("-s", path, *options, "-F", 2, "--name", "p", "--",
               "/usr/bin/python3", "-c", TIDY, user=user)
    old, inode = s.workers(), os.stat(path).st_ino
    s.signal(signal.SIGHUP)
    s.wait_log("reload: all workers are new")
    assert not set(old) & set(s.workers())
    assert os.stat(path).st_ino == inode
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(30)
    client.connect(path)
    assert client.recv(1) == b""
    assert s.stop() == 0
    assert not os.path.exists(path)


def test_what_a_start_left_is_removed(spawnd, place, program):
    """It was killed between the two names."""
    own = h.own_directory(f"{place}/own", "many", 0o700)
    for name in ("sock", "sock.spawnd"):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(f"{own}/{name}")
        os.chown(f"{own}/{name}", pwd.getpwnam("many").pw_uid, -1)
    started(spawnd, f"{own}/sock", program, user="many")
    assert os.listdir(own) == ["sock"]
    assert h.request(f"{own}/sock", "pid").status == 200


def test_another_file_of_that_name_is_left_alone(spawnd, place, program):
    own = h.own_directory(f"{place}/own", "many", 0o700)
    with open(f"{own}/sock.spawnd", "w", encoding="ascii") as f:
        f.write("mine")
    r = h.run_spawnd("-s", f"{own}/sock", "--", program, user="many")
    assert r.status == EX_CANTCREAT
    assert f"bind: unix:{own}/sock.spawnd: Address already in use" in r.stderr
    assert os.listdir(own) == ["sock.spawnd"]


@pytest.mark.parametrize("run", ["run", "link"])
def test_name_is_the_path_outside_the_jail(spawnd, place, run):
    jail = h.make_jail(f"{place}/jail", owner="www")
    os.symlink("/run", f"{jail}/link")
    s = spawnd("-c", jail, "-s", f"{run}/sock", "-u", "www", "-F", 1, "--",
               "/fcgi-bin/app")
    assert name_of(s) == f"{jail}/run/sock"


# Where it is not

def someone_elses(place):
    """The directory's name is another user's to change."""
    top = h.own_directory(f"{place}/hers", "web")
    return h.own_directory(f"{top}/dir", "root")


def a_groups(place):
    """The right may be an access list's, which the mode shows so."""
    top = h.own_directory(f"{place}/ours", "root", 0o775)
    return h.own_directory(f"{top}/dir", "root")


def everybodys(place):
    top = h.own_directory(f"{place}/all", "root", 0o1777)
    return h.own_directory(f"{top}/dir", "web")


def someone_elses_sticky(place):
    """It is the owner's, too, who may replace what is there."""
    top = h.own_directory(f"{place}/sticky", "web", 0o1755)
    return h.own_directory(f"{top}/dir", "root")


def too_long(place):
    """The path from outside the jail, and nobody could connect to it."""
    path = f"{place}/{'x' * 108}"
    os.mkdir(path)
    return path


@pytest.mark.parametrize("where", [
    someone_elses, a_groups, everybodys, someone_elses_sticky])
def test_name_is_the_last_part_where_others_may_lead_it(spawnd, place, program,
                                                        where):
    path = f"{where(place)}/sock"
    s = started(spawnd, path, program, "-u", "www")
    assert name_of(s) == "sock"
    assert h.request(path, "pid").status == 200
    said = h.run_spawnd("-t", "-s", path, "-u", "www", "--", program).stdout
    above = os.path.dirname(path)
    assert f"note: socket: unix:{path}: ss(8) and others will see its name " \
        f"without its directory: users other than root could replace {above}" \
        in said


def test_name_is_the_last_part_of_a_long_path(spawnd, place):
    jail = h.make_jail(too_long(place))
    s = spawnd("-c", jail, "-u", "www", "-F", 1, "--", "/fcgi-bin/app")
    assert name_of(s) == "httpd.sock"
    said = h.run_spawnd("-t", "-c", jail, "-u", "www", "--",
                        "/fcgi-bin/app").stdout
    assert "httpd.sock is longer than 107 bytes" in said


@pytest.mark.parametrize("owner, warned", [("web", True), ("root", False)])
def test_a_directory_below_tmp_is_warned_of(program, owner, warned):
    top = h.own_directory(f"/tmp/spawnd-test.{os.getpid()}", owner)
    try:
        r = h.run_spawnd("-t", "-s", f"{top}/sock", "-u", "www", "--",
                         program)
    finally:
        os.rmdir(top)
    line = f"warning: socket: unix:{top}/sock: systemd-tmpfiles takes it " \
        "for unused"
    assert (line in r.stdout) == warned, r.stdout
    assert r.status == 0


# Who believes the name

def clean_up(place, directory):
    """As systemd's timer does it once a day."""
    with open(f"{place}/t.conf", "w", encoding="ascii") as f:
        f.write(f"d {directory} - - - 1ms\n")
    return subprocess.run(["systemd-tmpfiles", "--clean", f"{place}/t.conf"],
                          capture_output=True, text=True, timeout=60,
                          check=False)


def clean(place, directory):
    """Until what nobody uses is removed."""
    s = socket.socket(socket.AF_UNIX)
    s.bind(f"{directory}/stale")
    s.close()

    def cleaned():
        clean_up(place, directory)
        return not os.path.exists(f"{directory}/stale")
    h.wait_for(cleaned, 10, "what nobody uses to be removed")


@pytest.fixture
def taken(place):
    """A pool whose workers may write to its socket's directory."""
    own = h.own_directory(f"{place}/own", "www")
    p = takeovers.Pool(place, ["-s", f"{own}/sock"], "-u", "www", "-F", 1)
    yield p
    p.end()


@pytest.mark.parametrize("changes", [0, 1, 2])
def test_tmpfiles_spares_one_that_was_bound_by_another_name(taken, place,
                                                            program, changes):
    """By whichever spawnd, as the one that serves keeps its path."""
    taken.begin("--", program)
    for _ in range(changes):
        taken.changed("--", program)
        taken.wait_alone()
    clean(place, f"{place}/own")
    assert h.request(f"{place}/own/sock", "pid").status == 200


def test_tmpfiles_spares_it(spawnd, place, program):
    directory = f"{place}/dir"
    os.mkdir(directory)
    started(spawnd, f"{directory}/sock", program, "-u", "www")
    clean(place, directory)
    assert h.request(f"{directory}/sock", "pid").status == 200


@pytest.mark.parametrize("argv", [["fuser"], ["lsof", "-t"]],
                         ids=["fuser", "lsof"])
def test_who_uses_it_can_be_asked(spawnd, place, program, argv):
    s = started(spawnd, f"{place}/sock", program, "-u", "www")
    r = subprocess.run([*argv, f"{place}/sock"], capture_output=True,
                       text=True, timeout=60, check=False)
    assert {int(n) for n in r.stdout.split()} == {s.pid, *s.workers()}


def test_ss_shows_it(spawnd, place, program):
    s = started(spawnd, f"{place}/sock", program, "-u", "www")
    r = subprocess.run(["ss", "-xlpn"], capture_output=True, text=True,
                       timeout=60, check=True)
    line, = [x for x in r.stdout.splitlines() if f" {place}/sock " in x]
    assert f"pid={s.pid}," in line


# Somebody who may replace a directory on the way

class Way:
    """Starts of spawnd, call by call, that fail when they exec the program;
    a directory above the socket's is another user's."""

    def __init__(self, place):
        self.top = h.own_directory(f"{place}/hostile", "web")
        self.victim = h.own_directory(f"{place}/victim", "root", 0o700)
        self.addr = f"{self.top}/dir/sock"

    def start(self):
        h.empty_directory(self.top)
        try:
            os.unlink(f"{self.top}/dir")
        except FileNotFoundError:
            pass
        os.mkdir(f"{self.top}/dir", 0o755)
        return h.Stepped([h.SPAWND, "-n", "-s", self.addr, "-u", "www",
                          "--", "/nonexistent/program"])

    def bound(self):
        """The step at which its socket is there."""
        p = self.start()
        try:
            while p.step():
                if os.path.exists(self.addr):
                    return p.steps
        finally:
            p.kill()
        raise AssertionError("there was no socket")

    def swap(self):
        os.rename(f"{self.top}/dir", f"{self.top}/old")
        os.symlink(self.victim, f"{self.top}/dir")
        # Root follows links of its own.
        os.lchown(f"{self.top}/dir", h.USERS["web"], h.USERS["web"])


def test_swapping_a_directory_at_any_system_call_leads_nowhere(place):
    w = Way(place)
    last = w.bound()
    statuses = set()
    for step in range(last - 90, last + 6):
        p = w.start()
        try:
            while p.steps < step:
                assert p.step(), f"it ended before step {step}"
            w.swap()
            statuses.add(p.release().wait(10))
        finally:
            p.kill()
        assert os.listdir(w.victim) == [], f"swapped at step {step}"
    assert statuses == {EX_CANTCREAT, EX_UNAVAILABLE}
