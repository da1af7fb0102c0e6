"""`allium files serve`: one process that serves files."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import ClassVar

from allium.base import complaint
from allium.errors import Complaint
from allium.files import health, setup
from allium.files.api import CONTENT_HEADERS, FileApi
from allium.files.http_server import FilesHttpServer
from allium.files.metrics import Metrics
from allium.files.onion_door import FilesOnionDoor
from allium.files.quic_door import QuicDoor
from allium.files.quick_get import QuickGet
from allium.files.settings import FilesConfig
from allium.files.versions import Versions
from allium.server import process
from allium.server.health import Problem
from allium.server.http_server import HttpServer
from allium.server.process import ServerProcess
from allium.server.quota import SourceQuota

#: Between two looks for files that have expired.
_TIDY_SECONDS = 10.0


def run(config: FilesConfig, config_file: Path | None) -> int:
    """Serves until a signal, and returns an exit code (`process.run`).

    The file of versions is read again when it changes.
    """
    return process.run(FilesProcess, config, lambda: FilesConfig.load(config_file, {"data_dir": config.data_dir}))


class BindError(Complaint):
    """A port that it needs is not to be had."""


class FilesProcess(ServerProcess[FilesConfig]):
    """The parts of a running file server."""

    kind: ClassVar[str] = health.KIND
    title: ClassVar[str] = "file server"
    init: ClassVar[str] = "allium files init"

    metrics: Metrics

    async def open(self, stack: contextlib.AsyncExitStack, ed25519_seed: bytes, x25519_secret: bytes) -> HttpServer:
        """See `ServerProcess`."""
        config = self.config
        index = await setup.open_index(config)
        blobs = setup.open_blobs(config)
        self._service = service = setup.service(config, index, blobs)
        stack.push_async_callback(service.close)
        await service.open(alone=config.index is None)
        self.metrics = metrics = Metrics(service, config.data_dir)
        api = FileApi(service, Versions(config.versions_file))
        door = FilesOnionDoor(x25519_secret, service, api, metrics)
        quick = QuickGet.of(index, blobs, {**CONTENT_HEADERS, "server": "allium"})
        stack.callback(asyncio.create_task(service.keep_tidy(_TIDY_SECONDS)).cancel)
        source_quota = SourceQuota(config.source_day_bytes, config.source_exempt)
        if config.quic:
            await self._open_quic(stack, source_quota, ed25519_seed)
        return FilesHttpServer(config, source_quota, api, door.answer, metrics, quick)

    async def _open_quic(
        self, stack: contextlib.AsyncExitStack, source_quota: SourceQuota, ed25519_seed: bytes
    ) -> None:
        config = self.config
        try:
            door = QuicDoor(config, self._service, source_quota, self.metrics, ed25519_seed)
        except OSError as error:
            reason = complaint.sentence(error).text.partition(";")[0]
            raise BindError(
                f"UDP port {config.http_port} of {config.bind_ip} cannot be used for QUIC ({reason}); "
                "stop what has it, choose another http_port, or set quic = false"
            ) from None
        stack.push_async_callback(door.finish, process.DRAIN_SECONDS)
        serving = asyncio.create_task(door.serve())
        stack.callback(serving.cancel)

    @property
    def holds(self) -> str:
        """See `ServerProcess`."""
        totals = self._service.totals
        return f"{totals.files:,} files, {totals.bytes:,} bytes"

    def problems(self, numbers: dict[str, float]) -> list[Problem]:
        """See `ServerProcess`."""
        return list(health.problems(numbers))
