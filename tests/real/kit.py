"""What every test stands on: registration, checks that explain themselves, children that always end."""
import contextlib
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import Callable

TESTS = []
_children = []


class Failed(Exception):
    """The proxy did not do what a user relies on."""


class Missing(Failed):
    """A program that the test drives is not installed."""


class Skipped(Exception):
    """The test cannot be held on this machine, and that says nothing about the proxy."""


@dataclass(frozen=True)
class Test:
    name: str
    loss: str
    run: Callable
    limit: float
    needs: tuple


def test(limit=30, needs=("curl", "nginx", "openssl")):
    """Registers a function as a test. Its docstring is one line: what a user would lose if it failed."""

    def register(function):
        TESTS.append(Test(function.__name__.replace("_", "-"), function.__doc__, function, limit, needs))
        return function

    return register


def check(holds, why):
    if not holds:
        raise Failed(why)


def equal(what, got, wanted):
    check(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")


def eventually(question, seconds, why):
    """Asks until the answer is truthy, and returns it."""
    until = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        check(time.monotonic() < until, f"{why} (waited {seconds} s)")
        time.sleep(0.02)


def spawn(command, **options):
    """Starts a child in a process group of its own, so that `end` reaches its children as well."""
    options.setdefault("stdin", subprocess.DEVNULL)
    child = subprocess.Popen(command, start_new_session=True, **options)
    _children.append(child)
    return child


def run(command, *, env, timeout=60, codes=(0,), **options):
    """Runs a program to its end and returns (stdout, stderr) as bytes; any other exit code is a failure."""
    options.setdefault("stdin", subprocess.DEVNULL)
    child = spawn(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    try:
        out, err = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failed(f"{shown(command)} did not end within {timeout} s") from None
    finally:
        end(child)
    if child.returncode not in codes:
        raise Failed(f"{shown(command)} exited with {child.returncode}: {last_words(err or out)}")
    return out, err


def shown(command):
    return " ".join(str(part) for part in command)[:300]


def last_words(output, lines=3):
    text = output.decode(errors="replace") if isinstance(output, bytes) else output
    return " / ".join(line.strip() for line in text.strip().splitlines()[-lines:])[:500] or "(it said nothing)"


def children():
    return list(_children)


def end(child, patience=5):
    """Ends a child and its whole group; a child that has already been waited for is only forgotten."""
    if child in _children:
        _children.remove(child)
    for signal_number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
            break
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream:
            with contextlib.suppress(OSError):
                stream.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
