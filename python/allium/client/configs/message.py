"""One config message in the clear: a number, data, and the diffs of the last messages (`spec/configs` §1)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from allium.client import bencode
from allium.client.bencode import Value
from allium.client.configs import tree
from allium.client.configs.tree import Data, Diff

#: How many messages back diffs are kept, and a message is still merged.
WINDOW = 5
HASH_BYTES = 32
SIGNATURE_BYTES = 64
#: Beyond it, there would be no next one.
MAX_SEQNO = (1 << 63) - 2

_SEQNO, _DATA, _LAGGED, _DIFF, _SIGNATURE = b"#", b"&", b"<", b"=", b"~"
_KNOWN = {_SEQNO, _DATA, _LAGGED, _DIFF, _SIGNATURE}

#: (what is signed) -> signature of 64 bytes.
Signer: TypeAlias = Callable[[bytes], bytes]
#: (what is signed, signature) -> whether it is good.
Verifier: TypeAlias = Callable[[bytes, bytes], bool]


class ConfigError(ValueError):
    """Bytes that are no config message. Whoever has the key may have written them, so this is no fault of ours."""


@dataclass(frozen=True)
class Lagged:
    """The diff of an earlier message."""

    seqno: int
    hash: bytes
    diff: Diff

    @property
    def place(self) -> tuple[int, bytes]:
        """Where it stands in the order of all messages."""
        return self.seqno, self.hash


@dataclass(frozen=True)
class ConfigMessage:
    """A message as it was written or read. Nothing of it is ever changed."""

    seqno: int
    data: Data
    lagged: tuple[Lagged, ...]
    diff: Diff
    #: Outer keys that a newer version wrote.
    unknown: dict[bytes, Value]
    encoded: bytes
    #: blake2b-32 of `encoded`: by it devices order what has the same number.
    hash: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hash", hashlib.blake2b(self.encoded, digest_size=HASH_BYTES).digest())

    @property
    def place(self) -> tuple[int, bytes]:
        """Where it stands in the order of all messages."""
        return self.seqno, self.hash

    def lagged_by(self, seqno: int) -> tuple[Lagged, ...]:
        """What a message that follows with this number carries: our diffs and our own, inside the window."""
        every = (*self.lagged, Lagged(self.seqno, self.hash, self.diff))
        return tuple(
            sorted((each for each in every if seqno - WINDOW < each.seqno < seqno), key=lambda each: each.place)
        )


def write(
    seqno: int,
    data: Data,
    lagged: tuple[Lagged, ...],
    diff: Diff,
    unknown: dict[bytes, Value],
    sign: Signer | None,
) -> ConfigMessage:
    """The message of these parts, signed if `sign` is there."""
    outer: dict[bytes, Value] = {
        **unknown,
        _SEQNO: seqno,
        _DATA: tree.written(data),
        _LAGGED: [[each.seqno, each.hash, each.diff] for each in lagged],
        _DIFF: diff,
    }
    encoded = bencode.encode(outer)
    if sign is not None:
        signed = encoded[:-1]
        encoded = signed + b"1:~%d:%be" % (SIGNATURE_BYTES, sign(signed))
    return ConfigMessage(seqno, data, lagged, diff, unknown, encoded)


def read(encoded: bytes, verify: Verifier | None) -> ConfigMessage:
    """The message that bytes are; `ConfigError` for anything else, and, with `verify`, without a good signature."""
    try:
        outer = bencode.decode_dict(encoded)
        seqno, lagged = outer.get(_SEQNO), outer.get(_LAGGED, [])
        if not isinstance(seqno, int) or not 0 <= seqno <= MAX_SEQNO:
            raise ConfigError("not a sequence number")
        if min(outer) < _SEQNO or max(outer) > _SIGNATURE:
            raise ConfigError("a key outside of the order")
        _check_signature(encoded, outer.get(_SIGNATURE), verify)
        return ConfigMessage(
            seqno,
            tree.parse(outer[_DATA]),
            _read_lagged(lagged, seqno),
            tree.check_diff(outer[_DIFF]),
            {key: value for key, value in outer.items() if key not in _KNOWN},
            encoded,
        )
    except KeyError as error:
        raise ConfigError(f"without its {error}") from None
    except (bencode.BencodeError, tree.TreeError) as error:
        raise ConfigError(str(error)) from None


def _check_signature(encoded: bytes, signature: Value | None, verify: Verifier | None) -> None:
    if signature is not None and (not isinstance(signature, bytes) or len(signature) != SIGNATURE_BYTES):
        raise ConfigError("not a signature")
    if verify is None:
        return
    if signature is None:
        raise ConfigError("not signed")
    signed = encoded[: -len(b"1:~64:") - SIGNATURE_BYTES - 1]
    if not verify(signed, signature):
        raise ConfigError("the signature does not verify")


def _read_lagged(value: Value, seqno: int) -> tuple[Lagged, ...]:
    if not isinstance(value, list):
        raise ConfigError("not a list of diffs")
    lagged: list[Lagged] = []
    for item in value:
        match item:
            case [int() as number, bytes() as message_hash, dict() as diff] if (
                len(message_hash) == HASH_BYTES and number < seqno
            ):
                lagged.append(Lagged(number, message_hash, tree.check_diff(diff)))
            case _:
                raise ConfigError("not a diff of an earlier message")
    places = [each.place for each in lagged]
    if places != sorted(set(places)):
        raise ConfigError("diffs out of order")
    return tuple(each for each in lagged if seqno - WINDOW < each.seqno)


#: What a config is before anything was written.
EMPTY = write(0, {}, (), {}, {}, None)
