"""Bencode in its one canonical form, for what configs and groups are made of (`spec/configs` §1).

What is read comes from strangers: keys out of order, numbers with leading zeros, trailing bytes and nesting beyond a
limit are refused, so that equal values have equal bytes, and a value that was read is written as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Value: TypeAlias = "int | bytes | list[Value] | dict[bytes, Value]"

#: Lists and dicts in one another; the deepest that any message has is 6.
MAX_DEPTH = 32
#: What an integer may be: that of the other side is a `uint64_t` or an `int64_t`.
INTEGERS = range(-(1 << 63), 1 << 64)
_DIGITS = frozenset(b"0123456789")
_LONGEST_NUMBER = 20


class BencodeError(ValueError):
    """Bytes that are not canonical bencode."""


def encode(value: object) -> bytes:
    """The bytes of ints, bytes, sequences and mappings from bytes; `TypeError` for anything else."""
    out: list[bytes] = []
    _encode(value, out)
    return b"".join(out)


def _encode(value: object, out: list[bytes]) -> None:
    match value:
        case bytes():
            out.append(b"%d:%b" % (len(value), value))
        case int():
            out.append(b"i%de" % value)
        case Mapping():
            out.append(b"d")
            for key in sorted(value):
                out.append(b"%d:%b" % (len(key), key))
                _encode(value[key], out)
            out.append(b"e")
        case Sequence() if not isinstance(value, str):
            out.append(b"l")
            for item in value:
                _encode(item, out)
            out.append(b"e")
        case _:
            raise TypeError(f"bencode has no {type(value).__name__}")


def decode(data: bytes) -> Value:
    """The one value that the bytes are; `BencodeError` for bytes that are not its canonical form."""
    value, end = decode_prefix(data, 0)
    if end != len(data):
        raise BencodeError("something follows the value")
    return value


def decode_dict(data: bytes) -> dict[bytes, Value]:
    """The same, where only a dict will do."""
    value = decode(data)
    if not isinstance(value, dict):
        raise BencodeError("not a dict")
    return value


def decode_prefix(data: bytes, start: int, depth: int = 0) -> tuple[Value, int]:
    """The value that begins at `start`, and where it ends."""
    if start >= len(data):
        raise BencodeError("cut off")
    kind = data[start]
    if kind in _DIGITS:
        return _string(data, start)
    if kind == ord("i"):
        return _integer(data, start + 1)
    if kind not in b"ld":
        raise BencodeError("no value begins like this")
    if depth >= MAX_DEPTH:
        raise BencodeError("nested too deeply")
    return (_list if kind == ord("l") else _dict)(data, start + 1, depth + 1)


def _number(data: bytes, start: int, end: bytes) -> tuple[bytes, int]:
    stop = data.find(end, start, start + _LONGEST_NUMBER + 2)
    digits = data[start:stop] if stop >= 0 else b""
    unsigned = digits.removeprefix(b"-")
    if not unsigned or not _DIGITS.issuperset(unsigned) or (unsigned[:1] == b"0" and digits != b"0"):
        raise BencodeError("not a number")
    return digits, stop + 1


def _integer(data: bytes, start: int) -> tuple[int, int]:
    digits, end = _number(data, start, b"e")
    value = int(digits)
    if value not in INTEGERS:
        raise BencodeError("a number beyond 64 bits")
    return value, end


def _string(data: bytes, start: int) -> tuple[bytes, int]:
    digits, begin = _number(data, start, b":")
    end = begin + int(digits)
    if end > len(data):
        raise BencodeError("cut off")
    return data[begin:end], end


def _list(data: bytes, position: int, depth: int) -> tuple[list[Value], int]:
    items: list[Value] = []
    while data[position : position + 1] != b"e":
        item, position = decode_prefix(data, position, depth)
        items.append(item)
    return items, position + 1


def _dict(data: bytes, position: int, depth: int) -> tuple[dict[bytes, Value], int]:
    items: dict[bytes, Value] = {}
    last: bytes | None = None
    while data[position : position + 1] != b"e":
        if data[position : position + 1] not in (b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9"):
            raise BencodeError("a key that is no string")
        key, position = _string(data, position)
        if last is not None and key <= last:
            raise BencodeError("keys out of order")
        items[key], position = decode_prefix(data, position, depth)
        last = key
    return items, position + 1
