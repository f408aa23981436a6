"""A scripted name server over UDP and TCP that writes down what it was asked.

What it knows is a zone of lines, `NAME [A|AAAA] WORD…`; the first line that fits counts, `*.` fits any labels, and a
name without a line does not exist (with a SOA of 60 s). The words:

    127.0.0.5 fd00:5::1     these addresses; a family of which there are none is 'no data' (with a SOA)
    many=N                  so many addresses, of the family that was asked for
    cname=NAME              an alias; what follows in the line, or NAME's own line, is where it leads
    nx nodata               does not exist; exists, but not with this type
    servfail refused notimp formerr silent garbage
    ttl=N soa=N no-soa      seconds of the records; of the SOA; none
    delay=MS                the answer comes later
    truncated               over UDP; over TCP it is whole
    split                   over TCP in many segments, also within its length
    lie-id lie-name         a forged answer (127.0.0.66) with another id, or to another question, comes first
    only-lies               and the true one never comes
    loop                    the answer's owner is a compression pointer to itself
    stranger                the addresses are those of other.test, without an alias
    stranger-too            there is a forged address of other.test before the true ones
    cut-short               the last four bytes are missing
    tcp-closes              who connects over TCP is sent away without a word
"""
import contextlib
import socket
import struct
import threading
import time
from typing import NamedTuple

import wire

FORGED = ("127.0.0.66", "fd00:5::66")
ALIASES = 40


class Question(NamedTuple):
    when: float
    name: str
    kind: str
    how: str


class Server:
    """zone: lines; or one of the words, for every name. `gate`: holds answers over TCP back before their last byte."""

    def __init__(self, zone, ip="127.0.0.1", gate=None):
        self.asked, self.gate = [], gate
        self.made = {}
        self.told(zone)
        self.udp = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.udp.bind((ip, 53))
        self.tcp = socket.create_server((ip, 53), family=self.udp.family, backlog=1024)
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def told(self, zone):
        """From now on it knows this."""
        lines = [line.split() for line in zone.splitlines() if line.strip()]
        self.lines = lines if any(len(line) > 1 for line in lines) else [["*"] + word for word in lines]

    def questions(self, kind=None, name=None):
        """What it was asked so far."""
        return [asked for asked in list(self.asked) if kind in (None, asked.kind) and name in (None, asked.name)]

    def _words(self, name, kind):
        for pattern, *words in self.lines:
            fits = name == pattern or pattern[0] == "*" and name.endswith(pattern[1:])
            types = words[:1] if words[0] in ("A", "AAAA") else []
            if fits and (not types or types == [kind]):
                return words[len(types):]
        return ["nx"]

    def answers(self, query, how):
        """(seconds to wait, messages) for a query."""
        name, kind, _ = wire.question(query)
        self.asked.append(Question(time.monotonic(), name, kind, how))
        words = tuple(self._words(name, kind))
        key = (query[2:], how, words)
        if key not in self.made:
            self.made[key] = self._script(b"\0\0" + query[2:], name, kind, how, words)
        delay, messages = self.made[key]
        number = struct.unpack("!H", query[:2])[0]
        return delay, [struct.pack("!H", number ^ other) + message[2:] for other, message in messages]

    def _script(self, query, name, kind, how, words):
        told = Told(name, kind)
        told.follow(self, words)
        if told.has("silent"):
            return told.delay, []
        truth = [(0, told.message(query, how))]
        lie = wire.address_records(wire.QUESTION_AT, FORGED, kind, 60)
        if told.has("lie-id"):
            truth.insert(0, (1, wire.reply(query, lie)))
        if told.has("lie-name"):
            other = query[:12] + wire.encode("other.test") + wire.question(query)[2][-4:]
            truth.insert(0, (0, wire.reply(other, lie)))
        return told.delay, truth[:-1] if told.has("only-lies") else truth

    def _serve_udp(self):
        while True:
            query, client = self.udp.recvfrom(4096)
            delay, messages = self.answers(query, "udp")
            if delay:
                threading.Thread(target=self._later, args=(delay, messages, client), daemon=True).start()
            else:
                self._later(0, messages, client)

    def _later(self, delay, messages, client):
        time.sleep(delay)
        for message in messages:
            self.udp.sendto(message, client)

    def _serve_tcp(self):
        while True:
            client, _ = self.tcp.accept()
            threading.Thread(target=self._serve_client, args=(client,), daemon=True).start()

    def _serve_client(self, client):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError), client:
            while len(size := client.recv(2, socket.MSG_WAITALL)) == 2:
                query = client.recv(struct.unpack("!H", size)[0], socket.MSG_WAITALL)
                name, kind, _ = wire.question(query)
                delay, messages = self.answers(query, "tcp")
                if "tcp-closes" in self._words(name, kind):
                    return
                time.sleep(delay)
                for message in messages:
                    self._send(client, struct.pack("!H", len(message)) + message, "split" in self._words(name, kind))

    def _send(self, client, data, split):
        if split:
            for piece in (data[:1], data[1:3], data[3:15], data[15:60], data[60:]):
                client.sendall(piece)
                time.sleep(0.005)
        elif self.gate:
            client.sendall(data[:-1])
            self.gate.wait(10)
            client.sendall(data[-1:])
        else:
            client.sendall(data)


class Told:
    """What the words of a line come to for one question."""

    def __init__(self, name, kind):
        self.owner, self.kind, self.words = name, kind, []
        self.aliases, self.addresses, self.most = [], [], 0
        self.ttl, self.minimum, self.delay = 60, 60, 0

    def has(self, word):
        return word in self.words

    def follow(self, server, words):
        for word in words:
            key, _, value = word.partition("=")
            if key == "ttl":
                self.ttl = int(value)
            elif key == "soa":
                self.minimum = int(value)
            elif key == "delay":
                self.delay = int(value) / 1000
            elif key == "many":
                self.most = int(value)
            elif key == "cname":
                self.aliases.append((self.owner, value))
                self.owner = value
            elif "." in word or ":" in word:
                self.addresses.append(word)
            else:
                self.words.append(word)
        if words[-1].startswith("cname=") and len(self.aliases) < ALIASES:
            self.follow(server, server._words(self.owner, self.kind))

    def records(self):
        owner = wire.encode(self.owner) if self.aliases else wire.QUESTION_AT
        other = wire.encode("other.test")
        owner = other if self.has("stranger") else owner
        prefix = "127.1.%d.%d" if self.kind == "A" else "fd00:6::%x:%x"
        many = [prefix % divmod(n, 250) for n in range(self.most)]
        addresses = wire.address_records(owner, (*self.addresses, *many), self.kind, self.ttl)
        forged = wire.address_records(other, FORGED, self.kind, self.ttl) if self.has("stranger-too") else []
        return [wire.cname(*alias, self.ttl) for alias in self.aliases] + forged + addresses

    def message(self, query, how):
        if self.has("garbage"):
            return query[:12]
        if self.has("loop"):
            at = struct.pack("!H", 0xC000 | len(query[:12] + wire.question(query)[2]))
            return wire.reply(query, wire.address_records(at, tuple(self.addresses), self.kind, self.ttl))
        if self.has("truncated") and how == "udp":
            return wire.reply(query, flags=wire.TRUNCATED)
        code = next((wire.CODES[word] for word in self.words if word in wire.CODES), 0)
        records = self.records()
        empty = code == wire.CODES["nx"] or not code and len(records) == len(self.aliases)
        authority = [wire.soa(self.minimum)] if empty and not self.has("no-soa") else []
        whole = wire.reply(query, records, code=code, authority=authority)
        return whole[:-4] if self.has("cut-short") else whole
