"""What a session does when nothing else is to be done: it forgets the words of messages that were deleted."""

from __future__ import annotations

import asyncio

from allium.client.session.core import Core
from allium.client.session.worker import Worker

#: Between two looks whether there is something.
SECONDS = 20.0


class Tidier:
    """Has the database tidied while nobody waits for it."""

    def __init__(self, core: Core, worker: Worker) -> None:
        self._core = core
        self._worker = worker

    async def run(self) -> None:
        """For ever: in short steps, and none while somebody else uses the database."""
        while True:
            await asyncio.sleep(SECONDS)
            while self._worker.is_idle and await self._worker.run(self._core.database.tidy):
                pass
