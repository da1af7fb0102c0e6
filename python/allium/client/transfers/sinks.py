"""Where files come from and go to: pieces of them at a time, so that none is whole in memory.

What is written has its name only once it is whole and proven; before, nobody else can open it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from allium.base import files, system
from allium.client.files import names

_PIECE_BYTES = 256 << 10
_MAX_NUMBER = 10_000


class PathBody:
    """A file on this machine, as the body of a request. Its size is the one that it had at first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size

    @property
    def size(self) -> int:
        """See `Body`."""
        return self._size

    async def pieces(self) -> AsyncIterator[bytes]:
        """See `Body`; `OSError`."""
        opening = asyncio.ensure_future(asyncio.to_thread(self._path.open, "rb", 0))
        try:
            opened = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread opens it all the same.
            opening.add_done_callback(_close)
            raise
        with opened as file:
            while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
                yield piece


def _close(opening: asyncio.Task[FileIO]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class Sink(Protocol):
    """Takes a file in pieces."""

    def write(self, data: bytes) -> None:
        """One piece."""


class MemorySink:
    """For what is small, such as a picture."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> None:
        """See `Sink`."""
        self._data += data

    @property
    def data(self) -> bytes:
        """All of it."""
        return bytes(self._data)


class FileSink:
    """A new file in a directory, for its owner alone. Left without `keep`, nothing of it stays."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._temporary = directory / f".{secrets.token_hex(8)}.part"
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        flags = os.O_WRONLY | system.NEW
        self._file = os.fdopen(os.open(self._temporary, flags, files.PRIVATE), "wb")
        return self

    def write(self, data: bytes) -> None:
        """See `Sink`; `OSError`."""
        assert self._file is not None  # noqa: S101, it is written to within its block
        self._file.write(data)

    def keep(self, name: str) -> Path:
        """Gives it a name of which `names.safe_name` is made, numbered if there is such a file; where it is.

        `OSError`.
        """
        assert self._file is not None  # noqa: S101, see `write`
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        safe = names.safe_name(name)
        for number in range(1, _MAX_NUMBER):
            path = self._directory / (safe if number == 1 else names.numbered(safe, number))
            with contextlib.suppress(FileExistsError):
                files.place(self._temporary, path)
                return path
        raise FileExistsError(17, "too many files of this name", str(self._directory / safe))

    async def placed(self, name: str, content_type: str = "") -> Path:
        """`keep`, whatever a stranger calls the file, and without keeping anybody waiting for the disk."""
        return await asyncio.to_thread(self.keep, names.safe_name(name, content_type))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        self._temporary.unlink(missing_ok=True)
