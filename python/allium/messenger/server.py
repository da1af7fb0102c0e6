"""The service as a process: it takes its directory, opens the accounts, listens, and ends tidily."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from allium.base.pidfile import pid_file
from allium.client.transfers.transfer import FileServer
from allium.messenger.access import Access
from allium.messenger.app import application
from allium.messenger.places import Places, write_json
from allium.messenger.service import Service

_log = logging.getLogger(__name__)
LOOPBACK = "127.0.0.1"
#: Where it listens unless that is taken: one place, so that a browser finds its page again.
PORT = 22480
MAX_CONNECTIONS = 256
#: Of a message that a page sends over the WebSocket, where it has nothing to say, bytes.
_MAX_FRAME = 4096
_BACKLOG = 128
#: What is under way may take so long at the end, seconds.
_PATIENCE = 5


@dataclass(frozen=True)
class Wanted:
    """What was asked for."""

    directory: Path
    seeds: Sequence[str] = ()
    #: None: `PORT`, or any other if that is taken.
    port: int | None = None
    file_server: FileServer | None = None
    version: str = ""


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Nothing."""
        yield


async def serve(wanted: Wanted, ready: Callable[[str], object]) -> None:
    """Serves until SIGINT or SIGTERM; `ready` is told a link that opens the messenger once. `InUseError`, `OSError`."""
    places = Places(wanted.directory)
    with pid_file(wanted.directory):
        listener = _listen(wanted.port)
        port = listener.getsockname()[1]
        origins = {f"http://{host}:{port}" for host in (LOOPBACK, "localhost")}
        service = Service(places, seeds=wanted.seeds, version=wanted.version, file_server=wanted.file_server)
        access = Access(places)
        server = _Server(_config(application(service, access, origins)))
        async with _stopped_by_signals(server):
            starting = asyncio.create_task(service.start())
            try:
                write_json(places.running, {"url": f"http://{LOOPBACK}:{port}", "pid": os.getpid()})
                ready(f"http://{LOOPBACK}:{port}/open?token={access.link()}")
                await server.serve([listener])
            finally:
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
                await service.close()
                places.running.unlink(missing_ok=True)


def _listen(port: int | None) -> socket.socket:
    for each in (PORT, 0) if port is None else (port,):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, each))
            # Whoever follows the link at once waits until it is answered.
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            if each == 0 or port is not None:
                raise
            continue
        return listener
    raise AssertionError


def _config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="websockets-sansio",
        ws_max_size=_MAX_FRAME,
        ws_per_message_deflate=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_PATIENCE,
        h11_max_incomplete_event_size=64 << 10,
    )


@contextlib.asynccontextmanager
async def _stopped_by_signals(server: uvicorn.Server) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        # Asked twice, it does not wait for anybody.
        server.force_exit = server.should_exit
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
