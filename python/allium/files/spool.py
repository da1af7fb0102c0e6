"""Where bodies go as they come: temporary files, so that memory does not grow with what strangers send."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from allium.base import files
from allium.files import content
from allium.files.blobs import BlobsUnusableError
from allium.server.messages import CHUNK_BYTES

_SUFFIX = ".part"


def prepare(directory: Path) -> None:
    """Makes the directory for spools, and removes those of a process that was killed. Nobody else may have any there.

    Raises `BlobsUnusableError`.
    """
    try:
        files.make_directory(directory)
        for left in directory.glob(f"*{_SUFFIX}"):
            left.unlink(missing_ok=True)
    except OSError as error:
        raise BlobsUnusableError(f"{directory} cannot be used: {error.strerror}") from None


class Spool:
    """One body, on its way into a file of its own. Leaving the context removes what nobody took over."""

    def __init__(self, directory: Path, hashed: bool = True) -> None:
        """`hashed`: whether it is going to be asked for its `name`."""
        self.path = directory / f"{secrets.token_hex(16)}{_SUFFIX}"
        #: Bytes so far.
        self.size = 0
        self._hasher = content.hasher() if hashed else None
        self._pending = bytearray()
        self._file: BinaryIO | None = None
        self._work: asyncio.Future[None] | None = None

    @property
    def name(self) -> str:
        """What the content is called, once it is finished."""
        if self._hasher is None:
            raise ValueError("nobody has hashed it")
        return content.name(self._hasher.digest())

    async def write(self, chunk: bytes) -> None:
        """Takes a piece of the body; raises `BlobsUnusableError`."""
        self.size += len(chunk)
        self._pending += chunk
        if len(self._pending) >= CHUNK_BYTES:
            pending, self._pending = self._pending, bytearray()
            await self._run(pending, sync=False)

    async def finish(self) -> None:
        """Writes what is left. From now on it is a file."""
        pending, self._pending = self._pending, bytearray()
        await self._run(pending, sync=False)

    async def sync(self) -> None:
        """Has it on the disk when it returns."""
        await self._run(bytearray(), sync=True)

    async def _run(self, pending: bytearray, sync: bool) -> None:
        self._work = asyncio.get_running_loop().run_in_executor(None, self._write, pending, sync)
        try:
            # Who is cancelled does not wait for the thread, and the thread goes on.
            await asyncio.shield(self._work)
        except OSError as error:
            raise BlobsUnusableError(f"{self.path.parent} cannot be written: {error.strerror}") from None

    def _write(self, pending: bytearray, sync: bool) -> None:
        if self._file is None:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, files.PRIVATE)
            self._file = os.fdopen(descriptor, "wb", buffering=0)
        # Without the interpreter lock, as is the writing.
        if self._hasher is not None:
            self._hasher.update(pending)
        view = memoryview(pending)
        while view:
            view = view[self._file.write(view) :]
        if sync:
            os.fsync(self._file.fileno())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._work is not None and not self._work.done():
            # Not before the thread is done: another file could have the descriptor by then.
            self._work.add_done_callback(lambda _: self._discard())
        else:
            self._discard()

    def _discard(self) -> None:
        if self._file is not None:
            self._file.close()
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
