# SPDX-License-Identifier: ISC
"""What becomes of the workers' output, however much of it there is."""

import contextlib
import os
import re
import resource
import select
import signal
import threading
import time

import pytest

import ctl
import harness as h
from stubs import Disk

UNTRUSTED = True

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d"
DROPPED = r"warning: worker (\d+): (\d+) lines of its output dropped"
LOST = r"warning: log: (\d+) lines were lost"
MANY = 1000000          # lines of 100 bytes: 100 MB
# kB that a flood may cost the supervisor. With sanitizers memory that was
# freed is kept for a while, here up to what harness.py allows.
GROWTH = 32768 if h.sanitized() else 1024


@pytest.fixture
def pool(place, spawnd):
    """A pool of chatty that logs to a file; p.lines(pid) are a worker's."""
    return lambda *args, **kw: Pool(place, spawnd, *args, **kw)


class Pool:
    def __init__(self, place, spawnd, *args, workers=2, program=(), **kw):
        self.place, self.sock = place, f"{place}/sock"
        self.s = spawnd("-s", self.sock, "-u", "www", "-F", workers, *args,
                        "--", h.app("chatty"), *program, **kw)

    def say(self, commands, query="pid", **kw):
        """Returns the pid of the worker that has talked."""
        answer = h.request(self.sock, query, params={"SAY": commands}, **kw)
        return int(answer.headers["x-pid"])

    def raw(self):
        with open(self.s.log_path, "rb") as f:
            return f.read()

    def lines(self, pid):
        """What has been logged of a worker, in prefix form."""
        head = rf"{STAMP} chatty\[{pid}\]: ".encode()
        return [m.group(1) for m in
                re.finditer(rb"(?m)^" + head + rb"(.*)$", self.raw())]

    def wait_line(self, pid, text, deadline=10):
        h.wait_for(lambda: text in self.lines(pid), deadline,
                   lambda: f"{text!r} in {self.s.log()[-2000:]}")
        return self.lines(pid)


def pattern(size):
    return (b"0123456789" * (size // 10 + 1))[:size]


def pieces(lines):
    """Checks the form of a line that was split; returns the whole."""
    assert all(len(x) == 8193 and x.endswith(b"\\") for x in lines[:-1])
    assert len(lines[-1]) <= 8192
    return b"".join([x[:-1] for x in lines[:-1]] + [lines[-1]])


# prefix

def test_prefix_of_both_outputs(pool):
    p = pool()
    pid = p.say("out=to stdout&part=to &part=stderr\n")
    assert p.wait_line(pid, b"to stderr") == [b"to stdout", b"to stderr"]
    assert h.fds(pid)[1] == h.fds(pid)[2]


def test_every_byte_value(pool):
    p = pool()
    pid = p.say("bytes&part=the end\n")
    line = p.wait_line(pid, b"the end")[0]
    expected = b"<" + b"".join(
        b"\\x%02x" % c if c < 0x20 else bytes([c])
        for c in range(256) if c != 10) + b">"
    # DEL is a control byte too, and may be shown as one.
    assert line.replace(b"\\x7f", b"\x7f") == expected


def test_controls_of_two_bytes(pool):
    p = pool()
    pid = p.say("out=a\u009b2J\u0085b \u00a0\u00e9\u20ac\n&part=the end\n")
    assert p.wait_line(pid, b"the end")[0] == \
        b"a\\xc2\\x9b2J\\xc2\\x85b \xc2\xa0\xc3\xa9\xe2\x82\xac"


@pytest.mark.parametrize("size", [0, 1, 8191, 8192])
def test_line_that_is_not_split(pool, size):
    p = pool()
    pid = p.say(f"line={size}&part=the end\n")
    assert p.wait_line(pid, b"the end") == [pattern(size), b"the end"]


@pytest.mark.parametrize("size", [8193, 16384, 20000, 65536])
def test_longer_line_is_split(pool, size):
    p = pool()
    pid = p.say(f"line={size}&part=the end\n")
    lines = p.wait_line(pid, b"the end")
    assert pieces(lines[:-1]) == pattern(size)


def test_line_of_a_megabyte(pool):
    p = pool()
    pid = p.say("line=1000000&part=the end\n")
    lines = p.wait_line(pid, b"the end")
    assert len(lines) == 1000000 // 8192 + 2
    assert pieces(lines[:-1]) == pattern(1000000)


def test_line_in_parts_is_one_line(pool):
    p = pool()
    with h.Connection(p.sock) as c:
        pids = {int(c.request("pid", params={"SAY": f"part=part {n} "},
                              keep=True).headers["x-pid"]) for n in "123"}
        # Another worker's lines come between them, not into them.
        other = p.say("part=between\n")
        p.wait_line(other, b"between")
        c.request("pid", params={"SAY": "part=end\n"}, keep=True)
    assert len(pids) == 1 and other not in pids
    p.wait_line(pids.pop(), b"part 1 part 2 part 3 end")


# raw and none

def test_raw_lines_are_untouched(pool):
    p = pool("--worker-log", "raw")
    p.say("bytes&part={\"a\": 1}\n")
    every = b"<" + bytes(c for c in range(256) if c != 10) + b">\n"
    h.wait_for(lambda: b'{"a": 1}\n' in p.raw(), 10, "the line")
    assert b"\n" + every + b'{"a": 1}\n' in p.raw()
    # spawnd's own lines are as ever.
    assert re.match(rf"{STAMP} chatty\[\d+\] info: 2 workers", p.s.log())


@pytest.mark.parametrize("size", [8193, 65535, 65536])
def test_raw_line_is_whole(pool, size):
    p = pool("--worker-log", "raw")
    p.say(f"line={size}&part=the end\n")
    h.wait_for(lambda: b"the end\n" in p.raw(), 10, "the end")
    assert b"\n" + pattern(size) + b"\nthe end\n" in p.raw()


def test_raw_line_of_a_megabyte(pool):
    p = pool("--worker-log", "raw")
    p.say("part=begin\n&line=1000000&part=the end\n")
    h.wait_for(lambda: b"the end\n" in p.raw(), 10, "the end")
    text = p.raw().partition(b"begin\n")[2].partition(b"\nthe end")[0]
    parts = text.split(b"\n")
    assert [len(x) for x in parts[:-1]] == [65536] * 15
    # Whether a mark shows the cut is not said; nothing else is added.
    assert b"".join(parts) == pattern(1000000)


def test_none(pool):
    p = pool("--worker-log", "none")
    pid = p.say("flood=1000&out=hello", query="last=3")
    p.s.wait_log(rf"worker {pid}: exited with status 3")
    for worker in p.s.wait_workers(2, other_than=[pid]):
        # The new one has ours until it is its program.
        h.wait_for(lambda: h.fds(worker)[1] == h.fds(worker)[2] ==
                   "/dev/null", 5, lambda: str(h.fds(worker)))
    assert "hello" not in p.s.log() and "#1" not in p.s.log()


# The end of a worker

def test_last_words_without_a_newline(pool):
    p = pool()
    pid = p.say("part=these are the last words", query="last=0")
    p.wait_line(pid, b"these are the last words")


def test_last_words_come_before_the_end(pool):
    p = pool()
    for n in range(20):
        pid = p.say("chunks=100*200&part=last", query="last=3")
        p.s.wait_log(rf"worker {pid}: exited with status 3")
        text = p.s.log()
        end = text.index(f"worker {pid}: exited")
        assert text.index(f"chatty[{pid}]: #100 ") < end, n
        assert text.index(f"chatty[{pid}]: last\n") < end, n


def test_last_words_of_a_worker_that_leaves_a_process(pool):
    """Nobody waits for that process to end to see them."""
    p = pool()
    pid = p.say("hold=30&part=last words", query="last=3")
    p.s.wait_log(rf"worker {pid}: exited with status 3")
    text = p.s.log()
    assert f"chatty[{pid}]: last words\n" in text
    assert text.index("last words") < text.index(f"worker {pid}: exited")


def test_a_full_pipe_is_read_to_its_end(pool):
    p = pool()
    pid = p.say("chunks=400*1000", query="last=3")
    p.s.wait_log(rf"worker {pid}: exited with status 3")
    text = p.s.log()
    end = text.index(f"worker {pid}: exited")
    assert text.index(f"chatty[{pid}]: #400 ") < end


def test_what_a_worker_leaves_behind_is_heard(pool):
    p = pool()
    pid = p.say("later=I am still here", query="last=0")
    p.wait_line(pid, b"I am still here")


def test_processes_left_behind_do_not_use_up_descriptors(pool):
    p = pool(wrap=["prlimit", "--nofile=96:96"])
    before = len(h.fds(p.s.pid))
    for n in range(150):
        try:
            p.say("hold=60", query="last=0", deadline=5)
        except h.FcgiError as e:
            pytest.fail(f"request {n}: {e}\n{p.s.log()[-600:]}")
    held = len(h.fds(p.s.pid))
    assert held <= 96, (before, held)
    load = h.Load(p.sock, threads=2, count=100)
    load.start().join()
    assert load.answered == 100, load
    h.wait_for(lambda: len(serving(p.s)) == 2, 10, "two workers")
    assert "next try" not in p.s.log()
    assert "Too many open files" not in p.s.log()


def serving(s):
    """The workers proper: what holds the listen socket."""
    found = []
    for pid in s.workers():
        try:
            if 0 in h.fds(pid):
                found.append(pid)
        except OSError:
            pass
    return found


def test_default_limits_and_processes_left_behind(pool):
    p = pool()
    before = len(h.fds(p.s.pid))
    for _ in range(150):
        p.say("hold=60", query="last=0")
    assert len(h.fds(p.s.pid)) <= before + 70
    assert h.request(p.sock, "pid").status == 200


# Floods

def flood(p, lines):
    """Has one worker flood, in a thread. t.pid is set when it is done."""
    def run():
        t.pid = p.say(f"flood={lines}", deadline=120)
    t = threading.Thread(target=run, daemon=True)
    t.pid = None
    t.start()
    return t


def anonymous(pid):
    """kB of memory of the process's own."""
    return int(h.status(pid)["RssAnon"].split()[0])


def rate(p, sec, look=lambda: None):
    """Requests a second that are answered in so many seconds."""
    load = h.Load(p.sock, threads=3)
    start = end = time.monotonic()
    with load:
        while end - start < sec:
            look()
            h.pass_time(0.1)
            end = time.monotonic()
    assert sum(load.failed.values()) == 0, load
    return load.answered / (end - start)


TREE = r"""#!/usr/bin/perl
use FCGI;
use POSIX ();
if (my $pid = fork) { waitpid($pid, 0); exit }
my $r = FCGI::Request();
while ($r->Accept() >= 0) {
	select(undef, undef, undef, 0.05) until -e "$0.go";
	POSIX::write(2, "served $$\n", length "served $$\n");
	print "Content-Type: text/plain\r\n\r\nok\n";
}
"""


def test_all_who_are_left_behind_can_still_write(spawnd, place):
    """A tree's first process is killed while the other one serves; what that
    one writes then has to be read, or the write would end it."""
    trees = 24
    with open(f"{place}/tree", "w") as f:
        f.write(TREE)
    os.chmod(f"{place}/tree", 0o755)
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", trees, "--",
               f"{place}/tree")
    clients = [h.Connection(f"{place}/sock") for _ in range(trees)]
    for c in clients:
        c.send("x")
    # Nobody is done with one request, so nobody takes two.
    h.wait_for(lambda: sum(map(h.serves, h.descendants(s.pid))) >= trees, 10,
               s.log)
    first = set(s.workers())
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    h.wait_for(lambda: not first & set(s.workers()), 10, s.log)
    with open(f"{place}/tree.go", "w"):
        pass
    assert [c.receive().text for c in clients] == ["ok\n"] * trees
    h.wait_for(lambda: len(set(re.findall(r"served (\d+)", s.log()))) ==
               trees, 5, s.log)


def test_flood_of_100_mb(pool):
    p = pool(workers=4)
    p.say("flood=20000")            # what it needs in any case is there
    before = rate(p, 1.5)
    memory = anonymous(p.s.pid)
    seen, began = [], time.monotonic()
    t = flood(p, MANY)
    p.s.wait_log(r": #1 ")
    during = rate(p, 3, lambda: seen.append(anonymous(p.s.pid)))
    assert t.is_alive(), "the flood was too short for the comparison"
    while t.is_alive():
        seen.append(anonymous(p.s.pid))
        t.join(0.1)
    after = rate(p, 1.5)
    assert t.pid
    # It takes cores from the others, as much as anybody who computes.
    assert during >= min(before, after) / 4, (before, during, after)
    assert max(seen) - memory < GROWTH, (memory, max(seen))
    # Something was dropped, which is said, but not all the time.
    p.s.wait_log(DROPPED)
    said = [time_of_day(x) for x in p.s.log().splitlines()
            if f"worker {t.pid}: " in x and re.search(DROPPED, x)]
    assert len(said) >= 5
    assert len(said) <= said[-1] - said[0] + 2, said
    # And the log itself has grown no faster than it may.
    took = time.monotonic() - began
    assert os.path.getsize(p.s.log_path) < (6 + took / 2) * (1 << 20)


def time_of_day(line):
    """Its stamp in seconds."""
    found = re.match(r".{10}T(\d\d):(\d\d):(\d\d\.\d+)", line)
    hour, minute, second = found.groups()
    return int(hour) * 3600 + int(minute) * 60 + float(second)


def test_every_line_is_logged_or_counted(pool):
    """Also when the worker has nothing more to say."""
    p = pool()
    pid = p.say("flood=40000", deadline=60)

    def counted():
        dropped = sum(int(n) for who, n in re.findall(DROPPED, p.s.log())
                      if int(who) == pid)
        return len(p.lines(pid)) + dropped == 40000 and dropped
    h.wait_for(counted, 10, lambda: "40000 lines, but there are "
               f"{len(p.lines(pid))} and {re.findall(DROPPED, p.s.log())}")
    numbers = [int(x[1:].split()[0]) for x in p.lines(pid)]
    assert numbers == sorted(set(numbers))
    assert all(len(x) == 99 for x in p.lines(pid))


def test_flooding_worker_does_not_silence_another(pool):
    p = pool(workers=2)
    t = flood(p, 150000)
    p.s.wait_log(DROPPED)
    pid = p.say("part=a quiet word\n")
    p.wait_line(pid, b"a quiet word", 2)
    assert t.is_alive(), "the flood was too short"
    t.join(60)


def test_flood_in_parts_of_lines(pool):
    """Lines without an end are bounded as well."""
    p = pool()
    memory = anonymous(p.s.pid)
    pid = p.say("line=10000000&part=the end\n", deadline=60)
    assert anonymous(p.s.pid) - memory < GROWTH
    p.s.wait_log(rf"worker {pid}: \d+ lines of its output dropped")


# A log that nobody reads

class Fifo:
    """Standard error of a spawnd as a pipe, read when told to."""

    def __init__(self, place, spawnd, *args, size=None):
        self.place, self.sock = place, f"{place}/sock"
        os.mkfifo(f"{place}/fifo")
        self.fd = os.open(f"{place}/fifo", os.O_RDONLY | os.O_NONBLOCK)
        self.data = b""
        self.s = spawnd("-s", self.sock, "-u", "www", "-F", 2, *args, "--",
                        h.app("chatty"), ready=False,
                        wrap=["sh", "-c", f'exec "$@" 2>{place}/fifo', "sh"])
        self.wait(rb"workers ready on", h.START_DEADLINE)

    def read(self, size=65536):
        try:
            part = os.read(self.fd, size)
        except BlockingIOError:
            part = b""
        self.data += part
        return len(part)

    def wait(self, text, deadline=10):
        def found():
            while self.read():
                pass
            return re.search(text, self.data)
        return h.wait_for(found, deadline,
                          lambda: f"{text!r} in {self.data[-2000:]!r}")

    def say(self, commands, query="pid", **kw):
        answer = h.request(self.sock, query, params={"SAY": commands}, **kw)
        return int(answer.headers["x-pid"])

    def is_full(self):
        """The writers can put nothing more into it."""
        fd = os.open(f"{self.place}/fifo", os.O_WRONLY | os.O_NONBLOCK)
        try:
            return not select.select([], [fd], [], 0)[1]
        finally:
            os.close(fd)


@pytest.fixture
def fifo(place, spawnd):
    made = []

    def make(*args):
        made.append(Fifo(place, spawnd, *args))
        return made[-1]
    yield make
    for f in made:
        os.close(f.fd)


def whole_lines(data):
    """Asserts that each line is one that somebody wrote, not two halves."""
    for line in data.decode().splitlines():
        assert re.fullmatch(
            rf"{STAMP} chatty\[\d+\](: #\d+ x+|: again|: slow \d+"
            rf"| (info|warning): .*)", line), line[:400]
        assert len(re.findall(r"chatty\[", line)) == 1, line[:400]


def test_reader_that_stops_blocks_nobody(fifo):
    f = fifo()
    # The worker that talks may have to wait a little, and is freed.
    talker = f.say("flood=5000", deadline=20)
    assert f.is_full()
    load = h.Load(f.sock, threads=2, count=300)
    load.start().join()
    assert load.answered == 300, load
    # Workers that end are replaced, and the supervisor does not spin.
    workers = f.s.wait_workers(2)
    h.kill(talker)
    f.s.wait_workers(2, other_than=[talker])
    assert len(set(workers) & set(f.s.workers())) == 1
    assert h.share(f.s.pid, 1) < 0.1
    # When it is read again it says what is missing, in whole lines.
    f.wait(rb"ready on .*\n")
    f.say("part=again\n")
    f.wait(rb"(?m)\]: again$")
    f.wait(rb"lines were lost|lines of its output dropped")
    whole_lines(f.data[:f.data.rindex(b"\n")])
    assert accounted(f.data.decode()) >= 5000


def accounted(text):
    """How many lines have come, or were said to be missing."""
    return len(re.findall(r": #\d+ x", text)) + sum(
        int(n) for n in re.findall(LOST, text)) + sum(
        int(n) for _, n in re.findall(DROPPED, text))


def test_workers_are_replaced_while_nobody_reads(fifo):
    """The supervisor does not wait for the reader line by line."""
    f = fifo()
    pids = f.s.wait_workers(2)

    def talk():
        with contextlib.suppress(h.FcgiError):  # it may be the one to go
            f.say("flood=5000", deadline=30)
    t = threading.Thread(target=talk, daemon=True)
    t.start()
    h.wait_for(f.is_full, 5, "a full pipe")
    for _ in range(3):
        h.kill(pids[0])
        pids = f.s.wait_workers(2, other_than=pids[:1], deadline=1)
    t.join(30 * h.PATIENCE)


def test_supervisor_stops_with_a_log_nobody_reads(fifo):
    f = fifo()
    f.say("flood=5000", deadline=20)
    assert f.is_full()
    f.s.stop()


def test_room_for_a_slow_reader_is_given_back(fifo):
    f = fifo()
    before = anonymous(f.s.pid)
    for n in range(3):
        f.say("flood=5000", deadline=20)
        assert f.is_full()
        f.data = b""
        f.wait(rb"lines were lost|lines of its output dropped")
        f.say(f"part=again {n}\n")
        f.wait(rf"\]: again {n}\n".encode())
    more = anonymous(f.s.pid) - before
    assert more < (GROWTH if h.sanitized() else 128), more


def test_slow_reader_gets_whole_lines(fifo):
    """It reads a little at a time, with pauses in which the pipe is full."""
    f = fifo()
    t = threading.Thread(target=f.say, args=("chunks=60*8000",),
                         kwargs={"deadline": 30}, daemon=True)
    t.start()
    while t.is_alive():
        h.pass_time(0.05)
        f.read(30000)
    f.say("part=again\n")
    f.wait(rb"(?m)\]: again$")
    whole_lines(f.data)


def test_slow_reader_gets_whole_raw_lines(fifo):
    f = fifo("--worker-log", "raw")
    f.wait(rb"ready on .*\n")
    f.data = b""
    t = threading.Thread(target=f.say, args=("chunks=20*60000",),
                         kwargs={"deadline": 30}, daemon=True)
    t.start()
    while t.is_alive():
        h.pass_time(0.05)
        f.read(30000)
    f.say("part=again\n")
    f.wait(rb"(?m)^again$|again\n")
    # The last one may be on its way still: another worker said "again".
    for line in f.data[:f.data.rindex(b"\n")].splitlines():
        assert re.fullmatch(rb"#\d+ x+|again|.{29} chatty.*", line), \
            line[:100]
        assert not line.startswith(b"#") or len(line) == 59999, len(line)


def test_reader_that_is_gone_ends_nothing(fifo):
    f = fifo()
    os.close(f.fd)
    f.fd = os.open("/dev/null", os.O_RDONLY)
    f.say("flood=100")
    workers = f.s.wait_workers(2)
    h.kill(workers[0])
    f.s.wait_workers(2, other_than=workers[:1])
    assert h.request(f.sock, "pid").status == 200
    assert f.s.stop(signal.SIGTERM) == 0


def abandoned(f):
    """A full pipe whose reader has gone."""
    f.say("flood=5000", deadline=20)
    assert f.is_full()
    os.close(f.fd)
    f.fd = os.open("/dev/null", os.O_RDONLY)


def test_a_full_pipe_that_is_abandoned_wakes_nobody(fifo):
    """The poll of it says so, and not that it could be written to."""
    f = fifo()
    abandoned(f)
    h.wait_for(lambda: h.rests(f.s.pid, 2), 20, "rest")
    assert f.s.stop() == 0


def cpu_to_stop(s):
    """Seconds of cpu, its workers' among them."""
    before = h.cpu(s.pid)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert s.stop() == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = (after.ru_utime + after.ru_stime - children.ru_utime -
            children.ru_stime - before)
    print("cpu", used)
    return used


def test_a_full_pipe_that_is_abandoned_is_not_waited_for(fifo):
    f = fifo()
    abandoned(f)
    assert cpu_to_stop(f.s) < 0.25


def test_a_full_disk_is_not_waited_for(place, spawnd):
    """The last line on it is cut, and its rest finds no room."""
    with Disk("64k") as disk:
        s = spawnd("-s", f"{place}/sock", "-u", "www", "--name", "p", "--log",
                   f"{disk}/log", "-F", 1, "--", h.app("chatty"),
                   ready=False)
        try:
            h.wait_for(lambda: ctl.ctl("-p", "p", "ping").status == 0, 10)
            h.request(f"{place}/sock", "pid", params={"SAY": "flood=2000"},
                      deadline=20)
            h.wait_for(lambda: os.statvfs(disk).f_bavail == 0, 5, "full")
            assert cpu_to_stop(s) < 0.25
        finally:
            s.end()


@pytest.mark.parametrize("what", ["chunks=400000*2", "flood=400000"])
def test_log_grows_no_faster_than_it_may(place, spawnd, what):
    """Prefixes count as well: short lines are mostly made of them."""
    s = spawnd("-s", f"{place}/sock", "-u", "www", "--log", f"{place}/log",
               "-F", 1, "--", h.app("chatty"), daemon=True)
    began = time.monotonic()
    h.request(f"{place}/sock", "pid", params={"SAY": what}, deadline=60)
    took = time.monotonic() - began
    assert os.stat(f"{place}/log").st_size < (2 + took / 2) * (1 << 20)
    s.stop()


def test_terminal_that_nobody_reads_blocks_nobody(place, spawnd):
    """A write to a terminal waits, although poll(2) said it would not."""
    master, slave = os.openpty()
    try:
        s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--",
                   h.app("chatty"), ready=False,
                   wrap=["sh", "-c", f'exec "$@" 2>{os.ttyname(slave)}',
                         "sh"])
        h.wait_for(lambda: os.path.exists(f"{place}/sock"), 5)
        h.wait_for(lambda: b"ready on" in os.read(master, 65536), 10)
        h.request(f"{place}/sock", "pid", params={"SAY": "flood=20000"},
                  deadline=30)
        load = h.Load(f"{place}/sock", threads=2, count=100)
        load.start().join()
        assert load.answered == 100, load
        assert s.stop(deadline=5) == 0
    finally:
        os.close(master)
        os.close(slave)
