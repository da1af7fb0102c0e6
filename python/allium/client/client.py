"""Sends and receives text messages (`spec/client-network` §7-8, `spec/messages` §3-4)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from allium.client import envelope
from allium.client.account import Account, account_key
from allium.client.errors import ClockError, NetworkError, RefusedError
from allium.client.network import ATTEMPTS, Network, Reply, attempts
from allium.client.pool import Snode
from allium.client.requests import signed
from allium.client.session_pb2 import Content
from allium.client.state import State, StateError
from allium.client.swarm import Confirmation, confirmations, message_hash

#: 14 days, in milliseconds.
TEXT_TTL = 14 * 24 * 3600 * 1000
#: As long as anything is kept.
_LONGEST_TTL = 30 * 24 * 3600 * 1000
TEXT_MAX_CODE_POINTS = 2000
INBOX = 0
#: A page this full is probably followed by another.
_FULL_PAGE = 95
POLL_SECONDS = 3.0
_MAX_BACKOFF = 10.0


@dataclass(frozen=True)
class SendResult:
    """Where a message is now."""

    hash: str
    #: Unix milliseconds; with the sender's Account ID it names the message.
    timestamp: int
    #: Guard, middle and last node of the request that stored it.
    path: tuple[Snode, ...]
    #: The member of the recipient's swarm that it was given to.
    destination: Snode
    confirmations: tuple[Confirmation, ...]


@dataclass(frozen=True)
class Message:
    """A text message from the inbox."""

    hash: str
    #: Account ID, proven by a signature.
    sender: str
    #: The Account ID that it was written to; not ours for a copy of what another device of ours sent.
    recipient: str
    text: str
    #: Unix milliseconds.
    timestamp: int
    #: What the sender calls itself; empty when it does not say.
    display_name: str
    #: Until when the swarm keeps it, Unix milliseconds.
    expiry: int = 0


@dataclass(frozen=True)
class Poll:
    """The new messages, oldest first, and the way they came."""

    messages: tuple[Message, ...]
    path: tuple[Snode, ...]
    source: Snode
    #: Hash of the last message that the source told of, ours or not; `None` when there was none.
    last_hash: str | None = field(default=None, repr=False)


class Client:
    """One account on one network. Use it as an asynchronous context manager."""

    def __init__(self, account: Account, seeds: Sequence[str], state: State | None = None) -> None:
        """`seeds` are URLs of seed nodes; `state` is what an earlier run remembered. Needs a running event loop."""
        self.account = account
        self._state = state if state is not None else State()
        age = max(0.0, time.time() - self._state.listed)
        self.network = Network.open(seeds, self._state.nodes, self._state.guards, self._state.swarms, age)
        self.pool, self.paths = self.network.pool, self.network.paths
        self._polled: list[Snode] = []

    async def close(self) -> None:
        """Remembers what it learnt and closes its connections; `StateError` when the former was not possible."""
        self._state.nodes = self.pool.nodes
        self._state.listed = int(time.time() - self.pool.age)
        self._state.guards = self.paths.guards
        try:
            self._state.save(self.network.now())
        finally:
            await self.network.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except StateError:
            # What went wrong before counts.
            if error is None:
                raise

    async def send_text(self, recipient: str, text: str, *, display_name: str = "", sync: bool = True) -> SendResult:
        """Stores a text in the recipient's swarm and, with `sync`, a copy for our own other devices.

        Raises `ValueError` for a bad Account ID or an empty or too long text, `NetworkError` when no node took it,
        `RefusedError` when one refused. A copy that fails fails silently: the message itself is on its way.
        """
        account_key(recipient)
        recipient = recipient.lower()
        if not text or len(text) > TEXT_MAX_CODE_POINTS:
            raise ValueError(f"a text has 1 to {TEXT_MAX_CODE_POINTS} characters, not {len(text)}")
        await self.network.refresh()
        content = Content()
        content.dataMessage.body = text
        if display_name:
            content.dataMessage.profile.displayName = display_name
        note_to_self = recipient == self.account.account_id
        if note_to_self:
            content.dataMessage.syncTarget = recipient
        result = await self._store(recipient, content)
        if sync and not note_to_self:
            content.dataMessage.syncTarget = recipient
            try:
                copy = await self._store(self.account.account_id, content, result.timestamp)
                self._state.seen[copy.hash] = copy.timestamp + TEXT_TTL
            except (NetworkError, RefusedError):
                pass
        return result

    async def _store(self, recipient: str, content: Content, timestamp: int | None = None) -> SendResult:
        try:
            return await self._store_once(recipient, content, timestamp)
        except ClockError:
            await self.network.sync_clock()
            return await self._store_once(recipient, content, timestamp)

    async def _store_once(self, recipient: str, content: Content, timestamp: int | None) -> SendResult:
        sent = self.network.now() if timestamp is None else timestamp
        data = envelope.seal(self.account, recipient, content, sent)
        params = {
            "pubkey": recipient,
            "namespace": INBOX,
            "timestamp": self.network.now(),
            "ttl": TEXT_TTL,
            "data": base64.b64encode(data).decode(),
        }
        reply, [body] = await self._sequence(recipient, "sequence", [{"method": "store", "params": params}])
        expected = message_hash(recipient, INBOX, data)
        if body.get("hash") != expected:
            raise NetworkError(f"{reply.destination} stored something else: {body.get('hash')!r}, not {expected}")
        return SendResult(expected, sent, reply.path, reply.destination, confirmations(body, expected))

    async def poll(self) -> Poll:
        """Everything new in the inbox, from one node of the swarm; another one at each call.

        Raises `NetworkError` when no node answered, and `StateError` when what is new could not be marked as seen: it
        then comes again. Bytes that are no message for us are passed over.
        """
        poll = await self.peek()
        self.mark_seen(poll)
        return poll

    async def peek(self) -> Poll:
        """As `poll`, without marking anything as seen: for what first has to be shown, or kept elsewhere."""
        await self.network.refresh()
        try:
            return await self._poll_once()
        except ClockError:
            await self.network.sync_clock()
            return await self._poll_once()

    def mark_seen(self, what: Message | Poll) -> None:
        """One message, or all that a poll has brought, is not brought again.

        A poll's is remembered at once, a single message's with it, or by `close`. Raises `StateError` when it cannot
        be; nothing is marked then.
        """
        if isinstance(what, Message):
            self._state.seen[what.hash] = what.expiry
            return
        before = self._state.seen, self._state.last_hashes
        self._state.seen = {**before[0], **{message.hash: message.expiry for message in what.messages}}
        if what.last_hash is not None:
            place = what.source.ed25519, self.account.account_id, INBOX
            self._state.last_hashes = {**before[1], place: what.last_hash}
        try:
            self._state.save(self.network.now())
        except StateError:
            self._state.seen, self._state.last_hashes = before
            raise

    async def _poll_once(self) -> Poll:
        messages: dict[str, Message] = {}
        source: Snode | None = None
        last_hash: str | None = None
        while True:
            reply, page = await self._retrieve(source, last_hash)
            source = reply.destination
            entries = page.get("messages")
            if not isinstance(entries, list):
                raise NetworkError(f"{reply.destination} answered without messages")
            messages |= {message.hash: message for entry in entries if (message := self._open(entry))}
            before = last_hash
            if entries and isinstance(entries[-1], dict):
                last_hash = str(entries[-1].get("hash", ""))
            more = page.get("more") or len(entries) >= _FULL_PAGE
            if not entries or last_hash == before or not more:
                break
        ordered = sorted(messages.values(), key=lambda message: message.timestamp)
        return Poll(tuple(ordered), reply.path, reply.destination, last_hash)

    async def _retrieve(self, source: Snode | None, after: str | None) -> tuple[Reply, dict[str, Any]]:
        """One page from `source`, which had more `after` that hash, or else from a node that was not asked lately."""
        members = await self.network.swarm(self.account.account_id)
        if all(node in self._polled for node in members):
            self._polled.clear()
        members.sort(key=lambda node: (node != source, node in self._polled))
        failure: Exception = NetworkError("no node was tried")
        async for attempt in attempts():
            node = members[attempt % len(members)]
            last_hash = self._state.last_hashes.get((node.ed25519, self.account.account_id, INBOX), "")
            if after is not None and node == source:
                last_hash = after
            wanted = {"namespace": INBOX, "last_hash": last_hash, "max_size": -1}
            params = signed(self.account, "retrieve", wanted, self.network.now())
            self._polled.append(node)
            try:
                reply = await self.network.request(
                    node, "batch", {"requests": [{"method": "retrieve", "params": params}]}
                )
                return reply, self._results(self.account.account_id, reply)[0]
            except ClockError:
                raise
            except NetworkError as error:
                failure = error
        raise NetworkError(f"no node of the swarm answered, the last with: {failure}") from failure

    async def follow(self, interval: float = POLL_SECONDS) -> AsyncIterator[Message]:
        """New messages as they come, for ever; each is seen when the next one is asked for.

        A poll that fails is repeated, more slowly each time. Raises as `mark_seen`.
        """
        failures = 0
        while True:
            try:
                poll = await self.peek()
                failures = 0
            except NetworkError:
                failures += 1
            else:
                for message in poll.messages:
                    yield message
                    self.mark_seen(message)
                self.mark_seen(poll)
            await asyncio.sleep(interval if not failures else min(2.0 * (failures + 1), _MAX_BACKOFF))

    async def _sequence(
        self, account_id: str, method: str, requests: list[dict[str, Any]]
    ) -> tuple[Reply, list[dict[str, Any]]]:
        failure: Exception = NetworkError("no node was tried")
        for _ in range(ATTEMPTS):
            reply = await self.network.ask_swarm(account_id, method, {"requests": requests})
            try:
                return reply, self._results(account_id, reply)
            except ClockError:
                raise
            except NetworkError as error:
                failure = error
        raise NetworkError(f"{ATTEMPTS} attempts failed, the last with: {failure}") from failure

    def _results(self, account_id: str, reply: Reply) -> list[dict[str, Any]]:
        """The bodies of a batch's answers; the first failure is raised as if it were the whole request's."""
        results = reply.body.get("results") if isinstance(reply.body, dict) else None
        if not isinstance(results, list) or not results:
            raise NetworkError(f"{reply.destination} answered without results")
        bodies: list[dict[str, Any]] = []
        for result in results:
            code, body = (result.get("code"), result.get("body")) if isinstance(result, dict) else (None, None)
            if code == 200 and isinstance(body, dict):
                bodies.append(body)
                continue
            match code:
                case 421:
                    self.network.wrong_swarm(account_id, reply.destination, body)
                    raise NetworkError(f"{reply.destination} is not in the swarm any more")
                case 406 | 425:
                    raise ClockError(f"{reply.destination} refused our time ({body}); set this machine's clock")
                case 400 | 401:
                    raise RefusedError(code, str(body))
            self.pool.strike(reply.destination)
            raise NetworkError(f"{reply.destination} failed with status {code}: {str(body)[:200]}")
        return bodies

    def _open(self, entry: Any) -> Message | None:
        """A stored message that is new and is a text for us."""
        if not isinstance(entry, Mapping) or not isinstance(entry.get("data"), str):
            return None
        try:
            data = base64.b64decode(entry["data"], validate=True)
        except (binascii.Error, ValueError):
            return None
        name = message_hash(self.account.account_id, INBOX, data)
        if name != entry.get("hash") or name in self._state.seen:
            return None
        expiration, now = entry.get("expiration"), self.network.now()
        # A node cannot have it shown again and again, nor remembered for ever.
        expiry = max(now + TEXT_TTL, min(expiration if isinstance(expiration, int) else 0, now + _LONGEST_TTL))
        try:
            opened = envelope.open_sealed(self.account, data)
        except envelope.EnvelopeError:
            opened = None
        if opened is None or not opened.content.dataMessage.body:
            self._state.seen[name] = expiry
            return None
        body = opened.content.dataMessage
        recipient = body.syncTarget or self.account.account_id
        return Message(name, opened.sender, recipient, body.body, opened.timestamp, body.profile.displayName, expiry)
