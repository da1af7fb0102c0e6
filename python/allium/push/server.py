"""`allium push serve`: one process that wakes devices."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, ClassVar

from allium.base import log
from allium.push import health, senders
from allium.push.api import MOST_BODY, PushApi
from allium.push.database import FILE_NAME, PushDatabase
from allium.push.delivery import Delivery
from allium.push.metrics import PushMetrics
from allium.push.monitor import Monitor
from allium.push.networks import networks
from allium.push.service import PushService
from allium.push.settings import PushConfig
from allium.server import process
from allium.server.health import Problem
from allium.server.http_server import HttpServer
from allium.server.onion_door import OnionDoor
from allium.server.process import ServerProcess
from allium.server.quota import SourceQuota

_TIDY_SECONDS = 10.0


def run(config: PushConfig, config_file: Path | None) -> int:
    """Serves until a signal, and returns an exit code (`process.run`)."""
    return process.run(PushProcess, config, lambda: PushConfig.load(config_file, {"data_dir": config.data_dir}))


class PushProcess(ServerProcess[PushConfig]):
    """The parts of a running push server."""

    kind: ClassVar[str] = health.KIND
    title: ClassVar[str] = "push server"
    init: ClassVar[str] = "allium push init"

    metrics: PushMetrics

    async def open(self, stack: contextlib.AsyncExitStack, ed25519_seed: bytes, x25519_secret: bytes) -> HttpServer:
        """See `ServerProcess`."""
        config = self.config
        services = senders.make(config)
        database = PushDatabase(config.data_dir / FILE_NAME)
        self.metrics = metrics = PushMetrics(config.data_dir)
        private = dict.fromkeys(services.senders, config.webpush_private)
        self._service = service = PushService(config, database, metrics, private)
        stack.push_async_callback(service.close)
        await service.open()
        monitor = Monitor(
            lambda account: [kept.subscription for kept in database.of_account(account)],
            service.told,
            config.swarm_members,
        )
        service.watched = monitor
        metrics.show(service, monitor, (config.max_subscriptions, config.max_queued))
        works: list[Coroutine[Any, Any, None]] = [
            service.run(),
            service.keep_tidy(_TIDY_SECONDS),
            monitor.run(networks(config), database.accounts()),
        ]
        for name, sender in services.senders.items():
            delivery = Delivery(name, sender, config.deliveries, database, service, metrics)
            service.wake[name] = delivery.wake
            works.append(delivery.run())
        tasks = [asyncio.create_task(self._watched(work)) for work in works]
        stack.push_async_callback(_end, tasks)
        api = PushApi(service, metrics, services.vapid)
        door = OnionDoor(x25519_secret, MOST_BODY, api.answer, metrics)
        quota = SourceQuota(config.source_day_bytes, config.source_exempt)
        return PushHttpServer(config, quota, api.answer, door.answer, metrics)

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        """Without one of its parts the server wakes nobody: it ends, and is started again."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            log.failure(self._log, "a part of the push server failed", error)
            self.fail(error)

    @property
    def holds(self) -> str:
        """See `ServerProcess`."""
        totals = self._service.totals
        return f"{totals.subscriptions:,} subscriptions, {totals.queued:,} notifications"

    def problems(self, numbers: dict[str, float]) -> list[Problem]:
        """See `ServerProcess`."""
        return list(health.problems(numbers))


class PushHttpServer(HttpServer):
    """The HTTP server of pushes."""

    def kind(self, request: Any) -> str:
        """What is asked, of a fixed number of words."""
        known = request.rel_url.raw_path.removeprefix("/").partition("/")[0]
        known = known if known in ("subscribe", "unsubscribe", "services", "oxen") else "other"
        return f"{super().kind(request)} {known}"


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
