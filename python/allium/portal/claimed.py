"""What of an address's claims were stakes and what rewards: the contract has one number for both (`spec/portal` §4)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Claimed:
    """Lifetime totals, atomic units."""

    stakes: int = 0
    rewards: int = 0


def attribute(before: Claimed, paid: int, stakes: int, rewards: int) -> Claimed:
    """After a claim of `paid`, when so many `stakes` had come back and so many `rewards` were earned in all.

    Stakes are taken first; no more rewards are claimed than were earned.
    """
    of_stakes = min(paid, max(0, stakes - before.stakes))
    of_rewards = min(paid - of_stakes, max(0, rewards - before.rewards))
    return Claimed(before.stakes + of_stakes, before.rewards + of_rewards)
