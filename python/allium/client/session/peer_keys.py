"""The keys that others publish: asked for before something is first sent to them, and kept for a while.

Who has a good record gets protocol v2, anybody else v1 (`spec/protocol-v2` §2, §4). What is sent is sealed once, before
the first attempt, so that whatever happens later the same bytes are sent, and nobody gets a message in both forms.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from allium.client.database import DatabaseError
from allium.client.database.rows import OutboxItem
from allium.client.errors import NetworkError, RefusedError
from allium.client.messages.direct import seal as seal_v1
from allium.client.messages.encoding import encode
from allium.client.messages.kinds import Letter
from allium.client.network import Network
from allium.client.polling import Received, read_public
from allium.client.protocol_v2 import account_keys, messages
from allium.client.protocol_v2.account_keys import ABSENT, NAMESPACE, PublicKeys
from allium.client.protocol_v2.primitives import ProtocolError
from allium.client.session.core import Core, Work
from allium.client.session.device_state import current_keys
from allium.client.session.worker import ClosedError, Worker

#: Records that are asked for anew in the background at the same time; more wait until they are used again.
MOST_REFRESHED = 4


class PeerKeys:
    """Of one session."""

    def __init__(self, core: Core, worker: Worker, network: Network) -> None:
        self._core = core
        self._worker = worker
        self._network = network
        self._refreshing: dict[str, asyncio.Task[None]] = {}

    async def sealed(self, item: OutboxItem) -> OutboxItem:
        """The item as it is sent from now on. Raises `NetworkError` if nobody tells whether there are keys."""
        known = await self._worker.run(self._core.run, freshness, item.pubkey)
        if known == "old":
            await self.fetch(item.pubkey)
        elif known == "stale":
            self._refresh(item.pubkey)
        return await self._worker.run(self._core.run, reseal, item)

    async def fetch(self, account_id: str) -> None:
        """Asks the account's swarm, and a second member where the first one has nothing of what there was before."""
        try:
            told, source = await read_public(self._network, account_id, NAMESPACE)
            if not await self._worker.run(self._core.run, learn, account_id, told, False):
                told, _ = await read_public(self._network, account_id, NAMESPACE, source)
                await self._worker.run(self._core.run, learn, account_id, told, True)
        except RefusedError:
            await self._worker.run(self._core.run, learn, account_id, (), True)

    def _refresh(self, account_id: str) -> None:
        if account_id in self._refreshing or len(self._refreshing) >= MOST_REFRESHED:
            return
        task = asyncio.create_task(self._refreshed(account_id))
        self._refreshing[account_id] = task
        task.add_done_callback(lambda _: self._refreshing.pop(account_id, None))

    async def _refreshed(self, account_id: str) -> None:
        # What is known serves until it is too old, and is asked for the next time that it is used.
        with contextlib.suppress(NetworkError, DatabaseError, ClosedError):
            await self.fetch(account_id)

    async def close(self) -> None:
        """Asks no more."""
        tasks = list(self._refreshing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def freshness(work: Work, account_id: str) -> account_keys.Freshness:
    """Of what is known of an account's keys: that there are none is believed for an hour."""
    known = work.database.peer_keys.get(account_id)
    if known is None:
        return "old"
    # A clock that was set back makes nothing fresh for ever: it is asked for anew.
    age = work.seconds - known.asked if known.asked <= work.seconds else account_keys.STALE
    if not known.record:
        return "fresh" if age < ABSENT else "old"
    return account_keys.freshness(age)


def keys_of(work: Work, account_id: str) -> PublicKeys | None:
    """The keys that an account has published, if they are not too old to be used."""
    if freshness(work, account_id) == "old":
        return None
    known = work.database.peer_keys.get(account_id)
    if known is None or not known.record:
        return None
    try:
        return account_keys.read_record(account_id, known.record)
    except ProtocolError:
        return None


def learn(work: Work, account_id: str, told: Sequence[Received], certain: bool) -> bool:
    """Takes what a member of the swarm had. False where that is nothing, though there was a record, unless `certain`.

    What is no record, or not the account's, is counted and kept.
    """
    for message in told:
        try:
            account_keys.read_record(account_id, message.data)
        except ProtocolError as error:
            work.database.unreadable.add(
                account_id, NAMESPACE, message.hash, message.data, message.timestamp, str(error)
            )
            continue
        work.database.peer_keys.set(account_id, message.data, work.seconds)
        return True
    known = work.database.peer_keys.get(account_id)
    if not certain and known is not None and known.found + account_keys.RECORD_TTL > work.seconds:
        return False
    work.database.peer_keys.set(account_id, b"", work.seconds)
    return True


def reseal(work: Work, item: OutboxItem) -> OutboxItem:
    """Seals an item of the outbox for good: for the keys that its recipient has, or as it is."""
    content = work.database.outbox.content(item.id)
    if content is None:
        return work.database.outbox.get(item.id) or item
    keys, payload = keys_of(work, item.pubkey), None
    if keys is not None:
        try:
            payload = messages.seal(content, work.account, item.pubkey, keys)
        except ValueError:
            # Too long, or keys that are none after all: as everybody else gets it.
            payload = None
    return work.database.outbox.sealed(item, payload)


def wants(work: Work, account_id: str) -> bool:
    """Whether what goes to this account is sealed before it is first sent, for the keys that it has by then."""
    return account_id.startswith("05") and account_id != work.own_id and work.settings.protocol_v2


def seal_now(work: Work, account_id: str, letter: Letter) -> bytes:
    """Seals with what is known now: for an account that has told its keys, or for our other devices."""
    if work.settings.protocol_v2:
        keys = current_keys(work) if account_id == work.own_id else keys_of(work, account_id)
        if keys is not None:
            return messages.seal(encode(letter), work.account, account_id, keys)
    return seal_v1(work.account, account_id, letter)
