# SPDX-License-Identifier: ISC
"""The results as one page: charts in SVG, tables, nothing from elsewhere."""

import html
import math
import re

CSS = """
:root { color-scheme: light dark; --bg: #fff; --fg: #1c2126; --dim: #5d6872;
 --line: #d7dde2; --bar: #93a3b1; --ours: #1769aa; --limit: #c3ccd4;
 --whisker: #2b333a; --good: #1a7f37; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --bg: #14181c; --fg: #e4e9ed;
 --dim: #9aa7b2; --line: #323b43; --bar: #6d7f8f; --ours: #58a6e6;
 --limit: #46525d; --whisker: #dfe6ec; --good: #57c26f; --bad: #ff7b72; } }
body { background: var(--bg); color: var(--fg); margin: 2rem auto;
 max-width: 60rem; padding: 0 1rem;
 font: 1rem/1.5 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .2rem; }
p { margin: .3rem 0 .8rem; } .dim, figcaption { color: var(--dim); }
figure { margin: 1rem 0; } figcaption { font-size: .9rem; }
svg { display: block; width: 100%; height: auto; max-width: 58rem; }
svg text { fill: var(--fg); font-size: 13px; }
svg .tick { fill: var(--dim); font-size: 11px; }
svg .grid { stroke: var(--line); } svg .axis { stroke: var(--dim); }
svg .whisker { stroke: var(--whisker); stroke-width: 1.5; }
.bar { fill: var(--bar); } .ours { fill: var(--ours); }
.limit { fill: var(--limit); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; width: 100%; }
td, th { padding: .25rem .5rem; border-bottom: 1px solid var(--line);
 text-align: right; vertical-align: top; }
td:first-child, th:first-child, .bars td, .bars th { text-align: left; }
th { color: var(--dim); font-weight: 600; }
td small { color: var(--dim); white-space: nowrap; }
.met { color: var(--good); } .missed { color: var(--bad); }
.met, .missed { font-weight: 600; }
details { margin: .5rem 0 1rem; } summary { cursor: pointer; }
"""

LEFT, WIDTH, RIGHT, ROW, BAR = 170, 500, 170, 28, 14
APART = 30              # medians further apart than this: logarithmic


def number(x):
    if x == 0:
        return "0"
    if abs(x) >= 100:
        return f"{x:,.0f}"
    return f"{x:.3g}"


def nice_steps(top, n=5):
    raw = top / n
    ten = 10 ** math.floor(math.log10(raw))
    step = next(m * ten for m in (1, 2, 5, 10) if m * ten >= raw)
    return [i * step for i in range(math.ceil(top / step - 1e-9) + 1)]


class Scale:
    """From a value to its place on the axis, and where the marks are."""

    def __init__(self, summaries):
        low = min(s["median"] for s in summaries)
        top = max(s["high"] for s in summaries)
        most = max(s["median"] for s in summaries)
        self.log = low > 0 and most / low > APART
        if self.log:
            bottom = min(s["low"] for s in summaries)
            self.low = math.floor(math.log10(bottom if bottom > 0 else low))
            self.high = max(math.ceil(math.log10(top)), self.low + 1)
            self.ticks = [10.0 ** e for e in range(self.low, self.high + 1)]
        else:
            self.ticks = nice_steps(top)
            self.high = self.ticks[-1]

    def x(self, value):
        if not self.log:
            return LEFT + WIDTH * value / self.high
        if value <= 0:
            return LEFT
        at = (math.log10(value) - self.low) / (self.high - self.low)
        return LEFT + WIDTH * max(0, at)


def look(name):
    if name.startswith("spawnd"):
        return "ours"
    return "limit" if name.startswith("limit") else "bar"


def reference(cases):
    """What the ratios are to: the limit where there is one, else spawnd."""
    for start in ("limit", "spawnd"):
        for name in cases:
            if name.startswith(start):
                return name
    return None


def row(y, name, s, scale, ratio):
    mid = y + ROW / 2
    label = html.escape(name)
    out = [f'<text x="{LEFT - 8}" y="{mid + 4:.1f}" '
           f'text-anchor="end">{label}</text>']
    at = scale.x(s["median"])
    if scale.log:
        out.append(f'<circle class="{look(name)}" cx="{at:.1f}" '
                   f'cy="{mid:.1f}" r="6"/>')
    else:
        out.append(f'<rect class="{look(name)}" x="{LEFT}" '
                   f'y="{mid - BAR / 2:.1f}" width="{at - LEFT:.1f}" '
                   f'height="{BAR}"/>')
    low, high = scale.x(s["low"]), scale.x(s["high"])
    if s["n"] > 1:
        out.append(f'<path class="whisker" fill="none" d="M{low:.1f} '
                   f'{mid:.1f}H{high:.1f}M{low:.1f} {mid - 4:.1f}v8'
                   f'M{high:.1f} {mid - 4:.1f}v8"/>')
    text = number(s["median"]) + (f"  ({ratio:.2f})" if ratio else "")
    out.append(f'<text x="{LEFT + WIDTH + 10}" y="{mid + 4:.1f}">{text}'
               '</text>')
    return "".join(out)


def chart(cases, metric, unit, better):
    shown = {n: m[metric] for n, m in cases.items() if metric in m}
    scale = Scale(list(shown.values()))
    height = ROW * len(shown) + 26
    out = []
    for tick in scale.ticks:
        x = scale.x(tick)
        out.append(f'<path class="grid" d="M{x:.1f} 0V{height - 24}"/>'
                   f'<text class="tick" x="{x:.1f}" y="{height - 8}" '
                   f'text-anchor="middle">{number(tick)}</text>')
    base = reference(shown)
    for i, (name, s) in enumerate(shown.items()):
        ratio = None
        if base and name != base and shown[base]["median"] > 0:
            ratio = s["median"] / shown[base]["median"]
        out.append(row(i * ROW, name, s, scale, ratio))
    out.append(f'<path class="axis" d="M{LEFT} 0V{height - 24}"/>')
    kind = "logarithmic scale" if scale.log else "from 0"
    ratios = f"; in parentheses beside {html.escape(base)}" if base else ""
    return (f'<figure><figcaption><b>{html.escape(unit)}</b>, {better} is '
            f'better; {kind}{ratios}</figcaption>'
            f'<svg viewBox="0 0 {LEFT + WIDTH + RIGHT} {height}" role="img" '
            f'aria-label="{html.escape(metric)}">{"".join(out)}</svg>'
            '</figure>')


def table(s):
    metrics = list(s["metrics"])
    head = "".join(f"<th>{html.escape(m)}</th>" for m in metrics)
    rows = []
    for name, found in s["cases"].items():
        cells = ""
        for m in metrics:
            if m in found:
                v = found[m]
                cells += (f"<td>{number(v['median'])}<br><small>"
                          f"{number(v['low'])} to {number(v['high'])}, "
                          f"n {v['n']}</small></td>")
            else:
                cells += "<td></td>"
        rows.append(f"<tr><td>{html.escape(name)}</td>{cells}</tr>")
    units = "; ".join(f"{m}: {v['unit']}" for m, v in s["metrics"].items())
    return (f'<details><summary>all figures</summary><div class="wide">'
            f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table></div>"
            f'<p class="dim">Median, lowest to highest, samples. '
            f"{html.escape(units)}. Load average of the machine when each "
            f"round began: {min(s['load_average']):.1f} to "
            f"{max(s['load_average']):.1f}.</p></details>")


def worth_a_chart(cases, metric):
    values = [m[metric] for m in cases.values() if metric in m]
    return values and max(v["high"] for v in values) > 0


def section(name, s):
    out = [f'<section id="{name}"><h2>{html.escape(s["title"])}</h2>'
           f'<p class="dim">{html.escape(s["how"])}</p>']
    for metric, m in s["metrics"].items():
        if worth_a_chart(s["cases"], metric):
            out.append(chart(s["cases"], metric, m["unit"]
                             if metric.startswith(("rps", "failed")) else
                             f"{metric.rsplit('_', 1)[0]}: {m['unit']}",
                             m["better"]))
    if s["cases"]:
        out.append(table(s))
    for case, why in s["missing"].items():
        out.append(f'<p class="dim">{html.escape(case)}: not measured: '
                   f"{html.escape(why.splitlines()[0])}</p>")
    return "".join(out) + "</section>"


def bars(data):
    words = {True: '<span class="met">met</span>',
             False: '<span class="missed">missed</span>', None: "-"}
    rows = ""
    for b in data["bars"]:
        reason = f"<br><small>{html.escape(b['reason'])}</small>" \
            if b["reason"] else ""
        rows += (f"<tr><td>{html.escape(b['what'])}{reason}</td>"
                 f"<td>{html.escape(b['bar'])}</td>"
                 f"<td>{html.escape(b['measured'])}</td>"
                 f"<td>{words[b['met']]}</td></tr>")
    return ('<h2>What is asked of spawnd</h2><div class="wide">'
            '<table class="bars"><tr><th>what</th><th>bar</th>'
            f"<th>measured</th><th></th></tr>{rows}</table></div>")


def render(data):
    m = data["machine"]
    quick = ("<p><strong>A quick run: it shows that everything runs; its "
             "figures mean nothing.</strong></p>" if data["quick"] else "")
    body = "".join(section(n, s) for n, s in data["scenarios"].items())
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width">'
            f"<title>spawnd, measured</title><style>{CSS}</style></head>"
            f"<body><h1>spawnd, measured beside its peers</h1>"
            f"{quick}<p>On {html.escape(m['cpu'])}, {m['cores']} cores that "
            f"load, managers and workers share, Linux "
            f"{html.escape(m['kernel'])}; {data['date']}. Managers took "
            "turns, round by round. Bars and dots are medians, the thin "
            "lines reach from the lowest sample to the highest. "
            "<em>limit</em> is a parent that forks, execs, waits and does "
            f"nothing else.</p>{bars(data)}{body}</body></html>\n")


def check(text, data):
    """What must be true of the page; returns what is wrong."""
    wrong = []
    if re.search(r'(src|href|url\(|@import)\s*[=(]?\s*["\']?\s*(https?:)?//',
                 text) or "<script" in text:
        wrong.append("page: takes something from elsewhere")
    for name, s in data["scenarios"].items():
        part = re.search(rf'<section id="{name}">.*?</section>', text,
                         re.DOTALL)
        if not part:
            wrong.append(f"page: {name}: not there")
        elif s["cases"] and "<svg" not in part.group():
            wrong.append(f"page: {name}: no chart")
    return wrong
