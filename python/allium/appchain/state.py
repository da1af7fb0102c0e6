"""The state of the network at one height, its root, and how it travels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from bencode2 import bencode

from allium.appchain import merkle
from allium.appchain.certificates import DrawnQuorum, Roster, Verifier, one_by_one, quorum
from allium.appchain.encoding import EncodingError, decode, encode
from allium.appchain.ledger.ledger import RECORD, Arithmetic, Ledger
from allium.appchain.nodes import Departed, Node, StakeReturn
from allium.appchain.parameters import Parameters
from allium.appchain.table import Table
from allium.appchain.types import (
    NO_HEIGHT,
    Address,
    AtomicSesh,
    BlsKey,
    ContractId,
    Hash,
    Height,
    Index,
    L2Height,
    PublicKey,
    Seconds,
)

#: How many accounts share a leaf.
_ACCOUNTS = 16 * RECORD
_FORMAT = 2


@dataclass(frozen=True)
class Note:
    """Something that happened at this height, for people. Not a part of the state."""

    text: str
    contract_id: ContractId


@dataclass(frozen=True)
class QuorumSnapshot:
    """What a vote about one height is judged by."""

    height: Height
    #: The randomness of the height.
    beacon: Hash
    roster: Roster


@dataclass(frozen=True, eq=False)
class State:
    """The network after one height. Never changed: `apply` makes the next one."""

    parameters: Parameters
    height: Height
    time: Seconds
    l2_height: L2Height
    l2_hash: Hash
    #: For the next registrations.
    requirement: AtomicSesh
    #: The last rates, newest last (`rates`).
    rates: tuple[AtomicSesh, ...]
    nodes: Table[PublicKey, Node]
    departed: Table[ContractId, Departed]
    returns: Table[tuple[Height, ContractId, Index], StakeReturn]
    #: The heights that votes may be about, oldest first.
    quorums: tuple[QuorumSnapshot, ...]
    ledger: Ledger
    #: Nodes with which something is due at a height. Follows from `nodes`; may name some in vain.
    agenda: Mapping[Height, tuple[PublicKey, ...]] = field(repr=False)
    notes: tuple[Note, ...] = ()
    #: By what signatures in certificates are verified. Not a part of the state, nor does anything follow from it.
    verifier: Verifier = field(default=one_by_one, repr=False)

    @cached_property
    def root(self) -> Hash:
        """What the state is known by: equal roots, equal states."""
        return merkle.root(self.sections)

    @cached_property
    def sections(self) -> list[bytes]:
        """The leaves of the root: what has no tree of its own, then the roots of those that have."""
        return [self._header, self.nodes.root, self.departed.root, self.returns.root, merkle.root(self.accounts)]

    @cached_property
    def _header(self) -> bytes:
        quorums = [[sitting.height, sitting.beacon, sitting.roster.digest] for sitting in self.quorums]
        scalars = [self.height, self.time, self.l2_height, self.l2_hash, self.requirement]
        return bencode([_FORMAT, self.parameters.chain, *scalars, list(self.rates), quorums])

    @cached_property
    def accounts(self) -> list[bytes]:
        """The leaves of the balances' tree: records of the ledger."""
        accounts = self.ledger.accounts()
        return [accounts[start : start + _ACCOUNTS] for start in range(0, len(accounts), _ACCOUNTS)]

    @cached_property
    def by_contract(self) -> Mapping[ContractId, PublicKey]:
        """The registered nodes by the contract's number."""
        return {node.contract_id: key for key, node in self.nodes.items()}

    @cached_property
    def by_bls(self) -> Mapping[BlsKey, ContractId]:
        """All that the contract holds, by BLS key; a registered node before one that was refused for having its key."""
        refused = {gone.bls_key: contract_id for contract_id, gone in self.departed.items()}
        return refused | {node.bls_key: node.contract_id for node in self.nodes.values()}

    @cached_property
    def locked(self) -> Mapping[Address, AtomicSesh]:
        """What addresses have staked in nodes that the contract holds."""
        members: list[Node | Departed] = [*self.nodes.values(), *self.departed.values()]
        return _sums((part.address, part.amount) for member in members for part in member.contributors)

    @cached_property
    def returning(self) -> Mapping[Address, AtomicSesh]:
        """Stakes on their way back, by address."""
        return _sums((back.address, back.amount) for back in self.returns.values())

    def quorum(self, height: Height) -> DrawnQuorum | None:
        """Who tests whom at a height; `None` when it is not one that votes may be about."""
        for sitting in self.quorums:
            if sitting.height == height:
                return quorum(sitting.roster, sitting.beacon, self.parameters)
        return None


def _sums(parts: Iterable[tuple[Address, AtomicSesh]]) -> dict[Address, AtomicSesh]:
    sums: dict[Address, AtomicSesh] = {}
    for address, amount in parts:
        sums[address] = AtomicSesh(sums.get(address, 0) + amount)
    return sums


def genesis(parameters: Parameters, arithmetic: Arithmetic | None = None, verifier: Verifier = one_by_one) -> State:
    """The state at height 0: no nodes, no money. It and those after it verify certificates by `verifier`."""
    return State(
        parameters=parameters,
        height=NO_HEIGHT,
        time=Seconds(0),
        l2_height=parameters.l2_start,
        l2_hash=Hash(bytes(32)),
        requirement=parameters.staking_requirement,
        rates=(),
        nodes=Table(),
        departed=Table(),
        returns=Table(),
        quorums=(),
        ledger=Ledger(parameters.history, arithmetic=arithmetic),
        agenda={},
        verifier=verifier,
    )


@dataclass(frozen=True)
class _Seat:
    """A sitting of a snapshot, whose roster others may share."""

    height: Height
    beacon: Hash
    roster: Index


@dataclass(frozen=True)
class _Snapshot:
    format: int
    parameters: Parameters
    height: Height
    time: Seconds
    l2_height: L2Height
    l2_hash: Hash
    requirement: AtomicSesh
    rates: tuple[AtomicSesh, ...]
    nodes: tuple[Node, ...]
    departed: tuple[Departed, ...]
    returns: tuple[StakeReturn, ...]
    rosters: tuple[Roster, ...]
    seats: tuple[_Seat, ...]
    accounts: bytes


def snapshot(state: State) -> bytes:
    """The whole state. What a node that starts from it does not have is balances of earlier heights."""
    numbers: dict[Roster, Index] = {}
    for sitting in state.quorums:
        numbers.setdefault(sitting.roster, Index(len(numbers)))
    return encode(
        _Snapshot(
            format=_FORMAT,
            parameters=state.parameters,
            height=state.height,
            time=state.time,
            l2_height=state.l2_height,
            l2_hash=state.l2_hash,
            requirement=state.requirement,
            rates=state.rates,
            nodes=tuple(state.nodes.values()),
            departed=tuple(state.departed.values()),
            returns=tuple(state.returns.values()),
            rosters=tuple(numbers),
            seats=tuple(_Seat(each.height, each.beacon, numbers[each.roster]) for each in state.quorums),
            accounts=state.ledger.accounts(),
        )
    )


def restore(data: bytes, arithmetic: Arithmetic | None = None, verifier: Verifier = one_by_one) -> State:
    """The state of a snapshot; raises `EncodingError`. Only its root tells whether it is the right one."""
    read = decode(_Snapshot, data)
    if read.format != _FORMAT:
        raise EncodingError(f"a snapshot of format {read.format}; this version reads {_FORMAT}")
    if any(seat.roster >= len(read.rosters) for seat in read.seats):
        raise EncodingError("a sitting without a roster")
    parameters, height = read.parameters, read.height
    nodes = Table({node.pubkey: node for node in read.nodes})
    payees = {key: node.payee for key, node in nodes.items() if node.is_payable(height, parameters)}
    try:
        ledger = Ledger.restored(parameters.history, height, read.accounts, payees, arithmetic)
    except (ValueError, OverflowError) as error:
        raise EncodingError(f"the snapshot's accounts: {error}") from None
    return State(
        parameters=parameters,
        height=height,
        time=read.time,
        l2_height=read.l2_height,
        l2_hash=read.l2_hash,
        requirement=read.requirement,
        rates=read.rates,
        nodes=nodes,
        departed=Table({gone.contract_id: gone for gone in read.departed}),
        returns=Table({back.key: back for back in read.returns}),
        quorums=tuple(QuorumSnapshot(seat.height, seat.beacon, read.rosters[seat.roster]) for seat in read.seats),
        ledger=ledger,
        agenda=_agenda(nodes.values(), height, parameters),
        verifier=verifier,
    )


def _agenda(nodes: Iterable[Node], height: Height, parameters: Parameters) -> dict[Height, tuple[PublicKey, ...]]:
    due: dict[Height, tuple[PublicKey, ...]] = {}
    for node in nodes:
        for when in dates(node, parameters):
            if when > height:
                due[when] = (*due.get(when, ()), node.pubkey)
    return due


def dates(node: Node, parameters: Parameters) -> list[Height]:
    """The heights at which something happens to a node by itself."""
    begins = [] if node.decommissioned else [node.payable_from(parameters)]
    return [*begins, Height(node.unlock_height + 1)] if node.unlock_height else begins
