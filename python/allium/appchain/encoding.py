"""The one encoding of inputs, states and what is signed: bencode of the fields in the order in which they are declared.

Equal values have equal bytes, and bytes that are not the encoding of a value in range are refused. A dataclass is a
list of its fields, a tuple a list of its items; one of several dataclasses is `[place in the union, fields]`, so unions
grow at their end.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import IntEnum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from bencode2 import BencodeDecodeError, bdecode, bencode

from allium.appchain.types import (
    Address,
    AtomicSesh,
    BasisPoints,
    Blocks,
    BlsKey,
    ContractId,
    Hash,
    Height,
    Index,
    L2Height,
    MilliAtomic,
    PublicKey,
    Reasons,
    Seconds,
    Signature,
    SwarmId,
)

T = TypeVar("T")

_U16, _U32, _U63, _U64, _U128 = 2**16 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1, 2**128 - 1
#: The greatest number of each kind; all start at 0.
_MOST: dict[Any, int] = {
    Height: _U63,
    L2Height: _U63,
    Blocks: _U32,
    Seconds: _U63,
    AtomicSesh: _U63,
    MilliAtomic: _U128,
    BasisPoints: _U16,
    ContractId: _U64,
    SwarmId: _U64,
    Index: _U32,
    Reasons: _U16,
    int: _U64,
}
#: The length of each kind of bytes.
_LENGTH: dict[Any, int] = {PublicKey: 32, BlsKey: 64, Address: 20, Hash: 32, Signature: 64}
_LONGEST_TEXT = 64

_Reader = Callable[[Any], Any]


class EncodingError(ValueError):
    """Bytes that encode nothing of the kind that was expected."""


def encode(value: Any) -> bytes:
    """The bytes of a dataclass, a tuple, an integer, bytes or a text."""
    return bencode(pack(value))


def decode(kind: type[T], data: bytes) -> T:
    """The value of `kind` that `data` encodes; raises `EncodingError`."""
    try:
        plain = bdecode(data)
    except (BencodeDecodeError, ValueError) as error:
        raise EncodingError(f"not bencode: {error}") from None
    return unpack(kind, plain)


def unpack(kind: type[T], plain: Any) -> T:
    """The value of `kind` among lists, integers and bytes as bencode gives them; raises `EncodingError`."""
    reader: Callable[[Any], T] = _reader(kind)  # type: ignore[arg-type] # classes are hashable
    return reader(plain)


def pack(value: Any) -> Any:
    """Lists, integers and bytes for `value`."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, tuple):
        return [pack(item) for item in value]
    kind: Any = type(value)
    return _writer(kind)(value)


@cache
def _writer(kind: type) -> Callable[[Any], Any]:
    hints = get_type_hints(kind)
    names = [(field.name, _members(hints[field.name])) for field in fields(kind) if field.init]

    def write(value: Any) -> list[Any]:
        packed = []
        for name, members in names:
            part = getattr(value, name)
            if members is None:
                packed.append(pack(part))
            elif isinstance(part, tuple):
                packed.append([[members.index(type(item)), pack(item)] for item in part])
            else:
                packed.append([members.index(type(part)), pack(part)])
        return packed

    return write


def _members(hint: Any) -> tuple[Any, ...] | None:
    """The dataclasses of a union, or of a tuple of a union; `None` for anything else."""
    if get_origin(hint) is tuple:
        hint = get_args(hint)[0]
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else None


@cache
def _reader(kind: Any) -> _Reader:
    name = getattr(kind, "__name__", str(kind))
    if kind in _MOST:
        return _integers(name, _MOST[kind])
    if kind in _LENGTH:
        return _bytes(name, _LENGTH[kind])
    if kind is bytes:
        return _any_bytes
    if kind is bool:
        return _booleans
    if kind is str:
        return _text
    if get_origin(kind) is tuple:
        return _tuples(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return _unions(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return _enums(kind)
    if is_dataclass(kind):
        return _records(kind, name)
    raise TypeError(f"{name} has no encoding")


def _integers(name: str, most: int) -> _Reader:
    def read(plain: Any) -> int:
        if type(plain) is not int or not 0 <= plain <= most:
            raise EncodingError(f"{name} must be a whole number up to {most}, not {_shown(plain)}")
        return plain

    return read


def _bytes(name: str, length: int) -> _Reader:
    def read(plain: Any) -> bytes:
        if type(plain) is not bytes or len(plain) != length:
            raise EncodingError(f"{name} must have {length} bytes, not {_shown(plain)}")
        return plain

    return read


def _any_bytes(plain: Any) -> bytes:
    if type(plain) is not bytes:
        raise EncodingError(f"bytes were expected, not {_shown(plain)}")
    return plain


def _booleans(plain: Any) -> bool:
    if type(plain) is not int or plain not in (0, 1):
        raise EncodingError(f"a yes or no must be 0 or 1, not {_shown(plain)}")
    return plain == 1


def _text(plain: Any) -> str:
    try:
        if type(plain) is bytes and len(plain) <= _LONGEST_TEXT:
            return plain.decode()
    except UnicodeDecodeError:
        pass
    raise EncodingError(f"a text must have up to {_LONGEST_TEXT} bytes of UTF-8, not {_shown(plain)}")


def _tuples(item: Any) -> _Reader:
    def read(plain: Any) -> tuple[Any, ...]:
        if type(plain) is not list:
            raise EncodingError(f"a list was expected, not {_shown(plain)}")
        reader = _reader(item)
        return tuple([reader(part) for part in plain])

    return read


def _unions(members: tuple[Any, ...]) -> _Reader:
    def read(plain: Any) -> Any:
        if type(plain) is not list or len(plain) != 2 or type(plain[0]) is not int or not 0 <= plain[0] < len(members):
            raise EncodingError(f"one of {len(members)} kinds was expected, not {_shown(plain)}")
        return _reader(members[plain[0]])(plain[1])

    return read


def _enums(kind: type[IntEnum]) -> _Reader:
    def read(plain: Any) -> IntEnum:
        try:
            if type(plain) is int:
                return kind(plain)
        except ValueError:
            pass
        raise EncodingError(f"there is no {kind.__name__} {_shown(plain)}")

    return read


def _records(kind: Any, name: str) -> _Reader:
    hints = get_type_hints(kind)
    readers = [_reader(hints[field.name]) for field in fields(kind) if field.init]

    def read(plain: Any) -> Any:
        if type(plain) is not list or len(plain) != len(readers):
            raise EncodingError(f"{name} must be a list of {len(readers)}, not {_shown(plain)}")
        return kind(*[reader(part) for reader, part in zip(readers, plain, strict=True)])

    return read


def _shown(plain: Any) -> str:
    return repr(plain[:40] if isinstance(plain, bytes | list) else plain)[:120]
