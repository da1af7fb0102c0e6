"""The time by the nodes' clocks, of which some may be wrong and some may lie (`spec/messages` §3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from allium.client.listing import milliseconds

#: Times of nodes before this (January 2021) are no times.
_EARLIEST_MS = 1_609_459_200_000
#: As many nodes' clocks are looked at, each for one.
_MOST_NODES = 10


def _system() -> int:
    return time.time_ns() // 1_000_000


class NetworkClock:
    """The median of what the nodes that were heard last say, and of this machine's clock, which counts as one more.

    So one node that lies moves nothing, and where this machine's clock is wrong two nodes correct it. Once nodes have
    refused its time and others were asked for theirs, it counts no more.
    """

    def __init__(self, system: Callable[[], int] = _system) -> None:
        """`system` is in Unix milliseconds."""
        self._system = system
        #: Node -> how far the system's clock is ahead of its; who was heard last is at the end.
        self._ahead: dict[bytes, int] = {}
        self._own: tuple[int, ...] = (0,)

    def now(self) -> int:
        """Unix milliseconds."""
        offsets = sorted((*self._own, *self._ahead.values()))
        half = len(offsets) // 2
        middle = offsets[half : half + 1] if len(offsets) % 2 else offsets[half - 1 : half + 1]
        return self._system() - min(middle, key=abs)

    def note(self, node: bytes, told: Any) -> None:
        """A node has told its time, Unix milliseconds; what is none is passed over."""
        at = milliseconds(told)
        if at is None or at < _EARLIEST_MS:
            return
        self._ahead.pop(node, None)
        self._ahead[node] = self._system() - at
        if len(self._ahead) > _MOST_NODES:
            del self._ahead[next(iter(self._ahead))]

    def replace(self, times: Mapping[bytes, Any]) -> bool:
        """Forgets what was known for what these nodes have told just now, if that is anything; whether it is."""
        before, self._ahead = self._ahead, {}
        for node, told in times.items():
            self.note(node, told)
        if not self._ahead:
            self._ahead = before
            return False
        self._own = ()
        return True
