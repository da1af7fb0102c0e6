"""Removes messages when their time has come (`spec/messages` §6)."""

from __future__ import annotations

import asyncio
import contextlib

from allium.client.session import inbound, outbound
from allium.client.session.core import Core
from allium.client.session.group import GroupFeature
from allium.client.session.worker import Worker

#: After it, at the latest, it is looked whether messages have disappeared; seconds.
LONGEST_WAIT = 600.0


class Expirer:
    """For one session."""

    def __init__(self, core: Core, worker: Worker, groups: GroupFeature) -> None:
        self._core = core
        self._worker = worker
        self._groups = groups
        self._wanted = asyncio.Event()
        self._next: int | None = None

    def due(self, when: int | None) -> None:
        """When the next message disappears, Unix milliseconds; None if none does."""
        if when is not None and (self._next is None or when < self._next):
            self._next = when
            self._wanted.set()

    async def run(self) -> None:
        """For ever; and first what an older version could not read is read."""
        await self._worker.run(self._core.run, inbound.read_again, self._groups)
        while True:
            self._wanted.clear()
            due = self._next = await self._worker.run(self._core.run, outbound.expire)
            # The clock may be set meanwhile, so nothing is waited for in one go.
            wait = LONGEST_WAIT if due is None else min(max(0.05, (due - self._core.now()) / 1000), LONGEST_WAIT)
            with contextlib.suppress(TimeoutError):
                # Not `wait_for`, which forgets that it was cancelled if the event comes at the same moment.
                async with asyncio.timeout(wait):
                    await self._wanted.wait()
