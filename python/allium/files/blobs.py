"""Blobs: bytes of files under names that are never used again. What each place for them has to do."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from allium.errors import Complaint
from allium.server.messages import BodyLostError, BodyReader


class BlobsUnusableError(Complaint, BodyLostError):
    """The place cannot be used; the text says what to do."""


class BlobMissingError(BodyLostError):
    """There is no such blob."""


@dataclass(frozen=True, slots=True)
class FoundBlob:
    """A blob as a listing tells of it; `modified` in Unix seconds."""

    blob: str
    size: int
    modified: float


class Blobs(Protocol):
    """A place for blobs. Other failures than a missing blob raise `BlobsUnusableError`."""

    async def put(self, blob: str, content: Path) -> None:
        """Takes over a file, which may be moved away; on disk, or at the provider, when it returns."""

    async def open(self, blob: str, size: int) -> BodyReader:
        """Opens a blob of this size, whose bytes stay until it is closed; raises `BlobMissingError`."""

    async def delete(self, blobs: Sequence[str]) -> None:
        """Deletes those that are there."""

    def listing(self) -> AsyncIterator[list[FoundBlob]]:
        """All blobs, some at a time."""

    async def probe(self) -> None:
        """Tries whether it can be written and read."""


def new_blob() -> str:
    """A name that nobody has used: 32 hex digits."""
    return secrets.token_hex(16)


def path_of(blob: str) -> str:
    """Where a blob is: 256 directories, of which none grows too large."""
    return f"{blob[:2]}/{blob}"


def blob_at(path: str) -> str | None:
    """The blob at a path that `path_of` gave; `None` for somebody else's file."""
    blob = path.rpartition("/")[2]
    plain = len(blob) == 32 and all(digit in "0123456789abcdef" for digit in blob)
    return blob if plain and path == path_of(blob) else None
