"""The messenger's service in the test's own process, where its parts can be reached."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import uvicorn

from allium.messenger.access import Access
from allium.messenger.app import application
from allium.messenger.places import Places
from allium.messenger.server import configuration
from allium.messenger.service import Service
from tests.support.messenger import Messenger


class Here(Messenger):
    """Asked as one in a process of its own, from threads beside the loop."""

    def __init__(self, directory: Path, service: Service, port: int) -> None:
        super().__init__(directory, None)
        self.service, self.port = service, port
        self.link = f"http://127.0.0.1:{port}/"

    async def aside(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What a call of this class returns; the loop goes on meanwhile."""
        return await asyncio.to_thread(call, *arguments, **options)


@contextlib.asynccontextmanager
async def here(directory: Path, **options: Any) -> AsyncIterator[Here]:
    """A service without a network, until the block ends; `options` of `application`."""
    places = Places(directory)
    service, access = Service(places, seeds=["http://127.0.0.1:1/"]), Access(places)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        app = application(service, access, {f"http://127.0.0.1:{port}"}, **options)
        server = uvicorn.Server(configuration(app))
        serving = asyncio.create_task(server._serve([listener]))
        try:
            await service.start()
            yield Here(directory, service, port)
        finally:
            server.should_exit = server.force_exit = True
            await serving
            # It waits for nobody, and leaves open who is in the middle of something.
            for each in list(server.server_state.connections):
                if (wire := getattr(each, "transport", None)) is not None:
                    wire.abort()
            await service.close()
