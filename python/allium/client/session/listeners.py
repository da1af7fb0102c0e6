"""Who listens to a session's events: each gets every event, in order, from when it began to listen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from allium.client.session.events import Event

#: Events that a listener has not taken before nothing new is received for it.
MOST_WAITING = 1000


class Listeners:
    """All listeners of one session. For one event loop."""

    def __init__(self) -> None:
        self._queues: dict[int, asyncio.Queue[Event | None]] = {}
        self._number = 0
        self._taken = asyncio.Event()
        self._closed = False

    def tell(self, events: Iterable[Event]) -> None:
        """To everyone who listens."""
        for event in events:
            for queue in self._queues.values():
                queue.put_nowait(event)

    async def listen(self) -> AsyncIterator[Event]:
        """Events as they come, until the session is closed."""
        if self._closed:
            return
        self._number += 1
        number, queue = self._number, asyncio.Queue[Event | None]()
        self._queues[number] = queue
        try:
            while (event := await queue.get()) is not None:
                self._taken.set()
                yield event
        finally:
            del self._queues[number]
            self._taken.set()

    async def ready(self) -> None:
        """Waits for whoever is far behind: what is not received yet is safe where it is."""
        while any(queue.qsize() >= MOST_WAITING for queue in self._queues.values()):
            self._taken.clear()
            await self._taken.wait()

    def close(self) -> None:
        """Ends every `listen` after what was told."""
        self._closed = True
        for queue in self._queues.values():
            queue.put_nowait(None)
