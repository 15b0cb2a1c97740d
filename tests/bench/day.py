# SPDX-License-Identifier: ISC
"""
A day of real load, in a minute: how many workers each manager keeps for it,
and how long visitors wait. day.c has the day.
"""

import subprocess
import time

import managers
from managers import Job, Pool

PEAK = 250          # requests a second in the busiest hour
MS = 20             # what one sleeps in the worker; one of ten sleeps 100
MOST = 32           # workers: those of the busiest moment, and half as many
COST = {"worker_s": ("workers x s", "lower"),
        "pss_mb_s": ("MB of PSS x s", "lower"),
        "waited": ("requests that waited over 50 ms", "lower"),
        "p99_us": ("us", "lower"), "failed": ("requests", "lower")}


def pss(pid):
    """KB; a process that is gone has none."""
    try:
        for line in managers.proc(pid, "smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


class Sum:
    """Of a figure over time, by looks at it."""

    def __init__(self, look, pause):
        self.look, self.pause = look, pause
        self.sum, self.due, self.seen = 0.0, 0.0, None

    def step(self, now):
        if now < self.due:
            return
        if self.seen is not None:
            self.sum += self.last * (now - self.seen)
        self.last, self.seen = self.look(), now
        self.due = now + self.pause


def sample(case, quick):
    """One day. What is there at night counts as what is there at noon."""
    with Pool(case[1], case[2]) as pool:
        popen = subprocess.Popen(
            [f"{managers.APPS}/day", pool.sock, "3" if quick else "60",
             str(PEAK), str(MS), pool.script],
            stdout=subprocess.PIPE, text=True)
        sums = (Sum(lambda: len(pool.workers()), 0.05),
                Sum(lambda: sum(map(pss, pool.workers())) / 1024, 0.5))
        while popen.poll() is None:
            for s in sums:
                s.step(time.monotonic())
            time.sleep(0.02)
        words = popen.communicate()[0].split()
    if popen.returncode != 0:
        raise RuntimeError(f"{case[0]}: day: {popen.returncode}")
    found = dict(zip(words[::2], map(int, words[1::2])))
    return {"worker_s": sums[0].sum, "pss_mb_s": sums[1].sum,
            **{name: found[name] for name in ("waited", "p99_us", "failed")}}


def fpm(pm, *lines):
    return Job(php=True, workers=2, most=MOST,
               options={"pm": pm, "lines": lines})


def adaptive(php, *more):
    """-w: a minute is a day here, and a second 24 minutes."""
    return Job(php=php, workers=2, most=MOST,
               options={"argv": ["-w", "1", *more]})


CASES = [
    ("spawnd, PHP", "spawnd", adaptive(True)),
    ("spawnd, C", "spawnd", adaptive(False)),
    ("static, PHP", "spawnd", Job(php=True, workers=MOST)),
    ("static, C", "spawnd", Job(workers=MOST)),
    ("php-fpm static", "php-fpm static", fpm("static")),
    ("php-fpm dynamic, as shipped", "php-fpm static", Job(
        php=True, workers=5, options={"pm": "dynamic", "lines": (
            "start_servers = 2", "min_spare_servers = 1",
            "max_spare_servers = 3")})),
    ("php-fpm dynamic, tuned", "php-fpm static", fpm(
        "dynamic", "start_servers = 8", "min_spare_servers = 8",
        "max_spare_servers = 16")),
    ("php-fpm ondemand", "php-fpm static", fpm("ondemand")),
]
