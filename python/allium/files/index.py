"""The index: which files there are, where their bytes are, until when. What each of its databases has to do.

A blob is the bytes of a file under a name of their own, which is never used again. Before a blob is written the index
notes that it is loose; the transaction that adds a file takes that note away, and the one that drops a file makes it
again. So whatever a crash leaves is either a file whose blob is there, or a loose blob, which a sweep removes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from allium.errors import Complaint


class IndexUnusableError(Complaint):
    """The database cannot be used; the text says what to do."""


class NumberTakenError(Complaint):
    """Another file has the number already."""


class BlobLostError(Complaint):
    """A blob was swept before its file could be added: its upload took longer than any may."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file. Times are in Unix seconds."""

    #: 44 characters, of the content.
    name: str
    #: By which it is found too, where files were numbered when it came.
    number: int | None
    blob: str
    size: int
    uploaded: float
    expires: float


@dataclass(frozen=True, slots=True)
class Totals:
    """How many files there are, the bytes in them, and loose blobs."""

    files: int
    bytes: int
    loose: int


class Index(Protocol):
    """A database of files. What is said here to be noted is on disk when the call returns."""

    async def find(self, name: str | int, now: float) -> FileRecord | None:
        """The file with this name or number that has not expired."""

    async def reserve(self, blob: str, now: float) -> None:
        """Notes a loose blob that is going to be written."""

    async def add(self, record: FileRecord, now: float) -> FileRecord:
        """Adds a file whose blob is written and was reserved; what is in force then.

        Is the content there already, the file has the later expiry, and the new blob stays loose. A file that has
        expired is replaced. Raises `BlobLostError` and `NumberTakenError`.
        """

    async def extend(self, name: str, expires: float, now: float, number: int | None = None) -> FileRecord | None:
        """Gives a file the later expiry, and a number if it has none; `None` when there is no such file."""

    async def abandon(self, blobs: Sequence[str]) -> None:
        """Notes that nobody goes on with these loose blobs, so that the next sweep removes them."""

    async def expire(self, now: float, limit: int) -> int:
        """Drops files that have expired, at most `limit`; their blobs are loose then. How many it dropped."""

    async def sweepable(self, before: float, limit: int) -> list[str]:
        """Loose blobs that nobody goes on with, or that were reserved before that time."""

    async def forget(self, blobs: Sequence[str]) -> None:
        """Blobs that are gone are not loose any more. Not those that belong to a file."""

    async def known(self, blobs: Sequence[str]) -> set[str]:
        """Those that a file has or that are loose."""

    async def scan(self, after: str, limit: int) -> list[FileRecord]:
        """Files in the order of their names, after one of them, expired or not."""

    async def totals(self) -> Totals:
        """Counts."""

    async def close(self) -> None:
        """Finishes what is under way."""
