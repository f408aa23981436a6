"""What look-ups may cost, however many and whatever servers say."""
import threading
import time

import machine
from check import check, eventually, test
from crowd import all_at_once
from proxy import OPEN, Origins, Proxy
from server import Server

MIB = 1024 * 1024
LARGE = "* A truncated many=4000\n* AAAA nodata"


def growth(binary, *flags):
    """(bytes by which the proxy grew at most, what 400 clients were told whose names have answers of 64 KB)."""
    gate = threading.Event()
    Origins()
    Server(LARGE, gate=gate)
    with Proxy(binary, *flags) as proxy:
        check(proxy.ask("127.0.0.5").reached, "an address is not served")
        before = proxy.memory()
        threading.Timer(1.5, gate.set).start()
        told = all_at_once(proxy, [f"n{n}.test" for n in range(400)], 40)
        check(proxy.alive(), f"the proxy is not well: {proxy.says()}")
        return proxy.memory("VmHWM") - before, told


@test
def answers_of_64_kb(binary):
    """400 look-ups of answers of 64 KB at once cost less than 16 MiB, and all are served."""
    grown, told = growth(binary)
    served = sum(bool(one.reached) for one in told)
    check(served == 400, f"{served} of 400 were served; others: {[str(one) for one in told if not one.reached][:2]}")
    check(grown < 16 * MIB, f"it grew by {grown / MIB:.1f} MiB")


@test
def answers_of_64_kb_within_a_total(binary):
    """400 look-ups of answers of 64 KB stay within --max-memory; who finds no room is told so by 503."""
    grown, told = growth(binary, "--max-memory", "8MiB")
    check(grown < 12 * MIB, f"it grew by {grown / MIB:.1f} MiB with --max-memory 8MiB")
    wrong = [str(one) for one in told if not one.reached and one.status != 503]
    check(not wrong, f"{len(wrong)} were told something else: {wrong[:2]}")
    check(sum(bool(one.reached) for one in told) > 40, "fewer than 40 of 400 were served")


@test
def silent_names_leave_descriptors(binary):
    """With 1,024 descriptors and 318 clients whose names are silent, all others are served."""
    machine.configure(hosts="127.0.0.6 pinned.test\n")
    Server("*.silent.test silent\n*.good.test 127.0.0.5")
    Origins()
    proxy = Proxy(binary, descriptors=1024)
    check(proxy.ask("first.good.test").reached, "a good name is not served")
    before = proxy.descriptors()
    clients = [proxy.connect(f"n{n}.silent.test") for n in range(318)]
    time.sleep(0.5)
    for n in range(15):
        for name, wanted in ((f"n{n}.good.test", "127.0.0.5"), ("127.0.0.7", "127.0.0.7"), ("pinned.test", "127.0.0.6")):
            told = proxy.ask(name, OPEN)
            check(told.reached == wanted and told.seconds < 2, f"{name} in round {n}: {told}; {proxy.descriptors()} descriptors")
    for client in clients:
        client.close()
    eventually(lambda: proxy.descriptors() < before + 20, 3, lambda: f"{proxy.descriptors()} descriptors stay open; before: {before}")
