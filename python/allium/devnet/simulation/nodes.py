"""The simulated nodes: when each is up, what it has proven, and what others find when they test it."""

from __future__ import annotations

from collections import deque
from math import floor

from nacl import bindings

from allium.appchain.types import L2Height, PublicKey, Seconds
from allium.appchain.verdicts import Found
from allium.devnet.simulation.chance import Chance
from allium.devnet.simulation.network import NEVER, SimulatedNetwork
from allium.devnet.simulation.scenario import LIMITS, PROOF_SECONDS, Hostile
from allium.liveness.reachability import INTERVAL_SECONDS

#: How many tests there are in the time that a node may not be reached, at the pace at which failing ones are repeated.
_REPEATS = 33
#: How often a node that fails for long is tested again.
RETEST_SECONDS = 120.0
_PROOFS_KEPT = 4
#: How often the last tests were tried, which is at most two minutes ago.
_TRIED_SECONDS = 60
#: Kinds of questions to chance.
_VISIT, _OFFSET, _STREAK, _PROOF = 11, 12, 13, 14


class Life:
    """One node. Times are seconds from the beginning of the run."""

    __slots__ = (
        "began",
        "changed",
        "excused",
        "gone",
        "hostile",
        "key",
        "number",
        "proofs",
        "secret",
        "starts",
        "up",
    )

    def __init__(self, number: int, seed: bytes, hostile: Hostile | None, began: float) -> None:
        public, secret = bindings.crypto_sign_seed_keypair(seed)
        self.number, self.key, self.secret = number, PublicKey(public), secret
        self.hostile, self.began = hostile, began
        self.up = True
        #: It is registered no longer.
        self.gone = False
        #: When it last came up, or went down.
        self.changed = began
        #: How often it came up, by which its plans are known.
        self.starts = 0
        #: When it joined or was taken back.
        self.excused = began
        #: The times of the last proofs that others took, newest last; none since it was voted out.
        self.proofs: deque[float] = deque(maxlen=_PROOFS_KEPT)

    @property
    def serves(self) -> bool:
        """Whether a test reaches it."""
        return self.up and self.hostile is not Hostile.PRETEND

    @property
    def unserved_since(self) -> float:
        """Since when no test reaches it."""
        return self.began if self.up else self.changed

    def prove(self, now: float) -> bool:
        """Sends a proof; whether others take it, because the one before is old enough."""
        if self.proofs and now - self.proofs[-1] < PROOF_SECONDS / 2:
            return False
        self.proofs.append(now)
        return True


class Knowledge:
    """What one node knows of another, found out when somebody asks."""

    def __init__(self, network: SimulatedNetwork, chance: Chance) -> None:
        self._network, self._chance = network, chance
        #: How likely it is that a node that serves fails every test for as long as it may.
        streak = network.loss**_REPEATS if network.loss else 0.0
        self._streak = streak if streak > NEVER else 0.0
        #: In how many seconds a node tests all others once.
        self._round = network.members * INTERVAL_SECONDS

    def by_all(self, node: Life, now: float, epoch: int) -> Found | None:
        """What all testers know alike; `None` when one may know what another does not."""
        if self._streak or not node.serves or not node.proofs or not self._network.is_everywhere(now - node.proofs[-1]):
            return None
        return _found(node, node.proofs[-1], None, epoch)

    def found(self, tester: Life, node: Life, now: float, epoch: int) -> Found:
        """For `judge`. Unix time is `epoch` + seconds."""
        proven = next((sent for sent in reversed(node.proofs) if self._heard(tester, node, sent, now)), None)
        served = node.serves and not self._streak
        unreached = None if served else self._unreached(tester, node, now, epoch)
        return _found(node, proven, unreached, epoch)

    @staticmethod
    def truth(node: Life, now: float, epoch: int) -> Found:
        """What who hears and tests everything at once would know."""
        proven = node.proofs[-1] if node.proofs else None
        unreached = None
        if not node.serves:
            unreached = Seconds(epoch + floor(node.unserved_since)), Seconds(epoch + floor(now))
        return _found(node, proven, unreached, epoch)

    def _heard(self, tester: Life, node: Life, sent: float, now: float) -> bool:
        what = floor(sent) << 4 | _PROOF
        return self._network.has_arrived(node.number, tester.number, what, now - sent)

    def _unreached(self, tester: Life, node: Life, now: float, epoch: int) -> tuple[Seconds, Seconds] | None:
        if node.serves:
            if self._chance.uniform(_STREAK, tester.number, node.number, floor(now)) >= self._streak:
                return None
            first = now - LIMITS.unreachable - 1
        else:
            first = self.visit(tester, node, max(node.unserved_since, tester.changed))
        if first > now:
            return None
        return Seconds(epoch + floor(first)), Seconds(epoch + floor(max(first, now - _TRIED_SECONDS)))

    def visit(self, tester: Life, node: Life, since: float) -> float:
        """When a tester comes to a node for the first time after `since`: once in each round over all, somewhere."""
        offset = self._chance.uniform(_OFFSET, tester.number) * self._round
        turn = floor((since - offset) / self._round)
        while True:
            place = self._chance.uniform(_VISIT, tester.number, node.number, turn & 0xFFFF)
            when = offset + (turn + place) * self._round
            if when >= since:
                return when
            turn += 1


def _found(node: Life, proven: float | None, unreached: tuple[Seconds, Seconds] | None, epoch: int) -> Found:
    return Found(
        proven=Seconds(0 if proven is None else epoch + floor(proven)),
        excused=Seconds(max(0, epoch + floor(node.excused))),
        l2_height=_ANY,
        unreached=unreached,
    )


#: The EVM chain is seen alike by all.
_ANY = L2Height(2**62)
