"""The membership algorithm step by step as `spec/swarms` §2.4 says it, with every list made anew each time."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from allium.appchain.mt19937 import Mt19937
from allium.appchain.swarms import (
    DISSOLVED_PERCENTILE,
    FILL_PERCENTILE,
    IDEAL_MARGIN,
    MAX_ID,
    MIN_SIZE,
    NEW_SIZE,
    STEAL_PERCENTILE,
    SizeOrder,
)


def update(
    swarms: Mapping[int, Sequence[int]], unassigned: Sequence[int], seed: int, order: SizeOrder
) -> dict[int, list[int]]:
    if not unassigned and not any(swarms.values()):
        return {}
    run = _Run(swarms, Mt19937(seed), order)
    run.assign(unassigned, FILL_PERCENTILE)
    run.steal()
    run.create()
    run.dissolve()
    return {swarm: run.members[swarm] for swarm in run.ids}


def new_id(ids: Sequence[int]) -> int:
    if not ids:
        return 0
    gap, base = 0, ids[0]
    for lower, upper in pairwise(ids):
        if upper - lower > gap:
            gap, base = upper - lower, lower
    wrapping = MAX_ID - ids[-1] + ids[0] + 1
    if wrapping > gap:
        gap, base = wrapping, ids[-1]
    half, room = gap // 2, MAX_ID - base
    return half - room - 1 if half > room else base + half


class _Run:
    def __init__(self, swarms: Mapping[int, Sequence[int]], generator: Mt19937, order: SizeOrder) -> None:
        self._generator, self._order = generator, order
        self.members: dict[int, list[int]] = {swarm: list(keys) for swarm, keys in swarms.items()} or {0: []}
        self.ids = sorted(self.members)
        sizes = [len(keys) for keys in self.members.values()]
        self._poor = sum(size < MIN_SIZE for size in sizes)
        self._excess = sum(max(0, size - MIN_SIZE) for size in sizes)

    def assign(self, keys: Iterable[int], percentile: int) -> None:
        for key in keys:
            sizes = self._sorted_sizes()
            upper = percentile * (len(sizes) - 1) // 100
            size = sizes[upper][1]
            while upper + 1 < len(sizes) and sizes[upper + 1][1] <= size:
                upper += 1
            self._add(sizes[self._generator.below(upper + 1)][0], key)
            self.create()

    def steal(self) -> None:
        if not self._poor:
            return
        sizes = self._sorted_sizes()
        threshold = max(MIN_SIZE, sizes[STEAL_PERCENTILE * (len(sizes) - 1) // 100][1] - 1)
        for poor, listed in sizes:
            if listed >= MIN_SIZE:
                return
            while len(self.members[poor]) < MIN_SIZE:
                rich = [swarm for swarm in self.ids if len(self.members[swarm]) > threshold]
                excess = sum(len(self.members[swarm]) - MIN_SIZE for swarm in rich)
                if excess < MIN_SIZE - len(self.members[poor]):
                    return
                self._add(poor, self._take(rich))

    def create(self) -> None:
        while not self._poor and self._excess >= NEW_SIZE + IDEAL_MARGIN * len(self.ids):
            picked = [self._take([s for s in self.ids if len(self.members[s]) > MIN_SIZE]) for _ in range(NEW_SIZE)]
            swarm = new_id(self.ids)
            insort(self.ids, swarm)
            self.members[swarm] = picked
            self._excess += NEW_SIZE - MIN_SIZE

    def dissolve(self) -> None:
        while self._poor and len(self.ids) > 1:
            swarm = next(swarm for swarm in self.ids if len(self.members[swarm]) < MIN_SIZE)
            self.ids.remove(swarm)
            self._poor -= 1
            self.assign(self.members.pop(swarm), DISSOLVED_PERCENTILE)

    def _sorted_sizes(self) -> list[tuple[int, int]]:
        return self._order([(swarm, len(self.members[swarm])) for swarm in self.ids])

    def _add(self, swarm: int, key: int) -> None:
        keys = self.members[swarm]
        keys.append(key)
        self._poor -= len(keys) == MIN_SIZE
        self._excess += len(keys) > MIN_SIZE

    def _take(self, swarms: Sequence[int]) -> int:
        index = self._generator.below(sum(len(self.members[swarm]) for swarm in swarms))
        for swarm in swarms:
            keys = self.members[swarm]
            if index < len(keys):
                self._excess -= 1
                return keys.pop(index)
            index -= len(keys)
        raise AssertionError("an index beyond the pool")
