# SPDX-License-Identifier: ISC
"""Who is ready: a worker that waits for connections of the listen socket, and
not one that waits for its database, the clock or connections of its own. And
what a start or reload says of a program that cannot be a worker at all."""

import os
import re
import signal
import socket
import subprocess
import threading

import pytest

import ctl
import harness as h
import peers

GUESS = 0.6         # seconds: longer than a guess about a sleeper takes
UNAVAILABLE = 69
NODE = "/usr/bin/node"
PHP = "/usr/bin/php-cgi"

# Waits for a word of its database and then for connections, the same way.
WAITS = r"""#!/usr/bin/python3
import os, select, socket, sys, threading
how, path = sys.argv[1:]
db = socket.socket(socket.AF_UNIX)
db.connect(path)

def wait(fd):
    if how == "select":
        select.select([fd], [], [])
    elif how in ("poll", "thread"):
        p = select.poll()
        p.register(fd, select.POLLIN)
        p.poll()
    else:
        p = select.epoll()
        p.register(fd, select.EPOLLIN)
        if how == "nested":
            outer = select.epoll()
            outer.register(p.fileno(), select.EPOLLIN)
            outer.poll()
        p.poll()

def work():
    wait(db.fileno())
    wait(os.dup(0))
    os._exit(0)

if how == "thread":
    threading.Thread(target=work).start()
else:
    work()
"""

WAITS_JS = """
const net = require('net');
net.connect(process.argv[2]).on('data', () => {
    net.createServer(c => c.end()).listen({fd: 0});
});
"""


def write(path, text, mode=0o755):
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path + ".new", mode)
    os.rename(path + ".new", path)
    return path


class Database:
    """Whom a worker waits for."""

    def __init__(self, path):
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen(8)
        self.listener.settimeout(10 * h.PATIENCE)

    def client(self):
        c, _ = self.listener.accept()
        return c


@pytest.fixture
def database(place):
    d = Database(f"{place}/db")
    yield d
    d.listener.close()


def is_ready_only_after(s, database):
    with database.client() as c:
        h.pass_time(GUESS)
        assert "ready on" not in s.log()
        c.sendall(b"x")
        s.wait_ready()
    assert "taken as ready" not in s.log()


@pytest.mark.parametrize("how", ["select", "poll", "epoll", "nested",
                                 "thread"])
def test_who_waits_for_its_database_is_not_ready(spawnd, place, database,
                                                 how):
    program = write(f"{place}/app", WAITS)
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--", program,
               how, database.path, ready=False)
    is_ready_only_after(s, database)


def node_has_rings():
    """Debian 13's does, and nobody sees what comes by an io_uring."""
    return "io_uring" in subprocess.run(
        [NODE, "-p", "fs.readdirSync('/proc/self/fd').map(n => { try { return "
         "fs.readlinkSync('/proc/self/fd/' + n) } catch { } }).join()"],
        check=True, stdout=subprocess.PIPE, encoding="utf-8", timeout=60).stdout


def test_node_that_waits_before_it_listens_is_not_ready(spawnd, place,
                                                        database):
    program = write(f"{place}/app.js", WAITS_JS, 0o644)
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--", NODE,
               program, database.path, ready=False)
    if node_has_rings():
        s.wait_ready()
        assert "taken as ready" in s.log()
        return
    is_ready_only_after(s, database)


def test_memory_is_read_where_only_a_parent_may(spawnd, place, database):
    """As yama has it: nobody but a parent may look into a process. Where the
    kernel has no yama, that is what is tested."""
    path = "/proc/sys/kernel/yama/ptrace_scope"
    before = None
    if os.path.exists(path):
        with open(path, encoding="ascii") as f:
            before = f.read()
        with open(path, "w", encoding="ascii") as f:
            f.write("1")
    try:
        program = write(f"{place}/app", WAITS)
        s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--",
                   program, "poll", database.path, ready=False)
        is_ready_only_after(s, database)
    finally:
        if before is not None:
            with open(path, "w", encoding="ascii") as f:
                f.write(before)


def fails_to_start(place, *program, options=(), deadline=15):
    r = h.run_spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1,
                     "--control", "none", *options, "--", *program,
                     deadline=deadline)
    assert r.status == UNAVAILABLE, r
    return r.stderr.splitlines()[-1]


def test_who_sleeps_and_fails_has_not_started(place):
    last = fails_to_start(place, "/usr/bin/perl", "-e",
                          "select(undef, undef, undef, .5); exit 1")
    assert last == "spawnd: /usr/bin/perl: no worker became ready: the last " \
        "one exited with status 1"


@pytest.mark.parametrize("end, how", [
    ("die 'no database'", "exited with status 255"),
    ("kill 'SEGV', $$", "was killed by SIGSEGV"),
], ids=["status", "signal"])
def test_reload_to_a_program_that_sleeps_and_fails(spawnd, place, end, how):
    program = h.install(h.app("echo"), f"{place}/app")
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 3, "--name", "p",
               "--", program)
    before = s.workers()
    write(program, "#!/usr/bin/perl\nselect(undef, undef, undef, .5);\n"
          f"{end};\n")
    r = ctl.ctl("-p", "p", "reload")
    assert r.status == UNAVAILABLE, r
    assert s.workers() == before
    assert h.request(s.argv[3]).status == 200
    assert re.search(rf"reload: failed: new worker: {how} .*\(the old workers "
                     r"stay\)", s.log())


CGI = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\nhello\\n'\n"
STDERR = "#!/bin/sh\nprintf 'x\\nstatus: 200 OK\\n\\nhello\\n' >&2\n"
DAEMON = """#!/usr/bin/perl
exit if fork;
open STDIN, '</dev/null';
require POSIX; POSIX::setsid();
sleep 1000;
"""
# Without setsid, and with the listen socket: the shell takes descriptor 0 from
# what it puts into the background. It is not to make its starter ready.
BACKGROUND = "#!/bin/sh\nexec 3<&0\n(while kill -0 $$; do :; done; " \
    f"exec {h.app('echo')} <&3 3<&-) &\n"
ACCEPTS = """#!/usr/bin/perl
use IO::Socket::INET;
IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1')->accept;
"""
LOOPS = """#!/usr/bin/python3
import asyncio
async def main():
    s = await asyncio.start_server(print, "127.0.0.1", 0)
    await s.serve_forever()
asyncio.run(main())
"""
CAUSES = {
    "cgi": (CGI, "exited with status 0: it answered as a CGI program (which "
                 "needs fcgiwrap)"),
    "stderr": (STDERR, "exited with status 0: it answered as a CGI program "
                       "(which needs fcgiwrap)"),
    "daemon": (DAEMON, "exited with status 0: it left a process behind (a "
                       "worker has to stay in the foreground)"),
    "background": (BACKGROUND, "exited with status 0: it left a process "
                               "behind (a worker has to stay in the "
                               "foreground)"),
    "accepts": (ACCEPTS, "was stopped: it waited for connections of another "
                         "socket (its listen socket is descriptor 0)"),
    "loops": (LOOPS, "was stopped: it waited for connections of another "
                     "socket (its listen socket is descriptor 0)"),
}


@pytest.mark.parametrize("kind", CAUSES)
def test_start_names_the_cause(place, kind):
    text, how = CAUSES[kind]
    program = write(f"{place}/app", text)
    # Long before --start-timeout.
    assert fails_to_start(place, program) == \
        f"spawnd: {program}: no worker became ready: the last one {how}"


def test_cause_is_named_if_spawnd_is_late(place):
    """The worker ends, and has left a process behind, before spawnd comes to
    the cpu again after the fork: that belongs to this worker all the same."""
    r = h.run_spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1,
                     "--control", "none", "-n", "--", "/bin/sh", "-c",
                     "sleep 7 & exit 0",
                     wrap=["strace", "-qq", "-o", "/dev/null", "-e",
                           "inject=setpgid:delay_enter=100ms"])
    assert r.status == UNAVAILABLE, r
    assert r.stderr.splitlines()[-1].endswith(
        "it left a process behind (a worker has to stay in the foreground)")


def test_another_workers_helper_is_not_its_own(place):
    """One starts a helper and never gets ready; the other ends, once."""
    os.chmod(place, 0o777)
    program = write(f"{place}/app", "#!/bin/sh\n"
                    f"cd {place}\n"
                    "if mkdir first; then\n"
                    "(sleep 1000 <&- &)\n"
                    "mkdir helped\n"
                    "elif mkdir second; then\n"
                    "until test -d helped; do sleep .01; done\n"
                    "exit\n"
                    "fi\n"
                    "exec sleep 1000\n")
    last = fails_to_start(place, program, options=["-F", 2,
                                                   "--start-timeout", 5])
    assert last == f"spawnd: {program}: no worker became ready: the last " \
        "one exited with status 0"


@pytest.mark.parametrize("kind", CAUSES)
def test_reload_names_the_cause(spawnd, place, kind):
    """Also if the queue moves all the time: others serve what waits."""
    text, how = CAUSES[kind]
    program = h.install(h.app("echo"), f"{place}/app")
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--", program)
    before = s.workers()
    with h.Load(f"{place}/sock", threads=6, query="sleep=10") as load:
        h.wait_for(lambda: load.answered > 20, 5, s.log)
        write(program, text)
        s.signal(signal.SIGHUP)
        found = s.wait_log("reload: (.*)").group(1)
        while found == "begun":
            found = s.wait_log("reload: begun(?s:.*)reload: (.*)").group(1)
    assert found.startswith("failed: new worker: " + how.split(":")[0]), found
    assert how.split(": ")[1] + " (the old workers stay)" in found
    assert set(before) <= set(s.workers())


def test_own_socket_is_named_when_the_time_is_over(place):
    """What sets a timer may yet come to the listen socket."""
    program = write(f"{place}/app", "#!/usr/bin/perl\n"
                    "use IO::Socket::INET; my $s = IO::Socket::INET->new("
                    "Listen => 5, LocalAddr => '127.0.0.1');\n"
                    "while (1) { select(my $r = '', undef, undef, 100) }\n")
    last = fails_to_start(place, program, options=["--start-timeout", 1])
    assert last == f"spawnd: {program}: no worker was ready within 1 s " \
        "(--start-timeout): it listens on another socket (its listen " \
        "socket is descriptor 0)"


def test_own_socket_is_named_while_it_is_polled(spawnd, place):
    """As servers of HTTP poll it; the message tells long before the time is
    over, and the worker keeps that."""
    program = write(f"{place}/app", """#!/usr/bin/python3
import http.server
http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler
                       ).serve_forever()
""")
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "--", program,
               ready=False)
    s.wait_log(r"worker [0-9]+: so far it waits for connections of another "
               r"socket \(its listen socket is descriptor 0; it is stopped "
               r"unless it is ready in [0-9]+\.[0-9]+ s\)")
    assert "stopped:" not in s.log()


def test_path_outside_the_jail_is_told(place):
    h.make_jail(place)
    r = h.run_spawnd("-c", place, "-u", "www", "-F", 1, "--",
                     f"{place}/fcgi-bin/app")
    assert r.status == UNAVAILABLE, r
    assert r.stderr == f"spawnd: exec {place}/fcgi-bin/app in {place}: No " \
        "such file or directory: paths are as seen inside the jail: try " \
        "/fcgi-bin/app\n"


def test_kfcgi_names_no_option_that_it_has_not(www):
    h.make_jail(www, owner="root")
    write(f"{www}/app", CGI)
    r = subprocess.run([f"{peers.links()}/kfcgi", "-d", "-n", "1", "-p", "/",
                        "-s", f"{www}/run/sock", "-u", "web", "-U", "www",
                        "--", f"{www}/app"], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       encoding="utf-8", timeout=20 * h.PATIENCE, check=False,
                       env={**h.BASE_ENV, **h.sanitizer_env()})
    assert r.returncode == 1, r
    assert "it answered as a CGI program" in r.stderr, r
    assert "--" not in r.stderr, r


def test_one_request_each_and_still_a_reload(spawnd, place):
    """A worker that had its request before anybody looked at it is no reason
    to end the reload."""
    script = write(f"{place}/x.php", "<?php echo 1;")
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 1, "-e",
               "PHP_FCGI_MAX_REQUESTS=1", "--", PHP)
    stop = threading.Event()
    failed = []

    def client():
        while not stop.wait(0.03):
            try:
                h.request(f"{place}/sock", params={
                    "SCRIPT_FILENAME": script, "REDIRECT_STATUS": "200"})
            except h.FcgiError as e:
                failed.append(e)

    t = threading.Thread(target=client)
    t.start()
    try:
        for n in range(1, 9):
            s.signal(signal.SIGHUP)
            h.wait_for(lambda n=n: len(re.findall(
                "all workers are new|reload: failed", s.log())) == n, 20,
                s.log)
    finally:
        stop.set()
        t.join(20 * h.PATIENCE)
    assert "reload: failed" not in s.log()
    assert not failed
