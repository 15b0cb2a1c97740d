# SPDX-License-Identifier: ISC
"""
spawnd as spawn-fcgi and multiwatch, against those programs themselves: each
command line is run by both, and what is seen has to be the same but for what
the table says, with the reason. As kfcgi, which Debian does not have, and
under an init script made for spawn-fcgi, unchanged.
"""

import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

import harness as h
import peers
from stubs import Mounted

ECHO = h.app("echo")
PLACE = f"{h.PLACES}/names"
ENV = {"PATH": "/usr/bin:/bin", "LANG": "C", "ODD.name": "1", "EMPTY": "",
       "HOME": "/nowhere", "A": "a=b", "SECRET": "x y", "PHPRC": "/x"}


def row(name, *args, differs=None, app=ECHO, exe=None, **kw):
    """A line of a table. {} in an argument is the place; `app` None: the
    arguments have it, if any; `differs`: {what is seen: the reason}."""
    exe = exe or app or ECHO
    tail = ("--", app) if app else ()
    return pytest.param((*args, *tail), differs or {}, exe, kw, id=name)


def compare(program, args, differs, exe, kw):
    """The originals look after a tenth of a second whether their child has
    failed, and on a machine with other load it may not have got there."""
    for _ in range(5):
        theirs, ours = run_both(program, args, exe, kw)
        found = peers.differences(theirs, ours)
        if set(found) == set(differs):
            return theirs, ours
    pytest.fail(f"{found}\n{theirs.err}\n{ours.err}")


def run_both(program, args, exe, kw):
    """Each in a new PLACE of the same name."""
    both = []
    names = peers.links()
    for binary in (peers.ORIGINALS[program], f"{names}/{program}"):
        shutil.rmtree(PLACE, ignore_errors=True)
        os.makedirs(PLACE)
        # As it should be: what others may write is warned of, by ours only.
        os.chmod(PLACE, 0o777 if "user" in kw else 0o755)
        argv = [binary, *(a.replace("{}", PLACE) for a in args)]
        both.append(peers.observe(argv, PLACE, exe, **kw))
        shutil.rmtree(PLACE)
    return both


# What is done before

def stale(place):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(f"{place}/s")


def in_use(place):
    s = socket.socket(socket.AF_UNIX)
    s.bind(f"{place}/s")
    s.listen(1)
    in_use.keep = s


def regular(place):
    with open(f"{place}/s", "w", encoding="ascii") as f:
        f.write("precious")


def old_pidfile(place):
    with open(f"{place}/pid", "w", encoding="ascii") as f:
        f.write("999999")


def jail(place):
    h.make_jail(place)


def directory(place):
    h.own_directory(f"{place}/dir", "root")
    h.install(ECHO, f"{place}/dir/app")


def closed_directory(place):
    """Where nobody but root may go, and where the command is started."""
    h.own_directory(f"{place}/closed", "root", 0o700)


def not_executable(place):
    h.install(ECHO, f"{place}/app", 0o644)


def no_program(place):
    with open(f"{place}/app", "w", encoding="ascii") as f:
        f.write("nothing\n")
    os.chmod(f"{place}/app", 0o755)


# What is looked at beside the rest

def backlog(_):
    out = subprocess.run(["ss", "-Hlxn"], check=True, encoding="ascii",
                         stdout=subprocess.PIPE).stdout
    return re.findall(rf"LISTEN\s+\d+\s+(\d+)\s+(?:{PLACE}/)?s(?:\.spawnd)?\s",
                      out)


def both_families(_):
    return [h.request((a, 9000)).status for a in ("::1", "127.0.0.1")]


def answers(_):
    return h.request(f"{PLACE}/s").status


OPEN = os.open("/dev/null", os.O_RDONLY)
S = ("-s", "{}/s")
NOT_READY = "a start is over when the application accepts, not after 0.1 s"
GONE = "nothing is left of a start that has failed"
NULL = "no /dev/null is needed in the jail"
ONE_LINE = "one line and one pid, the supervisor's, for all processes"
AN_ERROR = "is an error, not ignored"

SPAWN_FCGI = [
    row("unix", *S, look=answers),
    row("environment", *S, env=ENV),
    row("nothing in it", *S, env={}),
    row("umask 077", *S, umask=0o077),
    row("umask 002", *S, umask=0o002),
    row("umask 0", *S, umask=0),
    row("mode", *S, "-M", "0666", umask=0o077),
    row("mode 0600", *S, "-M600"),
    row("user", *S, "-u", "_app"),
    row("user with groups", *S, "-u", "many"),
    row("user and group", *S, "-u", "_app", "-g", "www"),
    row("owner", *S, "-u", "_app", "-U", "www"),
    row("owner and group", *S, "-u", "_app", "-U", "www", "-G", "web"),
    row("group of the socket", *S, "-u", "_app", "-G", "web"),
    row("only an owner", *S, "-U", "www", "-G", "web"),
    row("numbers", *S, "-u", "68", "-g", "68", "-U", "67", "-G", "69"),
    row("php children", *S, "-C", "5", env=ENV),
    row("no php children", *S, "-C", "0"),
    row("backlog", *S, "-b", "17", look=backlog),
    row("default backlog", *S, look=backlog),
    row("stale socket", *S, prepare=stale, look=answers),
    row("pidfile", *S, "-P", "{}/pid"),
    row("pidfile that is there", *S, "-P", "{}/pid", prepare=old_pidfile),
    row("chdir", *S, "-d", "{}/dir", "-u", "www", prepare=directory),
    row("cwd of root's own", "-s", "../s", "-u", "www", cwd=f"{PLACE}/closed",
        prepare=closed_directory),
    row("jail", "-s", "/run/s", "-c", "{}", "-u", "_app", prepare=jail,
        app="/fcgi-bin/app", exe=f"{PLACE}/fcgi-bin/app",
        differs={"fds": NULL}),
    row("jail, socket outside", "-S", *S, "-c", "{}", "-u", "_app",
        prepare=jail, app="/fcgi-bin/app", exe=f"{PLACE}/fcgi-bin/app",
        differs={"fds": NULL}),
    row("jail and chdir", "-s", "/run/s", "-c", "{}", "-u", "_app", "-d",
        "/run", prepare=jail, app="/fcgi-bin/app",
        exe=f"{PLACE}/fcgi-bin/app", differs={"fds": NULL}),
    row("tcp", "-p", "9000"),
    row("tcp on one address", "-a", "127.0.0.1", "-p", "9000"),
    row("tcp of both families", "-a", "::", "-p", "9000",
        look=both_families),
    row("about the other kind of socket", "-p", "9000", "-M", "0666", "-U",
        "www"),
    row("command", *S, "-f", ECHO, app=None),
    row("command and operands", *S, "-f", "/nothing"),
    row("options behind operands", ECHO, *S, "-F1", app=None),
    row("not root", *S, user="www"),
    row("oneself, not root", *S, "-u", "www", "-g", "www", "-U", "www", "-G",
        "www", user="www"),
    row("own group alone, not root", *S, "-g", "www", user="www"),
    row("outside no jail, not root", "-S", *S, user="www"),
    row("several", *S, "-F", "3", differs={"out": ONE_LINE}),
    row("several in a pidfile", *S, "-F3", "-P", "{}/pid",
        differs={"out": ONE_LINE, "pidfile": ONE_LINE}),
    row("relative path", *S, "-d", "{}/dir", app="./app",
        exe=f"{PLACE}/dir/app", prepare=directory,
        differs={"args": "the application is run by its whole path"}),

    row("no supervisor", "-n", *S, stays=True, env=ENV, look=answers),
    row("no supervisor, a user", "-n", *S, "-u", "many", "-U", "www",
        stays=True),
    row("no supervisor, no effect", "-n", *S, "-F4", "-P", "{}/pid",
        stays=True),
    row("no supervisor, chdir", "-n", *S, "-d", "{}/dir", "-u", "www",
        prepare=directory, stays=True, umask=0o027),
    row("no supervisor, jail", "-n", "-s", "/run/s", "-c", "{}", "-u",
        "_app", prepare=jail, app="/fcgi-bin/app",
        exe=f"{PLACE}/fcgi-bin/app", stays=True),
    row("no supervisor, its manager's variables", "-n", *S, stays=True,
        env={"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "MAINPID": "2"}),
    row("no supervisor, open files", "-n", *S, stays=True, open_fds=(OPEN,),
        differs={"fds": "what was left open does not leak"}),
    # Not echo, whose library has handlers of its own.
    row("no supervisor, signals", "-n", *S, "--", "/usr/bin/sleep", "60",
        app=None, exe="/usr/bin/sleep", stays=True),
    row("no supervisor, no such program", "-n", *S, app="/nothing",
        differs={"sockets": GONE}),
    row("no supervisor, no such directory", "-n", *S, "-d", "/nothing",
        differs={"sockets": GONE}),

    row("version", "-v", app=None, differs={"out": "it is spawnd"}),
    row("help", "-h", app=None, differs={"out": "it is spawnd"}),
    row("nothing", app=None, differs={"out": "usage only with -h"}),
    row("no application", *S, app=None),
    row("no socket"),
    row("two sockets", *S, "-p", "9000"),
    row("no port", "-p", "abc"),
    row("port 0", "-p", "0"),
    row("no address", "-a", "localhost", "-p", "9000"),
    row("every address", "-a", "*", "-p", "9000"),
    row("brackets", "-a", "[::]", "-p", "9000"),
    row("nobody's address", "-a", "192.0.2.1", "-p", "9000"),
    row("no such user", *S, "-u", "nosuch"),
    row("no such group", *S, "-u", "www", "-g", "nosuch"),
    row("no such owner", *S, "-U", "nosuch"),
    row("no such group of the socket", *S, "-G", "nosuch"),
    row("root", *S, "-u", "root"),
    row("root's group", *S, "-u", "www", "-g", "root"),
    row("long path", "-s", "{}/" + "x" * 100),
    row("no directory", "-s", "{}/none/s"),
    row("in use", *S, prepare=in_use),
    row("no directory of the pidfile", *S, "-P", "{}/none/pid"),
    row("no such chroot", *S, "-c", "/nothing", "-u", "www"),
    row("no such directory", *S, "-d", "/nothing", differs={"sockets": GONE}),
    row("no such program", *S, app="/nothing", differs={"sockets": GONE}),
    row("not executable", *S, app=f"{PLACE}/app", prepare=not_executable,
        differs={"sockets": GONE}),
    row("no program", *S, app=f"{PLACE}/app", prepare=no_program,
        differs={"sockets": GONE}),
    row("no path search", *S, app="sh", differs={"sockets": GONE}),
    row("status 7", *S, "--", "/bin/sh", "-c", "exit 7", app=None,
        differs={"sockets": GONE}),
    row("killed", *S, "--", "/bin/sh", "-c", "kill -9 $$", app=None,
        differs={"sockets": GONE}),
    row("status 0", *S, app="/bin/true", differs={
        "sockets": GONE, "status": "a start that has failed is no success"}),
    row("late end", *S, "--", "/bin/sh", "-c", "sleep 0.2; exit 3", app=None,
        differs={"sockets": GONE, "status": NOT_READY, "out": NOT_READY}),

    row("unknown option", "-Z", *S, differs={"status": AN_ERROR,
                                             "out": "usage only with -h"}),
    row("no value", "-n", "-s", app=None,
        differs={"status": AN_ERROR, "out": "usage only with -h"}),
    row("port too large", "-p", "99999", differs={
        "status": AN_ERROR, "out": AN_ERROR, "apps": AN_ERROR,
        "listening": AN_ERROR}),
    row("no process", *S, "-F", "0", differs={
        "status": AN_ERROR, "sockets": GONE}),
    row("no mode", *S, "-M", "0888", differs={
        "status": AN_ERROR, "sockets": AN_ERROR, "out": AN_ERROR,
        "apps": AN_ERROR}),
    row("regular file", *S, prepare=regular, differs={
        "status": "a file that is no socket is not removed",
        "sockets": "the same", "out": "the same", "apps": "the same"}),
    row("a number alone", *S, "-u", "12345", differs={
        "status": "root's groups would stay: -g is needed",
        "sockets": "the same", "out": "the same", "apps": "the same"}),
    row("a group alone", *S, "-g", "www", differs={
        "status": "root in another group is root: -u is needed",
        "sockets": "the same", "out": "the same", "apps": "the same"}),
    row("user, not root", *S, "-u", "_app", user="www", differs={
        "status": AN_ERROR, "sockets": AN_ERROR, "out": AN_ERROR,
        "apps": AN_ERROR}),
    row("chroot, not root", *S, "-c", "/nothing", user="www", differs={
        "status": AN_ERROR, "sockets": AN_ERROR, "out": AN_ERROR,
        "apps": AN_ERROR}),
]


@pytest.mark.parametrize("args, differs, exe, kw", SPAWN_FCGI)
def test_as_spawn_fcgi(args, differs, exe, kw):
    theirs, ours = compare("spawn-fcgi", args, differs, exe, kw)
    assert not ours.apps or ours.status in (0, None)
    if ours.status not in (0, None):
        assert ours.err.startswith("spawn-fcgi: ")
        return
    assert ours.err == ""
    if ours.apps and not ours.same_pid:
        assert ours.out == "spawn-fcgi: child spawned successfully: PID: N\n"
        assert ours.out in theirs.out


# multiwatch, with a listen socket as descriptor 0

def listener():
    s = socket.socket(socket.AF_UNIX)
    s.bind(f"{h.PLACES}/listener")
    os.unlink(f"{h.PLACES}/listener")
    s.listen(16)
    return s


TRIES = "a process is not given up; a start that fails is not a success"

MULTIWATCH = [
    row("one", stays=True, env=ENV),
    row("several", "-f", "3", stays=True, apps=3, umask=0o027),
    row("long names", "--forks=2", "--signal", "TERM", "--retry=1",
        "--timeout", "100", stays=True, apps=2),
    row("not root", "-f", "2", stays=True, apps=2, user="many"),
    row("options behind operands", ECHO, "-f", "2", app=None, stays=True,
        apps=2),
    row("INT", stays=True, stop=signal.SIGINT),
    row("HUP", stays=True, stop=signal.SIGHUP),
    row("USR1", stays=True, stop=signal.SIGUSR1),
    row("QUIT", stays=True, stop=signal.SIGQUIT),
    row("unknown option", "-Z"),
    row("no number", "-f", "abc"),
    row("no such signal", "-s", "FOO"),
    row("version", "-v", app=None, differs={
        "out": "on standard output, as -h"}),
    row("no processes", "-f", "0", differs={"status": "255 for all errors"}),
    row("no application", app=None, differs={"status": "255 for all errors"}),
    row("no tries", "-r", "0", differs={"status": "255 for all errors"}),
    row("no such program", app="/nothing", differs={"status": TRIES}),
    row("fails", "-r", "1", app="/bin/false", differs={"status": TRIES}),
]


@pytest.mark.parametrize("args, differs, exe, kw", MULTIWATCH)
def test_as_multiwatch(args, differs, exe, kw):
    with listener() as s:
        compare("multiwatch", args, differs, exe, dict(kw, stdin=s))


def test_multiwatch_needs_a_listen_socket(place):
    seen = peers.observe([f"{peers.links()}/multiwatch", "--", ECHO], place,
                         ECHO)
    assert (seen.status, seen.apps) == (255, [])
    assert "multiwatch: descriptor N: is not a listening" in seen.err


@pytest.mark.parametrize("outer", ["theirs", "ours"])
@pytest.mark.parametrize("inner", ["theirs", "ours"])
def test_nested(outer, inner, place):
    ours = peers.links()
    argv = [peers.ORIGINALS["spawn-fcgi"] if outer == "theirs" else
            f"{ours}/spawn-fcgi", "-n", "-s", f"{place}/s", "-M", "0666",
            "-u", "_app", "--",
            peers.ORIGINALS["multiwatch"] if inner == "theirs" else
            f"{ours}/multiwatch", "-f", "4", "--", ECHO]
    seen = peers.observe(argv, place, ECHO, stays=True, apps=4,
                         look=lambda _: h.request(f"{place}/s").status)
    assert (seen.look, seen.late) == (200, 0)
    assert seen.sockets == {"s": "_app:_app 0666"}
    assert [a["uid"][0] for a in seen.apps] == [68] * 4


# What the supervisor adds

@pytest.fixture
def supervised(place):
    pids = []

    def start(*args, **kw):
        pids.append(peers.started(place, *args, **kw)[0])
        return pids[-1]
    yield start
    for pid in pids:
        h.kill(pid)
        h.wait_for(lambda: not h.alive(pid), 10, f"end of {pid}")
    h.wait_for(lambda: not peers.running(ECHO), 10, "end of the workers")


def test_a_dead_process_is_replaced(supervised, place):
    pid = supervised("-s", f"{place}/s", "-F2", "-u", "www", "-P",
                     f"{place}/pid", "--", ECHO)
    with open(f"{place}/pid", encoding="ascii") as f:
        assert f.read() == f"{pid}\n"
    old = h.children(pid)
    assert len(old) == 2
    h.kill(old[0])
    h.wait_for(lambda: len(h.children(pid)) == 2 and
               old[0] not in h.children(pid), 10, "a new one")
    assert h.request(f"{place}/s").status == 200


def test_the_title_is_the_applications_path(supervised, place):
    pid = supervised("-s", f"{place}/s", "-u", "www", "--", ECHO,
                     env={"LONG": "x" * 4000})
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        title = f.read()
    # What ps and pgrep -f show has nothing of the command line's rest.
    assert title.rstrip(b"\0") == f"{ECHO}\0: supervisor".encode()
    assert h.environ(h.children(pid)[0])["LONG"] == "x" * 4000


def test_the_environment_does_not_stay_in_the_supervisor(supervised, place):
    pid = supervised("-s", f"{place}/s", "-u", "www", "--", ECHO,
                     env={"SECRET": "hidden"})
    with open(f"/proc/{pid}/environ", "rb") as f:
        assert b"hidden" not in f.read()


def test_nobody_can_hold_up_a_start_by_the_pidfile(supervised, place):
    with open(f"{place}/pid", "w", encoding="ascii") as f:
        import fcntl
        fcntl.flock(f, fcntl.LOCK_EX)
        pid = supervised("-s", f"{place}/s", "-u", "www", "-P",
                         f"{place}/pid", "--", ECHO)
    # And a second start, which fails, does not touch it.
    r = subprocess.run([f"{peers.links()}/spawn-fcgi", "-s", f"{place}/s",
                        "-u", "www", "-P", f"{place}/pid", "--", ECHO],
                       stderr=subprocess.PIPE,
                       timeout=20 * h.PATIENCE, check=False,
                       env=dict(h.BASE_ENV, **h.sanitizer_env()))
    assert r.returncode == 255 and b"in use by pid" in r.stderr
    with open(f"{place}/pid", encoding="ascii") as f:
        assert f.read() == f"{pid}\n"


def test_the_old_one_leaves_the_pidfile_of_the_new_one(supervised, place):
    old = supervised("-s", f"{place}/s", "-P", f"{place}/pid", "--", ECHO)
    client = h.Connection(f"{place}/s")
    client.send("hold&pid")
    workers = h.children(old)
    h.kill(old, signal.SIGTERM)
    new = supervised("-s", f"{place}/s2", "-P", f"{place}/pid", "--", ECHO)
    assert h.alive(old)
    h.let_go(workers)
    assert client.receive().status == 200
    client.close()
    h.wait_for(lambda: not h.alive(old), 10, f"end of {old}")
    with open(f"{place}/pid", encoding="ascii") as f:
        assert f.read() == f"{new}\n"


@pytest.mark.parametrize("how", ["stdin", "LISTEN_FDS"])
def test_a_socket_that_is_passed_in_is_not_wanted(place, how):
    with socket.socket(socket.AF_UNIX) as passed:
        passed.bind(f"{place}/passed")
        passed.listen()
        wrap = ["sh", "-c", 'exec 3<&0 </dev/null; LISTEN_FDS=1 '
                'LISTEN_PID=$$ exec "$@"', "sh"] if how != "stdin" else []
        out = subprocess.run(
            [*wrap, f"{peers.links()}/spawn-fcgi", "-s", f"{place}/s", "--",
             ECHO], stdin=passed, check=True, stdout=subprocess.PIPE,
            timeout=20 * h.PATIENCE,
            env=dict(h.BASE_ENV, **h.sanitizer_env())).stdout
        pid = int(out.split()[-1])
        inode = os.fstat(passed.fileno()).st_ino
        holders = [p for p in (pid, *h.children(pid))
                   if f"socket:[{inode}]" in map(str, h.fds(p).values())]
        answer = h.request(f"{place}/s").status
        h.kill(pid, signal.SIGTERM)
        h.wait_for(lambda: not h.alive(pid), 10, f"end of {pid}")
        assert (answer, holders) == (200, [])


def test_bounds_that_were_given_are_not_said_not_to_be():
    r = subprocess.run([f"{peers.links()}/kfcgi", "-U", "www", "-r", "-n", "8",
                        "-N", "5", "--", "/app"], check=False,
                       stderr=subprocess.PIPE, encoding="ascii",
                       timeout=20 * h.PATIENCE,
                       env=dict(h.BASE_ENV, **h.sanitizer_env()))
    assert r.returncode == 1 and "below" in r.stderr, r
    assert "not given" not in r.stderr


def test_nothing_stays_in_a_jail_of_root_but_rights(supervised, place):
    """Without -u the application is root, as under spawn-fcgi."""
    pid = supervised("-s", f"{place}/s", "--", ECHO)
    assert h.caps(pid)["CapEff"] == h.caps(os.getpid())["CapEff"] != 0


# kfcgi

def kfcgi(*args):
    return subprocess.run([f"{peers.links()}/kfcgi", *args],
                          timeout=20 * h.PATIENCE,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, encoding="utf-8",
                          check=False, env=dict(ENV, **h.sanitizer_env()))


def test_as_kfcgi(www):
    h.make_jail(www, owner="root")
    exe = f"{www}/fcgi-bin/app"
    seen = peers.observe(
        [f"{peers.links()}/kfcgi", "-u", "web", "-U", "many", "-n", "2", "--",
         "/fcgi-bin/app"], www, exe, env=ENV, apps=2, user=None,
        look=lambda _: h.request(f"{www}/run/httpd.sock").status)
    assert (seen.status, seen.look) == (0, 200)
    assert seen.sockets == {"run/httpd.sock": "web:web 0660"}
    assert len(seen.apps) == 2
    for app in seen.apps:
        assert (app["uid"][0], app["gid"][0]) == (70, 70)
        assert app["groups"] == [70, 71, 72, 73]      # root's are not kept
        assert (app["cwd"], app["root"]) == (www, www)
        assert app["env"] == ENV
        assert app["fds"][0] == "socket:"


def test_kfcgi_stays_in_the_foreground(www):
    h.make_jail(www, owner="root")
    seen = peers.observe(
        [f"{peers.links()}/kfcgi", "-d", "-n1", "-u", "web", "-U", "www",
         "-l", "3", "--", "/fcgi-bin/app"], www, f"{www}/fcgi-bin/app",
        stays=True)
    assert (seen.status, seen.late) == (None, 0)


def test_kfcgi_grows_and_shrinks(www):
    """-r serves any program: this one knows nothing of kcgi."""
    h.make_jail(www, "static", owner="root")
    path = f"{www}/run/httpd.sock"
    exe = f"{www}/fcgi-bin/app"

    def look(_):
        busy = [h.Connection(path) for _ in range(3)]
        for c in busy:
            c.send("sleep=1500")
        h.wait_for(lambda: len(peers.running(exe)) > 1, 5, "more workers")
        for c in busy:
            assert c.receive().status == 200
            c.close()
        h.wait_for(lambda: len(peers.running(exe)) == 1, 15, "one worker")
        return True
    seen = peers.observe(
        [f"{peers.links()}/kfcgi", "-r", "-n1", "-N3", "-w1", "-U", "www",
         "--", "/fcgi-bin/app"], www, exe, look=look)
    assert (seen.status, seen.look) == (0, True)


@pytest.mark.parametrize("args, status, text", [
    (["-u", "www", "-U", "nosuch"], 1, "kfcgi: -U: nosuch: no such user"),
    (["-u", "nosuch", "-U", "www"], 1, "kfcgi: -u: nosuch: no such user"),
    (["-u", "www"], 1, "kfcgi: -U: is required as root"),
    (["-U", "www", "-s", "/tmp/a -u: b -c:/"], 1,
     "kfcgi: -s: /tmp/a -u: b -c:/: does not name a file"),
    (["-r", "-n4", "-N2", "-U", "www"], 1, "kfcgi: -N: 2: "),
    (["-p", "/nothing", "-U", "www"], 1, "kfcgi: chroot: /nothing: No such"),
])
def test_kfcgi_refuses(args, status, text):
    r = kfcgi(*args, "--", "/app")
    assert r.returncode == status
    assert r.stderr.startswith(text) and r.stderr.count("\n") == 1


@pytest.mark.parametrize("args, text", [
    ([], "chroot: /var/www: only root may do this (start kfcgi as root)"),
    (["-r"], "chroot: /var/www: only root may do this (start kfcgi as root)"),
    (["-U", "www"], "-U: only root may ask for this (start kfcgi as root)"),
    (["-p", "/run", "-u", "www", "-s", "/run/t/a"],
     "-p, -u: only root may ask for this (start kfcgi as root)"),
])
def test_kfcgi_without_root(args, text):
    """It names itself, and of its options those that were given."""
    r = subprocess.run([f"{peers.links()}/kfcgi", *args, "--", "/app"],
                       timeout=20 * h.PATIENCE, check=False,
                       capture_output=True,
                       text=True, preexec_fn=h.become_user("many"))
    assert (r.returncode, r.stderr) == (1, f"kfcgi: {text}\n")


# An init script made for spawn-fcgi

@pytest.fixture
def fcgiwrap():
    with Mounted("/usr/bin/spawn-fcgi", "--bind", h.SPAWND):
        yield
        for pid in peers.running(h.SPAWND, "/usr/bin/spawn-fcgi"):
            h.kill(pid)
        h.wait_for(lambda: not peers.running("/usr/sbin/fcgiwrap"), 10,
                   "end of fcgiwrap")


def init(action):
    return subprocess.run(["/etc/init.d/fcgiwrap", action], timeout=60,
                          check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=dict(h.BASE_ENV, **h.sanitizer_env()),
                          encoding="utf-8")


def supervisor():
    with open("/run/fcgiwrap.pid", encoding="ascii") as f:
        return int(f.read())


def test_debians_init_script_of_fcgiwrap(fcgiwrap):
    assert init("status").returncode == 1
    r = init("start")
    assert r.returncode == 0 and "failed" not in r.stdout, r.stdout
    pid = supervisor()
    assert peers.exe(pid) == "/usr/bin/spawn-fcgi"
    assert peers.owner("/run/fcgiwrap.socket") == "www-data:www-data 0640"
    # fcgiwrap has no script to run, and says so.
    assert h.request("/run/fcgiwrap.socket").status in (403, 502)
    assert init("status").returncode == 0
    h.kill(peers.running("/usr/sbin/fcgiwrap")[0])
    h.wait_for(lambda: peers.running("/usr/sbin/fcgiwrap"), 10, "a new one")
    assert init("start").returncode == 0        # "already running"
    assert supervisor() == pid
    r = init("stop")
    assert r.returncode == 0 and "failed" not in r.stdout, r.stdout
    assert not h.alive(pid) and not peers.running("/usr/sbin/fcgiwrap")
    assert not os.path.exists("/run/fcgiwrap.pid")
    assert init("status").returncode == 1
