"""DNS messages (RFC 1035 §4), as far as a scripted server needs them. Pure."""
import functools
import ipaddress
import struct

TYPES = {1: "A", 28: "AAAA"}
CODES = {"formerr": 1, "servfail": 2, "nx": 3, "notimp": 4, "refused": 5}
QUESTION_AT = b"\xc0\x0c"
TRUNCATED = 0x0200


def encode(name):
    """A name as labels, uncompressed."""
    labels = [label.encode("latin-1") for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def question(message):
    """(name in lower case, type, the question's bytes) of a query."""
    at, labels = 12, []
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode("latin-1"))
        at += message[at] + 1
    kind = struct.unpack_from("!H", message, at + 1)[0]
    return ".".join(labels).lower(), TYPES.get(kind, str(kind)), message[12:at + 5]


def record(owner, kind, data, ttl):
    return owner + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


@functools.cache
def address_records(owner, addresses, kind, ttl):
    """Those of `addresses`, a tuple, that are of this type."""
    packed = [ipaddress.ip_address(address).packed for address in addresses]
    size, number = (4, 1) if kind == "A" else (16, 28)
    return [record(owner, number, data, ttl) for data in packed if len(data) == size]


def cname(owner, target, ttl):
    return record(encode(owner), 5, encode(target), ttl)


def soa(minimum):
    """For how long it is true that something does not exist (RFC 2308 §3)."""
    data = encode("ns.test") + encode("root.test") + struct.pack("!5I", 1, 3600, 600, 86400, minimum)
    return record(encode("test"), 6, data, minimum)


def reply(query, records=(), *, code=0, authority=(), flags=0):
    """The answer to a query, which it repeats."""
    counts = struct.pack("!5H", 0x8180 | code | flags, 1, len(records), len(authority), 0)
    return query[:2] + counts + question(query)[2] + b"".join(records) + b"".join(authority)
