# SPDX-License-Identifier: ISC
"""The units under a booted systemd, with all of their hardening."""

import glob
import json
import os
import re
import shutil
import signal
import socket
import stat

import pytest

import harness
import machine
import units

LONG = True             # its root has to be made first
PLAIN_ONLY = True       # what it shows is nothing that sanitizers see

SAMPLES = os.path.join(harness._top, "tests", "scripts")
WWW_DATA = 33


@pytest.fixture(scope="module")
def booted():
    """One machine for all tests: each has pools of its own."""
    place = harness.new_place()
    m = machine.prepare(place)
    # The unit itself, with a program that writes down its arguments.
    m.write("/opt/stub/spawnd",
            "#!/bin/sh\nprintf '%s\\n' \"$@\" >\"/argv/$3\"\n", 0o755)
    os.mkdir(m.path("/argv"))
    os.chmod(m.path("/argv"), 0o777)
    service = m.path("/etc/systemd/system/spawnd@.service")
    with open(service) as f:
        text = f.read()
    assert "/usr/sbin/spawnd -n" in text
    m.write("/etc/systemd/system/argv@.service",
            text.replace("/usr/sbin/spawnd -n", "/opt/stub/spawnd -n"))
    m.write("/etc/systemd/system/argv@.service.d/x.conf",
            "[Service]\nType=oneshot\nRestart=no\nReadWritePaths=/argv\n")
    for path in glob.glob(f"{SAMPLES}/*.conf"):
        os.makedirs(m.path("/etc/spawnd"), exist_ok=True)
        shutil.copy(path, m.path("/etc/spawnd"))
    with machine.booted(m, place):
        yield m


class Pool:
    """A pool with the unit's defaults, on a socket in its directory."""

    def __init__(self, m, name, options="-F 2", program="/usr/bin/echo-app",
                 drop_in=None):
        self.m, self.name = m, name
        self.unit = f"spawnd@{name}.service"
        self.socket = m.path(f"/run/spawnd/{name}/s")
        m.configure(name, f"-s /run/spawnd/{name}/s {options}", program,
                    drop_in)

    def start(self):
        self.m.systemctl("start", self.unit)
        return self

    def main(self):
        return self.m.outside(self.m.main_pid(self.unit))

    def workers(self):
        return harness.children(self.main())


def ask(path, query="", **kw):
    return harness.request(path, query, **kw)


def test_start_is_readiness_and_stop_leaves_nothing(booted):
    p = Pool(booted, "simple").start()
    assert booted.show(p.unit, "ActiveState") == "active"
    assert booted.show(p.unit, "NotifyAccess") == "main"
    assert booted.show(p.unit, "StatusText") == "2 of 2 workers ready"
    assert ask(p.socket).status == 200
    main = p.main()
    for pid in [main, *p.workers()]:
        assert harness.ids(pid, "Uid") == [WWW_DATA] * 4
        assert set(harness.caps(pid).values()) == {0}
        assert harness.status(pid)["NoNewPrivs"] == "1"
    # It is found by its name, and answers root.
    for command in (["list"], ["-p", "simple", "status"]):
        assert "simple" in booted.run("spawnctl", *command).stdout, command
    booted.run("spawnctl", "-p", "simple", "reload")
    workers = p.workers()
    booted.systemctl("stop", p.unit)
    assert booted.show(p.unit, "Result") == "success"
    assert booted.show(p.unit, "ActiveState") == "inactive"
    assert not any(harness.alive(pid) for pid in [main, *workers])
    assert not os.path.exists(os.path.dirname(p.socket))


def test_the_name_of_the_pool_is_the_instance(booted):
    p = Pool(booted, "a.b-c_9").start()
    assert ask(p.socket).status == 200
    assert " a.b-c_9[" in booted.journal(p.unit)
    booted.systemctl("stop", p.unit)


def test_reload_renews_the_workers(booted):
    p = Pool(booted, "reload").start()
    main, before = p.main(), p.workers()
    booted.systemctl("reload", p.unit)
    assert "all workers are new" in booted.journal(p.unit)
    assert not set(before) & set(p.workers())
    booted.until(p.unit, "ActiveState", "active")
    booted.until(p.unit, "StatusText", "2 of 2 workers ready")
    assert p.main() == main
    assert ask(p.socket).status == 200
    booted.systemctl("stop", p.unit)


def test_reload_that_fails_says_so_and_the_old_workers_serve_on(booted):
    program = "/usr/bin/worn-app"
    booted.program(harness.app("echo"), program)
    p = Pool(booted, "worn", program=program).start()
    main, before = p.main(), p.workers()
    os.unlink(booted.path(program))
    booted.write(program, "#!/bin/sh\nexit 3\n", 0o755)
    r = booted.systemctl("reload", p.unit, check=False)
    assert r.returncode != 0, r
    assert "exited with status 3" in booted.journal(p.unit)
    assert booted.show(p.unit, "ActiveState") == "active"
    assert (p.main(), p.workers()) == (main, before)
    assert ask(p.socket).status == 200
    booted.systemctl("stop", p.unit)


def test_socket_activation(booted):
    booted.configure("act", "-F 2", "/usr/bin/echo-app")
    path = booted.path("/run/spawnd-act.sock")
    booted.systemctl("start", "spawnd@act.socket")
    st = os.stat(path)
    assert stat.S_IMODE(st.st_mode) == 0o660
    assert st.st_uid == WWW_DATA
    assert booted.show("spawnd@act.service", "ActiveState") == "inactive"
    assert ask(path, deadline=20).status == 200
    assert booted.show("spawnd@act.service", "ActiveState") == "active"

    # A restart refuses no connection: the socket is systemd's.
    with harness.Load(path, threads=2) as load:
        for _ in range(3):
            first = booted.main_pid("spawnd@act.service")
            booted.systemctl("restart", "spawnd@act.service")
            assert booted.main_pid("spawnd@act.service") != first
    assert load.answered > 0
    assert not {"refused", "missing", "timeout"} & set(load.failed), str(load)

    # Stopped, it is started again by the next connection.
    booted.systemctl("stop", "spawnd@act.service")
    assert os.stat(path).st_ino == st.st_ino
    assert ask(path, deadline=20).status == 200
    booted.systemctl("stop", "spawnd@act.socket", "spawnd@act.service")


def test_an_agent_answers_each_look_by_a_socket(booted):
    """The units of recipes/haproxy, asked from this host."""
    for name in ("spawnd-agent.socket", "spawnd-agent@.service"):
        with open(os.path.join(harness._top, "scripts/recipes/haproxy", name),
                  encoding="ascii") as f:
            text = units.fill(f.read())
        booted.write(f"/etc/systemd/system/{name}", text.replace(
            "IPAddressAllow=192.0.2.1", "IPAddressAllow=127.0.0.1 192.0.2.1")
            .replace("-p app agent", "-p asked agent"))
    p = Pool(booted, "asked").start()
    booted.systemctl("start", "spawnd-agent.socket")

    def look(times=1):
        return booted.run(
            "bash", "-c", f"for i in {{1..{times}}}; do "
            "exec 3<>/dev/tcp/127.0.0.1/9707; cat <&3; done").stdout
    # More than may be connected at once.
    assert look(40) == 40 * "ready up 100% maxconn:2\n"
    booted.run("spawnctl", "-p", "asked", "drain")
    assert look() == "drain\n"
    booted.systemctl("stop", p.unit)
    assert look().startswith("down #")
    # Nothing is left of them.
    harness.wait_for(lambda: not booted.systemctl(
        "list-units", "--all", "--plain", "--no-legend",
        "spawnd-agent@*").stdout, 10, booted.journal)
    booted.systemctl("stop", "spawnd-agent.socket")


# What spawnd says at its start when it cannot see, or do, something.
BLIND = re.compile(r"no /proc|cannot be|could not be|each other|not confined")


def test_nothing_of_the_hardening_blinds_spawnd(booted):
    """Neither on a socket of its own nor on one that systemd made."""
    p = Pool(booted, "eyes").start()
    assert not BLIND.search(booted.journal(p.unit)), booted.journal(p.unit)
    booted.systemctl("stop", p.unit)

    unit = "spawnd@seen.service"
    booted.configure("seen", "-F 2", "/usr/bin/echo-app")
    booted.systemctl("start", "spawnd@seen.socket", unit)
    assert "2 workers ready" in booted.journal(unit)
    assert not BLIND.search(booted.journal(unit))
    booted.systemctl("stop", "spawnd@seen.socket", unit)


def test_a_private_network_blinds_spawnd_on_a_passed_socket(booted):
    """Which the unit warns of, and spawnd says."""
    unit = "spawnd@blind.service"
    booted.configure("blind", "-F 2", "/usr/bin/echo-app",
                     "[Service]\nPrivateNetwork=yes\n")
    booted.systemctl("start", "spawnd@blind.socket", unit)
    assert BLIND.search(booted.journal(unit))
    booted.systemctl("stop", "spawnd@blind.socket", unit)


def reaches(p):
    """What one worker can do to another."""
    inside = {harness.status(pid)["NSpid"].split()[-1] for pid in p.workers()}
    for _ in range(4):
        answer = ask(p.socket, min(inside))
        if answer.headers["x-pid"] != min(inside):
            break
    return answer


@pytest.mark.parametrize("drop_in", [
    None, "[Service]\nSystemCallFilter=~landlock_create_ruleset\n"],
    ids=["landlock", "filter alone"])
def test_no_worker_gains_ptrace_by_the_unit(booted, drop_in):
    """Which allows it for the supervisor."""
    booted.program(harness.app("reach"), "/usr/bin/reach-app")
    name = "alone" if drop_in else "both"
    p = Pool(booted, name, "-F 2", "/usr/bin/reach-app", drop_in).start()
    answer = reaches(p)
    assert {answer.fact("seize"), answer.fact("attach")} == {"1"}
    status = booted.run("spawnctl", "-p", name, "status", "--json").stdout
    holds = json.loads(status)["guarantees"]
    assert holds["door"] and holds["confine_limits"]
    assert holds["confine_signals"] == (drop_in is None)
    assert answer.fact("kill") == ("1" if drop_in is None else "0")
    booted.run("spawnctl", "-p", name, "reload")
    booted.systemctl("stop", p.unit)


def test_a_drop_in_keeps_ptrace_from_workers_that_are_not_confined(booted):
    with open(os.path.join(harness._top, "scripts/systemd/no-ptrace.conf"),
              encoding="ascii") as f:
        drop_in = f.read()
    booted.program(harness.app("reach"), "/usr/bin/reach-app")
    p = Pool(booted, "free", "-F 2 --confine no", "/usr/bin/reach-app",
             drop_in).start()
    answer = reaches(p)
    assert answer.fact("kill") == "0"
    assert {answer.fact("seize"), answer.fact("attach")} == {"1"}
    assert "cannot be kept from new connections" in booted.journal(p.unit)
    booted.systemctl("stop", p.unit)


def test_watchdog(booted):
    p = Pool(booted, "dog", drop_in="[Service]\nWatchdogSec=1s\n").start()
    first, main = booted.main_pid(p.unit), p.main()
    # While spawnd runs the watchdog does not bark.
    booted.fed(p.unit, 2.5)
    assert booted.main_pid(p.unit) == first
    os.kill(main, signal.SIGSTOP)
    booted.until(p.unit, "NRestarts", "1", 30)
    booted.until(p.unit, "ActiveState", "active")
    assert booted.main_pid(p.unit) != first
    assert "watchdog" in booted.journal(p.unit).lower()
    assert ask(p.socket).status == 200
    booted.systemctl("stop", p.unit)


def test_watchdog_brings_back_a_socket_that_was_removed(booted):
    p = Pool(booted, "gone", drop_in="[Service]\nWatchdogSec=1s\n").start()
    os.unlink(p.socket)
    booted.until(p.unit, "NRestarts", "1", 30)
    booted.until(p.unit, "ActiveState", "active")
    assert ask(p.socket).status == 200
    assert "its file was removed: no client can connect" in \
        booted.journal(p.unit)
    booted.systemctl("stop", p.unit)


def test_tmpfiles_spares_the_socket_of_the_unit(booted):
    p = Pool(booted, "aged").start()
    directory = "/run/spawnd/aged"
    booted.write("/etc/tmpfiles.d/aged.conf", f"d {directory} - - - 1ms\n")
    unused = os.path.join(os.path.dirname(p.socket), "unused")

    def cleaned():
        booted.run("systemd-tmpfiles", "--clean",
                   "/etc/tmpfiles.d/aged.conf")
        return not os.path.exists(unused)
    with open(unused, "w"):
        pass
    harness.wait_for(cleaned, 10, "what nobody uses to be removed")
    assert ask(p.socket).status == 200
    booted.systemctl("stop", p.unit)


def test_a_killed_supervisor_is_restarted(booted):
    p = Pool(booted, "killed").start()
    workers = p.workers()
    os.kill(p.main(), signal.SIGKILL)
    booted.until(p.unit, "NRestarts", "1")
    booted.until(p.unit, "ActiveState", "active")
    assert not any(harness.alive(pid) for pid in workers)
    assert ask(p.socket).status == 200
    booted.systemctl("stop", p.unit)


def test_a_unit_made_for_spawn_fcgi_may_give_it_another_name(booted):
    """@: argument 0 is what follows the path."""
    os.symlink("/usr/sbin/spawnd", booted.path("/usr/bin/spawn-fcgi"))
    booted.write("/etc/systemd/system/fcgi.service", (
        "[Service]\nType=forking\nPIDFile=/run/fcgi.pid\n"
        "ExecStart=@/usr/bin/spawn-fcgi echo-app -s /run/fcgi.sock -u _app "
        "-P /run/fcgi.pid -- /usr/bin/echo-app\n"))
    booted.systemctl("daemon-reload")
    booted.systemctl("start", "fcgi")
    main = booted.outside(booted.main_pid("fcgi"))
    assert ask(booted.path("/run/fcgi.sock")).status == 200
    assert harness.stat(main).comm == "echo-app"
    assert booted.run("pidof", "-s", "echo-app")
    booted.systemctl("stop", "fcgi")
    assert booted.show("fcgi", "ActiveState") == "inactive"
    assert not harness.alive(main)


def test_spawnd_with_the_name_of_another(booted):
    """The file that the unit executes decides, not what it calls that."""
    booted.write(
        "/etc/systemd/system/other.service", "[Service]\nType=notify\n"
        "ExecStart=@/usr/sbin/spawnd spawn-fcgi -n -s /run/other.sock "
        "-u _app -F 2 -- /usr/bin/echo-app\n")
    booted.systemctl("daemon-reload")
    booted.systemctl("start", "other.service")
    assert booted.show("other.service", "StatusText") == "2 of 2 workers ready"
    assert ask(booted.path("/run/other.sock")).status == 200
    booted.systemctl("stop", "other.service")
    assert booted.show("other.service", "Result") == "success"


@pytest.mark.parametrize("name,options,code", [
    ("usage", "-F many", "64"), ("root", "-u _app", "77")])
def test_what_a_restart_does_not_cure_is_not_restarted(booted, name, options,
                                                       code):
    p = Pool(booted, name, options)
    assert booted.systemctl("start", p.unit, check=False).returncode != 0
    assert booted.show(p.unit, "ActiveState") == "failed"
    assert booted.show(p.unit, "ExecMainStatus") == code
    assert booted.show(p.unit, "NRestarts") == "0"


def test_an_application_that_does_not_start_is_tried_again(booted):
    p = Pool(booted, "absent", program="/nonexistent/app")
    assert booted.systemctl("start", p.unit, check=False).returncode != 0
    harness.wait_for(lambda: int(booted.show(p.unit, "NRestarts")) >= 6, 30,
                     "more restarts than systemd's usual limit")
    booted.until(p.unit, "ExecMainStatus", "69")
    booted.systemctl("stop", p.unit)


def test_php_serves_under_the_hardening(booted):
    p = Pool(booted, "php", "-C 2", "/usr/bin/php-cgi").start()
    assert booted.show(p.unit, "StatusText") == "1 of 1 workers ready"
    booted.write("/srv/page.php", """<?php
        error_reporting(E_ALL);
        session_start();
        $_SESSION["n"] = 1;
        session_write_close();
        echo preg_match('/^(a+)+b/', str_repeat("a", 20) . "b"), "|",
            ini_get("pcre.jit"), "|", file_put_contents("/tmp/x", "abc"), "|",
            @file_put_contents("/srv/x", "abc") === false ? "ro" : "rw", "|",
            preg_last_error(), "|", json_encode(error_get_last());
        """)
    a = ask(p.socket, params={"SCRIPT_FILENAME": "/srv/page.php",
                              "REDIRECT_STATUS": "200"})
    text = a.text.strip()
    assert text.startswith("1|1|3|ro|0|"), (text, a.stderr)
    assert "JIT" not in text and a.stderr == b"", (text, a.stderr)
    assert glob.glob(booted.path("/var/lib/php/sessions/sess_*"))
    r = booted.run("systemd-analyze", "security", "--no-pager", p.unit)
    level = float(re.search(r"exposure level for .*: (\d+\.\d)",
                            r.stdout).group(1))
    assert level <= 2.0, r.stdout
    booted.systemctl("stop", p.unit)


def test_the_drop_in_jails(booted):
    """-c, -u and -U by spawnd itself, which starts as root."""
    units.jail(booted.path("/etc/systemd/system"), "jail")
    booted.write("/etc/spawnd/jail.conf",
                 "SPAWND_OPTS=-c /var/www -s run/app.sock -U www-data -u _app"
                 " -F 2\nSPAWND_APP=/fcgi-bin/app\n")
    booted.systemctl("daemon-reload")
    unit = "spawnd@jail.service"
    booted.systemctl("start", unit)
    path = booted.path("/var/www/run/app.sock")
    assert os.stat(path).st_uid == WWW_DATA
    main = booted.outside(booted.main_pid(unit))
    before = harness.children(main)
    for pid in [main, *before]:
        assert harness.ids(pid, "Uid") == [68] * 4
        assert harness.groups(pid) in ([], [68])
        assert set(harness.caps(pid).values()) == {0}
        assert harness.link(pid, "root").endswith("/var/www")
    assert ask(path).status == 200
    assert not BLIND.search(booted.journal(unit))
    r = booted.run("systemd-analyze", "security", "--no-pager", unit)
    level = float(re.search(r"exposure level for .*: (\d+\.\d)",
                            r.stdout).group(1))
    # Of which 0.1 is for ptrace(2), although confined workers gain none of it.
    assert level <= 3.1, r.stdout

    booted.systemctl("reload", unit)
    assert "all workers are new" in booted.journal(unit)
    assert not set(before) & set(harness.children(main))
    booted.systemctl("stop", unit)
    assert booted.show(unit, "Result") == "success"
    with pytest.raises(OSError):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)


def example(**values):
    with open(f"{harness._top}/scripts/spawnd.conf.example") as f:
        return units.fill(f.read(), **values)


def test_the_example_is_a_pool(booted):
    """With the units as they are, and with what its comments add."""
    booted.write("/srv/hello.php", "<?php echo 'hello';")
    params = {"SCRIPT_FILENAME": "/srv/hello.php", "REDIRECT_STATUS": "200"}
    booted.write("/etc/spawnd/php.conf", example())
    booted.systemctl("start", "spawnd@php.socket")
    assert ask(booted.path("/run/spawnd-php.sock"), params=params).text == \
        "hello"
    booted.systemctl("stop", "spawnd@php.socket", "spawnd@php.service")

    path = re.search(r"^#\t(-s .*/s)$", example(), re.MULTILINE)[1].replace(
        "NAME", "php")
    users = re.search(r"^#\t-s .*( -U .*)$", example(), re.MULTILINE)[1]
    for more, owner in (("", WWW_DATA), (users.replace("_php", "_app"), 68)):
        if more:
            units.jail(booted.path("/etc/systemd/system"), "php")
            booted.systemctl("daemon-reload")
        booted.write("/etc/spawnd/php.conf", example().replace(
            "SPAWND_OPTS=", f"SPAWND_OPTS={path}{more} "))
        booted.systemctl("start", "spawnd@php.service")
        main = booted.outside(booted.main_pid("spawnd@php.service"))
        assert harness.ids(main, "Uid") == [owner] * 4
        assert os.stat(booted.path(path.split()[1])).st_uid == WWW_DATA
        assert ask(booted.path(path.split()[1]), params=params).text == "hello"
        booted.systemctl("stop", "spawnd@php.service")


SET_ID = """<?php
    $p = proc_open(["/usr/local/bin/set-gid", "-gn"], [1 => ["pipe", "w"]],
        $pipes);
    echo trim(stream_get_contents($pipes[1]));
"""


def group_of_a_set_id_program(m, path):
    m.write("/srv/set-id.php", SET_ID)
    return ask(path, params={"SCRIPT_FILENAME": "/srv/set-id.php",
                             "REDIRECT_STATUS": "200"}).text


def test_set_id_programs_are_what_the_comments_say(booted):
    """None in the unit, in the drop-in with its lines for mail()."""
    program = booted.path("/usr/local/bin/set-gid")
    harness.install(booted.path("/usr/bin/id"), program)
    os.chown(program, 0, 8)
    os.chmod(program, 0o2755)
    p = Pool(booted, "no-mail", "-C 1 --no-new-privs no", "/usr/bin/php-cgi",
             drop_in="[Service]\nNoNewPrivileges=no\n").start()
    assert group_of_a_set_id_program(booted, p.socket) == "www-data"
    booted.systemctl("stop", p.unit)

    p = Pool(booted, "mail", "-C 1 --no-new-privs no -u _app",
             "/usr/bin/php-cgi")
    units.jail(booted.path("/etc/systemd/system"), "mail")
    path = booted.path(f"/etc/systemd/system/{p.unit}.d/jail.conf")
    with open(path) as f:
        text = f.read()
    assert "\n#NoNewPrivileges=no\n" in text
    with open(path, "w") as f:
        f.write(text.replace("#NoNewPrivileges", "NoNewPrivileges"))
    booted.systemctl("daemon-reload")
    p.start()
    assert group_of_a_set_id_program(booted, p.socket) == "mail"
    booted.systemctl("stop", p.unit)


@pytest.mark.parametrize("name", sorted(
    os.path.basename(p)[:-5] for p in glob.glob(f"{SAMPLES}/*.conf")))
def test_the_unit_has_the_arguments_of_the_scripts(booted, name):
    booted.systemctl("start", f"argv@{name}.service")
    with open(booted.path(f"/argv/{name}")) as f:
        found = f.read().replace(f"--control\n/run/spawnd/{name}\n", "", 1)
    with open(f"{SAMPLES}/{name}.argv") as f:
        expected = f.read().partition("\n")[2]
    assert found == "-n\n" + expected
