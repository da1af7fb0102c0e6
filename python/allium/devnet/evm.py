"""Where a devnet's stakes are: a chain of its own, or contracts that somebody else deployed."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from allium.devnet import anvil
from allium.devnet.layout import ChainRecord, DevnetError, Layout
from allium.devnet.options import ChainOptions
from allium.devnet.progress import AwaitingFinality, Progress, ReadingContracts
from allium.settings import keys

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from allium.devnet.stakes import Staked

#: A block every second and for every transaction; the one before the last but one is final.
_ANVIL = ("--block-time", "1", "--mixed-mining", "--slots-in-an-epoch", "1")
#: So many more blocks make what was the newest one final.
_UNTIL_FINAL = 3
_FINAL_SECONDS = 1800.0


@dataclass(frozen=True)
class Ground:
    """What a network stands on."""

    record: ChainRecord
    staked: Staked
    #: Settings of a node that looks at the chain.
    finality: dict[str, int]

    def chain_file(self, order: dict[str, Any]) -> dict[str, Any]:
        """`chain.json` of a network; `order` is the part of it that says who orders."""
        addresses, rules = self.staked.addresses, self.staked.rules
        return {
            "network": "devnet",
            "l2_chain_id": addresses.chain_id,
            "rewards_contract": addresses.rewards,
            "reward_pool": addresses.pool,
            "l2_start": max(0, addresses.block - 1),
            "rules": {"staking_requirement": rules.requirement, "max_contributors": rules.max_contributors},
            **order,
        }


def prepare(layout: Layout, options: ChainOptions, nodes: int, undo: ExitStack, progress: Progress) -> Ground:
    """Stakes for the nodes whose keys are in `layout`; `undo` ends a chain started here. Raises `DevnetError`."""
    progress(ReadingContracts())
    try:
        from allium.devnet import stakes
        from allium.staking import StakingError
        from allium.staking.addresses import Addresses
    except ModuleNotFoundError as error:
        raise DevnetError(f"a chain needs {error.name}; run: pip install 'allium[chain]'") from None
    if (options.contracts is None) != (options.rpc_url is None):
        raise DevnetError("--contracts and --rpc go together: contracts that are there already, and their chain")
    local = None
    try:
        url = options.rpc_url
        if url is None:
            local = anvil.start(layout.anvil_log, _ANVIL)
            undo.callback(local.stop)
            url = local.url
        addresses = None if options.contracts is None else Addresses.load(options.contracts)
        funder, given = _funder(options, addresses)
        both = [(keys.load(layout.data_dir(i)), keys.load_bls(layout.data_dir(i))) for i in range(nodes)]
        staked = asyncio.run(stakes.stake(url, funder, both, addresses, progress))
        staked.addresses.save(layout.addresses)
        finality = _finality(options, staked, local)
        progress(AwaitingFinality())
        if local is not None:
            asyncio.run(stakes.mine(url, _UNTIL_FINAL))
        elif not finality:
            asyncio.run(stakes.until_final(url, _FINAL_SECONDS))
    except StakingError as error:
        raise DevnetError(str(error) if local is not None else f"{error.option or '--contracts'}: {error}") from None
    record = ChainRecord(
        rpc_url=url,
        anvil_pid=None if local is None else local.pid,
        contracts=asdict(staked.addresses),
        key=None if given else funder.key.hex(),
        stakes=staked.stakes,
    )
    return Ground(record, staked, finality)


def leave(chain: ChainRecord, index: int) -> None:
    """Asks for node `index` to leave, as its operator; raises `DevnetError`."""
    from allium.devnet import stakes
    from allium.staking import StakingError
    from allium.staking.addresses import Addresses

    stake = chain.stakes[index]
    addresses = Addresses(**chain.contracts)
    try:
        asyncio.run(stakes.leave(chain.rpc_url, addresses, stake.stakers[0].key, stake.contract_id))
    except StakingError as error:
        raise DevnetError(str(error)) from None


def _funder(options: ChainOptions, addresses: Any) -> tuple[LocalAccount, bool]:
    """Who pays, and whether the key came from outside."""
    from allium.wallet import payer

    if addresses is None:
        return anvil.account(0), False
    if options.key_file is None and addresses.chain_id == anvil.CHAIN_ID and payer.VARIABLE not in os.environ:
        return anvil.account(0), False
    return payer.load(options.key_file), True


def _finality(options: ChainOptions, staked: Staked, local: anvil.Anvil | None) -> dict[str, int]:
    if options.depth is not None:
        return {"l2_depth": options.depth}
    # A chain for development makes blocks when there is something to put in, so that nothing would ever become final.
    return {"l2_depth": 0} if local is None and staked.addresses.chain_id == anvil.CHAIN_ID else {}
