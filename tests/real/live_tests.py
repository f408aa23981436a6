"""Traffic that is only right when it is at once: WebSocket and Server-Sent Events."""
import contextlib
import os
import socket
import ssl
import statistics
import time
from urllib.parse import urlsplit

import websocket
from curl_tests import streaming
from kit import check, equal, test
from pattern import MIB

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@test()
def websocket_absolute_form(lab):
    """Programs that open ws:// through the proxy without a tunnel would not get their connection."""
    with connected(lab) as sock:
        converse(sock, lab.origin + "/ws", urlsplit(lab.origin).netloc)


@test()
def websocket_tunnel(lab):
    """ws:// as browsers open it through a proxy, by CONNECT, would not work."""
    host = urlsplit(lab.origin).netloc
    with connected(lab) as sock:
        open_tunnel(sock, host)
        converse(sock, "/ws", host)


@test()
def websocket_tls(lab):
    """wss:// would not work: chat, live pages, developers' tools."""
    host = urlsplit(lab.nginx.https).netloc
    with connected(lab) as sock:
        open_tunnel(sock, host)
        trust = ssl.create_default_context(cafile=lab.nginx.ca)
        with trust.wrap_socket(sock, server_hostname="127.0.0.1") as secure:
            converse(secure, "/behind/ws", host)


@contextlib.contextmanager
def connected(lab):
    """A connection to the proxy; the time-out makes a lost frame a failure and not a hang."""
    with socket.create_connection(("127.0.0.1", lab.proxy.port), 10) as sock:
        yield sock


def open_tunnel(sock, host):
    sock.sendall(f"CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    # Unbuffered: what the origin says behind this head belongs to the next reader.
    with sock.makefile("rb", 0) as stream:
        status, _ = read_head(stream)
    check(status.split()[1] == "200", f"CONNECT was answered {status!r}")


def converse(sock, target, host):
    """Handshake, texts and binaries of the sizes where the frame's head changes, ping, close."""
    with sock.makefile("rwb") as stream:
        stream.write((f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        stream.flush()
        status, fields = read_head(stream)
        check(status.startswith("HTTP/1.1 101"), f"the handshake was answered {status!r}")
        equal("Sec-WebSocket-Accept", fields.get("sec-websocket-accept"), websocket.accept_key(KEY))
        check("upgrade" in fields.get("connection", "").lower(), "the 101 lacks Connection: upgrade")
        for size in (0, 5, 125, 126, 65535, 65536, 2 * MIB):
            echoed(stream, websocket.BINARY, os.urandom(size), websocket.BINARY)
        echoed(stream, websocket.TEXT, "ünïcödé".encode(), websocket.TEXT)
        echoed(stream, websocket.PING, b"there?", websocket.PONG)
        echoed(stream, websocket.CLOSE, b"\x03\xe8", websocket.CLOSE)
        equal("what came after the close frame", stream.read(), b"")


def echoed(stream, opcode, payload, answer):
    websocket.write_frame(stream, opcode, payload, masked=True)
    got = websocket.read_frame(stream)
    check(got == (answer, payload), f"frame {opcode} of {len(payload)} bytes came back as {got[0]} of {len(got[1])}")


def read_head(stream):
    """(status line, fields by lower-case name)"""
    status = stream.readline().decode().strip()
    lines = iter(lambda: stream.readline().decode().strip(), "")
    return status, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


@test()
def sse_prompt(lab):
    """Live events, logs and the words of a language model would come in lumps instead of as they are made."""
    events_arrive(lab, lab.origin + "/events")


@test()
def sse_prompt_until_close(lab):
    """Live events of a simple server, which ends its answer by closing, would come in lumps."""
    events_arrive(lab, lab.origin + "/events", "&framing=close")


@test()
def sse_prompt_https(lab):
    """Live events by https would come in lumps."""
    events_arrive(lab, lab.nginx.behind("/events"))


def events_arrive(lab, url, query=""):
    """20 events, 100 ms apart. A busy machine may delay one of them; nothing may delay them as a rule."""
    count = 20
    child = streaming(lab, f"{url}?count={count}&every=0.1{query}")
    delays = []
    for line in iter(child.stdout.readline, b""):
        if line.startswith(b"data:"):
            delays.append((time.monotonic_ns() - int(line.removeprefix(b"data:"))) / 1e6)
    equal("events that arrived", len(delays), count)
    late = sum(delay > 200 for delay in delays)
    measured = f"median {statistics.median(delays):.0f} ms, worst {max(delays):.0f} ms, {late} later than 200 ms"
    check(statistics.median(delays) < 100 and late <= 1 and max(delays) < 1000, measured)
