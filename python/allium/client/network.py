"""Requests to storage nodes over onion paths, and what each failure means (`spec/client-network` §4, §6)."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from allium import _native
from allium.client.clock import NetworkClock
from allium.client.connection import Connection
from allium.client.errors import ClockError, NetworkError, RefusedError, UnreachableError
from allium.client.listing import decoded, usable
from allium.client.path import Path, Paths
from allium.client.pool import AGREEING, FIELDS, WITNESSES, Snode, SnodePool, need_seed, parse_states
from allium.client.quic import QuicEntries
from allium.client.transport import HttpAnswer, Transport

REQUEST_TIMEOUT = 10.0
#: Attempts in any case, and at most: those beyond `ATTEMPTS` are made for as long as so many silent nodes would take.
ATTEMPTS = 3
MOST_ATTEMPTS = 10
#: Before each further attempt, in seconds.
_PAUSE = 0.1
#: Fewer members than this in the pool: the swarm is asked for again.
_SWARM_MINIMUM = 3
#: A list that nodes did not agree on is compared again after so many seconds.
_COMPARE_SECONDS = 300.0
#: A swarm smaller than that is not asked for again for so long.
_SMALL_SWARM_SECONDS = 60.0
#: Accounts whose swarms are remembered, those last who were asked for last.
_MOST_SWARMS = 10_000
#: A swarm that somebody names is no larger.
_MOST_MEMBERS = 100
#: More members no swarm has.
_MOST_POLLED = 32
_BAD_NODE = re.compile(rb"Next node (?:not found|is currently unreachable): ([0-9a-f]{64})")
_NOT_READY = re.compile(rb"Snode not ready: ([0-9a-f]{64})")


@dataclass(frozen=True)
class Reply:
    """The answer of a node, and the way it came."""

    body: Any
    destination: Snode
    #: As it was when the request travelled.
    path: tuple[Snode, ...]


async def attempts() -> AsyncIterator[int]:
    """Counts tries from 0, with a pause before each further one, for as long as another makes sense."""
    began = time.monotonic()
    for attempt in range(MOST_ATTEMPTS):
        if attempt:
            await asyncio.sleep(_PAUSE)
        if attempt >= ATTEMPTS and time.monotonic() - began > ATTEMPTS * REQUEST_TIMEOUT:
            return
        yield attempt


class Rotation:
    """Which members of one swarm were polled lately."""

    def __init__(self) -> None:
        self._polled: list[bytes] = []
        self._again: bytes | None = None

    def rank(self, node: Snode) -> int:
        """The lower, the sooner it is to be polled: who has more to tell, then who was polled longest ago."""
        if node.ed25519 == self._again:
            return -1
        return self._polled.index(node.ed25519) + 1 if node.ed25519 in self._polled else 0

    def note(self, node: Snode, again: bool = False) -> None:
        """`node` was polled; `again` when it has more."""
        self._polled = [*(key for key in self._polled if key != node.ed25519), node.ed25519][-_MOST_POLLED:]
        self._again = node.ed25519 if again else None


class WrongSwarmError(NetworkError):
    """The node does not serve this account; `swarm` are the nodes it named instead (may be empty)."""

    def __init__(self, swarm: list[Snode]) -> None:
        super().__init__("the node is not in this account's swarm")
        self.swarm = swarm


class Network:
    """The network as one client sees it."""

    def __init__(
        self,
        pool: SnodePool,
        paths: Paths,
        transport: Transport,
        swarms: dict[str, list[bytes]],
        quic: QuicEntries | None = None,
    ) -> None:
        """`swarms` is what an earlier run knew: account -> Ed25519 keys. Without `quic`, guards are asked by HTTPS."""
        self.pool = pool
        self.paths = paths
        self._transport = transport
        self._quic = quic
        self._swarms = swarms
        #: When they were last asked for, by the monotonic clock.
        self._swarms_asked: dict[str, float] = {}
        self._rotations: dict[str, Rotation] = {}
        self._clock = NetworkClock()
        self._refreshing = asyncio.Lock()
        pool.on_drop.append(self._forget)

    @classmethod
    def open(
        cls,
        seeds: Sequence[str],
        nodes: Iterable[Snode] = (),
        guards: Iterable[bytes] = (),
        swarms: dict[str, list[bytes]] | None = None,
        age: float = 0.0,
    ) -> Self:
        """A network with connections of its own, to be closed. Needs a running event loop.

        `seeds` are URLs; `nodes`, `guards` (Ed25519 keys) and `swarms` are what an earlier run knew `age` seconds ago.
        """
        need_seed(seeds)
        transport = Transport()
        pool = SnodePool(seeds, transport, nodes, age)
        return cls(
            pool, Paths(pool, transport, guards=guards), transport, {} if swarms is None else swarms, QuicEntries()
        )

    @property
    def connection(self) -> Connection:
        """Whether the network is reached."""
        return self.paths.connection

    @property
    def swarms(self) -> dict[str, list[bytes]]:
        """Account -> Ed25519 keys of the nodes that keep its messages: what to remember for the next run."""
        return self._swarms

    # --- time

    def now(self) -> int:
        """Unix milliseconds by the nodes' clocks."""
        return self._clock.now()

    def note_time(self, node: Snode, body: Any) -> None:
        """Learns from the time in an answer of `node`, if there is one."""
        if isinstance(body, dict):
            self._clock.note(node.ed25519, body.get("t"))

    async def sync_clock(self) -> bool:
        """Takes the times of three nodes in place of what was known; whether any told one."""
        nodes = self.pool.diverse()[:WITNESSES]
        replies = await asyncio.gather(*(self._info(node) for node in nodes))
        times = {node.ed25519: reply for node, reply in zip(nodes, replies, strict=True) if reply is not None}
        return self._clock.replace(times)

    async def _info(self, node: Snode) -> Any:
        try:
            body = (await self.request(node, "info", {})).body
        except (NetworkError, RefusedError):
            return None
        return body.get("timestamp", body.get("t")) if isinstance(body, dict) else None

    # --- one request

    async def request(
        self, destination: Snode, method: str, params: Mapping[str, Any], timeout: float = REQUEST_TIMEOUT
    ) -> Reply:
        """One call over one path. Marks whoever failed; the caller chooses another node and tries again.

        Raises `NetworkError` (`WrongSwarmError`, `ClockError`) or `RefusedError`.
        """
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode()
        path = await self.paths.get(destination)
        travelled = tuple(path.nodes)
        hops = [(node.ed25519, node.x25519) for node in travelled]
        try:
            payload, key = _native.onion_build(hops, (destination.ed25519, destination.x25519), body)
        except ValueError as error:
            # A key of one of them is none.
            self.paths.failed(path)
            self.pool.strike(destination)
            raise NetworkError(f"nothing can be encrypted for {path} and {destination}: {error}") from None
        try:
            answer = await self._send(path.guard, payload, timeout)
        except UnreachableError as error:
            self.paths.guard_failed(path)
            raise NetworkError(f"{path.guard} is not reached: {error}") from error
        except NetworkError as error:
            self.paths.silent(path, destination)
            raise NetworkError(f"no answer over {path}: {error}") from error
        status, inner = self._open(path, travelled, destination, answer, key)
        # Whatever it says, it came from the destination: the path is good.
        self.paths.succeeded(path)
        self._check(status, inner, destination)
        try:
            result = decoded(inner)
        except ValueError:
            self.pool.strike(destination)
            raise NetworkError(f"{destination} answered something that is not JSON") from None
        self.note_time(destination, result)
        return Reply(result, destination, travelled)

    async def _send(self, guard: Snode, payload: bytes, timeout: float) -> HttpAnswer:
        if self._quic is not None and (answer := await self._quic.send(guard, payload, timeout)) is not None:
            return answer
        return await self._transport.post(f"{guard.url}/onion_req/v2", payload, timeout)

    def _open(
        self, path: Path, travelled: tuple[Snode, ...], destination: Snode, answer: HttpAnswer, key: _native.ReplyKey
    ) -> tuple[int, str]:
        if answer.status != 200:
            self.connection.heard()
            self._blame(path, travelled, destination, answer.body)
            text = answer.body[:200].decode(errors="replace")
            raise NetworkError(f"the path failed with status {answer.status}: {text}")
        plaintext = key.open(answer.body)
        try:
            if plaintext is None:
                raise ValueError("not encrypted for this request")
            reply = decoded(plaintext)
            status = reply.get("status", reply.get("status_code"))
            body = reply["body"]
            return int(status), body if isinstance(body, str) else json.dumps(body)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            self.connection.heard()
            self.paths.failed(path)
            self.pool.strike(destination)
            raise NetworkError(f"{destination} gave an unusable answer: {error}") from None

    def _blame(self, path: Path, travelled: tuple[Snode, ...], destination: Snode, body: bytes) -> None:
        """Who is at fault for an answer that some node of the path gave in the clear."""
        # A node of the path cannot have others than those behind it blamed.
        behind = {node.ed25519: node for node in (*travelled[1:], destination)}
        if (found := _BAD_NODE.search(body)) and (node := behind.get(bytes.fromhex(found[1].decode()))):
            self.paths.doubt(path)
            self.pool.drop(node)
        elif (found := _NOT_READY.search(body)) and (node := behind.get(bytes.fromhex(found[1].decode()))):
            self.paths.doubt(path)
            self.pool.strike(node)
        else:
            self.paths.failed(path)
            self.pool.strike(destination)

    def _check(self, status: int, body: str, destination: Snode) -> None:
        match status:
            case _ if 200 <= status < 300:
                return
            case 400 | 401 | 403 | 404 | 413:
                raise RefusedError(status, body)
            case 406 | 425:
                raise ClockError(f"{destination} refused our time ({body[:200]}); set this machine's clock")
            case 421:
                raise WrongSwarmError(_swarm_in(body))
            case _:
                self.pool.strike(destination)
                raise NetworkError(f"{destination} failed with status {status}: {body[:200]}")

    # --- swarms

    async def swarm(self, account_id: str) -> list[Snode]:
        """The nodes that keep this account's messages, in random order; asked for when too few are known."""
        known = self._known_swarm(account_id)
        asked_at = self._swarms_asked.get(account_id, -_SMALL_SWARM_SECONDS)
        if len(known) >= _SWARM_MINIMUM or (known and time.monotonic() - asked_at < _SMALL_SWARM_SECONDS):
            return known
        await self.refresh()
        failure: Exception = NetworkError("no node to ask for a swarm")
        best: list[Snode] = []
        asked: list[bytes] = []
        async for attempt in attempts():
            if best and attempt >= ATTEMPTS:
                break
            await self.pool.ensure()
            node = min(self.pool.shuffled(), key=lambda node: asked.count(node.ed25519))
            asked.append(node.ed25519)
            try:
                reply = await self.request(node, "get_swarm", {"pubkey": account_id})
            except (NetworkError, RefusedError) as error:
                failure = error
                if self.connection.online is False:
                    break
                continue
            told = members_in(reply.body)
            members = self._known(told)
            if len(members) < min(_SWARM_MINIMUM, len(told)) and self.pool.age > _COMPARE_SECONDS:
                # Nodes that are newer than our list.
                self.pool.postpone(-1)
                await self.refresh()
                members = self._known(told)
            if len(members) > len(best):
                best = members
            if len(best) >= _SWARM_MINIMUM:
                break
        if not best:
            raise NetworkError(f"no node told the swarm: {failure}") from failure
        self._remember_swarm(account_id, best)
        self._swarms_asked[account_id] = time.monotonic()
        return self._known_swarm(account_id) or best

    def _known(self, told: list[Snode]) -> list[Snode]:
        """Where a node is, the list of all nodes says, and nobody else."""
        return [member for each in told if (member := self.pool.get(each.ed25519))]

    def _remember_swarm(self, account_id: str, members: list[Snode]) -> None:
        self._swarms.pop(account_id, None)
        self._swarms[account_id] = [member.ed25519 for member in members]
        while len(self._swarms) > _MOST_SWARMS:
            oldest = next(iter(self._swarms))
            del self._swarms[oldest]
            self._swarms_asked.pop(oldest, None)
            self._rotations.pop(oldest, None)

    def rotation(self, pubkey: str) -> Rotation:
        """In which order the members of a swarm are polled."""
        return self._rotations.setdefault(pubkey, Rotation())

    def _known_swarm(self, account_id: str) -> list[Snode]:
        members = [node for key in self._swarms.get(account_id, ()) if (node := self.pool.get(key))]
        random.SystemRandom().shuffle(members)
        return members

    def _forget(self, node: Snode) -> None:
        for members in self._swarms.values():
            if node.ed25519 in members:
                members.remove(node.ed25519)

    async def ask_swarm(self, account_id: str, method: str, params: Mapping[str, Any]) -> Reply:
        """One call to a node of the swarm; another one at each attempt, until all were tried."""
        tried: list[Snode] = []
        failure: Exception = NetworkError("no node was tried")
        async for _ in attempts():
            members = await self.swarm(account_id)
            node = min(members, key=tried.count)
            tried.append(node)
            try:
                return await self.request(node, method, params)
            except ClockError:
                raise
            except WrongSwarmError as error:
                failure = error
                self.learn_swarm(account_id, node, error.swarm)
            except NetworkError as error:
                failure = error
        raise NetworkError(f"{len(tried)} attempts failed, the last with: {failure}") from failure

    def wrong_swarm(self, account_id: str, node: Snode, body: Any) -> None:
        """A 421 inside a batch: `body` is its JSON, already decoded."""
        self.learn_swarm(account_id, node, members_in(body))

    def learn_swarm(self, account_id: str, node: Snode, named: list[Snode]) -> None:
        """A 421: `node` does not serve this account, but those that it named, if any."""
        if named:
            self._remember_swarm(account_id, named)
        elif node.ed25519 in self._swarms.get(account_id, ()):
            self._swarms[account_id].remove(node.ed25519)

    # --- the list of nodes

    async def refresh(self) -> None:
        """Makes sure that there are nodes to work with; an old list is compared with what three nodes say."""
        try:
            await self.pool.ensure()
        except NetworkError:
            self.connection.lost()
            raise
        if not self.pool.is_stale or self._refreshing.locked():
            return
        async with self._refreshing:
            await self._compare()

    async def _compare(self) -> None:
        self.pool.postpone(_COMPARE_SECONDS)
        witnesses = self.pool.diverse()[:WITNESSES]
        answers = await asyncio.gather(*(self._list_of(node) for node in witnesses))
        told = Counter(node for nodes in answers for node in nodes)
        agreed = [node for nodes in answers for node in nodes if told[node] >= AGREEING]
        # Two that lie alike could leave us with theirs: a network does not halve in two hours.
        if len(set(agreed)) >= max(self.pool.wanted, len(self.pool) // 2):
            self.pool.replace(agreed)
            return
        try:
            await self.pool.reseed()
        except NetworkError:
            return  # the list that there is has to do

    async def _list_of(self, node: Snode) -> set[Snode]:
        params = {
            "endpoint": "get_service_nodes",
            "params": {"active_only": True, "fields": dict.fromkeys(FIELDS, True)},
        }
        try:
            return set(parse_states((await self.request(node, "oxend_request", params)).body))
        except (NetworkError, RefusedError, ValueError):
            return set()

    async def close(self) -> None:
        """Ends all connections."""
        if self._quic is not None:
            self._quic.close()
        await self._transport.close()


def _swarm_in(body: str) -> list[Snode]:
    try:
        return members_in(decoded(body))
    except ValueError:
        return []


def members_in(body: Any) -> list[Snode]:
    """The usable nodes of a `get_swarm` answer."""
    entries = body.get("snodes") if isinstance(body, dict) else None
    if not isinstance(entries, list):
        return []
    return usable(entries[:_MOST_MEMBERS], _of_member)


def _of_member(entry: Any) -> Snode | None:
    quic_port = entry.get("port_quic", entry.get("port_omq"))
    return Snode.parse(entry["ip"], entry["port"], entry["pubkey_ed25519"], entry["pubkey_x25519"], quic_port)
