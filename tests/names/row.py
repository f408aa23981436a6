"""One line of the table: what is configured, what is asked for, where that leads; and how it is looked at."""
import time
from dataclasses import dataclass

import machine
from check import check
from proxy import CLOSED, OPEN, Attempts, Origins, Proxy
from server import Server

# The proxy may be so much later than getaddrinfo, in the best of so many tries with a proxy that knows nothing yet.
GRACE, TRIES = 0.05, 5
# No further try is made after so many seconds.
PATIENCE = 8.0
# More addresses of a family are of no use to anyone.
MOST = 16

UNKNOWN = "unknown"     # there is no such name: EAI_NONAME; 502 with dns_error
FAILS = "fails"         # nobody could say: EAI_AGAIN; 502 with dns_error or 504 with dns_timeout
REFUSED = "refused"     # it is not a name: EAI_NONAME; 400
MANY = "many"           # some of those that getaddrinfo gives, at most MOST of a family
RESULTS = {"EAI_NONAME": UNKNOWN, "EAI_NODATA": UNKNOWN, "EAI_AGAIN": FAILS, "EAI_FAIL": FAILS}


@dataclass
class Row:
    """`servers` are zones of the servers `at` these addresses (see server.py; 'closed': nobody listens there).

    `resolv` comes behind their nameserver lines, unless it has some of its own. `leads` are the addresses, or one of the
    words above. `asks` are the names that name servers are asked, each once, in order; the `targets` of aliases may be
    asked for as well. `over`: only so are they asked. `differs` says why getaddrinfo gives `there` instead, and asks something else.
    """

    id: str
    says: str
    name: str
    leads: str
    asks: str = ""
    resolv: str = ""
    hosts: str = ""
    host: str = "box"
    host_conf: str = "multi on\n"
    zone: str = ""
    servers: tuple = ()
    at: tuple = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")
    over: str = ""
    targets: str = ""
    differs: str = ""
    there: str = ""
    group: str = ""

    def zones(self):
        return self.servers or (self.zone,)

    def is_late(self):
        """One family comes so late that the other is not waited for, and for a while only the other is known."""
        return "delay=" in self.zone

    def resolv_conf(self):
        if "nameserver" in self.resolv or self.resolv == "-":
            return self.resolv.lstrip("-")
        return "".join(f"nameserver {ip}\n" for _, ip in zip(self.zones(), self.at)) + self.resolv


class Scene:
    """A row's machine: its files, name servers and origins; and what has been seen there."""

    def __init__(self, row, binary):
        self.row, self.binary = row, binary
        machine.configure(row.resolv_conf(), row.hosts, row.host)
        machine.write("host.conf", row.host_conf)
        self.servers = [Server(zone, ip) for zone, ip in zip(row.zones(), row.at) if zone != "closed"]
        self.reference, self.reference_seconds, self.reference_asked = None, 1e9, []
        self.told, self.seconds, self.asked, self.ways, self.tried = None, 1e9, [], set(), []
        Origins()
        self.attempts = Attempts()

    def ask_getaddrinfo(self):
        self._forget()
        self.reference, seconds = machine.getaddrinfo(self.row.name)
        self.reference_seconds = min(seconds, self.reference_seconds)
        self.reference_asked = self._names()

    def ask_proxy(self):
        """A fresh one, which does not know the name."""
        self._forget()
        with Proxy(self.binary) as proxy:
            self.told = proxy.ask(self.row.name, OPEN)
            self.seconds = min(self.told.seconds, self.seconds)
            self.asked = self._names()
            self.ways = {question.how for server in self.servers for question in server.questions()}
            if self.told.reached and not self.row.is_late():
                self.tried = self.attempts.of(lambda: proxy.ask(self.row.name, CLOSED))
            check(proxy.alive(), f"the proxy is not well: {proxy.says()}")
        if self.row.is_late():
            with Proxy(self.binary) as proxy:
                self.tried = self.attempts.of(lambda: proxy.ask(self.row.name, CLOSED))

    def late(self):
        return self.seconds - self.reference_seconds > GRACE

    def _forget(self):
        for server in self.servers:
            server.asked.clear()

    def _names(self):
        """What all servers were asked for, each name once, in order."""
        every = sorted(question for server in self.servers for question in server.questions())
        return list(dict.fromkeys(question.name for question in every))


def run(row, binary):
    """Raises Failed unless the row holds."""
    began = time.monotonic()
    scene = Scene(row, binary)
    scene.ask_getaddrinfo()
    check_reference(row, scene)
    scene.ask_proxy()
    check_proxy(row, scene)
    tries = 1
    while scene.late() and tries < TRIES and time.monotonic() - began < PATIENCE:
        scene.ask_getaddrinfo()
        scene.ask_proxy()
        tries += 1
    check(not scene.late(), f"too slow: {scene.seconds * 1000:.0f} ms; getaddrinfo: {scene.reference_seconds * 1000:.0f} ms")


def check_reference(row, scene):
    """The row itself is right: this is what getaddrinfo does."""
    leads = row.there if row.differs else row.leads
    check(fits(leads, scene.reference), f"the row is wrong: getaddrinfo gives {shown(scene.reference)}, not {leads}")
    if not row.differs:
        asked = " ".join(scene.reference_asked)
        check(asked == row.asks, f"the row is wrong: getaddrinfo asks for {asked or 'nothing'}, not {row.asks or 'nothing'}")


def fits(leads, reference):
    if isinstance(reference, str):
        return leads == RESULTS[reference] or leads == REFUSED and reference == "EAI_NONAME"
    return leads == MANY or set(leads.split()) == set(reference)


def check_proxy(row, scene):
    told, asked = scene.told, " ".join(name for name in scene.asked if name not in row.targets.split())
    if row.leads in (UNKNOWN, FAILS, REFUSED):
        check(not told.reached and fails_with(told, row.leads), f"{told}, where {row.leads} is right")
    else:
        right = set(scene.reference if row.leads == MANY else row.leads.split())
        check(told.reached in right, f"it leads to {told}, not to {row.leads}; asked: {asked}")
        check(set(scene.tried) == right or row.leads == MANY and set(scene.tried) < right,
              f"it tries {' '.join(scene.tried)}, not {row.leads}")
        families = [":" in address for address in (told.reached, scene.reference[0])]
        check(row.differs or families[0] == families[1] or row.is_late(),
              f"it prefers {told.reached}; getaddrinfo: {scene.reference[0]}")
    check(scene.ways <= {row.over} or not row.over, f"it asks over {scene.ways}, not only over {row.over}")
    check(asked == row.asks, f"it asks for {asked or 'nothing'}, not for {row.asks or 'nothing'}")


def fails_with(told, leads):
    if leads == REFUSED:
        return told.status == 400
    if leads == UNKNOWN:
        return told.status == 502 and "dns_error" in told.text
    return told.status in (502, 504) and "dns_" in told.text


def shown(reference):
    return reference if isinstance(reference, str) else " ".join(reference)
