"""Subscriptions taken in and ended, messages made into notifications: what both ways in ask, and what nodes tell."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from allium.base import log
from allium.errors import Complaint
from allium.push import payload
from allium.push.database import NewNotification, Notification, PushDatabase, Totals
from allium.push.metrics import PushMetrics
from allium.push.payload import Message
from allium.push.settings import PushConfig
from allium.push.subscription import Subscription, Unsubscription

#: Messages that were told and are not notifications yet, and those of one step.
_MOST_TOLD, _STEP = 20_000, 256
#: Messages that are known again when another node tells of them.
_REMEMBERED = 100_000
#: Notifications that wait for one device; fewer, the fuller the queue is.
_OF_DEVICE = 64


class AccountWatcher(Protocol):
    """Who has accounts subscribed to at nodes."""

    async def add(self, account: bytes) -> None:
        """An account has another subscription."""

    async def remove(self, account: bytes) -> None:
        """An account has none any more."""


class PushService:
    """The subscriptions and the queue of one server."""

    def __init__(
        self,
        config: PushConfig,
        database: PushDatabase,
        metrics: PushMetrics,
        services: Mapping[str, bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`services`: those that are delivered to, and whether endpoints may be at private addresses."""
        self._config = config
        self._database = database
        self._metrics = metrics
        self.clock = clock
        self._log = log.get("push")
        self.services = services
        #: As of the last look; what has changed since is in it.
        self.totals = Totals(0, 0)
        #: OnMessage of services that have something new.
        self.wake: dict[str, Callable[[], None]] = {}
        self.watched: AccountWatcher | None = None
        self._told: list[Message] = []
        self._there = asyncio.Event()
        self._known: OrderedDict[tuple[bytes, str], None] = OrderedDict()

    async def open(self) -> None:
        """Has to come first."""
        self.totals = await self._database.open()

    # --- subscriptions, which are proven

    async def subscribe(self, asked: Sequence[Subscription]) -> list[bool | None]:
        """Whether each was new, and not put in place of another; `None`: there are as many as may be.

        Raises a `Complaint`.
        """
        room = self._config.max_subscriptions - self.totals.subscriptions
        taken: list[Subscription] = []
        for one in asked:
            # Who is there already may stay, however full it is.
            if self._database.has_device(one.permission.account, one.device):
                taken.append(one)
            elif room > 0:
                taken.append(one)
                room -= 1
        done = await self._database.subscribe(taken, self._config.account_subscriptions)
        self._count(subscriptions=sum(new - ended for new, ended in done))
        for account in {one.permission.account for one in taken}:
            if self.watched is not None:
                await self.watched.add(account)
        told = {id(one): new for one, (new, _) in zip(taken, done, strict=True)}
        return [told.get(id(one)) for one in asked]

    async def unsubscribe(self, asked: Unsubscription) -> bool:
        """Whether there was such a subscription."""
        removed = await self._database.unsubscribe(asked.permission.account, asked.device)
        if removed:
            self._count(subscriptions=-1)
            await self._look(asked.permission.account)
        return removed

    async def device_gone(self, notification: Notification) -> None:
        """Ends the subscription of a device that is no more, with all that waits for it."""
        if await self._database.remove(notification.subscription):
            self._metrics.gone.inc()
            self._count(subscriptions=-1)
        self._count(queued=-1)
        # That its account is watched for nobody is found with its next message.

    async def finished(self, notification: Notification) -> None:
        """A notification was delivered, or is given up."""
        await self._database.finish([notification.id])
        self._count(queued=-1)

    async def _look(self, account: bytes) -> None:
        if self.watched is not None and not self._database.has(account):
            await self.watched.remove(account)

    def _count(self, subscriptions: int = 0, queued: int = 0) -> None:
        self.totals = Totals(self.totals.subscriptions + subscriptions, max(0, self.totals.queued + queued))

    # --- messages

    def told(self, message: Message) -> None:
        """A node tells of a message; others of its swarm may have before."""
        key = message.account, message.hash
        if key in self._known:
            return
        if len(self._told) >= _MOST_TOLD:
            self._metrics.dropped.labels("busy").inc()
            return
        self._known[key] = None
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        self._metrics.messages.inc()
        self._told.append(message)
        self._there.set()

    async def run(self) -> None:
        """Makes notifications of messages, until cancelled."""
        while True:
            await self._there.wait()
            step, self._told = self._told[:_STEP], self._told[_STEP:]
            if not self._told:
                self._there.clear()
            try:
                await self._notify(step)
            except Complaint as error:
                self._metrics.dropped.labels("busy").inc(len(step))
                self._log.error("notifications could not be written", reason=str(error))
            # The others on the loop have their turn, however much there is.
            await asyncio.sleep(0)

    async def _notify(self, messages: Sequence[Message]) -> None:
        made: list[NewNotification] = []
        for message in messages:
            found = self._notifications(message)
            made += found
            if not found:
                await self._look(message.account)
        of_device = max(1, round(_OF_DEVICE * (1 - self.totals.queued / self._config.max_queued)))
        kept = _at_most(of_device, made)
        self._metrics.dropped.labels("device").inc(len(made) - len(kept))
        room = max(0, self._config.max_queued - self.totals.queued)
        self._metrics.dropped.labels("full").inc(max(0, len(kept) - room))
        if not (kept := kept[:room]):
            return
        added = await self._database.add(kept, of_device)
        self._count(queued=added)
        self._metrics.dropped.labels("device").inc(len(kept) - added)
        for service in {one.service for one in kept}:
            if service in self.wake:
                self.wake[service]()

    def _notifications(self, message: Message) -> list[NewNotification]:
        now = self.clock()
        plain: dict[bool, bytes] = {}
        made = []
        for kept in self._database.of_account(message.account):
            one = kept.subscription
            if message.namespace not in one.namespaces or one.device.service not in self.services:
                continue
            if one.data not in plain:
                plain[one.data] = payload.plain(message, one.data)
            expires = min(now + self._config.keep_seconds, max(now, message.expiry / 1000))
            text = payload.sealed(plain[one.data], one.enc_key)
            made.append(NewNotification(kept.id, one.device.service, now, expires, text))
        return made

    # --- what goes by itself

    async def tidy(self) -> None:
        """Ends what has lapsed, drops what has waited for too long, in steps."""
        while lapsed := await self._database.lapse(self.clock()):
            self._metrics.lapsed.inc(len(lapsed))
            for account in lapsed:
                await self._look(account)
        while dropped := await self._database.expire(self.clock()):
            self._metrics.dropped.labels("expired").inc(dropped)
        self.totals = await self._database.totals()

    async def keep_tidy(self, seconds: float) -> None:
        """`tidy` again and again, until cancelled."""
        while True:
            try:
                await self.tidy()
            except Complaint as error:
                self._log.error("what has lapsed is still there", reason=str(error))
            await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Nobody may ask any more."""
        await self._database.close()


def _at_most(count: int, made: Sequence[NewNotification]) -> list[NewNotification]:
    """The first so many for each device."""
    seen: Counter[int] = Counter()
    kept = []
    for one in made:
        seen[one.subscription] += 1
        if seen[one.subscription] <= count:
            kept.append(one)
    return kept
