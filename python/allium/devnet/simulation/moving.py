"""What has to be copied when swarms change: the messages of every account that a node serves now and did not before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from allium.appchain.nodes import NO_SWARM, Node
from allium.appchain.types import PublicKey, SwarmId

_RING = 1 << 64
#: A part of the ring: from behind its first number up to its second, which may be beyond the ring's end.
Arc = tuple[int, int]


@dataclass(frozen=True)
class Moves:
    """What one height did to swarms."""

    #: Nodes that went from one swarm to another, and those that got one or lost theirs.
    moved: int
    joined: int
    left: int
    formed: int
    dissolved: int
    #: Copies to be made, as parts of all that the network keeps: 1 is as much as one copy of every message.
    copied: float


def arcs(swarms: Iterable[SwarmId]) -> dict[SwarmId, Arc]:
    """The accounts of each swarm: those nearest to it (`spec/swarms` §7.3)."""
    ids = sorted(swarms)
    if len(ids) == 1:
        return {ids[0]: (0, _RING)}
    around = [ids[-1] - _RING, *ids, ids[0] + _RING]
    middles = [lower + (upper - lower) // 2 for lower, upper in pairwise(around)]
    return dict(zip(ids, pairwise(middles), strict=True))


def gained(before: Arc | None, after: Arc) -> int:
    """How much of `after` is not in `before`."""
    if before is None:
        return after[1] - after[0]
    shared = sum(
        max(0, min(before[1] + turn, after[1]) - max(before[0] + turn, after[0])) for turn in (-_RING, 0, _RING)
    )
    return after[1] - after[0] - min(shared, after[1] - after[0])


class Swarms:
    """Follows them from height to height."""

    def __init__(self, nodes: Mapping[PublicKey, Node]) -> None:
        self._of = {key: node.swarm for key, node in nodes.items()}
        self._arcs = arcs({swarm for swarm in self._of.values() if swarm != NO_SWARM})

    def __len__(self) -> int:
        return len(self._arcs)

    def follow(self, nodes: Mapping[PublicKey, Node]) -> Moves:
        """What is different now."""
        before, self._of = self._of, {key: node.swarm for key, node in nodes.items()}
        changed = {key: swarm for key, swarm in self._of.items() if before.get(key, NO_SWARM) != swarm}
        arcs_before, sizes = self._arcs, _sizes(self._of)
        if arcs_before.keys() != sizes.keys():
            self._arcs = arcs(sizes)
        moved = sum(before.get(key, NO_SWARM) != NO_SWARM != swarm for key, swarm in changed.items())
        joined = sum(swarm != NO_SWARM for swarm in changed.values()) - moved
        left = sum(swarm != NO_SWARM and self._of.get(key, NO_SWARM) == NO_SWARM for key, swarm in before.items())
        came, copied = Counter(changed.values()), 0
        for swarm, arc in self._arcs.items():
            if arcs_before.get(swarm) != arc:
                copied += (sizes[swarm] - came[swarm]) * gained(arcs_before.get(swarm), arc)
        for key, swarm in changed.items():
            if swarm != NO_SWARM:
                copied += gained(arcs_before.get(before.get(key, NO_SWARM)), self._arcs[swarm])
        return Moves(
            moved,
            joined,
            left,
            formed=len(self._arcs.keys() - arcs_before.keys()),
            dissolved=len(arcs_before.keys() - self._arcs.keys()),
            copied=copied / _RING,
        )


def _sizes(swarm_of: Mapping[PublicKey, SwarmId]) -> Counter[SwarmId]:
    sizes = Counter(swarm_of.values())
    del sizes[NO_SWARM]
    return sizes
