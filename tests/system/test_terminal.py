# SPDX-License-Identifier: ISC
"""Started by hand, spawnd shares a terminal with the shell that started it.
Whoever has that terminal can push keys into the shell: no worker has it."""

import errno
import os
import pty
import signal

import pytest

import harness as h
import peers

ECHO = h.app("echo")
# What an application that was broken into would try first, with a harmless
# byte: it names the errors. 0x540e is TIOCSCTTY, which takes a terminal that
# no session has any more; 0x5412 is TIOCSTI.
PUSH = """
$! = 0; ioctl(STDERR, 0x540e, 0); my $taken = $! + 0;
$! = 0; open(my $tty, "+<", "/dev/tty"); my $open = $! + 0;
my $byte = "x"; $! = 0;
my $pushed = ioctl(STDERR, 0x5412, $byte) ? "pushed" : $! + 0;
open(my $out, ">", shift) or die; print $out "$taken $open $pushed\\n";
close($out); sleep(60);
"""


def terminal(pid):
    """The device number of a process's controlling terminal, 0: none."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        text = f.read()
    return int(text[text.rindex(")") + 2:].split()[4])


class Typed:
    """A command of a new session on a terminal of its own: its leader, or
    with `shell` in the foreground of the one that leads it."""

    def __init__(self, argv, shell):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            env = {**h.BASE_ENV, **h.sanitizer_env()}
            if shell:
                argv = ["/bin/sh", "-c", '"$@"; exit "$?"', "sh", *argv]
            os.execve(argv[0], argv, env)
        self.shell = shell
        self.status = None
        self.seen = b""
        os.set_blocking(self.fd, False)

    def read(self):
        """All that was shown so far."""
        try:
            self.seen += os.read(self.fd, 65536)
        except OSError as e:
            assert e.errno in (errno.EAGAIN, errno.EIO)
        return self.seen.decode(errors="replace")

    def command(self):
        """The pid of the command."""
        if not self.shell:
            return self.pid
        return h.wait_for(lambda: h.children(self.pid), 10, "command")[0]

    def ended(self):
        self.read()
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if pid else None
        return self.status is not None

    def end(self):
        h.end_session(self.pid)
        h.wait_for(self.ended, 10, "end of the session")
        os.close(self.fd)


@pytest.fixture
def typed():
    made = []

    def start(*argv, shell=True):
        made.append(Typed(argv, shell))
        return made[-1]
    yield start
    for one in made:
        one.end()


def pool(typed, place, shell, *options):
    """A pool of two; returns the terminal's side and the supervisor."""
    one = typed(h.SPAWND, "-n", "-s", f"{place}/s", "-u", "www", "-F", "2",
                *options, ECHO, shell=shell)
    h.wait_for(lambda: " ready on " in one.read(), h.START_DEADLINE,
               one.read)
    return one, one.command()


def started(supervisor):
    """The workers that are their program: until then they are our code."""
    def program(pid):
        try:
            return h.link(pid, "exe")
        except (FileNotFoundError, ProcessLookupError):
            return None
    return {p for p in h.children(supervisor) if program(p) == ECHO}


@pytest.mark.parametrize("shell", [True, False])
def test_no_worker_has_the_terminal(typed, place, shell):
    _, supervisor = pool(typed, place, shell)
    workers = h.children(supervisor)
    assert len(workers) == 2
    assert terminal(supervisor) != 0
    assert [terminal(pid) for pid in workers] == [0, 0]
    assert h.request(f"{place}/s").status == 200
    # Nor has one that comes later.
    h.kill(workers[0])
    later = h.wait_for(lambda: started(supervisor) - set(workers), 10,
                       "another worker")
    assert [terminal(pid) for pid in later] == [0]


def test_no_worker_in_a_jail_has_the_terminal(typed, place):
    h.make_jail(place)
    one = typed(h.SPAWND, "-n", "-c", place, "-u", "www", "-F", "1",
                "/fcgi-bin/app")
    h.wait_for(lambda: " ready on " in one.read(), h.START_DEADLINE,
               one.read)
    assert [terminal(p) for p in h.children(one.command())] == [0]


@pytest.mark.parametrize("shell", [True, False])
@pytest.mark.parametrize("how", ["key", "signal"])
def test_the_supervisor_is_still_reached(typed, place, shell, how):
    one, supervisor = pool(typed, place, shell)
    if how == "key":
        os.write(one.fd, b"\x03")
    else:
        os.kill(supervisor, signal.SIGTERM)
    h.wait_for(one.ended, h.STOP_DEADLINE, one.read)
    name = "SIGINT" if how == "key" else "SIGTERM"
    assert f"stop: {name} received" in one.read()


@pytest.mark.parametrize("shell", [True, False])
def test_who_takes_the_place_of_spawn_fcgi_has_no_terminal(typed, place,
                                                           shell):
    one = typed(f"{peers.links()}/spawn-fcgi", "-n", "-s", f"{place}/s",
                "-u", "www", "-M", "0666", "--", ECHO, shell=shell)
    h.wait_for(lambda: os.path.exists(f"{place}/s"), 10, one.read)
    assert h.request(f"{place}/s").status == 200
    pid = one.command()
    assert h.link(pid, "exe") == ECHO
    assert terminal(pid) == 0
    assert h.signals(pid, "SigIgn") == set()


def in_background(typed, *argv):
    """A command in the background of a terminal that stops such writers."""
    return typed("/bin/sh", "-mc", 'stty tostop; "$@" & wait $!; '
                 'echo "ended $?"', "sh", *argv, shell=False)


def test_supervisor_in_the_background_writes_to_the_terminal(typed, place):
    one = in_background(typed, h.SPAWND, "-n", "-s", f"{place}/s", "-u",
                        "www", "-F", "2", ECHO)
    h.wait_for(lambda: "2 workers ready on " in one.read(), h.START_DEADLINE,
               one.read)
    supervisor, = h.children(one.pid)
    os.kill(supervisor, signal.SIGUSR2)
    h.wait_for(lambda: "status: 2 of 2" in one.read(), 5, one.read)
    os.kill(supervisor, signal.SIGTERM)
    h.wait_for(lambda: "ended 0" in one.read(), h.STOP_DEADLINE, one.read)


def test_failed_start_in_the_background_ends(typed, place):
    one = in_background(typed, h.SPAWND, "-n", "-s", f"{place}/s", "-u",
                        "www", "-F", "1", h.app("fail"))
    h.wait_for(lambda: "ended 69" in one.read(), h.START_DEADLINE, one.read)
    assert "no worker became ready" in one.read()


def test_terminal_that_cannot_be_opened_is_said(spawnd, place):
    s = spawnd("-s", f"{place}/s", "-u", "www", "-F", 1, ECHO, wrap=[
        "strace", "-f", "-qq", "-o", "/dev/null", "-P", "/dev/tty", "-e",
        "inject=openat:error=EMFILE:when=1"])
    assert "terminal: /dev/tty: Too many open files" in s.log()


@pytest.mark.parametrize("shell", [True, False])
def test_keys_cannot_be_pushed(typed, place, shell):
    h.own_directory(f"{place}/out", "www")
    typed(f"{peers.links()}/spawn-fcgi", "-n", "-s", f"{place}/s", "-u",
          "www", "--", "/usr/bin/perl", "-e", PUSH, f"{place}/out/result",
          shell=shell)

    def result():
        try:
            with open(f"{place}/out/result", encoding="ascii") as f:
                return f.read()
        except FileNotFoundError:
            return None
    tried = h.wait_for(result, 10, "result")
    none = f"{errno.EPERM} {errno.ENXIO}"
    # EIO: this kernel does not know TIOCSTI any more.
    assert tried in (f"{none} {errno.EPERM}\n", f"{none} {errno.EIO}\n")
