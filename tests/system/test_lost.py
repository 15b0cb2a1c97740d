# SPDX-License-Identifier: ISC
"""What is counted as lost: each request that a worker is killed with, and
nothing else; and that no worker answers wrongly because it is to go."""

import os
import signal
import threading

import pytest

import ctl
import harness as h
from test_door import without_ptrace

# Two processes, each of which serves; they end only when they are killed.
PAIR = f"exec 3<&0; {h.APPS}/bare <&3 3<&- & exec 3<&-; exec {h.APPS}/bare"


@pytest.fixture
def start(spawnd, place):
    def go(*argv, stop=2, keep=5, options=(), **kw):
        s = spawnd("--name", "lost", "-s", f"{place}/sock", "-u", "www",
                   "-F", 1, "--stop-timeout", stop, "--keep-idle", keep,
                   *options, "--", *argv, **kw)
        s.sock = f"{place}/sock"
        return s
    return go


def slow(s, n, seconds=60):
    """Clients whose requests take that long, and are served by now."""
    clients = [h.Connection(s.sock) for _ in range(n)]
    for c in clients:
        c.send(f"a {seconds * 1000}")
    h.wait_for(lambda: taken(s) >= n, 5, s.log)
    return clients


def taken(s):
    return int(ctl.figures("lost")["connections"]["now"])


def reload(s):
    done = s.log().count("all workers are new")
    s.signal(signal.SIGHUP)
    h.wait_for(lambda: s.log().count("all workers are new") > done, 20, s.log)
    count = ctl.figures("lost")["count"]
    return int(count["killed"]), int(count["lost"])


def failed(clients):
    n = 0
    for c in clients:
        try:
            c.receive()
        except h.FcgiError:
            n += 1
        c.close()
    return n


def test_each_request_of_a_thread_counts(start):
    s = start(h.app("lib"), "4")
    worker = s.workers()[0]
    clients = slow(s, 3)
    assert reload(s) == (1, 3)
    assert failed(clients) == 3
    s.wait_log(rf"worker {worker}: killed: still running after 2 s "
               r"\(--stop-timeout\), lost 3 requests, the oldest held for "
               r"[1-9]\.")


def test_each_request_of_a_tree_counts(start):
    s = start("/bin/sh", "-c", PAIR)
    worker = s.workers()[0]
    child = h.children(worker)[0]
    clients = slow(s, 2)
    assert reload(s) == (1, 2)
    assert failed(clients) == 2
    s.wait_log(rf"worker {worker}: killed: still running after 2 s "
               r"\(--stop-timeout\), lost 2 requests, the oldest held "
               rf"(by its process {child} )?for [1-9]\.")


def test_request_that_two_processes_hold_counts_once(start, place):
    """fcgiwrap and its script hold the same connection."""
    script = f"{place}/script"
    with open(script, "w") as f:
        f.write("#!/bin/sh\nexec sleep 600\n")
    os.chmod(script, 0o755)
    s = start("/usr/sbin/fcgiwrap")
    with h.Connection(s.sock) as c:
        c.send("a", params={"SCRIPT_FILENAME": script})
        h.wait_for(lambda: taken(s) == 1 and len(h.descendants(s.pid)) == 2,
                   5, s.log)
        assert reload(s) == (1, 1)
        h.wait_for(lambda: len(h.descendants(s.pid)) == 1, 5, s.log)


def test_quiet_connection_is_no_lost_request(start):
    """Of two connections only one has a request."""
    s = start(h.app("lib"), "2", keep=1, stop=4)
    clients = slow(s, 1)
    with h.Connection(s.sock) as kept:
        assert kept.request("b", keep=True).text.startswith("b ")
        assert reload(s) == (1, 1)
    assert failed(clients) == 1


def test_client_that_has_gone_has_lost_nothing(start):
    s = start(h.app("bare"))
    clients = slow(s, 1)
    clients[0].close()
    assert reload(s) == (1, 0)
    s.wait_log("killed: still running after its stop signal")


def test_fast_stop_counts_too(start):
    s = start(h.app("poller"), "deaf", stop=60)
    c = h.Connection(s.sock)
    c.send("sleep=60000")
    h.wait_for(lambda: taken(s) == 1, 5, s.log)
    assert s.stop(signal.SIGINT) == 0
    assert "killed: still running after a fast stop, lost 1 request, held " \
        in s.log(), s.log()
    assert failed([c]) == 1


def test_old_request_ends_others_without_a_wrong_answer(start):
    """A signal that its program catches would end the read of a thread."""
    s = start(h.app("lib"), "4", options=["--request-timeout", 1])
    clients = slow(s, 1)
    for _ in range(3):
        c = h.Connection(s.sock)
        c.sock.sendall(h.request_bytes("b", b"x" * 1000)[:-200])
        clients.append(c)
    h.wait_for(lambda: taken(s) == 4, 5, s.log)
    for c in clients:
        c.out = b""
    assert failed(clients) == 4, s.log()
    s.wait_log(r"killed: has served one request for .* \(--request-timeout\)")


# Tracing refused

READER = """#!/usr/bin/perl
use FCGI;
my $r = FCGI::Request();
while ($r->Accept() >= 0) {
	my $n = 0;
	$n++ while read(STDIN, my $byte, 1);
	select undef, undef, undef, $1 if $ENV{QUERY_STRING} =~ /sleep=(.*)/;
	print "Content-Type: text/plain\\r\\n\\r\\n$n\\n";
}
"""


@pytest.fixture
def reader(start, place):
    def go(**kw):
        with open(f"{place}/reader", "w") as f:
            f.write(READER)
        os.chmod(f"{place}/reader", 0o755)
        return start(f"{place}/reader", **kw)
    return go


def test_half_of_a_request_is_not_answered(reader):
    """libfcgi takes a read that a signal ends for the end of the body."""
    s = reader(become=without_ptrace)
    with h.Connection(s.sock) as c:
        c.sock.sendall(h.request_bytes("a", b"x" * 1000)[:-200])
        h.wait_for(lambda: taken(s) == 1, 5, s.log)
        assert reload(s) == (1, 1)
        c.out = b""
        with pytest.raises(h.FcgiError):
            print(c.receive().text)


def test_busy_one_is_told_in_the_last_second_and_may_finish(reader):
    """The signal ends its sleep. Whether its answer is seen whole is chance;
    if not, it counts."""
    s = reader(become=without_ptrace, stop=3)
    answers = []

    def ask():
        with h.Connection(s.sock) as c:
            answers.append(c.request("sleep=60", b"x" * 1000).text)
    client = threading.Thread(target=ask)
    client.start()
    h.wait_for(lambda: taken(s) == 1, 5, s.log)
    killed, lost = reload(s)
    client.join()
    assert answers == ["1000\n"]
    assert killed == 0 and lost in (0, 1), s.log()
    assert ("ended by its stop signal shortly before --stop-timeout, perhaps "
            "lost 1 request, held for" in s.log()) == (lost == 1), s.log()


def test_hidden_one_goes_when_nobody_is_served(start, place):
    """Its program cannot be read: nor can what it holds."""
    program = h.install(h.app("lib"), f"{place}/hidden", mode=0o711)
    s = start(program, stop=30)
    clients = slow(s, 1, seconds=2)
    assert reload(s) == (0, 0)
    assert failed(clients) == 0
    clients = slow(s, 1, seconds=2)
    assert reload(s) == (0, 0)
    assert failed(clients) == 0
    assert s.log().count("cannot be kept from new connections: its user may "
                         "not read its program, or it has cleared its "
                         "dumpable flag (such a worker") == 1, s.log()


def test_hidden_one_is_never_told_while_it_may_read(start, place):
    program = h.install(h.app("lib"), f"{place}/hidden", mode=0o711)
    s = start(program)
    with h.Connection(s.sock) as c:
        c.sock.sendall(h.request_bytes("a")[:-60])
        h.wait_for(lambda: taken(s) == 1, 5, s.log)
        assert reload(s) == (1, 1)
        c.out = b""
        with pytest.raises(h.FcgiError):
            print(c.receive().text)
    s.wait_log("perhaps lost a request, which cannot be seen")
