"""What is measured, and how one cell of it (a proxy in a round) is measured."""
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import time
from dataclasses import dataclass

import machine
from machine import Trouble, Watch
from peers import LOAD

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    unit: str
    measure: object
    load: tuple
    tunnel: bool = False
    kept: bool = False  # needs a proxy that keeps its clients' connections
    once: bool = False  # does not depend on time, so one round is enough


def cpu(run, seconds):
    """CPU of the proxy per unit of work, in microseconds."""
    run.load(0.2)
    with Watch(run.pid, [run.origin_pid]) as watch:
        done = run.load(seconds)
    if not done["units"]:
        raise Trouble("it did no work")
    return {
        "value": watch.cpu * 1e6 / done["units"],
        "per_second": done["units"] / done["seconds"],
        "busy": watch.cpu / done["seconds"],
        "user_share": watch.user_share,
        "foreign": watch.foreign,
        # What load and origin took: near 1, they are the limit, and a busier proxy would have cost less per unit.
        "load_busy": watch.own / done["seconds"],
        **{name: done[name] for name in ("p50_us", "p99_us") if name in done},
    }


def held(run, seconds):
    """Memory of the proxy per client that is only there, in bytes."""
    run.load(0, count=16, what=("small", "--connections", "16", "--seconds", "5"))
    settle = max(1.5, seconds)
    before = machine.memory(machine.family(run.pid))
    load = run.start_load(60)
    try:
        # A slow proxy may need a while for all of them; its line says that they are there.
        ready = load.stdout.readline()
        if not ready:
            raise Trouble(last_line(load.stderr.read()))
        time.sleep(settle)
        after = machine.memory(machine.family(run.pid))
    finally:
        machine.end(load)
    return {"value": (after - before) / json.loads(ready)["units"]}


def gone(run, _seconds):
    """Milliseconds from the end of the client to the end of the origin's connection; null for never."""
    done = run.load(30)
    times = done["ms"]
    return {"value": None if None in times else statistics.median(times), "times": times}


def calls(run, _seconds):
    """System calls of the proxy per request, from strace: moving bytes, and all."""
    if not machine.find("strace"):
        raise Trouble("strace is not installed: apt-get install strace")
    run.load(0.2)
    counts = os.path.join(run.dir, "calls")
    attach = [arg for pid in machine.family(run.pid) for arg in ("-p", str(pid))]
    strace = machine.spawn([machine.find("strace"), "-f", "-c", "-o", counts, *attach], run.others,
                           stderr=subprocess.PIPE, text=True)
    try:
        if "attached" not in (said := strace.stderr.readline()):
            raise Trouble(f"strace does not attach: {said.strip()}")
        done = run.load(20, count=4000)
        os.kill(strace.pid, signal.SIGINT)
        strace.wait(10)
    finally:
        machine.end(strace)
    with open(counts) as table:
        found = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", table.read(), re.M)
    per_request = {name: int(count) / done["units"] for count, name in found if name != "total"}
    moving = re.compile(r"p?(read|write)v?\d*$|(send|recv)(to|from|msg|mmsg)?$|splice$|sendfile$")
    return {
        "value": sum(count for name, count in per_request.items() if moving.match(name)),
        "all": sum(per_request.values()),
        "calls": {name: round(count, 3) for name, count in sorted(per_request.items()) if count >= 0.005},
    }


def last_line(text):
    lines = (text or "").strip().splitlines()
    return lines[-1] if lines else "without a word"


def bulk(name, title, *load, **more):
    return Scenario(name, title, "µs of CPU per MiB", cpu, load, **more)


SMALL = ("small", "--connections", "64")
SCENARIOS = [
    Scenario("small", "1 KiB requests on 64 kept connections", "µs of CPU per request", cpu, SMALL, kept=True),
    Scenario("conn", "a client connection for each request", "µs of CPU per request", cpu, ("conn", "--connections", "16")),
    Scenario("pipeline", "16 requests pipelined on 16 connections", "µs of CPU per request", cpu,
             ("pipeline", "--connections", "16", "--depth", "16"), kept=True),
    bulk("download-16M", "downloads of 16 MiB, 4 at once", "download", "--connections", "4", "--size", str(16 * MIB)),
    bulk("download-256M", "downloads of 256 MiB, 2 at once", "download", "--connections", "2", "--size", str(256 * MIB)),
    bulk("download-chunked", "chunked downloads of 64 MiB, 2 at once", "chunked", "--connections", "2", "--size", str(64 * MIB)),
    bulk("upload", "uploads of 64 MiB with a length, 2 at once", "upload", "--connections", "2", "--size", str(64 * MIB)),
    bulk("upload-chunked", "chunked uploads of 64 MiB, 2 at once",
         "upload", "--chunked", "--connections", "2", "--size", str(64 * MIB)),
    bulk("tunnel-down", "CONNECT tunnels, 64 MiB to the client, 2 at once",
         "tunnel", "down", "--connections", "2", "--size", str(64 * MIB), tunnel=True),
    bulk("tunnel-up", "CONNECT tunnels, 64 MiB to the origin, 2 at once",
         "tunnel", "up", "--connections", "2", "--size", str(64 * MIB), tunnel=True),
    bulk("tunnel-both", "CONNECT tunnels, 64 MiB each way at a time, 2 at once",
         "tunnel", "both", "--connections", "2", "--size", str(64 * MIB), tunnel=True),
    Scenario("connect", "a tunnel opened, one small exchange through it, closed", "µs of CPU per tunnel", cpu,
             ("connect", "--connections", "16"), tunnel=True),
    Scenario("latency", "2,000 requests of 1 KiB per second", "µs of CPU per request", cpu,
             ("latency", "--connections", "16", "--rate", "2000"), kept=True),
    Scenario("idle", "5,000 idle clients that have made a request", "bytes of memory per client", held,
             ("idle", "--connections", "5000"), kept=True, once=True),
    Scenario("slow", "100 clients that ask for 16 MiB and read nothing", "bytes of memory per client", held,
             ("slow", "--connections", "100", "--size", str(16 * MIB)), once=True),
    Scenario("gone", "the client goes while the origin thinks", "ms until the origin is told", gone,
             ("gone", "--count", "10"), once=True),
    Scenario("gone-behind", "the same with 8 KiB pipelined behind the request", "ms until the origin is told", gone,
             ("gone", "--count", "10", "--behind", str(8 * KIB)), once=True),
    Scenario("calls", "system calls that move bytes, on 16 kept connections", "calls per request", calls,
             ("small", "--connections", "16"), kept=True, once=True),
]


class Run:
    """One proxy, started for one cell, with its files in a directory of its own."""

    def __init__(self, peer, scenario, origin, folder, log):
        self.peer, self.scenario, self.log = peer, scenario, log
        self.dir = folder
        self.origin, self.origin_pid = origin
        self.port, self.tunnel = machine.free_port(), machine.free_port()
        self.alone, self.others = machine.processors()
        # An access log on the standard output goes to a file as well.
        with open(os.path.join(folder, "output"), "wb") as output:
            self.child = machine.spawn(peer.command(self), self.alone, stdout=output, stderr=output, cwd=folder,
                                       **self.as_whom())
        self.pid = self.child.pid
        if not machine.listens(self.port, self.child):
            with open(os.path.join(folder, "output"), errors="replace") as output:
                raise Trouble(f"it does not start: {last_line(output.read())}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        machine.end(self.child)
        self.peer.clean_up(self)

    def as_whom(self):
        """Some daemons refuse to be root's: their files and they become nobody's."""
        if self.peer.root or os.geteuid() != 0:
            return {}
        for here, folders, files in os.walk(self.dir):
            for name in (".", *folders, *files):
                shutil.chown(os.path.join(here, name), "nobody")
        return {"user": "nobody", "group": "nogroup", "extra_groups": []}

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def start_load(self, seconds, what=None, count=None):
        where = self.peer.port(self, self.scenario)
        raw = ["--raw"] if self.peer.tunnels == "raw" else []
        fresh = [] if self.peer.keeps else ["--fresh"]
        bound = ["--count", str(count)] if count else []
        return machine.spawn(
            [LOAD, "load", *(what or self.scenario.load), "--proxy", f"127.0.0.1:{where}",
             "--origin", f"127.0.0.1:{self.origin}", "--seconds", str(seconds), *bound, *raw, *fresh],
            self.others, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def load(self, seconds, what=None, count=None):
        load = self.start_load(seconds, what, count)
        try:
            out, err = load.communicate(timeout=seconds + 90)
        except subprocess.TimeoutExpired:
            raise Trouble("the load did not end") from None
        finally:
            machine.end(load)
        if load.returncode:
            raise Trouble(last_line(err))
        return json.loads(out)
