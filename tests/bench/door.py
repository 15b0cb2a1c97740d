# SPDX-License-Identifier: ISC
"""
Reloads and stops of pools that have no idle moment: twice as many clients as
requests can be served at a time, 20 ms each. Times are those until the last
worker of before has gone.
"""

import json
import os
import select
import signal
import subprocess
import time

import managers
from managers import Job, Pool, wait_for_load

MS = 20
LOAD = 3.0              # seconds
CALLED = 100000         # system calls in a request
RELOAD = {"ms": ("ms", "lower"), "gap_us": ("us", "lower"),
          "failed": ("requests", "lower"), "stayed": ("workers", "lower"),
          "p99_us": ("us", "lower"),
          "p99_without_us": ("us, without a reload", "lower")}
KEPT = {"ms": ("ms", "lower"), "failed": ("requests", "lower"),
        "stayed": ("workers", "lower")}
STOP = {"ms": ("ms", "lower"), "failed": ("requests", "lower")}
CALLS = {"alone_us": ("us", "lower"),
         "retiring_us": ("us, while its worker retires", "lower")}
IDLE = {"ms": ("ms", "lower"), "stayed": ("workers", "lower")}


def is_ready(pool):
    """Has the manager seen all of them ready, and is its start over?"""
    if pool.manager != "spawnd" or "--control" not in managers.spawnd_help():
        return True
    run = subprocess.run([managers.SPAWNCTL, "-p", f"{pool.place}/control",
                          "status", "--json"], capture_output=True, text=True,
                         check=False)
    if run.returncode != 0:
        return False
    status = json.loads(run.stdout)
    return (status["pool"]["state"] == "up" and
            status["workers"]["ready"] == pool.job.workers)


def started(case):
    """A pool of which every worker has been seen, and is ready."""
    pool = Pool(case[1], case[2])
    until = time.monotonic() + 60
    while len(pool.workers()) < total(case[2]) or not is_ready(pool):
        if time.monotonic() > until:
            pool.close()
            raise RuntimeError(f"{case[0]}: not all workers start")
        time.sleep(0.01)
    return pool


def total(job):
    """Processes that serve, php-cgi's children with -C."""
    return job.workers * (job.children or 1)


def crowd(job):
    """Twice as many clients as requests can be served at a time."""
    return 2 * total(job) * job.options.get("at_once", 1)


def tell(pool):
    os.kill(pool.pid, signal.SIGUSR2 if pool.manager.startswith("php-fpm")
            else signal.SIGHUP)


def replaced(pool, old, longest):
    """Seconds until nobody of before is there, and how many have stayed. They
    tell of their end: to look for them all the time takes a core."""
    left = select.poll()
    fds = {os.pidfd_open(pid) for pid in old}
    for fd in fds:
        left.register(fd, select.POLLIN)
    began = time.monotonic()
    tell(pool)
    while fds and time.monotonic() - began < longest:
        for fd, _ in left.poll(100):
            left.unregister(fd)
            fds.remove(fd)
            os.close(fd)
    took = time.monotonic() - began
    for fd in fds:
        os.close(fd)
    return took, len(fds)


def with_time(result, took, stayed):
    result["stayed"] = stayed
    if stayed == 0:
        result["ms"] = took * 1e3
    return result


def saturated(case, quick):
    seconds = 1.5 if quick else case[2].options.get("seconds", LOAD)
    with started(case) as pool:
        clients = crowd(case[2])
        without = pool.load(clients, 0.5 if quick else 1, ms=MS)
        old = set(pool.workers())
        popen = pool.load(clients, seconds, ms=MS, background=True)
        wait_for_load(popen)
        took, stayed = replaced(pool, old, seconds - 0.5)
        r = Pool.result(popen, seconds)
    return with_time({"gap_us": r["gap_us"], "failed": r["failed"],
                      "p99_us": r["p99_us"],
                      "p99_without_us": without["p99_us"]}, took, stayed)


# Numbers of accept and accept4.
ACCEPT = {"x86_64": ("43", "288"), "aarch64": ("202", "242")}


def accepts(pid):
    try:
        return managers.proc(pid, "syscall").split()[0] in \
            ACCEPT[os.uname().machine]
    except OSError:
        return False


def all_accept(case):
    """Milliseconds until all of a new pool do."""
    began = time.monotonic()
    with Pool(case[1], case[2]) as pool:
        left = []
        while len(left) < case[2].workers:
            left = pool.workers()
        while left:
            if time.monotonic() - began > 60:
                raise RuntimeError(f"{case[0]}: not all of them accept")
            time.sleep(0.005)
            left = [pid for pid in left if not accepts(pid)]
        return (time.monotonic() - began) * 1e3


def execs(case, quick):
    """What a parent needs that does nothing but start them: no reload can be
    faster. With "clients" those of a saturated reload have a pool beside it,
    and leave it as much of the machine."""
    if not case[2].options.get("clients"):
        return {"ms": all_accept(case)}
    with Pool(case[1], case[2]) as pool:
        popen = pool.load(crowd(case[2]), 2 if quick else 4, ms=MS,
                          background=True)
        wait_for_load(popen)
        took = all_accept(case)
        popen.communicate()
    return {"ms": took}


def idle(case, quick):
    with started(case) as pool:
        took, stayed = replaced(pool, set(pool.workers()),
                                2 if quick else 20)
    return with_time({}, took, stayed)


class Posts:
    """post.c: what it does with kept connections, and at a stop."""

    def __init__(self, pool, clients, kept):
        self.popen = subprocess.Popen(
            [f"{managers.APPS}/post", "-m", "1000", "-x", "-k", str(kept),
             "-s", pool.script, pool.sock, str(clients), str(MS)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        wait_for_load(self.popen)

    def end(self):
        """Requests that were let in and lost, or wrongly answered."""
        self.popen.send_signal(signal.SIGINT)
        words = self.popen.communicate(timeout=90)[0].split()
        found = dict(zip(words[::2], map(int, words[1::2])))
        return found["sent"] - found["answered"] - found["refused"]


def kept(case, quick):
    with started(case) as pool:
        old = set(pool.workers())
        posts = Posts(pool, 0, case[2].workers)
        took, stayed = replaced(pool, old, 2 if quick else 20)
        failed = posts.end()
    return with_time({"failed": failed}, took, stayed)


def stop(case, quick):
    """TERM to the end of the last worker, under load."""
    with started(case) as pool:
        kept_ones = case[2].options.get("kept", 0)
        clients = 0 if kept_ones else crowd(case[2])
        posts = Posts(pool, case[2].options.get("clients", clients),
                      kept_ones)
        began = time.monotonic()
        os.kill(pool.pid, signal.SIGTERM)
        while managers.children(pool.pid) and \
                time.monotonic() - began < (3 if quick else 35):
            time.sleep(0.002)
        took = time.monotonic() - began
        failed = posts.end()
    return {"ms": took * 1e3, "failed": failed}


def calling(case, quick):
    """One request that makes many system calls, alone, and in a stop: the
    supervisor sees each of them."""
    found = {"alone_us": [], "retiring_us": []}
    for _ in range(2 if quick else 10):
        with started(case) as pool:
            for name, more in (("alone_us", ()), ("retiring_us", (pool.pid,))):
                found[name] += map(float, pool.probe("ask", pool.sock, CALLED,
                                                     *more))
    return found


def program(*argv, workers=4, **options):
    return Job(workers=workers, options={"program": argv, **options})


def fpm(workers):
    return Job(php=True, workers=workers, options={"timeout": 10})


RELOADS = [
    ("libfcgi, 64", "spawnd", program("lib", workers=64)),
    ("libfcgi, 16", "spawnd", program("lib", workers=16)),
    ("libfcgi, 4", "spawnd", program("lib")),
    ("no signal known, 4", "spawnd", program("bare")),
    ("Go, 4 of 8 at a time", "spawnd", program("load-go", at_once=8)),
    ("threads, 4 of 8", "spawnd", program("lib", "8", at_once=8)),
    ("php-cgi, 64", "spawnd", Job(php=True, workers=64,
                                  options={"seconds": 10})),
    ("php-cgi, 16", "spawnd", Job(php=True, workers=16)),
    ("php-cgi -C 8, 8", "spawnd", Job(php=True, workers=8, children=8)),
    ("php-fpm, 64", "php-fpm static", fpm(64)),
    ("php-fpm, 16", "php-fpm static", fpm(16)),
]
IDLES = [("libfcgi, 64", "spawnd", program("lib", workers=64)),
         ("php-cgi, 64", "spawnd", Job(php=True, workers=64)),
         ("php-fpm, 64", "php-fpm static", fpm(64))]
EXECS = [("php-cgi, 64", "limit", Job(php=True, workers=64)),
         ("php-cgi, 64, under load", "limit",
          Job(php=True, workers=64, options={"clients": True}))]
KEEPING = [("libfcgi", "spawnd", program("lib")),
           ("Go", "spawnd", program("load-go"))]
CALLINGS = [("spawnd", "spawnd", program("bare", workers=1))]
STOPS = [("threads, 4 of 8", "spawnd", program("lib", "8", at_once=8)),
         ("kept, libfcgi", "spawnd", program("lib", kept=4)),
         ("kept, Go", "spawnd", program("load-go", kept=4)),
         ("kept and load, libfcgi", "spawnd",
          program("lib", workers=6, kept=2, clients=8))]


def at_most(bar, scenario, case, metric, most, unit):
    return (bar, f"at most {most:,} {unit}",
            lambda r: judged(r, scenario, case, metric, most, unit))


def judged(r, scenario, case, metric, most, unit):
    """Nobody stayed, and the median is within the bar."""
    samples = r.samples(scenario, case, metric)
    stayed = r.samples(scenario, case, "stayed") or [0]
    if any(stayed):
        return False, f"{max(stayed):.0f} workers stayed"
    if not samples:
        return None
    return (r.median(scenario, case, metric) <= most,
            f"{r.median(scenario, case, metric):,.4g} {unit} "
            f"({min(samples):,.4g} to {max(samples):,.4g})")


def beside_others(r):
    """p99 of all requests in a saturated reload, beside that without."""
    with_, without = (r.median("door-reload", "libfcgi, 64", m)
                      for m in ("p99_us", "p99_without_us"))
    if not with_ or not without:
        return None
    return (with_ <= 1.3 * without,
            f"{with_ / without:.2f} ({with_:,.0f} to {without:,.0f} us)")


def idle_beside_fpm(r):
    ours, theirs = (r.median("door-idle", c, "ms")
                    for c in ("php-cgi, 64", "php-fpm, 64"))
    if not ours or not theirs:
        return None
    return ours <= theirs, f"{ours:,.4g} ms; php-fpm {theirs:,.4g} ms"


def beside_fpm(r):
    ours, theirs = (r.median("door-reload", c, "gap_us")
                    for c in ("php-cgi, 16", "php-fpm, 16"))
    if not ours or not theirs:
        return None
    return ours <= theirs, f"{ours:,.0f} us; php-fpm {theirs:,.0f} us"


def beside_execs(case):
    def judge(r):
        ours = r.median("door-reload", "php-cgi, 64", "ms")
        least = r.median("door-exec", case, "ms")
        stayed = r.samples("door-reload", "php-cgi, 64", "stayed")
        if stayed and any(stayed):
            return False, f"{max(stayed):.0f} workers stayed"
        if not ours or not least:
            return None
        return (ours <= 1.3 * least, f"{ours / least:.2f} ({ours:,.4g} ms; "
                f"{least:,.4g} ms)")
    return judge


def beside_alone(r):
    alone, retiring = (r.median("door-calls", "spawnd", m)
                       for m in ("alone_us", "retiring_us"))
    if not alone or not retiring:
        return None
    return (retiring <= 1.5 * alone,
            f"{retiring / alone:.2f} ({alone:,.0f} to {retiring:,.0f} us)")


def no_loss(r):
    lost, seen = 0, 0
    for scenario, cases in (("door-reload", RELOADS), ("door-kept", KEEPING),
                            ("door-stop", STOPS)):
        for case in cases:
            s = r.samples(scenario, case[0], "failed")
            if s and case[1] == "spawnd":
                lost, seen = lost + sum(s), seen + len(s)
    return (lost == 0, f"{lost:.0f} in {seen} runs") if seen else None


RELOAD_MS = [("libfcgi, 64", 600), ("libfcgi, 16", 300), ("libfcgi, 4", 300),
             ("no signal known, 4", 300), ("Go, 4 of 8 at a time", 400),
             ("php-cgi, 16", 300), ("php-cgi -C 8, 8", 600)]
# What waits when it begins is two requests for each place.
QUEUE_MS = 2 * MS + 100
BARS = [
    *[at_most(f"saturated reload, {case}", "door-reload", case, "ms", most,
              "ms") for case, most in RELOAD_MS],
    ("saturated reload, php-cgi, 64, beside a parent that only starts them",
     "at most 1.3", beside_execs("php-cgi, 64")),
    ("... under the same load", "at most 1.3",
     beside_execs("php-cgi, 64, under load")),
    at_most("gap without an answer in it, libfcgi, 64", "door-reload",
            "libfcgi, 64", "gap_us", 40000, "us"),
    ("gap without an answer in it, 16 of PHP", "not behind php-fpm",
     beside_fpm),
    ("p99 in it beside without, libfcgi, 64", "at most 1.3", beside_others),
    *[at_most(f"reload with kept connections, {case[0]}", "door-kept",
              case[0], "ms", 1000, "ms") for case in KEEPING],
    ("reload of 64 idle workers, PHP", "not behind php-fpm",
     idle_beside_fpm),
    *[at_most(f"stop, {case[0]}", "door-stop", case[0], "ms", QUEUE_MS, "ms")
      for case in STOPS],
    (f"a request of {CALLED:,} system calls while its worker retires, beside "
     "alone", "at most 1.5", beside_alone),
    ("requests lost or answered wrongly by all of these", "0", no_loss),
]
