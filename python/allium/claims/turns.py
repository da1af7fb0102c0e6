"""Turns: who asks much waits for itself, and whoever asks once is next.

Sources take turns, however many questions each has waiting; what is waiting is bounded, for each source and in all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

#: What may wait, of one source and in all.
_WAITING_OF_ONE, _WAITING = 8, 256
#: How long anything waits for its turn. Whoever asks gives up a little later.
_PATIENCE_SECONDS = 25.0

T = TypeVar("T")


class BusyError(Exception):
    """Too much is asked for at the same time."""


class Turns:
    """Places that sources take by turns."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()
        self._count = 0

    @contextlib.asynccontextmanager
    async def turn(self, source: Hashable) -> AsyncIterator[None]:
        """Has a place while the context is open; raises `BusyError` when too much is waiting for one."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(source)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, source: Hashable) -> None:
        own = self._waiting.get(source, ())
        if len(own) >= _WAITING_OF_ONE or self._count >= _WAITING:
            raise BusyError
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(source, deque()).append(called)
        self._count += 1
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await called
        except TimeoutError:
            self._leave(source, called)
            raise BusyError from None
        except asyncio.CancelledError:
            self._leave(source, called)
            raise

    def _leave(self, source: Hashable, called: asyncio.Future[None]) -> None:
        """Gives up a wait, or the place that came at the same moment."""
        if called.done() and not called.cancelled():
            self._pass_on()
        elif called in (queue := self._waiting.get(source, deque())):
            queue.remove(called)
            self._count -= 1
            if not queue:
                del self._waiting[source]

    def _pass_on(self) -> None:
        """Gives a place to the source whose turn it is, or keeps it free."""
        while self._waiting:
            source, queue = self._waiting.popitem(last=False)
            called = queue.popleft()
            self._count -= 1
            if queue:
                self._waiting[source] = queue
            if not called.done():
                called.set_result(None)
                return
        self._free += 1


class Lane:
    """A thread in which the work of many sources is done, by turns."""

    def __init__(self, name: str) -> None:
        self._turns, self._thread = Turns(1), ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, source: Hashable, work: Callable[[], T]) -> T:
        """What `work` gives, without holding up the event loop; raises `BusyError`."""
        async with self._turns.turn(source):
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Ends the thread once it has done what it does."""
        self._thread.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class Requester:
    """Who asks, and where the work for it is done."""

    source: Hashable
    lane: Lane

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` gives, in the asker's turn; raises `BusyError`."""
        return await self.lane.run(self.source, work)
