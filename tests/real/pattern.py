"""A body of any size, made on the fly, in which every lost, doubled or swapped piece shows in the digest."""
import functools
import hashlib
import random

BLOCK = 1 << 18
MIB = 1 << 20
GIB = 1 << 30
_NOISE = random.Random(7).randbytes(BLOCK - 8)


def pattern(size):
    """Blocks that each begin with their own offset."""
    for offset in range(0, size, BLOCK):
        yield (offset.to_bytes(8, "big") + _NOISE)[: size - offset]


@functools.cache
def digest_of(size):
    return digest(pattern(size))[0]


def digest(pieces):
    """(sha256 in hex, number of bytes)"""
    total, sha = 0, hashlib.sha256()
    for piece in pieces:
        total += len(piece)
        sha.update(piece)
    return sha.hexdigest(), total


def pieces_of(stream):
    return iter(lambda: stream.read(BLOCK), b"")
