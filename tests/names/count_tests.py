"""How often servers are asked."""
import socket
import time

import machine
from check import check, eventually, test
from crowd import all_at_once
from proxy import HTTP, Origins, Proxy, answer, get
from server import Server


def scene(binary, zone, *flags, **files):
    machine.configure(**files)
    Origins()
    return Server(zone), Proxy(binary, *flags)


def asked_once_each(server, name):
    for kind in ("A", "AAAA"):
        times = len(server.questions(kind, name))
        check(times == 1, f"{times} questions for {name} {kind}, not 1")


@test
def one_cold_name(binary):
    """50 clients that want the same unknown name cause one question for each family."""
    server, proxy = scene(binary, "cold.test delay=300 127.0.0.5 fd00:5::5")
    told = all_at_once(proxy, ["cold.test"] * 50)
    check(all(one.reached in ("fd00:5::5", "127.0.0.5") for one in told), f"not all were served: {told[0]}")
    asked_once_each(server, "cold.test")


@test
def first_client_leaves(binary):
    """A look-up that several wait for goes on when the client has left that caused it."""
    server, proxy = scene(binary, "cold.test delay=500 127.0.0.5")
    first, second = proxy.connect("cold.test"), proxy.connect("cold.test")
    eventually(lambda: server.questions(), 5, "nothing was asked")
    first.close()
    check(answer(second, time.monotonic()).reached == "127.0.0.5", "the other client was not served")
    asked_once_each(server, "cold.test")


@test
def all_clients_leave(binary):
    """A look-up that nobody waits for ends at once."""
    server, proxy = scene(binary, "silent")
    check(proxy.ask("127.0.0.5").reached, "an address is not served")
    before = proxy.descriptors()
    clients = [proxy.connect(f"n{n}.test") for n in range(40)]
    eventually(lambda: server.questions(), 5, "nothing was asked")
    for client in clients:
        client.close()
    eventually(lambda: proxy.descriptors() <= before + 2, 2, lambda: f"{proxy.descriptors()} descriptors are open; before: {before}")


@test
def kept_while_it_lives(binary):
    """20 requests within the TTL cause one question for each family, of which one has no address."""
    server, proxy = scene(binary, "web.test 127.0.0.5")
    for _ in range(20):
        check(proxy.ask("web.test").reached == "127.0.0.5", "it is not served")
    asked_once_each(server, "web.test")


@test
def not_kept_longer(binary):
    """When the TTL is over, the new address counts."""
    server, proxy = scene(binary, "web.test ttl=1 127.0.0.5")
    check(proxy.ask("web.test").reached == "127.0.0.5", "it is not served")
    server.told("web.test ttl=1 127.0.0.6")
    time.sleep(1.2)
    eventually(lambda: proxy.ask("web.test").reached == "127.0.0.6", 2, "the old address is used")


@test
def nxdomain_kept(binary):
    """20 requests for a name that does not exist cause one question for each family."""
    server, proxy = scene(binary, "")
    for _ in range(20):
        told = proxy.ask("gone.test")
        check(told.status == 502, f"{told} instead of 502")
    asked_once_each(server, "gone.test")


@test
def nxdomain_at_once(binary):
    """20 at once for a name that does not exist, and 20 behind them, cause one question for each family."""
    server, proxy = scene(binary, "gone.test delay=200 nx")
    for _ in range(2):
        check(all(told.status == 502 for told in all_at_once(proxy, ["gone.test"] * 20)), "not all were refused")
    asked_once_each(server, "gone.test")


@test
def nxdomain_searched(binary):
    """20 requests for a short name that does not exist cause one question for each candidate and family."""
    server, proxy = scene(binary, "", resolv="nameserver 127.0.0.1\nsearch lan.test corp.test\n")
    for _ in range(20):
        proxy.ask("gone")
    for name in ("gone.lan.test", "gone.corp.test", "gone"):
        asked_once_each(server, name)


@test
def nodata_kept(binary):
    """20 requests for a name without addresses cause one question for each family."""
    server, proxy = scene(binary, "gone.test nodata")
    for _ in range(20):
        proxy.ask("gone.test")
    asked_once_each(server, "gone.test")


def found_after(binary, zone, seconds):
    """A name that does not exist, then does, is found after so many seconds; before, nobody is asked again."""
    server, proxy = scene(binary, zone)
    check(proxy.ask("new.test").status == 502, "it exists")
    server.told("new.test 127.0.0.5")
    began = time.monotonic()
    eventually(lambda: proxy.ask("new.test").reached, seconds + 2, "it is not found")
    return time.monotonic() - began


@test
def denied_as_long_as_the_soa_says(binary):
    """That a name does not exist is true as long as the SOA says."""
    took = found_after(binary, "new.test nx soa=2", 2)
    check(took > 1, f"it was asked for again after {took:.1f} s of 2")


@test
def denied_for_30_s_at_most(binary):
    """That a name does not exist is true for 30 s at most, also if the SOA says an hour."""
    took = found_after(binary, "new.test nx soa=3600", 30)
    check(took > 5, f"it was asked for again after {took:.1f} s")


@test
def denied_without_soa(binary):
    """Without a SOA it is not kept that a name does not exist (RFC 2308 §5)."""
    found_after(binary, "new.test nx no-soa", 0)


@test
def failure_not_kept(binary):
    """That a server failed is not held against a name for long."""
    found_after(binary, "new.test servfail", 0)


@test
def stale_while_servers_fail(binary):
    """When no server answers any more, what was known is used a little longer (RFC 8767)."""
    server, proxy = scene(binary, "web.test ttl=1 127.0.0.5", resolv="nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    check(proxy.ask("web.test").reached == "127.0.0.5", "it is not served")
    for failure in ("servfail", "silent"):
        server.told(failure)
        time.sleep(1.2)
        told = proxy.ask("web.test")
        check(told.reached == "127.0.0.5" and told.seconds < 4, f"{failure}: {told}")


def kept_connection(binary, change, **files):
    """A client that asks all the while over kept connections is led elsewhere once the name is."""
    server, proxy = scene(binary, "web.test ttl=1 127.0.0.5", **files)
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        def reached():
            time.sleep(0.1)
            return get(client, "web.test", HTTP).reached

        check(reached() == "127.0.0.5" == reached(), "it is not served")
        change(server)
        eventually(lambda: reached() == "127.0.0.6", 6, "the old connection is used")


@test
def kept_connection_follows_the_name(binary):
    """A kept connection that is busy is left when its name has another address."""
    kept_connection(binary, lambda server: server.told("web.test ttl=1 127.0.0.6"))


@test
def kept_connection_follows_hosts(binary):
    """A kept connection that is busy is left when hosts says another address."""
    kept_connection(binary, lambda _: machine.configure(hosts="127.0.0.6 web.test\n"), hosts="127.0.0.5 web.test\n")


@test
def hosts_never_asked(binary):
    """A name in hosts is never asked of a server, however often and by how many."""
    server, proxy = scene(binary, "* 127.0.0.9", hosts="127.0.0.5 web web.test\n",
                          resolv="nameserver 127.0.0.1\nsearch lan.test corp.test\noptions ndots:5\n")
    for told in all_at_once(proxy, ["web", "web.test", "WEB"] * 10):
        check(told.reached == "127.0.0.5", f"it leads to {told}")
    check(not server.asked, f"asked: {server.asked[:1]}")
