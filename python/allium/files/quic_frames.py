"""The bytes of the QUIC file protocol as servers read and send them (`spec/files-and-calls`, additions)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from allium.client import bencode
from allium.client.bencode import BencodeError
from allium.client.transfers import quic_frames
from allium.client.transfers.quic_frames import BAD_REQUEST, SIZE_MISSING, UNKNOWN, prefixed
from allium.files.index import FileRecord


class StreamRefusedError(Exception):
    """The stream is given up with this code."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


@dataclass(frozen=True, slots=True)
class Put:
    """An upload of `size` bytes, which follow; `ttl` in seconds, where the client says."""

    size: int
    ttl: float | None


@dataclass(frozen=True, slots=True)
class Get:
    """A download."""

    name: str


@dataclass(frozen=True, slots=True)
class Command:
    """One question on a stream of questions; the answer carries the same number."""

    number: int
    endpoint: bytes
    body: bytes


def head_size(data: bytes) -> int | None:
    """How many bytes the head that begins here has, its prefix among them; `None` while that has not come."""
    try:
        return quic_frames.head_size(data)
    except BencodeError:
        raise StreamRefusedError(BAD_REQUEST) from None


def head(data: bytes) -> Put | Get | Command:
    """What a stream begins with, prefix and all."""
    try:
        value = bencode.decode(quic_frames.unprefixed(data))
    except BencodeError:
        raise StreamRefusedError(BAD_REQUEST) from None
    match value:
        case [b"C", int(number), bytes(endpoint), bytes(body)]:
            return Command(number, endpoint, body)
        case {b"!": b"PUT", **rest}:
            return _put(rest)
        case {b"!": b"GET", b"#": bytes(name)}:
            return Get(name.decode("ascii", "replace"))
        case {b"!": bytes(verb)} if verb != b"GET":
            raise StreamRefusedError(UNKNOWN)
    raise StreamRefusedError(BAD_REQUEST)


def _put(fields: dict[Any, Any]) -> Put:
    size, ttl = fields.get(b"s"), fields.get(b"t")
    if size is None:
        raise StreamRefusedError(SIZE_MISSING)
    if not isinstance(size, int) or not (ttl is None or isinstance(ttl, int)):
        raise StreamRefusedError(BAD_REQUEST)
    return Put(size, None if ttl is None else float(ttl))


def stored(name: str, record: FileRecord) -> bytes:
    """The answer to an upload. It has no prefix: its reader takes all that comes."""
    times = {b"u": int(record.uploaded), b"x": int(record.expires)}
    return bencode.encode({b"#": name.encode(), **times})


def found(record: FileRecord) -> bytes:
    """What comes before the bytes of a download."""
    return prefixed(bencode.encode(_about(record)))


def _about(record: FileRecord) -> dict[bytes, int]:
    return {b"s": record.size, b"u": int(record.uploaded), b"x": int(record.expires)}


def asked(body: bytes) -> tuple[str, float | None, bool]:
    """Which file a command is about, the seconds that it is to live, and whether the body is JSON."""
    try:
        if body.lstrip()[:1] == b"{":
            fields, is_json = json.loads(body), True
            name, ttl = fields["id"], fields.get("ttl")
        else:
            fields, is_json = bencode.decode(body), False
            name, ttl = fields[b"#"].decode("ascii"), fields.get(b"t")  # type: ignore[call-overload, index, union-attr]
    except (BencodeError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise StreamRefusedError(BAD_REQUEST) from None
    if not isinstance(name, str) or not (ttl is None or type(ttl) is int):
        raise StreamRefusedError(BAD_REQUEST)
    return name, ttl, is_json


def about(record: FileRecord, is_json: bool) -> bytes:
    """The answer to a command about a file, in the words in which it was asked."""
    if not is_json:
        return bencode.encode(_about(record))
    told = {"size": record.size, "uploaded": record.uploaded, "expires": record.expires}
    return json.dumps(told, separators=(",", ":")).encode()


def reply(number: int, body: bytes, ok: bool) -> bytes:
    """A frame of a stream of questions: an answer, or why there is none."""
    return prefixed(bencode.encode([b"R" if ok else b"E", number, body]))
