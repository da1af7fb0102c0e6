"""What a device keeps of a config between two runs. The form is our own: no other program reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from allium.client import bencode
from allium.client.bencode import Value
from allium.client.configs import tree
from allium.client.configs.message import ConfigError
from allium.client.configs.tree import Data

_VERSION = 1


@dataclass(frozen=True)
class ConfigState:
    """All of a config."""

    encoded: bytes
    #: The data before edits that are not pushed; None where there are none.
    original: dict[bytes, Value] | None
    stored: bool
    hashes: Sequence[str]
    obsolete: Sequence[str]
    parts: list[Value]
    archive: Data


def encode(state: ConfigState) -> bytes:
    """The state as bytes."""
    fields: dict[bytes, Value] = {
        b"": _VERSION,
        b"archive": tree.written(state.archive),
        b"hashes": [each.encode() for each in state.hashes],
        b"message": state.encoded,
        b"obsolete": [each.encode() for each in state.obsolete],
        b"parts": state.parts,
        b"stored": int(state.stored),
    }
    if state.original is not None:
        fields[b"original"] = state.original
    return bencode.encode(fields)


def decode(data: bytes) -> ConfigState:
    """The state that bytes are; `ConfigError` for anything else."""
    try:
        fields = bencode.decode_dict(data)
    except bencode.BencodeError as error:
        raise ConfigError(f"not a dump: {error}") from None
    match fields:
        case {
            b"": int(version),
            b"archive": dict(archive),
            b"hashes": list(hashes),
            b"message": bytes(encoded),
            b"obsolete": list(obsolete),
            b"parts": list(parts),
            b"stored": int(stored),
        } if version == _VERSION:
            original = fields.get(b"original")
            if original is not None and not isinstance(original, dict):
                raise ConfigError("not a dump")
            try:
                archived = tree.parse(archive)
            except tree.TreeError as error:
                raise ConfigError(f"not a dump: {error}") from None
            return ConfigState(encoded, original, bool(stored), _texts(hashes), _texts(obsolete), parts, archived)
        case _:
            raise ConfigError("not a dump of this version")


def _texts(values: list[Value]) -> list[str]:
    return [value.decode("utf-8", "replace") for value in values if isinstance(value, bytes)]
