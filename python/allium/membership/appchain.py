"""The network as the replicated state machine has it: who is registered, who works, in which swarm.

Where nodes can be reached is no part of that state. Nodes tell each other (`liveness`), and until one has, it
is where the network file says; one that the file does not name is a member all the same, without an address.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nacl import bindings
from nacl.exceptions import CryptoError

from allium.appchain.nodes import Node
from allium.appchain.state import State
from allium.appchain.swarms import UNASSIGNED
from allium.appchain.types import Hash, L2Height, PublicKey
from allium.base import log
from allium.consensus import Consensus, Observer
from allium.errors import ConsensusError
from allium.membership import MembershipError, static

if TYPE_CHECKING:
    from allium._native import Network, NodeEntry
    from allium.liveness.proof import Uptime

#: The rules that clients see; of the network's fork to staking on the EVM chain.
HARDFORK = (21, 0)
_NOWHERE = "0.0.0.0"


class ChainObserver(Observer, Protocol):
    """An observer of the EVM chain that goes on from where the network is."""

    def resume(self, height: L2Height, block: Hash) -> None:
        """What the network has seen before: the block of that height is this one."""
        ...

    @property
    def final(self) -> int:
        """Up to where it is final, 0 at first."""
        ...

    async def close(self) -> None:
        """Ends its connections."""
        ...


class AppchainMembership:
    """Runs the engine of agreement and yields a snapshot for every state. When the engine ends, the last one stays."""

    def __init__(self, consensus: Consensus, contacts_file: Path, observer: ChainObserver | None = None) -> None:
        """`observer`, if the engine has one, is closed at the end."""
        self._consensus, self._path, self._observer = consensus, contacts_file, observer
        self._listed: dict[str, NodeEntry] = {}
        self._proven: dict[str, NodeEntry] = {}
        self._contacts: Mapping[str, NodeEntry] = {}
        self._news = asyncio.Event()
        self._logger = log.get("membership")

    @property
    def consensus(self) -> Consensus:
        """The engine of agreement."""
        return self._consensus

    @property
    def observer(self) -> ChainObserver | None:
        """The node's own view of the EVM chain, if it has one."""
        return self._observer

    @property
    def contacts(self) -> Mapping[str, NodeEntry]:
        """Where nodes can be reached, by their Ed25519 keys, hex."""
        return self._contacts

    def learn(self, uptime: Uptime) -> None:
        """Takes from a node's proof where it is."""
        key = uptime.pubkey.hex()
        x25519 = _x25519(uptime.pubkey)
        if x25519 is None:
            return
        proven: NodeEntry = {
            "pubkey_legacy": (uptime.legacy or uptime.pubkey).hex(),
            "pubkey_ed25519": key,
            "pubkey_x25519": x25519,
            "ip": uptime.ip,
            "https_port": uptime.https_port,
            "omq_port": uptime.omq_port,
            "swarm_id": UNASSIGNED,
            "version": uptime.storage,
        }
        if self._proven.get(key) != proven:
            self._proven[key] = proven
            self._meet()

    @property
    def l2_final(self) -> int:
        """Up to where this node itself sees the EVM chain final; 0 when it does not look there."""
        return 0 if self._observer is None else self._observer.final

    def reload(self) -> None:
        """Reads the network file again at once."""
        self._read_contacts()
        self._meet()

    async def __aiter__(self) -> AsyncIterator[Network]:
        """Raises `MembershipError` when the engine ends before there was a network."""
        self._listed = _by_key(static.read(self._path))
        self._meet()
        pumps = (self._consensus.run(), self._follow_states(), self._follow_contacts())
        tasks = {asyncio.create_task(pump) for pump in pumps}
        for task in tasks:
            task.add_done_callback(lambda _: self._news.set())
        current: Network | None = None
        try:
            while True:
                self._news.clear()
                for ended in {task for task in tasks if task.done()}:
                    tasks.remove(ended)
                    self._explain(ended, current is None)
                state = self._consensus.state
                if state.height and (network := snapshot(state, self._contacts)) != current:
                    current = network
                    yield network
                await self._news.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._observer is not None:
                await self._observer.close()

    def _explain(self, ended: asyncio.Task[None], at_once: bool) -> None:
        error = ended.exception()
        if not isinstance(error, ConsensusError):
            raise error or AssertionError(f"{ended.get_name()} ended without a reason")
        if at_once:
            raise MembershipError(str(error))
        self._logger.error("no longer follows the network's state, the last one stays", reason=str(error))

    async def _follow_states(self) -> None:
        async for _ in self._consensus:
            self._news.set()

    async def _follow_contacts(self) -> None:
        async for _ in static.changes(self._path, 1.0):
            self.reload()

    def _meet(self) -> None:
        """Puts together what the file and the nodes say."""
        members = self._consensus.state.nodes
        self._proven = {key: entry for key, entry in self._proven.items() if PublicKey(bytes.fromhex(key)) in members}
        self._contacts = {**self._listed, **self._proven}
        self._news.set()

    def _read_contacts(self) -> None:
        try:
            self._listed = _by_key(static.read(self._path))
        except MembershipError as error:
            self._logger.error("network file is unusable, the addresses before it stay", reason=str(error))


def snapshot(state: State, contacts: Mapping[str, NodeEntry]) -> Network:
    """The network of a state, with the addresses that are known of its nodes."""
    return {
        "height": state.height,
        "block_hash": state.root.hex(),
        "hardfork": HARDFORK,
        "nodes": [
            _entry(node, x25519, contacts.get(node.pubkey.hex()))
            for node in state.nodes.values()
            # One whose key is no point of the curve can neither be reached nor speak.
            if (x25519 := _x25519(node.pubkey)) is not None
        ],
    }


def _entry(node: Node, x25519: str, contact: NodeEntry | None) -> NodeEntry:
    entry: NodeEntry = {
        "pubkey_legacy": node.pubkey.hex() if contact is None else contact["pubkey_legacy"],
        "pubkey_ed25519": node.pubkey.hex(),
        "pubkey_x25519": x25519,
        "ip": _NOWHERE if contact is None else contact["ip"],
        "https_port": 0 if contact is None else contact["https_port"],
        "omq_port": 0 if contact is None else contact["omq_port"],
        "swarm_id": node.swarm,
        "requested_unlock_height": node.unlock_height,
    }
    if contact is not None and "version" in contact:
        entry["version"] = contact["version"]
    return entry


@lru_cache(maxsize=1 << 17)
def _x25519(pubkey: PublicKey) -> str | None:
    """`None` where there is none: anybody may register any 32 bytes."""
    try:
        return bindings.crypto_sign_ed25519_pk_to_curve25519(pubkey).hex()
    except CryptoError:
        return None


def _by_key(network: Network) -> dict[str, NodeEntry]:
    return {node["pubkey_ed25519"]: node for node in network["nodes"]}
