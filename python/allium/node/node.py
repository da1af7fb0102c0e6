"""One node process: the engine, and the orchestrator's tasks around it on one event loop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from allium.appchain.types import PublicKey
from allium.base import complaint, hardening, limits, log, notify, pidfile, pulse
from allium.base.endpoint import Endpoint
from allium.errors import EXIT_CONFIG, EXIT_FAILED, Complaint
from allium.liveness.reachability import Reachability
from allium.membership import Membership, MembershipError
from allium.membership.static import StaticMembership, changes
from allium.node import build, restart
from allium.operate import facts, server
from allium.operate.condition import Condition
from allium.settings import keys
from allium.settings.config import ConfigError, NodeConfig
from allium.settings.keys import NodeKeys

if TYPE_CHECKING:
    from allium._native import Node
    from allium.consensus.cometbft.engine import CometBFT
    from allium.membership.daemon import Daemon
    from allium.node.chain import Chain

EXIT_OK = 0

_STATUS_SECONDS = 5.0
#: How much longer than now a start may take, as the service manager is told again and again.
_PATIENCE_SECONDS = 60.0


def main(config_file: Path | None, options: Mapping[str, Any] | None = None) -> int:
    """Runs the node that `config_file` and `options` describe, which may be none of both; returns its exit code."""
    try:
        config = NodeConfig.load(config_file, options)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return run(config, config_file, options)


def run(config: NodeConfig, config_file: Path | None = None, options: Mapping[str, Any] | None = None) -> int:
    """Serves until SIGTERM or SIGINT, finishes what is under way, and returns an exit code (`EXIT_*`).

    SIGHUP reads the network file again, or asks the daemon, and reads the log level from `config_file`. SIGUSR2 starts
    the program and its configuration anew without refusing a request (`allium.node.restart`).
    """
    log.configure(config.log_level, config.log_format)
    hardening.keep_secrets()
    files = limits.raise_open_files()
    if files is not None and files < limits.WANTED_FILES:
        log.get("node").warning("few open files", limit=files, wanted=limits.WANTED_FILES)
    node = _Orchestrator(config, config_file, options)
    try:
        with pidfile.pid_file(config.data_dir):
            code = uvloop.run(node.serve())
        if node.handed_over:
            restart.become_successor(node.handed_over)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the engine is no `Exception`
        return _cannot_start(config, error)
    return code


def _cannot_start(config: NodeConfig, error: BaseException) -> int:
    """Logs why; the exit code for it."""
    text, code = complaint.in_directory(error, config.data_dir)
    if isinstance(error, ValueError) and not isinstance(error, Complaint):
        text, code = str(error), EXIT_CONFIG
    log.get("node").error("the node cannot start", reason=text)
    log.get("node").debug("the node cannot start", exc_info=error)
    return code


class _Orchestrator:
    """The tasks of a running node, and the order in which they begin and end."""

    def __init__(self, config: NodeConfig, config_file: Path | None, options: Mapping[str, Any] | None) -> None:
        self._config = config
        self._config_file = config_file
        self._options = options
        self._engine: Node | None = None
        self._membership: Membership | None = None
        self._reachability: Reachability | None = None
        self._chain: Chain | None = None
        self._stop = asyncio.Event()
        #: The sockets for a successor, once everything else has ended.
        self.handed_over: list[int] = []
        self._trial: asyncio.Task[None] | None = None
        self._leaves = False
        self._ready = False
        self._condition: Condition | None = None
        self._logger = log.get("node")

    async def serve(self) -> int:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_failure)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        loop.add_signal_handler(signal.SIGUSR2, self._on_restart)
        if self._config.oxend_rpc is None:
            return await self._serve(None)
        from allium.membership.daemon import Daemon

        async with Daemon(Endpoint(self._config.oxend_rpc)) as daemon:
            return await self._serve(daemon)

    async def _serve(self, daemon: Daemon | None) -> int:
        stop = asyncio.create_task(self._stopped(), name="stop")
        duties: set[asyncio.Task[None]] = set()
        code = EXIT_OK
        try:
            node_keys = await self._keys(daemon, stop)
            if node_keys is None:
                return EXIT_OK
            engine = self._engine = self._start(node_keys)
            duties = {
                pulse.watched(engine, name, duty) for name, duty in self._duties(engine, node_keys, daemon).items()
            }
            done, _ = await asyncio.wait({stop, *duties}, return_when=asyncio.FIRST_COMPLETED)
            for ended in done - {stop}:
                code = max(code, self._explain(ended))
        except Exception as error:
            return _cannot_start(self._config, error)
        finally:
            await self._drain({stop, *duties})
        return code

    async def _keys(self, daemon: Daemon | None, stop: asyncio.Task[None]) -> NodeKeys | None:
        """From the files, or from the daemon as soon as there is one; `None` when the node is to stop before."""
        if daemon is None:
            return keys.load(self._config.data_dir)
        from allium.node import oxend

        return await oxend.keys(daemon, stop, _PATIENCE_SECONDS)

    def _start(self, node_keys: NodeKeys) -> Node:
        engine = build.open_engine(self._config, node_keys, restart.inherited())
        self._logger.info(
            "listening",
            ip=str(self._config.bind_ip),
            https_port=self._config.https_port,
            omq_port=self._config.omq_port,
            pubkey_ed25519=node_keys.ed25519_public.hex(),
            pubkey_legacy=node_keys.legacy_public.hex(),
        )
        return engine

    def _duties(self, engine: Node, node_keys: NodeKeys, daemon: Daemon | None) -> dict[str, Coroutine[Any, Any, None]]:
        config, own = self._config, node_keys.ed25519_public.hex()
        duties: dict[str, Coroutine[Any, Any, None]] = {}
        listed = None
        if daemon is not None:
            from allium.node import oxend

            self._membership = listed = oxend.membership(daemon, config)
            self._reachability = Reachability(engine, own, oxend.Reporter(daemon), config.reachability_seconds)
            duties["subscriptions"] = listed.keep_subscribed()
            duties["ping"] = oxend.keep_pinging(daemon, own, config)
        elif config.network_file is not None:
            report = None
            if config.chain_file is None:
                self._membership = StaticMembership(config.network_file)
            else:
                chain = self._chain = build.take_part(
                    config, config.chain_file, config.network_file, node_keys, engine, self._suspect
                )
                self._membership = chain.membership
                duties["liveness"], report = chain.liveness.run(), chain.liveness.reported
                if chain.claims is not None:
                    duties["claims"] = chain.claims.run()
            self._reachability = Reachability(engine, own, report, config.reachability_seconds)
        if self._membership is not None and self._reachability is not None:
            duties["membership"] = self._follow_membership(engine, self._membership, self._reachability)
            duties["reachability"] = self._reachability.run()
        own_key = PublicKey(node_keys.ed25519_public)
        source = facts.FactSource(config, engine, own_key, self._chain, daemon, listed, lambda: self._ready)
        source.own_keys = node_keys
        duties["operators"] = server.serve(source)
        self._condition = Condition(source)
        duties["condition"] = self._condition.follow()
        if config.levers_file is not None:
            duties["levers"] = self._follow_levers(engine, config.levers_file)
        # What cannot be made ends the start; none of these must be left without a task by then.
        duties["status"] = self._report_status()
        duties["pulse"] = pulse.keep_beating(engine)
        return duties

    def _suspect(self, key: str) -> None:
        if self._reachability is not None:
            self._reachability.suspect(key)

    async def _stopped(self) -> None:
        await self._stop.wait()

    async def _follow_membership(self, engine: Node, membership: Membership, reachability: Reachability) -> None:
        async for network in membership:
            try:
                engine.set_network(network)
            except ValueError as error:
                self._logger.error("the engine refused the network, the one before it stays", reason=str(error))
                continue
            reachability.set_network(network)
            self._logger.info("network in force", height=network["height"], nodes=len(network["nodes"]))
            self._ready = True
            notify.ready(self._status())

    async def _follow_levers(self, engine: Node, path: Path) -> None:
        """Pretends what a test network says.

        `{"cut_off": [Ed25519 key…], "clock_offset_ms": n, "freeze": {thread: seconds}}`
        """
        async for _ in changes(path):
            try:
                levers = json.loads(path.read_bytes())  # noqa: ASYNC240 - a line
                engine.cut_off(levers.get("cut_off", []))
                if (committee := self._committee()) is not None:
                    committee.cut_off([bytes.fromhex(key) for key in levers.get("cut_off", [])])
                engine.set_clock_offset(levers.get("clock_offset_ms", 0))
                for thread, seconds in levers.get("freeze", {}).items():
                    # Not by this thread, which may be the one.
                    await asyncio.to_thread(engine.freeze_thread, thread, seconds)
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
            pulse.beat()
            # A node that does not go on is started anew by its manager.
            if self._condition is None or not self._condition.stalled():
                notify.alive()
            if not self._ready:
                notify.starting(self._status(), _PATIENCE_SECONDS)
            if (current := self._status()) != told:
                notify.status(current)
                told = current

    def _status(self) -> str:
        if self._engine is None or not self._ready:
            return "waiting for the network"
        if self._leaves:
            return "making room for a successor"
        reason = self._engine.not_ready()
        serving = "serving" if reason is None else f"refusing requests: {reason}"
        if self._condition is not None and (words := self._condition.words()) is not None:
            return f"{serving}; {words}"
        committee = self._committee()
        return serving if committee is None else f"{serving}; {committee.status}"

    def _committee(self) -> CometBFT | None:
        """The engine of agreement of many machines, if that is how the network agrees."""
        return None if self._chain is None else self._chain.cometbft

    def _explain(self, ended: asyncio.Task[None]) -> int:
        """Logs why a task that should never end did; the exit code for it."""
        error = ended.exception() or AssertionError("it ended without a reason")
        if isinstance(error, MembershipError):
            self._logger.error("there is no network to serve", reason=str(error))
            return EXIT_CONFIG
        log.failure(self._logger, "a part of the node ended", error, task=ended.get_name())
        return EXIT_FAILED

    async def _drain(self, tasks: set[asyncio.Task[None]]) -> None:
        if self._leaves and self._engine is not None:
            notify.status(self._status())
            # All goes on meanwhile.
            sockets = await asyncio.to_thread(self._engine.hand_over)
            self.handed_over = sockets if self._leaves else []
        else:
            notify.stopping("finishing requests")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._engine is not None:
            await asyncio.to_thread(self._engine.shutdown)
            self._logger.info("stopped, for a successor to go on" if self.handed_over else "stopped")

    def _on_failure(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What no task and no caller has taken for its own."""
        if (error := context.get("exception")) is not None:
            log.failure(self._logger, "something failed beside the node's work", error)
        else:
            self._logger.error("something failed beside the node's work", reason=context["message"])

    def _on_stop(self) -> None:
        if self._stop.is_set() and not self._leaves:
            self._logger.warning("stopped at once by a second signal")
            os._exit(EXIT_FAILED)  # a drain that hangs holds a thread, which an ordinary exit would wait for
        self._logger.info("stopping; a second signal stops at once")
        self._leaves = False
        self._stop.set()

    def _on_restart(self) -> None:
        if self._trial is None and not self._stop.is_set():
            self._trial = asyncio.create_task(self._restart(), name="restart")

    async def _restart(self) -> None:
        """Ends for a successor, if there can be one."""
        try:
            await asyncio.to_thread(NodeConfig.load, self._config_file, self._options)
            reason = await restart.trial()
        except Exception as error:
            reason = complaint.sentence(error).text
        finally:
            self._trial = None
        if reason is not None:
            self._logger.error("not restarted: the successor would not start", reason=reason)
            return
        self._logger.info("restarting")
        notify.reloading()
        self._leaves = True
        self._stop.set()

    def _on_reload(self) -> None:
        notify.reloading()
        self._reload_log_level()
        if self._membership is not None:
            self._membership.reload()
        if self._ready:
            notify.ready(self._status())

    def _reload_log_level(self) -> None:
        try:
            config = NodeConfig.load(self._config_file, self._options)
        except ConfigError as error:
            self._logger.error("configuration is unusable, the one before it stays", reason=str(error))
            return
        from allium._native import log_to_stderr

        log.configure(config.log_level, config.log_format)
        log_to_stderr(config.log_level, config.log_format)
        self._logger.info("configuration read again", log_level=config.log_level)
