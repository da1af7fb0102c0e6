"""The queue on its way out: each service has places of its own, so that one that hangs keeps no other waiting."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time

from allium.base import log
from allium.errors import Complaint
from allium.push.database import Notification, PushDatabase
from allium.push.metrics import PushMetrics
from allium.push.outcome import Outcome, OutcomeKind, Sender, retry
from allium.push.service import PushService

#: Between two attempts: the first pause, and the longest. Each is twice the one before, more or less.
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 3600.0
#: What one attempt may take.
_ATTEMPT_SECONDS = 20.0
#: Another process may have changed the clock.
_LONGEST_SLEEP = 60.0


class Delivery:
    """Delivers what is due to one service."""

    def __init__(
        self,
        service: str,
        sender: Sender,
        places: int,
        database: PushDatabase,
        pushes: PushService,
        metrics: PushMetrics,
    ) -> None:
        self._service = service
        self._sender = sender
        self._places = places
        self._database = database
        self._pushes = pushes
        self._metrics = metrics
        self._running: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._log = log.get("push")

    def wake(self) -> None:
        """There is something new."""
        self._wake.set()

    async def run(self) -> None:
        """Delivers until cancelled, and finishes what is under way."""
        try:
            while True:
                self._wake.clear()
                free = self._places - len(self._running)
                # A few at a time would be a transaction for each.
                claimed = await self._claim(free) if free >= max(1, self._places // 4) else []
                for one in claimed:
                    task = asyncio.create_task(self._deliver(one))
                    self._running.add(task)
                    task.add_done_callback(self._done)
                if not claimed:
                    await self._sleep()
        finally:
            if self._running:
                await asyncio.wait(self._running, timeout=_ATTEMPT_SECONDS)
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
            await self._sender.close()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()

    async def _claim(self, free: int) -> list[Notification]:
        try:
            return await self._database.claim(self._service, time.time(), free)
        except Complaint as error:
            self._log.error("the queue cannot be read", reason=str(error))
            await asyncio.sleep(1)
            return []

    async def _sleep(self) -> None:
        due = self._database.next_due(self._service) if len(self._running) < self._places else None
        pause = _LONGEST_SLEEP if due is None else min(max(due - time.time(), 0.0), _LONGEST_SLEEP)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._wake.wait()

    async def _deliver(self, notification: Notification) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(_ATTEMPT_SECONDS):
                outcome = await self._sender.send(notification)
        except TimeoutError:
            outcome = retry("no answer in time")
        except Exception as error:
            # Whatever a stranger's server made of it: the others go on.
            log.failure(self._log, "a notification could not be sent", error, service=self._service)
            outcome = retry("it could not be sent")
        self._metrics.attempted(self._service, outcome.kind.value, time.monotonic() - began)
        try:
            await self._settle(notification, outcome)
        except Complaint as error:
            # It is being sent until the next start.
            self._log.error("what became of a notification could not be written", reason=str(error))

    async def _settle(self, notification: Notification, outcome: Outcome) -> None:
        match outcome.kind:
            case OutcomeKind.GONE:
                await self._pushes.device_gone(notification)
            case OutcomeKind.RETRY:
                pause = min(_FIRST_PAUSE * 2.0 ** min(notification.attempts, 16), _LONGEST_PAUSE)
                pause *= random.uniform(0.75, 1.25)  # noqa: S311 - nobody has to guess it
                due = time.time() + max(pause, outcome.after or 0.0)
                if due < notification.expires:
                    self._log.debug("a notification waits", service=self._service, reason=outcome.reason)
                    await self._database.postpone(notification.id, due)
                    return
                self._metrics.dropped.labels("expired").inc()
                await self._pushes.finished(notification)
            case OutcomeKind.FAILED:
                self._log.warning("a notification is refused", service=self._service, reason=outcome.reason)
                await self._pushes.finished(notification)
            case OutcomeKind.DELIVERED:
                await self._pushes.finished(notification)
