"""The network from the daemon of the live network, beside which the node runs (`spec/swarms` §3, §6)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

import bencode2

from allium.base import log, pulse
from allium.base.endpoint import Endpoint
from allium.membership import daemon as rpc
from allium.membership.daemon import Address, Daemon, NodeList
from allium.membership.omq import OmqError, UnknownCommandError

if TYPE_CHECKING:
    from allium._native import Network

#: How often what the daemon is to send is asked for again, in seconds.
SUBSCRIBE_SECONDS = 30.0
_RETRY_SECONDS = 5.0
_SEED_SECONDS = 10.0
#: A first list as short as this, or with so large a part that has no address, is that of a daemon that still syncs.
FEW_NODES, FEW_NODES_TESTNET = 100, 10
MANY_MISSING = 0.03
#: After this long a node no longer believes that it is behind.
SYNCING_SECONDS = 3600.0
_ADDRESS_MAX = 1024


class OxendMembership:
    """Snapshots of the daemon's list: whenever there is a block, and when a node is said to be at another address.

    While the daemon is gone the last list stays in force. `keep_subscribed` has to run beside the iteration.
    """

    def __init__(
        self,
        daemon: Daemon,
        seeds: Sequence[Endpoint] = (),
        few_nodes: int = FEW_NODES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`seeds` are other daemons, which are asked how far the network is when the first list looks incomplete."""
        self._daemon = daemon
        self._seeds = seeds
        self._few_nodes = few_nodes
        self._clock = clock
        self._logger = log.get("membership")
        self._look = asyncio.Event()
        self._look.set()
        self._reconnected = asyncio.Event()
        self._addresses: dict[str, Address] = {}
        #: What is in force.
        self._network: Network | None = None
        self._moved = False
        #: Legacy keys of nodes of the last list that have shown no other keys.
        self.keyless: frozenset[str] = frozenset()
        #: What is known of the chain while the daemon syncs.
        self._syncing: Network | None = None
        #: Height that the daemon has to reach; `None` before the first list.
        self._target: int | None = None
        self._gives_up = clock() + SYNCING_SECONDS
        daemon.on_connect.append(self._connected)
        daemon.on_notify[b"notify.block"] = lambda _: self._look.set()
        daemon.on_notify[b"notify.snode_addr"] = self._address_told

    def reload(self) -> None:
        """Asks for the list again at once."""
        self._look.set()

    async def __aiter__(self) -> AsyncIterator[Network]:
        """Waits for as long as there is no daemon."""
        pause: float | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), pause)
            self._look.clear()
            if self._moved and self._network is not None:
                self._moved = False
                yield self._network
            try:
                network = await self._ask()
                pause = _RETRY_SECONDS if self._target else None
            except OmqError as error:
                self._logger.warning("the daemon gave no list of nodes", reason=str(error))
                network, pause = None, _RETRY_SECONDS
            if network is not None:
                yield network

    async def _ask(self) -> Network | None:
        seen = self._network["block_hash"] if self._network else ""
        answer = await self._daemon.service_nodes(seen)
        if answer is None:
            return None
        told = rpc.read(answer, self._addresses)
        if self._target is None:
            self._target = await self._target_height(told)
            told = rpc.read(answer, self._addresses)
        self.keyless = told.keyless
        if told.network["height"] < self._target and self._clock() < self._gives_up:
            self._logger.info("the daemon is syncing", height=told.network["height"], target=self._target)
            if self._syncing is not None and self._syncing["height"] == told.network["height"]:
                return None
            self._syncing = {**told.network, "nodes": []}
            return self._syncing
        self._target = 0
        if self._network and self._network["nodes"] and not told.network["nodes"]:
            self._logger.warning("the daemon knows no nodes any more; those before stay", height=told.network["height"])
            return None
        self._network = told.network
        return told.network

    async def _target_height(self, told: NodeList) -> int:
        """0 when the list is good enough, or nobody knows better."""
        if told.funded >= self._few_nodes and told.missing <= MANY_MISSING * told.funded:
            return 0
        if not self._seeds:
            return 0
        self._logger.info("the list looks incomplete, asking the seeds", nodes=told.funded, missing=told.missing)
        heights = await asyncio.gather(*map(self._ask_seed, self._seeds))
        if not any(heights):
            self._logger.warning("no seed answers; the daemon's height is taken for the network's")
        return max(heights, default=0)

    async def _ask_seed(self, seed: Endpoint) -> int:
        """Its height, 0 without an answer; the addresses that it knows are remembered."""
        try:
            async with Daemon(seed) as connection:
                answer = await connection.service_nodes(timeout=_SEED_SECONDS)
                if answer is None:
                    return 0
                return rpc.read(answer, self._addresses).network["height"]
        except OmqError as error:
            self._logger.info("a seed gave no list of nodes", seed=seed.address, reason=str(error))
            return 0

    # --- what the daemon sends by itself

    async def keep_subscribed(self) -> None:
        """Asks for notifications of blocks and addresses, now and then, and on every new connection."""
        addresses = True
        while True:
            pulse.beat()
            connected_anew = self._reconnected.is_set()
            self._reconnected.clear()
            try:
                if await self._daemon.subscribe_blocks():
                    self.reload()  # what came before this was not told
            except OmqError as error:
                self._logger.warning("no notifications of blocks", reason=str(error))
            try:
                if addresses or connected_anew:
                    await self._daemon.subscribe_addresses()
                    addresses = True
            except UnknownCommandError:
                addresses = False  # an older daemon
            except OmqError as error:
                self._logger.info("no notifications of addresses", reason=str(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reconnected.wait(), SUBSCRIBE_SECONDS)

    def _connected(self) -> None:
        self._logger.info("connected to the daemon", address=self._daemon.endpoint.address)
        self._reconnected.set()
        self.reload()

    def _address_told(self, parts: list[bytes]) -> None:
        try:
            legacy, address, version = _read_address(parts[0])
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            self._logger.debug("a notification of an address makes no sense")
            return
        self._addresses[legacy] = address
        nodes = self._network["nodes"] if self._network else []
        for index, node in enumerate(nodes):
            if node["pubkey_legacy"] != legacy:
                continue
            fresh = node.copy()
            fresh["ip"], fresh["https_port"], fresh["omq_port"] = address
            fresh["version"] = version
            if fresh != node:
                nodes[index] = fresh
                self._moved = True
                self._look.set()


def _read_address(dict_: bytes) -> tuple[str, Address, tuple[int, int, int]]:
    """The legacy key, the address and the version in the dict of `notify.snode_addr`."""
    if len(dict_) > _ADDRESS_MAX:
        raise ValueError("too long")
    told: dict[bytes, Any] = bencode2.bdecode(dict_)
    legacy = told[b"K"]
    address = Address(rpc.ip_of(told[b"ip"].decode("ascii")), rpc.port_of(told[b"sh"]), rpc.port_of(told[b"sq"]))
    if not isinstance(legacy, bytes) or len(legacy) != 32 or not address.known:
        raise ValueError("incomplete")
    return legacy.hex(), address, rpc.version_of(told[b"vs"])
