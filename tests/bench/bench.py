#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""
usage: bench.py [--quick] [--only NAME[,NAME]] [--against DIR] [--out DIR]
                [--list]

Measures spawnd beside other managers, all in turn in one run, and writes
bench.json and index.html into DIR (build/bench). --only measures these
scenarios alone and keeps what the file has of the others. --against measures
another build, the spawnd and spawnctl of that directory, in turn with this.
--quick shows that everything runs, in little time; its figures mean nothing.
"""

import argparse
import json
import os
import platform
import signal
import sys
import time

import managers
import page
import results
import scenarios

# Why a bar is missed, where that is known.
REASONS = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "reasons.json")


def machine():
    cpu = ""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
    return {"cpu": cpu, "cores": os.cpu_count(),
            "kernel": platform.release(),
            "memory_mb": os.sysconf("SC_PAGE_SIZE") *
            os.sysconf("SC_PHYS_PAGES") >> 20}


def select(scenario, quick):
    if quick and scenario.quick is not None:
        return [c for c in scenario.cases if c[0] in scenario.quick]
    return scenario.cases


def turns(scenario, quick, against):
    """Every case, and the directory whose build it measures, if another."""
    for case in select(scenario, quick):
        yield case, None
        if against and case[1] == "spawnd":
            yield (f"{case[0]}, against", *case[1:]), against


def measure(scenario, quick, tally, against):
    """A round is one sample of every case, in turn."""
    found = {c[0]: {} for c, _ in turns(scenario, quick, against)}
    missing = {}
    busy = []
    for n in range(1 if quick else scenario.rounds):
        busy.append(os.getloadavg()[0])
        for case, build in turns(scenario, quick, against):
            name = case[0]
            few = scenario.fewer.get(name.removesuffix(", against"), n + 1)
            if name in missing or n >= few:
                continue
            try:
                with managers.build_of(build):
                    sample = scenario.sample(case, quick)
            except managers.Later as e:
                missing[name] = f"{e}: not built yet"
                continue
            except managers.Missing as e:
                missing[name] = f"{e}: not installed"
                tally["skipped"] += 1
                continue
            except (RuntimeError, OSError) as e:
                # Said on the page; of a peer it is a result, too.
                missing[name] = str(e)[:300]
                tally["failed"] += 1
                print(f"{scenario.name}: {e}", file=sys.stderr)
                continue
            tally["passed"] += 1
            for metric, value in sample.items():
                values = value if isinstance(value, list) else [value]
                found[name].setdefault(metric, []).extend(values)
    return {"title": scenario.title, "how": scenario.how,
            "metrics": {m: {"unit": u, "better": b}
                        for m, (u, b) in scenario.metrics.items()},
            "cases": {name: {m: results.summary(s)
                             for m, s in metrics.items()}
                      for name, metrics in found.items() if metrics},
            "missing": missing, "load_average": busy}


def say(name, result):
    for case, metrics in result["cases"].items():
        text = "  ".join(f"{m} {s['median']:,.4g} ({s['low']:,.4g}-"
                         f"{s['high']:,.4g})" for m, s in metrics.items())
        print(f"{name:16} {case:24} {text}")
    for case, why in result["missing"].items():
        print(f"{name:16} {case:24} not measured: {why.splitlines()[0]}")
    sys.stdout.flush()


def write(path, text):
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(path + ".new", path)


def read(path, default):
    try:
        with open(path, encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return default


def finish(data, out):
    """Judges, writes both files, and looks at them again."""
    data["bars"] = results.judge(data, read(REASONS, {}))
    write(f"{out}/bench.json", json.dumps(data, indent=1) + "\n")
    write(f"{out}/index.html", page.render(data))
    wrong = results.check_shape(read(f"{out}/bench.json", {}))
    with open(f"{out}/index.html", encoding="utf-8") as f:
        wrong += page.check(f.read(), data)
    return wrong


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--quick", action="store_true")
    p.add_argument("--only", default="")
    p.add_argument("--against", metavar="DIR")
    p.add_argument("--list", action="store_true")
    p.add_argument("--out", default=f"{managers.TOP}/build/bench")
    args = p.parse_args()
    names = [s.name for s in scenarios.SCENARIOS]
    only = args.only.split(",") if args.only else names
    if args.list or set(only) - set(names):
        print("\n".join(names))
        return 0 if args.list else 64
    for name in ("spawnd", "spawnctl"):
        if args.against and not os.access(f"{args.against}/{name}", os.X_OK):
            print(f"bench.py: {args.against}/{name} cannot be run",
                  file=sys.stderr)
            return 64
    os.makedirs(args.out, exist_ok=True)
    managers.adopt_orphans()
    # Whoever ends us ends the pools, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    data = read(f"{args.out}/bench.json", {}) if args.only else {}
    old = data.get("scenarios", {})
    tally = {"passed": 0, "failed": 0, "skipped": 0}
    data.update({"format": results.FORMAT, "quick": args.quick,
                 "date": time.strftime("%Y-%m-%d"), "machine": machine(),
                 "scenarios": {}, "bars": []})
    for s in scenarios.SCENARIOS:
        if s.name in only and select(s, args.quick):
            data["scenarios"][s.name] = measure(s, args.quick, tally,
                                                args.against)
            say(s.name, data["scenarios"][s.name])
            finish({**data, "scenarios": {**old, **data["scenarios"]}},
                   args.out)
        elif s.name in old:
            data["scenarios"][s.name] = old[s.name]
    wrong = finish(data, args.out)
    for bar in data["bars"]:
        word = {True: "met", False: "MISSED", None: "-"}[bar["met"]]
        print(f"{word:7} {bar['what']}: {bar['bar']}: {bar['measured']}")
    print("\n".join(wrong) or f"{args.out}/index.html")
    tally["failed"] += len(wrong)
    print(", ".join(f"{n} {what}" for what, n in tally.items()))
    return 1 if tally["failed"] else 0


sys.exit(main())
