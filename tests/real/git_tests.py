"""git: clones by both protocols, http and https, and a push."""
import functools
import os
import random

from kit import equal, run, test
from programs import program

NEEDS = ("git", "nginx", "openssl")


@test(limit=60, needs=NEEDS)
def git_clone_dumb_http(lab):
    """Clones from a plain file server, hundreds of small requests at once, would fail."""
    project = project_of(lab)
    bare = f"{lab.nginx.www}/project.git"
    git(lab, "clone", "--quiet", "--bare", project, bare)
    git(lab, "-C", bare, "update-server-info")
    clone_is_whole(lab, f"{lab.nginx.http}/project.git", "dumb-http", git(lab, "-C", project, "rev-parse", "HEAD"))
    clone_is_whole(lab, f"{lab.nginx.https}/project.git", "dumb-https", git(lab, "-C", project, "rev-parse", "HEAD"))


@test(limit=60, needs=NEEDS)
def git_clone_http(lab):
    """`git clone http://…` would fail."""
    head = served(lab)
    clone_is_whole(lab, f"{lab.origin}/git/project.git", "smart-http", head)


@test(limit=60, needs=NEEDS)
def git_clone_https(lab):
    """`git clone https://…` would fail: most of all clones."""
    head = served(lab)
    clone_is_whole(lab, lab.nginx.behind("/git/project.git"), "smart-https", head)


@test(limit=90, needs=NEEDS)
def git_push(lab):
    """Pushes, which git sends chunked beyond 1 MiB, would fail."""
    served(lab)
    for scheme, url in (("http", f"{lab.origin}/git/project.git"), ("https", lab.nginx.behind("/git/project.git"))):
        work = lab.path("clones", f"push-{scheme}")
        git(lab, "clone", "--quiet", url, work)
        commit(lab, work, f"pushed-by-{scheme}", 5_000_000)
        git(lab, "-C", work, "push", "--quiet", url, f"HEAD:refs/heads/{scheme}")
        pushed = git(lab, "-C", lab.path("git", "project.git"), "rev-parse", f"refs/heads/{scheme}")
        equal(f"the commit that {scheme} pushed", pushed, git(lab, "-C", work, "rev-parse", "HEAD"))


def git(lab, *arguments):
    settings = {"http.proxy": lab.proxy.url, "http.sslCAInfo": lab.nginx.ca, "user.name": "Nobody",
                "user.email": "nobody@example.org", "init.defaultBranch": "main", "gc.auto": "0", "maintenance.auto": "false",
                "commit.gpgSign": "false"}
    options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
    environment = lab.env | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    return run([program("git"), *options, *arguments], env=environment)[0].strip().decode()


def clone_is_whole(lab, url, name, head):
    path = lab.path("clones", name)
    git(lab, "clone", "--quiet", url, path)
    equal("the commit that was cloned", git(lab, "-C", path, "rev-parse", "HEAD"), head)
    git(lab, "-C", path, "fsck", "--full", "--strict")


def commit(lab, work, name, size):
    with open(os.path.join(work, name), "wb") as file:
        file.write(random.Random(name).randbytes(size))
    git(lab, "-C", work, "add", "--all")
    git(lab, "-C", work, "commit", "--quiet", "-m", f"Add {name}")


@functools.cache
def project_of(lab):
    """A project whose objects are all loose: the dumb protocol asks for each of them."""
    work = lab.path("project")
    git(lab, "init", "--quiet", work)
    for number in range(30):
        commit(lab, work, f"file-{number}", 3_000_000 if number % 10 == 0 else 1_000)
    return work


@functools.cache
def served(lab):
    """The project where git-http-backend finds it; returns its newest commit."""
    bare = lab.path("git", "project.git")
    git(lab, "clone", "--quiet", "--bare", project_of(lab), bare)
    git(lab, "-C", bare, "config", "http.receivepack", "true")
    return git(lab, "-C", bare, "rev-parse", "HEAD")
