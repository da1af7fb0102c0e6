"""Which node belongs to which swarm (`spec/swarms` §2): a pure function of the nodes, their swarms and a seed."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Generic, TypeVar

from allium.appchain.mt19937 import Mt19937
from allium.appchain.stdsort import std_sort

#: The id of nodes in no swarm.
UNASSIGNED = 2**64 - 1
MAX_ID = 2**64 - 2
MIN_SIZE = 5
NEW_SIZE = 7
IDEAL_MARGIN = 2
FILL_PERCENTILE = 25
DISSOLVED_PERCENTILE = 0
STEAL_PERCENTILE = 75

Key = TypeVar("Key")
#: A public key, by whose bytes nodes are ordered.
Name = TypeVar("Name", bound=bytes)
#: A swarm's id and how many it has.
Size = tuple[int, int]
#: Orders swarms by size. Which of equal ones comes first decides the result, so a network has to agree on one.
SizeOrder = Callable[[list[Size]], list[Size]]


def reference_order(sizes: list[Size]) -> list[Size]:
    """The order of the reference's sort, which is not stable: equal to `stable_order` up to 16 swarms."""
    return std_sort(sizes, key=lambda entry: entry[1])


def stable_order(sizes: list[Size]) -> list[Size]:
    """By size, then by id."""
    return sorted(sizes, key=lambda entry: (entry[1], entry[0]))


def seed_of(block_hash: bytes) -> int:
    """The seed at a block: the first 8 bytes of its hash, little-endian."""
    return int.from_bytes(block_hash[:8], "little")


def assign(swarm_of: Mapping[Name, int], seed: int, order: SizeOrder = reference_order) -> dict[Name, int]:
    """The swarm of every active node, given the one it is in (`UNASSIGNED` for new ones). Keys are public keys."""
    groups: dict[int, list[Name]] = {}
    for key in sorted(swarm_of):
        groups.setdefault(swarm_of[key], []).append(key)
    unassigned = groups.pop(UNASSIGNED, [])
    return {key: swarm for swarm, keys in update(groups, unassigned, seed, order).items() for key in keys}


def update(
    swarms: Mapping[int, Sequence[Key]], unassigned: Iterable[Key], seed: int, order: SizeOrder = reference_order
) -> dict[int, list[Key]]:
    """The swarms after one run, by ascending id; members in the order in which they came."""
    unassigned = list(unassigned)
    if not unassigned and not any(swarms.values()):
        return {}
    run = _Run(swarms, Mt19937(seed), order)
    run.assign(unassigned, FILL_PERCENTILE)
    run.steal()
    run.create()
    run.dissolve()
    return {swarm: run.members[swarm] for swarm in run.ids}


def new_id(ids: Sequence[int]) -> int:
    """The id of a swarm that joins those of `ids` (ascending): the middle of the largest gap."""
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


class _Run(Generic[Key]):
    """One run, with the sums that it needs at each step."""

    def __init__(self, swarms: Mapping[int, Sequence[Key]], generator: Mt19937, order: SizeOrder) -> None:
        self._generator, self._order = generator, order
        self.members: dict[int, list[Key]] = {swarm: list(keys) for swarm, keys in swarms.items()} or {0: []}
        self.ids = sorted(self.members)
        sizes = [len(keys) for keys in self.members.values()]
        self._poor = sum(size < MIN_SIZE for size in sizes)
        self._excess = sum(max(0, size - MIN_SIZE) for size in sizes)

    def assign(self, keys: Iterable[Key], percentile: int) -> None:
        """Gives each node to one of the smallest swarms, and makes a swarm when there are enough to spare."""
        for key in keys:
            sizes = self._sorted_sizes()
            upper = percentile * (len(sizes) - 1) // 100
            size = sizes[upper][1]
            while upper + 1 < len(sizes) and sizes[upper + 1][1] <= size:
                upper += 1
            self._add(sizes[self._generator.below(upper + 1)][0], key)
            self.create()

    def steal(self) -> None:
        """Fills swarms that are too small from those that are large."""
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
        """Makes swarms of those who are too many elsewhere, if no swarm is too small."""
        while not self._poor and self._excess >= NEW_SIZE + IDEAL_MARGIN * len(self.ids):
            picked = [self._take([s for s in self.ids if len(self.members[s]) > MIN_SIZE]) for _ in range(NEW_SIZE)]
            swarm = new_id(self.ids)
            insort(self.ids, swarm)
            self.members[swarm] = picked
            self._excess += NEW_SIZE - MIN_SIZE

    def dissolve(self) -> None:
        """Spreads the members of swarms that are still too small, the lowest id first."""
        while self._poor and len(self.ids) > 1:
            swarm = next(swarm for swarm in self.ids if len(self.members[swarm]) < MIN_SIZE)
            self.ids.remove(swarm)
            self._poor -= 1
            self.assign(self.members.pop(swarm), DISSOLVED_PERCENTILE)

    def _sorted_sizes(self) -> list[Size]:
        return self._order([(swarm, len(self.members[swarm])) for swarm in self.ids])

    def _add(self, swarm: int, key: Key) -> None:
        keys = self.members[swarm]
        keys.append(key)
        self._poor -= len(keys) == MIN_SIZE
        self._excess += len(keys) > MIN_SIZE

    def _take(self, swarms: Sequence[int]) -> Key:
        """Removes one member of these swarms, each with the same chance. None of them falls below `MIN_SIZE`."""
        index = self._generator.below(sum(len(self.members[swarm]) for swarm in swarms))
        for swarm in swarms:
            keys = self.members[swarm]
            if index < len(keys):
                self._excess -= 1
                return keys.pop(index)
            index -= len(keys)
        raise AssertionError("an index beyond the pool")
