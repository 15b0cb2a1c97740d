# SPDX-License-Identifier: ISC
"""
Under OpenRC: spawnd's service, and starts and stops that a service made for
spawn-fcgi would do. OpenRC is what openrc.sh has made, laid over /usr. Debian's
has no start-stop-daemon of its own but uses dpkg's, which leaves out what is
below "With OpenRC's start-stop-daemon": this is run with OPENRC_ROOT, a
directory whose usr/ holds an OpenRC that was built.
"""

import os
import shutil
import signal

import pytest

import harness as h
import peers
from stubs import Mounted
from test_scripts import configure, ends, gone, installed, run, supervisor

LONG = True
ROOT = os.environ.get("OPENRC_ROOT") or os.path.join(h._top, "build",
                                                     "openrc-root")
OWN = os.path.exists(f"{ROOT}/usr/sbin/start-stop-daemon")
STATES = ("daemons", "exclusive", "failed", "hotplugged", "inactive",
          "options", "scheduled", "started", "starting", "stopping", "tmp",
          "wasinactive")
ETC = "/usr/local/etc"
assert ends and installed       # fixtures


class Service:
    """The service `name`; its settings are the lines of the file conf."""

    def __init__(self, name):
        self.path = f"{ETC}/init.d/{name}"
        self.conf = f"{ETC}/conf.d/{name}"

    def __call__(self, action):
        return run(self.path, action, env={"RC_PATH": ETC})


@pytest.fixture
def openrc(installed):
    """A system that OpenRC has booted, with spawnd's script."""
    assert os.path.isdir(ROOT), f"{ROOT}: missing (openrc.sh makes it)"
    for state in STATES:
        os.makedirs(f"/run/openrc/{state}")
    with open("/run/openrc/softlevel", "wb"):
        pass
    for name in ("upper", "work"):
        os.mkdir(f"{installed}/{name}")
    with Mounted("/usr", "-t", "overlay", "overlay", "-o",
                 f"lowerdir={ROOT}/usr:/usr,upperdir={installed}/upper,"
                 f"workdir={installed}/work"):
        for name in ("init.d", "conf.d"):
            os.makedirs(f"{ETC}/{name}")
        shutil.copy(f"{installed}/etc/init.d/openrc", f"{ETC}/init.d/spawnd")
        shutil.copy(f"{installed}/etc/conf.d/spawnd", f"{ETC}/conf.d/spawnd")
        yield installed
    shutil.rmtree("/run/openrc")


@pytest.fixture
def service(openrc):
    os.symlink("spawnd", f"{ETC}/init.d/spawnd.pool")
    return Service("spawnd.pool")


def test_start_reload_stop(openrc, service, ends):
    path = configure(openrc)
    assert service("status").status == 3
    r = service("start")
    assert r.status == 0, r
    assert "2 workers ready" in r.stdout
    pid = supervisor(path)
    ends.append(pid)
    worker = h.children(pid)[0]
    assert h.environ(worker)["A"] == "~(*)[x]+.?"
    assert service("status").status == 0

    before = set(h.children(pid))
    r = service("reload")
    assert r.status == 0, r
    h.wait_for(lambda: len(h.children(pid)) == 2 and
               not before & set(h.children(pid)), 20, "two new workers")
    assert supervisor(path) == pid

    r = service("stop")
    assert r.status == 0, r
    gone(pid)
    assert not os.path.exists(path)
    assert service("status").status == 3


def test_restart_is_another_process(openrc, service, ends):
    path = configure(openrc)
    assert service("start").status == 0
    first = supervisor(path)
    ends.append(first)
    r = service("restart")
    assert r.status == 0, r
    second = supervisor(path)
    ends.append(second)
    assert second != first
    gone(first)
    # Without a file that could be started nothing is stopped.
    os.unlink(f"{openrc}/etc/spawnd/pool.conf")
    r = service("restart")
    assert r.status != 0 and "pool.conf: not there" in r.stderr, r
    assert supervisor(path) == second
    assert service("status").status == 0


def test_a_failed_start_is_reported(openrc, service):
    configure(openrc)
    os.unlink(f"{openrc}/echo")
    r = service("start")
    assert r.status != 0
    assert f"{openrc}/echo: No such file" in r.stderr, r
    assert service("status").status == 3


def test_the_script_without_a_name_starts_nothing(openrc):
    configure(openrc, "spawnd")
    r = Service("spawnd")("start")
    assert r.status != 0
    assert "ln -s spawnd /etc/init.d/spawnd.NAME" in r.stderr


def test_supervise_daemon_starts_it_again(openrc, service, ends):
    path = configure(openrc)
    with open(service.conf, "w", encoding="ascii") as f:
        f.write("supervisor=supervise-daemon\n")
    r = service("start")
    assert r.status == 0, r

    def serves(other_than=None):
        """The pid in the pidfile, which is spawnd's, once it has workers."""
        try:
            with open(f"{openrc}/run/spawnd-pool.pid", encoding="ascii") as f:
                pid = int(f.read())
        except (FileNotFoundError, ValueError):
            return None
        return pid if pid != other_than and len(h.children(pid)) == 2 else None
    first = h.wait_for(serves, 20, "the pool")
    above = h.stat(h.stat(first).ppid)
    assert (h.stat(first).comm, above.comm) == ("spawnd", "supervise-daemo")
    ends += [above.pid, first]
    os.kill(first, signal.SIGKILL)
    second = h.wait_for(lambda: serves(first), 20, "the pool again")
    ends.append(second)
    assert h.request(path).status == 200
    assert service("status").status == 0
    before = set(h.children(second))
    assert service("reload").status == 0
    h.wait_for(lambda: len(h.children(second)) == 2 and
               not before & set(h.children(second)), 20, "two new workers")
    r = service("stop")
    assert r.status == 0, r
    gone(second)
    assert not os.path.exists(path)


# With OpenRC's start-stop-daemon

def ssd(*args):
    r = run("/sbin/start-stop-daemon", *args)
    assert r.status == 0, r
    return r


def stopped(pid, app):
    h.wait_for(lambda: not h.alive(pid) and not peers.running(app), 10,
               "the end of the application")


def spawn_fcgi(place, ends):
    """As Alpine's service starts it: (the supervisor, the application)."""
    app = h.install(h.app("echo"), f"{place}/fcgi-app")
    ssd("--start", "--pidfile", f"{place}/pid", "--exec",
        f"{peers.links()}/spawn-fcgi", "--name", app, "--", "-s",
        f"{place}/s", "-P", f"{place}/pid", "--", app)
    with open(f"{place}/pid", encoding="ascii") as f:
        pid = int(f.read())
    ends.append(pid)
    assert h.request(f"{place}/s").status == 200
    return pid, app


if OWN:
    def test_a_start_by_name_runs_spawn_fcgi(openrc, ends):
        pid, app = spawn_fcgi(openrc, ends)
        ssd("--stop", "--pidfile", f"{openrc}/pid")
        stopped(pid, app)

    @pytest.mark.parametrize("by", ["--exec", "--name"])
    def test_a_stop_by_the_application_finds_the_supervisor(openrc, ends, by):
        pid, app = spawn_fcgi(openrc, ends)
        ssd("--stop", by, app)
        stopped(pid, app)

    @pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGKILL])
    def test_who_has_ended_by_itself_can_be_started(openrc, service, ends,
                                                    signo):
        path = configure(openrc)
        assert service("start").status == 0
        pid = supervisor(path)
        ends.append(pid)
        os.kill(pid, signo)
        gone(pid)
        assert service("status").status == 32       # crashed
        assert service("stop").status == 0
        assert service("start").status == 0
        ends.append(supervisor(path))
