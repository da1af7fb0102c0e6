"""What is new in a swarm: one `batch` a poll, from one member, in turns (`spec/client-network` §8).

What a node answers is taken for nothing but what it proves to be: a message is the bytes that its hash is of, for this
account and namespace; all else is passed over. Pages are bounded, in number and in bytes.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from allium.client.credentials import Credentials
from allium.client.errors import NetworkError, RefusedError
from allium.client.listing import milliseconds
from allium.client.network import Network
from allium.client.pool import Snode
from allium.client.schedule import Schedule
from allium.client.swarm import MAX_CALLS, MAX_DATA_BYTES, Expire, Outcome, at_swarm, exchange, message_hash

__all__ = ["PollResult", "Received", "Schedule", "poll", "poll_everyone", "read_public", "splits"]

#: Of notices to members that were removed; a revoked token still reads it.
REMOVED = -11
#: A page this full is probably followed by another.
_FULL_PAGE = 95
#: After so much the poll ends with `more`: it is to be committed before there is more.
_MOST_PAGES = 50
_MOST_BYTES = 16 << 20
#: The longest that anything is kept, milliseconds.
_LONGEST = 30 * 24 * 3600 * 1000
#: Namespaces of messages, which get more of an answer's room than configs.
_FIRST = (0, 11)
#: Messages that are read of a namespace which holds one.
_MOST_PUBLIC = 4
_HASH = re.compile(r"[0-9A-Za-z+/]{43}")


@dataclass(frozen=True, slots=True)
class Received:
    """A stored message; times in Unix milliseconds as the node told them (`expiry` at most 30 days ahead)."""

    namespace: int
    hash: str
    #: As it was stored; its hash is of these bytes.
    data: bytes = field(repr=False)
    timestamp: int
    expiry: int


@dataclass(frozen=True, slots=True)
class PollResult:
    """What one member of the swarm had that is new to us, in the order of `namespaces`, then as it was stored."""

    messages: tuple[Received, ...]
    #: Namespace -> hash to go on from at `source`, once the messages are committed.
    cursors: Mapping[int, str]
    source: Snode
    #: There is more than one poll brings: poll again at once, after the cursors were kept.
    more: bool
    #: Namespaces that were not read, and why.
    refused: Mapping[int, str]
    #: Of the hashes to renew, those that no member of the swarm has any more: push again.
    lost: frozenset[str] = frozenset()


async def poll(
    network: Network,
    credentials: Credentials,
    namespaces: Sequence[int],
    cursors: Callable[[Snode], Mapping[int, str]],
    *,
    renew: Sequence[str] = (),
    revoked: bool = False,
) -> PollResult:
    """Asks one member of the swarm for what is new; another one than the times before.

    `cursors` gives what was kept for a member; `renew` are hashes to keep for another 30 days. With `revoked` the
    notices to removed members are asked for too. Raises `NetworkError` when no member answered.
    """
    wanted = tuple(dict.fromkeys([*namespaces, *([REMOVED] if revoked else [])]))
    if not 0 < len(wanted) < MAX_CALLS:
        raise ValueError(f"a poll is of 1 to {MAX_CALLS - 1} namespaces, not {len(wanted)}")
    await network.refresh()
    rotation = network.rotation(credentials.pubkey)

    async def work(node: Snode) -> PollResult:
        visit = _Visit(network, credentials, node, dict(cursors(node)))
        return await visit.run(wanted, tuple(renew))

    result = await at_swarm(network, credentials.pubkey, work, rotation.rank)
    rotation.note(result.source, again=result.more)
    return result


async def poll_everyone(network: Network, credentials: Credentials, namespaces: Sequence[int]) -> list[PollResult]:
    """Asks all members of the swarm at the same time for everything: after a restore, when no one is trusted alone.

    The results of those that answered; `NetworkError` when none did.
    """
    await network.refresh()
    try:
        return await _everyone(network, credentials, namespaces)
    except NetworkError:
        # Times that they refused, or a swarm that is another now: once more, with what was learnt.
        await network.sync_clock()
        return await _everyone(network, credentials, namespaces)


async def _everyone(network: Network, credentials: Credentials, namespaces: Sequence[int]) -> list[PollResult]:
    members = await network.swarm(credentials.pubkey)
    visits = [_Visit(network, credentials, node, {}).run(tuple(namespaces)) for node in members]
    results = await asyncio.gather(*visits, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    for failure in failures:
        if not isinstance(failure, (NetworkError, RefusedError)):
            raise failure
    answered = [result for result in results if isinstance(result, PollResult)]
    if not answered:
        raise NetworkError(f"no member of the swarm answered, the last with: {failures[-1]}") from failures[-1]
    return answered


async def read_public(
    network: Network, pubkey: str, namespace: int, last: Snode | None = None
) -> tuple[tuple[Received, ...], Snode]:
    """The newest messages of a namespace that anybody may read, and who told; another member than `last` if it can be.

    None where the swarm refuses to tell. Raises `NetworkError`.
    """
    await network.refresh()

    async def work(node: Snode) -> tuple[tuple[Received, ...], Snode]:
        now = network.now()
        params = {"pubkey": pubkey, "namespace": namespace, "max_count": _MOST_PUBLIC}
        [outcome] = await exchange(network, pubkey, node, "batch", [{"method": "retrieve", "params": params}])
        if outcome.code >= 500:
            network.pool.strike(node)
            raise NetworkError(f"{node} failed with status {outcome.reason}")
        body = outcome.body if outcome.ok and isinstance(outcome.body, dict) else {}
        entries = body.get("messages")
        told = entries[:_MOST_PUBLIC] if isinstance(entries, list) else []
        named = [(entry.get("hash"), entry) for entry in told if isinstance(entry, dict)]
        read = [_read(pubkey, namespace, name, entry, now) for name, entry in named if isinstance(name, str)]
        return tuple(message for message in read if message is not None), node

    return await at_swarm(network, pubkey, work, lambda node: int(last is not None and node.ed25519 == last.ed25519))


def splits(namespaces: Sequence[int]) -> dict[int, int]:
    """Namespace -> `max_size`: a share of what one answer may hold (-k is 1/k), messages before configs."""
    shares: dict[int, int] = {}
    split = 1
    first = [namespace for namespace in namespaces if namespace in _FIRST]
    groups = [group for group in (first, [each for each in namespaces if each not in _FIRST]) if group]
    for group in groups:
        split *= len(group) if group is groups[-1] else len(group) + 1
        shares |= dict.fromkeys(group, -split)
    return shares


class _Visit:
    """One poll of one member of a swarm, page after page."""

    def __init__(self, network: Network, credentials: Credentials, node: Snode, cursors: dict[int, str]) -> None:
        self._network, self._credentials, self._node = network, credentials, node
        self._cursors = {namespace: last for namespace, last in cursors.items() if _HASH.fullmatch(last)}
        self._moved: dict[int, str] = {}
        self._found: dict[tuple[int, str], Received] = {}
        self._refused: dict[int, str] = {}
        self._lost: frozenset[str] = frozenset()
        self._bytes = 0

    async def run(self, namespaces: tuple[int, ...], renew: tuple[str, ...] = ()) -> PollResult:
        following = list(namespaces)
        for page in range(_MOST_PAGES):
            try:
                following = await self._page(following, () if page else renew)
            except NetworkError:
                if not page:
                    raise
                break  # what came before is good, and there is more
            if not following or self._bytes > _MOST_BYTES:
                break
        places = {namespace: place for place, namespace in enumerate(namespaces)}
        messages = sorted(self._found.values(), key=lambda message: places[message.namespace])
        return PollResult(tuple(messages), self._moved, self._node, bool(following), self._refused, self._lost)

    async def _page(self, namespaces: list[int], renew: tuple[str, ...]) -> list[int]:
        """Those of `namespaces` that have more."""
        now = self._network.now()
        calls = [self._retrieve(namespace, share, now) for namespace, share in splits(namespaces).items()]
        asked = list(splits(namespaces))
        if renew:
            calls.append(Expire(renew, now + _LONGEST, "extend").call(self._credentials.pubkey, self._credentials, now))
        outcomes = await exchange(self._network, self._credentials.pubkey, self._node, "batch", calls)
        if len(outcomes) < len(calls) or all(outcome.code >= 500 for outcome in outcomes):
            self._network.pool.strike(self._node)
            raise NetworkError(f"{self._node} answered {len(outcomes)} of {len(calls)}: {outcomes[0].reason}")
        following = [each for each, outcome in zip(asked, outcomes, strict=False) if self._take(each, outcome, now)]
        if renew and outcomes[-1].ok:
            self._lost = frozenset(renew) - outcomes[-1].named("updated", "unchanged")
        return following

    def _retrieve(self, namespace: int, share: int, now: int) -> dict[str, Any]:
        params = {"namespace": namespace, "last_hash": self._cursors.get(namespace, ""), "max_size": share}
        return {"method": "retrieve", "params": self._credentials.sign("retrieve", params, now)}

    def _take(self, namespace: int, outcome: Outcome, now: int) -> bool:
        """Keeps the messages of an answer; whether there are more."""
        body = outcome.body if outcome.ok and isinstance(outcome.body, dict) else {}
        entries = body.get("messages")
        if not isinstance(entries, list):
            self._refused[namespace] = outcome.reason
            return False
        before = self._cursors.get(namespace)
        for entry in entries:
            name = entry.get("hash") if isinstance(entry, dict) else None
            if not isinstance(name, str) or not _HASH.fullmatch(name):
                continue
            self._cursors[namespace] = name
            if (namespace, name) in self._found:
                continue
            if message := _read(self._credentials.pubkey, namespace, name, entry, now):
                self._found[namespace, name] = message
                self._bytes += len(message.data)
        last = self._cursors.get(namespace)
        if last is None or last == before:
            return False
        self._moved[namespace] = last
        return body.get("more") is True or len(entries) >= _FULL_PAGE


def _read(pubkey: str, namespace: int, name: str, entry: dict[str, Any], now: int) -> Received | None:
    """A message as a node tells it; None if it is not the one that its hash is of."""
    text = entry.get("data")
    if not isinstance(text, str) or len(text) > MAX_DATA_BYTES * 4 // 3 + 4:
        return None
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    if message_hash(pubkey, namespace, data) != name:
        return None
    timestamp = milliseconds(entry.get("timestamp")) or now
    expiry = min(milliseconds(entry.get("expiration")) or now + _LONGEST, now + _LONGEST)
    return Received(namespace, name, data, timestamp, expiry)
