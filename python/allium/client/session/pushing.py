"""Configs on their way into the own swarm: soon after an edit, and again until they are there (`spec/configs` §6).

One `sequence` stores every dirty config and then deletes what they replace. A config that was edited or merged
meanwhile is pushed again; the same bytes stored twice are one message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from allium.client.credentials import Credentials
from allium.client.errors import NetworkError, RefusedError
from allium.client.messages.delivery import CONFIG_TTL
from allium.client.network import Network
from allium.client.session import erasing, inbound
from allium.client.session.configs import ConfigPush
from allium.client.session.core import Core, Work
from allium.client.session.worker import Worker
from allium.client.swarm import Delete, Outcome, Store, Stored, sequence

#: Between two rounds, in seconds, so that many edits become one push.
DEBOUNCE = 3.0
_MAX_BACKOFF = 60.0
#: Rounds of one `push`: each after the first because something was edited during the one before.
_ROUNDS = 5


class Pusher:
    """Pushes the configs of an account."""

    def __init__(self, core: Core, worker: Worker, network: Network, credentials: Credentials) -> None:
        self._core = core
        self._worker = worker
        self._network = network
        self._credentials = credentials
        self._wanted = asyncio.Event()
        self._pushing = asyncio.Lock()

    def wake(self) -> None:
        """Something may have to be pushed."""
        self._wanted.set()

    async def run(self, debounce: float = DEBOUNCE) -> None:
        """Pushes whenever it is woken, for ever."""
        failures = 0
        while True:
            await self._wanted.wait()
            await asyncio.sleep(debounce if not failures else min(debounce * 2**failures, _MAX_BACKOFF))
            self._wanted.clear()
            try:
                await self.push()
                failures = 0
            except (NetworkError, RefusedError):
                failures = min(failures + 1, 8)
                self._wanted.set()

    async def push(self) -> None:
        """Returns when all is in the swarm. Raises `NetworkError` or `RefusedError`; nothing is lost then."""
        async with self._pushing:
            for _ in range(_ROUNDS):
                pushes = await self._worker.run(self._core.run, begin)
                if not pushes:
                    return
                await self._round(pushes)

    async def _round(self, pushes: Sequence[ConfigPush]) -> None:
        stores = [Store(each.namespace, payload, CONFIG_TTL) for each in pushes for payload in each.push.payloads]
        obsolete = [hash_ for each in pushes for hash_ in each.push.obsolete]
        requests: list[Store | Delete] = [*stores]
        if obsolete:
            requests.append(Delete(tuple(obsolete)))
        results = await sequence(self._network, self._credentials, requests)
        for result in results:
            # What follows a refusal was not done either.
            if isinstance(result, Outcome) and not result.ok:
                raise RefusedError(result.code, result.reason)
        hashes = iter([each.hash for each in results if isinstance(each, Stored)])
        stored = [(each, [next(hashes) for _ in each.push.payloads]) for each in pushes]
        await self._worker.run(self._core.run, confirm, stored)


def begin(work: Work) -> list[ConfigPush]:
    """What to store now. It is dumped before it is sent, so that a crash in between repeats the same bytes."""
    # What was edited before the configs are known goes with what they are.
    if erasing.is_begun(work) or inbound.is_restoring(work):
        return []
    poor: list[int] = []
    return work.configs.pushes(work.now, lambda namespace, _: poor.append(namespace))


def confirm(work: Work, stored: Sequence[tuple[ConfigPush, list[str]]]) -> None:
    """All of it was stored under these hashes, and what it replaces is deleted."""
    for each, hashes in stored:
        work.configs[each.namespace].confirm_pushed(each.push.seqno, hashes, deleted=each.push.obsolete)
