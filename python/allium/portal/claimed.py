"""What of an address's claims were stakes and what rewards: the contract has one number for both (`spec/portal` §4).

A claim is taken apart by what had come back when it was made. Of that two things are known: the events say when the
contract let a node go, and how much the network had signed before the claim; `stake_history` says from which block on
the ledger had a stake. The first two suffice but for who earned more than a stake while one was kept back.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True)
class Claimed:
    """Lifetime totals, atomic units."""

    stakes: int = 0
    rewards: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """One that was paid."""

    block: int
    paid: int
    #: What the network had signed for the address in all when it was made; `None` when no event says it.
    signed: int | None


def attribute(before: Claimed, paid: int, stakes: int, rewards: int) -> Claimed:
    """After a claim of `paid`, when so many `stakes` had come back and so many `rewards` were earned in all.

    Stakes are taken first; no more rewards are claimed than were earned.
    """
    of_stakes = min(paid, max(0, stakes - before.stakes))
    of_rewards = min(paid - of_stakes, max(0, rewards - before.rewards))
    return Claimed(before.stakes + of_stakes, before.rewards + of_rewards)


@dataclass(frozen=True)
class ReturnedStakes:
    """What had come back to one address, by block of the EVM chain."""

    #: What the contract let go, oldest first: block, and what of it is the address's.
    exits: Sequence[tuple[int, int]]
    #: What the ledger had, from a block on, oldest first; none before the first.
    kept: Sequence[tuple[int, int]]
    #: What it has today.
    now: int

    def at(self, block: int, most: int | None) -> int:
        """At a block, when there cannot have been more than `most`; `None` when that is not known."""
        sums = list(accumulate((back for when, back in self.exits if when <= block), initial=0))
        had = min(sums[-1], self._ledger(block))
        if most is None or had <= most:
            return had
        # What was not signed had not come back.
        return sums[bisect_right(sums, most) - 1]

    def _ledger(self, block: int) -> int:
        if not self.kept:
            return self.now
        place = bisect_right(self.kept, block, key=lambda step: step[0])
        return self.kept[place - 1][1] if place else 0


def claimed(claims: Iterable[Claim], returned: ReturnedStakes, rewards: int) -> Claimed:
    """Of all claims of an address, oldest first, each by what there was at its block; `rewards`: earned until today."""
    total = Claimed()
    for claim in claims:
        stakes = returned.at(claim.block, claim.signed)
        earned = rewards if claim.signed is None else claim.signed - stakes
        total = attribute(total, claim.paid, stakes, earned)
    return total
