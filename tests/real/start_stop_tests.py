"""A new user's first minute, and the last second of a process."""
import re
import signal
import subprocess
import time

from curl_tests import publish, streaming
from kit import Failed, Skipped, accepts, check, equal, eventually, run, spawn, test
from lab import Proxy
from pattern import BLOCK, digest, digest_of, pattern, pieces_of
from programs import program


@test()
def new_user(lab):
    """Starting the program without having read anything would not give a proxy on 127.0.0.1:3128."""
    if accepts(3128):
        raise Skipped("port 3128 is in use by something else")
    publish(lab, "hello.txt", 100)
    proxy = Proxy(lab, [], cwd=lab.path("empty", directory=True))
    equal("the port without any argument", proxy.port, 3128)
    command = [program("curl"), "-sS", "--fail-with-body", "-x", "http://127.0.0.1:3128", lab.nginx.http + "/hello.txt"]
    equal("body", run(command, env=lab.env)[0], b"".join(pattern(100)))
    check(re.search(r"curl .*-x .*127\.0\.0\.1:3128", proxy.says()), f"no curl line to try at the start: {proxy.says()!r}")


@test(needs=())
def port_in_use(lab):
    """A second start would fail without saying why, or take half of the first one's connections."""
    code, words = ended_at_start(lab, "--listen", f"127.0.0.1:{lab.proxy.port}")
    equal("exit code", code, 1)
    check("in use" in words and str(lab.proxy.port) in words, f"it does not say that the port is in use: {words!r}")
    equal("lines that it said", len(words.strip().splitlines()), 1)


@test(needs=())
def never_an_open_proxy(lab):
    """A careless `--listen 0.0.0.0:…` would give the proxy to everyone."""
    code, words = ended_at_start(lab, "--listen", "0.0.0.0:0")
    equal("exit code", code, 2)
    check("--allow-client" in words, f"it does not name --allow-client: {words!r}")


@test(needs=())
def bad_arguments(lab):
    """A typing error would be ignored, or answered with something that helps nobody."""
    for flags, named in ((["--listen", "nonsense"], "--listen"), (["--no-such-flag"], "--no-such-flag")):
        code, words = ended_at_start(lab, *flags)
        equal(f"exit code for {flags}", code, 2)
        check(named in words, f"it does not name {named}: {words!r}")


@test(needs=())
def version_and_help(lab):
    """Nobody could find out what they run and what it can do."""
    out, _ = run([lab.binary, "--version"], env=lab.env)
    check(re.match(rb"sluicegate \d+\.\d+\.\d+", out), f"--version says {out!r}")
    out, _ = run([lab.binary, "--help"], env=lab.env)
    check(b"--listen" in out and b"--allow-client" in out, "--help does not show --listen and --allow-client")


def ended_at_start(lab, *flags):
    """(exit code, what it said on stderr) of a start that must fail at once."""
    child = spawn([lab.binary, *flags], env=lab.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _, words = child.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        raise Failed(f"`{' '.join(flags)}` started a proxy that should have refused to start") from None
    return child.returncode, words


@test()
def graceful_stop(lab):
    """Each restart of the proxy would cut the downloads that run through it."""
    for stop in (signal.SIGTERM, signal.SIGINT):
        proxy, curl = slow_download(lab)
        proxy.child.send_signal(stop)
        eventually(lambda: not accepts(proxy.port), 2, f"after {stop.name} new connections are still accepted")
        check(curl.poll() is None, "the download ended before the proxy was stopped: this proves nothing")
        equal(f"the download that ran at {stop.name}", digest(pieces_of(curl.stdout)), (digest_of(10 * BLOCK), 10 * BLOCK))
        equal("exit code of curl", curl.wait(10), 0)
        equal(f"exit code of the proxy after {stop.name}", proxy.child.wait(10), 0)


@test()
def second_signal_stops_at_once(lab):
    """An operator in a hurry could not stop the proxy while a long download runs."""
    proxy, _ = slow_download(lab)
    proxy.child.send_signal(signal.SIGTERM)
    eventually(lambda: not accepts(proxy.port), 2, "after SIGTERM new connections are still accepted")
    time.sleep(0.2)
    check(proxy.child.poll() is None, "the first signal already ended the proxy under a running download")
    proxy.child.send_signal(signal.SIGTERM)
    eventually(lambda: proxy.child.poll() is not None, 1, "after a second SIGTERM the proxy still runs")


def slow_download(lab):
    """A proxy of its own with a download of two seconds in its middle: (proxy, curl)."""
    proxy = lab.start_proxy()
    curl = streaming(lab, f"{lab.origin}/pattern?bytes={10 * BLOCK}&every=0.2", proxy=proxy)
    eventually(lambda: curl.stdout.peek(1), 5, "the download does not begin")
    return proxy, curl
