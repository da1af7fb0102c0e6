"""One node process: the engine, and the orchestrator's tasks around it on one event loop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from allium import keys, log, notify
from allium.config import ConfigError, NodeConfig
from allium.keys import KeyFileError, NodeKeys
from allium.membership import Membership, MembershipError
from allium.membership.static import StaticMembership, changes

if TYPE_CHECKING:
    from allium._native import Node

EXIT_OK = 0
#: The machine refused something that may be different at the next start, such as a port in use.
EXIT_FAILED = 1
#: The operator has to change something first (`EX_CONFIG`); a service manager need not try again.
EXIT_CONFIG = 78

_STATUS_SECONDS = 5.0


def main(config_file: Path | None) -> int:
    """Runs the node that `config_file` describes (`None`: the environment alone) and returns its exit code."""
    try:
        config = NodeConfig.load(config_file)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    return run(config, config_file)


def run(config: NodeConfig, config_file: Path | None = None) -> int:
    """Serves until SIGTERM or SIGINT, finishes what is under way, and returns an exit code (`EXIT_*`).

    SIGHUP reads the network file again, and the log level from `config_file`.
    """
    log.configure(config.log_level, config.log_format)
    logger = log.get("node")
    try:
        node_keys = keys.load(config.data_dir)
        engine = _open(config, node_keys)
    except (KeyFileError, ValueError) as error:
        logger.error("the node cannot start", reason=str(error))
        return EXIT_CONFIG
    except OSError as error:
        logger.error("the node cannot start", reason=str(error))
        return EXIT_FAILED
    logger.info(
        "listening",
        ip=str(config.bind_ip),
        https_port=config.https_port,
        omq_port=config.omq_port,
        pubkey_ed25519=node_keys.ed25519_public.hex(),
        pubkey_legacy=node_keys.legacy_public.hex(),
    )
    membership = StaticMembership(config.network_file)
    try:
        return uvloop.run(_Orchestrator(engine, membership, config_file, config.levers_file).serve())
    finally:
        engine.shutdown()  # idempotent; matters when the event loop itself failed


def _open(config: NodeConfig, node_keys: NodeKeys) -> Node:
    try:
        from allium._native import Node
    except ImportError as error:
        raise OSError(f"the engine is not built ({error}); run `make build`, or install the allium wheel") from None
    return Node(
        data_dir=str(config.data_dir),
        ed25519_seed=node_keys.ed25519_seed,
        legacy_pubkey=node_keys.legacy_public,
        bind_ip=str(config.bind_ip),
        https_port=config.https_port,
        omq_port=config.omq_port,
        max_store_bytes=int(config.max_store_bytes),
        account_bytes=int(config.account_max_bytes),
        account_messages=config.account_max_messages,
        max_missed=config.max_missed,
        worker_threads=config.worker_threads,
        queue=config.queue,
        rate_limit=(config.rate_limit_burst, config.rate_limit_per_second),
        rate_limit_exempt=[str(network) for network in config.rate_limit_exempt],
        connections_per_address=config.connections_per_address,
        patience=(config.handshake_seconds, config.header_seconds, config.body_seconds),
        admins=config.stats_access_keys,
        allow_private_servers=config.allow_private_servers,
    )


class _Orchestrator:
    """The tasks of a running node, and the order in which they begin and end."""

    def __init__(
        self, engine: Node, membership: Membership, config_file: Path | None, levers: Path | None = None
    ) -> None:
        self._engine = engine
        self._membership = membership
        self._config_file = config_file
        self._levers = levers
        self._stop = asyncio.Event()
        self._ready = False
        self._logger = log.get("node")

    async def serve(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        stop = asyncio.create_task(self._stopped(), name="stop")
        duties = {
            asyncio.create_task(self._follow_membership(), name="membership"),
            asyncio.create_task(self._report_status(), name="status"),
        }
        if self._levers is not None:
            duties.add(asyncio.create_task(self._follow_levers(self._levers), name="levers"))
        code = EXIT_OK
        try:
            done, _ = await asyncio.wait({stop, *duties}, return_when=asyncio.FIRST_COMPLETED)
            for ended in done - {stop}:
                code = max(code, self._explain(ended))
        finally:
            await self._drain({stop, *duties})
        return code

    async def _stopped(self) -> None:
        await self._stop.wait()

    async def _follow_membership(self) -> None:
        async for network in self._membership:
            try:
                self._engine.set_network(network)
            except ValueError as error:
                self._logger.error("the engine refused the network, the one before it stays", reason=str(error))
                continue
            self._logger.info("network in force", height=network["height"], nodes=len(network["nodes"]))
            self._ready = True
            notify.ready(self._status())

    async def _follow_levers(self, path: Path) -> None:
        """Pretends what a test network says in `{"cut_off": [Ed25519 key…], "clock_offset_ms": n}`."""
        async for _ in changes(path):
            try:
                levers = json.loads(path.read_bytes())  # noqa: ASYNC240 - a line
                self._engine.cut_off(levers.get("cut_off", []))
                self._engine.set_clock_offset(levers.get("clock_offset_ms", 0))
            except FileNotFoundError:
                continue
            except (ValueError, TypeError, AttributeError, OSError) as error:
                self._logger.error("the levers are unusable", reason=str(error))
            else:
                self._logger.warning("pretending", **levers)

    async def _report_status(self) -> None:
        told = ""
        while True:
            await asyncio.sleep(_STATUS_SECONDS)
            if (current := self._status()) != told:
                notify.status(current)
                told = current

    def _status(self) -> str:
        if not self._ready:
            return "waiting for the network"
        reason = self._engine.not_ready()
        return "serving" if reason is None else f"refusing requests: {reason}"

    def _explain(self, ended: asyncio.Task[None]) -> int:
        """Logs why a task that should never end did; the exit code for it."""
        error = ended.exception()
        if isinstance(error, MembershipError):
            self._logger.error("there is no network to serve", reason=str(error))
            return EXIT_CONFIG
        self._logger.error("a part of the node ended", task=ended.get_name(), exc_info=error)
        return EXIT_FAILED

    async def _drain(self, tasks: set[asyncio.Task[None]]) -> None:
        notify.stopping("finishing requests")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(self._engine.shutdown)
        self._logger.info("stopped")

    def _on_stop(self) -> None:
        if self._stop.is_set():
            self._logger.warning("stopped at once by a second signal")
            os._exit(EXIT_FAILED)  # a drain that hangs holds a thread, which an ordinary exit would wait for
        self._logger.info("stopping; a second signal stops at once")
        self._stop.set()

    def _on_reload(self) -> None:
        notify.reloading()
        self._reload_log_level()
        self._membership.reload()
        if self._ready:
            notify.ready(self._status())

    def _reload_log_level(self) -> None:
        try:
            config = NodeConfig.load(self._config_file)
        except ConfigError as error:
            self._logger.error("configuration is unusable, the one before it stays", reason=str(error))
            return
        log.configure(config.log_level, config.log_format)
        self._logger.info("configuration read again", log_level=config.log_level)
