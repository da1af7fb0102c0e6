"""How one node's income is split (`spec/economics` §4)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from allium.appchain.types import Address, AtomicSesh, BasisPoints, MilliAtomic

#: What a fee of 100 % is in portions.
PORTIONS = 18_446_744_073_709_551_612
FEE_BASIS = 10_000


@dataclass(frozen=True)
class Payee:
    """One node as the ledger sees it: who is paid, for which stake, the operator first."""

    beneficiaries: tuple[Address, ...]
    amounts: tuple[AtomicSesh, ...]
    fee: BasisPoints

    @cached_property
    def portions(self) -> int:
        """The operator's fee in portions."""
        return portions(self.fee)

    @cached_property
    def total(self) -> int:
        """The whole stake."""
        return sum(self.amounts)


def portions(fee: BasisPoints) -> int:
    """A fee in portions, rounded down."""
    return fee * PORTIONS // FEE_BASIS


def split(income: MilliAtomic, payee: Payee) -> list[MilliAtomic]:
    """What each contributor gets of a node's income in one block; what rounding leaves is nobody's."""
    fee = payee.portions * income // PORTIONS
    shares = [MilliAtomic(amount * (income - fee) // payee.total) for amount in payee.amounts]
    shares[0] = MilliAtomic(shares[0] + fee)
    return shares
