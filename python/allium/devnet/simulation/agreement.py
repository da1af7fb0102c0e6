"""How the committee agrees on a height: a proposal and two rounds of votes, passed on from neighbour to neighbour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from allium.appchain.parameters import Parameters
from allium.appchain.types import Height, PublicKey
from allium.consensus.cometbft.home import timeout
from allium.devnet.simulation.chance import Chance
from allium.devnet.simulation.network import SimulatedNetwork
from allium.devnet.simulation.nodes import Life
from allium.devnet.simulation.scenario import Hostile

#: How long a node of CometBFT looks for something to pass on at most when there was nothing (its default).
_GOSSIP_SECONDS = 0.1
_WAY, _JITTER, _GOSSIP = 41, 42, 43


@dataclass(frozen=True)
class Agreed:
    """One height: after how many seconds two thirds of the committee know it, and who proposed it."""

    seconds: float
    proposer: PublicKey
    rounds: int


class SimulatedCommittee:
    """Those who vote, and the ways between them."""

    def __init__(
        self, members: Sequence[PublicKey], lives: Mapping[PublicKey, Life], network: SimulatedNetwork, chance: Chance
    ) -> None:
        self.members, self._lives, self._network, self._chance = members, lives, network, chance
        numbers = [lives[key].number for key in members]
        #: By target, then by source.
        self._ways = [[self._way(source, target) for source in numbers] for target in numbers]

    def _way(self, source: int, target: int) -> float:
        if source == target:
            return 0.0
        steps = self._network.steps(source, target)
        idle = steps * _GOSSIP_SECONDS * self._chance.uniform(_GOSSIP, source, target)
        return idle + self._network.delay(steps, _WAY, source, target)

    def agree(self, height: Height, parameters: Parameters) -> Agreed | None:
        """`None`: two thirds are not there."""
        voting = [place for place, key in enumerate(self.members) if self._votes(key)]
        need = 2 * len(self.members) // 3 + 1
        if len(voting) < need:
            return None
        lost, step = 0.0, timeout(parameters)
        for turn in range(len(self.members)):
            place = (height + turn) % len(self.members)
            if place in voting:
                return Agreed(lost + self._round(height, place, voting, need), self.members[place], turn + 1)
            # The proposal does not come; prevotes and precommits for nothing take a way each.
            lost += 2 * step + turn * step / 2 + 2 * max(self._ways[place])
        return None

    def _votes(self, key: PublicKey) -> bool:
        life = self._lives[key]
        return life.up and life.hostile is not Hostile.MUTE

    def _round(self, height: Height, proposer: int, voting: Sequence[int], need: int) -> float:
        slow = [self._chance.spread(1.0, 0.25, _JITTER, height, place) for place in voting]
        ways = [[self._ways[target][source] for source in voting] for target in voting]
        ready = [self._ways[target][proposer] * slow[voting.index(proposer)] for target in voting]
        for _ in ("prevote", "precommit"):
            ready = [
                sorted([start + way * late for start, way, late in zip(ready, row, slow, strict=True)])[need - 1]
                for row in ways
            ]
        return sorted(ready)[need - 1]
