"""What is wrong with the machine of a portal and with what it stands on. Looks, and changes nothing that stays."""

from __future__ import annotations

import asyncio
from pathlib import Path

from allium.consensus.chainfile import ChainFile
from allium.errors import Complaint
from allium.membership import static
from allium.operate.result import Result, failed, ok, warning
from allium.portal.oxend_rpc import OxendError, OxendRpc
from allium.portal.settings import PortalConfig
from allium.server import doctor
from allium.staking.addresses import Addresses
from allium.staking.connection import connected
from allium.staking.provider import ProviderError
from allium.wallet.steps import ContractReader


def examine(config_file: Path) -> list[Result]:
    """Every check that can be made of the portal with this `portal.toml`."""
    return doctor.examine(config_file, PortalConfig.load, "allium portal init", _own)


def _own(config: PortalConfig) -> list[Result]:
    return [_chain(config), asyncio.run(_providers(config)), _network(config)]


def _chain(config: PortalConfig) -> Result:
    if config.oxend is not None:
        return asyncio.run(_daemon(config.oxend))
    if config.chain_file is None:
        return failed("chain", "no network is named", "set chain_file, or oxend")
    try:
        chain, addresses = ChainFile.read(config.chain_file), Addresses.load(config.contracts)
    except Complaint as error:
        return failed("chain", str(error), "set chain_file and contracts")
    if chain.rewards_contract.lower() != addresses.rewards.lower():
        return failed("chain", "chain_file and contracts are of different contracts", "set them to one network's")
    if chain.cometbft is not None and config.node_dir is None:
        return failed("chain", "a committee orders the chain", "set node_dir to the data directory of a node here")
    return ok("chain", f"contracts on chain {addresses.chain_id}, rewards at {addresses.rewards}")


async def _providers(config: PortalConfig) -> Result:
    try:
        addresses = Addresses.load(config.contracts)
    except Complaint:
        return warning("providers", "not asked, without the contracts' addresses", "set contracts")
    wrong = []
    for url in config.l2_rpc:
        try:
            async with connected(url) as provider:
                await ContractReader(provider, addresses).check()
        except (ProviderError, Complaint) as error:
            wrong.append(str(error))
    count = len(config.l2_rpc)
    if 2 * (count - len(wrong)) <= count:
        return failed("providers", "; ".join(wrong) or "none is named", "name providers of the EVM chain in l2_rpc")
    if wrong:
        return warning("providers", "; ".join(wrong), "name another in its place in l2_rpc")
    return ok("providers", f"{count} of the EVM chain answer")


async def _daemon(url: str) -> Result:
    rpc = OxendRpc(url)
    try:
        told = await rpc.call("get_info")
    except OxendError as error:
        return failed("chain", str(error), "start oxend, or set oxend to the URL of its RPC")
    finally:
        await rpc.close()
    height = told.get("height") if isinstance(told, dict) else None
    return ok("chain", f"oxend at {rpc.name} is at height {height}")


def _network(config: PortalConfig) -> Result:
    if config.network_file is None:
        return (
            ok("network", "the daemon asks the nodes")
            if config.oxend
            else failed("network", "no nodes are named", "set network_file")
        )
    try:
        nodes = static.read(config.network_file)["nodes"]
    except Complaint as error:
        return failed("network", str(error), "set network_file")
    return ok("network", f"{len(nodes)} nodes in {config.network_file}")
