# SPDX-License-Identifier: ISC
"""
The scripts that start spawnd: spawn-php.sh, rc.d (with stand-ins for rc.subr),
init.d, the snippet for logrotate, and what systemd-analyze says of the units.
"""

import collections
import contextlib
import fcntl
import glob
import os
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

import harness
import units

SCRIPTS = os.path.join(harness._top, "scripts")
SAMPLES = os.path.join(harness._top, "tests", "scripts")
SPAWN_FCGI = "/usr/bin/spawn-fcgi"
PHP = "/usr/bin/php-cgi"

Run = collections.namedtuple("Run", "status stdout stderr")


def run(*argv, env=None, user=None, deadline=60):
    """Runs a command to its end. Not with pipes: without a syslogd a daemon
    logs to the standard error it was started with, and keeps it."""
    with tempfile.TemporaryFile("w+") as out, \
            tempfile.TemporaryFile("w+") as err:
        p = subprocess.run(
            [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out,
            stderr=err, timeout=deadline, cwd="/", start_new_session=True,
            env=dict(harness.BASE_ENV, **harness.sanitizer_env(),
                     **(env or {})),
            preexec_fn=harness.become_user(user) if user else None)
        out.seek(0)
        err.seek(0)
        return Run(p.returncode, out.read(), err.read())


def argv(pid):
    with open(f"/proc/{pid}/cmdline") as f:
        return f.read().split("\0")[:-1]


@pytest.fixture
def installed(place):
    """A directory with the scripts in it, whose spawnd is the one to test."""
    run("sh", f"{SAMPLES}/install.sh", place, harness.SPAWND)
    harness.install(harness.app("echo"), f"{place}/echo")
    os.mkdir(f"{place}/socket")
    shutil.chown(f"{place}/socket", "_app", "_app")
    return place


@pytest.fixture
def ends():
    """Sessions that end with the test."""
    pids = []
    yield pids
    for pid in pids:
        s = harness.stat(pid)
        harness.end_session(s.session if s else pid)
        harness.end_session(pid)


# spawn-php.sh

def starter(place, which):
    if which == "spawnd":
        return harness.SPAWND
    if which == "spawn-fcgi":
        return SPAWN_FCGI
    if which == "spawnd as spawn-fcgi":
        os.symlink(harness.SPAWND, f"{place}/spawn-fcgi")
        return f"{place}/spawn-fcgi"
    return harness.install(harness.SPAWND if which == "renamed spawnd"
                           else SPAWN_FCGI, f"{place}/launcher")


all_starters = pytest.mark.parametrize("which", [
    "spawnd", "spawn-fcgi", "renamed spawnd", "renamed spawn-fcgi",
    "spawnd as spawn-fcgi"])
both_starters = pytest.mark.parametrize("which", [
    "spawnd", "spawn-fcgi", "spawnd as spawn-fcgi"])


def spawn_php(installed, which, ends, user=None, **env):
    defaults = {"SPAWNFCGI": starter(installed, which),
                "FCGIPROGRAM": f"{installed}/echo",
                "USERID": "_app", "GROUPID": "_app"}
    r = run("sh", f"{installed}/spawn-php.sh", env={**defaults, **env},
            user=user)
    found = re.search(r"\bpid:? (\d+)", r.stdout + r.stderr, re.I)
    if found:
        ends.append(int(found.group(1)))
    return r


def serving(r, addr):
    """The pid of the process that answers on addr."""
    assert r.status == 0, r
    return int(harness.request(addr).headers["x-pid"])


@all_starters
def test_only_the_allowed_environment_survives(installed, ends, which):
    path = f"{installed}/socket/s"
    spaced = " two  words\nand 'a' \"line\" $HOME `id` "
    r = spawn_php(installed, which, ends, FCGISOCKET=path, KEPT="1",
                  SPACED=spaced, SECRET="x", ALLOWED_ENV="KEPT SPACED ABSENT",
                  PHP_FCGI_CHILDREN="3", PHP_FCGI_MAX_REQUESTS="77",
                  FCGI_WEB_SERVER_ADDRS="127.0.0.1,192.0.2.1")
    pid = serving(r, path)
    env = harness.environ(pid)
    assert env["KEPT"] == "1"
    assert env["SPACED"] == spaced
    assert env["PHP_FCGI_CHILDREN"] == "3"
    assert env["PHP_FCGI_MAX_REQUESTS"] == "77"
    assert env["FCGI_WEB_SERVER_ADDRS"] == "127.0.0.1,192.0.2.1"
    assert not {"SECRET", "ABSENT", "SPAWNFCGI", "USERID", "LANG"} & set(env)
    if which.endswith("spawn-fcgi"):
        assert len(env) == 5, env


@both_starters
def test_root_becomes_the_user(installed, ends, which):
    path = f"{installed}/socket/s"
    pid = serving(spawn_php(installed, which, ends, FCGISOCKET=path), path)
    assert harness.ids(pid, "Uid") == [68] * 4
    assert harness.ids(pid, "Gid") == [68] * 4


@both_starters
def test_a_user_stays_himself(installed, ends, which):
    path = f"{installed}/socket/s"
    r = spawn_php(installed, which, ends, user="_app", FCGISOCKET=path,
                  USERID="web", GROUPID="web")
    assert harness.ids(serving(r, path), "Uid") == [68] * 4


def listens_on(port):
    """The local IPv4 addresses in LISTEN on that port, as /proc has them."""
    with open("/proc/net/tcp") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    return [r[1].split(":")[0] for r in rows
            if r[3] == "0A" and int(r[1].split(":")[1], 16) == port]


@both_starters
def test_the_allowed_addresses_are_not_where_it_listens(installed, ends,
                                                        which):
    port = harness.free_port()
    r = spawn_php(installed, which, ends, FCGIPORT=str(port),
                  FCGI_WEB_SERVER_ADDRS="127.0.0.1,192.168.0.1")
    serving(r, ("127.0.0.1", port))
    assert listens_on(port) == ["0100007F"]


@both_starters
def test_the_address_can_be_set(installed, ends, which):
    port = harness.free_port()
    r = spawn_php(installed, which, ends, FCGIPORT=str(port),
                  FCGIADDR="127.0.0.2")
    serving(r, ("127.0.0.2", port))
    assert listens_on(port) == ["0200007F"]


def test_without_port_and_socket_it_is_1026(installed, ends):
    serving(spawn_php(installed, "spawnd", ends), ("127.0.0.1", 1026))
    assert listens_on(1026) == ["0100007F"]


@both_starters
def test_php_with_children_and_its_configuration(installed, ends, which):
    path, page = f"{installed}/socket/s", f"{installed}/page.php"
    with open(f"{installed}/php.ini", "w") as f:
        f.write("user_agent = of the test\n")
    with open(page, "w") as f:
        f.write('<?php echo ini_get("user_agent"), "|", getmypid(), "|",'
                ' php_ini_loaded_file();')
    r = spawn_php(installed, which, ends, FCGISOCKET=path, FCGIPROGRAM=PHP,
                  FCGI_CONFIG=f"{installed}/php.ini", PHP_FCGI_CHILDREN="2")
    assert r.status == 0, r
    a = harness.request(path, params={"SCRIPT_FILENAME": page,
                                      "REDIRECT_STATUS": "200"})
    agent, pid, ini = a.text.split("|")
    assert (agent, ini) == ("of the test", f"{installed}/php.ini")
    leader = harness.stat(int(pid)).ppid
    assert argv(leader) == [PHP, "-c", f"{installed}/php.ini"]
    harness.wait_for(lambda: len(harness.children(leader)) == 2, 10,
                     "two children")


@both_starters
def test_both_port_and_socket_are_an_error(installed, ends, which):
    path = f"{installed}/socket/s"
    r = spawn_php(installed, which, ends, FCGISOCKET=path, FCGIPORT="1026")
    assert r.status == 64
    assert r.stderr == \
        "spawn-php.sh: FCGIPORT and FCGISOCKET: only one of them\n"
    assert not os.path.exists(path)


@pytest.mark.parametrize("name,value", [
    ("SPAWNFCGI", "/nonexistent/spawnd"), ("SPAWNFCGI", "spawnd"),
    ("FCGIPROGRAM", "php-cgi"), ("ALLOWED_ENV", "A $(touch_me) B"),
    ("ALLOWED_ENV", "A=B"), ("FCGIADDR", ""), ("USERID", "")])
def test_a_wrong_variable_is_named(installed, ends, name, value):
    r = spawn_php(installed, "spawnd", ends, **{name: value})
    assert r.status == 64
    assert r.stderr.startswith(f"spawn-php.sh: {name}: "), r
    assert r.stderr.count("\n") == 1


def test_the_failure_of_the_program_is_that_of_the_script(installed, ends):
    r = spawn_php(installed, "spawnd", ends, FCGIPROGRAM="/nonexistent/php",
                  FCGISOCKET=f"{installed}/socket/s")
    assert r.status == 69
    assert "/nonexistent/php" in r.stderr


# rc.d and init.d

class Script:
    """One of the scripts of service managers, for the pool `pool`."""

    def __init__(self, installed, kind):
        self.kind, self.place = kind, installed
        if kind == "openbsd":
            self.path = f"{installed}/etc/rc.d/spawnd_pool"
            os.symlink("openbsd", self.path)
            self.argv = ["mksh", self.path]
        elif kind == "freebsd":
            self.argv = ["sh", f"{installed}/etc/rc.d/freebsd"]
        else:
            self.argv = ["sh", f"{installed}/etc/init.d/spawnd"]

    def __call__(self, action, *pools):
        if self.kind == "openbsd":
            action = {"status": "check"}.get(action, action)
            pools = ()
        elif not pools:
            pools = ("pool",)
        return run(*self.argv, action, *pools, env={"spawnd_enable": "YES"})


def configure(place, name="pool", socket="s"):
    """A pool with arguments that are patterns, too."""
    with open(f"{place}/etc/spawnd/{name}.conf", "w") as f:
        f.write(f"# {name}\nSPAWND_OPTS=-s {place}/socket/{socket} -u _app "
                f"-F 2 -e A=~(*)[x]+.? -e B=^|{{}}\n"
                f"SPAWND_APP={place}/echo\n")
    return f"{place}/socket/{socket}"


@pytest.fixture(params=["openbsd", "freebsd", "init.d"])
def script(installed, request):
    return Script(installed, request.param)


def supervisor(path):
    return harness.stat(int(harness.request(path).headers["x-pid"])).ppid


def gone(pid):
    """Who ends has no command line any more, by which pgrep(1) knows it, and
    is there for a moment still."""
    harness.wait_for(lambda: not harness.alive(pid), 5, f"the end of {pid}")


def test_start_reload_stop(installed, script, ends):
    path = configure(installed)
    assert script("status").status != 0
    r = script("start")
    assert r.status == 0, r
    pid = supervisor(path)
    ends.append(pid)
    assert harness.environ(harness.children(pid)[0])["A"] == "~(*)[x]+.?"
    assert script("status").status == 0

    before = set(harness.children(pid))
    r = script("reload")
    assert r.status == 0, r

    def renewed():
        now = harness.children(pid)
        return len(now) == 2 and not before & set(now)
    harness.wait_for(renewed, 20, "two new workers")
    assert supervisor(path) == pid

    # An edit is applied, and one that is wrong is told.
    conf = f"{installed}/etc/spawnd/pool.conf"
    with open(conf) as f:
        text = f.read()
    put(conf, text.replace("-F 2", "-F many"))
    assert script("reload").status != 0
    assert supervisor(path) == pid
    put(conf, text.replace("-F 2", "-F 3"))
    r = script("reload")
    assert r.status == 0, r
    gone(pid)
    pid = supervisor(path)
    ends.append(pid)
    assert len(harness.children(pid)) == 3
    assert script("status").status == 0

    r = script("stop")
    assert r.status == 0, r
    gone(pid)
    assert not os.path.exists(path)
    assert script("status").status != 0


def test_restart_is_another_process(installed, script, ends):
    if script.kind == "openbsd":
        def restart():
            assert script("stop").status == 0
            return script("start")
    else:
        def restart():
            return script("restart")
    path = configure(installed)
    assert script("start").status == 0
    first = supervisor(path)
    ends.append(first)
    r = restart()
    assert r.status == 0, r
    second = supervisor(path)
    ends.append(second)
    assert second != first
    gone(first)


@pytest.mark.parametrize("kind", ["freebsd", "init.d"])
def test_without_names_it_is_all_pools(installed, kind, ends):
    script = Script(installed, kind)
    paths = [configure(installed, n, n) for n in ("one", "two")]
    r = run(*script.argv, "start", env={"spawnd_enable": "YES"})
    assert r.status == 0, r
    pids = [supervisor(p) for p in paths]
    ends += pids
    assert sorted(argv(p)[4] for p in pids) == ["one", "two"]
    r = script("stop", "one")
    assert r.status == 0, r
    gone(pids[0])
    assert harness.alive(pids[1])
    assert run(*script.argv, "stop", env={"spawnd_enable": "YES"})
    gone(pids[1])


def test_init_d_has_the_exit_statuses_of_lsb(installed, ends):
    script = Script(installed, "init.d")
    path = configure(installed)
    assert script("bogus").status == 2
    assert script("status").status == 3
    assert script("stop").status == 0
    assert script("reload").status == 7
    assert script("force-reload").status == 0
    assert script("try-restart").status == 0
    assert script("start", "absent").status == 6
    assert script("start").status == 0
    pid = supervisor(path)
    ends.append(pid)
    assert script("start").status == 0
    assert supervisor(path) == pid
    assert script("try-restart").status == 0
    second = supervisor(path)
    ends.append(second)
    assert second != pid
    os.kill(second, signal.SIGKILL)
    harness.wait_for(lambda: not harness.alive(second), 10, "its end")
    assert script("status").status == 1
    # Another's process that has the number now is not touched.
    with subprocess.Popen(["sleep", "60"]) as other:
        with open(f"{installed}/run/spawnd-pool.pid", "w") as f:
            f.write(f"{other.pid}\n")
        assert script("stop").status == 0
        assert script("reload").status == 7
        assert other.poll() is None
        other.kill()


def impostor(place, victim):
    """A process of the workers' user that calls itself spawnd, and that has
    the number in the pidfile."""
    harness.kill(victim)
    harness.wait_for(lambda: not harness.alive(victim), 10, "its end")
    harness.install("/bin/sleep", f"{place}/spawnd")
    other = subprocess.Popen([f"{place}/spawnd", "300"],
                             preexec_fn=harness.become_user("_app"))
    harness.wait_for(lambda: harness.stat(other.pid).comm == "spawnd", 5)
    return other


def put(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def test_init_d_takes_nobody_else_for_the_pool(installed, ends):
    script = Script(installed, "init.d")
    path = configure(installed)
    assert script("start").status == 0
    pid = supervisor(path)
    ends.append(pid)
    with impostor(installed, pid) as other:
        ends.append(other.pid)
        for action, status in (("status", 1), ("reload", 7), ("stop", 0),
                               ("try-restart", 0), ("force-reload", 0),
                               ("start", 0)):
            put(f"{installed}/run/spawnd-pool.pid", f"{other.pid}\n")
            r = script(action)
            assert r.status == status, (action, r)
            assert other.poll() is None, action
        second = supervisor(path)
        ends.append(second)
        assert script("status").status == 0
        assert script("stop").status == 0
        gone(second)
        assert other.poll() is None
        other.kill()


@contextlib.contextmanager
def asked_about(pidfile):
    """Another script asks whether that pool runs, all the time."""
    with open(pidfile) as f:
        fcntl.flock(f, fcntl.LOCK_SH)
        yield


def test_init_d_asks_while_another_asks(installed):
    """Both see that what is in the pidfile does not run."""
    script = Script(installed, "init.d")
    pidfile = f"{installed}/run/spawnd-pool.pid"
    configure(installed)
    with subprocess.Popen(["sleep", "60"]) as other:
        put(pidfile, f"{other.pid}\n")
        with asked_about(pidfile):
            for action, status in (("status", 1), ("reload", 7), ("stop", 0)):
                r = script(action)
                assert r.status == status, (action, r)
                assert other.poll() is None, action
        other.kill()


def openrc_reload(installed):
    """By a stand-in for OpenRC; see test_openrc.py."""
    path = f"{installed}/etc/init.d/spawnd.pool"
    if not os.path.islink(path):
        os.symlink("openrc", path)
    return run("sh", f"{installed}/etc/openrc-run", path, "reload")


def test_openrc_reloads_the_pool_that_runs(installed, spawnd, ends):
    path = configure(installed)
    pidfile = f"{installed}/run/spawnd-pool.pid"
    s = spawnd("--name", "pool", "-P", pidfile, "-s", path, "-u", "_app",
               "-F", 1, "--", harness.app("echo"), daemon=True)
    # The file says something else by now: it is taken over.
    r = openrc_reload(installed)
    assert r.status == 0, r
    pid = supervisor(path)
    ends.append(pid)
    gone(s.pid)
    assert pid != s.pid and len(harness.children(pid)) == 2
    # And then the workers alone are new.
    before = harness.children(pid)
    assert openrc_reload(installed).status == 0
    assert not set(before) & set(harness.children(pid))
    os.kill(pid, signal.SIGTERM)
    gone(pid)
    assert openrc_reload(installed).status != 0


def test_openrc_reloads_nobody_else(installed):
    configure(installed)
    pidfile = f"{installed}/run/spawnd-pool.pid"
    assert openrc_reload(installed).status != 0
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        for text in (f"{other.pid}\n", f"{other.pid}", f"-{other.pid}\n",
                     f"{other.pid} 1\n", f"-s USR1 {other.pid}\n"):
            put(pidfile, text)
            r = openrc_reload(installed)
            assert r.status != 0, (text, r)
            with asked_about(pidfile):
                assert openrc_reload(installed).status != 0, text
            assert other.poll() is None, text
        other.kill()


def test_a_question_does_not_keep_the_pool_from_its_start(installed, ends):
    script = Script(installed, "init.d")
    path = configure(installed)
    pidfile = f"{installed}/run/spawnd-pool.pid"
    put(pidfile, "")
    os.chmod(pidfile, 0o600)
    with subprocess.Popen(["sh", "-c", "while :; do flock -sn \"$0\" sleep "
                           "0.02; sleep 0.02; done", pidfile]) as asks:
        try:
            r = script("start")
        finally:
            asks.kill()
    assert r.status == 0, r
    ends.append(supervisor(path))
    assert script("stop").status == 0


def test_a_start_that_fails_is_reported(installed, script):
    configure(installed)
    os.unlink(f"{installed}/echo")
    r = script("start")
    assert r.status != 0
    assert f"{installed}/echo" in r.stderr


def test_all_starters_have_the_same_arguments(installed):
    r = run("sh", f"{SAMPLES}/argv.sh")
    assert r.status == 0, r


@pytest.mark.parametrize("name", ["rc.d/openbsd", "rc.d/freebsd",
                                  "init.d/spawnd", "openrc/init.d",
                                  "spawn-php.sh", "readconf.sh"])
def test_it_parses_as_ksh(name):
    r = run("mksh", "-n", f"{SCRIPTS}/{name}")
    assert (r.status, r.stderr) == (0, "")


# Units

def exposure(directory, unit):
    r = run("systemd-analyze", "security", "--offline=yes", "--no-pager",
            f"{directory}/{unit}")
    found = re.search(r"exposure level for .*: (\d+\.\d)", r.stdout)
    assert found, r
    return float(found.group(1))


@pytest.fixture
def unit_files(place):
    built = os.path.dirname(harness.SPAWND)
    units.install(place, sbindir=built, BINDIR=built)
    return place


@pytest.mark.parametrize("unit", ["spawnd@pool.service",
                                  "spawnd@pool.socket",
                                  "spawnd@jail.service"])
def test_systemd_finds_nothing_to_say_of_a_unit(unit_files, unit):
    name = f"{unit_files}/{unit}"
    if unit == "spawnd@jail.service":
        units.jail(unit_files, "jail")
    base = unit.replace("pool", "").replace("jail", "")
    os.link(f"{unit_files}/{base}", name)
    r = run("systemd-analyze", "verify", "--man=no", name)
    assert (r.status, r.stderr) == (0, "")


def test_the_unit_exposes_little(unit_files):
    assert exposure(unit_files, "spawnd@.service") <= 2.0


def test_the_jails_drop_in_exposes_a_little_more(unit_files):
    units.jail(unit_files, "jail")
    os.link(f"{unit_files}/spawnd@.service",
            f"{unit_files}/spawnd@jail.service")
    # 0.1 for ptrace(2), of which confined workers gain nothing.
    assert 2.0 < exposure(unit_files, "spawnd@jail.service") <= 3.1


# logrotate and tmpfiles

def installed_text(name, place):
    with open(f"{SCRIPTS}/{name}") as f:
        return units.fill(f.read(), RUNDIR=f"{place}/run", APPUSER="_app")


@pytest.mark.parametrize("how", ["create", "copytruncate"])
def test_logrotate_loses_no_line(place, spawnd, how):
    os.mkdir(f"{place}/run")
    os.mkdir(f"{place}/log")
    log, path = f"{place}/log/pool.log", f"{place}/s"
    text = installed_text("logrotate/spawnd", place).replace(
        "/var/log/spawnd", f"{place}/log")
    assert "create 0640 _app adm" in text
    if how == "copytruncate":
        text = text.replace("create 0640 _app adm", "copytruncate")
    with open(f"{place}/conf", "w") as f:
        f.write(text)
    s = spawnd("--log", log, "-P", f"{place}/run/spawnd-pool.pid", "-s", path,
               "-u", "_app", "--", harness.app("echo"), daemon=True)
    harness.request(path, "log=before")
    harness.wait_for(lambda: "before" in read(log), 10, "the first line")
    inode = os.stat(log).st_ino
    start = len(read(log))

    r = run("/usr/sbin/logrotate", "-f", "-s", f"{place}/state",
            f"{place}/conf")
    assert (r.status, r.stderr) == (0, ""), r
    assert "before" in read(log + ".1")
    assert "before" not in read(log)
    assert (os.stat(log).st_ino == inode) == (how == "copytruncate")
    harness.request(path, "log=after")
    harness.wait_for(lambda: "after" in read(log), 10,
                     lambda: f"a line in the new file: {read(log)!r} "
                             f"{read(log + '.1')[start:]!r}")
    assert "after" not in read(log + ".1")
    assert "\0" not in read(log)
    s.stop()


def test_logrotate_signals_nobody_else(place, spawnd):
    os.mkdir(f"{place}/run")
    os.mkdir(f"{place}/log")
    pidfile = f"{place}/run/spawnd-pool.pid"
    s = spawnd("--log", f"{place}/log/pool.log", "-P", pidfile, "-s",
               f"{place}/s", "-u", "_app", "--", harness.app("echo"),
               daemon=True)
    put(f"{place}/conf", installed_text("logrotate/spawnd", place).replace(
        "/var/log/spawnd", f"{place}/log"))
    with impostor(place, s.pid) as other:
        put(pidfile, f"{other.pid}\n")
        with asked_about(pidfile):
            r = run("/usr/sbin/logrotate", "-f", "-s", f"{place}/state",
                    f"{place}/conf")
        assert (r.status, r.stderr) == (0, ""), r
        # USR1 would have ended it.
        harness.pass_time(0.5)
        assert other.poll() is None
        other.kill()


def read(path):
    with open(path, errors="replace") as f:
        return f.read()


def test_tmpfiles_makes_the_directories(place):
    text = installed_text("tmpfiles/spawnd.conf", place).replace(
        "/var/log", place)
    with open(f"{place}/t.conf", "w") as f:
        f.write(text)
    os.mkdir(f"{place}/run")
    r = run("systemd-tmpfiles", "--create", f"{place}/t.conf")
    assert (r.status, r.stderr) == (0, ""), r
    for path in (f"{place}/run/spawnd", f"{place}/spawnd"):
        st = os.stat(path)
        assert (st.st_mode & 0o7777, st.st_uid) == (0o755, 0), path


def test_an_installation_has_nothing_left_to_fill_in(place):
    r = run("make", "-s", "-C", harness._top, "-o", "all", "install",
            f"DESTDIR={place}", "PREFIX=/usr",
            f"OUT={os.path.dirname(harness.SPAWND)}")
    assert r.status == 0, r
    names = [name for name in glob.glob(f"{place}/**", recursive=True)
             if os.path.isfile(name) and os.path.basename(name) not in
             ("spawnd", "spawnctl", "spawnd-status")]
    for wanted in ("spawnd@.service", "spawnd@.socket", "readconf.sh",
                   "spawn-php.sh"):
        assert any(name.endswith(f"/{wanted}") for name in names), wanted
    left = {name: re.findall("@[A-Z]+@", harness.read(name).decode())
            for name in names}
    assert not {name: at for name, at in left.items() if at}


# spawnctl restart and diff

@pytest.fixture
def client(installed):
    """spawnctl, installed beside the script that knows the service files."""
    path = harness.install(
        os.path.join(os.path.dirname(harness.SPAWND), "spawnctl"),
        f"{installed}/bin/spawnctl")

    def call(*args, as_on_bsd=None):
        """as_on_bsd: started by that word, and without a /proc."""
        if as_on_bsd is None:
            return run(path, *args)
        return run("unshare", "--mount", "/bin/sh", "-c",
                   "mount -t tmpfs tmpfs /proc; exec \"$@\"", "sh",
                   as_on_bsd, *args, env={
                       "PATH": f"/nowhere:{installed}/bin:/usr/bin:/bin"})
    return call


def test_restart_and_diff_by_the_service_file(installed, client, ends):
    script = Script(installed, "init.d")
    path = configure(installed)
    assert script("start").status == 0
    pid = supervisor(path)
    ends.append(pid)
    r = client("-p", "pool", "diff")
    assert (r.status, r.stdout) == (0, "nothing would change\n"), r

    conf = f"{installed}/etc/spawnd/pool.conf"
    with open(conf) as f:
        text = f.read()
    put(conf, text.replace("-F 2", "-F 3 -e C=d").replace("-e B=^|{}", ""))
    r = client("-p", "pool", "diff")
    assert r.status == 0 and r.stdout.splitlines() == [
        "workers: 2 -> 3", "environment B: ^|{} -> none",
        "environment C: none -> d"], r
    put(conf, text.replace("/socket/s", "/socket/t"))
    r = client("-p", "pool", "diff")
    assert r.status == 78 and "it listens on" in r.stderr, r
    assert f"socket: unix:{path} -> unix:{installed}/socket/t" in r.stdout
    assert supervisor(path) == pid

    put(conf, text.replace("-F 2", "-F 3"))
    r = client("restart")
    assert r.status == 0 and "3 workers ready" in r.stdout, r
    gone(pid)
    pid = supervisor(path)
    ends.append(pid)
    # It has the pidfile, so that the script finds it.
    assert script("status").status == 0
    assert script("stop").status == 0


def test_restart_of_all_stops_at_the_first_that_fails(installed, client,
                                                      ends):
    script = Script(installed, "init.d")
    names = ["one", "three", "two"]
    paths = {n: configure(installed, n, n) for n in names}
    pids = {}
    for n in names:
        assert script("start", n).status == 0
        pids[n] = supervisor(paths[n])
        ends.append(pids[n])
    assert client("restart").status == 64
    r = client("--all", "restart")
    assert r.status == 0, r
    now = {n: supervisor(paths[n]) for n in names}
    ends.extend(now.values())
    assert not set(now.values()) & set(pids.values())
    # In the order of their names.
    put(f"{installed}/etc/spawnd/three.conf", "SPAWND_OPTS=-F many\n"
        f"SPAWND_APP={installed}/echo\n")
    r = client("--all", "restart")
    assert r.status == 64 and "1 pool after three left as it is" in r.stderr, r
    last = {n: supervisor(paths[n]) for n in names}
    ends.extend(last.values())
    assert last["one"] != now["one"]
    assert (last["two"], last["three"]) == (now["two"], now["three"])
    for n in names:
        assert script("stop", n).status in (0, 6)


def test_restart_of_a_path_is_refused(spawnd, installed, client, ends):
    """The service of that last name is another pool."""
    script = Script(installed, "init.d")
    path = configure(installed)
    assert script("start").status == 0
    pid = supervisor(path)
    ends.append(pid)
    os.mkdir(f"{installed}/at")
    other = spawnd("-s", f"{installed}/socket/o", "-u", "_app", "--control",
                   f"{installed}/at/pool", harness.app("echo"))
    for command in ("restart", "diff"):
        r = client("-p", f"{installed}/at/pool", command)
        assert r.status == 64 and "needs the name of the pool, by which" in \
            r.stderr, r
    assert supervisor(path) == pid and other.running()
    assert script("stop").status == 0


def test_restart_without_a_service_file(spawnd, installed, client):
    s = spawnd("-s", f"{installed}/socket/s", "-u", "_app", "--name", "alone",
               harness.app("echo"))
    r = client("-p", "alone", "restart")
    assert r.status == 78 and "no service file" in r.stderr, r
    for word in ("spawnctl", f"{installed}/bin/../bin/spawnctl"):
        r = client("-p", "alone", "restart", as_on_bsd=word)
        assert r.status == 78 and "no service file" in r.stderr, r
    assert s.running()
