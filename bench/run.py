#!/usr/bin/env python3
"""sluicegate beside other proxies: CPU per unit of work, memory, latency, system calls.

    run.py [--quick] [--rounds N] [--seconds S] [--scenarios A,B] [--proxies A,B] [--log] [--json FILE]

Everything runs on loopback, in rounds (A B C, A B C, …), so that what changes on the machine changes for all. The
prime figure is the proxy's own CPU, user and system, per unit of work; a ratio compares it with HAProxy's in the same
round. Exit status 1 when a figure of sluicegate could not be had. Installs nothing: a proxy that is missing is named and left out. Needs Python 3.11 and a Rust toolchain.
"""
import argparse
import datetime
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # a checkout stays clean

import machine  # noqa: E402
import table  # noqa: E402
from machine import Trouble  # noqa: E402
from peers import LOAD, ROOT, TARGET, all_peers  # noqa: E402
from scenarios import SCENARIOS, Run  # noqa: E402

# Measured again at most so often, if others were busy meanwhile.
AGAIN = 2
QUICK = ("small", "conn", "pipeline", "download-16M", "tunnel-down", "idle", "gone")
# The programs beside the proxies, and what they are for.
TOOLS = {"strace": ("strace", "system calls per request"), "valgrind": ("valgrind", "bench/instructions.py")}


def main():
    args = parse_args()
    if args.list:
        for scenario in SCENARIOS:
            print(f"{scenario.name:18} {scenario.title}; {scenario.unit}")
        return 0
    scenarios = chosen(args.scenarios, SCENARIOS, "scenario")
    peers = present(args)
    build(args)
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    # A stopped run ends its children too: SystemExit passes through every `finally`.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    # Also where whoever started us ignores it, as a shell does for its background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = tempfile.mkdtemp(prefix="sluicegate-bench-")
    os.chmod(folder, 0o755)
    results = header(args, peers)
    try:
        measure(args, scenarios, peers, folder, results)
    except KeyboardInterrupt:
        print("stopped; what was measured so far is kept", file=sys.stderr)
    finally:
        machine.end_all()
        shutil.rmtree(folder, ignore_errors=True)
        save(args.json, results)
    ours = (cell for scenario in results["scenarios"].values() for cell in scenario["cells"] if cell["proxy"] == "sluicegate")
    return 1 if any("failed" in cell.get("why_not", "") for cell in ours) else 0


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a first look: 1 round of 0.5 s of a few scenarios")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds [default: 5]")
    parser.add_argument("--seconds", type=float, metavar="S", help="length of a cell [default: 2]")
    parser.add_argument("--scenarios", metavar="A,B", help="by name; --list names them [default: all]")
    parser.add_argument("--proxies", metavar="A,B", help="by name [default: all that are installed]")
    parser.add_argument("--log", action="store_true", help="each proxy writes its access log to a file")
    parser.add_argument("--json", metavar="FILE", default=os.path.join(TARGET, "bench.json"), help="where the results go")
    parser.add_argument("--proxy-binary", metavar="PATH", help="a sluicegate that is built [default: build this one]")
    parser.add_argument("--foreign", type=float, metavar="SHARE", default=0.15,
                        help="a cell is measured again if others used more than this of a processor [default: 0.15]")
    parser.add_argument("--list", action="store_true", help="name the scenarios")
    args = parser.parse_args()
    args.rounds = args.rounds or (1 if args.quick else 5)
    args.seconds = args.seconds or (0.5 if args.quick else 2.0)
    args.scenarios = args.scenarios or (",".join(QUICK) if args.quick else None)
    return args


def chosen(names, all_of_them, what):
    known = {one.name: one for one in all_of_them}
    wanted = names.split(",") if names else list(known)
    for name in wanted:
        if name not in known:
            sys.exit(f"no {what} is named {name}; there are {', '.join(known)}")
    return [known[name] for name in wanted]


def present(args):
    """The proxies that are there; for each program that is missing, a line."""
    sluicegate = os.path.abspath(args.proxy_binary or os.path.join(TARGET, "release", "sluicegate"))
    peers = chosen(args.proxies, all_peers(sluicegate), "proxy")
    for peer in peers:
        if not peer.path:
            print(f"missing: {peer.program} (Debian: {peer.package}); it is left out", file=sys.stderr)
    for tool, (package, use) in TOOLS.items():
        if not machine.find(tool):
            print(f"missing: {tool} (Debian: {package}), for {use}", file=sys.stderr)
    return [peer for peer in peers if peer.path]


def build(args):
    if not machine.find("cargo"):
        sys.exit("missing: cargo (https://rustup.rs), which builds sluicegate and the load")
    if not machine.find("cc"):
        sys.exit("missing: cc (Debian: gcc, libc6-dev), with which cargo links")
    cargo = ["cargo", "build", "--release", "--quiet", "--locked", "--target-dir", TARGET]
    if not args.proxy_binary:
        subprocess.run([*cargo, "-p", "sluicegate-cli"], cwd=ROOT, check=True)
    subprocess.run(cargo, cwd=os.path.join(ROOT, "bench"), check=True)


def header(args, peers):
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return {
        "date": datetime.date.today().isoformat(),
        "commit": commit.stdout.strip(),
        "rustc": subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip(),
        "machine": machine.describe(),
        "rounds": args.rounds,
        "seconds": args.seconds,
        "access_log": args.log,
        "proxies": {peer.name: peer.version() for peer in peers},
        "scenarios": {},
    }


def measure(args, scenarios, peers, folder, results):
    if len(os.sched_getaffinity(0)) < 2:
        print("there is one processor: proxy and load share it, and nothing here is established", file=sys.stderr)
    alone, others = machine.processors()
    origin = machine.spawn([LOAD, "origin", "--listen", "127.0.0.1:0"], others, stdout=subprocess.PIPE, text=True)
    port = int(origin.stdout.readline().rpartition(":")[2])
    for scenario in scenarios:
        cells = []
        results["scenarios"][scenario.name] = {"title": scenario.title, "unit": scenario.unit, "cells": cells}
        for round_number in range(1 if scenario.once else args.rounds):
            for number, peer in enumerate(peers):
                where = os.path.join(folder, f"{scenario.name}-{round_number}-{number}")
                cell = one_cell(args, scenario, peer, (port, origin.pid), where)
                cells.append({"proxy": peer.name, "round": round_number, **cell})
        print(table.of(scenario.name, results["scenarios"][scenario.name]), flush=True)


def one_cell(args, scenario, peer, origin, folder):
    """One figure of one proxy; measured again while others disturb it."""
    if why_not := peer.why_not(scenario):
        return {"why_not": why_not}
    for attempt in range(1 + AGAIN):
        here = f"{folder}-{attempt}"
        os.mkdir(here)
        try:
            with Run(peer, scenario, origin, here, args.log) as run:
                cell = scenario.measure(run, args.seconds)
        except Trouble as trouble:
            return {"why_not": f"failed: {trouble}"}
        finally:
            shutil.rmtree(here, ignore_errors=True)
        cell["attempts"] = attempt + 1
        cell["disturbed"] = cell.get("foreign", 0) > args.foreign
        if not cell["disturbed"]:
            break
    return cell


def save(path, results):
    if not any(scenario["cells"] for scenario in results["scenarios"].values()):
        return
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path, "w") as file:
        json.dump(results, file, indent=1)
    print(f"results: {path}")


if __name__ == "__main__":
    sys.exit(main())
