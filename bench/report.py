#!/usr/bin/env python3
"""Fills docs/performance.md and its plots with results.

    report.py RESULTS.json [--with-log RESULTS.json]

`RESULTS.json` is what run.py wrote. What stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->` is replaced, and
nothing else. `--with-log` is a second run, of run.py --log.
"""
import argparse
import json
import os
import re
import sys

sys.dont_write_bytecode = True  # a checkout stays clean

import plot  # noqa: E402
import table  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
DOCS = os.path.join(os.path.dirname(HERE), "docs")
PLOTTED = ("sluicegate", "haproxy", "nginx", "floor", "floor-splice")
HELD = ("idle", "slow")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", metavar="RESULTS.json")
    parser.add_argument("--with-log", metavar="RESULTS.json")
    args = parser.parse_args()
    results = read(args.results)
    page = os.path.join(DOCS, "performance.md")
    with open(page) as file:
        text = file.read()
    text = fill(text, "machine", machine(results))
    text = fill(text, "results", ratios(results))
    text = fill(text, "figures", figures(results))
    text = fill(text, "cycles", cycles(results))
    text = fill(text, "instructions", instructions())
    if args.with_log:
        text = fill(text, "log", with_log(results, read(args.with_log)))
    with open(page, "w") as file:
        file.write(text)
    save("performance-cpu.svg", cpu_plot(results))
    save("performance-memory.svg", memory_plot(results))
    return 0


def read(path):
    with open(path) as file:
        return json.load(file)


def save(name, svg):
    if svg:
        with open(os.path.join(DOCS, name), "w") as file:
            file.write(svg)


def fill(text, name, content):
    marked = re.compile(f"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)", re.S)
    if not marked.search(text):
        sys.exit(f"docs/performance.md has no <!-- {name}:begin --> … <!-- {name}:end -->")
    return marked.sub(lambda found: f"{found[1]}{content.strip()}\n{found[2]}", text)


def machine(results):
    it = results["machine"]
    versions = "; ".join(f"{name}: {version}" for name, version in results["proxies"].items())
    log = ", with access logs" if results["access_log"] else ""
    return (
        f"{results['date']}, sluicegate {results['commit']}, {results['rustc']}. {it['system']}, Linux {it['kernel']}, "
        f"{it['processor']}, {it['processors']} processors, {it['memory_gib']:.0f} GiB. "
        f"{results['rounds']} rounds of {results['seconds']:g} s per cell{log}.\n\n{versions}.")


def ratios(results):
    """Ratios to HAProxy, with their least and most; one row per scenario."""
    names = [name for name in results["proxies"] if name != table.BASE]
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for name, scenario in results["scenarios"].items():
        summary = table.summary(scenario)
        cells = [marked(table.ratio(summary[proxy]), summary[proxy]) if "why_not" not in summary.get(proxy, {"why_not": 1})
                 else "–" for proxy in names]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def figures(results):
    """The figures themselves; one row per scenario."""
    names = list(results["proxies"])
    lines = ["| | unit | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for name, scenario in results["scenarios"].items():
        summary = table.summary(scenario)
        lines.append(f"| {name} | {scenario['unit']} | " + " | ".join(figure(summary.get(proxy)) for proxy in names) + " |")
        if any("p99_us" in one for one in summary.values()):
            for which in ("p50_us", "p99_us"):
                cells = [table.number(summary[p][which]) if which in summary.get(p, {}) else "–" for p in names]
                lines.append(f"| {name}, {which[:3]} | µs per request | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cycles(results):
    """CPU per unit, split into user code and the kernel."""
    names = [name for name in PLOTTED if name in results["proxies"]]
    lines = ["| µs, user + kernel | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for name, scenario in results["scenarios"].items():
        if "CPU" in scenario["unit"]:
            summary = table.summary(scenario)
            lines.append(f"| {name} | " + " | ".join(split(summary.get(proxy, {})) for proxy in names) + " |")
    return "\n".join(lines)


def split(one):
    # A proxy that mostly sleeps is seldom seen by the kernel's samples.
    if "user_share" not in one or one["busy"] < 0.3:
        return "–"
    return f"{table.number(one['value'] * one['user_share'])} + {table.number(one['value'] * (1 - one['user_share']))}"


def instructions():
    """The committed baseline: instructions per request, and in whose code those of `small` are."""
    with open(os.path.join(HERE, "instructions.json")) as file:
        baseline = json.load(file)
    per_request = baseline["instructions_per_request"]
    lines = [f"rustc {baseline['rustc']}: " + ", ".join(f"{name} {count:,}" for name, count in per_request.items()) + ".",
             "", "| in whose code, `small` | instructions | share |", "|---|---|---|"]
    for place, count in baseline["where"].items():
        lines.append(f"| {place} | {count:,} | {count / per_request['small']:.0%} |")
    return "\n".join(lines)


def figure(one):
    if one is None or "why_not" in one:
        return "–"
    return marked(table.number(one["value"]), one)


def marked(text, one):
    """An asterisk where other work on the machine disturbed a round to the end."""
    return f"{text} \\*" if one.get("disturbed") else text


def with_log(without, log):
    """What the access log costs each proxy, in microseconds of CPU per request."""
    lines = ["| | proxy | without a log | with a log |", "|---|---|---|---|"]
    for name in ("small", "pipeline"):
        if name in without["scenarios"] and name in log["scenarios"]:
            one, other = (table.summary(results["scenarios"][name]) for results in (without, log))
            for proxy in one:
                if "value" in one[proxy] and "value" in other.get(proxy, {}):
                    lines.append(f"| {name} | {proxy} | {figure(one[proxy])} µs | {figure(other[proxy])} µs |")
    return "\n".join(lines)


def cpu_plot(results):
    """Without the floors in `pipeline`: a batch that nobody looks at costs next to nothing, and would squeeze the rest."""
    rows = []
    for name, scenario in results["scenarios"].items():
        if "CPU" in scenario["unit"]:
            shown = PLOTTED[:3] if name == "pipeline" else PLOTTED
            row = {proxy: (one["ratio"], one["least"], one["most"])
                   for proxy, one in table.summary(scenario).items() if proxy in shown and "ratio" in one}
            rows.append((name, row))
    names = [name for name in PLOTTED if name in results["proxies"]]
    return plot.dots("CPU of the proxy per unit of work, beside HAProxy", "ratio to HAProxy: left of 1 is cheaper",
                     rows, names, base=1)


def memory_plot(results):
    rows = []
    for name in HELD:
        if name in results["scenarios"]:
            summary = table.summary(results["scenarios"][name])
            rows.append((f"{name} client", {proxy: (one["value"] / 1024,) * 3 for proxy, one in summary.items()
                                            if proxy in PLOTTED and one.get("value", 0) > 0}))
    names = [name for name in PLOTTED if any(name in row for _, row in rows)]
    return plot.dots("Memory of the proxy per client", "KiB of user memory", rows, names)


if __name__ == "__main__":
    sys.exit(main())
