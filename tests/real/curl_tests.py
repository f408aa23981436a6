"""curl, the first program that anyone points at a proxy."""
import hashlib
import json
import os
import re
import subprocess

from kit import check, equal, last_words, run, spawn, test
from pattern import MIB, digest, digest_of, pattern, pieces_of
from programs import program

HUNDRED = 100 * MIB


def curl(lab, *arguments, timeout=60, codes=(0,), **options):
    """Standard output of curl through the proxy; an answer of 400 or more is a failure unless `codes` has 22."""
    command = [program("curl"), "-sS", "--fail-with-body", "-x", lab.proxy.url, "--cacert", lab.nginx.ca, *arguments]
    return run(command, env=lab.env, timeout=timeout, codes=codes, **options)[0]


def streaming(lab, *arguments, proxy=None):
    """curl as a child whose standard output is read while it runs."""
    command = [program("curl"), "-sSN", "-x", (proxy or lab.proxy).url, "--cacert", lab.nginx.ca, *arguments]
    return spawn(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=lab.env)


def publish(lab, name, size):
    """A file of the pattern in nginx's root; returns its path on the server."""
    path = f"{lab.nginx.www}/{name}"
    if not os.path.exists(path):
        with open(path, "wb") as file:
            file.writelines(pattern(size))
    return f"/{name}"


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fed(command, size, env):
    """Runs a command with `size` bytes of the pattern on its standard input; returns its output."""
    child = spawn(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    try:
        for piece in pattern(size):
            child.stdin.write(piece)
    except BrokenPipeError:
        pass  # its exit code and its words say why
    out, err = child.communicate()
    check(child.returncode == 0, f"curl exited with {child.returncode}: {last_words(err or out)}")
    return out


@test()
def curl_get(lab):
    """Nothing at all would work: the first request of every user is this one."""
    publish(lab, "small.txt", 1000)
    equal("body", curl(lab, lab.nginx.http + "/small.txt"), b"".join(pattern(1000)))


@test()
def curl_get_by_name(lab):
    """Origins whose name has a dead IPv6 address beside a live IPv4 one would not be reached."""
    url = lab.origin.replace("127.0.0.1", "localhost") + "/echo"
    seen = json.loads(curl(lab, url))
    equal("request line at the origin", seen["line"], "GET /echo HTTP/1.1")
    equal("Host at the origin", dict(seen["fields"]).get("Host"), url.split("/")[2])


@test()
def curl_head(lab):
    """Clients that look at a file before they fetch it would hang, waiting for a body that never comes."""
    publish(lab, "head.bin", 4321)
    head = curl(lab, "-I", "--max-time", "5", lab.nginx.http + "/head.bin").decode()
    check(re.match(r"HTTP/1.1 200 ", head), f"status line: {head.splitlines()[:1]}")
    check(re.search(r"(?im)^content-length: 4321\r$", head), f"no Content-Length: 4321 in {head!r}")


@test()
def curl_fields_are_clean(lab):
    """Origins would see what was meant for the proxy: its credentials and its connection fields."""
    seen = json.loads(curl(lab, "-H", "Proxy-Connection: keep-alive", "-H", "Connection: X-Private", "-H", "X-Private: 1",
                           "-H", "X-Kept: 2", "-U", "user:secret", lab.origin + "/echo"))
    names = {name.lower() for name, _ in seen["fields"]}
    equal("fields that must not arrive", names & {"proxy-connection", "proxy-authorization", "x-private"}, set())
    check("x-kept" in names, "the end-to-end field X-Kept was lost")


@test(limit=60)
def curl_post_100_mb(lab):
    """Large uploads would be cut, altered, or held in memory until they fail."""
    source = lab.nginx.www + publish(lab, "hundred.bin", HUNDRED)
    seen = json.loads(curl(lab, "--data-binary", f"@{source}", lab.origin + "/upload"))
    equal("what the origin got", (seen["sha256"], seen["bytes"]), (digest_of(HUNDRED), HUNDRED))


@test(limit=60)
def curl_put_file(lab):
    """Uploads of a known length to a WebDAV server would fail."""
    source = lab.nginx.www + publish(lab, "hundred.bin", HUNDRED)
    curl(lab, "-T", source, lab.nginx.http + "/dav/file.bin")
    equal("sha256 of the file at nginx", sha256_of(f"{lab.nginx.www}/dav/file.bin"), digest_of(HUNDRED))


@test(limit=60)
def curl_put_chunked(lab):
    """Uploads from a pipe, whose length nobody knows at their start, would fail."""
    command = [program("curl"), "-sS", "--fail-with-body", "-x", lab.proxy.url]
    fed([*command, "-T", "-", lab.nginx.http + "/dav/chunked.bin"], HUNDRED, lab.env)
    equal("sha256 of the file at nginx", sha256_of(f"{lab.nginx.www}/dav/chunked.bin"), digest_of(HUNDRED))
    seen = json.loads(fed([*command, "-T", "-", lab.origin + "/upload"], 3 * MIB + 1, lab.env))
    equal("what the origin got", (seen["sha256"], seen["bytes"]), (digest_of(3 * MIB + 1), 3 * MIB + 1))


@test()
def curl_range(lab):
    """Resumed downloads and video players would get the wrong part of a file."""
    publish(lab, "range.bin", MIB)
    wanted = b"".join(pattern(MIB))
    url = lab.nginx.http + "/range.bin"
    equal("one range", curl(lab, "-r", "300000-300099", url), wanted[300000:300100])
    parts = curl(lab, "-r", "0-9,1000-1009", url)
    check(wanted[:10] in parts and wanted[1000:1010] in parts, "a multipart answer lacks one of its two ranges")


@test(limit=60)
def curl_download_100_mb(lab):
    """Large downloads would be cut or altered."""
    publish(lab, "hundred.bin", HUNDRED)
    child = streaming(lab, lab.nginx.http + "/hundred.bin")
    equal("what curl got", digest(pieces_of(child.stdout)), (digest_of(HUNDRED), HUNDRED))
    equal("exit code of curl", child.wait(), 0)


@test()
def curl_download_framings(lab):
    """Answers without a length, as programs generate them, would end early or never."""
    for framing in ("chunked", "close"):
        for version in ("--http1.1", "--http1.0"):
            body = curl(lab, version, f"{lab.origin}/pattern?bytes=777777&framing={framing}")
            equal(f"{framing} body for {version}", digest([body]), (digest_of(777777), 777777))


@test()
def curl_http_1_0(lab):
    """Old clients, scripts and health checks that speak HTTP/1.0 would get no answer or a chunked one."""
    publish(lab, "old.txt", 1000)
    equal("body", curl(lab, "--http1.0", lab.nginx.http + "/old.txt"), b"".join(pattern(1000)))


@test()
def curl_tunnel_to_http(lab):
    """`curl -p` and every program that tunnels all its traffic would not get through."""
    publish(lab, "tunnel.txt", 1000)
    equal("body", curl(lab, "-p", lab.nginx.http + "/tunnel.txt"), b"".join(pattern(1000)))


@test()
def curl_tunnel_to_https(lab):
    """https would not work, and that is most of the web."""
    publish(lab, "secure.bin", 10 * MIB)
    for flags in ((), ("-p",)):
        body = curl(lab, *flags, lab.nginx.https + "/secure.bin")
        equal(f"body with flags {flags}", digest([body]), (digest_of(10 * MIB), 10 * MIB))


@test()
def curl_keep_alive(lab):
    """Each request would pay for a new connection, to the proxy and to the origin."""
    publish(lab, "keep.txt", 1000)
    urls = [lab.nginx.http + "/keep.txt?" + part for part in ("first", "second")]
    made = curl(lab, "-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} ", *urls).split()
    equal("connections that curl made for two URLs", made, [b"1", b"0"])
    with open(lab.nginx.access_log) as log:
        served = [line.split()[1] for line in log if "/keep.txt?" in line]
    equal("connections that nginx saw for two URLs", len(set(served)), 1)


@test()
def curl_unknown_name(lab):
    """A misspelt name would look like a broken proxy instead of a misspelt name."""
    name = "no-such-host.invalid"
    answer = curl(lab, "-i", f"http://{name}/", codes=(22,)).decode()
    check(re.match(r"HTTP/1.1 50[234] ", answer), f"status line: {answer.splitlines()[:1]}")
    check(name in answer.partition("\r\n\r\n")[2], f"the body does not name {name}: {answer!r}")
    head = curl(lab, "-p", "-i", f"http://{name}/", codes=(56,)).decode()
    check(re.match(r"HTTP/1.1 50[234] ", head), f"status line of CONNECT: {head.splitlines()[:1]}")


@test()
def curl_expect_continue(lab):
    """Careful uploads would wait in vain for `100 Continue`, a second or more each."""
    source = lab.nginx.www + publish(lab, "expect.bin", 2 * MIB)
    command = ["-v", "-H", "Expect: 100-continue", "--expect100-timeout", "20", "--max-time", "10", "-T", source,
               lab.nginx.http + "/dav/expect.bin"]
    _, words = run([program("curl"), "-sS", "--fail-with-body", "-x", lab.proxy.url, *command], env=lab.env)
    check(b"< HTTP/1.1 100" in words, "curl never saw 100 Continue")
    equal("sha256 of the file at nginx", sha256_of(f"{lab.nginx.www}/dav/expect.bin"), digest_of(2 * MIB))
