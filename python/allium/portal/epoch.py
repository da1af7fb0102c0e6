"""All answers that hold until the next block or event, as bytes: what many ask for is made before they ask.

An answer is the network, the time, and members of its own (`spec/portal` §4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

import msgspec

from allium.appchain.state import State
from allium.appchain.types import PublicKey
from allium.portal import documents
from allium.portal.contract_index import ContractIndex
from allium.portal.epoch_parts import EpochParts, listed
from allium.portal.network_view import NetworkView
from allium.portal.pots import Pot
from allium.portal.prepared import Prepared, Told
from allium.portal.stake_history import Steps

_ENCODER = msgspec.json.Encoder()
#: How many pages of the newest events are kept: front ends ask for the same.
_PAGES = 8


def no_pause() -> None:
    """For who may keep the interpreter."""


class Epoch:
    """The network at one height, with the contracts' events as of then. To be made in a thread of its own."""

    def __init__(
        self,
        state: State,
        index: ContractIndex,
        proofs: Mapping[PublicKey, int],
        l2_timestamp: int,
        pause: Callable[[], None] = no_pause,
        history: Mapping[str, Steps] = MappingProxyType({}),
        parts: EpochParts | None = None,
    ) -> None:
        """`pause`: lets others have the interpreter; called every millisecond or so. `history`: of `StakeHistory`.

        `parts`: of the epochs before.
        """
        parts = parts or EpochParts()
        self.state, self.index = state, index
        self.view = NetworkView(state, index, proofs, history, parts.locked(state))
        pause()
        self.network = _ENCODER.encode(self.view.network(l2_timestamp))
        self._stakes = parts.stakes(self.view, pause)
        pause()
        self._contracts = parts.contracts(index, pause)
        self.nodes = Told(b"", Prepared(listed("nodes", self._stakes.texts) + b"}"))
        pause()
        self.bls_keys = Told(b"", self._contracts.bls_keys)
        self.contracts = Told(b"", self._contracts.contracts)
        #: Newest events, by how many.
        self._newest: dict[int, Told] = {}
        self.leaving = Told.prepared(members(result=self.view.leaving()))
        newest = index.events[-1] if index.events else None
        place = (0, 0) if newest is None else (newest.block, newest.log_index)
        #: By what caches know it: of the same network and the same events, the same.
        self.tag = blake2b(self.network + repr((place, len(index.events))).encode(), digest_size=8).hexdigest()

    def stakes_of(self, address: str, vesting: bytes = b"[]") -> Told:
        """Of a checksummed address: its nodes and its contracts. `vesting`: JSON of what holds tokens for it."""
        stakes = listed("stakes", [self._stakes.texts[place] for place in self._stakes.of_address.get(address, ())])
        contracts = listed("contracts", self._documents(self.index.pots_of.get(address, ())))
        return Told(stakes + contracts + b',"vesting":' + vesting, self._contracts.keys)

    def stake(self, pubkey: str) -> Told:
        """Of a node: none or one."""
        place = self._stakes.of_pubkey.get(pubkey)
        return Told(listed("stakes", [] if place is None else [self._stakes.texts[place]]))

    def contract(self, pubkey: str) -> Told:
        """The newest contract for a node, or null."""
        pots = self.index.pots_by_node.get(pubkey, [])
        newest = max(pots, key=lambda pot: pot.newest, default=None)
        return Told(b',"contract":' + (b"null" if newest is None else self._contracts.pots[newest.address]))

    def contracts_of(self, address: str) -> Told:
        """Those that an address has to do with."""
        return Told(listed("contracts", self._documents(self.index.pots_of.get(address, ()))))

    def rewards(self, address: str) -> Told:
        """Of a checksummed address."""
        return Told.of(members(rewards=self.view.rewards(address)))

    def events(self, count: int, skip: int) -> Told:
        """The newest first."""
        if skip == 0 and count in self._newest:
            return self._newest[count]
        told = self._events(count, skip)
        if skip == 0 and len(self._newest) < _PAGES:
            self._newest[count] = told
        return told

    def _events(self, count: int, skip: int) -> Told:
        every = self.index.events
        end = max(0, len(every) - skip)
        page = documents.Pagination(limit=count, skip=skip, total=len(every))
        return Told.of(members(events=every[max(0, end - count) : end][::-1], pagination=page))

    def events_of(self, node: int) -> Told:
        """Of one node, by the contract's number, the newest first."""
        return Told.of(members(events=self.index.of_node.get(node, [])[::-1]))

    def _documents(self, pots: Iterable[Pot]) -> list[bytes]:
        return [self._contracts.pots[pot.address] for pot in pots]


def members(**told: Any) -> bytes:
    """An object of JSON."""
    return _ENCODER.encode(told)
