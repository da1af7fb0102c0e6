"""Where a node answers those who run it: a socket in its data directory, and a port for Prometheus.

Most nodes are asked seldom or never, and what speaks HTTP takes as much memory as all else of the control plane. So
there is only a listening socket until somebody calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from types import ModuleType

from allium.base import admin_socket, log
from allium.base.admin_socket import SOCKET
from allium.operate.facts import FactSource
from allium.settings.config import NodeConfig

_BACKLOG = 128


async def serve(source: FactSource) -> None:
    """Answers until cancelled. Without the socket, or the port, the node works all the same, and its log says why."""
    config, logger = source.config, log.get("operate")
    answering: list[asyncio.Task[None]] = []
    try:
        try:
            answering.append(asyncio.create_task(_answer(source, admin_socket.listener(config.data_dir), status=True)))
        except OSError as error:
            logger.error("`allium status` will find no node", socket=SOCKET, reason=str(error))
        if config.metrics_port is not None:
            try:
                answering.append(asyncio.create_task(_answer(source, _metrics(config), status=False)))
                logger.info("metrics", ip=str(config.metrics_ip), port=config.metrics_port)
            except OSError as error:
                source.metrics_trouble = f"port {config.metrics_port}: {os.strerror(error.errno or 0)}"
                remedy = "end the program that has it (ss -lptun), or set another metrics_port or metrics_ip"
                logger.error("metrics are not served", reason=f"{source.metrics_trouble}; {remedy}")
        await asyncio.Event().wait()
    finally:
        (config.data_dir / SOCKET).unlink(missing_ok=True)
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)


async def _answer(source: FactSource, listener: socket.socket, status: bool) -> None:
    """Answers whoever calls. Whatever fails in that is told of, and keeps the node from nothing else."""
    with listener:
        while True:
            await _called(listener)
            try:
                pages = await asyncio.to_thread(_load)
                await pages.serve(source, listener, status)
            except Exception as error:
                log.failure(log.get("operate"), "nobody is answered", error)
                _turn_away(listener)


def _load() -> ModuleType:
    """What speaks HTTP. A few tenths of a second in which the node goes on."""
    from allium.operate import pages

    return pages


async def _called(listener: socket.socket) -> None:
    """Waits until somebody connects."""
    loop, called = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(listener, called.set)
    try:
        await called.wait()
    finally:
        loop.remove_reader(listener)


def _turn_away(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may have gone by itself
        listener.accept()[0].close()


def _metrics(config: NodeConfig) -> socket.socket:
    family = socket.AF_INET6 if config.metrics_ip.version == 6 else socket.AF_INET
    listener = socket.create_server((str(config.metrics_ip), config.metrics_port or 0), family=family, backlog=_BACKLOG)
    listener.setblocking(False)
    return listener
