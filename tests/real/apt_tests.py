"""apt-get from a repository of our own, with the deep pipeline that breaks careless proxies."""
import functools
import glob
import hashlib
import os
import random
import re

from kit import check, equal, run, test
from programs import program

PACKAGES = 30
NEEDS = ("apt-get", "dpkg-deb", "nginx", "openssl")


@test(limit=120, needs=NEEDS)
def apt_pipelined(lab):
    """apt-get, which sends ten requests ahead, would fail or install the wrong bytes."""
    words = install(lab, "http")
    check(most_under_way(words) > 5, f"apt-get had at most {most_under_way(words)} requests under way: nothing was pipelined")


@test(limit=120, needs=NEEDS)
def apt_https(lab):
    """apt-get from an https mirror would fail."""
    install(lab, "https")


def install(lab, scheme):
    """Updates, downloads all packages, compares each; returns what apt-get said about its requests."""
    packages = repository(lab)
    root, apt = apt_root(lab, scheme)
    run([*apt, "update"], env=lab.env)
    out, err = run([*apt, "install", "--yes", "--download-only", *packages], env=lab.env, timeout=90)
    for name, digest in packages.items():
        found = glob.glob(f"{root}/cache/archives/{name}_*.deb")
        check(found, f"{name} was not downloaded")
        with open(found[0], "rb") as file:
            equal(f"sha256 of {name}", hashlib.file_digest(file, "sha256").hexdigest(), digest)
    return (out + err).decode(errors="replace")


def most_under_way(words):
    """The largest number of requests that waited for their answers at one moment."""
    waiting, most = set(), 0
    for asked, answered in re.findall(r"^(?:GET (http\S+) HTTP|Answer for: (http\S+))", words, re.MULTILINE):
        waiting = waiting | {asked} if asked else waiting - {answered}
        most = max(most, len(waiting))
    return most


def apt_root(lab, scheme):
    """An apt of its own, which shares nothing with the machine's: (its directory, the command)."""
    root = lab.path(f"apt-{scheme}", directory=True)
    for part in ("state/lists/partial", "cache/archives/partial", "etc/parts"):
        os.makedirs(f"{root}/{part}")
    open(f"{root}/state/status", "w").close()
    with open(f"{root}/etc/sources.list", "w") as sources:
        sources.write(f"deb [trusted=yes] {getattr(lab.nginx, scheme)}/apt ./\n")
    settings = {
        "Dir::State": f"{root}/state", "Dir::State::status": f"{root}/state/status", "Dir::Cache": f"{root}/cache",
        "Dir::Etc::sourcelist": f"{root}/etc/sources.list", "Dir::Etc::sourceparts": f"{root}/etc/parts",
        "Dir::Etc::parts": f"{root}/etc/parts", "Dir::Etc::main": "/dev/null", "Dir::Etc::trustedparts": f"{root}/etc/parts",
        "Dir::Etc::preferences": "/dev/null", "Dir::Etc::preferencesparts": f"{root}/etc/parts",
        "Dir::Log": f"{root}/cache", "APT::Sandbox::User": "", "APT::Update::Error-Mode": "any",
        "Acquire::http::Proxy": lab.proxy.url, "Acquire::https::Proxy": lab.proxy.url, "Acquire::Retries": "0",
        "Acquire::http::Pipeline-Depth": "10", "Acquire::https::CAInfo": lab.nginx.ca, "Debug::Acquire::http": "1",
    }
    return root, [program("apt-get"), *(f"-o{name}={value}" for name, value in settings.items())]


@functools.cache
def repository(lab):
    """Builds the packages and their index below nginx's root; returns {name: sha256}."""
    home = f"{lab.nginx.www}/apt"
    os.makedirs(home)
    digests, index = {}, []
    for number in range(PACKAGES):
        name = f"sluicegate-parcel-{number}"
        control = f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n"
        path = build(lab, home, name, control, size=random.Random(number).randrange(100, 300_000))
        with open(path, "rb") as file:
            digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
        index.append(f"{control}Filename: ./{name}.deb\nSize: {os.path.getsize(path)}\nSHA256: {digests[name]}\n"
                     "Description: a parcel\n")
    packages = "\n".join(index).encode()
    with open(f"{home}/Packages", "wb") as file:
        file.write(packages)
    with open(f"{home}/Release", "w") as file:
        file.write(f"Suite: parcels\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nArchitectures: all\nSHA256:\n"
                   f" {hashlib.sha256(packages).hexdigest()} {len(packages)} Packages\n")
    return digests


def build(lab, home, name, control, size):
    tree = lab.path("parcels", name, "usr/share", name, directory=True)
    with open(f"{tree}/noise", "wb") as file:
        file.write(random.Random(name).randbytes(size))
    top = lab.path("parcels", name)
    os.makedirs(f"{top}/DEBIAN")
    with open(f"{top}/DEBIAN/control", "w") as file:
        file.write(control + "Description: a parcel\n")
    path = f"{home}/{name}.deb"
    run([program("dpkg-deb"), "-Znone", "--root-owner-group", "--build", top, path], env=lab.env)
    return path
