"""The programs that the tests drive, and the Debian package that each comes from."""
import os
import shutil

from kit import Missing

PACKAGES = {
    "apt-get": "apt",
    "curl": "curl",
    "dpkg-deb": "dpkg",
    "git": "git",
    "haproxy": "haproxy",
    "nginx": "nginx-light",
    "node": "nodejs",
    "openssl": "openssl",
    "ss": "iproute2",
}
# The daemons live in the sbin directories, which are not on every user's PATH.
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/local/sbin"])


def program(name):
    """The full path of a program."""
    found = shutil.which(name, path=SEARCH)
    if not found:
        raise Missing(f"{name} is not installed: apt-get install {PACKAGES[name]}")
    return found
