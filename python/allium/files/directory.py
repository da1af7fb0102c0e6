"""Blobs in a directory.

Not by way of obstore's `LocalStore`: that one does not sync what it has written, so that a power cut could take files
that were acknowledged; nor does it give the open file, from which the kernel sends without a copy in this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO

from allium.base import files
from allium.files.blobs import BlobMissingError, BlobsUnusableError, FoundBlob, blob_at, path_of
from allium.server.messages import CHUNK_BYTES

_SHARDS = [f"{number:02x}" for number in range(256)]
_LISTED = 1000


class DirectoryBlobs:
    """`Blobs` in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        """Makes the directory; raises `BlobsUnusableError`."""
        self._directory = directory
        self._text = str(directory)
        try:
            files.make_directory(directory)
            for shard in _SHARDS:
                files.make_directory(directory / shard)
            files.sync(directory)
        except OSError as error:
            raise _unusable(directory, error) from None

    async def put(self, blob: str, content: Path) -> None:
        """See `Blobs`. `content` is on the same file system, and is moved."""
        await asyncio.to_thread(self._put, blob, content)

    def _put(self, blob: str, content: Path) -> None:
        place = self._directory / path_of(blob)
        try:
            with content.open("rb") as file:
                os.fsync(file.fileno())
            content.replace(place)
            files.sync(place.parent)
        except OSError as error:
            raise _unusable(place, error) from None

    async def open(self, blob: str, size: int) -> FileReader:
        """See `Blobs`."""
        place = self._directory / path_of(blob)
        try:
            # Two system calls of a few microseconds; a thread would cost ten times as much.
            file = place.open("rb", buffering=0)
        except FileNotFoundError:
            raise BlobMissingError from None
        except OSError as error:
            raise _unusable(place, error) from None
        if os.fstat(file.fileno()).st_size < size:
            file.close()
            raise BlobMissingError
        return FileReader(file, size)

    def place(self, blob: str) -> str:
        """The path of a blob."""
        return f"{self._text}/{path_of(blob)}"

    async def delete(self, blobs: Sequence[str]) -> None:
        """See `Blobs`."""
        await asyncio.to_thread(self._delete, blobs)

    def _delete(self, blobs: Sequence[str]) -> None:
        for blob in blobs:
            place = self._directory / path_of(blob)
            try:
                place.unlink(missing_ok=True)
            except OSError as error:
                raise _unusable(place, error) from None
        for shard in {blob[:2] for blob in blobs}:
            # Before the index forgets that they were loose.
            with contextlib.suppress(OSError):
                files.sync(self._directory / shard)

    async def listing(self) -> AsyncIterator[list[FoundBlob]]:
        """See `Blobs`."""
        for shard in _SHARDS:
            found = await asyncio.to_thread(self._listed, shard)
            for start in range(0, len(found), _LISTED):
                yield found[start : start + _LISTED]

    def _listed(self, shard: str) -> list[FoundBlob]:
        found = []
        try:
            with os.scandir(self._directory / shard) as entries:
                for entry in entries:
                    blob = blob_at(f"{shard}/{entry.name}")
                    if blob is not None:
                        # It may be deleted meanwhile.
                        with contextlib.suppress(FileNotFoundError):
                            status = entry.stat(follow_symlinks=False)
                            found.append(FoundBlob(blob, status.st_size, status.st_mtime))
        except OSError as error:
            raise _unusable(self._directory / shard, error) from None
        return found

    async def probe(self) -> None:
        """See `Blobs`."""

        def work() -> None:
            place = self._directory / f".probe-{secrets.token_hex(4)}"
            try:
                files.create(place, b"probe")
                place.unlink()
            except OSError as error:
                raise _unusable(self._directory, error) from None

        await asyncio.to_thread(work)


class FileReader:
    """A `BodyReader` of a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    @property
    def file(self) -> BinaryIO | None:
        """See `BodyReader`."""
        return self._file

    async def read(self) -> bytes:
        """See `BodyReader`."""
        at_once = self._in_memory() if self._size <= CHUNK_BYTES else None
        if at_once is not None:
            return at_once
        return await asyncio.to_thread(os.pread, self._file.fileno(), self._size, 0)

    def _in_memory(self) -> bytes | None:
        """All of it if the system has it in memory: nothing is waited for, so no thread is needed."""
        buffer = bytearray(self._size)
        try:
            read = os.preadv(self._file.fileno(), [buffer], 0, os.RWF_NOWAIT)
        except OSError:
            return None
        return bytes(buffer) if read == self._size else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `BodyReader`."""
        position = 0
        while position < self._size:
            wanted = min(CHUNK_BYTES, self._size - position)
            chunk = await asyncio.to_thread(os.pread, self._file.fileno(), wanted, position)
            if not chunk:
                raise BlobMissingError
            yield chunk
            position += len(chunk)

    def close(self) -> None:
        """See `BodyReader`."""
        self._file.close()


def _unusable(place: Path, error: OSError) -> BlobsUnusableError:
    return BlobsUnusableError(f"{place} cannot be used: {error.strerror}")
