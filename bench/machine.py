"""What the benchmark asks the machine: processes, their CPU time and memory, and who else was busy."""
import contextlib
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")
# The kernel's number of the clock of all threads of a process (clock_getcpuclockid of the C library).
CPU_CLOCK = 2
# The daemons live in the sbin directories, which are not on every user's PATH.
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"])
_children = []


class Trouble(Exception):
    """A cell that cannot be measured, with the reason in a sentence."""


def find(program):
    return shutil.which(program, path=SEARCH)


def processors():
    """(the proxy's, the others'): the last one is the proxy's alone, where there are two."""
    mine = sorted(os.sched_getaffinity(0))
    return ({mine[-1]}, set(mine[:-1])) if len(mine) > 1 else (set(mine), set(mine))


def spawn(command, pinned, **options):
    """Starts a child in a process group of its own, so that `end` reaches its children as well."""
    options.setdefault("stdin", subprocess.DEVNULL)
    child = subprocess.Popen(command, start_new_session=True, preexec_fn=lambda: os.sched_setaffinity(0, pinned), **options)
    _children.append(child)
    return child


def end(child, patience=3):
    """Ends a child and its whole group."""
    if child in _children:
        _children.remove(child)
    for signal_number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(seconds)
            break
    # A daemon's workers may outlive it for a moment; nothing of them may.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    for stream in (child.stdin, child.stdout, child.stderr):
        if stream:
            stream.close()


def end_all():
    for child in list(_children):
        end(child)


def family(pid):
    """A process and all that descend from it."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            parents.setdefault(int(_stat(entry)[1]), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += parents.get(found[-1], [])
    return found


def _stat(pid):
    """The fields of /proc/PID/stat from the third one on: the second may contain anything."""
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()


def cpu(pids):
    """User and system seconds of these processes, and of their children that have ended.

    A process's own are read from its CPU clock: what /proc/PID/stat shows, in nanoseconds instead of ticks of 10 ms.
    """
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += time.clock_gettime(~pid << 3 | CPU_CLOCK) + sum(int(ticks) for ticks in _stat(pid)[13:15]) / TICKS
    return total


def ticks_in(pids):
    """(user, system) of these processes, in the kernel's ticks: coarse, and sampled on many kernels."""
    both = [0, 0]
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = _stat(pid)
            both = [both[0] + int(fields[11]) + int(fields[13]), both[1] + int(fields[12]) + int(fields[14])]
    return both


def memory(pids):
    """Resident bytes of these processes; what they share is counted once."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup") as rollup:
            total += int(re.search(r"^Pss:\s+(\d+) kB", rollup.read(), re.M)[1]) * 1024
    return total


def all_busy():
    """Seconds that the processors were busy for anyone, what a hypervisor took for others included."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


class Watch:
    """Measures a proxy's CPU over a block, and the share of a processor that neither it nor we have used."""

    def __init__(self, proxy, ours):
        self.proxy, self.ours = proxy, ours

    def __enter__(self):
        self._busy, self._began = all_busy(), time.monotonic()
        self._proxy, self._own = cpu(family(self.proxy)), self._others()
        self._ticks = ticks_in(family(self.proxy))
        return self

    def __exit__(self, *_):
        self.cpu = cpu(family(self.proxy)) - self._proxy
        self.seconds = time.monotonic() - self._began
        user, system = (now - then for now, then in zip(ticks_in(family(self.proxy)), self._ticks))
        self.user_share = user / max(1, user + system)
        self.own = self._others() - self._own
        self.foreign = max(0.0, all_busy() - self._busy - self.cpu - self.own) / self.seconds

    def _others(self):
        # Our own children that have been waited for are in the second half of the times.
        return cpu([os.getpid(), *self.ours])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port, child, seconds=20):
    """Whether this child accepts connections before its time is up."""
    until = time.monotonic() + seconds
    while child.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.02)
    return False


def describe():
    """The machine, in words that a reader can compare with."""
    with open("/proc/cpuinfo") as info:
        model = re.search(r"model name\s*:\s*(.*)", info.read())
    with open("/proc/meminfo") as info:
        gib = int(re.search(r"MemTotal:\s+(\d+)", info.read())[1]) / 2**20
    with open("/etc/os-release") as release:
        system = re.search(r'PRETTY_NAME="(.*)"', release.read())
    return {
        "processor": model[1] if model else platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_gib": round(gib, 1),
        "kernel": platform.release().split("-")[0],
        "system": system[1] if system else platform.system(),
    }
