"""File servers for the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from allium.devnet import ports
from tests.support.file_server import FileServer

Make = Callable[..., FileServer]


@pytest.fixture(scope="module")
def file_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileServer]:
    """One that serves, for tests that leave it as it is."""
    with ports.reserve(1) as [port]:
        server = FileServer(tmp_path_factory.mktemp("files"), port)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Make]:
    """Makes servers with settings of their own, which serve."""
    with ExitStack() as stack:

        def make(**settings: Any) -> FileServer:
            [port] = stack.enter_context(ports.reserve(1))
            server = FileServer(tmp_path, port, **settings)
            stack.callback(server.end)
            server.start()
            return server

        yield make


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """Who asks."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session
