"""The proxy under test and the servers behind it, each started when first asked for."""
import contextlib
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import nginx
from kit import Failed, accepts, check, children, end, eventually, spawn

HERE = os.path.dirname(os.path.abspath(__file__))


class Lab:
    def __init__(self, binary):
        self.binary = binary
        self.dir = tempfile.mkdtemp(prefix="sluicegate-real-")
        os.chmod(self.dir, 0o755)
        self._proxy = None
        self._keep = set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in children():
            end(child)
        shutil.rmtree(self.dir, ignore_errors=True)

    @functools.cached_property
    def env(self):
        """The environment of every client: no proxy and no setting of the user who runs the tests."""
        own = {name: value for name, value in os.environ.items()
               if not re.match(r"(?i)(.*_proxy|pip_.*|npm_.*|git_.*|ssl_cert.*|curl_.*|requests_.*|node_.*)$", name)}
        return own | {"HOME": self.path("home", directory=True), "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}

    def path(self, *parts, directory=False):
        """A path in the temporary directory; its parents exist."""
        path = os.path.join(self.dir, *parts)
        os.makedirs(path if directory else os.path.dirname(path), exist_ok=True)
        return path

    @property
    def proxy(self):
        """The running proxy that the tests share."""
        if self._proxy is None or self._proxy.child.poll() is not None:
            self._proxy = self.start_proxy()
            self._keep.add(self._proxy.child)
        return self._proxy

    def start_proxy(self, *flags):
        return Proxy(self, list(flags) or ["--listen", "127.0.0.1:0"])

    @functools.cached_property
    def nginx(self):
        server = nginx.start(self)
        self._keep.add(server.child)
        return server

    @functools.cached_property
    def origin(self):
        """The base URL of origin.py: what nginx cannot do (digests of uploads, events, WebSocket, git)."""
        child = spawn([sys.executable, os.path.join(HERE, "origin.py"), "--git-root", self.path("git", directory=True)],
                      stdout=subprocess.PIPE, env=self.env)
        self._keep.add(child)
        port = child.stdout.readline().decode().strip()
        check(port, "the Python origin did not start")
        return f"http://127.0.0.1:{port}"

    def check_health(self):
        """A test has not passed if the proxy died of it."""
        if self._proxy and self._proxy.child.poll() is not None:
            raise Failed(f"the proxy ended meanwhile with code {self._proxy.child.returncode}: {self.proxy_says(3)}")
        check("panicked at" not in self.proxy_says(), f"the proxy panicked: {self.proxy_says(3)}")

    def proxy_says(self, lines=15):
        return "\n".join(self._proxy.says().splitlines()[-lines:]) if self._proxy else ""

    def after_test(self, before):
        """Ends what the test left running, except for the servers that the next ones share."""
        for child in children():
            if child not in before and child not in self._keep:
                end(child)
        if self._proxy and "panicked at" in self._proxy.says():
            end(self._proxy.child)


class Proxy:
    """One process of the proxy; its port is read from what it says at its start."""

    def __init__(self, lab, flags, cwd=None):
        self.log = os.path.join(lab.dir, f"proxy-{time.monotonic_ns()}.log")
        with open(self.log, "wb") as log:
            self.child = spawn([lab.binary, *flags], stdout=log, stderr=log, env=lab.env, cwd=cwd or lab.dir)
        self.port = int(eventually(self._announced, 10, f"`{' '.join(flags)}` announced no 127.0.0.1:port")[1])
        eventually(lambda: accepts(self.port), 5, f"port {self.port}, which the proxy announced, accepts no connection")
        self.url = f"http://127.0.0.1:{self.port}"

    def _announced(self):
        if self.child.poll() is not None:
            raise Failed(f"the proxy ended at its start with code {self.child.returncode}: {self.says().strip()[:500]}")
        return re.search(r"127\.0\.0\.1:([1-9]\d*)", self.says())

    def says(self):
        with contextlib.suppress(OSError), open(self.log, errors="replace") as log:
            return log.read()
        return ""

    def resident(self):
        """VmRSS in KiB."""
        with open(f"/proc/{self.child.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1])
