"""The process of a server: from its start to its end, with what those who run it ask of it meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from aiohttp import web
from prometheus_client import exposition

import allium
from allium import _native
from allium.base import complaint, hardening, limits, log, notify, pidfile
from allium.base.admin_socket import SOCKET, listener
from allium.errors import EXIT_CONFIG, EXIT_FAILED, Complaint
from allium.server import health
from allium.server.http_server import HttpServer
from allium.server.metrics import ServerMetrics
from allium.settings import keys
from allium.settings.declared import ConfigError
from allium.settings.server import ServerConfig

Config = TypeVar("Config", bound=ServerConfig)

#: How long requests under way may take when the server ends.
DRAIN_SECONDS = 25.0
_WATCHDOG_SECONDS = 10.0
_BACKLOG = 4096


class ServerProcess(ABC, Generic[Config]):
    """The parts of a running server, and the order in which they begin and end."""

    #: How its status and its log are told from another server's.
    kind: ClassVar[str]
    #: What people call it.
    title: ClassVar[str]
    #: The command that makes its key.
    init: ClassVar[str]

    #: What is counted, once it is open.
    metrics: ServerMetrics

    def __init__(self, config: Config, reload: Callable[[], Config]) -> None:
        """`reload`: the settings as they are now; raises `ConfigError`."""
        self.config = config
        self._reload = reload
        self._log = log.get(self.kind)
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None
        self._started = time.time()

    @abstractmethod
    async def open(self, stack: contextlib.AsyncExitStack, ed25519_seed: bytes, x25519_secret: bytes) -> HttpServer:
        """Makes the parts, of which `stack` ends those that have to be."""

    @property
    @abstractmethod
    def holds(self) -> str:
        """How much it has, once it is open."""

    @abstractmethod
    def problems(self, numbers: dict[str, float]) -> list[health.Problem]:
        """What is not well of its own."""

    async def serve(self) -> None:
        """Serves until SIGTERM or SIGINT, and finishes what is under way."""
        config = self.config
        secret = keys.load_ed25519(config.data_dir, self.init)
        pubkey, _, x25519_secret = _native.node_keys(secret[:32])
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        async with contextlib.AsyncExitStack() as stack:
            http = await self.open(stack, secret[:32], x25519_secret)
            runner = web.ServerRunner(http, handle_signals=False, shutdown_timeout=1.0)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, str(config.bind_ip), config.http_port, backlog=_BACKLOG)
            await site.start()
            await self._operate(stack, pubkey.hex())
            stack.callback(asyncio.create_task(_alive()).cancel)
            self._log.info("serving", ip=str(config.bind_ip), port=config.http_port, key=pubkey.hex(), holds=self.holds)
            notify.ready(self.holds)
            await self._stop.wait()
            notify.stopping("finishing requests")
            await site.stop()
            await http.finish(DRAIN_SECONDS)
        if self._failure is not None:
            raise self._failure
        self._log.info("stopped")

    def fail(self, error: BaseException) -> None:
        """A part of it cannot go on: it ends, as by a signal, with this error."""
        self._failure = error
        self._stop.set()

    async def _operate(self, stack: contextlib.AsyncExitStack, key: str) -> None:
        """Answers those who run it. Without the socket, or the port, it works all the same, and its log says why."""
        config, metrics = self.config, self.metrics

        async def status(_: web.Request) -> web.Response:
            about = {"kind": self.kind, "pid": os.getpid(), "version": allium.__version__, "started": self._started}
            numbers = metrics.document()
            told = {**about, "now": time.time(), "key": key, self.kind: numbers}
            return web.json_response(health.with_problems(told, [*self.problems(numbers), *health.of_disk(numbers)]))

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
            config = self._reload()
            log.configure(config.log_level, config.log_format)
        except ConfigError as error:
            self._log.error("the settings are unusable, those before stay", reason=str(error))
        notify.ready()


def run(make: type[ServerProcess[Config]], config: Config, reload: Callable[[], Config]) -> int:
    """Serves until SIGTERM or SIGINT, finishes what is under way, and returns an exit code.

    SIGHUP reads the log level again.
    """
    log.configure(config.log_level, config.log_format)
    hardening.keep_secrets()
    limits.raise_open_files()
    limits.return_memory()

    async def serve() -> None:
        await make(config, reload).serve()

    try:
        with pidfile.pid_file(config.data_dir):
            # Not uvloop: it cannot send files from the page cache.
            asyncio.run(serve())
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the engine is no `Exception`
        told, code = complaint.in_directory(error, config.data_dir)
        if isinstance(error, ValueError) and not isinstance(error, Complaint):
            told, code = str(error), EXIT_CONFIG
        log.get(make.kind).error(f"the {make.title} cannot run", reason=told)
        log.get(make.kind).debug(f"the {make.title} cannot run", exc_info=error)
        return code
    return 0


async def _alive() -> Any:
    while True:
        notify.alive()
        await asyncio.sleep(_WATCHDOG_SECONDS)
