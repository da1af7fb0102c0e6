"""All answers that hold until the next block or event, as bytes: what many ask for is made before they ask.

An answer is the network, the time, and members of its own (`spec/portal` §4).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

import msgspec

from allium.appchain.state import State
from allium.appchain.types import PublicKey
from allium.portal import documents
from allium.portal.contract_index import ContractIndex
from allium.portal.network_view import NetworkView
from allium.portal.pots import Pot
from allium.portal.prepared import Prepared, Told
from allium.portal.stake_history import Steps

_ENCODER = msgspec.json.Encoder()
#: How many nodes are made into JSON before others have the interpreter again: about a millisecond.
_NODES_AT_ONCE = 12


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
    ) -> None:
        """`pause`: lets others have the interpreter; called every millisecond or so. `history`: of `StakeHistory`."""
        self.state, self.index = state, index
        self.view = NetworkView(state, index, proofs, history)
        self.network = _ENCODER.encode(self.view.network(l2_timestamp))
        self._of_address: dict[str, list[bytes]] = defaultdict(list)
        self._of_pubkey: dict[str, bytes] = {}
        every: list[bytes] = []
        for number, stake in enumerate(self.view.stakes()):
            told = _ENCODER.encode(stake)
            every.append(told)
            self._of_pubkey.setdefault(stake.pubkey_ed25519, told)
            for person in {person for part in stake.contributors for person in (part.address, part.beneficiary)}:
                self._of_address[person].append(told)
            if number % _NODES_AT_ONCE == 0:
                pause()
        self.view.prepare()
        pause()
        keys = b',"added_bls_keys":' + _ENCODER.encode(index.bls_keys) + b"}"
        self._pots = {place: _ENCODER.encode(pot.document()) for place, pot in index.pots.items()}
        pause()
        #: What ends the answers of which contracts are a part.
        self._keys = Prepared(keys)
        self.nodes = Told(b"", Prepared(_list("nodes", every) + b"}"))
        pause()
        self.bls_keys = Told(b"", Prepared(b',"bls_keys":' + keys[keys.index(b"{") :]))
        self.contracts = Told(b"", Prepared(_list("contracts", self._pots.values()) + keys))
        self.leaving = Told.prepared(members(result=self.view.leaving()))
        newest = index.events[-1] if index.events else None
        place = (0, 0) if newest is None else (newest.block, newest.log_index)
        #: By what caches know it: of the same network and the same events, the same.
        self.tag = blake2b(self.network + repr((place, len(index.events))).encode(), digest_size=8).hexdigest()

    def stakes_of(self, address: str, vesting: bytes = b"[]") -> Told:
        """Of a checksummed address: its nodes and its contracts. `vesting`: JSON of what holds tokens for it."""
        stakes = _list("stakes", self._of_address.get(address, ()))
        contracts = _list("contracts", self._documents(self.index.pots_of.get(address, ())))
        return Told(stakes + contracts + b',"vesting":' + vesting, self._keys)

    def stake(self, pubkey: str) -> Told:
        """Of a node: none or one."""
        found = self._of_pubkey.get(pubkey)
        return Told(_list("stakes", () if found is None else (found,)))

    def contract(self, pubkey: str) -> Told:
        """The newest contract for a node, or null."""
        pots = self.index.pots_by_node.get(pubkey, [])
        newest = max(pots, key=lambda pot: pot.newest, default=None)
        return Told(b',"contract":' + (b"null" if newest is None else self._pots[newest.address]))

    def contracts_of(self, address: str) -> Told:
        """Those that an address has to do with."""
        return Told(_list("contracts", self._documents(self.index.pots_of.get(address, ()))))

    def rewards(self, address: str) -> Told:
        """Of a checksummed address."""
        return Told.of(members(rewards=self.view.rewards(address)))

    def events(self, count: int, skip: int) -> Told:
        """The newest first."""
        every = self.index.events
        end = max(0, len(every) - skip)
        page = documents.Pagination(limit=count, skip=skip, total=len(every))
        return Told.of(members(events=every[max(0, end - count) : end][::-1], pagination=page))

    def events_of(self, node: int) -> Told:
        """Of one node, by the contract's number, the newest first."""
        return Told.of(members(events=self.index.of_node.get(node, [])[::-1]))

    def _documents(self, pots: Iterable[Pot]) -> list[bytes]:
        return [self._pots[pot.address] for pot in pots]


def members(**told: Any) -> bytes:
    """An object of JSON."""
    return _ENCODER.encode(told)


def _list(name: str, parts: Iterable[bytes]) -> bytes:
    """A member, after a comma, of parts that are JSON already."""
    return b',"' + name.encode() + b'":[' + b",".join(parts) + b"]"
