"""How often one source may ask: buckets that fill again with time."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Sources that are told apart. Others share one bucket.
_MOST_SOURCES = 50_000
_OTHERS = "others"


class TooOftenError(Exception):
    """The source has asked as often as it may; it may again in `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds:.0f} s")
        self.seconds = seconds


class Rate:
    """So many at once, and as many again in each period."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        #: How much of a bucket is used, as of when.
        self._used: dict[str, tuple[float, float]] = {}
        self._forget_at = 0.0

    def take(self, source: str) -> None:
        """Counts one more; raises `TooOftenError` when that is too many."""
        now = self._clock()
        if source not in self._used and len(self._used) >= _MOST_SOURCES:
            self._forget(now)
            if len(self._used) >= _MOST_SOURCES:
                source = _OTHERS
        level = self._level(source, now)
        if level + 1 > self._most:
            raise TooOftenError((level + 1 - self._most) * self._seconds / self._most)
        self._used[source] = (level + 1, now)

    def _level(self, source: str, now: float) -> float:
        used, when = self._used.get(source, (0.0, now))
        return max(0.0, used - (now - when) * self._most / self._seconds)

    def _forget(self, now: float) -> None:
        """Takes out those whose buckets are full again; now and then, as it looks at all of them."""
        if now < self._forget_at:
            return
        self._forget_at = now + self._seconds
        self._used = {source: kept for source, kept in self._used.items() if self._level(source, now) > 0}
