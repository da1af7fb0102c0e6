"""Push services, and the parts of a push server in the test's own event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest_asyncio

from allium.push import senders, webpush
from allium.push.api import PushApi
from allium.push.database import FILE_NAME, PushDatabase
from allium.push.delivery import Delivery
from allium.push.metrics import PushMetrics
from allium.push.service import PushService
from allium.push.settings import SCHEMA, PushConfig
from allium.server.messages import Request
from tests.support.push_services import PushServices


class Parts:
    """All but the way to the nodes and HTTP: what is asked goes to the API, messages come by `service.told`."""

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        self.directory = directory
        given = {"data_dir": directory, "network_file": directory / "nodes.json", **settings}
        self.config = PushConfig(**SCHEMA.checked(given, "the test"))
        self._stack = AsyncExitStack()

    async def start(self, delivers: bool = True) -> None:
        """Everything runs; without `delivers`, the queue is only filled."""
        services = senders.make(self.config)
        self.database = PushDatabase(self.directory / FILE_NAME)
        self.metrics = PushMetrics(self.directory)
        private = dict.fromkeys(services.senders, self.config.webpush_private)
        self.service = PushService(self.config, self.database, self.metrics, private)
        await self.service.open()
        self.api = PushApi(self.service, self.metrics, services.vapid)
        works = [self.service.run()]
        for name, sender in services.senders.items():
            if not delivers:
                self._stack.push_async_callback(sender.close)
                continue
            delivery = Delivery(name, sender, 8, self.database, self.service, self.metrics)
            self.service.wake[name] = delivery.wake
            works.append(delivery.run())
        self._tasks = [asyncio.create_task(work) for work in works]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()
        await self.service.close()

    async def ask(self, path: str, told: Any, method: str = "POST") -> Any:
        """What is answered to JSON, or to bytes."""
        body = told if isinstance(told, bytes) else json.dumps(told).encode()

        async def pieces() -> AsyncIterator[bytes]:
            yield body

        answer = await self.api.answer(Request(method, path, "", {}, len(body), pieces()))
        assert answer.status == 200
        return json.loads(answer.body)


@pytest_asyncio.fixture
async def services(tmp_path: Path) -> AsyncIterator[PushServices]:
    """Who delivers to devices."""
    async with PushServices(tmp_path) as made:
        yield made


Make = Callable[..., Awaitable[Parts]]


@pytest_asyncio.fixture
async def make_parts(tmp_path: Path, services: PushServices) -> AsyncIterator[Make]:
    """Makes a server's parts with settings of their own, again and again over the same database."""
    webpush.create_key(tmp_path)
    running: list[Parts] = []

    async def make(delivers: bool = True, **settings: Any) -> Parts:
        for before in running:
            await before.stop()
        running[:] = [Parts(tmp_path, {**services.settings, **settings})]
        await running[0].start(delivers)
        return running[0]

    yield make
    for last in running:
        await last.stop()


@pytest_asyncio.fixture
async def parts(make_parts: Make) -> Parts:
    """A server's parts, which deliver."""
    return await make_parts()
