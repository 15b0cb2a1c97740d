# SPDX-License-Identifier: ISC
"""The control socket of a pool that root did not start: its workers have the
user of whoever did, and may read, but not change what they belong to."""

import os
import re
import signal
import socket
import time

import pytest

import ctl as c
import harness as h
from ctl import ctl

UNTRUSTED = True

EX_NOPERM = 77


@pytest.fixture
def own(spawnd, place):
    """A pool of www's own, of one worker; its answers are statuses."""
    def start(*args, program=(h.app("hostile"),), **kw):
        s = spawnd("-s", f"{place}/sock", "-F", 1, "--name", "own",
                   "--control", f"{place}/ctl", *args, "--", *program,
                   user="www", **kw)
        s.control = f"{place}/ctl/control"
        s.read = f"{place}/ctl/status"
        s.sock = f"{place}/sock"
        return s
    h.own_directory(place, "www")
    return start


def attack(s, how, command, path=None):
    query = f"control={how}:{path or s.control}:{command.replace(' ', '+')}"
    return int(h.request(s.sock, query).fact("control"))


@pytest.mark.parametrize("how", ["s", "c", "o", "g"],
                         ids=["itself", "child", "orphan", "gone"])
def test_process_of_the_pool_changes_nothing(own, how):
    s = own()
    before = s.workers()
    for command in ("scale 3", "reload", "stop", "stop now", "log-reopen"):
        assert attack(s, how, command) == EX_NOPERM, command
    # An orphan is ours for a moment, until it has gone.
    h.wait_for(lambda: s.workers() == before, 5, s.log)
    assert s.running() and "asked for by" not in s.log()
    why = "a process of the pool"
    if how == "g":          # or it was met before it had gone
        why = f"({why}|whether this process is of the pool cannot be seen: it)"
    s.wait_log(rf"warning: control: scale: refused to pid \d+: {why} may "
               "only read")
    # It may do what it may on the other socket, and no more is logged.
    assert attack(s, how, "ping") == attack(s, how, "status") == 0
    assert attack(s, how, "ping", s.read) == 0
    assert len(re.findall("refused to pid", s.log())) == 1
    # Its user may do all of it.
    assert ctl("-p", s.control, "scale", "2", user="www").status == 0
    s.wait_workers(2)
    assert ctl("-p", s.control, "stop", user="www").status == 0
    assert s.wait() == 0


FLOOD = """
import os, socket, sys, time
while not os.path.exists(sys.argv[2]):
    time.sleep(0.02)
done = os.open(sys.argv[3], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
while True:
    with socket.socket(socket.AF_UNIX) as s:
        s.setblocking(False)
        try:
            s.connect(sys.argv[1])
        except BlockingIOError:
            time.sleep(0.001)
            continue
    os.write(done, b".")
"""


def test_process_of_the_pool_connects_at_the_cost_of_readers(own, place):
    """Who is of the pool has to be found out for each connection."""
    s = own(program=["/bin/sh", "-c", f"/usr/bin/python3 -c '{FLOOD}' "
                     f"{place}/ctl/control {place}/go {place}/done & exec "
                     f"{h.app('hostile')}"])

    def done():
        return os.path.getsize(f"{place}/done")
    assert ctl("-p", s.control, "ping").status == 0
    put = open(f"{place}/go", "w", encoding="ascii")
    put.close()
    h.wait_for(lambda: os.path.exists(f"{place}/done"), 10, s.log)
    first, before, began = done(), h.cpu(s.pid), time.monotonic()
    h.pass_time(3)
    used, took = h.cpu(s.pid) - before, time.monotonic() - began
    # It waits for its turn, and comes again.
    h.wait_for(lambda: done() > first + 10, 10, s.log)
    assert used < 0.2 + 0.15 * took or h.sanitized(), (used, took)
    assert ctl("-p", s.control, "ping", user="www").status == 0
    assert ctl("-p", s.control, "stop", "--now").status == 0
    assert s.wait() == 0


def test_child_from_before_the_pool_is_not_of_it(own, place):
    """As a container's start has it, that begins a helper and then us."""
    helper = f"(until [ -e {place}/go ]; do sleep 0.05; done; exec " \
        f"{c.SPAWNCTL} -p {place}/ctl/control scale 2 >{place}/said 2>&1) & "
    s = own(wrap=["sh", "-c", helper + 'exec "$@"', "sh"])
    with open(f"{place}/go", "w", encoding="ascii"):
        pass
    s.wait_log("scale: asked for by uid 67")
    s.wait_workers(2)


def test_user_is_known_where_other_users_are_hidden(spawnd, place):
    """As the unit of systemd has it; whose session began with root's."""
    hide = "mount -t proc -o hidepid=invisible proc /proc && exec setpriv " \
        '--reuid 67 --regid 67 --clear-groups -- "$@"'
    h.own_directory(place, "www")
    s = spawnd("-s", f"{place}/sock", "-F", 1, "--control", f"{place}/ctl",
               "--name", "own", "--", h.app("hostile"),
               wrap=["unshare", "--mount", "sh", "-c", hide, "sh"])
    s.control, s.sock = f"{place}/ctl/control", f"{place}/sock"
    assert ctl("-p", s.control, "scale", "2", user="www").status == 0
    s.wait_workers(2)
    for how in "sco":
        assert attack(s, how, "scale 3") == EX_NOPERM


def test_pool_that_leads_no_session_is_its_users(own):
    """Whoever starts it from a shell has its session."""
    wrap = ["sh", "-c", '"$@" & wait', "sh"]
    s = own(wrap=wrap)
    shell = s.pid
    s.pid = h.children(shell)[0]
    assert h.stat(s.pid).session != s.pid

    def ask():
        r = ctl("-p", s.control, "scale", "2", user="www")
        return r.status == 0
    assert ask()
    assert attack(s, "s", "scale 3") == EX_NOPERM
    assert attack(s, "o", "scale 3") == EX_NOPERM
    s.signal(signal.SIGTERM)
    assert s.wait() == 0


def pass_file(path, name, user):
    """What the pool says to a log that this user passes."""
    fd = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.seteuid(h.USERS.get(user, 0))
    try:
        with c.Raw(path) as raw:
            socket.send_fds(raw.sock, [b"log-reopen\n"], [fd])
            return raw.answer()[-1]
    finally:
        os.seteuid(0)
        os.close(fd)


def test_log_that_is_not_roots_stays_the_file_of_its_name(own, place):
    s = own("--log", f"{place}/log", ready=False)
    h.wait_for(lambda: os.path.exists(s.control) and
               c.ask(s.control, "ping")[-1] == "end", 10)

    def log():
        with open(f"{place}/log", encoding="utf-8") as f:
            return f.read()
    assert pass_file(s.control, f"{place}/other", "www") == \
        "error 77 only root may pass another file than that of --log"
    assert os.path.getsize(f"{place}/other") == 0
    os.rename(f"{place}/log", f"{place}/log.1")
    assert pass_file(s.control, f"{place}/log", "www") == "end"
    assert "log: reopened" in log()
    assert pass_file(s.control, f"{place}/other", "root") == "end"
    # The old one says who has done it.
    assert re.search(r"log-reopen of a file that is passed: asked for by "
                     r"uid 0, pid \d+\n$", log())
    with open(f"{place}/other", encoding="utf-8") as f:
        assert "log: reopened" in f.read()
