"""Servers and files that fail while requests come, and come back: two seconds later all is well, and one line was said."""
import os
import socket
import time

import machine
from check import check, eventually, test
from crowd import Load
from proxy import CLOSED, Origins, Proxy, get
from server import Server

QUICK = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"
RECOVERY = 2


def start(binary, zone="* 127.0.0.5", resolv=QUICK, **files):
    machine.configure(resolv=resolv, **files)
    Origins()
    server, proxy = Server(zone) if zone else None, Proxy(binary)
    return server, proxy


def leads(proxy, address, tag, seconds=RECOVERY):
    """Within so many seconds, names that nobody has asked for lead there, and all do from then on."""
    tries = iter(range(10**6))
    eventually(lambda: proxy.ask(f"{tag}{next(tries)}.test").reached == address, seconds, f"{tag}: names do not lead to {address}")
    for n in range(3):
        told = proxy.ask(f"{tag}-then{n}.test")
        check(told.reached == address, f"{tag}: {told}, after it had led to {address}")


def one_warning(proxy, word):
    lines = proxy.warnings(word)
    check(len(lines) == 1, f"{len(lines)} lines say {word!r}, not 1: {lines[:3]}; all: {proxy.says()[-500:]}")


def server_fails(binary, failure):
    server, proxy = start(binary)
    with Load(proxy):
        leads(proxy, "127.0.0.5", "before")
        server.told(failure)
        time.sleep(2)
        server.told("* 127.0.0.6")
        leads(proxy, "127.0.0.6", "after")


@test
def server_silent_and_back(binary):
    """A server that was silent is asked again when it answers."""
    server_fails(binary, "silent")


@test
def server_refusing_and_back(binary):
    """A server that refused is asked again when it answers."""
    server_fails(binary, "refused")


@test
def server_failing_and_back(binary):
    """A server that failed is asked again when it answers."""
    server_fails(binary, "servfail")


@test
def server_lying_and_back(binary):
    """A server whose answers were forged is asked again when they are not."""
    server_fails(binary, "* lie-id lie-name only-lies 127.0.0.5")


@test
def server_garbled_and_back(binary):
    """A server whose answers could not be read is asked again when they can."""
    server_fails(binary, "* loop 127.0.0.5")


@test
def server_gone_and_back(binary):
    """A server at which nobody listened is asked again when somebody does; meanwhile clients are told at once."""
    _, proxy = start(binary, zone="")
    for n in range(3):
        told = proxy.ask(f"gone{n}.test")
        check(told.status in (502, 504) and told.seconds < 1, f"nobody listens: {told}")
    Server("* 127.0.0.5")
    leads(proxy, "127.0.0.5", "after")


@test
def forged_never_reached(binary):
    """An address that was forged with another id, or for another name, is never reached."""
    _, proxy = start(binary, "* lie-id lie-name delay=5 127.0.0.5")
    for n in range(30):
        told = proxy.ask(f"n{n}.test")
        check(told.reached == "127.0.0.5", f"it leads to {told}")


def resolv_changes(binary, change, address):
    """While requests come, resolv.conf changes; from then on names lead to `address`."""
    _, proxy = start(binary)
    Server("* 127.0.0.6", "127.0.0.2")
    with Load(proxy):
        leads(proxy, "127.0.0.5", "before")
        change()
        leads(proxy, address, "changed")
        time.sleep(1.5)
        leads(proxy, address, "later")
        machine.configure(resolv="nameserver 127.0.0.2\n")
        leads(proxy, "127.0.0.6", "after")


@test
def resolv_replaced(binary):
    """A resolv.conf that replaces the old one counts within 2 s."""
    resolv_changes(binary, lambda: machine.configure(resolv="nameserver 127.0.0.2\n"), "127.0.0.6")


@test
def resolv_written_in_place(binary):
    """A resolv.conf that is written over the old one counts within 2 s."""
    def change():
        with open("/etc/resolv.conf", "w") as file:
            file.write("nameserver 127.0.0.2\n")

    resolv_changes(binary, change, "127.0.0.6")


@test
def resolv_replaced_by_an_older(binary):
    """A resolv.conf of the same length and the same age counts within 2 s."""
    def change():
        now = os.stat("/etc/resolv.conf")
        machine.write("resolv.conf.2", QUICK.replace("127.0.0.1", "127.0.0.2"))
        os.utime("/etc/resolv.conf.2", ns=(now.st_atime_ns, now.st_mtime_ns))
        os.rename("/etc/resolv.conf.2", "/etc/resolv.conf")
        check(os.stat("/etc/resolv.conf").st_mtime_ns == now.st_mtime_ns, "the test could not keep the time")

    resolv_changes(binary, change, "127.0.0.6")


@test
def resolv_link_changed(binary):
    """A resolv.conf that a symbolic link leads to counts within 2 s of the link's change."""
    machine.write("a.conf", QUICK)
    machine.write("b.conf", QUICK.replace("127.0.0.1", "127.0.0.2"))
    at = time.time()
    for name in ("a.conf", "b.conf"):
        os.utime(f"/etc/{name}", (at, at))

    def link(name):
        os.symlink(name, "/etc/new")
        os.rename("/etc/new", "/etc/resolv.conf")

    _, proxy = start(binary)
    Server("* 127.0.0.6", "127.0.0.2")
    link("a.conf")
    with Load(proxy):
        leads(proxy, "127.0.0.5", "before")
        time.sleep(1.2)
        link("b.conf")
        leads(proxy, "127.0.0.6", "after")


@test
def resolv_emptied(binary):
    """A resolv.conf that is emptied means the server on 127.0.0.1."""
    _, proxy = start(binary, resolv="nameserver 127.0.0.2\n")
    Server("* 127.0.0.6", "127.0.0.2")
    with Load(proxy):
        leads(proxy, "127.0.0.6", "before")
        machine.configure(resolv="")
        leads(proxy, "127.0.0.5", "emptied")
        machine.configure(resolv="nameserver 127.0.0.2\n")
        leads(proxy, "127.0.0.6", "after")


@test
def resolv_malformed(binary):
    """A resolv.conf of nonsense spoils nothing: what can be read in it counts."""
    nonsense = b"\xff\xfe\0nonsense\nsearch \xe4..\n options ndots:x timeout:-1 attempts:99999999999 \nnameserver 300.1.1.1\nnameserver 127.0.0.2\n"
    resolv_changes(binary, lambda: machine.configure(resolv=nonsense), "127.0.0.6")


def unreadable(name):
    """In its place stands what cannot be read, for root neither."""
    os.rename(f"/etc/{name}", f"/etc/{name}.kept")
    os.mkdir(f"/etc/{name}")


def readable_again(name):
    os.rmdir(f"/etc/{name}")
    os.rename(f"/etc/{name}.kept", f"/etc/{name}")


@test
def resolv_unreadable(binary):
    """While resolv.conf cannot be read, what was known is kept, and that is said once."""
    _, proxy = start(binary, resolv="nameserver 127.0.0.2\n")
    Server("* 127.0.0.6", "127.0.0.2")
    with Load(proxy):
        leads(proxy, "127.0.0.6", "before")
        unreadable("resolv.conf")
        time.sleep(2.5)
        leads(proxy, "127.0.0.6", "unreadable")
        one_warning(proxy, "resolv.conf")
        readable_again("resolv.conf")
        machine.configure(resolv=QUICK)
        leads(proxy, "127.0.0.5", "after")


@test
def resolv_removed(binary):
    """A resolv.conf that is removed is as an empty one, as it is for getaddrinfo."""
    _, proxy = start(binary, resolv="nameserver 127.0.0.2\n")
    Server("* 127.0.0.6", "127.0.0.2")
    with Load(proxy):
        leads(proxy, "127.0.0.6", "before")
        os.remove("/etc/resolv.conf")
        leads(proxy, "127.0.0.5", "removed", 2 * RECOVERY)
        machine.configure(resolv="nameserver 127.0.0.2\n")
        leads(proxy, "127.0.0.6", "after")


@test
def hosts_unreadable(binary):
    """While hosts cannot be read, what was known of it is kept, no name in it is asked for, and that is said once."""
    server, proxy = start(binary, "*.load.test 127.0.0.5\nweb.test 127.0.0.9", hosts="127.0.0.6 web.test\n")
    with Load(proxy):
        check(proxy.ask("web.test").reached == "127.0.0.6", "hosts does not count")
        unreadable("hosts")
        for _ in range(25):
            told = proxy.ask("web.test")
            check(told.reached == "127.0.0.6", f"it leads to {told}")
            time.sleep(0.1)
        one_warning(proxy, "/etc/hosts")
        readable_again("hosts")
        machine.configure(hosts="127.0.0.7 web.test\n")
        eventually(lambda: proxy.ask("web.test").reached == "127.0.0.7", RECOVERY, "the new hosts does not count")
    check(not server.questions(name="web.test"), "a server was asked for a name in hosts")


@test
def hosts_replaced(binary):
    """A line of hosts that comes, changes or goes counts within 2 s."""
    _, proxy = start(binary, "* 127.0.0.5")
    for hosts, address in (("127.0.0.6 web.test\n", "127.0.0.6"), ("127.0.0.7 web.test\n", "127.0.0.7"), ("", "127.0.0.5")):
        machine.configure(hosts=hosts)
        eventually(lambda: proxy.ask("web.test").reached == address, RECOVERY, f"it does not lead to {address}")


@test
def descriptors_gone_and_back(binary):
    """A shortage of descriptors while files change: clients are told at once, and all is well 2 s after it."""
    _, proxy = start(binary)
    Server("* 127.0.0.6", "127.0.0.2")
    leads(proxy, "127.0.0.5", "before")
    clients = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(6)]
    for client in clients:  # told that nobody listens there, they may ask again
        check(get(client, "127.0.0.5", CLOSED).status == 502, "a client is not told that nobody listens")
    machine.configure(resolv="nameserver 127.0.0.2\n")
    was = proxy.limit(proxy.descriptors())
    time.sleep(1.2)
    for n, client in enumerate(clients):
        told = get(client, f"short{n}.test", CLOSED)
        check(told.status in (502, 503, 504) and told.seconds < 6, f"without descriptors: {told}")
    proxy.limit(was)
    leads(proxy, "127.0.0.6", "after")
    check(proxy.alive(), f"the proxy is not well: {proxy.says()}")
    check(len(proxy.says().splitlines()) < 12, f"it says too much: {proxy.says()[-1000:]}")
