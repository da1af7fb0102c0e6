"""Reads the database for those who show it, on a thread of its own: nobody who writes keeps them waiting.

What is read is what was committed when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from allium.client.database import Database
from allium.client.session.core import Core
from allium.client.session.worker import Worker

T = TypeVar("T")


class ReadingThread:
    """Of one session."""

    def __init__(self, core: Core, writer: Worker) -> None:
        self._core = core
        self._writer = writer
        self._worker = Worker()
        self._database: Database | None = None
        #: Whether what writes has the file for itself, as it must while that is encrypted anew.
        self._excluded = False

    async def run(self, function: Callable[[Database], T]) -> T:
        """What `function` finds. `ClosedError` after `close`."""
        if not self._excluded:
            found = await self._worker.run(self._read, function)
            if found is not None:
                return found[0]
        return await self._writer.run(function, self._core.database)

    def _read(self, function: Callable[[Database], T]) -> tuple[T] | None:
        database = self._opened()
        return None if database is None else (function(database),)

    async def exclude(self) -> None:
        """From now on nobody reads here, until `include`."""
        self._excluded = True
        await self._worker.run(self._close)

    def include(self) -> None:
        """The inverse."""
        self._excluded = False

    async def close(self) -> None:
        """After what is being read."""
        await self._worker.close(self._close)

    def _opened(self) -> Database | None:
        if self._database is None and not self._excluded:
            self._database = self._core.database.second()
        return self._database

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database = None
