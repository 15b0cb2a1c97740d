# SPDX-License-Identifier: ISC
"""A reload of the units under a booted systemd: what was edited is applied by
a take-over, and the outcome is the status of systemctl."""

import os
import stat

import pytest

import harness
import machine
from procfs import libc
from test_systemd import Pool, ask

LONG = True             # its root has to be made first
PLAIN_ONLY = True       # what it shows is nothing that sanitizers see


@pytest.fixture(scope="module")
def booted():
    place = harness.new_place()
    m = machine.prepare(place)
    with machine.booted(m, place):
        yield m


class Load(harness.Load):
    """In the network of the machine: the kernel shows spawnd no connection
    of another."""

    def __init__(self, m, path, **kw):
        super().__init__(path, **{"threads": 2, **kw})
        self.leader = m.leader

    def _run(self, number):
        with open(f"/proc/{self.leader}/ns/net") as net:
            assert libc.setns(net.fileno(), 0) == 0
        super()._run(number)

    def __exit__(self, *exc):
        super().__exit__(*exc)
        if exc[0] is None:
            assert self.sent == self.answered > 0, str(self)


def edit(p, options, program="/usr/bin/echo-app"):
    p.m.write(f"/etc/spawnd/{p.name}.conf", "SPAWND_OPTS="
              f"-s /run/spawnd/{p.name}/s {options}\nSPAWND_APP={program}\n")


def stopped(p, *pids):
    p.m.systemctl("stop", p.unit)
    assert p.m.show(p.unit, "Result") == "success"
    assert p.m.show(p.unit, "ActiveState") == "inactive"
    for pid in pids:
        assert not harness.alive(pid)


def test_an_edit_is_applied_by_a_reload(booted):
    p = Pool(booted, "edit").start()
    pids = [p.main()]
    with Load(booted, p.socket):
        for n in (3, 4):
            edit(p, f"-F {n} -e N={n}")
            booted.systemctl("reload", p.unit)
            pids.append(p.main())
            booted.until(p.unit, "ActiveState", "active")
            booted.until(p.unit, "StatusText", f"{n} of {n} workers ready")
            assert len(p.workers()) == n
            assert f"N={n}" in ask(p.socket, "env").facts["env"]
        # Where nothing was edited the workers alone are new.
        before = p.workers()
        booted.systemctl("reload", p.unit)
        assert p.main() == pids[-1]
        assert not set(before) & set(p.workers())
    assert len(set(pids)) == 3
    journal = booted.journal(p.unit)
    assert "serves from now on" in journal
    assert "4 workers ready on" in journal
    assert "all workers are new" in journal
    for pid in [pids[-1], *p.workers()]:
        assert set(harness.caps(pid).values()) == {0}
    stopped(p, *pids)
    assert booted.show(p.unit, "NRestarts") == "0"


@pytest.mark.parametrize("more", ["", "DelegateSubgroup=main\n"])
def test_a_service_that_divides_its_control_group(booted, more):
    """The process that the manager starts for a reload is in a part of it."""
    p = Pool(booted, "parts", drop_in="[Service]\nDelegate=yes\n" +
             more).start()
    main = p.main()
    with Load(booted, p.socket):
        for n in (3, 4):
            edit(p, f"-F {n}")
            booted.systemctl("reload", p.unit)
            booted.until(p.unit, "StatusText", f"{n} of {n} workers ready")
    assert p.main() != main and len(p.workers()) == 4
    stopped(p, main)


def test_an_edit_that_is_wrong_changes_nothing(booted):
    p = Pool(booted, "wrong").start()
    main, before = p.main(), p.workers()
    for options, program, text in [
            ("-F many", "/usr/bin/echo-app", "invalid (a number"),
            ("-s /run/spawnd/wrong/t", "/usr/bin/echo-app", "it listens on"),
            ("-F 2", "/usr/bin/none-app", "No such file"),
            ("-F 3", "/bin/false", "exited with status 1")]:
        edit(p, options, program)
        r = booted.systemctl("reload", p.unit, check=False)
        assert r.returncode != 0, r
        assert text in booted.journal(p.unit), booted.journal(p.unit)
        booted.until(p.unit, "ActiveState", "active")
        assert (p.main(), p.workers()) == (main, before)
        assert ask(p.socket).status == 200
    edit(p, "-F 3")
    booted.systemctl("reload", p.unit)
    assert p.main() != main
    stopped(p, main)


def test_a_stop_right_after_loses_nothing(booted):
    """The manager ends what is left when its main process has ended."""
    p = Pool(booted, "busy").start()
    load = Load(booted, p.socket, threads=1, count=1, query="sleep=3000")
    load.start()
    harness.wait_for(lambda: any(len(harness.fds(pid)) > 3
                                 for pid in p.workers()), 5, "a request")
    edit(p, "-F 3")
    booted.systemctl("reload", p.unit)
    stopped(p)
    load.join()
    assert load.answered == 1, str(load)


def test_watchdog_after_a_take_over(booted):
    p = Pool(booted, "barks", drop_in="[Service]\nWatchdogSec=1s\n").start()
    edit(p, "-F 3")
    booted.systemctl("reload", p.unit)
    main = booted.main_pid(p.unit)
    booted.fed(p.unit, 2.5)
    assert booted.main_pid(p.unit) == main
    os.kill(p.main(), 19)
    booted.until(p.unit, "NRestarts", "1", 30)
    booted.until(p.unit, "ActiveState", "active")
    assert ask(p.socket).status == 200
    stopped(p)


def test_socket_activation(booted):
    booted.configure("acts", "-F 2", "/usr/bin/echo-app")
    path, unit = booted.path("/run/spawnd-acts.sock"), "spawnd@acts.service"
    booted.systemctl("start", "spawnd@acts.socket", unit)
    inode = os.stat(path).st_ino
    with Load(booted, path):
        first = booted.main_pid(unit)
        booted.write("/etc/spawnd/acts.conf", "SPAWND_OPTS=-F 3\n"
                     "SPAWND_APP=/usr/bin/echo-app\n")
        booted.systemctl("reload", unit)
        assert booted.main_pid(unit) != first
        booted.until(unit, "StatusText", "3 of 3 workers ready")
    # The socket stays systemd's: it starts the service anew.
    booted.systemctl("stop", unit)
    assert os.stat(path).st_ino == inode
    assert ask(path, deadline=20).status == 200
    booted.systemctl("stop", "spawnd@acts.socket", unit)


def test_in_a_jail(booted):
    with open(os.path.join(harness._top, "scripts/systemd/jail.conf")) as f:
        drop_in = f.read()
    name, unit = "cell", "spawnd@cell.service"

    def configure(n):
        booted.configure(name, f"-c /var/www -s run/cell.sock -U www-data -u "
                         f"_app -F {n}", "/fcgi-bin/app", drop_in)
    configure(2)
    booted.systemctl("start", unit)
    first = booted.outside(booted.main_pid(unit))
    path = booted.path("/var/www/run/cell.sock")
    with Load(booted, path):
        configure(3)
        booted.systemctl("reload", unit)
        main = booted.outside(booted.main_pid(unit))
    assert main != first
    for pid in [main, *harness.children(main)]:
        assert harness.ids(pid, "Uid") == [68] * 4
        assert set(harness.caps(pid).values()) == {0}
        assert os.stat(f"/proc/{pid}/root").st_ino == \
            os.stat(booted.path("/var/www")).st_ino
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    # By hand, and by the user who has started it: the manager has to.
    pid = booted.main_pid(unit)
    r = booted.run("spawnd", "--replace", "--name", name, "-c", "/var/www",
                   "-s", "run/cell.sock", "-U", "www-data", "-u", "_app",
                   "/fcgi-bin/app", check=False)
    assert r.returncode == 69, r
    assert "it is a service in the control group" in r.stderr and \
        "systemctl reload" in r.stderr, r
    assert booted.main_pid(unit) == pid and ask(path).status == 200
    booted.systemctl("stop", unit)
    assert booted.show(unit, "Result") == "success"


def test_diff_and_restart(booted):
    for name in ("service.sh", "readconf.sh"):
        with open(os.path.join(harness._top, "scripts", name)) as f:
            text = f.read()
        for var, path in {"SYSCONFDIR": "/etc", "RUNDIR": "/run", "SBINDIR":
                          "/usr/sbin", "LIBEXECDIR": "/usr/libexec"}.items():
            text = text.replace(f"@{var}@", path)
        booted.write("/usr/libexec/spawnd/" + name.replace("service.sh",
                                                           "service"), text,
                     0o755)
    p = Pool(booted, "differs").start()
    diff = ["spawnctl", "-p", "differs", "diff"]
    assert booted.run(*diff).stdout == "nothing would change\n"
    edit(p, "-F 3 -e A=b")
    assert booted.run(*diff).stdout == (
        "workers: 2 -> 3\nenvironment A: none -> b\n")
    main = p.main()
    booted.run("spawnctl", "-p", "differs", "restart")
    assert p.main() != main and len(p.workers()) == 3
    stopped(p)


def test_who_has_not_started_it_is_refused_by_hand(booted):
    p = Pool(booted, "hand").start()
    r = booted.run("spawnd", "--replace", "--name", "hand", "-s",
                   "/run/spawnd/hand/s", "-u", "www-data", "--",
                   "/usr/bin/echo-app", check=False)
    assert r.returncode == 77 and "another user" in r.stderr, r
    stopped(p)


