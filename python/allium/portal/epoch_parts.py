"""What one epoch leaves to the next: JSON of nodes and contracts is made anew only where something of them has changed.

From one block to the next that is next to nothing. What every height changes of a node stands at the end of its JSON.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from allium.appchain.nodes import Node
from allium.appchain.state import State
from allium.appchain.types import Address, AtomicSesh, ContractId
from allium.portal.contract_index import ContractIndex
from allium.portal.documents import MOVING, Event, Stake
from allium.portal.network_view import NetworkView
from allium.portal.prepared import Prepared

_ENCODER = msgspec.json.Encoder()
#: How many are looked at, or made, before others have the interpreter again: about a millisecond.
_LOOKED_AT_ONCE, _MADE_AT_ONCE = 256, 12
_MOVING = b"".join(b',"%b":%%d' % name.encode() for name in MOVING) + b"}"

Pause = Callable[[], None]


@dataclass(frozen=True, slots=True)
class StakeParts:
    """The nodes of one epoch. Never changed."""

    #: JSON of each: of nodes, then of those that left and that the contract holds.
    texts: Sequence[bytes]
    #: Which of them are a person's, by checksummed address, and which is a node's, by its key in hex.
    of_address: Mapping[str, Sequence[int]]
    of_pubkey: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ContractParts:
    """The contracts that collect stakes, as of one index. Never changed."""

    #: JSON of each, by its address.
    pots: Mapping[str, bytes]
    #: What ends the answers of which contracts are a part, and what is asked for as a whole.
    keys: Prepared
    contracts: Prepared
    bls_keys: Prepared


@dataclass(frozen=True, slots=True)
class _Text:
    """A node's JSON up to what moves, and what it was made of."""

    node: Node
    payable: bool
    events: Sequence[Event]
    head: bytes
    pubkey: str
    people: tuple[str, ...]


class EpochParts:
    """Kept from one epoch to the next. For one thread at a time."""

    def __init__(self) -> None:
        self._texts: dict[ContractId, _Text] = {}
        self._owners: list[tuple[str, tuple[str, ...]]] = []
        self._of_address: Mapping[str, Sequence[int]] = {}
        self._of_pubkey: Mapping[str, int] = {}
        self._index: ContractIndex | None = None
        self._contracts: ContractParts | None = None
        self._staked: list[object] = []
        self._locked: Mapping[Address, AtomicSesh] = {}

    def locked(self, state: State) -> Mapping[Address, AtomicSesh]:
        """`state.locked`."""
        staked: list[object] = [node.contributors for node in state.nodes.values()]
        staked += [gone.contributors for gone in state.departed.values()]
        if len(staked) != len(self._staked) or any(map(_other, staked, self._staked)):
            self._staked, self._locked = staked, state.locked
        return self._locked

    def stakes(self, view: NetworkView, pause: Pause) -> StakeParts:
        """Of the view's nodes."""
        texts: list[bytes] = []
        owners: list[tuple[str, tuple[str, ...]]] = []
        kept: dict[ContractId, _Text] = {}
        made = 0
        for number, node in enumerate(view.nodes):
            if number % _LOOKED_AT_ONCE == 0:
                pause()
            text = self._texts.get(node.contract_id)
            if text is None or not _holds(text, view, node):
                text = _made(view, node)
                made += 1
                if made % _MADE_AT_ONCE == 0:
                    pause()
            kept[node.contract_id] = text
            texts.append(text.head + _MOVING % view.moving(node))
            owners.append((text.pubkey, text.people))
        for number, stake in enumerate(view.departed_stakes()):
            if number % _MADE_AT_ONCE == 0:
                pause()
            texts.append(_ENCODER.encode(stake))
            owners.append((stake.pubkey_ed25519, _people(stake)))
        self._texts = kept
        if owners != self._owners:
            self._owners, self._of_address, self._of_pubkey = owners, *_places(owners, pause)
        return StakeParts(texts, self._of_address, self._of_pubkey)

    def contracts(self, index: ContractIndex, pause: Pause) -> ContractParts:
        """Of an index."""
        if self._contracts is None or self._index is not index:
            pots = {place: _ENCODER.encode(pot.document()) for place, pot in index.pots.items()}
            pause()
            bls_keys = _ENCODER.encode(index.bls_keys)
            keys = b',"added_bls_keys":' + bls_keys + b"}"
            self._contracts = ContractParts(
                pots,
                Prepared(keys),
                Prepared(listed("contracts", [*pots.values()]) + keys),
                Prepared(b',"bls_keys":' + bls_keys + b"}"),
            )
            self._index = index
        return self._contracts


def listed(name: str, parts: Sequence[bytes]) -> bytes:
    """A member, after a comma, of parts that are JSON already."""
    return b',"' + name.encode() + b'":[' + b",".join(parts) + b"]"


def _other(left: object, right: object) -> bool:
    return left is not right


def _holds(text: _Text, view: NetworkView, node: Node) -> bool:
    return text.node is node and text.payable == view.is_payable(node) and text.events == view.events_of(node)


def _made(view: NetworkView, node: Node) -> _Text:
    stake = view.stake(node)
    told = _ENCODER.encode(stake)
    head = told[: told.rindex(b',"%b":' % MOVING[0].encode())]
    return _Text(node, stake.payable, stake.events, head, stake.pubkey_ed25519, _people(stake))


def _people(stake: Stake) -> tuple[str, ...]:
    return tuple(dict.fromkeys(who for part in stake.contributors for who in (part.address, part.beneficiary)))


def _places(
    owners: Sequence[tuple[str, tuple[str, ...]]], pause: Pause
) -> tuple[Mapping[str, Sequence[int]], Mapping[str, int]]:
    of_address: dict[str, list[int]] = defaultdict(list)
    of_pubkey: dict[str, int] = {}
    for place, (pubkey, people) in enumerate(owners):
        if place % _LOOKED_AT_ONCE == 0:
            pause()
        of_pubkey.setdefault(pubkey, place)
        for person in people:
            of_address[person].append(place)
    return dict(of_address), of_pubkey
