"""Stores what the outbox holds, in order for each recipient, and again until it is there (`spec/client-network` §7).

An item is marked before it is sent and once it is stored. Whatever happens in between, the same bytes are sent again:
a swarm that has them already keeps one message.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from allium.client.credentials import Credentials
from allium.client.database.connection import MAX_INTEGER
from allium.client.database.rows import Message, MessageState, OutboxItem, OutboxState
from allium.client.errors import NetworkError, RefusedError
from allium.client.network import Network
from allium.client.session import erasing, outbound
from allium.client.session.core import Core, Work
from allium.client.session.events import MessageChanged
from allium.client.session.group import GroupFeature
from allium.client.session.peer_keys import PeerKeys
from allium.client.session.worker import ClosedError, Worker
from allium.client.swarm import Store, Stored, store

#: Swarms that are stored to at the same time.
PARALLEL = 4
#: Attempts after which an item waits for its user; each is three of the network's.
MOST_ATTEMPTS = 8
#: Before the second attempt, and at most, milliseconds.
BACKOFF, _MOST_BACKOFF = 2_000, 300_000
_LOOKED_AT = 100
#: What was stored is forgotten after it, milliseconds.
KEPT = 86_400_000


class Sender:
    """Sends for one session."""

    def __init__(self, core: Core, worker: Worker, network: Network, groups: GroupFeature, peer_keys: PeerKeys) -> None:
        self._core = core
        self._worker = worker
        self._network = network
        self._groups = groups
        self._peer_keys = peer_keys
        self._wanted = asyncio.Event()
        self._sending = asyncio.Lock()
        self._flushes: set[asyncio.Task[None]] = set()
        self._waiting: dict[int, list[asyncio.Future[None]]] = {}

    async def close(self) -> None:
        """Nobody waits any longer. What was being sent is sent again when the session is opened."""
        flushes = list(self._flushes)
        for task in flushes:
            task.cancel()
        await asyncio.gather(*flushes, return_exceptions=True)
        for waiting in [each for several in self._waiting.values() for each in several]:
            if not waiting.done():
                waiting.set_exception(ClosedError("the session is closed; the message is sent with the next start"))

    def wake(self) -> None:
        """Something is in the outbox."""
        self._wanted.set()

    async def run(self) -> None:
        """Sends what is due, for ever."""
        while True:
            self._wanted.clear()
            await self.flush()
            due = await self._worker.run(self._core.run, next_due)
            wait = None if due is None else max(0.05, (due - self._core.now()) / 1000)
            with contextlib.suppress(TimeoutError):
                # Not `wait_for`, which forgets that it was cancelled if the event comes at the same moment.
                async with asyncio.timeout(wait):
                    await self._wanted.wait()

    async def flush(self) -> None:
        """Tries everything that is due, once; returns when nothing is. Never raises for the network.

        It goes on when who waits for it does not: what is being sent is not left half-way.
        """
        task = asyncio.create_task(self._flush())
        self._flushes.add(task)
        task.add_done_callback(self._flushes.discard)
        await asyncio.shield(task)

    async def _flush(self) -> None:
        async with self._sending:
            while items := await self._worker.run(self._core.run, begin):
                by_swarm: dict[str, list[OutboxItem]] = {}
                for item in items:
                    by_swarm.setdefault(item.pubkey, []).append(item)
                limit = asyncio.Semaphore(PARALLEL)
                await asyncio.gather(*(self._to(limit, each) for each in by_swarm.values()))

    async def _to(self, limit: asyncio.Semaphore, items: Sequence[OutboxItem]) -> None:
        async with limit:
            failure: NetworkError | None = None
            for item in items:
                if failure is None:
                    try:
                        await self._one(item)
                        continue
                    except NetworkError as error:
                        failure = error
                # Those behind it wait too: they stay in order.
                offline = self._network.connection.online is False
                await self._worker.run(self._core.run, retry, item, str(failure), offline=offline)
                self._tell(item)

    async def _one(self, item: OutboxItem) -> None:
        credentials: Credentials | None = None
        if item.pubkey.startswith("03"):
            credentials = await self._worker.run(self._core.run, self._groups.credentials, item.pubkey)
            if credentials is None:
                await self._worker.run(self._core.run, fail, item, "not in this group any more")
                return
        if item.unsealed:
            item = await self._peer_keys.sealed(item)
        try:
            stored = await store(self._network, item.pubkey, Store(item.namespace, item.payload, item.ttl), credentials)
        except RefusedError as error:
            await self._worker.run(self._core.run, fail, item, str(error))
        except ValueError as error:
            await self._worker.run(self._core.run, fail, item, str(error))
        else:
            await self._worker.run(self._core.run, done, item, stored)
        self._tell(item)

    async def settled(self, message_id: int) -> None:
        """Returns when a message was stored, or could not be the first time."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(message_id, []).append(waiting)
        try:
            if await self._worker.run(self._core.run, is_settled, message_id):
                return
            self.wake()
            await waiting
        finally:
            self._waiting[message_id].remove(waiting)
            if not self._waiting[message_id]:
                del self._waiting[message_id]

    def _tell(self, item: OutboxItem) -> None:
        if item.message is None or item.purpose == outbound.COPY:
            return
        for waiting in self._waiting.get(item.message, ()):
            if not waiting.done():
                waiting.set_result(None)


def begin(work: Work) -> list[OutboxItem]:
    """What is due, marked as being sent."""
    if erasing.is_begun(work):
        return []
    items = work.database.outbox.due(work.now)
    work.database.outbox.sending(item.id for item in items)
    return items


def is_settled(work: Work, message_id: int) -> bool:
    """Whether nothing of a message waits for its first attempt."""
    items = work.database.outbox.of(message_id)
    mains = [item for item in items if item.purpose != outbound.COPY]
    return not any(
        item.state is OutboxState.SENDING or (item.state is OutboxState.QUEUED and not item.attempts) for item in mains
    )


def next_due(work: Work) -> int | None:
    """When something is to be sent next, Unix milliseconds. What waits for something that failed is not."""
    items = work.database.outbox.due(MAX_INTEGER, limit=_LOOKED_AT)
    return min((item.not_before for item in items), default=None)


def done(work: Work, item: OutboxItem, stored: Stored) -> None:
    """The swarm has it: timers that begin with that begin."""
    work.database.outbox.stored(item.id, stored.timestamp)
    work.database.outbox.prune(work.now - KEPT)
    message = None if item.message is None else work.database.messages.get(item.message)
    if message is None:
        return
    if item.purpose == outbound.COPY:
        _note(work, message, {"copied at": stored.timestamp})
        if message.state is MessageState.UNSYNCED:
            work.database.messages.set_state(message.id, MessageState.SENT)
    else:
        work.database.messages.set_state(message.id, MessageState.SENT)
        if not message.hash:
            work.database.messages.set_hash(message.id, item.hash)
        keepers = [each.node.hex() for each in stored.confirmations if each.verified]
        told = {"stored on": len(keepers), "stored by": keepers, "asked": len(stored.confirmations)}
        _note(work, message, {**told, "stored at": stored.timestamp})
        if message.timer is not None and message.expires is None:
            # What we wrote we have read, so both kinds begin now.
            work.database.messages.set_expiry(message.id, stored.timestamp + message.timer.seconds * 1000)
    _tell(work, message.id)


def _note(work: Work, message: Message, told: dict[str, Any]) -> None:
    """What is known of how a message went stays with it when the outbox has forgotten it."""
    work.database.messages.set_extra(message.id, {**message.extra, **told})


def retry(work: Work, item: OutboxItem, reason: str, *, offline: bool = False) -> None:
    """It may not be there: again, later each time, and after too many times when its user says so.

    While nobody is reached at all, no time is one too many.
    """
    if item.attempts + 1 >= MOST_ATTEMPTS and not offline:
        fail(work, item, reason)
        return
    wait = min(BACKOFF << min(item.attempts, MOST_ATTEMPTS), _MOST_BACKOFF)
    work.database.outbox.retry(item.id, work.now + wait, reason)


def fail(work: Work, item: OutboxItem, reason: str) -> None:
    """It was refused."""
    work.database.outbox.failed(item.id, reason)
    if item.message is not None:
        state = MessageState.UNSYNCED if item.purpose == outbound.COPY else MessageState.FAILED
        work.database.messages.set_state(item.message, state)
        if item.purpose != outbound.COPY and (message := work.database.messages.get(item.message)) is not None:
            _note(work, message, {"failed at": work.now})
        _tell(work, item.message)


def again(work: Work, message_id: int) -> bool:
    """A message that failed is tried again; whether there was anything to try."""
    items = [item for item in work.database.outbox.of(message_id) if item.state is not OutboxState.STORED]
    for item in items:
        work.database.outbox.retry(item.id, work.now)
    if items:
        work.database.messages.set_state(message_id, MessageState.SENDING)
        work.queued = True
        _tell(work, message_id)
    return bool(items)


def hurry(work: Work) -> None:
    """The network answers again: nothing waits any longer."""
    for item in work.database.outbox.due(MAX_INTEGER, limit=_LOOKED_AT):
        if item.not_before > work.now:
            work.database.outbox.retry(item.id, work.now)
    work.queued = True


def _tell(work: Work, message_id: int) -> None:
    message = work.database.messages.get(message_id)
    if message is not None:
        work.tell(MessageChanged(message))
