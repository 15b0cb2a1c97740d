# SPDX-License-Identifier: ISC
"""
By which name the program runs that spawnd stands in for, whatever argv[0]
says; and by which the application's process is found, which is a supervisor:
with the tools of Debian, on the original as well. These see only processes of
the tests' own namespace.
"""

import glob
import os
import subprocess

import pytest

import harness as h
import peers

PERL = h.source("app.pl")
NAMES = {"short": "fcgi-app", "long": "an-application-of-a-long-name"}


@pytest.fixture
def ends():
    """Processes that end with the test, and their children."""
    pids = []
    yield pids
    for pid in pids:
        left = [pid, *h.children(pid)]
        for p in left:
            h.kill(p)
        h.wait_for(lambda: not any(map(h.alive, left)), 10, f"end of {left}")


# Which file was executed

def said(*argv, **kw):
    """What the program says that it is."""
    return subprocess.run([*argv, "-v"], check=True, stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, encoding="ascii",
                          env={**h.BASE_ENV, **h.sanitizer_env()},
                          timeout=20 * h.PATIENCE,
                          **kw).stdout.partition(" of spawnd")[0]


@pytest.mark.parametrize("argv0", ["/usr/bin/php-cgi", "", "kfcgi", "a b"])
@pytest.mark.parametrize("name", ["spawn-fcgi", "multiwatch"])
def test_argv0_does_not_matter(name, argv0):
    # By fork, which cwd asks for: Python's posix_spawn refuses an empty one.
    assert said(argv0, executable=f"{peers.links()}/{name}", cwd="/") == name


def test_nor_does_it_turn_spawnd_into_another(place):
    program = f"{place}/spawnd"
    os.symlink(h.SPAWND, program)
    assert said("spawn-fcgi", executable=program).startswith("spawnd ")


def test_a_relative_path(place):
    assert said("x", executable="./multiwatch", cwd=peers.links()) == \
        "multiwatch"


def test_a_link_to_the_name(place):
    os.symlink(f"{peers.links()}/spawn-fcgi", f"{place}/starter")
    assert said(f"{place}/starter") == "spawn-fcgi"


def test_the_loader_with_the_program(place):
    loader, = glob.glob("/lib*/ld-linux-*")
    link = f"{peers.links()}/spawn-fcgi"
    assert said(loader, link) == "spawn-fcgi"
    assert said(loader, "--argv0", "app", link) == "spawn-fcgi"


def test_a_descriptor_has_no_name_but_argv0(place):
    """As fexecve(3) does it."""
    fd = os.open(h.SPAWND, os.O_RDONLY)
    assert said("spawn-fcgi", executable=f"/dev/fd/{fd}", pass_fds=[fd]) == \
        "spawn-fcgi"
    os.close(fd)


def test_the_interpreter_of_a_script(place):
    script = f"{place}/script"
    with open(script, "w", encoding="ascii") as f:
        f.write(f"#!{peers.links()}/spawn-fcgi -v\n")
    os.chmod(script, 0o755)
    assert said(script) == "spawn-fcgi"


def test_messages_have_the_name_that_counts(place):
    r = subprocess.run(["php-cgi", "-s", f"{place}/s"], check=False,
                       executable=f"{peers.links()}/spawn-fcgi",
                       timeout=20 * h.PATIENCE,
                       env={**h.BASE_ENV, **h.sanitizer_env()},
                       stderr=subprocess.PIPE, encoding="ascii")
    assert (r.returncode, r.stderr.count("\n")) == (255, 1)
    assert r.stderr.startswith("spawn-fcgi: no application given")


def test_a_start_under_the_name_of_the_application(place, ends):
    app = h.install(h.app("echo"), f"{place}/fcgi-app")
    pid, = peers.started(place, "-s", f"{place}/s", "--", app, argv0=app,
                         env={"KEPT": "1"})
    ends.append(pid)
    worker, = h.children(pid)
    assert h.environ(worker)["KEPT"] == "1"     # spawnd's rules are others
    assert h.request(f"{place}/s").status == 200


# Who is found by the application's name

def installed(place, kind):
    if kind == "script":
        path = h.install(PERL, f"{place}/fcgi-app.pl")
        return path, "/usr/bin/perl"
    path = h.install(h.app("echo"), f"{place}/{NAMES[kind]}")
    return path, path


BY_NAME = {
    "killall": 'killall "$name"',
    "killall -w": 'killall -w "$name"',
    "pidof": 'kill $(pidof -x "$name")',
    "pkill": 'pkill -x "$comm"',
    "pkill -f": 'pkill -f "$path"',
    "start-stop-daemon": 'start-stop-daemon --stop --name "$comm"',
}
# Of an original pidfile of several they take the first.
BY_PIDFILE = {
    "killproc": '. /lib/lsb/init-functions; killproc -p "$PWD/pid" "$path"',
    "killproc TERM": '. /lib/lsb/init-functions; '
                     'killproc -p "$PWD/pid" "$path" TERM',
    "start-stop-daemon, pidfile": 'start-stop-daemon --stop --pidfile '
                                  '"$PWD/pid" --name "$comm"',
    "start-stop-daemon, only that": 'start-stop-daemon --stop --pidfile '
                                    '"$PWD/pid"',
}
# Debian's killproc knows a name by no more than 15 characters.
STOPS = [pytest.param(tool, kind, count, id=f"{name}-{kind}")
         for tools, count in ((BY_NAME, 2), (BY_PIDFILE, 1))
         for name, tool in tools.items()
         for kind in ("short", "long", "script")
         if not (kind == "long" and name.startswith("killproc"))]


def use(tool, place, path):
    name = os.path.basename(path)
    subprocess.run(["bash", "-c", tool], check=True, cwd=place, timeout=60,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   env={**h.BASE_ENV, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                        "name": name, "comm": name[:15], "path": path})


@pytest.mark.parametrize("whose", ["theirs", "ours"])
@pytest.mark.parametrize("tool, kind, count", STOPS)
def test_who_stops_the_application_stops_it_for_good(place, ends, tool, kind,
                                                     count, whose):
    path, exe = installed(place, kind)
    before = peers.running(exe)

    def running():
        return set(peers.running(exe)) - set(before)
    pids = peers.started(
        place, "-s", f"{place}/s", f"-F{count}", "-P", f"{place}/pid", "--",
        path,
        program=peers.ORIGINALS["spawn-fcgi"] if whose == "theirs" else None)
    ends += pids
    apps = h.wait_for(lambda: len(running()) == count and running(), 10,
                      "the processes")
    use(tool, place, path)
    h.wait_for(lambda: not any(map(h.alive, (*pids, *apps))), 10,
               "the end of the application")
    assert not running()
    if whose == "ours":
        assert not os.path.exists(f"{place}/s")


def test_a_busy_process_that_outlives_the_signal_may_finish(place, ends):
    """All have it; the supervisor then waits, as for its own stop."""
    path, _ = installed(place, "short")
    pid, = peers.started(place, "-s", f"{place}/s", "-F2", "--", path, "deaf")
    ends.append(pid)
    with h.Connection(f"{place}/s") as c:
        c.send("hold&pid")
        busy = h.children(pid)
        h.wait_for(lambda: h.request(f"{place}/s", "pid").status == 200, 10,
                   "another request")
        use(BY_NAME["killall"], place, path)
        h.let_go(busy)
        assert c.receive().status == 200
    h.wait_for(lambda: not h.alive(pid), 10, f"end of {pid}")
    assert not peers.running(path)


@pytest.mark.parametrize("signo", ["INT", "QUIT", "KILL"])
def test_other_signals_to_all_end_it_as_well(place, ends, signo):
    path, _ = installed(place, "short")
    pid, = peers.started(place, "-s", f"{place}/s", "-F2", "--", path)
    ends.append(pid)
    use(f'killall -{signo} "$name"', place, path)
    h.wait_for(lambda: not h.alive(pid) and not peers.running(path), 10,
               "the end of the application")


@pytest.mark.parametrize("tool", [
    'kill $(pidof "$path")', 'killall "$path"',
    'start-stop-daemon --stop --exec "$path"'])
def test_who_asks_for_the_file_ends_only_processes_that_come_back(place, ends,
                                                                  tool):
    """The supervisor's file is another, and no name can change that. But
    pidof(8) of Debian 13 goes by the name as well."""
    path, _ = installed(place, "short")
    pid, = peers.started(place, "-s", f"{place}/s", "-F2", "--", path)
    ends.append(pid)
    before = set(h.children(pid))
    if "pidof" in tool and str(pid) in subprocess.run(
            ["pidof", path], check=True, stdout=subprocess.PIPE,
            encoding="ascii").stdout.split():
        tool = tool.replace("pidof", f"pidof -o {pid}")
    use(tool, place, path)
    h.wait_for(lambda: len(h.children(pid)) == 2 and
               not before & set(h.children(pid)), 10, "two new ones")
    assert h.request(f"{place}/s").status == 200


def test_its_file_is_that_of_spawn_fcgi(place, ends):
    """And so a stop by both, the pidfile and that file, finds it."""
    path, _ = installed(place, "short")
    starter = h.install(h.SPAWND, f"{place}/spawn-fcgi")
    pid, = peers.started(place, "-s", f"{place}/s", "-P", f"{place}/pid",
                         "--", path, program=starter)
    ends.append(pid)
    use(f'start-stop-daemon --stop --pidfile "$PWD/pid" --exec {starter}',
        place, path)
    h.wait_for(lambda: not h.alive(pid), 10, f"end of {pid}")
