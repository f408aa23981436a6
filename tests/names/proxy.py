"""The proxy under test, and what can be seen of where it connects to."""
import contextlib
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from check import eventually

# Origins listen on the first, for all addresses; nobody listens on the second, so that each address is tried in turn.
# On the third they speak HTTP and keep their connections.
OPEN, CLOSED, HTTP = 8000, 8001, 8002


class Proxy:
    """One process; ended by `end`, or with the namespace's first process."""

    def __init__(self, binary, *flags, descriptors=None):
        def limit():
            if descriptors:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        self.binary = binary
        self.log = tempfile.NamedTemporaryFile("rb")
        with open(self.log.name, "wb") as log:
            self.child = subprocess.Popen([binary, "--listen", "127.0.0.1:0", "--workers", "1", *flags], stdout=log,
                                          stderr=log, stdin=subprocess.DEVNULL, preexec_fn=limit)
        announced = eventually(self._announced, 20, lambda: f"no port was announced: {self.says()}")
        self.port = int(announced[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def _announced(self):
        return re.search(r"127\.0\.0\.1:([1-9]\d*)", self.says())

    def says(self):
        with open(self.log.name, errors="replace") as log:
            return log.read()

    def warnings(self, word):
        """The lines in which it speaks of `word`."""
        return [line for line in self.says().splitlines() if word in line]

    def connect(self, name, port=OPEN):
        """A client's socket, its CONNECT sent."""
        client = socket.create_connection(("127.0.0.1", self.port), 30)
        host = f"[{name}]" if ":" in name else name
        client.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode("latin-1"))
        return client

    def ask(self, name, port=OPEN, patience=30):
        """What a client is told; see Told."""
        began = time.monotonic()
        with self.connect(name, port) as client:
            return answer(client, began, patience)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.child.pid}/fd"))

    def limit(self, soft):
        """Sets how many descriptors it may have from now on, and returns how many these were."""
        was, hard = resource.prlimit(self.child.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.child.pid, resource.RLIMIT_NOFILE, (soft, hard))
        return was

    def memory(self, field="VmRSS"):
        """In bytes; VmHWM is the most that it ever was."""
        with open(f"/proc/{self.child.pid}/status") as status:
            return int(re.search(rf"{field}:\s+(\d+) kB", status.read())[1]) * 1024

    def alive(self):
        return self.child.poll() is None and "panicked" not in self.says()

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            self.child.send_signal(signal.SIGKILL)
        self.child.wait()


class Told:
    """A client's answer: its status, the address that was reached or None, its text, and the seconds it took."""

    def __init__(self, head, reached, seconds):
        self.text, self.reached, self.seconds = head, reached, seconds
        self.status = int(head.split()[1]) if head else 0

    def __str__(self):
        if self.reached:
            return f"{self.reached} after {self.seconds * 1000:.0f} ms"
        words = re.search(r"(?im)^proxy-status: (.*)$", self.text)
        return f"{self.status or 'nothing'} ({words[1].strip() if words else ''}) after {self.seconds * 1000:.0f} ms"


def get(client, name, port):
    """What a client is told that stays connected."""
    began = time.monotonic()
    client.sendall(f"GET http://{name}:{port}/ HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return answer(client, began)


def answer(client, began, patience=30):
    """Reads a client's answer to its CONNECT, and the line in which an origin says its address."""
    data = b""
    with contextlib.suppress(OSError):
        client.settimeout(patience)
        while not re.search(rb"\r\n\r\n(.*\n)?", data) or data.startswith(b"HTTP/1.1 200") and not data.endswith(b"\n\n"):
            piece = client.recv(4096)
            if not piece:
                break
            data += piece
    seconds = time.monotonic() - began
    head, _, body = data.decode("latin-1").partition("\r\n\r\n")
    return Told(head, body.strip() if head.startswith("HTTP/1.1 200") else None, seconds)


class Origins:
    """All addresses of the machine, each of which says at once which one it is."""

    def __init__(self):
        for family, ip in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            for port, serve in ((OPEN, self._say), (HTTP, self._keep)):
                listener = socket.create_server((ip, port), family=family, backlog=512)
                threading.Thread(target=self._accept, args=(listener, serve), daemon=True).start()

    def _accept(self, listener, serve):
        while True:
            client = listener.accept()[0]
            serve(client, client.getsockname()[0].encode())

    def _say(self, client, address):
        with contextlib.suppress(OSError), client:
            client.sendall(address + b"\n\n")

    def _keep(self, client, address):
        def serve():
            with contextlib.suppress(OSError), client:
                while client.recv(4096):
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s\n\n" % (len(address) + 2, address))

        threading.Thread(target=serve, daemon=True).start()


class Attempts:
    """The addresses at which somebody tried to connect to CLOSED, in their order; seen on the wire of loopback."""

    def __init__(self):
        self.seen, self.marks = [], 0
        self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.raw.bind(("lo", 0))
        threading.Thread(target=self._watch, daemon=True).start()

    def of(self, attempting):
        """The addresses that were tried while this ran."""
        self._mark()
        self.seen.clear()
        attempting()
        self._mark()
        return self.seen[:-1]

    def _mark(self):
        """An attempt of our own, behind which all earlier ones have been seen."""
        self.marks += 1
        address = f"127.200.0.{self.marks}"
        with contextlib.suppress(OSError):
            socket.create_connection((address, CLOSED))
        eventually(lambda: address in self.seen, 5, "the network of the test cannot be watched")

    def _watch(self):
        while True:
            packet, (_, kind, way, *_) = self.raw.recvfrom(200)
            if way == socket.PACKET_OUTGOING:
                continue
            if kind == 0x0800 and packet[9] == 6:
                tcp, address = packet[(packet[0] & 15) * 4:], socket.inet_ntop(socket.AF_INET, packet[16:20])
            elif kind == 0x86DD and packet[6] == 6:
                tcp, address = packet[40:], socket.inet_ntop(socket.AF_INET6, packet[24:40])
            else:
                continue
            port, syn_without_ack = struct.unpack("!H", tcp[2:4])[0], tcp[13] & 0x12 == 2
            if port == CLOSED and syn_without_ack and address not in self.seen:
                self.seen.append(address)
