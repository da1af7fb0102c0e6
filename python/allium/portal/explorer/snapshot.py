"""What all pages of one moment are made of: the state, the contracts' events, what is known of nodes beside them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any

import msgspec
from eth_utils.address import to_checksum_address

from allium.appchain import rates
from allium.appchain.events import Contributor
from allium.appchain.ledger.ledger import RECORD
from allium.appchain.nodes import NO_SWARM, Departed, Leaving, Node, Refusal
from allium.appchain.types import MILLI, PublicKey
from allium.appchain.verdicts import Reason
from allium.portal.documents import ArbitrumInfo
from allium.portal.epoch import Epoch
from allium.portal.explorer.contacts import Contact
from allium.portal.explorer.figures import ContractFigures
from allium.portal.explorer.samples import Sample

#: The pool pays so many thousandths of what it holds, in a year (`spec/economics` §2).
POOL_PART = 151
YEAR_SECONDS = 31_536_000
_shown = lru_cache(1 << 17)(to_checksum_address)
_NOBODY = Contact("")


class Status(StrEnum):
    """How a node is, as the chain has it (`spec/portal` §3.6)."""

    ACTIVE = "active"
    DECOMMISSIONED = "decommissioned"
    EXIT_REQUESTED = "exit requested"
    READY_TO_EXIT = "ready to exit"
    DEREGISTERED = "deregistered"
    REFUSED = "refused"


#: What the words mean, for people.
MEANINGS: Mapping[Status, str] = {
    Status.ACTIVE: "works, and earns once it has worked for a while",
    Status.DECOMMISSIONED: "was voted down by testers: earns nothing, and is deregistered once its credit is used up",
    Status.EXIT_REQUESTED: "works until the height at which it leaves, as somebody asked",
    Status.READY_TO_EXIT: "has left the network, and its stake may be taken out of the contract",
    Status.DEREGISTERED: "was taken out because it failed; its stake stays locked for a while",
    Status.REFUSED: "is held by the contract, and the network never took it",
}
_REASONS = {
    Reason.NO_PROOF: "did not prove that it is there",
    Reason.UNREACHABLE: "was not reached",
    Reason.SILENT: "did not say the time",
    Reason.WRONG_CLOCK: "its clock is wrong",
    Reason.L2_BEHIND: "its EVM chain is behind",
}


@dataclass(frozen=True)
class Contribution:
    """A part of a node's stake; addresses are checksummed, the amount is atomic units."""

    address: str
    beneficiary: str
    amount: int


@dataclass(frozen=True)
class NodeRow:
    """One node that the contract holds."""

    pubkey: str
    bls_key: str
    contract_id: int
    status: Status
    #: Why it is not active, in words; empty where nobody says.
    why: str
    contributors: tuple[Contribution, ...]
    #: Basis points.
    fee: int
    staked: int
    registration_height: int
    #: Since which height it works without a break, and for how many seconds; 0 where it does not.
    active_since: int
    up_seconds: int
    #: Blocks that it may be down.
    credit: int
    decommission_count: int
    payable: bool
    #: Last height as a member; 0: nobody asked.
    unlock_height: int
    liquidation_height: int | None
    #: `None`: in no swarm.
    swarm: int | None
    contact: Contact

    @property
    def operator(self) -> str:
        """Checksummed address; empty for a node that was refused for having no contributors."""
        return self.contributors[0].address if self.contributors else ""

    @property
    def swarm_name(self) -> str:
        """16 hex digits, or nothing."""
        return "" if self.swarm is None else f"{self.swarm:016x}"


@dataclass(frozen=True)
class SwarmRow:
    """One swarm."""

    id: int
    nodes: int
    #: Parts of 2^64 of all accounts that map to it.
    accounts: int

    @property
    def name(self) -> str:
        """16 hex digits."""
        return f"{self.id:016x}"


@dataclass(frozen=True)
class CountryRow:
    """Nodes of one country; the code is empty for those of which nobody knows."""

    code: str
    name: str
    nodes: int
    active: int


class Snapshot:
    """Never changed."""

    def __init__(
        self,
        epoch: Epoch,
        tip: ArbitrumInfo,
        contacts: Mapping[PublicKey, Contact],
        figures: ContractFigures | None,
        samples: list[Sample],
        before: Snapshot | None = None,
    ) -> None:
        """`before`: the last one, of which what has not changed is taken."""
        self.epoch, self.tip, self.contacts, self.figures = epoch, tip, contacts, figures
        self.state, self.index = epoch.state, epoch.index
        self._kept = samples
        #: What pages make of it once: tables by name.
        self.tables: dict[str, Any] = {}
        if before is not None and before.index is self.index and "event_texts" in vars(before):
            vars(self)["event_texts"] = before.event_texts

    def is_of(
        self,
        epoch: Epoch,
        tip: ArbitrumInfo,
        contacts: Mapping[PublicKey, Contact],
        figures: ContractFigures | None,
    ) -> bool:
        """Whether nothing has changed since."""
        return self.epoch is epoch and self.tip is tip and self.contacts is contacts and self.figures is figures

    @cached_property
    def nodes(self) -> list[NodeRow]:
        """All that the contract holds, by the contract's number."""
        rows = [*map(self._node, self.state.nodes.values()), *map(self._departed, self.state.departed.values())]
        return sorted(rows, key=lambda row: row.contract_id)

    @cached_property
    def node_by_key(self) -> Mapping[str, NodeRow]:
        """By Ed25519 key in hex; of several with one key, the registered one."""
        found: dict[str, NodeRow] = {}
        for row in self.nodes:
            if row.pubkey not in found or row.registration_height:
                found[row.pubkey] = row
        return found

    @cached_property
    def by_status(self) -> Mapping[Status, int]:
        """How many nodes are how."""
        return Counter(row.status for row in self.nodes)

    @cached_property
    def swarms(self) -> list[SwarmRow]:
        """By ascending id. An account goes to the swarm whose id is nearest on the ring (`spec/swarms` §1)."""
        counts = Counter(row.swarm for row in self.nodes if row.swarm is not None)
        ids, ring = sorted(counts), 1 << 64
        rows = []
        for place, swarm in enumerate(ids):
            below = (swarm - ids[place - 1]) % ring or ring
            above = (ids[(place + 1) % len(ids)] - swarm) % ring or ring
            rows.append(SwarmRow(swarm, counts[swarm], ring if len(ids) == 1 else (below + above) // 2))
        return rows

    @cached_property
    def countries(self) -> list[CountryRow]:
        """Those with most nodes first."""
        from allium import geography

        members = [row for row in self.nodes if row.registration_height]
        counts = Counter(row.contact.country for row in members)
        active = Counter(row.contact.country for row in members if row.status is not Status.DECOMMISSIONED)
        rows = [CountryRow(code, geography.name_of(code), count, active[code]) for code, count in counts.items()]
        return sorted(rows, key=lambda row: (-row.nodes, row.name))

    @cached_property
    def event_texts(self) -> Mapping[tuple[int, int], str]:
        """What is looked through of each event, by its block and place there; in lower case."""
        return {
            (event.block, event.log_index): (
                f"{event.name} {event.block} {event.tx} {msgspec.json.encode(event.args).decode()}".lower()
            )
            for event in self.index.events
        }

    @cached_property
    def now(self) -> Sample:
        """The figures of this moment."""
        state, index = self.state, self.index
        accounts = state.ledger.accounts()
        ends = range(RECORD, len(accounts) + 1, RECORD)
        total = sum(int.from_bytes(accounts[end - 16 : end], "big") for end in ends) // MILLI
        # What was staked is credited too when it comes back.
        returned = sum(gone.returned for gone in index.exits.values() if gone.block <= state.l2_height)
        returning = sum(back.amount for back in state.returns.values())
        return Sample(
            time=state.time,
            height=state.height,
            block=self.tip.block,
            nodes=len(state.nodes),
            active=sum(not node.decommissioned for node in state.nodes.values()),
            staked=sum(row.staked for row in self.nodes if row.registration_height),
            earned=max(0, total - max(0, returned - returning)),
            claimed=sum(claim.paid for claims in index.claims.values() for claim in claims),
            reward=int(rates.paid(state.rates, state.parameters)),
            pool=int(self.tip.balance_reward_rate_pool),
        )

    @cached_property
    def samples(self) -> list[Sample]:
        """What was kept, and now, oldest first; nothing before the first block."""
        if not self.state.height:
            return []
        return [*(each for each in self._kept if each.height < self.now.height), self.now]

    @cached_property
    def earning(self) -> int:
        """How many nodes share a reward."""
        return sum(row.payable for row in self.nodes)

    @cached_property
    def by_account(self) -> Mapping[str, list[NodeRow]]:
        """Nodes by who staked for them or gets their rewards; checksummed addresses."""
        found: dict[str, list[NodeRow]] = defaultdict(list)
        for row in self.nodes:
            for person in {person for part in row.contributors for person in (part.address, part.beneficiary)}:
                found[person].append(row)
        return found

    def _node(self, node: Node) -> NodeRow:
        state, parameters = self.state, self.state.parameters
        status, why = Status.ACTIVE, ""
        if node.decommissioned:
            status = Status.DECOMMISSIONED
            said = Reason(node.reasons_any)
            why = ", ".join(words for reason, words in _REASONS.items() if reason in said)
        elif node.unlock_height:
            status = Status.EXIT_REQUESTED
        up = 0 if node.decommissioned else max(0, state.height - node.active_since) * parameters.block_seconds
        return NodeRow(
            pubkey=node.pubkey.hex(),
            bls_key=node.bls_key.hex(),
            contract_id=node.contract_id,
            status=status,
            why=why,
            contributors=_contributions(node.contributors),
            fee=node.fee,
            staked=node.requirement,
            registration_height=node.registration_height,
            active_since=0 if node.decommissioned else node.active_since,
            up_seconds=up,
            credit=max(0, node.credit(state.height, parameters)),
            decommission_count=node.decommission_count,
            payable=node.is_payable(state.height, parameters),
            unlock_height=node.unlock_height,
            liquidation_height=None,
            swarm=None if node.swarm == NO_SWARM else int(node.swarm),
            contact=self.contacts.get(node.pubkey, _NOBODY),
        )

    def _departed(self, gone: Departed) -> NodeRow:
        status = Status.READY_TO_EXIT
        if gone.leaving is Leaving.DEREGISTERED:
            status = Status.DEREGISTERED
        elif gone.refusal is not Refusal.NONE:
            status = Status.REFUSED
        return NodeRow(
            pubkey=gone.pubkey.hex(),
            bls_key=gone.bls_key.hex(),
            contract_id=gone.contract_id,
            status=status,
            why=gone.refusal.text if status is Status.REFUSED else "",
            contributors=_contributions(gone.contributors),
            fee=0,
            staked=sum(part.amount for part in gone.contributors),
            registration_height=0,
            active_since=0,
            up_seconds=0,
            credit=0,
            decommission_count=0,
            payable=False,
            unlock_height=max(0, gone.removal_height - 1),
            liquidation_height=gone.liquidation_height,
            swarm=None,
            contact=self.contacts.get(gone.pubkey, _NOBODY),
        )


def _contributions(parts: tuple[Contributor, ...]) -> tuple[Contribution, ...]:
    return tuple(Contribution(_shown(part.address), _shown(part.beneficiary), part.amount) for part in parts)
