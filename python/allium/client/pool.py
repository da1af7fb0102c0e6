"""The nodes a client knows, and how far it trusts each (`spec/client-network` §1-2)."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from allium.client.errors import NetworkError, SeedsError
from allium.client.listing import decoded, usable
from allium.client.transport import Transport

#: With fewer nodes than this a client asks a seed again.
MINIMUM = 12
STRIKES = 3
REFRESH_SECONDS = 2 * 3600.0
SEED_TIMEOUT = 5.0
SEED_ATTEMPTS = 4
#: How many nodes are asked for a new list, and in how many answers an entry has to be.
WITNESSES = 3
AGREEING = 2
FIELDS = (
    *("public_ip", "storage_port", "storage_lmq_port", "pubkey_x25519", "pubkey_ed25519"),
    *("requested_unlock_height", "height"),
)
#: After seeds that did not answer they are left alone for so long, if there are nodes to go on with.
_SEED_PAUSE = 60.0
#: A node list may not be longer.
_MOST_NODES = 20_000


@dataclass(frozen=True, slots=True)
class Snode:
    """A storage node: where it is and the two keys that say who it is (32 bytes each)."""

    ip: str
    port: int
    ed25519: bytes
    x25519: bytes
    #: Where it speaks QUIC; `None` when nobody has told.
    quic_port: int | None = field(default=None, compare=False)

    @property
    def url(self) -> str:
        """Without a path."""
        return f"https://{self.ip}:{self.port}"

    @property
    def subnet(self) -> str | None:
        """The /24 network it is in, of which a path uses one node; `None` for loopback, where that rule is off."""
        return None if self.ip.startswith("127.") else self.ip.rpartition(".")[0]

    def __str__(self) -> str:
        return f"{self.ed25519.hex()[:8]}@{self.ip}:{self.port}"

    @classmethod
    def parse(cls, ip: Any, port: Any, ed25519: Any, x25519: Any, quic_port: Any = None) -> Snode | None:
        """From fields of a node list; `None` for an entry that cannot be contacted."""
        try:
            address, number = ipaddress.IPv4Address(str(ip)), int(port)
            keys = bytes.fromhex(ed25519), bytes.fromhex(x25519)
        except (ValueError, TypeError, OverflowError):
            return None
        if address.is_unspecified or not 0 < number < 1 << 16 or any(len(key) != 32 for key in keys):
            return None
        offered = isinstance(quic_port, int) and 0 < quic_port < 1 << 16
        return cls(str(address), number, *keys, quic_port if offered else None)


def seed_endpoint(seed: str) -> str:
    """Where a seed is asked, from its URL with or without a slash or `json_rpc` at its end."""
    bare = seed.rstrip("/")
    return bare if bare.endswith("/json_rpc") else bare + "/json_rpc"


def need_seed(seeds: Sequence[str]) -> None:
    """`ValueError` without a seed; before anything is opened that would have to be closed again."""
    if not seeds:
        raise ValueError("a client needs the URL of at least one seed")


class SnodePool:
    """Nodes by Ed25519 key. What fails too often leaves, and every `on_drop` hears of it."""

    def __init__(
        self, seeds: Sequence[str], transport: Transport, nodes: Iterable[Snode] = (), age: float = 0.0
    ) -> None:
        """`seeds` are URLs as `seed_endpoint` takes them; `nodes` is what an earlier run knew `age` seconds ago."""
        need_seed(seeds)
        self._seeds = [seed_endpoint(seed) for seed in seeds]
        self._transport = transport
        self._nodes = {node.ed25519: node for node in nodes}
        self._strikes: dict[bytes, int] = {}
        self._listed = MINIMUM
        #: When the list is to be compared with other nodes', and seeds may be asked again.
        self._stale = time.monotonic() + (REFRESH_SECONDS - max(0.0, age) if self._nodes else 0.0)
        self._put = time.monotonic() - max(0.0, age)
        self._seeds_due = 0.0
        self._fetching = asyncio.Lock()
        self.on_drop: list[Callable[[Snode], None]] = []

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, node: Snode) -> bool:
        return node.ed25519 in self._nodes

    @property
    def nodes(self) -> list[Snode]:
        """All of them."""
        return list(self._nodes.values())

    @property
    def is_stale(self) -> bool:
        """Whether the list should be compared with other nodes'."""
        return time.monotonic() > self._stale

    @property
    def age(self) -> float:
        """Seconds since the list was a fresh one: to remember with it for the next run."""
        return time.monotonic() - self._put

    def get(self, ed25519: bytes) -> Snode | None:
        """The node with this key."""
        return self._nodes.get(ed25519)

    def shuffled(self, but: Collection[Snode] = ()) -> list[Snode]:
        """All nodes but some, in random order."""
        excluded = {node.ed25519 for node in but}
        nodes = [node for node in self._nodes.values() if node.ed25519 not in excluded]
        random.SystemRandom().shuffle(nodes)
        return nodes

    def diverse(self, but: Collection[Snode] = ()) -> list[Snode]:
        """One node of each /24 (of loopback all), but none of `but`, in random order."""
        chosen: list[Snode] = []
        subnets: set[str] = set()
        # Of each network the first is a random one; their order is to be one too, and not by how many nodes they have.
        for node in self.shuffled(but):
            if (subnet := node.subnet) is None or subnet not in subnets:
                chosen.append(node)
            if subnet is not None:
                subnets.add(subnet)
        random.SystemRandom().shuffle(chosen)
        return chosen

    @property
    def wanted(self) -> int:
        """With fewer nodes a seed is asked: a network smaller than `MINIMUM` is when one of its nodes was dropped."""
        return min(MINIMUM, self._listed)

    async def ensure(self) -> None:
        """Asks a seed when too few nodes are known; `NetworkError` when that fails and none is known."""
        if len(self._nodes) >= self.wanted:
            return
        async with self._fetching:
            if len(self._nodes) >= self.wanted or (self._nodes and time.monotonic() < self._seeds_due):
                return
            try:
                self.replace(await self._from_seeds())
            except NetworkError:
                self._seeds_due = time.monotonic() + _SEED_PAUSE
                if not self._nodes:
                    raise

    async def reseed(self) -> None:
        """Asks the seeds although there are nodes; `NetworkError`."""
        async with self._fetching:
            self.replace(await self._from_seeds())

    def postpone(self, seconds: float) -> None:
        """The list counts as fresh for so long."""
        self._stale = time.monotonic() + seconds

    def replace(self, nodes: Collection[Snode]) -> None:
        """Puts a fresh list in force and forgets all strikes."""
        gone = [node for key, node in self._nodes.items() if key not in {fresh.ed25519 for fresh in nodes}]
        self._nodes = {node.ed25519: node for node in nodes}
        self._strikes.clear()
        self._listed = len(nodes)
        self._put = time.monotonic()
        self._stale = self._put + REFRESH_SECONDS
        for node in gone:
            self._tell(node)

    def strike(self, node: Snode) -> None:
        """One failure; at `STRIKES` the node leaves."""
        self._strikes[node.ed25519] = self._strikes.get(node.ed25519, 0) + 1
        if self._strikes[node.ed25519] >= STRIKES:
            self.drop(node)

    def drop(self, node: Snode) -> None:
        """The node leaves at once."""
        self._strikes.pop(node.ed25519, None)
        if self._nodes.pop(node.ed25519, None) is not None:
            self._tell(node)

    def _tell(self, node: Snode) -> None:
        for callback in self.on_drop:
            callback(node)

    async def _from_seeds(self) -> list[Snode]:
        """The first usable answer of all seeds, asked at the same time."""
        delay = 1.0
        for attempt in range(SEED_ATTEMPTS):
            tasks = [asyncio.create_task(self._from_seed(url)) for url in self._seeds]
            errors: list[str] = []
            try:
                for done in asyncio.as_completed(tasks):
                    try:
                        return await done
                    except NetworkError as error:
                        errors.append(str(error))
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            if attempt + 1 < SEED_ATTEMPTS:
                await asyncio.sleep(delay)
                delay *= 2
        raise SeedsError("no seed gave a list of nodes; name others that do: " + "; ".join(errors))

    async def _from_seed(self, url: str) -> list[Snode]:
        call = {
            "jsonrpc": "2.0",
            "method": "get_n_service_nodes",
            "params": {"active_only": True, "fields": dict.fromkeys(FIELDS, True)},
        }
        answer = await self._transport.post(url, json.dumps(call).encode(), SEED_TIMEOUT, "application/json")
        if answer.status != 200:
            raise NetworkError(f"{url}: it answers with HTTP status {answer.status}")
        try:
            nodes = parse_states(decoded(answer.body))
        except ValueError:
            raise NetworkError(f"{url}: its answer is no list of nodes") from None
        if not nodes:
            raise NetworkError(f"{url}: the list has no usable node")
        return nodes


def parse_states(answer: Any) -> list[Snode]:
    """The usable nodes of a `get_n_service_nodes` answer; `ValueError` when it is none."""
    result = answer.get("result") if isinstance(answer, dict) else None
    states = result.get("service_node_states") if isinstance(result, dict) else None
    if not isinstance(states, list) or (states and not any(isinstance(state, dict) for state in states)):
        raise ValueError("not a list of nodes")
    return usable(states[:_MOST_NODES], _of_state)


def _of_state(state: Any) -> Snode | None:
    keys = state["pubkey_ed25519"], state["pubkey_x25519"]
    return Snode.parse(state["public_ip"], state["storage_port"], *keys, state.get("storage_lmq_port"))
