"""The HTTP clients that programs are written with: Python's requests, Node's fetch."""
import functools
import os
import subprocess
import sys

from curl_tests import publish
from kit import Failed, Missing, run, test
from pattern import MIB
from programs import program

CLIENTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")
NEEDS = ("nginx", "openssl")


@test(limit=120, needs=NEEDS)
def python_requests(lab):
    """Python programs that use requests would fail behind the proxy."""
    run([python_with_requests(lab), f"{CLIENTS}/with_requests.py", *addresses(lab)], env=lab.env)


@test(limit=120, needs=(*NEEDS, "node"))
def node_fetch(lab):
    """Node programs that use fetch would fail behind the proxy."""
    run([program("node"), f"{CLIENTS}/with_fetch.js", *addresses(lab)], env=lab.env | {
        "NODE_EXTRA_CA_CERTS": lab.nginx.ca, "NODE_PATH": undici(lab)})


@test(limit=60, needs=(*NEEDS, "node"))
def node_http_request(lab):
    """Node programs that name the whole address in the request, as most proxy agents do for http, would fail."""
    run([program("node"), f"{CLIENTS}/with_http_request.js", *addresses(lab)], env=lab.env)


def addresses(lab):
    """What each client is told: the proxy, origin.py by http and by https, a file by both, the CA."""
    file = publish(lab, "language.bin", 3 * MIB)
    return [lab.proxy.url, lab.origin, lab.nginx.behind(""), lab.nginx.http + file, lab.nginx.https + file, lab.nginx.ca]


@functools.cache
def python_with_requests(lab):
    """A Python that has requests: this one, Debian's, or else a virtual environment that pip fills."""
    for python in (sys.executable, "/usr/bin/python3"):
        if os.path.exists(python) and succeeds([python, "-c", "import requests"]):
            return python
    home = lab.path("venv")
    try:
        run([sys.executable, "-m", "venv", home], env=os.environ)
        run([f"{home}/bin/pip", "install", "--quiet", "requests"], env=os.environ, timeout=60)
    except Failed as why:
        raise Missing(f"requests is not installed: apt-get install python3-requests ({why})") from None
    return f"{home}/bin/python"


@functools.cache
def undici(lab):
    """Where undici is, without which Node's fetch takes no proxy: Debian's package, or else what npm brings."""
    debian = "/usr/share/nodejs"
    if succeeds([program("node"), "-e", "require('undici').ProxyAgent.name"], env=lab.env | {"NODE_PATH": debian}):
        return debian
    home = lab.path("npm", directory=True)
    try:
        # 6 is the last line that runs on the Node of Debian 12.
        run(["npm", "install", "--silent", "--prefix", home, "undici@6"], env=os.environ, timeout=60)
    except (Failed, OSError) as why:
        raise Missing(f"undici is not installed: apt-get install node-undici ({why})") from None
    return f"{home}/node_modules"


def succeeds(command, env=None):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, env=env).returncode == 0
