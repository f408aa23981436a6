"""1 GiB each way, exact to the byte, while the proxy's own memory stays where it is."""
import contextlib
import http.client
import json
import threading
from urllib.parse import urlsplit

from curl_tests import fed, streaming
from kit import check, equal, test
from pattern import GIB, MIB, digest, digest_of, pattern, pieces_of
from programs import program

GROWTH_KIB = 1024
WARM_UP = 16 * MIB


@test(limit=90)
def gib_download(lab):
    """A large download would be altered, or fill the proxy's memory."""
    stays_small(lab, lambda size: download(lab, size))


@test(limit=90)
def gib_download_chunked(lab):
    """A large answer of unknown length would be altered, or fill the proxy's memory."""
    stays_small(lab, lambda size: download(lab, size, "&framing=chunked"))


@test(limit=90)
def gib_upload(lab):
    """A large upload of known length would be altered, or fill the proxy's memory."""
    stays_small(lab, lambda size: upload(lab, size))


@test(limit=90)
def gib_upload_chunked(lab):
    """A large upload from a pipe would be altered, or fill the proxy's memory."""
    stays_small(lab, lambda size: upload_chunked(lab, size))


@test(limit=90)
def gib_download_tunnel(lab):
    """A large download by https would be altered, or fill the proxy's memory."""
    stays_small(lab, lambda size: download(lab, size, tunnel=("-p",)))


@test(limit=90)
def gib_upload_tunnel(lab):
    """A large upload by https would be altered, or fill the proxy's memory."""
    stays_small(lab, lambda size: upload_chunked(lab, size, tunnel=("-p",)))


def stays_small(lab, transfer):
    transfer(WARM_UP)
    with resident_peak(lab.proxy) as peak:
        before = lab.proxy.resident()
        transfer(GIB)
    grown = max(peak) - before
    check(grown < GROWTH_KIB, f"resident memory grew by {grown} KiB, from {before} KiB to {max(peak)} KiB")


@contextlib.contextmanager
def resident_peak(proxy):
    """Samples the resident memory every 20 ms; the list is complete when the block has been left."""
    samples, stop = [], threading.Event()

    def sample():
        while not stop.wait(0.02):
            with contextlib.suppress(OSError, TypeError):  # the proxy may have ended; the transfer fails then
                samples.append(proxy.resident())

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield samples
    finally:
        stop.set()
        sampler.join()


def download(lab, size, query="", tunnel=()):
    child = streaming(lab, *tunnel, f"{lab.origin}/pattern?bytes={size}{query}")
    equal("what curl got", digest(pieces_of(child.stdout)), (digest_of(size), size))
    equal("exit code of curl", child.wait(), 0)


def upload_chunked(lab, size, tunnel=()):
    command = [program("curl"), "-sS", "--fail-with-body", "-x", lab.proxy.url, *tunnel, "-T", "-", lab.origin + "/upload"]
    arrived_whole(json.loads(fed(command, size, lab.env)), size)


def upload(lab, size):
    proxy = http.client.HTTPConnection(urlsplit(lab.proxy.url).netloc, timeout=60)
    with contextlib.closing(proxy):
        proxy.request("PUT", lab.origin + "/upload", body=pattern(size), headers={"Content-Length": str(size)})
        answer = proxy.getresponse()
        equal("status of the upload", answer.status, 200)
        arrived_whole(json.loads(answer.read()), size)


def arrived_whole(seen, size):
    equal("what the origin got", (seen["sha256"], seen["bytes"]), (digest_of(size), size))
