"""Onion paths: which three nodes a request travels over, and what a failure does to them (`spec/client-network` §3).

The entry node, the guard, is kept for as long as it answers, over runs of the program too: whoever changes it often
meets a bad one in the end. The others change every few minutes.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from allium.client.connection import Connection
from allium.client.errors import NetworkError
from allium.client.pool import Snode, SnodePool
from allium.client.transport import Transport

LENGTH = 3
WANTED = 2
STRIKES = 3
GUARD_TIMEOUT = 10.0
#: Middle and last node change after so long.
ROTATION_SECONDS = 600.0
#: After a failure a path is left alone for so long, after the second one twice as long.
REST_SECONDS = 10.0
#: Candidates for a guard are asked one after the other; the next one also when one has not answered for so long.
_STAGGER_SECONDS = 2.0
_MOST_CANDIDATES = 8
#: Guards that are remembered beside those in use.
_MOST_GUARDS = 4


@dataclass(eq=False)
class Path:
    """Guard, middle, last. The guard sees the client, the last one sees where it goes, none sees both."""

    nodes: list[Snode]
    failures: int = field(default=0, repr=False)
    #: By the clock of `Paths`; until `rests` it is used only where there is no other.
    built: float = field(default=0.0, repr=False)
    rests: float = field(default=float("-inf"), repr=False)

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

    def __init__(
        self,
        pool: SnodePool,
        transport: Transport,
        account_id: str | None = None,
        guards: Iterable[bytes] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`account_id` is what a guard's test asks for; a random one, without, tells the guard nothing of us.

        `guards` are the Ed25519 keys of an earlier run's, `clock` is in seconds from anywhere.
        """
        self._pool = pool
        self._transport = transport
        asked = account_id or "05" + secrets.token_hex(32)
        self._test = json.dumps({"jsonrpc": "2.0", "method": "get_swarm", "params": {"pubkey": asked}}).encode()
        self._known_guards = list(guards)
        self._clock = clock
        self._paths: list[Path] = []
        self._building = asyncio.Lock()
        self._turn = 0
        self.connection = Connection(pool)
        self.connection.on_change.append(self._connected)
        pool.on_drop.append(self._forget)

    @property
    def paths(self) -> list[Path]:
        """Those in use."""
        return list(self._paths)

    @property
    def guards(self) -> list[bytes]:
        """The Ed25519 keys to remember for the next run: of those in use, then of those before that are still known."""
        used = [path.guard.ed25519 for path in self._paths]
        before = [key for key in self._known_guards if key not in used and self._pool.get(key)]
        return [*used, *before][:_MOST_GUARDS]

    async def get(self, destination: Snode | None = None) -> Path:
        """A path that does not contain `destination`, in turns; `NetworkError` when there are too few nodes.

        Without a destination: what it leads to is no node.
        """
        # One builds, and who has a path meanwhile goes on.
        if not self._ready(destination) or (len(self._paths) < WANTED and not self._building.locked()):
            async with self._building:
                await self._build(destination)
        self._rotate()
        usable = self._ready(destination)
        if not usable:
            usable = [path for path in self._paths if destination not in path]
            least = min((path.failures for path in usable), default=0)
            usable = [path for path in usable if path.failures == least]
        if not usable:
            if self.connection.online is False:
                raise NetworkError("the network is not reached; is this machine connected?")
            raise NetworkError(
                f"no path of {LENGTH} nodes can be built from the {len(self._pool)} known ones; try again"
            )
        self._turn += 1
        return usable[self._turn % len(usable)]

    def _ready(self, destination: Snode | None) -> list[Path]:
        now = self._clock()
        return [path for path in self._paths if path.rests <= now and destination not in path]

    async def _build(self, destination: Snode | None) -> None:
        # Where a request goes does not decide which guards there are.
        while len(self._paths) < WANTED and await self._add(None):
            pass
        # None without doubt: one more, in the place of the most doubtful when that is one too many.
        if not self._ready(destination) and (len(self._paths) > WANTED or not await self._add(destination)):
            if self.connection.online is False:
                return  # it is not the paths that are at fault
            self._paths.sort(key=lambda path: (destination in path, path.failures))
            del self._paths[WANTED:], self._paths[-1:]
            await self._add(destination)

    def failed(self, path: Path) -> None:
        """A failure that is nobody's in particular: other nodes behind the guard, after a rest."""
        for node in path.nodes[1:]:
            self._pool.strike(node)
        if self._doubt(path):
            self._pool.strike(path.guard)

    def silent(self, path: Path, *blamed: Snode) -> None:
        """No answer came over a path: its nodes, and `blamed`, are struck for it if others are heard."""
        self.connection.silent(path.guard, *path.nodes[1:], *blamed)
        if self.connection.online is not False and self._doubt(path):
            self.connection.silent(path.guard, path.guard)

    def doubt(self, path: Path) -> None:
        """A failure over a path that was blamed on another node."""
        self._doubt(path)

    def _doubt(self, path: Path) -> bool:
        """Counts a failure; whether the path goes for it."""
        if path not in self._paths:
            return False  # it was replaced since
        path.failures += 1
        if path.failures >= STRIKES:
            self._discard(path)
            return True
        path.rests = self._clock() + REST_SECONDS * path.failures
        self._replace(path)
        return False

    def guard_failed(self, path: Path) -> None:
        """The guard itself is not reached: it is struck for it if others are heard."""
        self.connection.silent(path.guard, path.guard)
        if self.connection.online is not False:
            self._discard(path)

    def succeeded(self, path: Path) -> None:
        """Wipes out what failed before."""
        for each in self._paths:
            if each.guard == path.guard:
                each.failures, each.rests = 0, float("-inf")
        self.connection.heard()

    def _connected(self, online: bool) -> None:
        for path in self._paths:
            path.failures, path.rests = 0, float("-inf")

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
            found = self._choose(1, kept, [*self._others(path), node])
            if not found:
                self._discard(path)
                continue
            path.nodes[[member.ed25519 for member in path.nodes].index(node.ed25519)] = found[0]
            path.failures = 0

    def _rotate(self) -> None:
        """Other middle and last nodes for paths that have had theirs for long."""
        for path in list(self._paths):
            if self._clock() - path.built >= ROTATION_SECONDS:
                self._replace(path)

    def _replace(self, path: Path) -> None:
        """The same guard with other nodes behind it; requests under way keep the path that they have."""
        rest = self._rest(path.guard, [*self._others(path), *path.nodes])
        path.built = self._clock()
        if len(rest) == LENGTH - 1:
            place = self._paths.index(path)
            self._paths[place] = Path([path.guard, *rest], path.failures, path.built, path.rests)

    def _others(self, path: Path) -> list[Snode]:
        return [member for other in self._paths if other is not path for member in other.nodes]

    async def _add(self, destination: Snode | None) -> bool:
        """Builds one path from nodes that no other uses; whether it could."""
        used = [node for path in self._paths for node in path.nodes]
        avoid = used if destination is None else [*used, destination]
        if len(self._pool.diverse(avoid)) < LENGTH:
            return False
        guard = await self._guard(avoid)
        if guard is None:
            return False
        rest = self._rest(guard, avoid)
        if len(rest) < LENGTH - 1:
            return False
        self._paths.append(Path([guard, *rest], built=self._clock()))
        if guard.ed25519 in self._known_guards:
            self._known_guards.remove(guard.ed25519)
        self._known_guards.insert(0, guard.ed25519)
        del self._known_guards[2 * _MOST_GUARDS :]
        return True

    async def _guard(self, avoid: Collection[Snode]) -> Snode | None:
        """A node that answers, known ones first: who sees this machine's address is not to change often."""
        excluded = {node.ed25519 for node in avoid}
        known = [node for key in self._known_guards if key not in excluded and (node := self._pool.get(key))]
        candidates = [*known, *self._pool.diverse([*avoid, *known])][:_MOST_CANDIDATES]
        asking: dict[asyncio.Task[bool], Snode] = {}
        failed: list[Snode] = []
        try:
            while candidates or asking:
                if candidates:
                    node = candidates.pop(0)
                    asking[asyncio.create_task(self._answers(node))] = node
                done, _ = await asyncio.wait(
                    asking, timeout=_STAGGER_SECONDS if candidates else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    node = asking.pop(task)
                    if task.result():
                        # One answers, so those that did not are at fault themselves.
                        for other in failed:
                            self._pool.strike(other)
                        down = {other.ed25519 for other in failed}
                        self._known_guards = [key for key in self._known_guards if key not in down]
                        return node
                    failed.append(node)
                if self.connection.online is False:
                    candidates.clear()
            return None
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _answers(self, node: Snode) -> bool:
        try:
            answer = await self._transport.post(f"{node.url}/storage_rpc/v1", self._test, GUARD_TIMEOUT)
        except NetworkError:
            self.connection.silent(node)
            return False
        self.connection.heard()
        return 200 <= answer.status < 300

    def _rest(self, guard: Snode, avoid: Collection[Snode]) -> list[Snode]:
        """Middle and last node; not those that are to be the guards of other paths, if there are others."""
        guards = [node for key in self._known_guards[:WANTED] if (node := self._pool.get(key))]
        rest = self._choose(LENGTH - 1, [guard], [*avoid, *guards])
        return rest if len(rest) == LENGTH - 1 else self._choose(LENGTH - 1, [guard], avoid)

    def _choose(self, count: int, beside: Collection[Snode], avoid: Collection[Snode]) -> list[Snode]:
        """Up to `count` nodes, of which none shares a /24 with another one or with `beside`."""
        subnets = {node.subnet for node in beside} - {None}
        return [node for node in self._pool.diverse([*avoid, *beside]) if node.subnet not in subnets][:count]
