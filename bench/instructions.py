#!/usr/bin/env python3
"""User instructions of the release binary per request, compared with a committed baseline.

    instructions.py [--proxy-binary PATH] [--update] [--only NAME …]

Times differ from machine to machine and from minute to minute; the number of instructions hardly does. Each scenario is
run twice under valgrind with different numbers of requests, and the difference divided by the difference: what starting
and stopping costs falls out. Only user code is counted: what the kernel does, and how often it is called, is not.

`where` in the baseline says in whose code the instructions of `small` are. A line of the standard library that was
inlined counts for the function that it is in.

Exit status 1 when a figure is more than 5 % above `instructions.json`. After a change that is worth its instructions,
`--update` writes the new figures; commit them with it.
"""
import argparse
import collections
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading

sys.dont_write_bytecode = True  # a checkout stays clean

import machine  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
BASELINE = os.path.join(HERE, "instructions.json")
TARGET = os.environ.get("CARGO_TARGET_DIR") or os.path.join(os.path.dirname(HERE), "target")
# How much more is a failure. Runs of the same binary differ by less than 1 %.
ALLOWED = 0.05
DEPTH = 16
RESPONSE = (b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: bench\r\nContent-Type: text/plain\r\n"
            b"Content-Length: 1024\r\n\r\n" + b"x" * 1024)


def main():
    args = parse_args()
    if not machine.find("valgrind"):
        sys.exit("missing: valgrind (Debian: valgrind)")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    take_turns()
    figures, where = {}, {}
    try:
        with Origin() as origin:
            for name, (exchange, least, most) in SCENARIOS.items():
                if not args.only or name in args.only:
                    few, many = (fewest(args.proxy_binary, origin, exchange, n) for n in (least, most))
                    figures[name] = round((many.total() - few.total()) / (most - least))
                    if name == "small":
                        where = {place: round((many[place] - few[place]) / (most - least)) for place in many}
    finally:
        machine.end_all()
    baseline = read_baseline()
    too_many = show(figures, baseline)
    if args.update:
        write_baseline(baseline, figures, where)
        return 0
    for name in too_many:
        print(f"{name} costs more than {ALLOWED:.0%} more instructions than the baseline: find out why, "
              "or say why it is worth it and run bench/instructions.py --update")
    return 1 if too_many else 0


def take_turns():
    """Client, proxy and origin share one processor, and none interrupts another: each goes on until it has to wait.

    So the proxy finds the same bytes at the same time in every run, and waits as often.
    """
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proxy-binary", metavar="PATH", default=os.path.join(TARGET, "release", "sluicegate"))
    parser.add_argument("--update", action="store_true", help="make these figures the baseline")
    parser.add_argument("--only", metavar="NAME", nargs="+", choices=SCENARIOS, help=f"some of {', '.join(SCENARIOS)}")
    args = parser.parse_args()
    if not os.access(args.proxy_binary, os.X_OK):
        parser.error(f"there is no {args.proxy_binary}: cargo build --release")
    return args


def read_baseline():
    with contextlib.suppress(FileNotFoundError), open(BASELINE) as file:
        return json.load(file)
    return {"rustc": None, "instructions_per_request": {}}


def write_baseline(baseline, figures, where):
    baseline["rustc"] = rustc()
    baseline["instructions_per_request"] |= figures
    if where:
        # What is less than one in a hundred tells nobody anything.
        least = figures["small"] / 100
        shown = {place: count for place, count in sorted(where.items(), key=lambda item: -item[1]) if count >= least}
        baseline["where"] = shown | {"the rest": figures["small"] - sum(shown.values())}
    with open(BASELINE, "w") as file:
        json.dump(baseline, file, indent=2, ensure_ascii=False)
        file.write("\n")


def show(figures, baseline):
    """Prints each figure beside its baseline; the names of those that are too high."""
    if baseline["rustc"] != rustc():
        print(f"the baseline was made with {baseline['rustc']}, this is {rustc()}: some difference may be the compiler's")
    too_many = []
    print(f"{'user instructions per request':32} {'now':>9} {'baseline':>9} {'ratio':>7}")
    for name, now in figures.items():
        base = baseline["instructions_per_request"].get(name)
        print(f"{name:32} {now:9,} {base or 0:9,} {now / base if base else 0:7.3f}")
        if base is None or now > base * (1 + ALLOWED):
            too_many.append(name)
    return too_many


def rustc():
    said = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.split()
    return said[1] if len(said) > 1 else None


def fewest(*what):
    """The fewer of two runs: where others on the machine interrupt the proxy, it waits in other places, and oftener."""
    return min((instructions(*what) for _ in range(2)), key=collections.Counter.total)


def instructions(binary, origin, exchange, n):
    """What the proxy executes from its start to its end, with n requests between them: instructions by place."""
    port = machine.free_port()
    with tempfile.TemporaryFile("w+") as said, tempfile.NamedTemporaryFile("r") as counts:
        # Without the caches, cachegrind counts instructions and nothing else.
        proxy = machine.spawn(
            [machine.find("valgrind"), "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={counts.name}",
             binary, "--listen", f"127.0.0.1:{port}", "--workers", "1"],
            os.sched_getaffinity(0), stdout=said, stderr=said)
        try:
            if machine.listens(port, proxy, 60):
                exchange(port, origin, n)
            proxy.send_signal(signal.SIGTERM)
            proxy.wait(30)
        finally:
            machine.end(proxy)
        said.seek(0)
        if proxy.returncode:
            sys.exit(f"valgrind or the proxy failed with code {proxy.returncode}: {said.read()[-500:]}")
        return by_place(counts)


def by_place(counts):
    """Adds up a file of cachegrind's: `fl=` a source file, `fn=` a function, then lines of a line number and a count."""
    places, file, place = collections.Counter(), "", ""
    for line in counts:
        if line.startswith("fl="):
            file = line[3:].strip()
        elif line.startswith("fn="):
            place = place_of(file, line[3:])
        elif line[0].isdigit():
            places[place] += int(line.split()[1])
    return places


def place_of(file, function):
    if room := re.search(r"crates/(\w+)/src/(\w+)", file):
        crate = "sluicegate" if room[1] == "sluicegate" else f"sluicegate-{room[1]}"
        return f"{crate}: {room[2]}"
    if crate := re.search(r"/([a-z][a-z0-9_-]*?)-\d+\.\d+[^/]*/src/", file):
        return crate[1]
    if re.search(r"malloc|calloc|realloc|free|alloc_perturb|tcache|unlink_chunk", function):
        return "the allocator"
    if re.search(r"mem(cpy|move|set|chr|cmp)|strlen|bcmp", function):
        return "memcpy and such"
    if crate := re.search(r"\b(sluicegate\w*|tokio|mio|httparse|memchr|slab|futures_util)::", function):
        return f"{crate[1].replace('_', '-')}: library code inlined into it"
    return "the C and the Rust library"


def request(origin):
    return (f"GET http://127.0.0.1:{origin}/ HTTP/1.1\r\nHost: 127.0.0.1:{origin}\r\nUser-Agent: bench\r\n"
            "Accept: */*\r\n\r\n").encode()


def small(port, origin, n):
    """One request after the other on one connection."""
    with connect(port) as client:
        for _ in range(n):
            client.sendall(request(origin))
            read_responses(client, 1)


def pipeline(port, origin, n):
    """16 requests in one write, then their responses."""
    with connect(port) as client:
        for _ in range(n // DEPTH):
            client.sendall(request(origin) * DEPTH)
            read_responses(client, DEPTH)


def conn(port, origin, n):
    """A connection for each request."""
    for _ in range(n):
        with connect(port) as client:
            client.sendall(request(origin))
            read_responses(client, 1)


SCENARIOS = {"small": (small, 500, 3500), "pipeline": (pipeline, 512, 3584), "conn": (conn, 300, 1500)}


def connect(port):
    client = socket.create_connection(("127.0.0.1", port), 30)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def read_responses(client, n):
    """Reads until n responses have ended; all of them end in the same bytes, after a head of whatever size."""
    got = b""
    while got.count(b"\r\n\r\n" + b"x" * 1024) < n:
        more = client.recv(65536)
        if not more:
            sys.exit("the proxy closed the connection instead of answering")
        got += more


class Origin:
    """Answers each request with 1 KiB. In one write, so that the proxy reads it in one."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()
        return self.listener.getsockname()[1]

    def __exit__(self, *_):
        self.listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    @staticmethod
    def _serve(client):
        with client, contextlib.suppress(OSError):
            while data := client.recv(65536):
                # A request of the proxy comes in one piece: it is small, and written at once.
                client.sendall(RESPONSE * data.count(b"\r\n\r\n"))


if __name__ == "__main__":
    sys.exit(main())
