# SPDX-License-Identifier: ISC
"""The packages of Debian in a booted system: scripts/deb-check.sh builds them
and starts these tests."""

import glob
import os
import shutil
import signal

import pytest

import harness as h
import machine
from test_takeover_systemd import Load

PLAIN_ONLY = True       # the packages are what is tested
DEBS = os.environ.get("DEBS", "")
# What is written down of each installation, whatever it is.
BOOKS = ("/etc/ld.so.cache", "/var/cache/", "/var/lib/apt/", "/var/lib/dpkg/",
         "/var/log/")
MOUNTS = ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp")


@pytest.fixture
def booted():
    place = h.new_place()
    m = machine.Machine(place)
    # The root is made without manuals; a package has them.
    os.unlink(m.path("/etc/dpkg/dpkg.cfg.d/99mmdebstrap"))
    m.program(h.app("echo"), "/usr/bin/echo-app")
    os.mkdir(m.path("/debs"))
    for version in ("a", "newer"):
        os.mkdir(m.path(f"/debs/{version}"))
        for deb in glob.glob(f"{DEBS}/{version}/*.deb"):
            name = os.path.basename(deb).split("_")[0]
            shutil.copy(deb, m.path(f"/debs/{version}/{name}.deb"))
    with machine.booted(m, place):
        yield m


def apt(m, *args, **kw):
    return m.run("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q",
                 "-y", "-o", "APT::Sandbox::User=root", *args, deadline=120,
                 **kw)


def install(m, version="a", *names):
    r = apt(m, "install", *(f"/debs/{version}/{name}.deb"
                            for name in names or ["spawnd"]))
    return r.stdout + r.stderr


def installed(m, name):
    r = m.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", name,
              check=False)
    return r.stdout.strip()


def start(m, name, socket=False):
    """A pool by its unit; returns the path of its socket, from here."""
    where = f"/run/spawnd-{name}.sock" if socket else f"/run/spawnd/{name}/s"
    m.configure(name, "-F 2" if socket else f"-F 2 -s {where}",
                "/usr/bin/echo-app")
    m.systemctl("enable", "--now", f"spawnd@{name}." +
                ("socket" if socket else "service"))
    return m.path(where)


def by_hand(m, name):
    """A pool that no service manager knows, with a file as that of init.d."""
    where = f"/run/{name}.sock"
    words = ["-s", where, "-U", "www-data", "-u", "www-data", "-F", "2"]
    m.configure(name, " ".join(words), "/usr/bin/echo-app")
    m.run("spawnd", "--name", name, *words, "--", "/usr/bin/echo-app")
    return m.path(where)


def supervisor(m, path):
    worker = int(h.request(path, deadline=20).headers["x-pid"])
    return h.stat(m.outside(worker)).ppid


def runs(m, pid):
    """Is that the program which is installed?"""
    return os.path.samefile(f"/proc/{pid}/exe", m.path("/usr/sbin/spawnd"))


def tree(m):
    found = set()
    top = m.path("")
    for where, dirs, names in os.walk(top):
        inside = where[len(top):]
        dirs[:] = [d for d in dirs if f"{inside}/{d}" not in MOUNTS]
        found |= {f"{inside}/{name}" for name in dirs + names}
    return {p for p in found if not p.startswith(BOOKS)}


@h.soak
def test_it_starts_nothing_and_has_all_that_a_pool_needs(booted):
    install(booted)
    assert not booted.run("spawnctl", "list").stdout
    path = start(booted, "app", socket=True)
    assert h.request(path, deadline=20).status == 200
    assert runs(booted, supervisor(booted, path))
    assert "nothing would change" in booted.run("spawnctl", "diff").stdout


@h.soak
def test_an_upgrade_takes_over_and_loses_no_request(booted):
    install(booted)
    paths = [start(booted, "one"), start(booted, "two", socket=True),
             by_hand(booted, "hand")]
    before = [supervisor(booted, path) for path in paths]
    with Load(booted, paths[0]), Load(booted, paths[1]), \
            Load(booted, paths[2]):
        said = install(booted, "newer")
    assert "version before" not in said
    for pid in before:
        h.wait_for(lambda: not h.alive(pid), 20, "the end of those before")
    after = [supervisor(booted, path) for path in paths]
    assert not set(before) & set(after)
    assert all(runs(booted, pid) for pid in after)
    for unit in ("spawnd@one.service", "spawnd@two.service"):
        booted.until(unit, "ActiveState", "active")
        assert booted.show(unit, "NRestarts") == "0"
    assert [booted.outside(booted.main_pid(f"spawnd@{name}.service"))
            for name in ("one", "two")] == after[:2]


@h.soak
def test_an_upgrade_needs_no_pool(booted):
    install(booted)
    install(booted, "newer")
    assert installed(booted, "spawnd") == "ii"


@h.soak
def test_an_upgrade_goes_on_after_what_cannot_be_taken_over(booted):
    install(booted)
    paths = [start(booted, "broken"), by_hand(booted, "hand"),
             start(booted, "sound")]
    before = [supervisor(booted, path) for path in paths]
    booted.configure("broken", "-F many", "/usr/bin/echo-app")
    os.unlink(booted.path("/etc/spawnd/hand.conf"))
    said = install(booted, "newer")
    for name in ("broken", "hand"):
        assert f"pool {name}: still the version before" in said, said
    assert "pool sound" not in said
    h.wait_for(lambda: not h.alive(before[2]), 20, "its end")
    after = [supervisor(booted, path) for path in paths]
    assert after[:2] == before[:2] and after[2] != before[2]
    assert installed(booted, "spawnd") == "ii"


@h.soak
def test_an_upgrade_asks_the_policy(booted):
    install(booted)
    path = start(booted, "app")
    before = supervisor(booted, path)
    booted.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
    install(booted, "newer")
    assert supervisor(booted, path) == before
    os.unlink(booted.path("/usr/sbin/policy-rc.d"))


@h.soak
def test_removed_and_purged_nothing_is_left(booted):
    before = tree(booted)
    install(booted)
    assert "/usr/share/man/man8/spawnd.8.gz" in tree(booted) - before
    paths = [start(booted, "one"), start(booted, "two", socket=True),
             by_hand(booted, "hand")]
    booted.write("/etc/systemd/system/spawnd@one.service.d/override.conf",
                 "[Service]\nUser=www-data\n")
    pids = [supervisor(booted, path) for path in paths]
    # Another spawnd than the package's: nothing of it is touched.
    booted.program(h.SPAWND, "/opt/spawnd")
    booted.run("/opt/spawnd", "--name", "other", "-s", "/run/other.sock",
               "-U", "www-data", "-u", "www-data", "--", "/usr/bin/echo-app")
    other = booted.path("/run/other.sock")

    apt(booted, "remove", "spawnd")
    for pid in pids:
        h.wait_for(lambda: not h.alive(pid), 20, "the end of the pools")
    assert os.path.exists(booted.path("/etc/spawnd/one.conf"))
    assert h.request(other).status == 200
    pid = supervisor(booted, other)
    os.kill(pid, signal.SIGTERM)
    h.wait_for(lambda: not h.alive(pid), 20, "the end of the other")
    os.unlink(booted.path("/opt/spawnd"))
    apt(booted, "purge", "spawnd")
    assert tree(booted) == before
    # The directories of those started by hand stay, as they do at their end.
    assert set(glob.glob(booted.path("/run/*spawnd*"))) == \
        {booted.path("/run/spawnd")}
    assert set(os.listdir(booted.path("/run/spawnd"))) == {"hand", "other"}
    assert installed(booted, "spawnd") in ("", "un")
    assert not booted.systemctl("list-units", "--all", "--plain",
                                "--no-legend", "spawnd*").stdout


@h.soak
def test_a_running_pool_goes_with_a_removal_and_comes_again(booted):
    install(booted)
    path = start(booted, "app", socket=True)
    apt(booted, "remove", "spawnd")
    with pytest.raises(h.FcgiError):
        h.request(path)
    install(booted)
    booted.systemctl("start", "spawnd@app.socket")
    assert h.request(path, deadline=20).status == 200


@h.soak
def test_compat_takes_the_place_of_those_whose_names_it_has(booted):
    assert installed(booted, "spawn-fcgi") == "ii"
    install(booted, "a", "spawnd", "spawnd-compat")
    assert installed(booted, "spawn-fcgi") != "ii"
    assert installed(booted, "multiwatch") != "ii"
    for name in ("spawn-fcgi", "multiwatch"):
        path = booted.run("readlink", "-f", f"/usr/bin/{name}").stdout.strip()
        assert path == "/usr/sbin/spawnd"
    r = booted.run("spawn-fcgi", "-s", "/run/old.sock", "-u", "www-data",
                   "-P", "/run/old.pid", "--", "/usr/bin/echo-app")
    assert "spawn-fcgi: child spawned successfully" in r.stdout + r.stderr
    assert runs(booted, supervisor(booted, booted.path("/run/old.sock")))
    with open(booted.path("/run/old.pid")) as f:
        booted.run("kill", f.read().strip())
    apt(booted, "purge", "spawnd-compat")
    assert not os.path.lexists(booted.path("/usr/bin/spawn-fcgi"))
    assert installed(booted, "spawnd") == "ii"


@h.soak
def test_the_page_is_a_package_of_its_own(booted):
    install(booted)
    program = booted.path("/usr/libexec/spawnd-status")
    assert not os.path.lexists(program)
    install(booted, "a", "spawnd", "spawnd-status")
    r = booted.run("/usr/libexec/spawnd-status", "--version")
    assert r.stdout.startswith("spawnd-status ")
    apt(booted, "purge", "spawnd-status")
    assert not os.path.lexists(program)
    assert installed(booted, "spawnd") == "ii"
