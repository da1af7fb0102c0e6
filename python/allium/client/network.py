"""Requests to storage nodes over onion paths, and what each failure means (`spec/client-network` §4, §6)."""

from __future__ import annotations

import asyncio
import json
import random
import re
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from allium import _native
from allium.client.errors import ClockError, NetworkError, RefusedError
from allium.client.listing import decoded, usable
from allium.client.path import Path, Paths
from allium.client.pool import AGREEING, FIELDS, WITNESSES, Snode, SnodePool, parse_states
from allium.client.transport import HttpAnswer, Transport

REQUEST_TIMEOUT = 10.0
#: Attempts in any case, and at most: those beyond `ATTEMPTS` are made while they fail quickly.
ATTEMPTS = 3
MOST_ATTEMPTS = 10
#: Before each further attempt, in seconds.
_PAUSE = 0.1
#: Fewer members than this in the pool: the swarm is asked for again.
_SWARM_MINIMUM = 3
#: Times of nodes before this (January 2021) are no times.
_EARLIEST_MS = 1_609_459_200_000
_OFFSETS = 10
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
        if attempt >= ATTEMPTS and time.monotonic() - began > REQUEST_TIMEOUT:
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

    def __init__(self, pool: SnodePool, paths: Paths, transport: Transport, swarms: dict[str, list[bytes]]) -> None:
        self.pool = pool
        self.paths = paths
        self._transport = transport
        self._swarms = swarms
        self._rotations: dict[str, Rotation] = {}
        self._offsets: deque[int] = deque(maxlen=_OFFSETS)
        pool.on_drop.append(self._forget)

    # --- time

    def now(self) -> int:
        """Unix milliseconds by the nodes' clocks."""
        offset = round(statistics.fmean(self._offsets)) if self._offsets else 0
        return time.time_ns() // 1_000_000 - offset

    def note_time(self, node: Snode, body: Any) -> None:
        """Learns from the time in an answer of `node`, if there is one."""
        told = body.get("t") if isinstance(body, dict) else None
        if isinstance(told, int) and told > _EARLIEST_MS:
            self._offsets.append(time.time_ns() // 1_000_000 - told)

    async def sync_clock(self) -> None:
        """Takes the median of three nodes' times in place of what was known."""
        times: list[int] = []
        for node in self.pool.shuffled()[:WITNESSES]:
            try:
                reply = await self.request(node, "info", {})
                times.append(time.time_ns() // 1_000_000 - int(reply.body["timestamp"]))
            except (NetworkError, RefusedError, KeyError, TypeError, ValueError):
                continue
        if times:
            self._offsets.clear()
            self._offsets.append(round(statistics.median(times)))

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
            answer = await self._transport.post(f"{path.guard.url}/onion_req/v2", payload, timeout)
        except NetworkError as error:
            self.paths.failed(path)
            self.pool.strike(destination)
            raise NetworkError(f"no answer over {path}: {error}") from error
        status, inner = self._open(path, destination, answer, key)
        self._check(status, inner, path, destination)
        self.paths.succeeded(path)
        try:
            result = decoded(inner)
        except ValueError:
            raise NetworkError(f"{destination} answered something that is not JSON") from None
        self.note_time(destination, result)
        return Reply(result, destination, travelled)

    def _open(self, path: Path, destination: Snode, answer: HttpAnswer, key: _native.ReplyKey) -> tuple[int, str]:
        if answer.status != 200:
            self._blame(path, destination, answer.body)
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
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            self.paths.failed(path)
            self.pool.strike(destination)
            raise NetworkError(f"{destination} gave an unusable answer: {error}") from None

    def _blame(self, path: Path, destination: Snode, body: bytes) -> None:
        """Who is at fault for an answer that some node of the path gave in the clear."""
        if found := _BAD_NODE.search(body):
            if node := self.pool.get(bytes.fromhex(found[1].decode())):
                self.pool.drop(node)
            return
        if found := _NOT_READY.search(body):
            if node := self.pool.get(bytes.fromhex(found[1].decode())):
                self.pool.strike(node)
            return
        self.paths.failed(path)
        self.pool.strike(destination)

    def _check(self, status: int, body: str, path: Path, destination: Snode) -> None:
        match status:
            case _ if 200 <= status < 300:
                return
            case 400 | 401:
                raise RefusedError(status, body)
            case 406 | 425:
                raise ClockError(f"{destination} refused our time ({body}); set this machine's clock")
            case 421:
                raise WrongSwarmError(_swarm_in(body))
            case _:
                self.paths.failed(path)
                self.pool.strike(destination)
                raise NetworkError(f"{destination} failed with status {status}: {body[:200]}")

    # --- swarms

    async def swarm(self, account_id: str) -> list[Snode]:
        """The nodes that keep this account's messages, in random order; asked for when too few are known."""
        known = self._known_swarm(account_id)
        if len(known) >= _SWARM_MINIMUM:
            return known
        await self.refresh()
        failure: Exception = NetworkError("no node to ask for a swarm")
        async for _ in attempts():
            await self.pool.ensure()
            [node, *_] = self.pool.shuffled()
            try:
                reply = await self.request(node, "get_swarm", {"pubkey": account_id})
            except (NetworkError, RefusedError) as error:
                failure = error
                continue
            if members := members_in(reply.body):
                self._swarms[account_id] = [member.ed25519 for member in members]
                return self._known_swarm(account_id) or members
        raise NetworkError(f"no node told the swarm: {failure}") from failure

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
            self._swarms[account_id] = [member.ed25519 for member in named]
        elif node.ed25519 in self._swarms.get(account_id, ()):
            self._swarms[account_id].remove(node.ed25519)

    # --- the list of nodes

    async def refresh(self) -> None:
        """Makes sure that there are nodes to work with; an old list is compared with what three nodes say."""
        await self.pool.ensure()
        if not self.pool.is_stale:
            return
        answers: list[set[Snode]] = []
        params = {
            "endpoint": "get_service_nodes",
            "params": {"active_only": True, "fields": dict.fromkeys(FIELDS, True)},
        }
        for node in self.pool.shuffled()[:WITNESSES]:
            try:
                answers.append(set(parse_states((await self.request(node, "oxend_request", params)).body)))
            except (NetworkError, RefusedError, ValueError):
                continue
        agreed = {node for nodes in answers for node in nodes if sum(node in other for other in answers) >= AGREEING}
        if agreed:
            self.pool.replace(agreed)


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
    return usable(entries, _of_member)


def _of_member(entry: Any) -> Snode | None:
    return Snode.parse(entry["ip"], entry["port"], entry["pubkey_ed25519"], entry["pubkey_x25519"])
