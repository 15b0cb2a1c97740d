# SPDX-License-Identifier: ISC
"""One spawnd takes over from another: nothing is lost, nobody notices, and
what cannot be is refused before anything is done."""

import itertools
import os
import re
import signal
import socket
import stat
import subprocess
import threading

import pytest

import harness as h
from ctl import figures
from takeovers import NAME, Pool, Watch
from test_allow import VARIABLE
from test_allow_rights import no_right
from test_inherited import LINGERS, polls
from test_readiness import ACCEPTS, LOOPS, write
from test_retire import LONGEST, Load, enough

UNTRUSTED = True

TIMES = 4 if h.brief() else 20
PORT = 9017
PIDFD = "anon_inode:[pidfd]"     # of a worker, a second after its start


@pytest.fixture
def pools():
    made = []

    def make(*args, **kw):
        made.append(Pool(*args, **kw))
        return made[-1]
    yield make
    for p in made:
        p.end()


def mode_of(path):
    st = os.stat(path)
    return st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)


def test_the_pool_changes_hands(pools, place):
    sock = f"{place}/s"
    p = pools(place, ["-s", sock])
    p.begin("-u", "_app", "-U", "www", "-F", 2, h.app("echo"))
    first = p.pid
    with h.Load(sock) as load, Watch() as watch:
        p.changed("-u", "www", "-U", "web", "-M", "0666", "-F", 3, "-e",
                  "X=1", "--status-group", "www", h.app("echo"))
        p.wait_alone()
        h.wait_for(lambda: watch.asked > 10, 20, "it was watched")
    assert load.sent == load.answered > 0, load.failed
    assert not watch.errors
    p.check()
    assert mode_of(sock) == (69, 69, 0o666)
    assert mode_of(p.dir + "/status") == (0, 67, 0o660)
    assert len(h.children(p.pid)) == 3
    assert h.ids(p.pid, "Uid") == [67] * 4
    assert "X=1" in h.request(sock, "env").facts["env"]
    assert first != p.pid
    os.kill(p.pid, signal.SIGTERM)
    h.wait_for(lambda: not h.alive(p.pids[-1]), 10, p.log)
    # With -u nobody may remove it, as without a take-over.
    assert not os.path.getsize(f"{place}/pid")


def test_nothing_privileged_is_left(pools, place):
    h.make_jail(f"{place}/jail")
    p = pools(place, ["-c", f"{place}/jail", "-s", "run/s"], "-u", "_app",
              "-U", "www")
    p.begin("/fcgi-bin/app")

    def opened():
        """By their kinds, without what the start had as its output, and
        what it asks a looker by."""
        links = [re.sub(r":?\[\d+\]", "", x) for x in h.fds(p.pid).values()]
        links = sorted(x for x in links if x not in ("/dev/null", PIDFD,
                                                     f"{place}/err"))
        for _ in h.lookers(p.pid):
            links.remove("socket")
        return links

    # One that was taken over from has the pipe which is its life, too.
    p.changed("/fcgi-bin/app")
    p.wait_alone()
    fds = opened()
    with h.Load(f"{place}/jail/run/s") as load:
        for n in range(3):
            p.changed("-F", 2 + n, "/fcgi-bin/app")
    p.wait_alone()
    assert load.sent == load.answered > 0, load.failed
    assert h.link(p.pid, "root") == f"{place}/jail"
    assert h.ids(p.pid, "Uid") == [68] * 4
    assert not any(h.caps(p.pid).values())
    # No more is open than before.
    h.wait_for(lambda: opened() == fds, 5, lambda: f"{fds}\n{opened()}")


def test_as_a_user(pools, place):
    h.own_directory(place, "www")
    run = h.own_directory(f"{place}/run", "www")
    p = pools(place, ["-s", f"{place}/s"], control=f"{run}/c", user="www")
    p.begin("-F", 1, h.app("echo"))
    with h.Load(f"{place}/s", threads=2) as load:
        p.refused(69, "exited with status", h.app("fail"))
        p.changed("-F", 2, "-M", "0600", h.app("echo"))
        p.wait_alone()
    assert load.sent == load.answered > 0, load.failed
    assert mode_of(f"{place}/s")[2] == 0o600
    os.kill(p.pid, signal.SIGTERM)
    h.wait_for(lambda: not h.alive(p.pids[-1]), 10, p.log)
    # What the first has made is removed by the second.
    assert not os.path.exists(f"{place}/s")
    assert not os.path.exists(f"{run}/c") and not os.path.exists(
        f"{place}/pid")


CHANGES = [
    ["-F", 2, "-e", "A=B"], ["PROGRAM"], ["BINARY"], ["JAIL"], ["-u", "web"],
    ["-F", 4, "-N", 8], ["-e", "A=C"], ["--max-age", 100], ["-b", 512],
    ["-F", 3],
]


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_many_in_a_row_under_load(pools, place, kind):
    """Options, environment, user, jail, program and binary change."""
    jail = h.make_jail(f"{place}/jail", "bare")
    where, sock = (["-p", PORT], f"127.0.0.1:{PORT}") if kind == "tcp" else \
        (["-S", "-s", f"{place}/s"], f"{place}/s")
    binary = h.install(h.SPAWND, f"{place}/spawnd")
    p = pools(place, where, "-M", "0666") if kind == "unix" else \
        pools(place, where)
    program = h.app("bare")
    p.begin("-u", "_app", program)
    load = Load(sock, ms=1, seconds=LONGEST)
    try:
        for change in itertools.islice(itertools.cycle(CHANGES), TIMES):
            args = ["-u", "_app", program]
            if change == ["PROGRAM"]:
                args[-1] = h.install(h.app("lib"), f"{place}/other")
            elif change == ["JAIL"]:
                args = ["-c", jail, "-u", "_app", "/fcgi-bin/app"]
            elif change != ["BINARY"]:
                args = [*change, *([] if "-u" in change else ["-u", "_app"]),
                        program]
            p.changed(*args, binary=binary if change == ["BINARY"] else None)
        assert load.running(), p.log()
    finally:
        load.end()
        result = load.result()
    print(f"{kind}: {TIMES} take-overs: {result}")
    assert result["failed"] == 0, (result, p.log())
    enough(result, TIMES * 100)
    p.wait_alone()
    p.check()


# What is started before, and what takes over: some poll, some wait in
# accept(2).
GO = ["--", os.path.join(h.APPS, "load-go")]
LIB = ["--", h.app("lib")]
NODE = ["-e", "NODE_PATH=/usr/share/nodejs", "-e", "NODE_NO_WARNINGS=1", "--",
        "/usr/bin/node", h.source("load.js")]
PHP = ["-C", 2, "-F", 2, "--", "/usr/bin/php-cgi", "-n"]
POLLS = "the pool that runs polls its listen socket"
PAIRS = {"go": (GO, GO), "lib, go": (LIB, GO), "go, lib": (GO, LIB),
         "node": (NODE, NODE), "lib, node": (LIB, NODE),
         "php-cgi -C": (PHP, PHP), "php-cgi -C, lib": (PHP, LIB)}


def test_the_last_node_of_those_before_leaves_the_socket_as_it_was(pools,
                                                                   place):
    """It makes it blocking as it ends, under the new pool's."""
    p = pools(place, ["-s", f"{place}/s"], "-u", "_app")
    p.begin("-F", 1, *NODE)
    assert polls(p.pid)
    p.changed("-e", "N=1", "-F", 1, *NODE)
    p.wait_alone()
    assert polls(p.pid)


def test_who_waits_until_the_last_of_those_before_ends_is_freed(place, pools):
    """It has taken a client, and waits in accept(2) for another one."""
    write(f"{place}/loop", LINGERS)
    p = pools(place, ["-s", f"{place}/s"], "-u", "_app")
    p.begin("-F", 1, "--", f"{place}/loop")
    p.changed("-e", "N=1", "-F", 1, "--", f"{place}/loop")
    h.wait_for(lambda: not polls(p.pid), 10, p.log)
    with h.Connection(f"{place}/s") as client:
        client.send("token 0 0")
        h.wait_for(lambda: figures(NAME)["connections"]["now"] == "1", 10,
                   p.log)
        write(f"{place}/loop.go", "")
        assert client.receive().text.startswith("token ")
    p.wait_alone()
    assert polls(p.pid)


@pytest.mark.parametrize("name", PAIRS)
def test_programs_that_poll_and_that_wait(pools, place, name):
    first, second = PAIRS[name]
    p = pools(place, ["-s", f"{place}/s"], "-u", "_app")
    p.begin(*first)
    # So long that the clients' own time is little beside it, where one worker
    # serves all of them at once.
    load = Load(f"{place}/s", "php/load.php" if "php" in name else None, ms=10,
                seconds=LONGEST)
    try:
        for n in range(2):
            r = p.take_over("-e", f"N={n}", *second)
            # A worker that waits ends when it finds no request beside one
            # that polls: whether it does is the clients' to say.
            assert r.status == 0 or (name == "go, lib" and POLLS in
                                     r.stderr), (r, p.log())
            p.wait_alone()
    finally:
        load.end()
        result = load.result()
    print(f"{name}: {result}")
    assert result["failed"] == 0, (result, p.log())
    if r.status == 0:
        enough(result)
    p.check()


def test_what_waits_cannot_start_beside_what_polls(pools, place):
    p = pools(place, ["-s", f"{place}/s"], "-u", "_app", "-F", 2)
    p.begin(*GO)
    workers = h.children(p.pid)
    p.refused(69, POLLS, *LIB)
    assert h.children(p.pid) == workers
    p.wait_alone()
    p.changed(*GO)


def test_on_demand(pools, place):
    p = pools(place, ["-s", f"{place}/s"], "-u", "_app", "-F", 0, "-N", 4)
    p.begin(h.app("echo"))
    p.changed("-e", "A=b", "-b", 3, h.app("echo"))
    p.wait_alone()
    assert not h.children(p.pid)
    with h.Load(f"{place}/s", threads=2, count=100) as load:
        load.join()
    assert load.answered == 100
    # The short queue is what was asked for, and no worker's deed.
    assert figures(NAME)["queue"]["limit"] == "3"
    p.check()


def test_a_signal_to_the_one_that_goes_loses_nothing(pools, place):
    p = pools(place, ["-s", f"{place}/s"], "-u", "_app")
    p.begin(h.app("echo"))
    old = p.pid
    with h.Connection(f"{place}/s") as c:
        c.send("hold")
        busy = h.children(old)
        h.wait_for(lambda: any(map(h.serves, busy)), 5, "a request")
        p.changed("-F", 2, h.app("echo"))
        os.kill(old, signal.SIGTERM)
        h.let_go(busy)
        assert c.receive().status == 200
    p.wait_alone()
    p.check()


def changed_arguments(change, program, place):
    """What a change makes of a program with its options."""
    at = program.index("--")
    options, path, args = program[:at], program[at + 1], program[at + 2:]
    if change == ["PROGRAM"]:
        path = h.install(path, f"{place}/other")
    elif change == ["JAIL"] and program is GO:      # it needs no library
        options = ["-c", h.make_jail(f"{place}/jail", path), *options]
        path = "/fcgi-bin/app"
    elif len(change) > 1:
        options = [*options, *change]
    user = [] if "-u" in options else ["-u", "_app"]
    return [*user, *options, "--", path, *args]


@h.soak
@pytest.mark.parametrize("kind", ["unix", "tcp"])
@pytest.mark.parametrize("name", ["lib", "php-cgi -C", "go"])
def test_many_requests(pools, place, name, kind):
    """As many as 50,000 meet twenty take-overs and more."""
    where, sock = (["-p", PORT], f"127.0.0.1:{PORT}") if kind == "tcp" else \
        (["-s", f"{place}/s"], f"{place}/s")
    if kind == "unix":
        where = ["-S", *where]
    program = {"lib": LIB, "php-cgi -C": PHP, "go": GO}[name]
    p = pools(place, where)
    p.begin("-u", "_app", *program)
    binary = h.install(h.SPAWND, f"{place}/spawnd")
    changes = itertools.cycle(CHANGES)
    load = Load(sock, "php/load.php" if "php" in name else None, ms=0,
                seconds=LONGEST + 5 * h.SOAK)
    for _ in range(max(20, h.SOAK)):
        change = next(changes)
        p.changed(*changed_arguments(change, program, place),
                  binary=binary if change == ["BINARY"] else None)
        h.pass_time(3)
        p.pids = [x for x in p.pids if h.alive(x)]
    assert load.running(), p.log()
    load.end()
    result = load.result()
    print(f"{name}, {kind}: {result}")
    assert result["failed"] == 0, (result, p.log())
    enough(result, 50000)
    p.wait_alone()
    p.check()


# Refused before anything is done

def test_refusals(pools, place):
    """Each kind of what can be wrong, under eight clients: status and text,
    and nothing is lost. A right one works afterwards."""
    sock = f"{place}/s"
    p = pools(place, ["-s", sock], "-u", "_app")
    r = h.run_spawnd("-s", sock, "-u", "_app", "--name", NAME, "--replace",
                     h.app("echo"))
    assert (r.status, h.line_of(r)) == (69, f"spawnd: --replace: {NAME}: no "
                                        "pool of this name runs (start it "
                                        "without --replace)")
    p.begin(h.app("echo"))
    args = [h.app("echo")]
    with h.Load(sock, threads=8) as load:
        # Another address, and of another kind.
        p.refused(78, "it listens on unix:", "-s", f"{place}/t", *args)
        q = pools(place, ["-p", PORT], "-u", "_app")
        q.refused(78, f"not on tcp:127.0.0.1:{PORT}", *args)
        assert not os.path.exists(f"{place}/t")
        # Options and users that are wrong.
        p.refused(67, "no such user", "-u", "nobody-is-called-this", *args)
        p.refused(64, "--replace: yes: only =changed is known",
                  "--replace=yes", *args)
        p.refused(64, "needs the control socket", "--control", "none", *args)
        # Programs that are.
        p.refused(69, "exited with status", h.app("fail"))
        p.refused(69, "was killed by SIGSEGV", "/bin/sh", "-c",
                  "kill -SEGV $$")
        p.refused(69, "No such file", f"{place}/nothing")
        p.refused(69, "no worker was ready within 1 s", "--start-timeout", 1,
                  "/bin/sleep", "100")
        for n, text in enumerate((ACCEPTS, LOOPS)):
            p.refused(69, "was stopped: it waited for connections of another "
                      "socket", write(f"{place}/other{n}", text))
        p.wait_alone()
        p.changed("-F", 2, *args)
    assert load.sent == load.answered > 0, load.failed
    p.wait_alone()
    p.check()


def test_a_pool_that_stops_is_not_taken_over(pools, place):
    p = pools(place, ["-s", f"{place}/s"], "-u", "_app")
    p.begin(h.app("echo"))
    new = subprocess.Popen(
        [h.SPAWND, *p.where, *p.common, "--replace", "/bin/sleep", "100"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, cwd="/",
        env={**h.BASE_ENV, **h.sanitizer_env()})
    h.wait_for(lambda: "take-over: begun" in p.log(), 10, p.log)
    os.kill(p.pid, signal.SIGTERM)
    said = new.communicate(timeout=20 * h.PATIENCE)[1]
    assert new.returncode == 75 and "the pool is stopping" in said, said
    h.wait_for(lambda: not h.alive(p.pids[0]), 10, p.log)
    with pytest.raises(h.FcgiError):
        h.request(f"{place}/s", "pid")


def test_the_root_of_another_pool_is_refused(pools, place):
    """The same path in another root directory is another socket."""
    roots = [h.make_jail(f"{place}/{name}") for name in ("one", "two")]
    p = pools(place, ["-s", "run/s"], "-u", "_app", "-U", "www")
    p.begin("-c", roots[0], "/fcgi-bin/app")
    with h.Load(f"{roots[0]}/run/s", threads=2) as load:
        p.refused(78, f"it listens on unix:{roots[0]}/run/s, not on "
                  f"unix:{roots[1]}/run/s", "-c", roots[1], "/fcgi-bin/app")
        assert not os.path.exists(f"{roots[1]}/run/s")
        p.wait_alone()
    assert load.sent == load.answered > 0, load.failed
    p.changed("-c", roots[0], "-F", 2, "/fcgi-bin/app")


# What a take-over has besides: those that wait for it, that begin it, and that
# end it.
SPARE, SPARE_PROCESSES = 4096, 5        # KB


def memory(pids):
    """Of processes and what descends from them, in KB; and how many."""
    kb = n = 0
    for pid in {x for p in pids for x in [p, *h.descendants(p)]}:
        try:
            text = h.read(f"/proc/{pid}/smaps_rollup").decode()
        except OSError:
            continue        # it has ended
        kb += int(re.search(r"^Pss: *(\d+)", text, re.M)[1])
        n += 1
    return kb, n


def is_spawnd(pid):
    try:
        return h.link(int(pid), "exe") == h.SPAWND
    except OSError:
        return False        # it has ended


def test_no_more_memory_than_both_pools_have(pools, place):
    p = pools(place, ["-s", f"{place}/s"], "-u", "_app")
    p.begin("-F", 6, h.app("echo"))
    with h.Load(f"{place}/s", threads=4) as load:
        first = memory([p.pid])
        over, seen = threading.Event(), []

        def look():
            while not over.is_set():
                seen.append(memory([int(x) for x in os.listdir("/proc") if
                                    x.isdigit() and is_spawnd(x)]))
        watch = threading.Thread(target=look, daemon=True)
        watch.start()
        try:
            p.changed("-F", 4, h.app("echo"))
            p.wait_alone()
        finally:
            over.set()
            watch.join(20 * h.PATIENCE)
        second = memory([p.pid])
    assert load.sent == load.answered > 0, load.failed
    kb, n = max(x[0] for x in seen), max(x[1] for x in seen)
    print(f"first {first}, second {second}, at most {kb, n} of {len(seen)}")
    # A sanitizer's memory is copied by each of the many forks.
    assert kb <= first[0] + second[0] + SPARE or h.sanitized()
    assert n <= first[1] + second[1] + SPARE_PROCESSES


def test_another_user_is_refused(pools, place):
    os.chmod(place, 0o777)
    p = pools(place, ["-s", f"{place}/s"], "-u", "www")
    p.begin(h.app("echo"))
    r = h.run_spawnd("-s", f"{place}/s", "--name", NAME, "--control", p.dir,
                     "--replace", h.app("echo"), user="_app")
    assert r.status == 77 and "Permission denied" in r.stderr, r
    # The pool of a user is not root's.
    own = h.own_directory(f"{place}/own", "www")
    q = pools(own, ["-s", f"{own}/s"], control=f"{own}/c", user="www")
    q.begin(h.app("echo"))
    r = h.run_spawnd("-s", f"{own}/s", "--name", NAME, "--control",
                     f"{own}/c", "-u", "www", "--replace", h.app("echo"))
    assert r.status == 77 and "started by another user, uid 67" in r.stderr, r
    p.check()


def test_a_worker_cannot_take_over(pools, place):
    own = h.own_directory(f"{place}/own", "www")
    q = pools(own, ["-s", f"{own}/s"], control=f"{own}/c", user="www")
    q.begin("--confine", "no", "-F", 1, "--", "/bin/sh", "-c",
            f"{h.SPAWND} -s {own}/s --name {NAME} --control {own}/c "
            f"--replace {h.app('echo')} 2>{own}/said; exec {h.app('echo')}")
    with open(f"{own}/said") as f:
        assert "may only read" in f.read()
    assert h.request(f"{own}/s", "pid").status == 200


@pytest.mark.parametrize("parent", ["foreground", "process 1"])
def test_where_no_other_process_can_be_the_main_one(spawnd, place, parent):
    wrap = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"] if \
        parent == "process 1" else []
    s = spawnd("-s", f"{place}/s", "-u", "_app", "--name", NAME,
               h.app("echo"), wrap=wrap)
    r = h.run_spawnd("-s", f"{place}/s", "-u", "_app", "--name", NAME,
                     "--replace", h.app("echo"))
    assert r.status == 69, r
    assert ("it is process 1" if wrap else "it is watched by pid") in r.stderr
    assert s.running() and h.request(f"{place}/s", "pid").status == 200


def test_allowed_web_servers_are_locked(pools, place):
    p = pools(place, ["-p", PORT], "-u", "_app")
    p.begin("--allow", "127.0.0.1", h.app("echo"))
    p.refused(78, "the filter of the socket is locked", "--allow",
              "127.0.0.0/8", h.app("echo"))
    p.refused(78, "the filter of the socket is locked", h.app("echo"))
    p.changed("--allow", "127.0.0.1", "-F", 2, h.app("echo"))
    p.check()
    assert h.request(("127.0.0.1", PORT), "pid").status == 200


def test_a_list_that_the_kernel_does_not_hold_is_no_hindrance(pools, place):
    """That of the variable, where a user may set no filter."""
    own = h.own_directory(f"{place}/own", "www")
    q = pools(own, ["-p", PORT], control=f"{own}/c", user="www")
    for n, addresses in enumerate(["127.0.0.1", "127.0.0.1,192.0.2.1"]):
        (q.changed if n else q.begin)(
            "-e", f"{VARIABLE}={addresses}", h.app("echo"), become=no_right)
        q.wait_alone()
    q.changed("-F", 2, h.app("echo"))
    assert h.request(("127.0.0.1", PORT), "pid").status == 200


# A pool that is not what it says

def test_a_listener_of_another_network_is_refused(place):
    """Whoever is the pool's user there can have the same address."""
    control = f"{place}/c"
    os.makedirs(control)
    r = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up; exec python3 -c '"
         "import socket, sys, os; s = socket.socket(); "
         f's.bind(("127.0.0.1", {PORT})); s.listen(); '
         "u = socket.socket(socket.AF_UNIX); u.connect(sys.argv[1]); "
         "socket.send_fds(u, [b\"x\"], [s.fileno()])' " f"{place}/give"])
    with socket.socket(socket.AF_UNIX) as give:
        give.bind(f"{place}/give")
        give.listen()
        give.settimeout(20 * h.PATIENCE)
        c, _ = give.accept()
        with c:
            fd = socket.recv_fds(c, 1, 1)[1][0]
    assert r.wait(20) == 0
    text = self_line("x").replace("unix:x", f"tcp:127.0.0.1:{PORT}")
    fake = Fake(f"{control}/control", {"plan": (text, [fd])}).run()
    try:
        r = h.run_spawnd("-p", PORT, "-u", "_app", "--name", NAME, "--control",
                         control, "--replace", h.app("echo"))
    finally:
        fake.sock.close()
        os.close(fd)
    assert r.status == 77 and "is not tcp:" in h.line_of(r), r


class Fake:
    """A control socket of the same user that answers what it wants."""

    def __init__(self, path, answers):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        self.sock.listen(5)
        self.answers = answers
        self.asked = []

    def run(self):
        import threading
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def _serve(self):
        while True:
            try:
                c, _ = self.sock.accept()
            except OSError:
                return
            with c:
                f = c.makefile("r")
                for line in f:
                    self.asked.append(line.strip())
                    text, fds = self.answers.get(line.split()[0],
                                                 ("error 64 no\n", []))
                    if text is None:
                        c.shutdown(socket.SHUT_RDWR)
                        break
                    socket.send_fds(c, [text.encode()], fds)


def self_line(sock, **more):
    fields = {"takeover": 1, "name": NAME, "pid": 4, "version": "9",
              "inherited": "no", "polls": "no", "managed": "no",
              "listener": 0, **more}
    words = " ".join(f"{k}={v}" for k, v in fields.items())
    return (f"spawnd 1\nself {words}\nfact key=socket value=unix:{sock} "
            "hidden=no\nend\n")


@pytest.mark.parametrize("case", [
    "not a listener", "another listener", "no listener", "nonsense", "silent",
    "nothing passed", "too old"])
def test_a_forged_pool_is_refused(place, case):
    sock = f"{place}/s"
    mine = socket.socket(socket.AF_UNIX)
    mine.bind(sock)
    mine.listen(5)
    other = socket.socket(socket.AF_UNIX)
    other.bind(f"{place}/other")
    other.listen(5)
    control = f"{place}/c"
    os.makedirs(control)
    before = mode_of(sock), mode_of(f"{place}/other")
    give = {"not a listener": [0], "another listener": [other.fileno()],
            "no listener": [], "nothing passed": [mine.fileno()]}
    answers = {"plan": (self_line(sock), give.get(case, [])),
               "takeover": ("spawnd 1\npassed\nend\n", [])}
    if case == "too old":
        answers = {"plan": ("spawnd 1\nerror 64 no\\x20such\\x20command\n",
                            []),
                   "status": ("spawnd 1\npool name=x pid=7 version=0.0\nend\n",
                              [])}
    if case == "nonsense":
        answers["plan"] = ("spawnd 1\n=\x01\n", [])
    if case == "silent":
        answers["plan"] = (None, [])
    fake = Fake(f"{control}/control", answers).run()
    try:
        r = h.run_spawnd("-s", sock, "-u", "_app", "-U", "www", "--name",
                         NAME, "--control", control, "--replace",
                         h.app("echo"), deadline=30)
    finally:
        fake.sock.close()
    assert r.status == {"silent": 69, "nonsense": 76, "no listener": 76,
                        "nothing passed": 76, "too old": 69}.get(case, 77), r
    assert case != "too old" or "version 0.0, pid 7, does not know" in r.stderr
    assert h.line_of(r).startswith("spawnd: --replace: ")
    assert "commit" not in " ".join(fake.asked)
    assert before == (mode_of(sock), mode_of(f"{place}/other"))
    mine.close()
    other.close()
