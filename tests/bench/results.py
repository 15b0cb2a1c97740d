# SPDX-License-Identifier: ISC
"""Samples to medians with their spread, and what is asked of them."""

import statistics

import door

FORMAT = 1


def quantile(values, q):
    values = sorted(values)
    at = q * (len(values) - 1)
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


def summary(samples):
    return {"median": statistics.median(samples), "low": min(samples),
            "high": max(samples), "q1": quantile(samples, 0.25),
            "q3": quantile(samples, 0.75), "n": len(samples),
            "samples": samples}


def ratios(over, under):
    """Sample by sample, as they were taken in turn."""
    return [a / b for a, b in zip(over, under) if b]


class Results:
    """All of a run, as the JSON file holds it."""

    def __init__(self, data):
        self.data = data

    def samples(self, scenario, case, metric):
        try:
            return self.data["scenarios"][scenario]["cases"][case][metric][
                "samples"]
        except KeyError:
            return None

    def ratio(self, scenario, metric, over, under):
        a = self.samples(scenario, over, metric)
        b = self.samples(scenario, under, metric)
        return ratios(a, b) if a and b else None

    def median(self, scenario, case, metric):
        s = self.samples(scenario, case, metric)
        return statistics.median(s) if s else None


def bar_throughput(other):
    def check(r):
        own = r.ratio("throughput-c", "rps", "spawn-fcgi again", "spawn-fcgi")
        ours = r.ratio("throughput-c", "rps", "spawnd", other)
        if not own or not ours:
            return None
        ratio = statistics.median(ours)
        return (ratio >= min(own),
                f"{ratio:.3f} of {other} ({min(ours):.2f} to {max(ours):.2f}; "
                f"spawn-fcgi against itself {min(own):.2f} to {max(own):.2f})")
    return check


def bar_more(scenario, metric, over, under, most, unit):
    """So much more than the other, by their medians."""
    def check(r):
        a, b = (r.median(scenario, c, metric) for c in (over, under))
        if a is None or b is None:
            return None
        return a - b <= most, f"{a - b:.3g} {unit} ({a:,.5g} and {b:,.5g})"
    return check


def bar_at_most(scenario, case, metric, most, unit, pick=statistics.median):
    def check(r):
        s = r.samples(scenario, case, metric)
        if not s:
            return None
        value = pick(s)
        return (value <= most, f"{value:,.4g} {unit} "
                f"({min(s):,.4g} to {max(s):,.4g})")
    return check


def bar_ratio(scenario, metric, over, under, most=None, least=None):
    """Of the medians; the spread is that of the samples' quartiles."""
    def check(r):
        a, b = r.samples(scenario, over, metric), r.samples(
            scenario, under, metric)
        if not a or not b:
            return None
        value = statistics.median(a) / statistics.median(b)
        low, high = quantile(a, .25), quantile(a, .75)
        ok = (most is None or value <= most) and \
            (least is None or value >= least)
        return ok, (f"{value:.3f} ({statistics.median(a):,.5g} to "
                    f"{statistics.median(b):,.5g}; quartiles {low:,.5g} to "
                    f"{high:,.5g})")
    return check


def bar_start(r):
    """1.15 of the limit, and what -t's checks cost."""
    a = r.median("start", "spawnd", "answer_us")
    b = r.median("start", "limit", "answer_us")
    t = r.median("preflight", "spawnd -t", "ms")
    true = r.median("preflight", "true", "ms")
    if None in (a, b, t, true):
        return None
    checks = max(0, (t - true) * 1e3)
    return (a <= 1.15 * b + checks, f"{a:,.0f} us; limit {b:,.0f} us, "
            f"checks {checks:,.0f} us")


def bar_cold(r):
    a = r.median("cold", "spawnd -F 0", "answer_us")
    b = r.median("cold", "limit", "answer_us")
    warm = r.median("cold", "spawnd -F 0", "warm_us")
    if None in (a, b, warm):
        return None
    return (a <= b + warm + 5000,
            f"{a:,.0f} us; limit {b:,.0f} us, an answer {warm:,.0f} us")


def bar_readers(r):
    a = r.median("status", "spawnctl status", "respawn_us")
    b = r.median("status", "spawnctl status", "respawn_read_us")
    if None in (a, b):
        return None
    return b <= a + 10000, f"{b:,.0f} us; alone {a:,.0f} us"


TAKE_OVERS = ["spawnd", "spawnd -C 4", "TCP", "Go", "-u and binary changed"]


def bar_no_loss(r):
    lost, seen = [], 0
    for scenario, case in (
            ("reload", "spawnd"), ("reload", "spawnd -C 4"),
            ("reload", "spawnd -F 4, PHP"),
            *(("take-over", c) for c in TAKE_OVERS), *(
            (f"recycle-c-{n}", "spawnd") for n in (1, 10, 50)), *(
            (f"recycle-php-{n}", c) for n in (1, 10, 50)
            for c in ("spawnd -C 4", "spawnd -F 4"))):
        s = r.samples(scenario, case, "failed")
        if s is not None:
            seen += len(s)
            lost.append(sum(s))
    return (sum(lost) == 0, f"{sum(lost):.0f} in {seen} runs") if lost else \
        None


def bar_growth(metric):
    """The cpu for a worker: as with 100 of them, within 1.2."""
    def check(r):
        small, large, ten = (r.median(f"many-{n}", "spawnd", metric)
                             for n in (100, 1000, 10000))
        if not small or not (large or ten):
            return None
        text = f"100 workers: {small:.0f} us"
        for n, value in (("1,000", large), ("10,000", ten)):
            text += f", {n}: {value:.0f} us" if value else ""
        return max(large or 0, ten or 0) <= 1.2 * small, text
    return check


def bar_memory(r):
    """Nothing is asked but that the difference can be explained."""
    ours = r.median("footprint", "spawnd", "private_kb")
    theirs = r.median("footprint", "multiwatch", "private_kb")
    if not ours or not theirs:
        return None
    dirty = [r.median("footprint", n, "dirty_kb")
             for n in ("spawnd", "multiwatch")]
    return None, (f"{ours:,.0f} KB, multiwatch {theirs:,.0f} KB; written to: "
                  f"{dirty[0]:,.0f} and {dirty[1]:,.0f} KB")


# (what, the bar, check)
BARS = [
    ("supervisor's private dirty memory, 4 workers", "at most 176 KB",
     bar_at_most("footprint", "spawnd", "dirty_kb", 176, "KB")),
    ("supervisor's private memory, beside multiwatch", "explained",
     bar_memory),
    ("wake-ups of an idle supervisor", "0",
     bar_at_most("footprint", "spawnd", "wakeups", 0, "a second")),
    ("killed idle worker to the next accept, beside the limit",
     "at most 1.15",
     bar_ratio("respawn", "accept_us", "spawnd", "limit", most=1.15)),
    ("throughput of 4 C workers, beside spawn-fcgi",
     "within spawn-fcgi's own spread", bar_throughput("spawn-fcgi")),
    ("throughput of 4 C workers, beside --confine no",
     "within spawn-fcgi's own spread", bar_throughput("spawnd --confine no")),
    ("killed idle worker to the next accept, beside --confine no",
     "at most 5 us more",
     bar_more("respawn", "accept_us", "spawnd", "spawnd --confine no", 5,
              "us")),
    ("a call that the filter looks into, beside --confine no",
     "at most 20 ns more",
     bar_more("calls", "ns", "spawnd", "spawnd --confine no", 20, "ns")),
    ("failed requests, reload, take-over and recycling", "0", bar_no_loss),
    ("gap without an answer in a reload, p99 of 20", "under 20 ms",
     bar_at_most("reload", "spawnd", "gap_us", 20000, "us",
                 lambda s: quantile(s, 0.99))),
    *[(f"gap without an answer in a take-over, {case}, the longest of all "
       "runs", "at most 40 ms",
       bar_at_most("take-over", case, "gap_us", 40000, "us", max))
      for case in TAKE_OVERS],
    *[(f"{what} in a take-over, {case}, beside {other}", "at most 1.00",
       bar_ratio("take-over", metric, case, other, most=1.0))
      for case, other in (("spawnd -C 4", "php-fpm, timeout 10"),
                          ("spawnd", "nginx -s reload"))
      for what, metric in (("gap without an answer", "gap_us"),
                           ("p99", "p99_us"))],
    ("burst of 64 connections, from 2 to 32 workers", "under 100 ms",
     bar_at_most("burst", "spawnd -F 2 -N 32", "grown_ms", 100, "ms")),
    *[(f"supervisor's cpu a {what}, of 1,000 and 10,000 workers beside 100",
       "at most 1.2", bar_growth(metric))
      for what, metric in (("start", "start_cpu_us"),
                           ("respawn", "recover_cpu_us"))],
    ("supervisor's cpu a respawn, 4 workers, beside multiwatch",
     "at most 0.9",
     bar_ratio("respawn", "cpu_us", "spawnd", "multiwatch", most=0.9)),
    ("supervisor's cpu a respawn, recycling every 50 requests, beside "
     "multiwatch", "at most 0.9",
     bar_ratio("recycle-c-50", "cpu_us", "spawnd", "multiwatch", most=0.9)),
    *[(f"{n:,} workers: {what}, beside the limit", f"at most {most}",
       bar_ratio(f"many-{n}", metric, "spawnd", "limit", most=most))
      for n, what, metric, most in (
          (1000, "start", "start_us", 1.1),
          (1000, "back after all were killed", "recover_us", 1.1),
          (10000, "start", "start_us", 1.3),
          (10000, "back after all were killed", "recover_us", 1.3),
          (10000, "stop, idle", "stop_us", 1.5))],
    ("10,000 workers: supervisor's private memory", "at most 4,096 KB",
     bar_at_most("many-10000", "spawnd", "memory_kb", 4096, "KB")),
    *[(f"{n:,} workers die, start again, stop: the longest turn of the loop",
       "under 20 ms",
       bar_at_most(f"many-{n}", "spawnd", "turn_ms", 20, "ms", max))
      for n in (1000, 10000)],
    ("an answer on a connection while workers end all the time",
     "under 5 ms, p99", bar_at_most("status-recycling", "spawnctl",
                                    "answer_ms", 5, "ms",
                                    lambda s: quantile(s, 0.99))),
    ("status of 1,000 workers", "under 50 ms",
     bar_at_most("status", "spawnctl status", "ms", 50, "ms")),
    ("a respawn among 1,000 workers while 8 read the status",
     "at most 10 ms more than alone", bar_readers),
    *[(f"{what} while workers end all the time", f"under {most:,} ms",
       bar_at_most("status-recycling", "spawnctl", metric, most, "ms"))
      for what, metric, most in (("status", "ms", 100),
                                 ("reload", "reload_ms", 5000),
                                 ("stop", "stop_ms", 2000))],
    ("looking at the load among 10,000 sockets", "under 2 % of a core",
     bar_at_most("among", "10,000", "percent", 2, "%")),
    ("spawnctl top of 100 workers", "under 1 % of a core",
     bar_at_most("top", "spawnctl top", "percent", 1, "%")),
    ("the page of 20 pools of 50 workers", "under 50 ms",
     bar_at_most("page", "spawnd-status", "ms", 50, "ms")),
    ("the same once a second", "under 1 % of a core",
     bar_at_most("page", "spawnd-status", "percent", 1, "%")),
    ("first request of a pool that has no worker, PHP",
     "a start, an answer and 5 ms", bar_cold),
    ("a socket in use whose queue is full is refused", "under 1,000 ms",
     bar_at_most("in-use", "spawnd", "ms", 1000, "ms")),
    ("start to the first answer",
     "1.15 of the limit, and what -t's checks cost", bar_start),
    *[(f"throughput of C workers, a new one every {n} requests, beside the "
       "limit", "at least 0.95",
       bar_ratio(f"recycle-c-{n}", "rps", "spawnd", "limit", least=0.95))
      for n in (1, 10, 50)],
    *[(f"throughput of PHP with -C, a new process every {n} requests, beside "
       "php-fpm static", "at least 1.00",
       bar_ratio(f"recycle-php-{n}", "rps", "spawnd -C 4", "php-fpm static",
                 least=1.0)) for n in (1, 10, 50)],
    *[(f"a day of load, PHP: {what}, beside {other}", f"at most {most}",
       bar_ratio("day", metric, "spawnd, PHP", other, most=most))
      for what, metric, other, most in (
          ("workers over time", "worker_s", "php-fpm dynamic, tuned", 0.6),
          ("p99", "p99_us", "php-fpm dynamic, tuned", 1.0),
          ("p99", "p99_us", "static, PHP", 1.2))],
    ("a day of load, C: p99, beside static", "at most 1.2",
     bar_ratio("day", "p99_us", "spawnd, C", "static, C", most=1.2)),
    *door.BARS,
]


def judge(data, reasons):
    """Every bar with what was measured; reasons for those that are missed."""
    r = Results(data)
    bars = []
    for what, bar, check in BARS:
        found = check(r)
        met, measured = found if found else (None, "not measured")
        reason = ""
        if found and not met:
            reason = reasons.get(what, "Nobody has looked into it yet.")
        bars.append({"what": what, "bar": bar, "measured": measured,
                     "met": met, "reason": reason})
    return bars


def check_shape(data):
    """What every reader of the file relies on; returns what is wrong."""
    wrong = []
    for key, kind in (("format", int), ("machine", dict), ("quick", bool),
                      ("scenarios", dict), ("bars", list)):
        if not isinstance(data.get(key), kind):
            wrong.append(f"{key}: not {kind.__name__}")
    for name, s in data.get("scenarios", {}).items():
        for case, metrics in s["cases"].items():
            for metric, m in metrics.items():
                if metric not in s["metrics"]:
                    wrong.append(f"{name}: {metric}: no unit")
                if not m["low"] <= m["median"] <= m["high"] or \
                        len(m["samples"]) != m["n"] or m["n"] < 1:
                    wrong.append(f"{name}: {case}: {metric}: no summary")
        if not s["cases"] and not s["missing"]:
            wrong.append(f"{name}: nothing measured, and no reason")
    return wrong
