"""The contracts that collect stakes, as their events tell it (`spec/contracts` §8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from allium.portal import documents
from allium.portal.contract_events import ContractEvent


class PotStatus(IntEnum):
    """How far a contract is."""

    WAITS_FOR_OPERATOR = 0
    OPEN = 1
    FILLED = 2
    FINALIZED = 3


@dataclass
class _Part:
    beneficiary: str
    amount: int


@dataclass
class Pot:
    """One contract."""

    address: str
    operator: str
    #: 64 hex digits.
    pubkey: str
    bls: str | None = None
    fee: int | None = None
    manual: bool = False
    status: PotStatus = PotStatus.WAITS_FOR_OPERATOR
    #: In the order of their first contributions.
    parts: dict[str, _Part] = field(default_factory=dict)
    #: Kept places, atomic units.
    places: dict[str, int] = field(default_factory=dict)
    events: list[documents.Event] = field(default_factory=list)

    @classmethod
    def created(cls, event: ContractEvent) -> Pot:
        """Of the factory's event."""
        args = event.told.args
        return cls(args["contributorContract"], args["operator"], args["serviceNodePubkey"])

    def take(self, event: documents.Event) -> None:
        """Goes on by one event of the contract's own."""
        self.events.append(event)
        args: dict[str, Any] = event.args
        match event.name:
            case "OpenForPublicContribution":
                self.status = PotStatus.OPEN
            case "Filled":
                self.status = PotStatus.FILLED
            case "Finalized":
                self.status = PotStatus.FINALIZED
            case "Reset":
                self.status, self.parts, self.places = PotStatus.WAITS_FOR_OPERATOR, {}, {}
            case "NewContribution":
                part = self.parts.setdefault(args["contributor"], _Part(args["beneficiary"], 0))
                part.amount += int(args["amount"])
                part.beneficiary = args["beneficiary"]
            case "WithdrawContribution":
                self._withdraw(args["contributor"])
            case "UpdateStakerBeneficiary" if args["staker"] in self.parts:
                self.parts[args["staker"]].beneficiary = args["newBeneficiary"]
            case "UpdateManualFinalize":
                self.manual = args["newValue"]
            case "UpdateFee":
                self.fee = int(args["newFee"])
            case "UpdatePubkeys":
                key = args["newBLSPubkey"]
                self.bls = "".join(int(key[name]).to_bytes(32, "big").hex() for name in ("X", "Y"))
                self.pubkey = args["newEd25519Pubkey"]
            case "UpdateReservedContributors":
                self.places = {each["addr"]: int(each["amount"]) for each in args["newReservedContributors"]}

    def _withdraw(self, contributor: str) -> None:
        if self.parts.pop(contributor, None) is not None and self.status is PotStatus.FILLED:
            self.status = PotStatus.OPEN

    @property
    def people(self) -> set[str]:
        """Who has to do with it."""
        return {self.operator, *self.parts, *(part.beneficiary for part in self.parts.values())}

    @property
    def newest(self) -> float:
        """The block of its last event; one without events is the newest of all."""
        return self.events[-1].block if self.events else float("inf")

    def document(self) -> documents.Contract:
        """As it is told."""
        waiting = {who: amount for who, amount in self.places.items() if who not in self.parts}
        people = [
            documents.PotContributor(
                address=who,
                beneficiary_address=part.beneficiary,
                amount=documents.amount(part.amount),
                reserved=documents.amount(self.places.get(who, 0)),
            )
            for who, part in self.parts.items()
        ]
        people += [
            documents.PotContributor(address=who, beneficiary_address=None, amount=0, reserved=documents.amount(amount))
            for who, amount in waiting.items()
        ]
        return documents.Contract(
            address=self.address,
            service_node_pubkey=self.pubkey,
            pubkey_bls=self.bls,
            operator_address=self.operator,
            fee=self.fee,
            manual_finalize=self.manual,
            status=self.status,
            contributors=people,
            events=self.events,
        )


def fold(events: Iterable[ContractEvent]) -> dict[str, Pot]:
    """All contracts of the factory, by address, after events in the order of the chain.

    What a contract logs in its constructor comes before the factory names it.
    """
    pots: dict[str, Pot] = {}
    early: dict[str, list[documents.Event]] = {}
    for event in events:
        if event.told.name == "NewServiceNodeContributionContract":
            pot = Pot.created(event)
            pots[pot.address] = pot
            for told in early.pop(pot.address, ()):
                pot.take(told)
        elif event.address in pots:
            pots[event.address].take(event.told)
        else:
            early.setdefault(event.address, []).append(event.told)
    return pots
