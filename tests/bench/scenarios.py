# SPDX-License-Identifier: ISC
"""
What is measured. A scenario is a function that takes one sample of one
manager, {metric: value or list of values}; the managers take turns. What a
manager cannot do is not in its list.
"""

import contextlib
import os
import pty
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import day
import door
import managers
import shown
from managers import Job, Later, Pool, children, wait_for_load

CLIENTS = 8
C = ["limit", "spawnd", "spawn-fcgi", "multiwatch", "supervisord", "uwsgi"]
KEEPERS = ["limit", "spawnd", "multiwatch", "supervisord", "uwsgi"]
FPM = ["php-fpm static", "php-fpm dynamic", "php-fpm ondemand"]


@dataclass
class Scenario:
    name: str
    title: str
    how: str                    # one sentence, for the page
    sample: object              # function of (case, quick)
    cases: list                 # (label, manager, Job)
    rounds: int
    metrics: dict               # {metric: (unit, "lower" or "higher")}
    fewer: dict = field(default_factory=dict)   # {label: rounds}
    quick: list = None          # labels that the quick run takes; None: all


def generator(case, quick):
    with Pool(case[1], case[2]) as pool:
        r = pool.load(CLIENTS, 0.3 if quick else 1)
    return {"rps": r["rps"], "cpu_us": r["cpu_ns"] / 1000}


def throughput(case, quick):
    with Pool(case[1], case[2]) as pool:
        r = pool.load(CLIENTS, 0.3 if quick else 1)
    return {"rps": r["rps"], "p50_us": r["p50_us"], "p99_us": r["p99_us"],
            "failed": r["failed"]}


def start(case, _quick):
    with Pool(case[1], case[2]) as pool:
        if pool.counted:
            return dict(pool.times)
        return {"answer_us": pool.times["answer_us"]}


def preflight(case, _quick):
    """What spawnd -t takes, beside a program that does nothing."""
    argv = [managers.SPAWND, "-t", "-s", "/tmp/spawnd-bench-none/sock", "-n"]
    if managers.ROOT:
        argv += ["-u", managers.USER]
    argv += ["--", f"{managers.APPS}/worker"]
    began = time.monotonic()
    subprocess.run(argv if case[1] == "spawnd" else ["/bin/true"],
                   capture_output=True, check=False)
    return {"ms": (time.monotonic() - began) * 1e3}


def in_use(_case, _quick):
    """Until a socket whose listen queue is full is refused as in use."""
    path = "/tmp/spawnd-bench-in-use"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with contextlib.ExitStack() as stack:
        s = stack.enter_context(socket.socket(socket.AF_UNIX))
        s.bind(path)
        stack.callback(os.unlink, path)
        s.listen(1)
        for _ in range(2):
            c = stack.enter_context(socket.socket(socket.AF_UNIX))
            c.connect(path)
        began = time.monotonic()
        run = subprocess.run(
            [managers.SPAWND, "-n", "-s", path,
             *(["-u", managers.USER] if managers.ROOT else []), "--",
             f"{managers.APPS}/worker"], capture_output=True, check=False)
        took = time.monotonic() - began
    if b"in use" not in run.stderr:
        raise RuntimeError(run.stderr.decode())
    return {"ms": took * 1e3}


def cold(case, quick):
    """The first request of a pool at rest, and the next."""
    with Pool(case[1], case[2]) as pool:
        if case[1] != "spawnd":
            return {"answer_us": pool.times["answer_us"]}
        first, warm = [], []
        for _ in range(1 if quick else 3):
            while pool.workers():
                time.sleep(0.05)
            first.append(pool.load(1, 0.0001)["p50_us"])
            warm.append(pool.load(1, 0.0001)["p50_us"])
    return {"answer_us": first, "warm_us": warm}


def among(case, quick):
    """The supervisor's share of a core, with so many other sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        others = [socket.socketpair()
                  for _ in range(case[2].options["sockets"] // 2)]
        with Pool(case[1], case[2]) as pool:
            popen = pool.load(16, 60, ms=20, background=True)
            wait_for_children(pool, case[2].most, 20)
            share = share_of(pool, 0.3 if quick else 2)
            popen.terminate()
            popen.wait()
        for a, b in others:
            a.close()
            b.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return {"percent": share}


def share_of(pool, seconds):
    """Of a core, in percent, that the supervisor uses from now."""
    cpu, began = pool.cpu_ns(), time.monotonic()
    time.sleep(seconds)
    return (pool.cpu_ns() - cpu) / 1e7 / (time.monotonic() - began)


def top(case, quick):
    """What spawnctl top takes of the pool that it shows."""
    with Pool(case[1], case[2]) as pool:
        settle(pool)
        own, terminal = pty.openpty()
        popen = subprocess.Popen(
            [managers.SPAWNCTL, "-p", f"{pool.place}/control", "top"],
            stdin=terminal, stdout=terminal, stderr=terminal,
            env={**os.environ, "TERM": "xterm"})
        shows = threading.Event()
        reader = threading.Thread(target=drain, args=(own, shows), daemon=True)
        reader.start()
        shows.wait(10)
        share = share_of(pool, 1 if quick else 5)
        shown = popen.poll() is None
        popen.kill()
        popen.wait()
        os.close(terminal)
        reader.join()
        os.close(own)
    if not shown:
        raise RuntimeError("spawnctl top has ended")
    return {"percent": share}


def drain(fd, shows):
    """Reads a terminal until it is closed, and tells of the first bytes."""
    with contextlib.suppress(OSError):
        while os.read(fd, 65536):
            shows.set()


def busy_status(case, quick):
    """Commands while workers end all the time."""
    ctl = [managers.SPAWNCTL, "-p"]
    with Pool(case[1], case[2]) as pool:
        ctl.append(f"{pool.place}/control")
        popen = pool.load(32, 60, background=True)
        wait_for_load(popen)
        with answers(pool) as found_on:
            time.sleep(0.3 if quick else 2)
        found = [timed([*ctl, "status"]) for _ in range(3 if quick else 20)]
        reload_ms = timed([*ctl, "reload"])
        stop_ms = timed([*ctl, "stop"])
        popen.terminate()
        popen.wait()
    return {"ms": found, "reload_ms": reload_ms, "stop_ms": stop_ms,
            "answer_ms": found_on.waits}


def timed(argv):
    """Runs a command, which must succeed, and returns the ms it took."""
    began = time.monotonic()
    run = subprocess.run(argv, check=False, capture_output=True, text=True,
                         timeout=30)
    took = (time.monotonic() - began) * 1e3
    if run.returncode != 0:
        raise RuntimeError(f"{argv}: {run.stderr}")
    return took


def respawn(case, quick):
    with Pool(case[1], case[2]) as pool:
        cpu = pool.cpu_ns()
        # Some take a second for each.
        slow = case[1] in ("supervisord", "uwsgi")
        times = 10 if quick else 5 if slow else 40
        us = pool.probe("kill", pool.accepts, case[2].workers, times, 25)
        return {"accept_us": [float(x) for x in us],
                "cpu_us": (pool.cpu_ns() - cpu) / 1000 / times}


def respawn_php(case, quick):
    found = []
    with Pool(case[1], case[2]) as pool:
        for _ in range(3 if quick else 6):
            settle(pool, 0.03, 2)   # it is not to be killed in its start
            worker = pool.workers()[0]
            found += pool.probe("killpid", pool.sock, pool.script, worker)
    return {"answer_us": [float(x) for x in found]}


def recycling(case, quick):
    with Pool(case[1], case[2]) as pool:
        cpu = pool.cpu_ns()
        r = pool.load(CLIENTS, 0.4 if quick else 1)
        cpu = pool.cpu_ns() - cpu
        result = {"rps": r["rps"], "p99_us": r["p99_us"],
                  "failed": r["failed"]}
        if case[2].max_requests and r["answered"]:
            result["cpu_us"] = cpu / 1000 * case[2].max_requests / \
                r["answered"]
    return result


def calls(case, quick):
    """What a call costs that the filter of confined workers looks into."""
    with tempfile.TemporaryDirectory(prefix="spawnd-bench-") as place:
        os.chmod(place, 0o755)
        found = f"{place}/ns"
        with open(found, "wb"):
            os.chmod(found, 0o666)
        shutil.copy(f"{managers.APPS}/probe", place)
        pool = SimpleNamespace(place=place, sock=f"{place}/sock", accepts="")
        job = Job(workers=1, options={
            **case[2].options, "program": (
                "probe", "calls", "10000" if quick else "100000", found)})
        popen = subprocess.Popen(
            managers.spawnd(pool, job), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, **job.env(pool)})
        try:
            until = time.monotonic() + 30
            while popen.poll() is None and time.monotonic() < until:
                with open(found, encoding="utf-8") as f:
                    if (text := f.read()).endswith("\n"):
                        return {"ns": float(text)}
                time.sleep(0.01)
            raise RuntimeError(f"{case[0]}: no figure")
        finally:
            popen.terminate()
            popen.wait()


def many(case, quick):
    n = case[2].workers
    with Pool(case[1], case[2]) as pool:
        result = {"start_us": pool.times["accept_us"],
                  "start_cpu_us": pool.cpu_ns() / 1000 / n}
        if case[1] != "limit":
            m = pool.memory()
            result["memory_kb"] = m["Private_Dirty"] + m["Private_Clean"]
        kills, cpus = [], []
        for _ in range(1 if quick else 3):
            settle(pool)
            cpu = pool.cpu_ns()
            kills.append(float(pool.probe("killall", pool.accepts, n)[0]))
            settle(pool)
            cpus.append((pool.cpu_ns() - cpu) / 1000 / n)
        result.update({"recover_us": kills, "recover_cpu_us": cpus})
        # What asks is in none of the figures above, and nothing settles
        # while it asks.
        with answers(pool) as found:
            if pool.manager == "spawnd":
                pool.probe("killall", pool.accepts, n)
            result["stop_us"] = stop(pool)
        if found.waits:
            result["answer_ms"] = max(found.waits)
            result["turn_ms"] = max(found.turns)
        return result


@contextlib.contextmanager
def answers(pool):
    """Asks spawnd all the time, as long as the context lasts; the times that
    the answers took, in ms, and these without the time in which it, or who
    asked, waited for a processor: about the longest turn of its loop."""
    found, over = SimpleNamespace(waits=[], turns=[]), threading.Event()
    if pool.manager != "spawnd":
        yield found
        return
    thread = threading.Thread(target=ask_load, daemon=True,
                              args=(pool, over, found))
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join(60)


def delayed(pid):
    """ms that a process, and the thread that asks, waited for a processor."""
    total = 0
    for path in (f"/proc/{pid}/schedstat", "/proc/thread-self/schedstat"):
        with open(path, encoding="utf-8") as f:
            total += int(f.read().split()[1])
    return total / 1e6


def ask_load(pool, over, found):
    # It ends meanwhile.
    with socket.socket(socket.AF_UNIX) as s, \
            contextlib.suppress(ConnectionError, FileNotFoundError,
                                ProcessLookupError):
        s.connect(f"{pool.place}/control/control")
        while not over.wait(0.005):
            before = delayed(pool.pid)
            began = time.monotonic()
            s.sendall(b"load\n")    # also where none is ready
            answer = b""
            while not answer.endswith(b"\nend\n"):
                data = s.recv(4096)
                if not data:
                    return
                answer += data
            took = (time.monotonic() - began) * 1e3
            found.turns.append(took - (delayed(pool.pid) - before))
            found.waits.append(took)


def stop(pool, longest=90):
    """SIGTERM to the end of the last worker, and of the supervisor."""
    fd = os.pidfd_open(pool.pid)
    began = time.monotonic()
    os.kill(pool.pid, signal.SIGTERM)
    ended = select.select([fd], [], [], longest)[0]
    took = (time.monotonic() - began) * 1e6
    os.close(fd)
    if not ended:
        raise RuntimeError(f"{pool.manager} has not stopped in {longest} s")
    return took


def settle(pool, quiet=0.3, longest=10):
    """Until the supervisor has used no cpu for a while."""
    deadline = time.monotonic() + longest
    before = -1
    while time.monotonic() < deadline and pool.cpu_ns() != before:
        before = pool.cpu_ns()
        time.sleep(quiet)


def footprint(case, quick):
    seconds = 1 if quick else 3
    with Pool(case[1], case[2]) as pool:
        pool.load(CLIENTS, 0.2)         # it is to have done some work
        # spawnd looks once more a second after its last request.
        settle(pool, *((0.3, 1.2) if quick else (1.5, 6)))
        before = pool.wakeups()
        time.sleep(seconds)
        wakeups = (pool.wakeups() - before) / seconds
        m = pool.memory()
        fds = len(os.listdir(f"/proc/{pool.pid}/fd"))
        return {"dirty_kb": m["Private_Dirty"],
                "private_kb": m["Private_Dirty"] + m["Private_Clean"],
                "pss_kb": m["Pss"], "descriptors": fds, "wakeups": wakeups}


def tell_reload(pool):
    if pool.manager.startswith("php-fpm"):
        os.kill(pool.pid, signal.SIGUSR2)
    elif pool.manager == "supervisord":
        return subprocess.Popen(
            [managers.find("supervisorctl"), "-c", f"{pool.place}/super.conf",
             "restart", "app:*"], stdout=subprocess.DEVNULL)
    else:
        os.kill(pool.pid, signal.SIGHUP)
    return None


def reload(case, quick):
    seconds = 1.2 if quick else case[2].options.get("seconds", 1.6)
    longest = seconds - 0.4
    with Pool(case[1], case[2]) as pool:
        settle(pool, 0.05, 2)
        old = set(pool.workers())
        popen = pool.load(CLIENTS, seconds, background=True)
        wait_for_load(popen)
        began = time.monotonic()
        other = tell_reload(pool)
        while time.monotonic() - began < longest and \
                old & set(pool.workers()):
            time.sleep(0.002)
        took = time.monotonic() - began
        stayed = len(old & set(pool.workers()))
        r = Pool.result(popen, seconds)
        if other:
            other.wait(30)
    result = {"failed": r["failed"], "gap_us": r["gap_us"],
              "stayed": stayed}
    if stayed == 0:
        result["ms"] = took * 1e3
    return result


def take_over(case, quick):
    """Options change: by another spawnd, by php-fpm's USR2, or by a HUP."""
    seconds = 1.2 if quick else case[2].options.get("seconds", 3)
    longest = seconds - 0.4
    with Pool(case[1], case[2]) as pool:
        settle(pool, 0.05, 2)
        old = set(pool.workers())
        popen = pool.load(CLIENTS, seconds, background=True)
        wait_for_load(popen)
        began = time.monotonic()
        if case[1] == "spawnd":
            pool.take_over()
        else:
            tell_reload(pool)
        while time.monotonic() - began < longest and \
                any(os.path.exists(f"/proc/{p}") for p in old):
            time.sleep(0.002)
        took = time.monotonic() - began
        stayed = sum(os.path.exists(f"/proc/{p}") for p in old)
        r = Pool.result(popen, seconds)
    result = {"failed": r["failed"], "gap_us": r["gap_us"],
              "p99_us": r["p99_us"], "stayed": stayed}
    if stayed == 0:
        result["ms"] = took * 1e3
    return result


def grow(pool, want, longest):
    """From the first of 64 connections at a time to that many processes."""
    popen = pool.load(64, longest, ms=50, background=True)
    began = time.monotonic()
    wait_for_children(pool, want, longest)
    took = time.monotonic() - began
    popen.terminate()
    popen.wait()
    return took if took < longest else None


def wait_for_children(pool, want, longest):
    until = time.monotonic() + longest
    while len(children(pool.pid)) < want and time.monotonic() < until:
        time.sleep(0.002)


def burst(case, quick):
    ms = 20 if quick else 50
    with Pool(case[1], case[2]) as pool:
        settle(pool, 0.05, 2)
        lines = pool.probe("burst", pool.sock, 64, ms, pool.script)
    good = sorted(float(x) for x in lines if not x.startswith("failed"))
    if not good:
        raise RuntimeError(f"{case[0]}: no answer")
    result = {"median_us": good[len(good) // 2], "last_us": good[-1],
              "failed": len(lines) - len(good)}
    if case[2].most:
        with Pool(case[1], case[2]) as pool:
            settle(pool, 0.05, 2)
            took = grow(pool, case[2].most, 2 if quick else 20)
        if took is not None:
            result["grown_ms"] = took * 1e3
    return result


def status(case, quick):
    ctl = managers.SPAWNCTL
    if not os.access(ctl, os.X_OK) or \
            "--control" not in managers.spawnd_help():
        raise Later("spawnctl")
    found = []
    with Pool(case[1], case[2]) as pool:
        settle(pool)
        where = f"{pool.place}/control"
        for _ in range(3 if quick else 10):
            found.append(timed([ctl, "-p", where, "status"]))
        kill = ("kill", pool.accepts, case[2].workers, 3 if quick else 10, 25)
        alone = pool.probe(*kill)
        over = threading.Event()
        readers = [threading.Thread(target=ask_on, args=(where, over))
                   for _ in range(8)]
        for t in readers:
            t.start()
        try:
            beside = pool.probe(*kill)
        finally:
            over.set()
            for t in readers:
                t.join()
    return {"ms": found, "respawn_us": [float(x) for x in alone],
            "respawn_read_us": [float(x) for x in beside]}


def ask_on(where, over):
    """Takes one status after another from a pool's control socket."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{where}/control")
        while not over.is_set():
            s.sendall(b"status\n")
            tail = b""
            while not tail.endswith(b"\nend\n"):
                data = s.recv(65536)
                if not data:
                    return
                tail = (tail + data)[-8:]


def c_cases(names, **job):
    return [(name, name, Job(**job)) for name in names]


def php_cases(names, **job):
    """spawnd in both shapes: workers exec'd anew, and php-cgi's own."""
    cases = []
    for name in names:
        if name in ("spawnd", "spawn-fcgi"):
            cases.append((f"{name} -C 4", name,
                          Job(php=True, children=4, **{**job, "workers": 1})))
            cases.append((f"{name} -F 4", name, Job(php=True, **job)))
        else:
            cases.append((name, name, Job(php=True, **job)))
    return cases


UNCONFINED = ("spawnd --confine no", "spawnd",
              Job(options={"argv": ["--confine", "no"]}))
RPS = {"rps": ("requests/s", "higher"), "p99_us": ("us", "lower"),
       "failed": ("requests", "lower")}
RECYCLING = {**RPS, "cpu_us": ("us of the supervisor's cpu a worker",
                               "lower")}
MANY = {"start_us": ("us", "lower"), "recover_us": ("us", "lower"),
        "start_cpu_us": ("us of the supervisor's cpu a worker", "lower"),
        "recover_cpu_us": ("us of the supervisor's cpu a worker", "lower"),
        "stop_us": ("us", "lower"), "memory_kb": ("KB, private", "lower"),
        "answer_ms": ("ms, the longest answer to a command", "lower"),
        "turn_ms": ("ms of that, without the time in which both sides waited "
                    "for a processor", "lower")}
BURST = {"median_us": ("us", "lower"), "last_us": ("us", "lower"),
         "grown_ms": ("ms", "lower"),
         "failed": ("requests", "lower")}
RELOAD = {"failed": ("requests", "lower"), "gap_us": ("us", "lower"),
          "ms": ("ms", "lower"), "stayed": ("workers", "lower")}


def recycled(workers_php, n, names):
    job = {"max_requests": n}
    cases = php_cases(names, **job) if workers_php else c_cases(names, **job)
    what = "php-cgi" if workers_php else "C"
    every = f"a new process every {n} requests" if n > 1 else \
        "a new process every request"
    return Scenario(
        f"recycle-{'php' if workers_php else 'c'}-{n}",
        f"Recycling, {what}: {every}",
        f"4 workers, {CLIENTS} clients, a connection a request.", recycling,
        cases, 3 if workers_php else 9, RECYCLING,
        quick=None if n == 10 and not workers_php else ["spawnd",
                                                        "spawnd -C 4"])


def fpm_burst(lines, **options):
    return Job(php=True, workers=2, most=32,
               options={"lines": lines, **options})


PHP_KEEPERS = ["spawnd", "multiwatch", "supervisord", "uwsgi",
               "php-fpm static"]
SCENARIOS = [
    Scenario("generator", "The load generator's own limit",
             "Against a server that does one receive and one send a "
             "connection: no figure below can be higher, and the time of a "
             "request that is the generator's own is the second one.",
             generator, [("null", "null", Job())], 5,
             {"rps": ("requests/s", "higher"),
              "cpu_us": ("us of the generator's cpu a request", "lower")}),
    Scenario("throughput-c", "Throughput, 4 workers in C",
             f"{CLIENTS} clients, a connection a request. spawn-fcgi is "
             "there twice, to see its spread against itself.",
             throughput,
             c_cases(C) + [("spawn-fcgi again", "spawn-fcgi", Job()),
                           UNCONFINED], 9,
             {**RPS, "p50_us": ("us", "lower")}),
    Scenario("throughput-php", "Throughput, 4 processes of PHP",
             f"{CLIENTS} clients, a connection a request, without "
             "recycling.",
             throughput,
             php_cases(["spawnd", "spawn-fcgi", "multiwatch", "supervisord",
                        "uwsgi"] + FPM), 5,
             {**RPS, "p50_us": ("us", "lower")},
             quick=["spawnd -C 4", "php-fpm static"]),
    Scenario("start", "Start: to the first answer, and to all 4 accepting",
             "From the fork of the manager's command line.", start,
             c_cases(C), 15, {"answer_us": ("us", "lower"),
                              "accept_us": ("us", "lower")},
             fewer={"supervisord": 3, "uwsgi": 3}),
    Scenario("start-php", "Start with PHP, to the first answer",
             "4 processes of PHP.", start,
             php_cases(["spawnd", "spawn-fcgi", "multiwatch"] + FPM), 5,
             {"answer_us": ("us", "lower")},
             quick=["spawnd -C 4", "php-fpm static"]),
    Scenario("preflight", "spawnd -t",
             "The checks without a start, beside /bin/true.", preflight,
             [("spawnd -t", "spawnd", Job()), ("true", "true", Job())], 15,
             {"ms": ("ms", "lower")}),
    Scenario("in-use", "A socket in use whose listen queue is full",
             "Until it is refused, from the fork.", in_use,
             [("spawnd", "spawnd", Job())], 5, {"ms": ("ms", "lower")}),
    Scenario("cold", "The first request of a pool that has no worker, PHP",
             "The limit is a start of php-cgi and its answer.", cold,
             [("limit", "limit", Job(php=True, workers=1)),
              ("spawnd -F 0", "spawnd",
               Job(php=True, workers=0, most=4,
                   options={"argv": ["-w", "1"]}))], 5,
             {"answer_us": ("us", "lower"), "warm_us": ("us", "lower")}),
    Scenario("among", "Looking at the load among other sockets",
             "16 clients of 20 ms, 1 to 4 workers: the supervisor's share of "
             "a core.", among,
             [(f"{n:,}", "spawnd",
               Job(workers=1, most=4, options={"sockets": n}))
              for n in (0, 10000)], 3, {"percent": ("%", "lower")}),
    Scenario("top", "spawnctl top of 100 workers",
             "The supervisor's share of a core.", top,
             [("spawnctl top", "spawnd", Job(workers=100))], 3,
             {"percent": ("%", "lower")}),
    Scenario("page", "spawnd-status: the page of 20 pools of 50 workers",
             "The page of all pools, which somebody looks at once a second. "
             "A supervisor that nobody asks uses something, too.", shown.page,
             [("spawnd-status", "spawnd",
               Job(workers=50, options={"pools": 20}))], 3, shown.COST),
    Scenario("status-recycling", "Commands while workers end all the time",
             "16 workers that serve one request each, 32 clients.",
             busy_status,
             [("spawnctl", "spawnd", Job(workers=16, max_requests=1))], 3,
             {"ms": ("ms", "lower"), "reload_ms": ("ms", "lower"),
              "stop_ms": ("ms", "lower"),
              "answer_ms": ("ms, an answer on a connection", "lower")}),
    Scenario("respawn", "Respawn: kill -9 of an idle worker to the next "
             "accept", "4 workers in C, one killed every 25 ms.", respawn,
             c_cases(KEEPERS) + [UNCONFINED], 5,
             {"accept_us": ("us", "lower"),
              "cpu_us": ("us of the supervisor's cpu a worker", "lower")},
             fewer={"supervisord": 2, "uwsgi": 2},
             quick=["limit", "spawnd", "multiwatch"]),
    Scenario("calls", "A system call that the filter looks into",
             "prlimit(2) about its own limit, by a worker that does nothing "
             "else.", calls, [("spawnd", "spawnd", Job()), UNCONFINED], 9,
             {"ns": ("ns", "lower")}),
    Scenario("respawn-php", "Respawn with PHP: kill -9 to the answer of the "
             "next process", "One process.", respawn_php,
             [(n, n, Job(php=True, workers=1)) for n in
              ("limit", "spawnd", "multiwatch", "php-fpm static")], 3,
             {"answer_us": ("us", "lower")},
             quick=["spawnd", "php-fpm static"]),
    *[recycled(False, n, KEEPERS) for n in (1, 10, 50)],
    *[recycled(True, n, PHP_KEEPERS) for n in (1, 10, 50)],
    Scenario("many-1000", "1,000 workers",
             "Start until all accept, kill -9 of all until all accept "
             "again, SIGTERM to the end of all, and what that takes of the "
             "supervisor. While all are killed once more, and while they "
             "are stopped, spawnd is asked a command, again and again: "
             "the longest answer, without the time in which both sides waited "
             "for a processor among so many that start, is about the longest "
             "turn of its loop.",
             many,
             c_cases(["limit", "spawnd", "multiwatch"], workers=1000), 5,
             MANY, quick=["spawnd"]),
    Scenario("many-10000", "10,000 workers", "As before.", many,
             c_cases(["limit", "spawnd", "multiwatch"], workers=10000), 3,
             MANY, quick=[]),
    Scenario("many-100", "100 workers", "As before, to see what grows.",
             many, c_cases(["limit", "spawnd", "multiwatch"], workers=100),
             3, MANY, quick=[]),
    Scenario("footprint", "The supervisor of 4 idle workers",
             "Its own memory, descriptors and wake-ups, without the "
             "workers', after some load.", footprint,
             c_cases(KEEPERS) + [(n, n, Job(php=True)) for n in FPM], 2,
             {"dirty_kb": ("KB, private dirty", "lower"),
              "private_kb": ("KB, private", "lower"),
              "pss_kb": ("KB, pss", "lower"),
              "descriptors": ("descriptors", "lower"),
              "wakeups": ("wake-ups/s", "lower")},
             quick=["limit", "spawnd", "php-fpm dynamic"]),
    Scenario("reload", "Reload under load",
             f"{CLIENTS} clients; all 4 workers are replaced. The gap is the "
             "longest time without any answer, over the whole run.", reload,
             c_cases(["spawnd", "supervisord", "uwsgi"]) + [
                 ("spawnd -C 4", "spawnd", Job(php=True, workers=1,
                                               children=4)),
                 # Who is busy without a pause is told after a second.
                 ("spawnd -F 4, PHP", "spawnd",
                  Job(php=True, options={"seconds": 6})),
                 ("php-fpm, timeout 10", "php-fpm static", Job(php=True)),
                 ("php-fpm, timeout 0", "php-fpm static",
                  Job(php=True, options={"timeout": 0})),
             ], 20, RELOAD,
             fewer={n: 5 for n in (
                 "supervisord", "uwsgi", "spawnd -C 4",
                 "php-fpm, timeout 10", "php-fpm, timeout 0")
             } | {"spawnd -F 4, PHP": 3},
             quick=["spawnd", "php-fpm, timeout 10"]),
    Scenario("take-over", "A take-over under load",
             f"{CLIENTS} clients; 4 workers with other options, until those "
             "of before have gone: spawnd --replace, php-fpm's USR2. Beside "
             "them a reload of nginx, as a proxy before the cheapest server: "
             "new workers of its own. The gap is the longest time without any "
             "answer.", take_over,
             [("spawnd", "spawnd", Job(options={"daemon": True})),
              ("spawnd -C 4", "spawnd", Job(
                  php=True, workers=1, children=4,
                  options={"daemon": True})),
              ("TCP", "spawnd", Job(options={"daemon": True, "tcp": True})),
              ("Go", "spawnd", Job(
                  workers=2, options={"daemon": True,
                                      "program": ("load-go",)})),
              ("-u and binary changed", "spawnd",
               Job(options={"daemon": True, "other": True})),
              ("php-fpm, timeout 10", "php-fpm static", Job(php=True)),
              ("php-fpm, timeout 0", "php-fpm static",
               Job(php=True, options={"timeout": 0})),
              ("nginx -s reload", "nginx", Job())], 9,
             {**RELOAD, "p99_us": ("us", "lower")},
             quick=["spawnd", "php-fpm, timeout 10"]),
    Scenario("door-reload", "Reload of a saturated pool",
             "Twice as many clients as requests can be served at a time, 20 "
             "ms each; until nobody of before is there.", door.saturated,
             door.RELOADS, 3, door.RELOAD,
             quick=["libfcgi, 4", "no signal known, 4", "php-fpm, 16"]),
    Scenario("door-exec", "64 workers, started by a parent that does nothing "
             "else", "Until all of them accept.", door.execs, door.EXECS, 3,
             {"ms": ("ms", "lower")}, quick=[]),
    Scenario("door-idle", "Reload of 64 idle workers", "No requests.",
             door.idle, door.IDLES, 3, door.IDLE, quick=["libfcgi, 64"]),
    Scenario("door-kept", "Reload with kept connections",
             "4 workers, 4 connections that are kept, a request every 0.3 s.",
             door.kept, door.KEEPING, 3, door.KEPT, quick=["libfcgi"]),
    Scenario("door-stop", "Stop under load",
             "TERM to the end: 4 workers of 8 threads each and 64 clients; 4 "
             "workers and 4 connections that are kept; 6 workers, 2 of these "
             "and 8 clients.", door.stop,
             door.STOPS, 3, door.STOP, quick=["threads, 4 of 8"]),
    Scenario("door-calls", "A request of many system calls in a stop",
             f"{door.CALLED:,} of the cheapest there are, one worker.",
             door.calling, door.CALLINGS, 3, door.CALLS),
    Scenario("burst", "A burst: 64 connections of 50 ms at once, 2 to 32 "
             "workers",
             "Of the 64 answers the median and the last: 32 workers that are "
             "there already need 100 ms for both, 2 need 800 and 1,600. And "
             "the time to 32 processes, of 64 clients that go on asking.",
             burst,
             [("limit, 32 workers", "limit", Job(workers=32)),
              ("limit, 2 workers", "limit", Job(workers=2)),
              ("spawnd -F 2 -N 32", "spawnd", Job(workers=2, most=32)),
              ("spawnd, PHP", "spawnd", Job(php=True, workers=2, most=32)),
              ("php-fpm dynamic", "php-fpm dynamic", fpm_burst(
                  ["start_servers = 2", "min_spare_servers = 1",
                   "max_spare_servers = 3"])),
              ("php-fpm dynamic, tuned", "php-fpm dynamic", fpm_burst(
                  ["start_servers = 8", "min_spare_servers = 8",
                   "max_spare_servers = 16"])),
              ("php-fpm ondemand", "php-fpm ondemand", fpm_burst([]))], 5,
             BURST, fewer={"php-fpm dynamic": 2, "php-fpm dynamic, tuned": 3},
             quick=["spawnd -F 2 -N 32", "php-fpm ondemand"]),
    Scenario("day", "A day of real load, in a minute",
             f"Visitors come as they do to a web server: {day.PEAK} requests "
             "a second in the busiest hour, few at night, three bursts of "
             f"twice as many; {day.MS} ms a request, five times that for one "
             f"of ten; 2 to {day.MOST} workers. What the manager kept for "
             "it, summed over the minute, and how long visitors waited. php-"
             "fpm changes its size once a second, which is 24 minutes of "
             "this day, and so is spawnd's -w 1.", day.sample, day.CASES, 3,
             day.COST, quick=["spawnd, PHP", "php-fpm dynamic, tuned"]),
    Scenario("status", "Status of 1,000 workers",
             "One run of spawnctl status; and a killed worker to the next "
             "accept, alone and beside 8 who read the status all the time.",
             status, [("spawnctl status", "spawnd", Job(workers=1000))], 2,
             {"ms": ("ms", "lower"), "respawn_us": ("us", "lower"),
              "respawn_read_us": ("us", "lower")}),
]
