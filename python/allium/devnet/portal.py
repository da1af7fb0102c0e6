"""The staking portal of a devnet: its settings, its key, the command that runs it."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from allium.base import files
from allium.devnet import process
from allium.devnet.layout import LOOPBACK, LOOPBACK_NETWORK, DevnetError, Layout, PortalRecord
from allium.devnet.options import ChainOptions
from allium.devnet.progress import OpeningContracts, PortalUp, Progress
from allium.settings import keys

if TYPE_CHECKING:
    from allium.devnet.layout import ChainRecord, OpenRecord

#: Blocks come every second.
_REFRESH_SECONDS = 1.0
#: In the portal's directory: the key of its faucet; and what that gives, so that it lasts for a while.
_FAUCET, _FAUCET_ETHER = "faucet.key", 0.005


def create(layout: Layout, chain: ChainRecord, committee: bool, http_port: int, metrics_port: int) -> PortalRecord:
    """Makes its key and settings; it does not run yet. `committee`: one orders the chain. Raises `DevnetError`."""
    try:
        from allium.portal import settings
    except ModuleNotFoundError as error:
        raise DevnetError(f"a portal needs {error.name}; run: pip install 'allium[portal]'") from None
    keys.create_ed25519(layout.portal_dir)
    chosen = settings.commented_toml(
        data_dir=".",
        bind_ip=LOOPBACK,
        http_port=http_port,
        metrics_port=metrics_port,
        public_url=f"http://{LOOPBACK}:{http_port}",
        chain_file="../chain.json",
        contracts="../ADDRESSES.json",
        network_file="../nodes.json",
        l2_rpc=[chain.rpc_url],
        refresh_seconds=_REFRESH_SECONDS,
        source_exempt=[LOOPBACK_NETWORK],
        # One person has everything on one machine.
        source_requests=100_000,
        source_signatures=1_000,
        faucet_key_file=_FAUCET,
        faucet_ether=_FAUCET_ETHER,
        faucet_source=1000,
        **({"node_dir": "../node-0"} if committee else {}),
    )
    files.create(layout.portal_dir / _FAUCET, secrets.token_hex(32).encode())
    files.create(layout.portal_dir / settings.FILE_NAME, chosen.encode())
    return PortalRecord(
        url=f"http://{LOOPBACK}:{http_port}", data_dir=str(layout.portal_dir), pid=0, metrics_port=metrics_port
    )


def command(layout: Layout) -> process.Command:
    """What runs it."""
    config = str(layout.portal_dir / "portal.toml")
    return process.Command(
        "portal", [sys.executable, "-m", "allium", "portal", "serve", "--config", config], layout.portal_log
    )


def is_running(layout: Layout, record: PortalRecord) -> bool:
    """Whether its process lives."""
    return process.is_running(record.pid, str(layout.portal_dir / "portal.toml"))


def up(
    layout: Layout, options: ChainOptions, chain: ChainRecord, free: Sequence[int], seconds: float, progress: Progress
) -> PortalRecord:
    """Starts it with something to show, and returns when it serves; raises `DevnetError`."""
    progress(OpeningContracts())
    record = create(layout, chain, options.consensus == "cometbft", *free)
    opened = _open_nodes(layout, options, chain)
    [pid] = process.start([command(layout)], seconds, lambda _: progress(PortalUp()))
    return replace(record, pid=pid, opened=opened)


def _open_nodes(layout: Layout, options: ChainOptions, chain: ChainRecord) -> OpenRecord:
    """Contracts that collect the stake of nodes to come, and people with money for them."""
    from allium.devnet import anvil, open_stakes
    from allium.staking import StakingError
    from allium.staking.addresses import Addresses
    from allium.wallet import payer

    made = []
    for index in range(open_stakes.CONTRACTS):
        directory = layout.open_dir(index)
        made.append((keys.create(directory), keys.create_bls(directory)))
    try:
        # The record has no key of who was named by whoever started it.
        funder = anvil.account(0) if chain.key is not None else payer.load(options.key_file)
        faucet = payer.load(layout.portal_dir / _FAUCET).address
        return asyncio.run(open_stakes.prepare(chain.rpc_url, funder, made, Addresses(**chain.contracts), faucet))
    except StakingError as error:
        raise DevnetError(str(error)) from None
