"""What happens, in the order of its time."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush


class Loop:
    """Events and the clock, in seconds from the beginning. Events at one time happen in the order they were told."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._told = 0

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Has something happen at a time, now if that is over."""
        self._told += 1
        heappush(self._events, (max(when, self.now), self._told, act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Has something happen in a while."""
        self.at(self.now + seconds, act)

    def run(self, until: float) -> None:
        """Lets everything happen up to a time."""
        while self._events and self._events[0][0] <= until:
            self.now, _, act = heappop(self._events)
            act()
        self.now = until
