"""Swarms in the orders in which one run asks for them, kept as sizes change instead of made anew at each step."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Protocol

#: A swarm's id and how many it has.
Size = tuple[int, int]
#: Orders swarms, which come by id, by size.
Order = Callable[[list[Size]], list[Size]]

#: How many swarms share a sum of `Pool`, about the root of how many there are in a large network.
_BLOCK = 128


class Ranking(Protocol):
    """Swarms by size, smallest first."""

    def smallest(self, percentile: int) -> int:
        """How many are no larger than the one at `percentile`."""

    def at(self, rank: int) -> int:
        """The swarm at a place, after `smallest`."""

    def sizes(self) -> list[Size]:
        """All of them."""

    def resize(self, swarm: int, before: int | None, after: int | None) -> None:
        """Notes that a swarm grew, shrank, is new (`before` is `None`) or gone (`after` is `None`)."""


class Resorted:
    """By an order that only sorting all of them tells."""

    def __init__(self, sizes: Iterable[Size], order: Order) -> None:
        self._sizes, self._order = dict(sizes), order
        self._sorted: list[Size] = []

    def smallest(self, percentile: int) -> int:
        """See `Ranking`."""
        self._sorted = self.sizes()
        return bisect_right(self._sorted, self._sorted[_place(percentile, len(self._sorted))][1], key=_size)

    def at(self, rank: int) -> int:
        """See `Ranking`."""
        return self._sorted[rank][0]

    def sizes(self) -> list[Size]:
        """See `Ranking`."""
        return self._order(sorted(self._sizes.items()))

    def resize(self, swarm: int, before: int | None, after: int | None) -> None:
        """See `Ranking`."""
        if after is None:
            del self._sizes[swarm]
        else:
            self._sizes[swarm] = after


class Ranked:
    """By size, then by id: the swarms of each size are kept in order, so nothing is ever sorted again."""

    def __init__(self, sizes: Iterable[Size]) -> None:
        self._count = 0
        self._of_size: dict[int, list[int]] = {}
        for swarm, size in sorted(sizes):
            self._of_size.setdefault(size, []).append(swarm)
            self._count += 1

    def smallest(self, percentile: int) -> int:
        """See `Ranking`."""
        place, count = _place(percentile, self._count), 0
        for size in sorted(self._of_size):
            count += len(self._of_size[size])
            if count > place:
                return count
        return count

    def at(self, rank: int) -> int:
        """See `Ranking`."""
        for size in sorted(self._of_size):
            swarms = self._of_size[size]
            if rank < len(swarms):
                return swarms[rank]
            rank -= len(swarms)
        raise IndexError(rank)

    def sizes(self) -> list[Size]:
        """See `Ranking`."""
        return [(swarm, size) for size in sorted(self._of_size) for swarm in self._of_size[size]]

    def resize(self, swarm: int, before: int | None, after: int | None) -> None:
        """See `Ranking`."""
        if before is None:
            self._count += 1
        else:
            _drop(self._of_size[before], swarm)
            if not self._of_size[before]:
                del self._of_size[before]
        if after is None:
            self._count -= 1
        else:
            insort(self._of_size.setdefault(after, []), swarm)


class Pool:
    """The members of all swarms larger than `floor`, by ascending swarm: swarms in blocks whose sums are known."""

    def __init__(self, members: Mapping[int, Sequence[object]], floor: int) -> None:
        """Of `members`, which the caller changes."""
        self._members, self._floor = members, floor
        swarms = sorted(members)
        self._blocks = [swarms[start : start + _BLOCK] for start in range(0, len(swarms), _BLOCK)]
        #: The least id that belongs into each block.
        self._bounds = [0, *(block[0] for block in self._blocks[1:])]
        self._sums = [sum(self._offered(len(members[swarm])) for swarm in block) for block in self._blocks]
        self.members = sum(self._sums)
        self.swarms = sum(len(keys) > floor for keys in members.values())

    def find(self, index: int) -> tuple[int, int]:
        """The swarm of the member at `index`, and where that swarm has it."""
        for block, total in zip(self._blocks, self._sums, strict=True):
            if index < total:
                for swarm in block:
                    offered = self._offered(len(self._members[swarm]))
                    if index < offered:
                        return swarm, index
                    index -= offered
            index -= total
        raise IndexError("a member beyond the pool")

    def resize(self, swarm: int, before: int | None, after: int | None) -> None:
        """Notes what `Ranking.resize` does."""
        place = bisect_right(self._bounds, swarm) - 1
        was, is_now = self._offered(before or 0), self._offered(after or 0)
        self._sums[place] += is_now - was
        self.members += is_now - was
        self.swarms += (is_now > 0) - (was > 0)
        block = self._blocks[place]
        if after is None:
            _drop(block, swarm)
        elif before is None:
            insort(block, swarm)
            if len(block) > 2 * _BLOCK:
                self._split(place)

    def _offered(self, size: int) -> int:
        return size if size > self._floor else 0

    def _split(self, place: int) -> None:
        low, high = self._blocks[place][:_BLOCK], self._blocks[place][_BLOCK:]
        sums = [sum(self._offered(len(self._members[swarm])) for swarm in block) for block in (low, high)]
        self._blocks[place : place + 1] = [low, high]
        self._sums[place : place + 1] = sums
        self._bounds.insert(place + 1, high[0])


class Gaps:
    """The room between neighbours on the ring of ids, without the one over its end."""

    def __init__(self, ids: Sequence[int]) -> None:
        """Between `ids`, ascending, which the caller changes."""
        self._ids = ids
        #: Larger ones first, then lower ones; those that are no longer there are found out when they come up.
        self._heap = [(lower - upper, lower) for lower, upper in pairwise(ids)]
        heapify(self._heap)

    def largest(self) -> tuple[int, int]:
        """Its size and the id below it, the lowest of equals; size 0 when there is only one id."""
        while self._heap:
            negative, lower = self._heap[0]
            place = bisect_left(self._ids, lower)
            if self._ids[place : place + 2] == [lower, lower - negative]:
                return -negative, lower
            heappop(self._heap)
        return 0, self._ids[0]

    def changed(self, swarm: int) -> None:
        """Notes that `swarm` was added or removed."""
        place = bisect_left(self._ids, swarm)
        around = self._ids[max(0, place - 1) : place + 2]
        for lower, upper in pairwise(around):
            heappush(self._heap, (lower - upper, lower))


def _drop(swarms: list[int], swarm: int) -> None:
    del swarms[bisect_left(swarms, swarm)]


def _place(percentile: int, count: int) -> int:
    return percentile * (count - 1) // 100


def _size(entry: Size) -> int:
    return entry[1]
