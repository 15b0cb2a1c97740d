# SPDX-License-Identifier: ISC
"""What the system may refuse: processes, pipes, netlink, /proc. The pool
serves on, nobody is ended on a look that has shown nothing, and all is as
before when the fault is over."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

import ctl
import harness as h
import test_retire

LONG = True
PLAIN_ONLY = True       # a tracer and the sanitizers exclude each other

WORKERS = 3
RECOVERY = 1.0          # seconds without a fault, until that is said
CANNOT_SEE = "listen socket: its connections cannot be seen: "
CANNOT_LOOK = r"worker \d+: cannot be inspected: "


class Load(test_retire.Load):
    """The load generator, for as long as the block takes at least."""

    def __init__(self, where, seconds=4):
        super().__init__(where, seconds=seconds)
        self.counts = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.counts = self.result()

    def lost_nothing(self, s):
        assert self.counts["failed"] == 0, (self.counts, s.log())
        assert self.counts["answered"] > 50, self.counts


def fault(s, *rules):
    """Makes system calls of the supervisor fail, as strace's --inject has it;
    its children are left alone."""
    calls = ",".join(rule.partition(":")[0] for rule in rules)
    return h.straced(s.pid, *(f"-einject={rule}" for rule in rules),
                     "-e", f"trace={calls}")


def hanging(s, path):
    """A read of that file of /proc, by the supervisor or one it has forked,
    takes longer than anybody waits here."""
    known = [x for pid in h.lookers(s.pid) for x in ("-p", pid)]
    return h.straced(s.pid, *map(str, known), "-f", "-P", path,
                     "-e", "trace=read",
                     "-e", "inject=read:delay_enter=60s")


@pytest.fixture
def sock(place):
    return f"{place}/sock"


@pytest.fixture
def start(spawnd, sock):
    def go(*argv, options=(), **kw):
        return spawnd("-s", sock, "-u", "www", "-F", WORKERS, *options, "--",
                      *argv, **kw)
    return go


def one_fewer(s, times=1):
    """That many workers are to go: each at once, unlike at a reload."""
    for n in range(times):
        s.signal(signal.SIGTTOU)
        s.wait_log(f"{WORKERS - n - 1} workers? wanted")


def reloaded(s, times, deadline=12):
    h.wait_for(lambda: s.log().count("all workers are new") >= times,
               deadline, s.log)


def reload_works(s):
    """As if nothing had been: all are new, and soon."""
    before, n = set(s.workers()), s.log().count("all workers are new")
    s.signal(signal.SIGHUP)
    reloaded(s, n + 1)
    assert not before & set(s.workers())


# Processes and pipes

@h.always
@pytest.mark.parametrize("rule, what", [
    ("clone,clone3,fork,vfork:error=EAGAIN",
     "fork: Resource temporarily unavailable"),
    ("pipe2:error=EMFILE", "pipe: Too many open files"),
])
def test_pool_is_whole_again_when_processes_can_be_made(start, sock, rule,
                                                        what):
    s = start(h.app("bare"))
    with fault(s, rule):
        victim = s.workers()[0]
        h.kill(victim)
        # No limit is named, as none is reached.
        s.wait_log(rf"warning: {what} \(next try in ")
        used, began = h.cpu(s.pid), time.monotonic()
        with Load(sock, seconds=0.5) as load:
            pass
        load.lost_nothing(s)
        # It waits, ever longer: it does not try all the time.
        h.wait_for(lambda: len(re.findall("next try", s.log())) >= 3, 5)
        assert h.cpu(s.pid) - used < 0.2 * (time.monotonic() - began)
    s.wait_workers(WORKERS, other_than=[victim])


def test_output_that_cannot_be_watched_is_what_the_log_says(start):
    """Not the lack of memory that it is like."""
    s = start(h.app("bare"))
    with fault(s, "epoll_ctl:error=ENOSPC"):
        victim = s.workers()[0]
        h.kill(victim)
        s.wait_log(r"warning: output: No space left on device \(next try")
    s.wait_workers(WORKERS, other_than=[victim])


# Looks that show nothing

LOOKS = {
    # what strace does to the supervisor, and what the log says
    "netlink is full": (["recvfrom:error=ENOBUFS"], CANNOT_SEE),
    "netlink takes nothing": (["sendto:error=ENOBUFS"], CANNOT_SEE),
    "netlink fails now and then": (["recvfrom:error=EINTR:when=2+2",
                                    "sendto:error=EBUSY:when=3+3"],
                                   CANNOT_SEE),
    "no file can be opened": (["openat:error=EACCES"], CANNOT_LOOK),
    "directories cannot be read": (["getdents64:error=EIO"], CANNOT_LOOK),
    "descriptors cannot be read": (["readlink,readlinkat:error=EACCES"],
                                   CANNOT_LOOK),
}


@pytest.mark.parametrize("name", LOOKS)
def test_nobody_is_ended_on_a_look_that_shows_nothing(start, sock, name):
    """The worker handles no signal: whoever is sent it while it serves has
    lost a request. It holds another socket, so that it has to be asked for."""
    rules, text = LOOKS[name]
    s = start(h.app("bare"), "socket")
    before = set(s.workers())
    with Load(sock, 3) as load:
        with fault(s, *rules):
            one_fewer(s, 2)
            s.wait_log(text)
            # A good many looks, which are never more than 0.1 s apart.
            h.pass_time(0.6)
            assert len(re.findall(text, s.log())) == 1
            # A look that does not fail may find one idle.
            assert set(s.workers()) == before or "now and then" in name, \
                s.log()
        left = s.wait_workers(WORKERS - 2)
        assert set(left) < before
        # What works again is seen at the next look.
        h.pass_time(RECOVERY)
        s.signal(signal.SIGHUP)
        s.wait_log("can be .* again")
    load.lost_nothing(s)
    assert s.stop() == 0


def test_supervisor_does_not_spin_while_it_cannot_look(start, sock):
    s = start(h.app("bare"), "socket", options=["--stop-timeout", 2])
    with fault(s, "recvfrom:error=ENOBUFS", "openat:error=EACCES"):
        one_fewer(s, 2)
        assert h.share(s.pid, 1) < 0.25


# What cannot be looked into at all

def unreadable(place, name):
    path = h.install(h.app(name), f"{place}/bin/{name}", 0o711)
    return path


HIDE = ["/usr/bin/unshare", "-m", "/bin/sh", "-c",
        "mount -t proc -o hidepid=2 proc /proc && exec \"$@\"", "sh"]


def test_worker_that_may_not_be_read_goes_when_nobody_is_served(start, place,
                                                                sock):
    """It handles no signal; but what nobody has, it has not."""
    s = start(unreadable(place, "bare"))
    before = set(s.wait_workers(WORKERS))
    with Load(sock, seconds=1.2) as load:
        one_fewer(s, 2)
    load.lost_nothing(s)
    left = s.wait_workers(1)
    assert set(left) < before
    assert len(re.findall(CANNOT_LOOK, s.log())) == 1
    assert "killed" not in s.log()


def test_worker_that_may_not_be_read_but_catches_its_signal(start, place,
                                                            sock):
    s = start(unreadable(place, "lib"))
    with Load(sock, seconds=1.5) as load:
        reload_works(s)
    load.lost_nothing(s)
    assert s.stop() == 0


def test_proc_of_another_pid_namespace_is_not_believed(spawnd, place, sock):
    """Its numbers name other processes than ours."""
    s = spawnd("-s", sock, "-u", "www", "-F", WORKERS, "--stop-timeout", 2,
               "--", h.app("lib"), wrap=["/usr/bin/unshare", "-p", "-f",
                                         "--kill-child"])
    s.wait_log("/proc is of another PID namespace: workers are taken as")
    inner = h.children(s.pid)[0]
    with Load(sock, seconds=0.5) as load:
        pass
    load.lost_nothing(s)
    h.kill(inner, signal.SIGTERM)
    assert s.wait() == 0
    assert s.log().count("PID namespace") == 1


def test_proc_that_hides_others_shows_our_own(start, sock):
    s = start(h.app("bare"), wrap=HIDE)
    with Load(sock, seconds=1.5) as load:
        reload_works(s)
    load.lost_nothing(s)
    assert not re.search(CANNOT_LOOK, s.log())
    assert s.stop() == 0


OLD_CODE = """
static int call(int n, int a, int b, int c)
{
    int r;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c)
        : "memory");
    return r;
}
void _start(void)
{
    int args[3] = { 0, 0, 0 };
    for (;;)
        call(6, call(102, 5, (int)args, 0), 0, 0);      /* close(accept) */
}
"""


@h.needs(h.old_calls)
def test_program_of_32_bits_is_ready_and_retires(start, place):
    """Its calls are numbered otherwise: it is ready when it is still."""
    source = f"{place}/app.c"
    with open(source, "w") as f:
        f.write(OLD_CODE)
    subprocess.run(["cc", "-m32", "-O", "-nostdlib", "-static",
                    "-ffreestanding", "-fno-pie", "-no-pie", "-o",
                    f"{place}/app", source], check=True)
    s = start(f"{place}/app")
    reload_works(s)
    assert s.stop() == 0


# A listener of another network namespace

ELSEWHERE = """
import ctypes, os, socket, sys
path, argv = sys.argv[1], sys.argv[2:]
own = os.open("/proc/self/ns/net", os.O_RDONLY)
libc = ctypes.CDLL(None)
assert libc.unshare(0x40000000) == 0
s = socket.socket(socket.AF_UNIX)
s.bind(path)
s.listen(64)
os.chmod(path, 0o666)
assert libc.setns(own, 0) == 0
os.dup2(s.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(argv[0], argv)
"""


@pytest.mark.parametrize("args", [[], ["socket"]], ids=["plain", "socket"])
def test_listener_of_another_network_namespace(spawnd, sock, args):
    """Who holds nothing but the listener is idle all the same; who holds
    another socket, too, has to wait to its deadline."""
    s = spawnd("-u", "www", "-F", WORKERS, "--stop-timeout", 2, "--",
               h.app("bare"), *args,
               wrap=[sys.executable, "-c", ELSEWHERE, sock])
    assert "the listen queue cannot be seen here: it is of another network " \
        "namespace" in s.log()
    before = set(s.wait_workers(WORKERS))
    with Load(sock, seconds=1.2) as load:
        one_fewer(s, 2)
    load.lost_nothing(s)
    if args:
        assert before == set(s.workers())
        s.wait_log("still running after 2 s")
    else:
        s.wait_workers(WORKERS - 2)
        assert "killed" not in s.log()


def unseen(spawnd, sock, *size):
    return spawnd("-u", "www", *size, "--", h.app("bare"),
                  wrap=[sys.executable, "-c", ELSEWHERE, sock])


def scale(what):
    return ctl.ask(f"{ctl.pool('bare')}/control", f"scale {what}")[-1]


@h.always
def test_bounds_of_an_unseen_queue_are_one_size(spawnd, sock):
    s = unseen(spawnd, sock, "-F", 2, "-N", 6)
    assert "the pool stays at 2 workers" in s.log()
    s.wait_workers(2)
    assert scale("4") == "end"
    s.wait_log("4 workers wanted, was 2")
    s.wait_workers(4)
    s.signal(signal.SIGTTIN)
    s.wait_log("5 workers wanted, was 4")
    s.wait_workers(5)
    s.signal(signal.SIGTTOU)
    s.wait_log("4 workers wanted, was 5")
    s.wait_workers(4)
    assert scale("2-6").endswith("2-6: the listen queue cannot be seen here, "
                                 "the pool has one size (a single number "
                                 "sets it)")
    pool = ctl.figures("bare")["pool"]
    assert (pool["min"], pool["max"], pool["target"]) == ("4", "4", "4")


def test_an_unseen_pool_on_demand_takes_a_size(spawnd, sock):
    """The first connection, which would start one worker, changes nothing
    then."""
    s = unseen(spawnd, sock, "-F", 0, "-N", 6)
    assert s.workers() == []
    s.signal(signal.SIGTTIN)
    s.wait_log("1 worker wanted, was 0")
    assert scale("3") == "end"
    workers = s.wait_workers(3)
    for _ in range(3):
        assert h.request(sock, "a 0", deadline=8).text.startswith("a ")
    assert ctl.figures("bare")["pool"]["target"] == "3"
    assert s.workers() == workers


def newest_pid():
    with open("/proc/loadavg", encoding="utf-8") as f:
        return int(f.read().split()[-1])


def test_what_cannot_be_seen_of_the_queue_is_no_credit(spawnd, place, sock):
    """Somebody waits, and whether the queue moves is not known: a program
    that ends at once is started a hundred times a second at most."""
    flag = f"{place}/zero"
    s = spawnd("-u", "www", "-F", 1, "--", h.app("echo"), f"zeroif={flag}",
               wrap=[sys.executable, "-c", ELSEWHERE, sock])
    with open(flag, "w", encoding="utf-8"):
        pass
    with h.Connection(sock), h.Connection(sock):
        h.kill(s.workers()[0])      # one of them waits at least
        before, begin = newest_pid(), time.monotonic()
        h.pass_time(2)
        starts = (newest_pid() - before) / (time.monotonic() - begin)
        assert 0 < starts < 150, starts


# Connections of every kind

def test_connection_that_cannot_be_watched_at_first(spawnd, sock):
    """The kernel's watches are counted by user, and may be used up."""
    s = spawnd("-s", sock, "-u", "www", "-F", 0, "-N", 2, "-w", 1, "--",
               h.app("bare"))
    with Load(sock, seconds=1):
        h.wait_for(s.workers, 10, s.log)
    # At rest again, it watches for the next; that fails twice.
    with fault(s, "epoll_ctl:error=ENOSPC:when=1..2"):
        h.wait_for(lambda: not s.workers(), 10, s.log)
        assert h.request(sock, "a 0", deadline=8).text.startswith("a ")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("how", ["kept", "half-closed", "reset"])
def test_tcp_connection_is_seen_while_it_is_served(spawnd, address, how):
    s = spawnd("-p", 9097, "-a", address, "-u", "www", "-F", 1, "--",
               h.app("echo"))
    old = s.workers()
    c = h.Connection((address, 9097))
    c.send("hold&log=served")
    h.wait_for(lambda: h.serves(old[0]), 5, s.log)
    s.signal(signal.SIGHUP)
    # It was seen before the client went.
    s.wait_workers(2)
    if how == "half-closed":
        c.sock.shutdown(socket.SHUT_WR)
    elif how == "reset":
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                          b"\1\0\0\0\0\0\0\0")
        c.close()
    h.let_go(old)
    s.wait_log("served")
    if how != "reset":
        assert c.receive().status == 200
    reloaded(s, 1)
    assert s.stop() == 0


def test_abstract_socket_is_seen(spawnd, sock):
    code = ("import os, socket, sys; s = socket.socket(socket.AF_UNIX); "
            "s.bind(chr(0) + 'spawnd.test'); s.listen(64); "
            "os.dup2(s.fileno(), 3); os.set_inheritable(3, True); "
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()));"
            "os.execv(sys.argv[1], sys.argv[1:])")
    s = spawnd("-u", "www", "-F", 1, "--", h.app("bare"), "socket",
               wrap=[sys.executable, "-c", code])
    assert "cannot be seen" not in s.log()
    old = s.workers()
    c = h.Connection("\0spawnd.test")
    c.send("token 700")
    h.wait_for(lambda: h.serves(old[0]), 5, s.log)
    s.signal(signal.SIGHUP)
    assert c.receive().text.startswith("token")
    reloaded(s, 1)
    assert not set(old) & set(s.workers())
    assert "cannot be" not in s.log()


@pytest.mark.parametrize("what", ["an epoll", "the memory"])
def test_read_that_does_not_return_holds_up_nobody(start, sock, what):
    s = start(h.app("keeps"), options=["--keep-idle", 1, "--name", "p"])
    with h.Connection(sock) as c:
        worker = int(c.request(keep=True).text)
        epoll = next(n for n, to in h.fds(worker).items() if "eventpoll" in to)
        path = {"an epoll": f"/{worker}/fdinfo/{epoll}",
                "the memory": f"/{worker}/smaps_rollup"}[what]
        with hanging(s, path):
            full = ctl.ctl("-p", "p", "status", "--full", "--json",
                           deadline=5).stdout
            # Of the others it is known only if the looker has its time.
            assert what == "an epoll" or full.count('"pss"') < WORKERS, full
            s.signal(signal.SIGHUP)
            for _ in range(20):
                assert ctl.ctl("-p", "p", "ping", deadline=5).status == 0
                assert h.request(sock, deadline=5).status == 200
                h.pass_time(0.1)
            s.wait_log(r"looker \d+: killed: it did not answer in time, so "
                       rf"process {worker} ", 15)
            assert h.alive(worker)
            c.close()
            s.wait_log("all workers are new")
            assert s.stop(deadline=5) == 0


@pytest.fixture
def group():
    """A control group for processes, of either version."""
    top = "/sys/fs/cgroup"
    if os.path.isdir(f"{top}/pids"):
        top += "/pids"
    else:
        with open(f"{top}/cgroup.subtree_control", "w") as f:
            f.write("+pids")
    path = f"{top}/spawnd-{os.getpid()}"
    os.mkdir(path)
    yield path

    def gone():
        with contextlib.suppress(OSError):
            os.rmdir(path)
        return not os.path.exists(path)
    h.wait_for(gone)


def write(path, value):
    with open(path, "w") as f:
        f.write(str(value))


def test_a_full_control_group_is_named(spawnd, place, group):
    s = spawnd("-s", f"{place}/s", "-u", "www", "-F", 1, "--", h.app("echo"),
               become=lambda: write(f"{group}/cgroup.procs", os.getpid()))
    with open(f"{group}/pids.current") as f:
        write(f"{group}/pids.max", f.read())
    assert ctl.ctl("scale", 2).status == 0
    s.wait_log(r"warning: fork: Resource temporarily unavailable: pids.max of "
               r"the control group /sys/fs/cgroup/\S+ allows \d+ processes "
               r"\(next try in ")
    write(f"{group}/pids.max", "max")
    s.wait_workers(2)
    assert s.stop() == 0
