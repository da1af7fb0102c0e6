"""`allium files serve`: one process that serves files, from its start to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from aiohttp import web
from prometheus_client import exposition

import allium
from allium import _native
from allium.base import complaint, hardening, limits, log, notify, pidfile
from allium.base.admin_socket import SOCKET, listener
from allium.errors import EXIT_CONFIG, EXIT_FAILED, Complaint
from allium.files import health, setup
from allium.files.api import CONTENT_HEADERS, FileApi
from allium.files.http_server import FilesHttpServer
from allium.files.metrics import Metrics
from allium.files.onion_door import OnionDoor
from allium.files.quick_get import QuickGet
from allium.files.service import FileService
from allium.files.settings import FilesConfig
from allium.files.versions import Versions
from allium.settings import keys
from allium.settings.declared import ConfigError

#: Between two looks for files that have expired.
_TIDY_SECONDS = 10.0
#: How long requests under way may take when the server ends.
_DRAIN_SECONDS = 25.0
_WATCHDOG_SECONDS = 10.0
_BACKLOG = 4096
_INIT = "allium files init"


def run(config: FilesConfig, config_file: Path | None) -> int:
    """Serves until SIGTERM or SIGINT, finishes what is under way, and returns an exit code.

    SIGHUP reads the log level again. The file of versions is read again when it changes.
    """
    log.configure(config.log_level, config.log_format)
    hardening.keep_secrets()
    limits.raise_open_files()
    limits.return_memory()
    try:
        with pidfile.pid_file(config.data_dir):
            # Not uvloop: it cannot send files from the page cache.
            asyncio.run(_Server(config, config_file).serve())
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the engine is no `Exception`
        told, code = complaint.in_directory(error, config.data_dir)
        if isinstance(error, ValueError) and not isinstance(error, Complaint):
            told, code = str(error), EXIT_CONFIG
        log.get("files").error("the file server cannot start", reason=told)
        log.get("files").debug("the file server cannot start", exc_info=error)
        return code
    return 0


class _Server:
    """The parts of a running file server, and the order in which they begin and end."""

    def __init__(self, config: FilesConfig, config_file: Path | None) -> None:
        self._config = config
        self._config_file = config_file
        self._log = log.get("files")
        self._stop = asyncio.Event()
        self._started = time.time()

    async def serve(self) -> None:
        config = self._config
        secret = keys.load_ed25519(config.data_dir, _INIT)
        pubkey, _, x25519_secret = _native.node_keys(secret[:32])
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        async with contextlib.AsyncExitStack() as stack:
            index = await setup.open_index(config)
            blobs = setup.open_blobs(config)
            service = setup.service(config, index, blobs)
            stack.push_async_callback(service.close)
            await service.open(alone=config.index is None)
            metrics = Metrics(service, config.data_dir)
            api = FileApi(service, Versions(config.versions_file))
            door = OnionDoor(x25519_secret, service, api, metrics)
            quick = QuickGet.of(index, blobs, {**CONTENT_HEADERS, "server": "allium"}, metrics.downloaded)
            http = FilesHttpServer(config, api, door.answer, metrics, quick)
            runner = web.ServerRunner(http, handle_signals=False, shutdown_timeout=1.0)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, str(config.bind_ip), config.http_port, backlog=_BACKLOG)
            await site.start()
            await self._operate(stack, metrics, service, pubkey.hex())
            for work in (service.keep_tidy(_TIDY_SECONDS), _alive()):
                stack.callback(asyncio.create_task(work).cancel)
            status = f"{service.totals.files:,} files, {service.totals.bytes:,} bytes"
            self._log.info("serving", ip=str(config.bind_ip), port=config.http_port, key=pubkey.hex(), holds=status)
            notify.ready(status)
            await self._stop.wait()
            notify.stopping("finishing requests")
            await site.stop()
            await http.finish(_DRAIN_SECONDS)
        self._log.info("stopped")

    async def _operate(
        self, stack: contextlib.AsyncExitStack, metrics: Metrics, service: FileService, key: str
    ) -> None:
        """Answers those who run it. Without the socket, or the port, it works all the same, and its log says why."""
        config = self._config

        async def status(_: web.Request) -> web.Response:
            about = {"kind": health.KIND, "pid": os.getpid(), "version": allium.__version__, "started": self._started}
            told = {**about, "now": time.time(), "key": key, "files": metrics.document()}
            return web.json_response(health.with_problems(told))

        async def exposed(request: web.Request) -> web.Response:
            encode, content_type = exposition.choose_encoder(request.headers.get("Accept", ""))
            return web.Response(body=encode(metrics.registry), headers={"Content-Type": content_type})

        for name, site in (
            ("admin socket", lambda runner: web.SockSite(runner, listener(config.data_dir))),
            ("metrics", lambda runner: web.TCPSite(runner, str(config.metrics_ip), config.metrics_port)),
        ):
            if name == "metrics" and config.metrics_port is None:
                continue
            application = web.Application(client_max_size=1)
            application.router.add_get("/metrics", exposed)
            if name != "metrics":
                application.router.add_get("/status", status)
            runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            try:
                await site(runner).start()
            except OSError as error:
                self._log.error(f"no {name}", reason=error.strerror or str(error))
        stack.callback((config.data_dir / SOCKET).unlink, missing_ok=True)

    def _on_stop(self) -> None:
        if self._stop.is_set():
            self._log.warning("stopped at once by a second signal")
            os._exit(EXIT_FAILED)  # what hangs would be waited for
        self._log.info("stopping; a second signal stops at once")
        self._stop.set()

    def _on_reload(self) -> None:
        notify.reloading()
        try:
            config = FilesConfig.load(self._config_file, {"data_dir": self._config.data_dir})
            log.configure(config.log_level, config.log_format)
        except ConfigError as error:
            self._log.error("the settings are unusable, those before stay", reason=str(error))
        notify.ready()


async def _alive() -> Any:
    while True:
        notify.alive()
        await asyncio.sleep(_WATCHDOG_SECONDS)
