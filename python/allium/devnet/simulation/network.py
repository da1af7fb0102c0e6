"""The ways between nodes: how long messages take, and which do not arrive.

Proofs, votes and certificates are passed on from neighbour to neighbour. A node's neighbours are those 1, 2, 4, 8 ...
places before and after it among all nodes by key (`liveness/gossip`), so a message takes as many steps as
there are powers of two in the shortest sum or difference that makes the distance.
"""

from __future__ import annotations

from allium.devnet.simulation.chance import Chance
from allium.devnet.simulation.scenario import Scenario

#: In a network of at most this many others, all are neighbours.
FEW = 8
#: How much latencies differ: the standard deviation of their logarithm.
_SIGMA = 0.5
#: No message takes so many latencies.
_LONGEST = 200.0
#: What happens as rarely as this does not.
NEVER = 1e-12


class SimulatedNetwork:
    """One network's ways. Nodes are numbers; `what` is the number of a message."""

    def __init__(self, scenario: Scenario, chance: Chance) -> None:
        self._latency, self.loss, self._chance = scenario.latency, scenario.loss, chance
        self.follow(scenario.nodes, 1.0)

    def follow(self, members: int, passing: float) -> None:
        """Notes how many nodes there are, and which share of them passes messages on."""
        self.members, self.neighbours = members, self._neighbours(members - 1)
        #: How likely it is that nothing comes over any way of a node.
        self._alone = (1.0 - passing * (1.0 - self.loss)) ** self.neighbours

    @property
    def is_mesh(self) -> bool:
        """Whether all are neighbours."""
        return self.members - 1 <= FEW

    @staticmethod
    def _neighbours(others: int) -> int:
        """To how many of so many others a node passes messages on."""
        if others <= FEW:
            return others
        steps = [1 << power for power in range(others.bit_length())]
        return len({(step - 1) % others for step in steps} | {-step % others for step in steps})

    def steps(self, source: int, target: int) -> int:
        """How many links are between two nodes."""
        distance = (target - source) % self.members
        return 1 if self.is_mesh else max(1, (distance ^ 3 * distance).bit_count())

    def delay(self, steps: int, *question: int) -> float:
        """Seconds that so many links take together."""
        return steps * self._chance.spread(self._latency, _SIGMA / steps**0.5, *question)

    def spread(self, source: int, target: int, what: int) -> float | None:
        """After how many seconds a message that is passed on by all arrives; `None`: it does not.

        It does not when none of the neighbours of one end passes it on to, or from, the other.
        """
        if source == target:
            return 0.0
        if self._is_lost(source, target, what):
            return None
        return self.delay(self.steps(source, target), what, source, target)

    def is_everywhere(self, age: float) -> bool:
        """Whether what was sent so long ago must have arrived wherever it was sent to."""
        return self._alone <= NEVER and age > _LONGEST * self._latency

    def has_arrived(self, source: int, target: int, what: int, age: float) -> bool:
        """Whether what was sent `age` seconds ago has arrived."""
        if age > _LONGEST * self._latency:
            return not self._is_lost(source, target, what)
        way = self.spread(source, target, what)
        return way is not None and way <= age

    def _is_lost(self, source: int, target: int, what: int) -> bool:
        alone = self._alone
        return alone > NEVER and (
            self._chance.uniform(what, source) < alone or self._chance.uniform(what, source, target) < alone
        )
