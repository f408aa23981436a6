"""Checks that explain themselves."""
import time


TESTS = {}


# Tests and rows that are known not to hold yet. They are run and told of; one that holds is taken off.
OPEN_FAULTS = {}


def test(function):
    """Registers a test beside the table; its docstring is one line: what must hold."""
    TESTS[function.__name__.replace("_", "-")] = function
    return function


class Failed(Exception):
    """What was promised does not hold."""


def check(holds, why):
    if not holds:
        raise Failed(why)


def eventually(question, seconds, why):
    """Asks until the answer is truthy, and returns it; `why` is a text, or what gives one."""
    until = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > until:
            raise Failed(f"{why() if callable(why) else why} (waited {seconds} s)")
        time.sleep(0.01)
