"""Where a push server has the list of nodes from: a file, or a daemon of the network."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from allium.membership.daemon import Daemon
from allium.membership.oxend import OxendMembership
from allium.membership.static import StaticMembership
from allium.push import settings
from allium.push.settings import PushConfig

if TYPE_CHECKING:
    from allium._native import Network


async def networks(config: PushConfig) -> AsyncIterator[Network]:
    """The network now, then each that replaces it; raises `MembershipError` for a file that cannot be used."""
    if config.network_file is not None:
        async for network in StaticMembership(config.network_file):
            yield network
    if config.oxend_rpc is None:
        return
    async with Daemon(settings.daemon(config.oxend_rpc)) as daemon:
        membership = OxendMembership(daemon)
        subscribed = asyncio.create_task(membership.keep_subscribed())
        try:
            async for network in membership:
                yield network
        finally:
            subscribed.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await subscribed
