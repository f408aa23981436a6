#!/usr/bin/env python3
"""The origin for what nginx cannot do: upload digests, endless patterns, events, WebSocket echo, git over http.

Runs as a process of its own, so that its work does not disturb the tests' clocks. Prints its port.
"""
import argparse
import hashlib
import json
import os
import subprocess
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import websocket
from pattern import BLOCK, pattern


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0
    disable_nagle_algorithm = True

    def do_GET(self):
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path.startswith("/git/"):
            return self.git(url)
        pages = {"/echo": self.echo, "/pattern": self.pattern, "/events": self.events, "/ws": self.websocket}
        return pages.get(url.path, self.unknown)(query)

    def do_POST(self):
        url = urlsplit(self.path)
        return self.git(url) if url.path.startswith("/git/") else self.upload()

    def do_PUT(self):
        self.upload()

    def unknown(self, _query):
        self.send_error(404)

    def echo(self, _query):
        """What arrived here, as the origin sees it."""
        self.answer_json({"line": self.requestline, "fields": self.headers.items(), "peer": self.client_address[1]})

    def upload(self):
        sha, total = hashlib.sha256(), 0
        for piece in self.body():
            sha.update(piece)
            total += len(piece)
        self.answer_json({"sha256": sha.hexdigest(), "bytes": total, "chunked": self.chunked()})

    def pattern(self, query):
        """?bytes=N, with &framing=chunked or &framing=close; &every=S pauses after each 256 KiB."""
        size, framing = int(query["bytes"]), query.get("framing", "length")
        self.send_response(200)
        if framing == "length":
            self.send_header("Content-Length", str(size))
        self.begin_stream(framing)
        for piece in pattern(size):
            self.send_piece(piece, framing)
            time.sleep(float(query.get("every", 0)))
        self.end_stream(framing)

    def events(self, query):
        """?count=N&every=S: Server-Sent Events, each with the moment at which it was sent."""
        framing = query.get("framing", "chunked")
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.begin_stream(framing)
        for _ in range(int(query["count"])):
            time.sleep(float(query["every"]))
            self.send_piece(f"data: {time.monotonic_ns()}\n\n".encode(), framing)
        self.end_stream(framing)

    def websocket(self, _query):
        key = self.headers.get("Sec-WebSocket-Key")
        if not key or self.headers.get("Upgrade", "").lower() != "websocket":
            return self.send_error(400, "not a WebSocket handshake")
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"),
                            ("Sec-WebSocket-Accept", websocket.accept_key(key))):
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        opcode = None
        while opcode != websocket.CLOSE:
            opcode, payload = websocket.read_frame(self.rfile)
            reply = websocket.PONG if opcode == websocket.PING else opcode
            websocket.write_frame(self.wfile, reply, payload, masked=False)

    def git(self, url):
        """git-http-backend by CGI."""
        fields = {"REQUEST_METHOD": self.command, "PATH_INFO": url.path.removeprefix("/git"), "QUERY_STRING": url.query,
                  "CONTENT_TYPE": self.headers.get("Content-Type", ""), "REMOTE_ADDR": "127.0.0.1",
                  "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "GIT_PROJECT_ROOT": self.server.git_root,
                  "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""), "GIT_HTTP_EXPORT_ALL": "1"}
        cgi = subprocess.Popen(["git", "http-backend"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | fields)
        for piece in self.body():
            cgi.stdin.write(piece)
        cgi.stdin.close()
        self.relay_cgi(cgi)

    def relay_cgi(self, cgi):
        head = list(iter(lambda: cgi.stdout.readline().strip().decode(), ""))
        status = [line.split(None, 2) for line in head if line.startswith("Status:")]
        self.send_response(int(status[0][1]) if status else 200)
        for name, value in (line.split(": ", 1) for line in head if not line.startswith("Status:")):
            self.send_header(name, value)
        self.begin_stream("chunked")
        for piece in iter(lambda: cgi.stdout.read1(BLOCK), b""):
            self.send_piece(piece, "chunked")
        self.end_stream("chunked")
        cgi.wait()

    def chunked(self):
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def body(self):
        if not self.chunked():
            yield from self.exactly(int(self.headers.get("Content-Length", 0)))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield from self.exactly(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def exactly(self, size):
        while size:
            piece = self.rfile.read(min(size, BLOCK))
            if not piece:
                raise EOFError("the request's body ended early")
            size -= len(piece)
            yield piece

    def answer_json(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def begin_stream(self, framing):
        if framing == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        elif framing == "close":
            self.send_header("Connection", "close")
        self.end_headers()

    def send_piece(self, piece, framing):
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if framing == "chunked" else piece)

    def end_stream(self, framing):
        if framing == "chunked":
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        """A client that leaves in the middle is no news."""


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--git-root", required=True)
    server = Server(("127.0.0.1", 0), Handler)
    server.git_root = parser.parse_args().git_root
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
