"""Which node belongs to which swarm (`spec/swarms` §2): a pure function of the nodes, their swarms and a seed."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from allium.appchain.mt19937 import Mt19937
from allium.appchain.ranking import Gaps, Order, Pool, Ranked, Ranking, Resorted, Size
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
#: Orders swarms by size. Which of equal ones comes first decides the result, so a network has to agree on one.
SizeOrder = Order


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
    return _middle(ids, *Gaps(ids).largest()) if ids else 0


def _middle(ids: Sequence[int], gap: int, base: int) -> int:
    """Of the gap above `base`, or of the one over the ring's end if that is larger."""
    wrapping = MAX_ID - ids[-1] + ids[0] + 1
    if wrapping > gap:
        gap, base = wrapping, ids[-1]
    half, room = gap // 2, MAX_ID - base
    return half - room - 1 if half > room else base + half


class _Run(Generic[Key]):
    """One run, with what it needs to know at each step."""

    def __init__(self, swarms: Mapping[int, Sequence[Key]], generator: Mt19937, order: SizeOrder) -> None:
        self._generator = generator
        self.members: dict[int, list[Key]] = {swarm: list(keys) for swarm, keys in swarms.items()} or {0: []}
        self.ids = sorted(self.members)
        sizes = [(swarm, len(keys)) for swarm, keys in self.members.items()]
        self._ranking: Ranking = Ranked(sizes) if order is stable_order else Resorted(sizes, order)
        self._gaps, self._spare = Gaps(self.ids), Pool(self.members, MIN_SIZE)
        self._pools = [self._spare]
        self._poor = sum(size < MIN_SIZE for _, size in sizes)

    def assign(self, keys: Iterable[Key], percentile: int) -> None:
        """Gives each node to one of the smallest swarms, and makes a swarm when there are enough to spare."""
        for key in keys:
            among = self._ranking.smallest(percentile)
            self._add(self._ranking.at(self._generator.below(among)), key)
            self.create()

    def steal(self) -> None:
        """Fills swarms that are too small from those that are large."""
        if not self._poor:
            return
        sizes = self._ranking.sizes()
        rich = Pool(self.members, max(MIN_SIZE, sizes[STEAL_PERCENTILE * (len(sizes) - 1) // 100][1] - 1))
        self._pools.append(rich)
        self._fill(sizes, rich)
        self._pools.remove(rich)

    def _fill(self, sizes: Iterable[Size], rich: Pool) -> None:
        for poor, listed in sizes:
            if listed >= MIN_SIZE:
                return
            while (size := len(self.members[poor])) < MIN_SIZE:
                if rich.members - MIN_SIZE * rich.swarms < MIN_SIZE - size:
                    return
                self._add(poor, self._take(rich))

    def create(self) -> None:
        """Makes swarms of those who are too many elsewhere, if no swarm is too small."""
        while not self._poor and self._excess >= NEW_SIZE + IDEAL_MARGIN * len(self.ids):
            picked = [self._take(self._spare) for _ in range(NEW_SIZE)]
            swarm = _middle(self.ids, *self._gaps.largest())
            insort(self.ids, swarm)
            self._gaps.changed(swarm)
            self.members[swarm] = picked
            self._resize(swarm, None, NEW_SIZE)

    def dissolve(self) -> None:
        """Spreads the members of swarms that are still too small, the lowest id first."""
        for swarm in [swarm for swarm in self.ids if len(self.members[swarm]) < MIN_SIZE]:
            if len(self.ids) == 1:
                return
            keys = self.members[swarm]
            if len(keys) < MIN_SIZE:
                self.ids.remove(swarm)
                self._gaps.changed(swarm)
                self._resize(swarm, len(keys), None)
                del self.members[swarm]
                self._poor -= 1
                self.assign(keys, DISSOLVED_PERCENTILE)

    @property
    def _excess(self) -> int:
        return self._spare.members - MIN_SIZE * self._spare.swarms

    def _add(self, swarm: int, key: Key) -> None:
        keys = self.members[swarm]
        keys.append(key)
        self._poor -= len(keys) == MIN_SIZE
        self._resize(swarm, len(keys) - 1, len(keys))

    def _take(self, pool: Pool) -> Key:
        """Removes one member of these swarms, each with the same chance. None of them falls below `MIN_SIZE`."""
        swarm, index = pool.find(self._generator.below(pool.members))
        keys = self.members[swarm]
        taken = keys.pop(index)
        self._resize(swarm, len(keys) + 1, len(keys))
        return taken

    def _resize(self, swarm: int, before: int | None, after: int | None) -> None:
        self._ranking.resize(swarm, before, after)
        for pool in self._pools:
            pool.resize(swarm, before, after)
