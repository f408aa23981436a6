"""Flow control where only a kernel shows it: what slow and vanished peers cost, beside HAProxy in the same run."""
import argparse
import fcntl
import hashlib
import re
import resource
import socket
import statistics
import struct
import subprocess
import termios
import threading
import time

import slow_readers
from kit import check, equal, eventually, test

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
BUFFER = 16 * KIB  # --client-buffer


@test(limit=200, needs=("haproxy", "ss"))
def flow_clients_that_never_read(lab):
    """300 clients that ask and never read would cost megabytes each, in the kernel if not in the proxy."""
    beside_haproxy(lab, clients=300, first_mib=0, unread_mib=16)


@test(limit=200, needs=("haproxy", "ss"))
def flow_clients_that_stop_reading(lab):
    """A client that stops after 200 MiB at full speed would leave buffers grown to that speed behind."""
    beside_haproxy(lab, clients=30, first_mib=200, unread_mib=64)


def beside_haproxy(lab, **sizes):
    args = argparse.Namespace(settle=4, **sizes)
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    ours = [lab.binary, "--quiet", "--workers", "1", "--listen"]
    theirs = slow_readers.measure("haproxy", lambda *ports: slow_readers.haproxy(lab.dir, *ports), args)
    total, user = slow_readers.measure("sluicegate", lambda port, _: [*ours, f"127.0.0.1:{port}"], args)
    check(total <= theirs[0] / 5, f"{total:.0f} KiB per client, more than a fifth of HAProxy's {theirs[0]:.0f}")
    bound = explained(lab)
    check(user * KIB <= bound, f"{user:.0f} KiB of user memory per client, over the bound of {bound} bytes")


def explained(lab):
    out = subprocess.run([lab.binary, "--explain-memory"], capture_output=True, text=True, check=True).stdout
    return int(re.search(r"(\d+) bytes", out)[1])


@test(limit=90, needs=())
def flow_idle_clients(lab):
    """5,000 clients that keep their connections open would cost more than 2 KiB each."""
    origin, proxy = Scripted(answer_each), lab.start_proxy("--listen", "127.0.0.1:0", "--workers", "1")
    request = b"GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % origin.port
    clients = []
    try:
        for client in [asked(proxy, request) for _ in range(50)]:
            client.close()
        time.sleep(1)
        before = proxy.resident()
        clients += [asked(proxy, request) for _ in range(5000)]
        cost = eventually(lambda: per_client(proxy, before, 5000), 20, "an idle client costs more than 2 KiB")
        print(f"     {cost:.0f} bytes of resident memory per idle client", flush=True)
    finally:
        for client in clients:
            client.close()


def per_client(proxy, before, clients):
    cost = (proxy.resident() - before) * KIB / clients
    return cost if cost <= 2 * KIB else None


def asked(proxy, request):
    client = socket.create_connection(("127.0.0.1", proxy.port))
    client.sendall(request)
    check(client.recv(65536).startswith(b"HTTP/1.1 200"), "a small request was not answered")
    return client


@test(limit=120, needs=("ss",))
def flow_pipelining_client_that_never_reads(lab):
    """A client could fill the proxy with 100,000 requests whose responses it does not read."""
    count, seen = 100_000, []

    def numbered(conn):
        for head in heads(conn):
            seen.append(int(re.search(rb"/(\d+) ", head)[1]))
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n%01000d" % seen[-1])

    origin = Scripted(numbered)
    client = socket.create_connection(("127.0.0.1", lab.proxy.port))
    request = b"GET http://127.0.0.1:%d/%06d HTTP/1.1\r\nHost: x\r\n\r\n"
    wanted = b"".join(request % (origin.port, n) for n in range(count))
    sent = pour(client, wanted)
    taken = taken_from(client, sent, lab.proxy.port)
    per_request = len(request % (origin.port, 0))
    check(taken <= len(seen) * per_request + BUFFER, f"{taken} bytes taken, {len(seen)} requests of {per_request} dispatched")
    check(len(seen) < count, "all were answered: nothing was held back")
    rest = threading.Thread(target=lambda: client.sendall(wanted[sent:]), daemon=True)
    client.setblocking(True)
    rest.start()
    stream = client.makefile("rb")
    for n in range(count):
        while stream.readline().strip():
            pass
        equal("the order of the responses", int(stream.read(1000)), n)
    equal("the requests that the origin saw", seen, list(range(count)))
    client.close()


@test(limit=120, needs=("ss",))
def flow_upload_behind_a_slow_request(lab):
    """An upload pipelined behind a request that the origin still thinks about would be taken into memory."""
    for leaves in (True, False):
        go, closed, digest = threading.Event(), threading.Event(), []
        origin = Scripted(lambda conn: think_then_take(conn, go, closed, digest))
        client = socket.create_connection(("127.0.0.1", lab.proxy.port))
        url = b"http://127.0.0.1:%d" % origin.port
        get = b"GET %s/slow HTTP/1.1\r\nHost: x\r\n\r\n" % url
        put = b"PUT %s/big HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (url, GIB)
        client.sendall(get + put)
        sent = pour(client, slow_readers.CHUNK * 64)
        taken = taken_from(client, len(get + put) + sent, lab.proxy.port) - len(get)
        check(taken <= BUFFER, f"{taken} bytes of the upload were taken while its turn had not come")
        if leaves:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            check(closed.wait(5), "the origin still thinks about a request whose client has gone")
            continue
        go.set()
        client.setblocking(True)
        whole = hashlib.sha256(slow_readers.CHUNK * 64)
        client.sendall((slow_readers.CHUNK * 64)[sent:])
        for _ in range(GIB // MIB - 64):
            client.sendall(slow_readers.CHUNK)
            whole.update(slow_readers.CHUNK)
        stream = client.makefile("rb")
        for which in ("first", "second"):
            check(stream.readline().startswith(b"HTTP/1.1 200 "), f"the {which} answer did not come")
            while stream.readline().strip():
                pass
            equal(f"the {which} answer", stream.read(2), b"ok")
        equal("the digest of the upload", digest, [whole.hexdigest()])
        client.close()


def think_then_take(conn, go, closed, digest):
    stream = conn.makefile("rb")
    while stream.readline().strip():
        pass
    while not go.wait(0.01):
        if gone(conn):
            closed.set()
            return
    answer(conn)
    length = 0
    while line := stream.readline().strip():
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    whole = hashlib.sha256()
    while length:
        some = stream.read(min(length, MIB))
        whole.update(some)
        length -= len(some)
    digest.append(whole.hexdigest())
    answer(conn)


@test(limit=120, needs=())
def flow_client_that_leaves(lab):
    """The origin would go on working for a client that has gone, with anything pipelined behind its request."""
    report = []
    for how in ("FIN", "RST"):
        for behind in (0, 1, 8 * KIB, 16 * KIB, 60 * KIB):
            times = sorted(leaving(lab, how, behind) for _ in range(15))
            report.append(f"{how}+{behind}: {statistics.median(times):.1f}/{times[-1]:.1f}")
            # A calm machine stays under 10 and 50 ms; only the order of magnitude is asked of a busy one.
            check(statistics.median(times) < 100, f"{report[-1]} ms (median/worst)")
    print("     ms until the origin knows, median/worst: " + ", ".join(report), flush=True)


def leaving(lab, how, behind):
    """Milliseconds from a client's leaving to its origin's connection having ended."""
    asked, ended = threading.Event(), []

    def think(conn):
        next(heads(conn))
        asked.set()
        while not gone(conn):
            time.sleep(0.0005)
        ended.append(time.monotonic())

    origin = Scripted(think)
    client = socket.create_connection(("127.0.0.1", lab.proxy.port))
    client.sendall(b"GET http://127.0.0.1:%d/ HTTP/1.1\r\nHost: x\r\n\r\n" % origin.port)
    check(asked.wait(5), "the request did not arrive")
    client.sendall(b"G" * behind)
    time.sleep(0.02)
    if how == "RST":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    left = time.monotonic()
    client.close()
    eventually(lambda: ended, 5, f"{how} with {behind} bytes behind: the origin was not told")
    origin.sock.close()
    return (ended[0] - left) * 1000


class Scripted:
    """An origin on loopback: `script` gets each connection, in a thread of its own."""

    def __init__(self, script):
        self.script = script
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.run, args=(conn,), daemon=True).start()

    def run(self, conn):
        try:
            self.script(conn)
        except (OSError, StopIteration):
            pass
        finally:
            conn.close()


def heads(conn):
    stream = conn.makefile("rb")
    while True:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return
            head += line
        yield head


def answer(conn):
    conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def answer_each(conn):
    for _ in heads(conn):
        answer(conn)


def gone(conn):
    """Whether the peer has ended or reset, seen without waiting."""
    try:
        return conn.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def pour(client, data):
    """Sends until nothing has been taken for 1.5 s; how many bytes."""
    client.setblocking(False)
    view, sent, last = memoryview(data), 0, time.monotonic()
    while sent < len(view) and time.monotonic() - last < 1.5:
        try:
            sent += client.send(view[sent:sent + MIB])
            last = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    return sent


def taken_from(client, sent, port):
    """Bytes that the proxy has really read: sent, less what the kernel holds on both sides."""
    unacknowledged = struct.unpack("i", fcntl.ioctl(client, termios.TIOCOUTQ, b"\0" * 4))[0]
    mine = client.getsockname()[1]
    table = subprocess.run(["ss", "-tnH", f"sport = :{port} and dport = :{mine}"], capture_output=True, text=True).stdout
    unread = int(table.split()[1])
    return sent - unacknowledged - unread
