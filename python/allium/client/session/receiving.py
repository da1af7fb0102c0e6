"""Polls the own swarm and those of the groups, and hands over what comes (`spec/client-network` §8).

A poll that fails is told once, and repeated; one bad message is the inbox's business and never ends a poll.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence

from allium.client.credentials import Credentials
from allium.client.database import DatabaseError
from allium.client.errors import NetworkError, RefusedError
from allium.client.network import Network
from allium.client.polling import PollResult, poll, poll_everyone
from allium.client.pool import Snode
from allium.client.schedule import Kind, Schedule
from allium.client.session import inbound
from allium.client.session.configs import NAMESPACES as CONFIGS
from allium.client.session.core import Core
from allium.client.session.group import GroupFeature, GroupHandler
from allium.client.session.listeners import Listeners
from allium.client.session.worker import Worker
from allium.client.swarm import expiries

_log = logging.getLogger(__name__)

#: Polls of one `sync`, each after the first because there was more than one brings.
MOST_POLLS = 100
#: Configs are renewed for 30 days; so often is enough, in milliseconds.
RENEW_EVERY = 6 * 3600 * 1000

Cursors = Callable[[Snode], Mapping[int, str]]


def of(known: Mapping[bytes, Mapping[int, str]]) -> Cursors:
    """What `poll` takes, of cursors by node."""
    return lambda node: known.get(node.ed25519, {})


class Receiver:
    """Polls for one session."""

    def __init__(
        self,
        core: Core,
        worker: Worker,
        network: Network,
        credentials: Credentials,
        groups: GroupFeature,
        listeners: Listeners,
    ) -> None:
        self._core = core
        self._worker = worker
        self._network = network
        self._credentials = credentials
        self._groups = groups
        self._listeners = listeners
        self._schedule = Schedule()
        self._own = asyncio.Lock()
        self._renewed = 0
        #: Called when what came could not be kept.
        self.on_failure: Callable[[DatabaseError], None] = lambda error: None

    async def sync(self) -> None:
        """Everything that is new, of the account and then of its groups. Raises `NetworkError`."""
        for _ in range(MOST_POLLS):
            if not await self.poll_own():
                break
        failure: NetworkError | None = None
        for handler in await self._groups.handlers():
            try:
                for _ in range(MOST_POLLS):
                    if not await self.poll_group(handler):
                        break
            except NetworkError as error:
                failure = error
        if failure is not None:
            raise failure

    async def poll_own(self) -> bool:
        """One poll; whether there is more. After a restore all members of the swarm are asked first."""
        async with self._own:
            if await self._worker.run(self._core.run, inbound.is_restoring):
                await self._restore()
            now = self._network.now()
            due = now >= self._renewed + RENEW_EVERY
            active = await self._worker.run(self._core.run, inbound.active_hashes) if due else []
            cursors = await self._worker.run(self._core.run, inbound.cursors, self._credentials.pubkey)
            namespaces = await self._worker.run(self._core.run, inbound.namespaces)
            result = await poll(self._network, self._credentials, namespaces, of(cursors), renew=active)
            await self._worker.run(self._core.run, inbound.receive, result, self._groups)
            if due:
                self._renewed = now
            return result.more

    async def _restore(self) -> None:
        """No member of the swarm is trusted alone to have the newest configs."""
        results = await poll_everyone(self._network, self._credentials, CONFIGS)
        await self._worker.run(self._core.run, inbound.restored, results, self._groups)

    async def adopt(self, hashes: Sequence[str]) -> None:
        """Has messages that another device has read disappear when they do there."""
        with contextlib.suppress(NetworkError, RefusedError):
            told = await expiries(self._network, self._credentials, hashes)
            await self._worker.run(self._core.run, inbound.adopt, told)

    async def poll_group(self, handler: GroupHandler) -> bool:
        """One poll of a group; whether there is more."""
        cursors, renew = await handler.cursors(), await handler.renew()
        result = await poll(
            self._network, handler.credentials, handler.namespaces, of(cursors), renew=renew, revoked=True
        )
        await handler.handle(result)
        return result.more

    async def run(self) -> None:
        """Polls for ever."""
        own = self._credentials.pubkey
        self._schedule.add(own, Kind.ACCOUNT)
        polls: set[asyncio.Task[None]] = set()
        try:
            while True:
                await self._watch()
                await self._listeners.ready()
                keys = await self._schedule.next()
                handlers = await self._watch()
                for key in keys:
                    task = asyncio.create_task(self._one(key, handlers.get(key)))
                    polls.add(task)
                    task.add_done_callback(polls.discard)
        finally:
            for task in polls:
                task.cancel()
            await asyncio.gather(*polls, return_exceptions=True)

    async def _watch(self) -> dict[str, GroupHandler]:
        """The groups as they are now, by id; one that is new is due at once."""
        handlers = {handler.group_id: handler for handler in await self._groups.handlers()}
        for handler in handlers.values():
            self._schedule.add(handler.group_id, Kind.GROUP, handler.active)
        return handlers

    def connection(self, online: bool) -> None:
        """The network is reached again, or no longer."""
        self._schedule.connection(online)

    def now(self) -> None:
        """The own account is polled at once, and with it groups that are new."""
        self._schedule.now(self._credentials.pubkey)

    async def _one(self, key: str, handler: GroupHandler | None) -> None:
        own = key == self._credentials.pubkey
        if handler is None and not own:
            self._schedule.remove(key)
            return
        more, failed = False, True
        try:
            more = await (self.poll_own() if handler is None else self.poll_group(handler))
            failed = False
            if own:
                # It may have brought a group.
                await self._watch()
        except (NetworkError, RefusedError):
            # The latter of a group that we were removed from; its handler learns it from the notice.
            pass
        except DatabaseError as error:
            self.on_failure(error)
        except Exception as error:
            # A fault of ours. It is repeated with the next poll, and costs no other account or group its own.
            _log.error("a poll failed: %s", type(error).__name__)
        finally:
            self._schedule.done(key, failed=failed, more=more)


__all__ = ["PollResult", "Receiver"]
