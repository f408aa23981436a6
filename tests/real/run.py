#!/usr/bin/env python3
"""Real programs through the proxy, real servers behind it, everything on loopback.

    run.py --proxy-binary target/release/sluicegate [--only NAME …] [-v] [--list] [--allow-missing]

Prints `ok NAME`, `FAIL NAME: why` or `skip NAME: why` for each test and at the end `N passed, N failed, N skipped`.
Exit status: 0 when nothing failed, 1 otherwise. Needs Python 3.11 and the programs that the tests name (see programs.py).
"""
import argparse
import fnmatch
import os
import signal
import sys
import time

sys.dont_write_bytecode = True  # a checkout stays clean

import apt_tests  # noqa: F401,E402 (importing a module registers its tests)
import bulk_tests  # noqa: F401,E402
import curl_tests  # noqa: F401,E402
import flow_tests  # noqa: F401,E402
import git_tests  # noqa: F401,E402
import language_tests  # noqa: F401,E402
import live_tests  # noqa: F401,E402
import pip_tests  # noqa: F401,E402
import reverse_tests  # noqa: F401,E402
import start_stop_tests  # noqa: F401,E402
from kit import TESTS, Failed, Missing, Skipped, children  # noqa: E402
from lab import Lab  # noqa: E402
from programs import program  # noqa: E402


def main():
    args = parse_args()
    tests = select(args.only)
    if args.list:
        for test in tests:
            print(f"{test.name:28} {test.loss}")
        return 0
    # A stopped run ends its children too: SystemExit passes through every `finally`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(1))
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    with Lab(os.path.abspath(args.proxy_binary)) as lab:
        for test in tests:
            started = time.monotonic()
            verdict, why = outcome(test, lab, args.allow_missing)
            counts[verdict] += 1
            timing = f"  ({time.monotonic() - started:.1f} s)" if args.verbose else ""
            print(f"{verdict} {test.name}{': ' + why if why else ''}{timing}", flush=True)
            if verdict == "FAIL" and args.verbose:
                print(indented(lab.proxy_says()), flush=True)
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped")
    return 1 if counts["FAIL"] else 0


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proxy-binary", metavar="PATH", help="the proxy to test")
    parser.add_argument("--only", metavar="NAME", nargs="+", default=["*"], help="names or patterns such as 'curl-*'")
    parser.add_argument("--list", action="store_true", help="name the tests and what each protects")
    parser.add_argument("--allow-missing", action="store_true", help="skip, not fail, where a program is missing")
    parser.add_argument("-v", "--verbose", action="store_true", help="timings, and the proxy's own words after a failure")
    args = parser.parse_args()
    if not args.list and not (args.proxy_binary and os.access(args.proxy_binary, os.X_OK)):
        parser.error("--proxy-binary must name the program to test, e.g. target/release/sluicegate")
    return args


def select(patterns):
    for pattern in patterns:
        if not any(fnmatch.fnmatch(test.name, pattern) for test in TESTS):
            sys.exit(f"no test is named {pattern}; --list shows them all")
    return [test for test in TESTS if any(fnmatch.fnmatch(test.name, p) for p in patterns)]


def outcome(test, lab, allow_missing):
    """Runs one test within its time limit; its own children are gone when this returns."""
    before = set(children())
    try:
        for name in test.needs:
            program(name)
        with time_limit(test.limit):
            test.run(lab)
            lab.check_health()
        return "ok", ""
    except Missing as missing:
        return ("skip" if allow_missing else "FAIL"), str(missing)
    except Skipped as skipped:
        return "skip", str(skipped)
    except Failed as failed:
        return "FAIL", str(failed)
    except Exception as error:  # noqa: BLE001 (a broken test must not stop the others)
        return "FAIL", f"{type(error).__name__}: {error}"
    finally:
        lab.after_test(before)


class time_limit:
    def __init__(self, seconds):
        self.seconds = seconds

    def __enter__(self):
        signal.signal(signal.SIGALRM, self.expired)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)

    def expired(self, *_):
        raise Failed(f"still not done after its limit of {self.seconds} s")


def indented(text):
    return "\n".join("    | " + line for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main())
