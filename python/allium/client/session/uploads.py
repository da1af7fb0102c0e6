"""Uploads that were begun: how each file was encrypted, so that after a failure or a crash what arrived is found again.

They are known by the file's content, and forgotten once the upload is done.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import Any

from allium.client.exchange import Body
from allium.client.files.encryption import FileEncryption
from allium.client.session.core import Work

_FACT = "uploads"
#: Those that are remembered; the oldest goes.
_MAX = 32


async def name_of(source: Body, padded: bool) -> str:
    """What an upload of these bytes is known by."""
    digest = hashlib.blake2b(digest_size=16, person=b"padded" if padded else b"")
    async for piece in source.pieces():
        digest.update(piece)
    return digest.hexdigest()


def begun(work: Work, name: str) -> FileEncryption | None:
    """How it was encrypted in an earlier attempt; None if there was none."""
    found = _known(work).get(name)
    try:
        return None if found is None else _encryption(found)
    except (ValueError, TypeError, KeyError):
        return None


def begin(work: Work, name: str, encryption: FileEncryption) -> None:
    """Before the first byte is sent."""
    known = {**_known(work), name: _json(encryption)}
    work.database.facts.set(_FACT, json.dumps(dict(list(known.items())[-_MAX:])).encode())


def end(work: Work, name: str) -> None:
    """It is on the server."""
    known = _known(work)
    if known.pop(name, None) is not None:
        work.database.facts.set(_FACT, json.dumps(known).encode())


def _known(work: Work) -> dict[str, Any]:
    return dict(json.loads(work.database.facts.get(_FACT) or b"{}"))


def _json(encryption: FileEncryption) -> dict[str, Any]:
    values = {field.name: getattr(encryption, field.name) for field in fields(encryption)}
    return {name: {"hex": value.hex()} if isinstance(value, bytes) else value for name, value in values.items()}


def _encryption(kept: dict[str, Any]) -> FileEncryption:
    values: dict[str, Any] = {
        name: bytes.fromhex(value["hex"]) if isinstance(value, dict) else value for name, value in kept.items()
    }
    return FileEncryption(**values)
