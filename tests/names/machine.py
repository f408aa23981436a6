"""A machine of the test's own: network, mount and uts namespaces with only loopback, and an /etc that it writes."""
import os
import socket
import subprocess
import sys
import tempfile
import time

OURS = {"resolv.conf", "hosts", "nsswitch.conf", "hostname", "host.conf", "gai.conf"}
LOCAL = "127.0.0.1 localhost\n::1 localhost\n"
# What the resolvers of C programs read beside the files.
SETTINGS = ("LOCALDOMAIN", "RES_OPTIONS", "HOSTALIASES")


def command(*arguments):
    """`arguments` to this program, in namespaces of its own; as root, or in a user namespace."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--net", "--mount", "--uts", sys.executable, *arguments]


def set_up():
    """Called once, within the namespaces; what is left in the temporary directory is the caller's to remove."""
    for setting in SETTINGS:
        os.environ.pop(setting, None)
    run("ip", "link", "set", "lo", "up")
    # An address to come from, or getaddrinfo would prefer IPv4; and all others of two networks.
    run("ip", "-6", "address", "add", "fd00:5::1/128", "dev", "lo", "nodad")
    for prefix in ("fd00:5::/64", "fd00:6::/64"):
        run("ip", "-6", "route", "add", "local", prefix, "dev", "lo")
    was, etc = tempfile.mkdtemp(), tempfile.mkdtemp()
    run("mount", "--rbind", "/etc", was)
    for name in set(os.listdir(was)) - OURS:
        os.symlink(os.path.join(was, name), os.path.join(etc, name))
    run("mount", "--bind", etc, "/etc")
    if os.path.isdir("/run/nscd"):
        run("mount", "-t", "tmpfs", "nscd", "/run/nscd")
    write("nsswitch.conf", "hosts: files dns\n")
    write("host.conf", "multi on\n")  # as distributions ship it
    configure(resolv="nameserver 127.0.0.1\n", hosts="", host="box")


def run(*arguments):
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    subprocess.run(arguments, check=True, env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL)


def configure(resolv=None, hosts=None, host=None):
    """Replaces what is given; a hosts file has localhost as well."""
    if resolv is not None:
        write("resolv.conf", resolv)
    if hosts is not None:
        write("hosts", as_bytes(LOCAL) + as_bytes(hosts))
    if host is not None:
        socket.sethostname(host)


def write(name, text):
    """Replaces a file of /etc in one step, as resolvconf and editors do."""
    path = os.path.join("/etc", name)
    with open(path + ".new", "wb") as file:
        file.write(as_bytes(text))
    os.rename(path + ".new", path)


def as_bytes(text):
    """Latin-1, so that a table can hold any byte."""
    return text if isinstance(text, bytes) else text.encode("latin-1")


def getaddrinfo(name):
    """(addresses in their order, or the name of the error; seconds it took)."""
    began = time.monotonic()
    try:
        found = socket.getaddrinfo(name.encode("latin-1"), 80, type=socket.SOCK_STREAM)
        result = [entry[4][0].removeprefix("::ffff:") for entry in found]
    except socket.gaierror as error:
        result = next((word for word in ("EAI_AGAIN", "EAI_FAIL", "EAI_NODATA") if error.errno == getattr(socket, word)),
                      "EAI_NONAME")
    return result, time.monotonic() - began
