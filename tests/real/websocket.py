"""As much of RFC 6455 as an echo needs, for both ends."""
import base64
import hashlib
import os
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def accept_key(key):
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key (section 4.2.2)."""
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def write_frame(stream, opcode, payload, masked):
    """One final frame (section 5.2); a client must mask, a server must not."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, size | masked << 7)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 126 | masked << 7, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 127 | masked << 7, size)
    if masked:
        mask = os.urandom(4)
        head, payload = head + mask, applied(mask, payload)
    stream.write(head + payload)
    stream.flush()


def read_frame(stream):
    """(opcode, payload), unmasked."""
    opcode, size = exactly(stream, 2)
    masked, size = size >> 7, size & 127
    if size == 126:
        (size,) = struct.unpack("!H", exactly(stream, 2))
    elif size == 127:
        (size,) = struct.unpack("!Q", exactly(stream, 8))
    mask = exactly(stream, 4) if masked else b""
    payload = exactly(stream, size)
    return opcode & 15, applied(mask, payload) if masked else payload


def applied(mask, payload):
    long_mask = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(long_mask, "big")).to_bytes(len(payload), "big")


def exactly(stream, size):
    got = stream.read(size)
    if len(got) != size:
        raise EOFError(f"the connection ended after {len(got)} of {size} bytes")
    return got
