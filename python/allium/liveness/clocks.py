"""How long everything lasts (`spec/appchain` §1); all goes by how often a node proves that it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from allium.appchain.verdicts import Limits

#: Between two proofs of a node, on a network that is no test.
HOUR = 3600.0
#: Another node's clock that differs by more is wrong.
SKEW_SECONDS = 30.0


@dataclass(frozen=True)
class Clocks:
    """Times in seconds."""

    #: Between two proofs of a node; half of it has to be between two that others take.
    proof: float
    #: By how much a proof's time may differ from the clock of who takes it.
    tolerance: float
    #: How often a node looks whether it is to prove itself again.
    tick: float
    limits: Limits

    @classmethod
    def of(cls, proof: float) -> Self:
        """All, by the time between two proofs. On networks of one machine some cannot be as short as the others."""
        validity = round(proof * 125 / 60)
        return cls(
            proof=proof,
            tolerance=max(5.0, proof / 12),
            tick=proof / 120,
            limits=Limits(
                proof_validity=validity,
                unreachable=round(validity - proof),
                l2_lag=max(120, round(proof * 4)),
                address_window=round(24 * proof),
                address_pardon=round(2 * proof),
            ),
        )
