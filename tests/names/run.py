#!/usr/bin/env python3
"""Names lead where getaddrinfo leads: the table of docs/names.md, and what must hold when servers and files fail.

    run.py --proxy-binary target/release/sluicegate [--only GLOB …] [-v] [--list] [--jobs N] [--write-docs]

Each test runs in network, mount and uts namespaces of its own (as root, or in user namespaces), with scripted name
servers. Needs Python 3.11, unshare and mount (util-linux), ip (iproute2). Prints `FAIL ID: why`, `open ID: why`
where a fault is known (check.py), with -v also `ok ID`, and at the end `N passed, M failed`. Exit status: 0 when nothing failed, 1 otherwise.
"""
import argparse
import concurrent.futures
import fnmatch
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # a checkout stays clean

import document  # noqa: E402
import machine  # noqa: E402
import bound_tests  # noqa: F401,E402 (importing a module registers its tests)
import count_tests  # noqa: F401,E402
import fault_tests  # noqa: F401,E402
import row  # noqa: E402
from check import OPEN_FAULTS, TESTS, Failed  # noqa: E402
from tables import ROWS  # noqa: E402

# Of one test, in seconds. The longest is the one about what is kept for 30 s.
LIMIT = 50
CHILDREN = set()


def main():
    args = parse_args()
    if args.inside:
        return inside(args.inside, args.proxy_binary)
    if args.write_docs:
        document.write()
        return 0
    ids = select(args.only)
    if args.list:
        print("\n".join(f"{id:28} {says(id)}" for id in ids))
        return 0
    # A stopped run ends its children too.
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="sluicegate-names-")
    try:
        return run_all(ids, args)
    finally:
        shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)


def run_all(ids, args):
    failed = known = 0
    if why := document.check():
        sys.exit(why)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        runs = [pool.submit(outcome, id, args.proxy_binary) for id in ids]
        for run in concurrent.futures.as_completed(runs):
            id, why, seconds = run.result()
            if id in OPEN_FAULTS:
                known, failed = known + bool(why), failed + (not why)
                print(f"open {id}: {OPEN_FAULTS[id]}" if why else f"FAIL {id}: it holds: take it off the list of open faults", flush=True)
                continue
            failed += bool(why)
            if why or args.verbose:
                print(f"FAIL {id}: {why}" if why else f"ok {id}  ({seconds:.1f} s)", flush=True)
    if known:
        print(f"{known} known not to hold yet, see above")
    print(f"{len(ids) - failed - known} passed, {failed} failed")
    return 1 if failed else 0


def stop(*_):
    for child in list(CHILDREN):
        end(child)
    shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)
    os._exit(1)


def end(child):
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proxy-binary", metavar="PATH", type=os.path.abspath, help="the proxy to test")
    parser.add_argument("--only", metavar="GLOB", nargs="+", default=["*"], help="ids or patterns such as 'hosts-*'")
    parser.add_argument("--list", action="store_true", help="name the tests and what each says")
    parser.add_argument("--jobs", metavar="N", type=int, default=6, help="so many at once (most of them wait)")
    parser.add_argument("--write-docs", action="store_true", help="write docs/names.md from the table")
    parser.add_argument("--inside", metavar="ID", help=argparse.SUPPRESS)
    parser.add_argument("-v", "--verbose", action="store_true", help="say what passes too, and how long it took")
    args = parser.parse_args()
    if not (args.list or args.write_docs or args.proxy_binary and os.access(args.proxy_binary, os.X_OK)):
        parser.error("--proxy-binary must name the program to test, e.g. target/release/sluicegate")
    return args


def select(patterns):
    """Tests, which take long, come before rows, so that the run does not end with one of them alone."""
    ids = [*TESTS, *ROWS]
    for pattern in patterns:
        if not fnmatch.filter(ids, pattern):
            sys.exit(f"no test is named {pattern}; --list shows them all")
    return [id for id in ids if any(fnmatch.fnmatch(id, pattern) for pattern in patterns)]


def says(id):
    return ROWS[id].says if id in ROWS else TESTS[id].__doc__.strip().splitlines()[0]


def outcome(id, binary):
    """(id, why it failed or '', seconds); whatever the test has started ends with its process group."""
    began = time.monotonic()
    why = attempt(machine.command(os.path.abspath(__file__), "--inside", id, "--proxy-binary", binary))
    return id, why, time.monotonic() - began


def attempt(command):
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             start_new_session=True, text=True)
    CHILDREN.add(child)
    try:
        said, _ = child.communicate(timeout=LIMIT)
        return "" if child.returncode == 0 else said.strip() or f"ended with code {child.returncode}"
    except subprocess.TimeoutExpired:
        return f"still not done after {LIMIT} s"
    finally:
        end(child)
        child.wait()
        CHILDREN.discard(child)


def inside(id, binary):
    """Within its namespaces: one test; what it prints is why it failed."""
    code = 1
    try:
        machine.set_up()
        if id in ROWS:
            row.run(ROWS[id], binary)
        else:
            TESTS[id](binary)
        code = 0
    except Failed as failed:
        print(failed)
    except Exception as error:  # noqa: BLE001 (said in a line, as every failure)
        import traceback
        print(f"{type(error).__name__}: {error}", traceback.format_exc() if os.environ.get("TRACE") else "")
    sys.stdout.flush()
    os._exit(code)  # threads of servers are not waited for


if __name__ == "__main__":
    sys.exit(main())
