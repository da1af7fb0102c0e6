"""The nodes: those that are registered, and those that the contract still holds although they are not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any

from allium.appchain.encoding import pack
from allium.appchain.events import Contributor
from allium.appchain.ledger.shares import Payee
from allium.appchain.parameters import Parameters
from allium.appchain.swarms import UNASSIGNED
from allium.appchain.types import (
    NO_HEIGHT,
    NO_REASONS,
    Address,
    AtomicSesh,
    BasisPoints,
    Blocks,
    BlsKey,
    ContractId,
    Height,
    Index,
    PublicKey,
    Reasons,
    SwarmId,
)

#: Of nodes that do not work.
NO_SWARM = SwarmId(UNASSIGNED)


@dataclass(frozen=True)
class Node:
    """A registered node (`spec/appchain` §3.2)."""

    pubkey: PublicKey
    bls_key: BlsKey
    contract_id: ContractId
    contributors: tuple[Contributor, ...]
    fee: BasisPoints
    registration_height: Height
    #: When it began to work without a break up to now, or up to when it was decommissioned.
    active_since: Height
    recommission_credit: Blocks
    #: 0: nobody asked for it to leave. Otherwise the last height at which it is a member.
    unlock_height: Height = NO_HEIGHT
    decommissioned: bool = False
    last_decommission_height: Height = NO_HEIGHT
    decommission_count: int = 0
    #: Why it was voted down last: what some said, and what all said.
    reasons_any: Reasons = NO_REASONS
    reasons_all: Reasons = NO_REASONS
    last_ip_change_height: Height = NO_HEIGHT
    swarm: SwarmId = NO_SWARM

    @cached_property
    def packed(self) -> list[Any]:
        """Its encoding as lists, integers and bytes."""
        packed: list[Any] = pack(self)
        return packed

    @property
    def operator(self) -> Address:
        """Who runs the node and bears its penalties."""
        return self.contributors[0].address

    @property
    def requirement(self) -> AtomicSesh:
        """What was staked for it."""
        return staked(self.contributors)

    @property
    def payee(self) -> Payee:
        """The node as the ledger sees it."""
        beneficiaries = tuple(contributor.beneficiary for contributor in self.contributors)
        return Payee(beneficiaries, tuple(contributor.amount for contributor in self.contributors), self.fee)

    def payable_from(self, parameters: Parameters) -> Height:
        """The first height that pays it, if it works until then."""
        return Height(self.active_since + parameters.payable_after)

    def is_payable(self, height: Height, parameters: Parameters) -> bool:
        """Whether it earns at `height`."""
        return not self.decommissioned and height >= self.payable_from(parameters)

    def credit(self, height: Height, parameters: Parameters) -> int:
        """How many blocks it may yet be down; below 0 once that is used up (`spec/appchain` §3.4)."""
        until = self.last_decommission_height if self.decommissioned else height
        earned = (until - self.active_since) * parameters.credit_per_day // parameters.day
        return min(parameters.max_credit, self.recommission_credit + earned) - (height - until)


class Leaving(IntEnum):
    """Why the contract holds a node that is not registered."""

    #: Somebody asked, and the time is over.
    EXPIRED = 0
    DEREGISTERED = 1
    #: It never was registered: `Refusal` says why.
    REFUSED = 2


class Refusal(IntEnum):
    """Why a registration was refused."""

    NONE = 0
    NO_CONTRIBUTORS = 1
    TOO_MANY_CONTRIBUTORS = 2
    SAME_CONTRIBUTOR_TWICE = 3
    OPERATOR_BELOW_MINIMUM = 4
    EMPTY_CONTRIBUTION = 5
    UNDERFUNDED = 6
    OVERFUNDED = 7
    FEE_TOO_HIGH = 8
    WRONG_SIGNATURE = 9
    PUBKEY_IN_USE = 10
    BLS_KEY_IN_USE = 11
    INVALID_PUBKEY = 12

    @property
    def text(self) -> str:
        """What to tell the operator."""
        return _TEXTS[self]


_TEXTS = {
    Refusal.NONE: "not refused",
    Refusal.NO_CONTRIBUTORS: "nobody staked",
    Refusal.TOO_MANY_CONTRIBUTORS: "more contributors than a node may have",
    Refusal.SAME_CONTRIBUTOR_TWICE: "one address contributed twice",
    Refusal.OPERATOR_BELOW_MINIMUM: "the operator staked less than a quarter of the requirement",
    Refusal.EMPTY_CONTRIBUTION: "a contributor staked nothing",
    Refusal.UNDERFUNDED: "the stakes add up to less than the requirement",
    Refusal.OVERFUNDED: "the stakes add up to more than the requirement",
    Refusal.FEE_TOO_HIGH: "the fee is more than 100 %",
    Refusal.WRONG_SIGNATURE: "the node's Ed25519 key did not sign this registration; make it anew on the node",
    Refusal.PUBKEY_IN_USE: "another registration has this Ed25519 key, or its negative",
    Refusal.BLS_KEY_IN_USE: "another registration has this BLS key",
    Refusal.INVALID_PUBKEY: "the Ed25519 key is not a point of the prime-order group",
}


@dataclass(frozen=True)
class Departed:
    """A node that the contract holds and the network does not: it may be taken out (`spec/appchain` §3.5)."""

    contract_id: ContractId
    pubkey: PublicKey
    bls_key: BlsKey
    #: Whose stakes come back when the contract lets it go.
    contributors: tuple[Contributor, ...]
    leaving: Leaving
    refusal: Refusal
    removal_height: Height
    #: From here on anybody may liquidate it.
    liquidation_height: Height

    @cached_property
    def packed(self) -> list[Any]:
        """Its encoding as lists, integers and bytes."""
        packed: list[Any] = pack(self)
        return packed


@dataclass(frozen=True)
class StakeReturn:
    """A stake on its way back (`spec/appchain` §5.2)."""

    #: When it is added to what the address can claim.
    due: Height
    contract_id: ContractId
    contributor: Index
    address: Address
    amount: AtomicSesh

    @property
    def key(self) -> tuple[Height, ContractId, Index]:
        """By which returns are ordered; no two have the same."""
        return self.due, self.contract_id, self.contributor

    @cached_property
    def packed(self) -> list[Any]:
        """Its encoding as lists, integers and bytes."""
        packed: list[Any] = pack(self)
        return packed


def staked(contributors: tuple[Contributor, ...]) -> AtomicSesh:
    """The sum of stakes."""
    return AtomicSesh(sum(contributor.amount for contributor in contributors))
