# SPDX-License-Identifier: ISC
"""What a pool does at each step of a take-over, by the connection on which it
is asked for: the other side is the test's, and has no pool."""

import os
import select
import signal
import subprocess
import threading

import pytest

import harness as h
from ctl import SPAWNCTL, Raw, ask
from takeovers import Pool, Successor, Taker

UNTRUSTED = True


LATE = 10               # seconds, after which no answer is waited for


@pytest.fixture
def root_pool(place):
    """Of root's, with workers of another user."""
    p = Pool(place, ["-s", f"{place}/s"], "-u", "_app")
    yield p
    p.end()


@pytest.fixture
def own_pool(place):
    """Of a user's, whose workers are the same user."""
    h.own_directory(place, "www")
    run = h.own_directory(f"{place}/run", "www")
    p = Pool(place, ["-s", f"{place}/s"], control=f"{run}/c", user="www")
    yield p
    p.end()


# Who may command it

CHANGES = ["scale 3", "stop", "stop now", "log-reopen", "plan", "takeover 1"]


def test_no_user_commands_a_pool_that_is_taken_over(own_pool):
    """It could be a worker of the other pool, which is the same user."""
    p = own_pool
    p.begin("-F", 1, h.app("echo"))
    with Successor(p, "www") as taker, Successor(p, "www") as before:
        taker.to("GIVEN")
        with Successor(p, "www") as c:
            assert c.ask("status")[-1] == "end"
            for change in CHANGES:
                assert c.ask(change)[-1].startswith(
                    "error 75 another spawnd is about"), change
        # Root is no worker, and who was there before is none of the new.
        assert ask(p.dir + "/control", "scale 2")[-1] == "end"
        assert before.ask("scale 1")[-1] == "end"
    h.wait_for(lambda: "has given up" in p.log(), 10, p.log)
    with Successor(p, "www") as c:
        assert c.ask("scale 2")[-1] == "end"


def test_no_worker_commands_the_pool_that_has_taken_over(own_pool):
    """Its pool is not that one any more, but the user is the same."""
    p = own_pool
    place = p.place
    # Beside the worker, which is busy, runs a process that waits for "go".
    beside = (f"(until [ -e {place}/go ]; do sleep 0.05; done; "
              f"{SPAWNCTL} -p {p.dir} scale 4 >{place}/said 2>&1; "
              f"echo $? >>{place}/said) & exec {h.app('echo')}")
    p.begin("--confine", "no", "-F", 1, "--", "/bin/sh", "-c", beside)
    old = p.pid
    with h.Connection(f"{place}/s") as busy:
        busy.send("hold")
        h.wait_for(lambda: any(map(h.serves, h.children(old))), 5,
                   "a request")
        held = h.children(old)
        p.changed("-F", 2, h.app("echo"))
        with open(f"{place}/go", "w"):
            pass
        h.wait_for(lambda: os.path.exists(f"{place}/said") and
                   h.read(f"{place}/said").endswith(b"\n77\n"), 20,
                   p.log)
        assert h.alive(old)
        assert b"a process of the pool may only read" in \
            h.read(f"{place}/said")
        assert len(h.children(p.pid)) == 2
        # The user itself may, and only not begin a third pool beside both.
        with Successor(p, "www") as c:
            assert c.ask("scale 3")[-1] == "end"
            assert c.ask("takeover 1")[-1].startswith(
                f"error 75 pid {old}, another spawnd of this pool, still")
        h.let_go(held)
        assert busy.receive().status == 200
    p.wait_alone()
    p.changed("-F", 1, h.app("echo"))
    p.wait_alone()
    assert len(h.children(p.pid)) == 1


def test_no_worker_of_one_that_gave_up_commands_the_pool(own_pool):
    """It still has workers for a while, which end their requests."""
    p = own_pool
    place = p.place
    p.begin("-F", 1, h.app("echo"))
    beside = (f"(trap '' TERM; until [ -e {place}/go ]; do sleep 0.05; done; "
              f"{SPAWNCTL} -p {p.dir} scale 4 >{place}/said 2>&1; "
              f"echo $? >>{place}/said; until [ -e {place}/over ]; "
              f"do sleep 0.05; done) & exec {h.app('echo')} delay=60000")
    new = subprocess.Popen(
        [h.SPAWND, "-n", *p.where, *p.common, "-F", "1", "--confine", "no",
         "--replace", "--", "/bin/sh", "-c", beside],
        preexec_fn=h.become_user("www"), cwd="/", stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**h.BASE_ENV, **h.sanitizer_env()})

    def worker():
        return [c for c in h.children(new.pid) if
                h.link(c, "exe") == h.app("echo")]
    try:
        h.wait_for(worker, 20, p.log)
        os.kill(worker()[0], signal.SIGSTOP)
        new.send_signal(signal.SIGTERM)
        h.wait_for(lambda: "has given up" in p.log(), 10, p.log)
        with open(f"{place}/go", "w"):
            pass
        h.wait_for(lambda: os.path.exists(f"{place}/said") and
                   h.read(f"{place}/said").count(b"\n") > 1, 20, p.log)
        assert h.read(f"{place}/said").endswith(b"may only read\n77\n")
        assert new.poll() is None
        # Nor may another take over, which could not know of it.
        with Successor(p, "www") as c:
            assert c.ask("scale 2")[-1] == "end"
            assert c.ask("takeover 1")[-1].startswith(
                f"error 75 pid {new.pid}, another spawnd of this pool, still")
    finally:
        with open(f"{place}/over", "w"):
            pass
        new.kill()
        new.wait(10 * h.PATIENCE)


# Whose it is in the end

def stop(pid):
    os.kill(pid, signal.SIGSTOP)
    h.wait_for(lambda: h.status(pid)["State"].startswith("T"), 10, "a stop")


def goes_on(p, pid):
    """As before, with its name."""
    h.wait_for(lambda: "has given up" in p.log(), 20, p.log)
    assert "serves from now on" not in p.log() and h.alive(pid)
    assert p.pid == pid
    assert h.request(f"{p.place}/s", "pid").status == 200
    p.check()
    p.changed("-F", 2, h.app("echo"))
    p.wait_alone()


def test_one_that_has_gone_when_it_is_done_gets_nothing(root_pool):
    p = root_pool
    p.begin(h.app("echo"))
    old = p.pid
    with Successor(p) as c:
        c.to("HELD")
        stop(old)
        c.send(b"done\n")
    os.kill(old, signal.SIGCONT)
    goes_on(p, old)


def test_one_that_got_no_answer_in_time_gets_nothing(root_pool):
    """Neither has the pool alone: it is the one that can still answer."""
    p = root_pool
    p.begin("-F", 1, h.app("echo"))
    old = p.pid
    t = Taker(p, "-F", 2, h.app("echo"))
    try:
        while p.pid == old:
            assert t.step(), p.log()
        stop(old)
        new = t.release()
        assert new.wait((LATE + 20) * h.PATIENCE) == 75
        # The files have its pid again, whoever has to write that.
        assert p.pid == old
        assert h.read(f"{p.place}/pid") == b"%d\n" % old
    finally:
        t.kill()
        os.kill(old, signal.SIGCONT)
    goes_on(p, old)


def test_one_that_stops_gives_up_at_once(root_pool):
    """Although its own processes have not ended."""
    p = root_pool
    p.begin("-F", 1, h.app("echo"))
    old = p.pid
    t = Taker(p, "-F", 2, "--", "/bin/sh", "-c",
              f"exec {h.app('echo')} delay=20000")
    new = t.release()
    try:
        h.wait_for(lambda: "take-over: begun" in p.log(), 20, p.log)
        h.wait_for(lambda: len(h.children(t.pid)) > 2, 10, p.log)
        children = h.children(t.pid)
        for pid in children:        # they stay when their supervisor stops
            os.kill(pid, signal.SIGSTOP)
        new.send_signal(signal.SIGTERM)
        h.wait_for(lambda: "has given up" in p.log(), 5, p.log)
        assert new.poll() is None
    finally:
        t.kill()
    goes_on(p, old)


@pytest.mark.parametrize("step", ["GIVEN", "HELD"])
def test_a_pool_that_stops_says_so_at_each_step(root_pool, step):
    p = root_pool
    p.begin(h.app("echo"))
    old = p.pid
    with Successor(p) as c:
        c.to(step)
        os.kill(old, signal.SIGTERM)
        h.wait_for(lambda: "SIGTERM received" in p.log(), 10, p.log)
        try:
            c.send(b"commit 7\n" if step == "GIVEN" else b"done\n")
        except BrokenPipeError:
            pass
        assert c.answer() == ["spawnd 1", "error 75 the pool is stopping"]
        assert c.closed()
    h.wait_for(lambda: not h.alive(old), 20, p.log)
    assert "serves from now on" not in p.log()
    with pytest.raises(h.FcgiError):
        h.request(f"{p.place}/s", "pid")


def test_a_pool_that_stops_mixes_no_answers(root_pool):
    """One of which a part was sent is either gone on with, or is cut."""
    p = root_pool
    for n in range(1500):
        p.common += ["-e", f"V{n}=" + "v" * 250]
    p.begin(h.app("echo"))
    old = p.pid
    with Successor(p) as c:
        whole = "".join(x + "\n" for x in c.ask("plan")).encode()
        assert len(whole) > 300000
        c.to("GIVEN")
        c.send(b"plan\n")
        h.wait_for(lambda: select.select([c.sock], [], [], 0)[0], 10, p.log)
        # While there is room for more of it the signal comes.
        stop(old)
        got = c.sock.recv(len(whole) // 2)
        os.kill(old, signal.SIGTERM)
        os.kill(old, signal.SIGCONT)
        h.wait_for(lambda: not h.alive(old), 20, p.log)
        got += b"".join(iter(lambda: c.sock.recv(65536), b""))
    after = b"spawnd 1\nerror 75 the pool is stopping\n"
    assert (whole + after).startswith(got), got[-200:]


# What is passed

def test_a_pidfile_that_is_not_used_is_closed(root_pool):
    p = root_pool
    place = p.place

    def opened():       # the way to it is out of sight
        return {x.split("/")[-1] for x in h.fds(p.pid).values()}

    p.begin("-P", f"{place}/first", h.app("echo"))
    assert "first" in opened()
    p.changed("-P", f"{place}/second", h.app("echo"))
    p.wait_alone()
    assert "second" in opened()
    assert not [x for x in opened() if "first" in x], opened()


@pytest.mark.parametrize("whose", ["ours", "made by the first"])
def test_a_directory_that_was_there_stays(place, whose):
    """The sockets' is removed by the last of those that have it, if the first
    has made it."""
    run = f"{h.own_directory(place, 'www')}/run"
    if whose == "ours":
        h.own_directory(run, "www")
    p = Pool(place, ["-s", f"{place}/s"], control=run, user="www")
    try:
        p.begin(h.app("echo"))
        for _ in range(2):
            p.changed("-F", 2, h.app("echo"))
            p.wait_alone()
        os.kill(p.pid, signal.SIGTERM)
        h.wait_for(lambda: not h.alive(p.pids[-1]), 10, p.log)
        assert os.path.exists(run) == (whose == "ours")
        assert whose != "ours" or not os.listdir(run)
    finally:
        p.end()


def test_the_process_that_keeps_rights_cannot_be_inspected(own_pool):
    """Nor its connection be used, by workers of the same user."""
    p = own_pool
    p.begin("-F", 1, h.app("echo"))
    new = subprocess.Popen(
        [h.SPAWND, "-n", *p.where, *p.common, "--replace", h.app("echo"),
         "never"], preexec_fn=h.become_user("www"), cwd="/",
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, env={**h.BASE_ENV, **h.sanitizer_env()})
    try:
        h.wait_for(lambda: "take-over: begun" in p.log(), 20, p.log)

        def finisher():
            """But for one that is to be a worker, and may be a fork yet."""
            return [c for c in h.children(new.pid) if h.link(c, "exe") ==
                    h.link(new.pid, "exe") and c not in h.lookers(new.pid)]
        found = h.wait_for(lambda: len(f := finisher()) == 1 and f, 10,
                           "it is there alone")
        (pid,) = found
        assert h.ids(pid, "Uid") == [67] * 4
        h.wait_for(lambda: os.stat(f"/proc/{pid}/fd").st_uid == 0, 10,
                   "it is hidden")
    finally:
        new.kill()
        new.wait(10 * h.PATIENCE)


def test_commands_after_the_pool_was_given_away(root_pool):
    """On a connection that was there before."""
    p = root_pool
    p.begin("-F", 2, h.app("echo"))
    old = p.pid
    with h.Connection(f"{p.place}/s") as busy, Successor(p) as c, \
            Raw(p.dir + "/control") as reloads:
        busy.send("hold")
        h.wait_for(lambda: any(map(h.serves, h.children(old))), 5,
                   "a request")
        held = h.children(old)
        reloads.send(b"reload\n")
        h.wait_for(lambda: "reload: begun" in p.log(), 10, p.log)
        with Successor(p) as taker:
            taker.to("GONE", pid=4711)
            now = "error 75 pid 4711 has taken over and serves now (ask again)"
            assert reloads.answer()[-1] == now
            for command in ("reload", "scale 3", "stop", "stop now",
                            "takeover 1"):
                assert c.ask(command)[-1] == now, command
            assert c.ask("status")[-1] == "end"
        h.let_go(held)
        assert busy.receive().status == 200
    h.wait_for(lambda: not h.alive(old), 20, p.log)


def test_one_that_is_not_ready_in_time_gives_way(root_pool):
    """It is stopped, and could hold the place for ever."""
    p = root_pool
    p.begin(h.app("echo"))
    old = p.pid
    with Successor(p) as c:
        assert c.ask("takeover 1 0")[-1].startswith("error 64 takeover: not")
        assert c.ask("takeover 1 1")[-1] == "end"
        assert c.closed()
    goes_on(p, old)


def test_one_that_is_stopped_gives_way(root_pool):
    p = root_pool
    p.begin(h.app("echo"))
    old = p.pid
    with Successor(p) as c:
        c.to("HELD")
        assert c.closed()
    goes_on(p, old)


@h.soak
def test_a_new_one_that_is_stopped_is_killed(root_pool):
    """It is no child of the process that waits for it."""
    p = root_pool
    p.begin(h.app("echo"))
    old = p.pid
    new = subprocess.Popen(
        [h.SPAWND, *p.where, *p.common, "--start-timeout", "4", "--replace",
         h.app("echo"), "never"], cwd="/", stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        env={**h.BASE_ENV, **h.sanitizer_env()})
    h.wait_for(lambda: "take-over: begun" in p.log(), 20, p.log)

    def supervisors():
        found = []
        for pid in (int(x) for x in os.listdir("/proc") if x.isdigit()):
            try:
                if pid not in (old, new.pid) and h.children(pid) and \
                        h.link(pid, "exe") == h.SPAWND and \
                        b"never" in h.read(f"/proc/{pid}/cmdline"):
                    found.append(pid)
            except OSError:     # it has ended
                pass
        return found
    h.wait_for(lambda: len(supervisors()) == 1, 10, p.log)
    (pid,) = supervisors()
    # Whoever continues it is as fast as we are.
    tick = threading.Event()

    def hold():
        while not tick.wait(0.001) and h.alive(pid):
            os.kill(pid, signal.SIGSTOP)
    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    try:
        said = new.communicate(timeout=60 * h.PATIENCE)[1]
    finally:
        tick.set()
        thread.join()
        h.kill(pid)
    assert new.returncode == 69
    # In the moments for which it is continued it may come to its own end.
    assert "nor after SIGCONT, and was killed" in said or \
        "no worker was ready within 4 s" in said
    goes_on(p, old)


def test_what_is_too_long_for_a_record_is_compared(place):
    """The path of the socket, which is escaped there, and a variable's
    name."""
    deep = f"{place}/" + "\u00fc" * 42
    os.mkdir(deep)
    p = Pool(place, ["-s", f"{deep}/s"], "-u", "_app")
    name = "N" * 400
    try:
        p.begin("-e", f"{name}A=1", h.app("echo"))
        assert "nothing would change" in p.take_over(
            "--test", "-e", f"{name}A=1", h.app("echo")).stdout
        r = p.take_over("--test", "-e", f"{name}B=1", h.app("echo"))
        assert r.stdout.count("environment #") == 2, r
        p.refused(78, "it listens on a longer path, not on", "-s",
                  f"{deep}/t", h.app("echo"))
        p.changed("-e", f"{name}B=1", h.app("echo"))
        p.wait_alone()
        p.check()
    finally:
        p.end()


# One of the two that is stopped, or has lost its helper

def test_a_pool_that_is_stopped_is_not_taken_over(root_pool):
    p = root_pool
    p.begin(h.app("echo"))
    old = p.pid
    stop(old)
    try:
        r = p.take_over(h.app("echo"))
        assert r.status == 75 and "no answer in time" in r.stderr, r
    finally:
        os.kill(old, signal.SIGCONT)
    assert p.pid == old
    p.check()
    p.changed("-F", 2, h.app("echo"))
    p.wait_alone()


@pytest.mark.parametrize("step", ["before it is named", "named"])
def test_one_that_wakes_up_late_has_nothing(root_pool, step):
    """The other has taken all back meanwhile."""
    p = root_pool
    p.begin("-F", 1, h.app("echo"))
    old = p.pid
    t = Taker(p, "-F", 2, h.app("echo"))
    file = f"{p.place}/pid" if step != "named" else f"{p.dir}/pid"
    try:
        while h.read(file) != b"%d\n" % t.pid:
            assert t.step(), p.log()
        h.wait_for(lambda: "has given up" in p.log(), LATE + 10, p.log)
        assert p.pid == old and h.read(f"{p.place}/pid") == b"%d\n" % old
        assert t.release().wait(20 * h.PATIENCE) in (69, 75)
    finally:
        t.kill()
    assert h.read(f"{p.place}/pid") == b"%d\n" % old
    goes_on(p, old)


def test_without_its_helper_a_take_over_says_what_is_missing(root_pool):
    p = root_pool
    p.begin("-M", "0660", h.app("echo"))
    old = p.pid
    t = Taker(p, "-F", 2, "-M", "0666", h.app("echo"))
    try:
        # Its first child is the one that keeps the rights.
        while not h.children(t.pid):
            assert t.step(), p.log()
        h.kill(h.children(t.pid)[0])
        new = t.release()
        h.wait_for(lambda: "serves from now on" in p.log(), 20, p.log)
        h.wait_for(lambda: not h.alive(old), 20, p.log)
        h.wait_for(lambda: "the owner and mode of the sockets may still be "
                   "those of the pool before" in p.log(), 10, p.log)
        assert p.pid == t.pid and new.poll() is None
        assert os.stat(f"{p.place}/s").st_mode & 0o777 == 0o660
        assert h.request(f"{p.place}/s", "pid").status == 200
        p.check()
    finally:
        t.kill()
        p.pids.clear()
