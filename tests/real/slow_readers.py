#!/usr/bin/env python3
"""What clients that never read cost: user memory of the proxy, and the kernel's memory of both of its sockets.

    slow_readers.py --proxy 'sluicegate=target/release/sluicegate --listen 127.0.0.1:{port}' [--haproxy] [--clients 300]
                    [--first-mib 200] [--unread-mib 16] [--settle 4]

Each client asks for a body, reads `--first-mib` of it at full speed, and then reads no more. The peers' sockets are not
counted. Linux, root not needed; all traffic on loopback. Prints one line of figures per proxy, in KiB per client.
"""
import argparse
import os
import re
import resource
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import time

MIB = 1 << 20
CHUNK = bytes(range(256)) * 4096


class Origin:
    """Serves /N: a body of N bytes, as fast as it is taken, one thread for all."""

    def __init__(self):
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        head = b""
        try:
            while b"\r\n\r\n" not in head:
                more = conn.recv(4096)
                if not more:
                    return
                head += more
            left = int(re.search(rb"/(\d+) ", head).group(1))
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % left)
            while left:
                left -= conn.send(CHUNK[:min(left, len(CHUNK))])
        except OSError:
            pass
        finally:
            conn.close()


def rss_kib(pid):
    total = 0
    for child in [pid, *children(pid)]:
        try:
            with open(f"/proc/{child}/status") as status:
                total += int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))
        except (OSError, AttributeError):
            pass
    return total


def children(pid):
    out = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return [int(p) for p in out]


def kernel_kib(port, origin_port):
    """(sending to clients, receiving from origins): what the proxy's own ends of the sockets hold."""
    text = subprocess.run(["ss", "-tmnH", "state", "connected"], capture_output=True, text=True).stdout
    send = receive = 0
    ours = None
    for line in text.splitlines():
        if not line.startswith((" ", "\t")):
            fields = line.split()
            local, peer = fields[-2], fields[-1]
            ours = local.endswith(f":{port}") or peer.endswith(f":{origin_port}")
        if ours and "skmem:" in line:
            mem = {k: int(v) for k, v in re.findall(r"\b(r|rb|t|tb|f|w|o|bl|d)(\d+)", line.split("skmem:")[1])}
            receive += mem.get("r", 0)
            send += mem.get("w", 0)
    return send / 1024, receive / 1024


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def haproxy(folder, port, origin_port):
    """HAProxy with one thread and a fixed origin: it has no way to dial what a request names without a name server."""
    path = os.path.join(folder, "haproxy.cfg")
    with open(path, "w") as f:
        f.write(f"""global
  nbthread 1
  maxconn 6000
defaults
  mode http
  timeout client 1h
  timeout server 1h
  timeout connect 5s
frontend f
  bind 127.0.0.1:{port} backlog 4096
  default_backend b
backend b
  server o 127.0.0.1:{origin_port}
""")
    return ["haproxy", "-db", "-f", path]


def measure(name, command, args):
    origin, port = Origin(), free_port()
    proxy = subprocess.Popen(command(port, origin.port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    clients = []
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        body = (args.first_mib + args.unread_mib) * MIB
        request = b"GET http://127.0.0.1:%d/%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (origin.port, body, origin.port)
        warm = [ask(port, request) for _ in range(2)]
        for client in warm:
            client.close()
        time.sleep(1)
        before = rss_kib(proxy.pid)
        for _ in range(args.clients):
            client = ask(port, request)
            clients.append(client)
            left = args.first_mib * MIB
            while left > 0:
                got = len(client.recv(min(left, MIB)))
                if not got:
                    raise SystemExit(f"{name}: the response ended early")
                left -= got
        send, receive, user = settled(lambda: (*kernel_kib(port, origin.port), rss_kib(proxy.pid) - before), args.settle)
        n = len(clients)
        print(f"{name:24} per client: user {user / n:8.1f} KiB, kernel sending {send / n:8.1f}, "
              f"kernel receiving {receive / n:8.1f}, sum {(user + send + receive) / n:8.1f}", flush=True)
        return (user + send + receive) / n, user / n
    finally:
        for client in clients:
            client.close()
        proxy.terminate()
        proxy.wait(20)
        origin.sock.close()


def settled(figures, patience):
    """The figures once their sum has stood still for `patience` seconds: what an origin still pours in would be missed."""
    last, since, until = None, time.monotonic(), time.monotonic() + 120
    while time.monotonic() < until:
        now = figures()
        if last is None or abs(sum(now) - sum(last)) > 0.01 * sum(last):
            last, since = now, time.monotonic()
        elif time.monotonic() - since > patience:
            return now
        time.sleep(0.5)
    return last


def ask(port, request):
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(request)
    return client


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--proxy", action="append", default=[], help="name=command with {port}")
    ap.add_argument("--haproxy", action="store_true", help="beside HAProxy, in the same run")
    ap.add_argument("--clients", type=int, default=300)
    ap.add_argument("--first-mib", type=int, default=0, help="read this much at full speed first")
    ap.add_argument("--unread-mib", type=int, default=16)
    ap.add_argument("--settle", type=float, default=4, help="seconds without change before it is measured")
    args = ap.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as folder:
        if args.haproxy:
            measure("haproxy", lambda port, origin_port: haproxy(folder, port, origin_port), args)
        for proxy in args.proxy:
            name, command = proxy.split("=", 1)
            measure(name, lambda port, _, command=command: shlex.split(command.replace("{port}", str(port))), args)


if __name__ == "__main__":
    sys.exit(main())
