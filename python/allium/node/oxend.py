"""A node beside the live network's daemon: it has its keys and its list from there, and tells it whom it reaches."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from allium._native import PROTOCOL_VERSION
from allium.base import log, notify, pulse
from allium.membership.daemon import Daemon
from allium.membership.omq import OmqError
from allium.membership.oxend import FEW_NODES, FEW_NODES_TESTNET, OxendMembership
from allium.settings.config import NodeConfig
from allium.settings.keys import NodeKeys

if TYPE_CHECKING:
    from allium._native import NodeEntry

#: How often the daemon is told that we are here, and asked for the keys until it gives them.
_PING_SECONDS = 30.0
_KEYS_SECONDS = 5.0


async def keys(daemon: Daemon, stop: asyncio.Task[None], patience: float) -> NodeKeys | None:
    """The keys, as soon as there is a daemon that gives some; `None` when the node is to stop before.

    The service manager is told, each time, that a start may take `patience` seconds more.
    """
    logger = log.get("node")
    while not stop.done():
        notify.starting("waiting for the daemon", patience)
        asked = asyncio.create_task(daemon.keys())
        await asyncio.wait({stop, asked}, return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
            return None
        try:
            return asked.result()
        except OmqError as error:
            reason = str(error) if daemon.connected else f"{error}; {daemon.endpoint.remedy()}"
            logger.warning("the daemon gave no keys", address=daemon.endpoint.address, reason=reason)
        await asyncio.wait({stop}, timeout=_KEYS_SECONDS)
    return None


def membership(daemon: Daemon, config: NodeConfig) -> OxendMembership:
    """The daemon's list."""
    return OxendMembership(daemon, config.seeds, FEW_NODES_TESTNET if config.testnet else FEW_NODES)


async def keep_pinging(daemon: Daemon, own: str, config: NodeConfig) -> None:
    """Says every half minute that we are here, under the Ed25519 key `own`, hex."""
    logger, connected = log.get("node"), asyncio.Event()
    daemon.on_connect.append(connected.set)
    while True:
        pulse.beat()
        if connected.is_set():
            await _compare_keys(daemon, own)
        connected.clear()
        try:
            await daemon.storage_server_ping(PROTOCOL_VERSION, own, config.https_port, config.omq_port)
        except OmqError as error:
            logger.error("the daemon did not take our ping", reason=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(connected.wait(), _PING_SECONDS)


async def _compare_keys(daemon: Daemon, own: str) -> None:
    """Looks whether a daemon that was started anew still runs for this node."""
    logger = log.get("node")
    try:
        theirs = await daemon.keys()
    except OmqError as error:
        logger.warning("the daemon gave no keys", address=daemon.endpoint.address, reason=str(error))
        return
    if theirs.ed25519_public.hex() != own:
        logger.error("the daemon has other keys than this node; restart the node to take them")


class Reporter:
    """Tells the daemon which nodes were reached."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    async def __call__(self, node: NodeEntry, passed: bool) -> None:
        """Of a node that was tested, whether that passed."""
        try:
            await self._daemon.report_peer_status(node["pubkey_legacy"], passed)
        except OmqError as error:
            log.get("reachability").warning("the daemon did not take a report", reason=str(error))
