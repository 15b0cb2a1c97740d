# SPDX-License-Identifier: ISC
"""Root follows nobody's link, however fast it comes and goes, and a test
names what the workers could exchange."""

import ctypes
import errno
import os
import signal
import subprocess

import pytest

import harness as h
import peers

APP = h.USERS["_app"]
ECHO = h.app("echo")
STARTS = 30 if h.brief() else 200
OTHERS = "SECRET=of-another\n"
LINK = "a symbolic link on the way is not owned by root"
SYS_RENAMEAT2, AT_FDCWD, RENAME_EXCHANGE = 316, -100, 2


class Site:
    """srv/ belongs to _app, other/ to root: each has a jail, a socket's
    directory, a file of secrets, a program and a working directory."""

    def __init__(self, base):
        self.base = base
        for top, owner in (("srv", APP), ("other", 0)):
            h.own_directory(f"{base}/{top}", owner)
            for jail in ("jail", "jail/inner"):
                h.install(h.app("static"), f"{base}/{top}/{jail}/fcgi-bin/app")
                h.own_directory(f"{base}/{top}/{jail}/run", owner)
            h.own_directory(f"{base}/{top}/run", owner)
            h.own_directory(f"{base}/{top}/work", owner,
                            0o755 if owner else 0o700)
            h.install(ECHO, f"{base}/{top}/app", 0o755 if owner else 0o700)
        self.secrets("srv", "OWN=1\n")
        self.secrets("other", OTHERS)

    def secrets(self, top, text):
        path = f"{self.base}/{top}/env"
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(path, 0o600)

    def link(self, name, to=None, owner=APP):
        """Puts a link of somebody's in the place of one of srv's."""
        path = f"{self.base}/srv/{name}"
        os.rename(path, path + ".own")
        os.symlink(to or f"{self.base}/other/{name}", path)
        os.lchown(path, owner, owner)


@pytest.fixture
def site(place):
    return Site(place)


def sockets(path):
    return [n for n in os.listdir(path) if n.endswith(".sock")]


# What is exchanged; the command line, in which {} is srv; and whether a pool
# of that kind has got what is another's. -d and the program are looked up by
# the worker, who has no more rights than who made the link.
def jail_won(base, pid):
    return any(h.link(w, "root").startswith(f"{base}/other")
               for w in h.children(pid))


def env_won(base, pid):
    return any("SECRET" in h.environ(w) for w in h.children(pid))


def socket_won(base, pid):
    return sockets(f"{base}/other/run")


def inner_won(base, pid):
    return sockets(f"{base}/srv/jail/inner/run")


def work_won(base, pid):
    return any(h.link(w, "cwd").startswith(f"{base}/other")
               for w in h.children(pid))


def program_won(base, pid):
    return any(h.link(w, "exe").startswith(f"{base}/other")
               for w in h.children(pid))


KINDS = {
    "jail": ("jail", None, jail_won,
             ["-c", "{}/jail", "-S", "-s", "{}/a.sock", "/fcgi-bin/app"]),
    "jail on the way": ("jail", None, jail_won, [
        "-c", "{}/jail/inner", "-S", "-s", "{}/a.sock", "/fcgi-bin/app"]),
    "env": ("env", None, env_won,
            ["-s", "{}/a.sock", "--env-file", "{}/env", ECHO]),
    "socket": ("run", None, socket_won, ["-s", "{}/run/a.sock", ECHO]),
    "socket in a jail": ("jail/run", "/inner/run", inner_won, [
        "-c", "{}/jail", "-s", "/run/a.sock", "/fcgi-bin/app"]),
    "work": ("work", None, work_won,
             ["-s", "{}/a.sock", "-d", "{}/work", ECHO]),
    "program": ("app", None, program_won, ["-s", "{}/a.sock", "{}/app"]),
}
BY_ROOT = ("jail", "jail on the way", "env", "socket", "socket in a jail")


def command(site, kind):
    return ["-n", "-F", "1", "-u", "_app", "-U", "www", *(
        a.replace("{}", f"{site.base}/srv") for a in KINDS[kind][3])]


def test_filter_of_an_old_container_lets_all_be_found(spawnd, site):
    """It answers EPERM, not ENOSYS, to whatever is newer than Linux 5.0."""
    srv = f"{site.base}/srv"
    how = {"become": lambda: h.forbid_call(424, errno.EPERM, later=True)}
    args = ["-c", f"{srv}/jail", "-S", "-s", f"{srv}/a.sock", "-u", "_app",
            "-F", 1, "-U", "www", "-P", f"{site.base}/pid", "--env-file",
            f"{srv}/env", "--control", f"{site.base}/ctl", "--",
            "/fcgi-bin/app"]
    tried = h.run_spawnd("-t", *args, **how)
    assert tried.status == 0 and "error" not in tried.stderr, tried
    s = spawnd(*args, **how)
    [worker] = s.wait_workers(1)
    assert h.environ(worker)["OWN"] == "1"
    assert h.read(f"{site.base}/pid") == b"%d\n" % s.pid
    assert h.link(worker, "root") == f"{srv}/jail"
    assert os.path.exists(f"{site.base}/ctl")
    assert "no /proc" not in s.log()
    assert s.stop() == 0


@pytest.mark.parametrize("kind", BY_ROOT)
def test_link_of_somebody_else_is_refused(site, kind):
    name, to, won, _ = KINDS[kind]
    if kind == "socket in a jail":
        h.own_directory(f"{site.base}/srv/jail", APP)
    site.link(name, to)
    before = h.tree(f"{site.base}/other")
    r = h.run_spawnd(*command(site, kind))
    assert r.status in (73, 77, 78), r.stderr
    assert LINK in r.stderr.splitlines()[-1]
    assert h.tree(f"{site.base}/other") == before
    assert not won(site.base, os.getpid())
    t = h.run_spawnd("-t", *command(site, kind))
    assert t.status != 0 and LINK in t.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_link_of_roots_own_is_followed(spawnd, site, kind):
    name, to, won, _ = KINDS[kind]
    os.chmod(f"{site.base}/other/work", 0o755)
    os.chmod(f"{site.base}/other/app", 0o755)
    site.link(name, to, owner=0)
    s = spawnd(*command(site, kind)[1:])
    assert won(site.base, s.pid)


def test_file_of_others_with_another_name_is_refused(site):
    os.unlink(f"{site.base}/srv/env")
    os.link(f"{site.base}/other/env", f"{site.base}/srv/env")
    r = h.run_spawnd(*command(site, "env"))
    assert r.status != 0
    assert "more than one hard link" in h.line_of(r)


def swap(one, two):
    """A process of _app's that exchanges them for as long as it lives."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgid(APP)
            os.setuid(APP)
            libc = ctypes.CDLL(None)
            args = (SYS_RENAMEAT2, AT_FDCWD, one.encode(), AT_FDCWD,
                    two.encode(), RENAME_EXCHANGE)
            signal.alarm(120)
            while libc.syscall(*args) == 0:
                pass
        finally:
            os._exit(1)
    return pid


@pytest.mark.parametrize("kind", KINDS)
def test_no_start_is_won_by_who_swaps_a_link(site, kind):
    name, to, won, _ = KINDS[kind]
    if kind == "socket in a jail":
        h.own_directory(f"{site.base}/srv/jail", APP)
    site.link(name, to)
    path = f"{site.base}/srv/{name}"
    swapper = swap(path, path + ".own")
    try:
        started = 0
        for _ in range(STARTS):
            s = h.Spawnd(*command(site, kind)[1:])
            try:
                s.launch()
                started += 1
                assert not won(site.base, s.pid), s.log()
            except h.Ended:
                pass
            finally:
                s.end()
            assert not won(site.base, os.getpid())
        assert h.alive(swapper)
        # Both were met, or the loop was no test.
        assert 0 < started < STARTS
    finally:
        h.kill(swapper)
        os.waitpid(swapper, 0)


# What the test says

def warnings(*args):
    r = h.run_spawnd("-t", "-F", "1", *args)
    return [w for w in r.stdout.splitlines() if w.startswith("warning: ")]


@pytest.mark.parametrize("kind,where", [
    ("jail", "chroot: {}/jail: _app may write {}"),
    ("env", "--env-file: {}/env: _app may write {}"),
    ("work", "chdir: {}/work: _app may write {}"),
    ("program", "exec: {}/app: _app may write {}"),
])
def test_what_the_workers_may_exchange_is_a_warning(site, kind, where):
    where = where.replace("{}", f"{site.base}/srv")
    args = command(site, kind)[1:]
    assert any(f"warning: {where}:" in w for w in warnings(*args)), \
        warnings(*args)
    # Another user's workers could not.
    args[args.index("_app")] = "many"
    assert not any(where.split(": ")[1] in w for w in warnings(*args))
    assert h.run_spawnd("-t", *command(site, kind)).status == 0
    assert h.run_spawnd("--test=strict", *command(site, kind)).status == 78


def test_a_place_is_warned_of_once(site):
    """Whatever it is on the way to."""
    base = site.base
    h.own_directory(f"{base}/srv/jail", APP)
    os.makedirs(f"{base}/srv/jail/work", exist_ok=True)
    found = warnings("-s", f"{base}/s", "-c", f"{base}/srv/jail", "-S", "-d",
                     "/work", "-u", "_app", "--", "/fcgi-bin/app")
    assert len([w for w in found if "replace it" in w]) == 2, found
    inside = [w for w in found if f"_app may write {base}/srv/jail: " in w]
    assert len(inside) == 1, found
    assert f"chdir: /work in {base}/srv/jail, exec: /fcgi-bin/app in " \
        f"{base}/srv/jail: " in inside[0]
    # What is on the way outside: the jail alone.
    [outside] = [w for w in found if w not in inside and "replace it" in w]
    assert f"chroot: {base}/srv/jail: _app may write {base}/srv: " in outside
    found = warnings("-s", f"{base}/s", "-d", f"{base}/srv/work", "-u",
                     "_app", "--env-file", f"{base}/srv/env", "--",
                     f"{base}/srv/app")
    assert len([w for w in found if "replace it" in w]) == 1, found


def test_a_sticky_directory_protects_what_is_roots(site):
    args = ["-s", f"{site.base}/s", "-u", "_app", "-d"]
    top = f"{site.base}/tmp"
    h.own_directory(top, 0, 0o1777)
    h.own_directory(f"{top}/work", 0)
    assert warnings(*args, f"{top}/work", ECHO) == []
    h.own_directory(f"{top}/work", APP)
    assert len(warnings(*args, f"{top}/work", ECHO)) == 1
    h.own_directory(f"{top}/work", 0)
    os.chmod(top, 0o777)
    assert len(warnings(*args, f"{top}/work", ECHO)) == 1


@pytest.mark.parametrize("owner,mode,warned", [
    (0, 0o755, False), (APP, 0o755, True), (0, 0o777, True),
    (h.USERS["www"], 0o755, False)])
def test_socket_directory_that_the_workers_may_write_is_a_warning(
        spawnd, site, owner, mode, warned):
    path = f"{site.base}/run"
    h.own_directory(path, owner, mode)
    args = ["-s", f"{path}/a.sock", "-U", "www", "-u", "_app", ECHO]
    text = f"_app may write {path}: whoever breaks into a worker could " \
        "direct the web server to another socket"
    assert any(text in w for w in warnings(*args)) == warned
    s = spawnd(*args)
    assert (text in s.log()) == warned
    s.stop()
    # The web server may be another user all the same.
    args[3] = "_app"
    assert any(text in w for w in warnings("-G", "www", *args)) == warned
    assert any(text in w for w in warnings("-M", "0666", *args)) == warned
    # Its own user connects to what it likes anyway.
    assert not any(text in w for w in warnings(*args))


@pytest.mark.parametrize("mode, cure", [
    (0o777, "(make root the owner, mode 0755)"),
    (0o1777, "(put it elsewhere, such as below /run)")])
def test_directory_for_all_is_not_to_be_closed(site, mode, cure):
    path = f"{site.base}/run"
    h.own_directory(path, 0, mode)
    found = warnings("-s", f"{path}/a.sock", "-U", "www", "-u", "_app", ECHO)
    assert any(w.endswith(f"another socket {cure}") for w in found), found


@pytest.mark.parametrize("args", [
    ["-s", "{}/./a.sock"], ["-s", "{}/run/../a.sock"],
    ["-c", "{}/jail", "-s", "/a.sock"], ["-c", "{}/jail/.", "-s", "a.sock"]])
def test_directory_by_another_spelling_is_warned_of(site, args):
    h.own_directory(f"{site.base}/srv/jail", APP)
    args = [a.replace("{}", f"{site.base}/srv") for a in args]
    found = warnings(*args, "-U", "www", "-u", "_app", ECHO)
    assert any("direct the web server to another socket" in w for w in found)


def test_working_directory_that_is_here_is_warned_of(site):
    r = h.run_spawnd("-t", "-s", f"{site.base}/s", "-u", "_app", "-d", ".",
                     ECHO, cwd=f"{site.base}/srv/work")
    assert "_app may write " in r.stdout and "warning: chdir:" in r.stdout


def test_advice_for_the_sockets_directory_is_roots(site):
    r = h.run_spawnd("-t", "-s", f"{site.base}/new/a.sock", "-U", "www", "-u",
                     "_app", ECHO)
    assert f"(install -d -o root -g root -m 0755 {site.base}/new)" in r.stdout
    r = h.run_spawnd("-t", "-s", f"{site.base}/new/a.sock", ECHO, user="www")
    assert f"(install -d -m 0755 {site.base}/new)" in r.stdout


def test_workers_that_stay_root_are_warned_of_at_the_start(site, place):
    def stderr(owner):
        os.chown(f"{place}/app", owner, owner)
        r = subprocess.run([f"{peers.links()}/spawn-fcgi", "-n", "-s",
                            f"{place}/s{owner}", "--", f"{place}/app"],
                           check=False, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                           timeout=10 * h.PATIENCE, encoding="utf-8",
                           env={**h.BASE_ENV, **h.sanitizer_env()})
        return r.stderr
    h.install("/bin/true", f"{place}/app")
    assert "may write" not in stderr(0)
    assert f"users other than root may write {place}/app" in stderr(APP)
