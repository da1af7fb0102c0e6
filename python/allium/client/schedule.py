"""When each conversation is polled (`spec/client-network` §8): the more that happens in it, the sooner."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

_DAY = 24 * 3600.0
#: Own account: after a poll, and after each failure in a row.
ACCOUNT_SECONDS = 4.0
_BACKOFF_SECONDS, _MOST_BACKOFF_SECONDS = 2.0, 10.0
COMMUNITY_SECONDS = 10.0
#: Groups: so long after the last that happened, and so often until then.
GROUP_SECONDS = ((2 * _DAY, 5.0), (7 * _DAY, 60.0), (float("inf"), 120.0))
#: Without a connection one is tried so often.
OFFLINE_SECONDS = 3.0
#: Polls are spread by so much of their interval, so that many do not fall together.
_SPREAD = 0.1


class Kind(Enum):
    """What is polled."""

    ACCOUNT = "account"
    GROUP = "group"
    COMMUNITY = "community"


@dataclass(slots=True)
class _Entry:
    kind: Kind
    #: Unix seconds.
    activity: float
    due: float
    failures: int = 0
    #: Given out by `next` and not yet `done`.
    polled: bool = False


class Schedule:
    """Keys (whatever the caller calls its conversations) and the time of the next poll of each. For one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, today: Callable[[], float] = time.time) -> None:
        """`clock` is in seconds from anywhere, `today` in Unix seconds."""
        self._clock, self._today = clock, today
        self._entries: dict[str, _Entry] = {}
        #: (due, key); what is not in `_entries` with just this time is void.
        self._heap: list[tuple[float, str]] = []
        self._changed = asyncio.Event()
        self._online = True
        self._chance = random.SystemRandom()

    def add(self, key: str, kind: Kind, activity: int = 0) -> None:
        """Polls `key` from now on, at once at first. `activity` is when the last thing happened, Unix milliseconds."""
        known = self._entries.get(key)
        if known is None:
            self._entries[key] = _Entry(kind, activity / 1000, self._clock())
            self._push(key)
        else:
            self.active(key, activity)

    def remove(self, key: str) -> None:
        """Polls `key` no more."""
        self._entries.pop(key, None)
        self._changed.set()

    def active(self, key: str, activity: int | None = None) -> None:
        """Something happened in `key`: now, or at `activity` (Unix milliseconds)."""
        entry = self._entries.get(key)
        if entry is None:
            return
        entry.activity = max(entry.activity, self._today() if activity is None else activity / 1000)
        soonest = self._clock() + self._interval(entry)
        if not entry.polled and soonest < entry.due:
            entry.due = soonest
            self._push(key)

    def now(self, key: str) -> None:
        """`key` is due."""
        entry = self._entries.get(key)
        if entry is not None and not entry.polled:
            entry.due = self._clock()
            self._push(key)

    def done(self, key: str, *, failed: bool = False, more: bool = False) -> None:
        """A poll of `key` is over; with `more` it is due again at once."""
        entry = self._entries.get(key)
        if entry is None:
            return
        entry.polled = False
        entry.failures = entry.failures + 1 if failed else 0
        entry.due = self._clock() + (0.0 if more and not failed else self._interval(entry))
        self._push(key)

    def connection(self, online: bool) -> None:
        """The connection has come, and everything is due; or it has gone, and only own accounts are tried."""
        if online and not self._online:
            for key, entry in self._entries.items():
                entry.failures = 0
                if not entry.polled:
                    entry.due = self._clock()
                    heapq.heappush(self._heap, (entry.due, key))
        self._online = online
        self._changed.set()

    def due(self, most: int = 16) -> list[str]:
        """Keys whose time has come, the longest due first; with those that are not `done` yet, at most `most`."""
        found: list[str] = []
        most -= self._polled
        put_off: list[str] = []
        while self._heap and len(found) < most and self._heap[0][0] <= self._clock():
            due, key = heapq.heappop(self._heap)
            entry = self._entries.get(key)
            if entry is None or entry.polled or entry.due != due:
                continue
            if not self._online and entry.kind is not Kind.ACCOUNT:
                put_off.append(key)
                continue
            entry.polled = True
            found.append(key)
        for key in put_off:
            self._entries[key].due = self._clock() + OFFLINE_SECONDS
            heapq.heappush(self._heap, (self._entries[key].due, key))
        return found

    async def next(self, most: int = 16) -> list[str]:
        """Waits until there are keys whose time has come; as `due`."""
        while not (found := self.due(most)):
            self._changed.clear()
            # With so many under way already, what is due waits for the end of one.
            is_full = self._polled >= most
            wait = None if is_full or not self._heap else max(0.0, self._heap[0][0] - self._clock())
            # Not `wait_for`, which forgets that it was cancelled if the event comes at the same moment.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()
        return found

    @property
    def _polled(self) -> int:
        return sum(entry.polled for entry in self._entries.values())

    def _interval(self, entry: _Entry) -> float:
        if not self._online:
            return OFFLINE_SECONDS
        if entry.kind is Kind.COMMUNITY:
            interval = COMMUNITY_SECONDS
        elif entry.kind is Kind.ACCOUNT:
            interval = ACCOUNT_SECONDS
        else:
            age = self._today() - entry.activity
            interval = next(seconds for most, seconds in GROUP_SECONDS if age < most)
        if entry.failures:
            backoff = min(_BACKOFF_SECONDS * (entry.failures + 1), _MOST_BACKOFF_SECONDS)
            # What is polled seldom is not polled more often for having failed.
            return backoff if entry.kind is Kind.ACCOUNT else max(interval, backoff)
        return interval * (1 - _SPREAD * self._chance.random())

    def _push(self, key: str) -> None:
        if len(self._heap) > 4 * len(self._entries) + 64:
            # What is void is not kept until its time.
            self._heap = [(entry.due, each) for each, entry in self._entries.items() if not entry.polled]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (self._entries[key].due, key))
        self._changed.set()
