"""The bytes of the QUIC file protocol as clients send and read them (`spec/files-and-calls`, additions).

What servers have alike, names, codes and prefixes, is here too; `allium.files.quic_frames` takes it from here.
"""

from __future__ import annotations

import json
from typing import Any

from allium.client import bencode
from allium.client.bencode import BencodeError

ALPN = "quic-files"
#: Bytes of what stands before a transfer, of a question and of an answer, at most.
MOST_HEAD = 9999
#: The digits that say how long it is, and the colon.
MOST_PREFIX = 5

# Why a stream is given up.
BAD_REQUEST = 400
NOT_FOUND = 404
UNKNOWN = 405
SIZE_MISSING = 450
SIZE_REFUSED = 451
TOO_FEW = 452
TOO_MANY = 453
FAILED = 480
#: By a client, which does not want it any more.
GONE = 499


def put(size: int, ttl: str | None) -> bytes:
    """What stands before an upload of `size` bytes; `ttl` as HTTP's header has it, seconds."""
    kept = {b"t": int(ttl)} if ttl is not None and ttl.isdecimal() else {}
    return prefixed(bencode.encode({b"!": b"PUT", b"s": size, **kept}))


def get(file_id: str) -> bytes:
    """All that is sent for a download."""
    return prefixed(bencode.encode({b"!": b"GET", b"#": file_id.encode()}))


def command(number: int, endpoint: bytes, file_id: str, ttl: str | None) -> bytes:
    """A question about a file; its answer carries the same number."""
    kept = {b"t": int(ttl)} if ttl is not None and ttl.isdecimal() else {}
    body = bencode.encode({b"#": file_id.encode(), **kept})
    return prefixed(bencode.encode([b"C", number, endpoint, body]))


def prefixed(data: bytes) -> bytes:
    """A head with its length before it."""
    return b"%d:%b" % (len(data), data)


def head_size(data: bytes) -> int | None:
    """How many bytes the head that begins here has, its prefix among them; None while that has not come.

    `BencodeError` for what is none.
    """
    digits, colon, _ = data[:MOST_PREFIX].partition(b":")
    if (digits and not digits.isdigit()) or (colon and not digits) or (not colon and len(digits) == MOST_PREFIX):
        raise BencodeError("no length")
    return len(digits) + 1 + int(digits) if colon else None


def unprefixed(data: bytes) -> bytes:
    """A head without its prefix."""
    return data.partition(b":")[2]


def found(data: bytes) -> int:
    """How many bytes a download has, from its head without prefix; `BencodeError`."""
    size = bencode.decode_dict(data).get(b"s")
    if not isinstance(size, int) or size < 0:
        raise BencodeError("no size")
    return size


def stored(data: bytes, size: int) -> bytes:
    """The answer to an upload, with or without a prefix, as HTTP has it; `BencodeError`."""
    told = bencode.decode_dict(data if data[:1] == b"d" else unprefixed(data))
    file_id = told.get(b"#")
    if not isinstance(file_id, bytes):
        raise BencodeError("no id")
    return _json(told, id=file_id.decode("ascii", "replace"), size=size)


def answer(data: bytes) -> tuple[int, bool, bytes]:
    """The question's number, whether it could be answered, and what, from a frame without prefix; `BencodeError`."""
    match bencode.decode(data):
        case [(b"R" | b"E") as kind, int(number), bytes(body)]:
            return number, kind == b"R", body
    raise BencodeError("no answer")


def about(body: bytes) -> bytes:
    """What is known of a file, as HTTP has it; `BencodeError`."""
    told = bencode.decode_dict(body)
    return _json(told, size=told.get(b"s"))


def _json(told: dict[bytes, Any], **fields: Any) -> bytes:
    times = {name: told.get(key) for name, key in (("uploaded", b"u"), ("expires", b"x"))}
    values = {name: value for name, value in {**fields, **times}.items() if isinstance(value, int | str)}
    return json.dumps(values).encode()
