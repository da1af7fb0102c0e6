"""Makes the explorer of a portal that starts."""

from __future__ import annotations

import contextlib

from allium.portal.api import SOURCE
from allium.portal.explorer.fees import LogSource, Payments
from allium.portal.explorer.figures import FigureSource
from allium.portal.explorer.samples import Samples
from allium.portal.explorer.service import Explorer, Now
from allium.portal.limits import Rate
from allium.portal.settings import PortalConfig
from allium.staking.addresses import Addresses
from allium.staking.provider_quorum import ProviderQuorum

#: In the data directory.
SAMPLES = "explorer.sqlite"


def opened(
    stack: contextlib.AsyncExitStack,
    now: Now,
    config: PortalConfig,
    panel: ProviderQuorum,
    addresses: Addresses,
    requests: Rate,
    logs: LogSource,
) -> Explorer:
    """Over what the portal has already; its own file is closed with `stack`. Raises `sqlite3.Error`."""
    samples = Samples(config.data_dir / SAMPLES)
    stack.callback(samples.close)
    payments = None
    if addresses.splitter is not None:
        payments = Payments(config.data_dir / SAMPLES, addresses.splitter, addresses.block, logs)
    source = FigureSource(panel, addresses, lambda: now.tip.block, payments)
    return Explorer(now, samples, source, requests, lambda: SOURCE.get("local"), config.network_file, config.node_dir)
