"""All answers that hold until the next block or event, as bytes: what many ask for is made before they ask.

An answer is the network, the time, and members of its own (`spec/portal` §4).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec

from allium.appchain.state import State
from allium.appchain.types import PublicKey
from allium.portal import documents
from allium.portal.contract_index import ContractIndex
from allium.portal.network_view import NetworkView
from allium.portal.pots import Pot

#: Answers about one address that are kept; others are made again.
_MOST_KEPT = 20_000
_ENCODER = msgspec.json.Encoder()


class Epoch:
    """The network at one height, with the contracts' events as of then. To be made in a thread of its own."""

    def __init__(self, state: State, index: ContractIndex, proofs: Mapping[PublicKey, int], l2_timestamp: int) -> None:
        self.state, self.index = state, index
        self.view = NetworkView(state, index, proofs)
        self.network = _ENCODER.encode(self.view.network(l2_timestamp))
        self._kept: dict[tuple[str, str], bytes] = {}
        self._of_address: dict[str, list[msgspec.Raw]] = defaultdict(list)
        self._of_pubkey: dict[str, msgspec.Raw] = {}
        every = []
        for stake in self.view.stakes():
            raw = msgspec.Raw(_ENCODER.encode(stake))
            every.append(raw)
            self._of_pubkey.setdefault(stake.pubkey_ed25519, raw)
            people = {person for part in stake.contributors for person in (part.address, part.beneficiary)}
            for person in people:
                self._of_address[person].append(raw)
        self._keys = msgspec.Raw(_ENCODER.encode(index.bls_keys))
        self._pots = {place: msgspec.Raw(_ENCODER.encode(pot.document())) for place, pot in index.pots.items()}
        self.nodes = members(nodes=every)
        self.bls_keys = members(bls_keys=self._keys)
        self.contracts = members(contracts=list(self._pots.values()), added_bls_keys=self._keys)
        self.leaving = members(result=self.view.leaving())

    def answer(self, told: bytes) -> bytes:
        """A whole answer with the members `told`."""
        now = str(int(time.time())).encode()
        rest = b"}" if told == b"{}" else b"," + told[1:]
        return b'{"network":' + self.network + b',"t":' + now + rest

    def stakes_of(self, address: str) -> bytes:
        """Of a checksummed address: its nodes and its contracts."""

        def make() -> bytes:
            return members(
                stakes=self._of_address.get(address, []),
                contracts=self._documents(self.index.pots_of.get(address, [])),
                vesting=[],
                added_bls_keys=self._keys,
            )

        return self._once("stakes", address, make)

    def stake(self, pubkey: str) -> bytes:
        """Of a node: none or one."""
        found = self._of_pubkey.get(pubkey)
        return members(stakes=[] if found is None else [found])

    def contract(self, pubkey: str) -> bytes:
        """The newest contract for a node, or null."""
        pots = self.index.pots_by_node.get(pubkey, [])
        newest = max(pots, key=lambda pot: pot.newest, default=None)
        return members(contract=None if newest is None else self._pots[newest.address])

    def contracts_of(self, address: str) -> bytes:
        """Those that an address has to do with."""
        return members(contracts=self._documents(self.index.pots_of.get(address, [])))

    def rewards(self, address: str) -> bytes:
        """Of a checksummed address."""
        return self._once("rewards", address, lambda: members(rewards=self.view.rewards(address)))

    def events(self, count: int, skip: int) -> bytes:
        """The newest first."""
        every = self.index.events
        end = max(0, len(every) - skip)
        page = documents.Pagination(limit=count, skip=skip, total=len(every))
        return members(events=every[max(0, end - count) : end][::-1], pagination=page)

    def events_of(self, node: int) -> bytes:
        """Of one node, by the contract's number, the newest first."""
        return members(events=self.index.of_node.get(node, [])[::-1])

    def _documents(self, pots: list[Pot]) -> list[msgspec.Raw]:
        return [self._pots[pot.address] for pot in pots]

    def _once(self, what: str, which: str, make: Any) -> bytes:
        place = what, which
        told = self._kept.get(place)
        if told is None:
            told = make()
            if len(self._kept) < _MOST_KEPT:
                self._kept[place] = told
        return bytes(told)


def members(**told: Any) -> bytes:
    """An object of JSON."""
    return _ENCODER.encode(told)
