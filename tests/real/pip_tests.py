"""pip from an index of our own."""
import contextlib
import functools
import hashlib
import os
import random
import sys
import zipfile

from kit import Failed, Missing, check, run, test

WHEEL = "parcel-1.0-py3-none-any.whl"
NEEDS = ("nginx", "openssl")


@test(limit=90, needs=NEEDS)
def pip_download_https(lab):
    """`pip install` would fail in every build behind the proxy."""
    index(lab)
    into = lab.path("pip", "downloads", directory=True)
    pip(lab, "download", "--index-url", f"{lab.nginx.https}/simple/", "--cert", lab.nginx.ca, "-d", into, "parcel==1.0")
    with open(f"{into}/{WHEEL}", "rb") as got, open(f"{lab.nginx.www}/simple/parcel/{WHEEL}", "rb") as sent:
        check(got.read() == sent.read(), "the wheel that pip downloaded is not the one that the index has")


@test(limit=90, needs=NEEDS)
def pip_install_http(lab):
    """`pip install` from a company's plain http index would fail."""
    index(lab)
    into = lab.path("pip", "target", directory=True)
    pip(lab, "install", "--index-url", f"{lab.nginx.http}/simple/", "--trusted-host", "127.0.0.1", "--target", into, "parcel")
    check(os.path.exists(f"{into}/parcel/noise"), "the wheel was not installed")


def pip(lab, command, *arguments):
    fixed = ["--isolated", "--no-cache-dir", "--no-input", "--no-deps", "--disable-pip-version-check", "--retries", "0"]
    run([*pip_program(), command, *fixed, "--proxy", lab.proxy.url, *arguments],
        env=lab.env | {"PIP_CONFIG_FILE": "/dev/null"})


@functools.cache
def pip_program():
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(Failed, OSError):  # this Python has no pip, or is not there: try the next
            run([python, "-m", "pip", "--version"], env=os.environ)
            return [python, "-m", "pip"]
    raise Missing("pip is not installed: apt-get install python3-pip")


@functools.cache
def index(lab):
    """A simple index (PEP 503) with one wheel of some megabytes."""
    home = f"{lab.nginx.www}/simple/parcel"
    os.makedirs(home)
    files = {
        "parcel/__init__.py": b"",
        "parcel/noise": random.Random(1).randbytes(3_000_000),
        "parcel-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n",
        "parcel-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, "parcel-1.0.dist-info/RECORD"])
    with zipfile.ZipFile(f"{home}/{WHEEL}", "w") as wheel:
        for name, content in (files | {"parcel-1.0.dist-info/RECORD": record.encode()}).items():
            wheel.writestr(name, content)
    with open(f"{home}/{WHEEL}", "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with open(f"{home}/index.html", "w") as page:
        page.write(f'<!DOCTYPE html><title>parcel</title><a href="{WHEEL}#sha256={digest}">{WHEEL}</a>')
