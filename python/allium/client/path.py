"""Onion paths: which three nodes a request travels over, and what a failure does to them (`spec/client-network` §3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from allium.client.errors import NetworkError
from allium.client.pool import Snode, SnodePool
from allium.client.transport import Transport

LENGTH = 3
WANTED = 2
STRIKES = 3
GUARD_TIMEOUT = 10.0


@dataclass(eq=False)
class Path:
    """Guard, middle, last. The guard sees the client, the last one sees where it goes, none sees both."""

    nodes: list[Snode]
    failures: int = field(default=0, repr=False)

    @property
    def guard(self) -> Snode:
        """The only node that is ever contacted directly."""
        return self.nodes[0]

    def __contains__(self, node: Snode | None) -> bool:
        return node is not None and any(node.ed25519 == member.ed25519 for member in self.nodes)

    def __str__(self) -> str:
        return " → ".join(map(str, self.nodes))


class Paths:
    """Node-disjoint paths, built when they are needed and mended when a node of theirs is dropped."""

    def __init__(self, pool: SnodePool, transport: Transport, account_id: str, guards: Iterable[bytes] = ()) -> None:
        """`account_id` is what a guard's test asks for; `guards` are the Ed25519 keys of an earlier run's."""
        self._pool = pool
        self._transport = transport
        self._test = json.dumps({"jsonrpc": "2.0", "method": "get_swarm", "params": {"pubkey": account_id}}).encode()
        self._known_guards = list(guards)
        self._paths: list[Path] = []
        self._building = asyncio.Lock()
        self._turn = 0
        pool.on_drop.append(self._forget)

    @property
    def paths(self) -> list[Path]:
        """Those in use."""
        return list(self._paths)

    async def get(self, destination: Snode | None = None) -> Path:
        """A path that does not contain `destination`, in turns; `NetworkError` when there are too few nodes.

        None: where it leads is no node.
        """
        async with self._building:
            while len(self._paths) < WANTED and await self._add(destination):
                pass
            certain = any(destination not in path and not path.failures for path in self._paths)
            # None without doubt: one more, in the place of the most doubtful when that is one too many.
            if not certain and (len(self._paths) > WANTED or not await self._add(destination)):
                self._paths.sort(key=lambda path: (destination in path, path.failures))
                del self._paths[WANTED:], self._paths[-1:]
                await self._add(destination)
        usable = [path for path in self._paths if destination not in path]
        least = min((path.failures for path in usable), default=0)
        usable = [path for path in usable if path.failures == least]
        if not usable:
            raise NetworkError(
                f"no path of {LENGTH} nodes can be built from the {len(self._pool)} known ones; try again"
            )
        self._turn += 1
        return usable[self._turn % len(usable)]

    def failed(self, path: Path) -> None:
        """A failure that is nobody's in particular."""
        for node in path.nodes[1:]:
            self._pool.strike(node)
        path.failures += 1
        if path.failures >= STRIKES:
            self._discard(path)
            self._pool.strike(path.guard)

    def guard_failed(self, path: Path) -> None:
        """The guard itself does not answer."""
        self._discard(path)
        self._pool.strike(path.guard)

    def succeeded(self, path: Path) -> None:
        """Wipes out what failed before."""
        path.failures = 0

    def _discard(self, path: Path) -> None:
        if path in self._paths:
            self._paths.remove(path)

    def _forget(self, node: Snode) -> None:
        """A dropped node: its place in a path goes to another; a path without its guard goes."""
        for path in list(self._paths):
            if node not in path:
                continue
            if path.guard.ed25519 == node.ed25519:
                self._discard(path)
                continue
            kept = [member for member in path.nodes if member.ed25519 != node.ed25519]
            others = [member for other in self._paths if other is not path for member in other.nodes]
            found = self._choose(1, kept, [*others, node])
            if not found:
                self._discard(path)
                continue
            path.nodes[[member.ed25519 for member in path.nodes].index(node.ed25519)] = found[0]
            path.failures = 0

    async def _add(self, destination: Snode | None) -> bool:
        """Builds one path from nodes that no other uses; whether it could."""
        used = [node for path in self._paths for node in path.nodes]
        avoid = used if destination is None else [*used, destination]
        guard = await self._guard(avoid)
        if guard is None:
            return False
        rest = self._choose(LENGTH - 1, [guard], avoid)
        if len(rest) < LENGTH - 1:
            return False
        self._paths.append(Path([guard, *rest]))
        return True

    async def _guard(self, avoid: Collection[Snode]) -> Snode | None:
        """A node that answers, known ones first."""
        excluded = {node.ed25519 for node in avoid}
        known = [node for key in self._known_guards if key not in excluded and (node := self._pool.get(key))]
        for node in [*known, *self._pool.shuffled([*avoid, *known])]:
            try:
                answer = await self._transport.post(f"{node.url}/storage_rpc/v1", self._test, GUARD_TIMEOUT)
            except NetworkError:
                self._pool.strike(node)
                continue
            if 200 <= answer.status < 300:
                return node
        return None

    def _choose(self, count: int, beside: Collection[Snode], avoid: Collection[Snode]) -> list[Snode]:
        """Up to `count` nodes, of which none shares a /24 with another one or with `beside`."""
        subnets = {node.subnet for node in beside} - {None}
        chosen: list[Snode] = []
        for node in self._pool.shuffled([*avoid, *beside]):
            if len(chosen) == count:
                break
            if node.subnet in subnets:
                continue
            if node.subnet is not None:
                subnets.add(node.subnet)
            chosen.append(node)
        return chosen
