"""What happens, for all who listen: numbered, kept for a while in memory, and never waited for.

Whoever was away for a moment says the last number that they saw and gets what they missed, as long as that is still
here; else they load anew. Whoever takes too little is cut off: what they missed is in the database.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

import msgspec

#: Events that are kept for who comes back, and their bytes.
MAX_KEPT, MAX_KEPT_BYTES = 2_000, 8 << 20
#: What waits for one listener.
MAX_WAITING, MAX_WAITING_BYTES = 1_000, 4 << 20
MAX_LISTENERS = 32


class Listener:
    """One who listens."""

    def __init__(self) -> None:
        self._frames: deque[str] = deque()
        self._bytes = 0
        self._news = asyncio.Event()
        #: Whether they took too little for too long.
        self.lost = False

    def put(self, frame: str) -> None:
        """Never waits."""
        if self.lost:
            return
        if len(self._frames) >= MAX_WAITING or self._bytes + len(frame) > MAX_WAITING_BYTES:
            self._frames.clear()
            self.lost = True
        else:
            self._frames.append(frame)
            self._bytes += len(frame)
        self._news.set()

    async def get(self) -> str | None:
        """The next frame; None once they are lost."""
        while not self._frames:
            if self.lost:
                return None
            self._news.clear()
            await self._news.wait()
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        return frame

    async def ended(self) -> None:
        """Returns when they are lost, however long the last frame is on its way."""
        while not self.lost:
            self._news.clear()
            await self._news.wait()

    def end(self) -> None:
        """They are cut off."""
        self.lost = True
        self._frames.clear()
        self._news.set()


class Hub:
    """All events of all accounts."""

    def __init__(self) -> None:
        #: Numbers begin with the time, so that those of an earlier run are none of this one's.
        self._begun = self._cursor = time.time_ns() // 1_000_000
        self._kept: deque[tuple[int, str]] = deque()
        self._bytes = 0
        self._listeners: set[Listener] = set()

    @property
    def cursor(self) -> int:
        """The number of the last event."""
        return self._cursor

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def tell(self, kind: str, account: str | None = None, **members: Any) -> None:
        """To all who listen."""
        self._cursor += 1
        event = {"cursor": self._cursor, "account": account, "type": kind, **members}
        frame = msgspec.json.encode(event).decode()
        self._kept.append((self._cursor, frame))
        self._bytes += len(frame)
        while len(self._kept) > MAX_KEPT or self._bytes > MAX_KEPT_BYTES:
            self._bytes -= len(self._kept.popleft()[1])
        for listener in self._listeners:
            listener.put(frame)

    def forget(self) -> None:
        """Keeps nothing of what was told, which all have to load anew."""
        self._kept.clear()
        self._bytes = 0
        self._cursor += 1
        self._begun = self._cursor

    def listen(self, after: int | None) -> Listener | None:
        """Somebody listens from behind a number; None if there are too many."""
        if len(self._listeners) >= MAX_LISTENERS:
            return None
        oldest = self._kept[0][0] - 1 if self._kept else self._cursor
        resumed = after is not None and max(self._begun, oldest) <= after <= self._cursor
        listener = Listener()
        hello = {"cursor": self._cursor, "type": "hello", "resumed": resumed}
        listener.put(msgspec.json.encode(hello).decode())
        if resumed and after is not None:
            for number, frame in self._kept:
                if number > after:
                    listener.put(frame)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Somebody listens no more."""
        self._listeners.discard(listener)

    def close(self) -> None:
        """Cuts off all."""
        for listener in self._listeners:
            listener.end()
