# SPDX-License-Identifier: ISC
"""The log: its targets, its form, and that nothing it meets stops a pool."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time

import pytest

import harness as h
from stubs import Datagrams, Dev, Disk, Mounted

UNTRUSTED = True

STAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d"
SYSLOG = r"<(\d+)>(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) " \
         r"[ 123]\d \d\d:\d\d:\d\d "
DAEMON, LOCAL3 = 3, 19          # facilities
WARNING, INFO = 4, 6            # levels


def read(path):
    """What there is so far."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def wait_file(path, pattern, deadline=10):
    return h.wait_for(lambda: re.search(pattern, read(path)), deadline,
                      lambda: f"{path} has {pattern!r}:\n{read(path)[-2000:]}")


def in_file(path, *more):
    return ["-s", f"{os.path.dirname(path)}/sock", "-u", "www", "--log",
            path, "-F", 2, *more, "--", h.app("chatty")]


def say(sock, text, **kw):
    """Makes a worker write a line."""
    return h.request(sock, f"log={text}", **kw)


def own_message(s):
    """Makes spawnd itself log a line: that a worker has ended."""
    workers = s.wait_workers(2)
    h.kill(workers[0])
    s.wait_workers(2, other_than=workers[:1])
    return workers[0]


@pytest.fixture
def dev():
    with Dev() as d:
        yield d


@pytest.fixture
def logger(dev):
    """Starts a syslogd on /dev/log; again after its close()."""
    with contextlib.ExitStack() as stack:
        def start(path="/dev/log"):
            return stack.enter_context(Once(path))
        yield start


class Once(Datagrams):
    closed = False

    def close(self):
        if not self.closed:
            self.closed = True
            super().close()


# Standard error

def test_form_on_stderr(place, spawnd):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "--name", "pool-1", "--",
               h.app("echo"))
    worker = int(say(f"{place}/sock", "hello there").headers["x-pid"])
    s.wait_log("hello")
    for line in s.log().splitlines():
        assert re.fullmatch(rf"{STAMP} pool-1\[\d+\]( info)?: .+", line), line
    assert re.search(rf"^{STAMP} pool-1\[{s.pid}\] info: 4 workers ready on ",
                     s.log(), re.M)
    assert re.search(rf"^{STAMP} pool-1\[{worker}\]: hello there$", s.log(),
                     re.M)


def test_time_is_now(place, spawnd):
    before = time.time()
    s = spawnd("-s", f"{place}/sock", "-u", "www", "--", h.app("echo"))
    out = subprocess.run(["date", "+%s.%N", "-d", s.log().split()[0]],
                         stdout=subprocess.PIPE, check=True).stdout
    assert before - 0.01 <= float(out) <= time.time()


def test_level_of_a_warning(place, spawnd):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--",
               h.app("echo"))
    gone = own_message(s)
    s.wait_log(rf"(?m)^{STAMP} echo\[{s.pid}\] warning: worker {gone}: was "
               r"killed by SIGKILL after \d+\.\d\d s")


def journal(place, spawnd, stream):
    return spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--",
                  h.app("echo"), wrap=[
                      "sh", "-c", "JOURNAL_STREAM=$(stat -Lc "
                      f"{stream} /proc/$$/fd/2); export JOURNAL_STREAM; "
                      'exec "$@"', "sh"])


def test_journal_gets_levels_and_no_time(place, spawnd):
    s = journal(place, spawnd, "%d:%i")
    worker = say(f"{place}/sock", "to the journal").headers["x-pid"]
    gone = own_message(s)
    s.wait_log("SIGKILL")
    s.wait_log("to the journal")
    lines = s.log().splitlines()
    assert re.match(rf"<6>echo\[{s.pid}\] info: 2 workers ready", lines[0])
    assert f"<6>echo[{worker}]: to the journal" in lines
    assert any(x.startswith(f"<4>echo[{s.pid}] warning: worker {gone}: ")
               for x in lines)
    assert all(re.match(r"<\d>echo\[", x) for x in lines)


def test_journal_that_is_not_our_stderr(place, spawnd):
    s = journal(place, spawnd, "%d:1%i")
    assert re.match(STAMP, s.log())


# A file

def test_file(place, spawnd):
    s = spawnd(*in_file(f"{place}/log"), daemon=True)
    st = os.stat(f"{place}/log")
    assert st.st_mode & 0o7777 == 0o640
    worker = say(f"{place}/sock", "hello").headers["x-pid"]
    wait_file(f"{place}/log",
              rf"(?m)^{STAMP} chatty\[{worker}\]: hello\n")
    assert s.log().count("\n") == 1     # on the terminal: the start line


def test_file_is_not_for_others_whatever_the_umask(place, spawnd):
    spawnd(*in_file(f"{place}/log"), daemon=True,
           become=lambda: os.umask(0) and None)
    assert os.stat(f"{place}/log").st_mode & 0o7777 == 0o640


def test_file_is_appended_to(place, spawnd):
    with open(f"{place}/log", "w", encoding="ascii") as f:
        f.write("of old\n")
    spawnd(*in_file(f"{place}/log"), daemon=True)
    say(f"{place}/sock", "hello")
    wait_file(f"{place}/log", r"\Aof old\n(.*\n)*.*: hello\n")


def test_file_in_the_foreground(place, spawnd):
    s = spawnd(*in_file(f"{place}/log"), ready=False)
    wait_file(f"{place}/log", rf"{STAMP} chatty\[\d+\] info: 2 workers ready",
              20)
    assert s.log() == ""


@pytest.mark.parametrize("kind", ["link", "directory", "fifo", "device"])
def test_file_that_is_something_else(place, kind):
    path = f"{place}/log"
    if kind == "link":
        os.symlink("/run/t/elsewhere", path)
    elif kind == "directory":
        os.mkdir(path)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
    before = h.tree(place)
    result = h.run_spawnd(*in_file(path))
    assert result.status == 73
    assert h.line_of(result).startswith(f"spawnd: --log: {path}: ")
    assert h.tree(place) == before
    assert not os.path.exists("/run/t/elsewhere")


def test_directory_of_the_file_is_missing(place):
    result = h.run_spawnd("-s", f"{place}/sock", "-u", "www", "--log",
                          f"{place}/none/log", "--", h.app("echo"))
    assert result.status == 73
    assert h.line_of(result) == (f"spawnd: --log: {place}/none/log: its "
                                 "directory: No such file or directory")


def test_no_worker_holds_the_file(place, spawnd):
    s = spawnd(*in_file(f"{place}/log"), daemon=True)
    for pid in s.wait_workers(2):
        h.wait_fds(pid, {0, 1, 2})
        assert "log" not in " ".join(h.fds(pid).values())


# The time zone

ZONED = r"(?m)^\d{4}-\d\d-\d\dT(\d\d:\d\d):\d\d\.\d{3}\+05:30 "


def is_local(text):
    """The stamps are those of India, the hour as well as the offset."""
    found = re.search(ZONED, text)
    assert found, text
    now = time.time() + 19800
    assert found.group(1) in {time.strftime("%H:%M", time.gmtime(now - n))
                              for n in (0, 30, 60)}


def test_time_zone_by_tz_in_a_jail(www, spawnd):
    h.make_jail(www, "static", "www")
    s = spawnd("-u", "www", "--", "/fcgi-bin/app",
               env=dict(h.BASE_ENV, TZ="Asia/Kolkata"))
    is_local(s.log())


@pytest.mark.parametrize("jailed", [False, True])
def test_time_zone_of_the_system(place, www, spawnd, jailed):
    h.make_jail(www, "static", "www")
    where = ["-c", www, "-s", "run/sock"] if jailed else ["-s",
                                                          f"{place}/sock"]
    program = "/fcgi-bin/app" if jailed else f"{www}/fcgi-bin/app"
    with Mounted("/etc/localtime", "--bind",
                 "/usr/share/zoneinfo/Asia/Kolkata"):
        s = spawnd(*where, "-u", "www", "--", program)
        is_local(s.log())
    # Later lines are of the same zone, whatever has become of its file.
    start = len(s.log())
    say(f"{www}/run/sock" if jailed else f"{place}/sock", "later")
    s.wait_log("later", start=start)
    is_local(s.log()[start:])


def test_time_zone_reaches_no_worker_unasked(www, spawnd):
    h.make_jail(www, "static", "www")
    spawnd("-u", "www", "--", "/fcgi-bin/app")
    answer = h.request(f"{www}/run/httpd.sock", "env")
    assert not [x for x in answer.facts["env"] if x.startswith("TZ=")]


def test_time_zone_in_syslog_from_a_jail(www, logger, spawnd):
    h.make_jail(www, "static", "www")
    log = logger()
    spawnd("-u", "www", "--", "/fcgi-bin/app", daemon=True,
           env=dict(h.BASE_ENV, TZ="Asia/Kolkata"))
    say(f"{www}/run/httpd.sock", "hello")
    _, text = log.wait(lambda t: t.endswith("hello"))
    now = time.time() + 19800
    assert re.search(r" (\d\d:\d\d):\d\d ", text).group(1) in {
        time.strftime("%H:%M", time.gmtime(now - n)) for n in (0, 30)}


# Opened again

def rotate(place, *lines):
    """Runs logrotate -f on place/logs/log with these lines."""
    conf = f"{place}/rotate.conf"
    with open(conf, "w", encoding="ascii") as f:
        f.write("\n".join([f"{place}/logs/log {{", "rotate 3", *lines,
                           "}", ""]))
    os.chmod(conf, 0o644)
    subprocess.run(["logrotate", "-f", "-s", f"{place}/rotate.state", conf],
                   check=True, timeout=20 * h.PATIENCE, stdout=subprocess.PIPE,
                   stderr=subprocess.STDOUT)


@pytest.fixture(params=["free", "jailed"])
def rotated(request, place, www, spawnd):
    """A daemon with a log in a directory of root's."""
    h.own_directory(f"{place}/logs", "root")
    path = f"{place}/logs/log"
    if request.param == "jailed":
        h.make_jail(www, "static", "www")
        s = spawnd("-u", "www", "--log", path, "-F", 2, "--",
                   "/fcgi-bin/app", daemon=True)
        s.sock = f"{www}/run/httpd.sock"
    else:
        s = spawnd("-s", f"{place}/sock", "-u", "www", "--log", path, "-F",
                   2, "--", h.app("echo"), daemon=True)
        s.sock = f"{place}/sock"
    s.file, s.place = path, place
    say(s.sock, "before")
    wait_file(path, ": before\n")
    return s


def test_logrotate_with_create(rotated):
    s = rotated
    rotate(s.place, "create 0640 www adm", "postrotate",
           f"kill -USR1 {s.pid}", "endscript")
    wait_file(s.file, "info: log: reopened")
    say(s.sock, "after")
    wait_file(s.file, ": after\n")
    st = os.stat(s.file)
    assert (st.st_mode & 0o7777, st.st_uid) == (0o640, 67)
    assert ": before\n" not in read(s.file)
    assert ": before\n" in read(f"{s.file}.1")
    assert "after" not in read(f"{s.file}.1")


def test_logrotate_with_copytruncate(rotated):
    s = rotated
    rotate(s.place, "copytruncate")
    say(s.sock, "after")
    wait_file(s.file, ": after\n")
    # No hole in front of it: every write goes to the end there is.
    with open(s.file, "rb") as f:
        assert f.read(4) == time.strftime("%Y").encode()
    assert ": before\n" in read(f"{s.file}.1")
    assert h.request(s.sock, "pid").status == 200


def test_new_file_that_is_missing(rotated):
    s = rotated
    os.rename(s.file, f"{s.file}.1")
    s.signal(signal.SIGUSR1)
    wait_file(f"{s.file}.1", rf"warning: --log: {s.file}: No such file or "
              r"directory \(the old file is kept\)")
    say(s.sock, "after")
    wait_file(f"{s.file}.1", ": after\n")
    assert not os.path.exists(s.file)


def test_new_file_that_may_not_be_written(rotated):
    s = rotated
    os.rename(s.file, f"{s.file}.1")
    os.close(os.open(s.file, os.O_CREAT | os.O_WRONLY, 0o640))
    s.signal(signal.SIGUSR1)
    wait_file(f"{s.file}.1", rf"warning: --log: {s.file}: Permission denied "
              r"\(the old file is kept\)")
    say(s.sock, "after")
    wait_file(f"{s.file}.1", ": after\n")
    assert read(s.file) == ""


def test_new_file_that_is_a_link(rotated):
    """Whoever may write that directory leads the log nowhere else."""
    s = rotated
    target = f"{s.place}/target"
    os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o666))
    os.chown(target, 67, 67)
    os.rename(s.file, f"{s.file}.1")
    os.symlink(target, s.file)
    s.signal(signal.SIGUSR1)
    wait_file(f"{s.file}.1", rf"warning: --log: {s.file}: is a link "
              r"\(the old file is kept\)")
    say(s.sock, "after")
    wait_file(f"{s.file}.1", ": after\n")
    assert read(target) == ""


def test_usr1_without_a_file_does_no_harm(place, spawnd):
    s = spawnd("-s", f"{place}/sock", "-u", "www", "--", h.app("echo"))
    s.signal(signal.SIGUSR1)
    say(f"{place}/sock", "after")
    s.wait_log(": after\n")
    assert s.running()


# A full disk

def test_full_disk_neither_ends_nor_blocks_the_pool(place, spawnd):
    with Disk("64k") as disk:
        path, sock = f"{disk}/log", f"{place}/sock"
        s = spawnd("-s", sock, "-u", "www", "--log", path, "-F", 2, "--",
                   h.app("chatty"), daemon=True)
        try:
            filler = os.open(f"{disk}/filler", os.O_CREAT | os.O_WRONLY)
            os.write(filler, b"x" * 40000)
            h.request(sock, "pid", params={"SAY": "flood=1000"})
            h.wait_for(lambda: os.statvfs(disk).f_bavail == 0, 5, "full")
            load = h.Load(sock, threads=2, count=200)
            load.start().join()
            assert load.answered == 200, load
            gone = own_message(s)           # workers are replaced as ever
            assert not h.alive(gone)
            os.ftruncate(filler, 0)
            os.close(filler)
            # The next line is one of its own, and the loss is told.
            say(sock, "there is room again")
            wait_file(path, rf"(?m)^{STAMP} chatty\[\d+\]: there is room "
                      "again$")
            wait_file(path, rf"(?m)^{STAMP} chatty\[{s.pid}\] warning: log: "
                      r"[1-9]\d* lines were lost$")
        finally:
            s.end()


# syslog

def test_syslog_is_the_daemons_log(place, logger, spawnd):
    log = logger()
    s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--",
               h.app("echo"), daemon=True)
    assert s.log().count("\n") == 1, s.log()
    worker = say(f"{place}/sock", "hello there").headers["x-pid"]
    gone = own_message(s)
    _, text = log.wait(lambda t: "hello" in t)
    assert re.fullmatch(rf"{SYSLOG}echo\[{worker}\]: hello there", text)
    assert text.startswith(f"<{DAEMON * 8 + INFO}>")
    _, text = log.wait(lambda t: f"worker {gone}:" in t)
    assert re.fullmatch(rf"{SYSLOG}echo\[{s.pid}\] warning: worker {gone}: "
                        r"was killed by SIGKILL .*", text)
    assert text.startswith(f"<{DAEMON * 8 + WARNING}>")
    for text in log.texts():
        assert re.match(SYSLOG, text) and "\n" not in text


def test_syslog_time_is_local(place, logger, spawnd):
    log = logger()
    spawnd("-s", f"{place}/sock", "-u", "www", "--", h.app("echo"),
           daemon=True)
    say(f"{place}/sock", "hello")
    _, text = log.wait(lambda t: "hello" in t)
    stamp = re.match(r"<\d+>(.{15}) ", text).group(1)
    assert stamp in {time.strftime("%b %e %H:%M:%S",
                                   time.localtime(time.time() - n))
                     for n in range(5)}


def test_syslog_facility(place, logger, spawnd):
    log = logger()
    spawnd("-s", f"{place}/sock", "-u", "www", "--syslog-facility", "local3",
           "--", h.app("echo"), daemon=True)
    say(f"{place}/sock", "hello")
    _, text = log.wait(lambda t: "hello" in t)
    assert text.startswith(f"<{LOCAL3 * 8 + INFO}>")


def test_unknown_facility(place):
    result = h.run_spawnd("-s", f"{place}/sock", "--syslog-facility",
                          "local9", "--", h.app("echo"))
    assert result.status == 64
    assert "local9" in h.line_of(result)


def test_syslog_in_the_foreground(place, logger, spawnd):
    log = logger()
    s = spawnd("-s", f"{place}/sock", "-u", "www", "--log", "syslog", "--",
               h.app("echo"), ready=False)
    log.wait(lambda t: "info: 4 workers ready on unix:" in t, 20)
    assert s.log() == ""


@pytest.fixture(params=["free", "jailed", "jailed and a link"])
def talker(request, place, www, logger, spawnd):
    """A daemon that logs to syslog, and where that listens."""
    path = "/dev/log"
    if request.param.endswith("link"):
        path = f"{place}/journal/dev-log"
        h.own_directory(f"{place}/journal", "root")
        os.symlink(path, "/dev/log")
    first = logger(path)
    if request.param == "free":
        s = spawnd("-s", f"{place}/sock", "-u", "www", "-F", 2, "--",
                   h.app("chatty"), daemon=True)
        s.sock = f"{place}/sock"
    else:
        h.make_jail(www, "static", "www")
        s = spawnd("-u", "www", "-F", 2, "--", "/fcgi-bin/app", daemon=True)
        s.sock = f"{www}/run/httpd.sock"
    say(s.sock, "to the first")
    first.wait(lambda t: "to the first" in t)
    s.first, s.syslogd = first, path
    return s


def test_next_message_after_a_restart_of_syslogd_arrives(talker, logger):
    s = talker
    s.first.close()
    assert not os.path.exists(s.syslogd)
    second = logger(s.syslogd)
    say(s.sock, "the next")
    second.wait(lambda t: re.fullmatch(SYSLOG + r"\S+\[\d+\]: the next", t))
    assert not any("lost" in t for t in second.texts())


def test_messages_without_a_syslogd_are_counted(talker, logger):
    s = talker
    s.first.close()
    for n in range(5):
        assert say(s.sock, f"nobody hears {n}").status == 200
    # They have been read, and so are lost, when the answer to a later
    # exit's line would come: there is no other sign of it.
    gone = own_message(s)
    second = logger(s.syslogd)
    say(s.sock, "somebody hears")
    second.wait(lambda t: t.endswith(": somebody hears"))
    _, text = second.wait(lambda t: "lost" in t)
    assert re.fullmatch(SYSLOG + rf"\S+\[{s.pid}\] warning: log: 6 lines "
                        "were lost", text), (text, gone)
    assert not any("nobody" in t for t in second.texts())
    # Said once; and those that follow are heard.
    say(s.sock, "and again")
    second.wait(lambda t: t.endswith(": and again"))
    assert sum("lost" in t for t in second.texts()) == 1


def test_syslogd_that_does_not_read_blocks_nobody(place, dev, spawnd):
    stuck = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        stuck.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        sock = f"{place}/sock"
        s = spawnd("-s", sock, "-u", "www", "-F", 2, "--", h.app("chatty"),
                   daemon=True)
        h.request(sock, "pid", params={"SAY": "flood=20000"})
        load = h.Load(sock, threads=2, count=200)
        load.start().join()
        assert load.answered == 200, load
        s.stop()
    finally:
        stuck.close()


def test_start_without_a_syslogd(place, dev, spawnd):
    """It says so, and once there is one, how much was lost."""
    s = spawnd("-s", f"{place}/sock", "-u", "www", "--", h.app("echo"),
               daemon=True)
    assert re.match(r"spawnd: syslog: /dev/log: No such file or directory "
                    r"\(lines are lost until it is there", s.log())
    say(f"{place}/sock", "hello")
    with Datagrams("/dev/log") as log:
        say(f"{place}/sock", "again")
        log.wait(lambda text: text.endswith(": again"), what="again")
        log.wait(lambda text: re.search(r"log: \d+ lines were lost$", text),
                 what="lost")
