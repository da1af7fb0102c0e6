"""`allium rewards …`: what an account has earned, and how it gets it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from allium.base.console import out
from allium.cli import onchain

if TYPE_CHECKING:
    from allium.wallet.claim import Balance
    from allium.wallet.steps import ContractReader, Steps

app = typer.Typer(help="What was earned by staking.", no_args_is_help=True)


@app.command("show")
def show(
    account: Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose.")],
    rpc: onchain.Rpc,
    contracts: onchain.Contracts = onchain.ADDRESSES,
    network: onchain.Network = onchain.NETWORK,
    ask: onchain.AskNode = "",
    as_json: Annotated[bool, typer.Option("--json", help="For machines, in atomic units.")] = False,
) -> None:
    """Show what an account has earned and staked, and what it can claim now."""

    async def work(view: ContractReader) -> Balance:
        from allium.wallet.claim import balance

        return await balance(onchain.asker(network, ask), view, onchain.address(account))

    told = onchain.viewing(rpc, contracts, work)
    if as_json:
        names = ("height", "earned", "known", "claimed", "claimable", "locked", "returning")
        out.print(json.dumps({name: getattr(told, name) for name in names}), markup=False)
        return
    from allium.wallet.steps import sesh

    out.print(f"earned so far  {sesh(told.earned)} SESH, returned stakes with it, at height {told.height}")
    out.print(f"claimed        {sesh(told.claimed)} SESH")
    out.print(f"can be claimed {sesh(told.claimable)} SESH")
    out.print(f"staked         {sesh(told.locked)} SESH")
    out.print(f"on its way     {sesh(told.returning)} SESH of returned stakes")


@app.command("claim")
def claim(
    rpc: onchain.Rpc,
    contracts: onchain.Contracts = onchain.ADDRESSES,
    network: onchain.Network = onchain.NETWORK,
    ask: onchain.AskNode = "",
    amount: Annotated[str | None, typer.Option(metavar="SESH", help="Not all, but so much.")] = None,
    release: Annotated[
        bool, typer.Option("--release", help="Have the pool pay out first what it owes, which is everybody's.")
    ] = False,
    key_file: onchain.KeyFile = None,
    dry_run: onchain.DryRun = False,
) -> None:
    """Claim what the account of the key has earned: the network signs, the contract pays."""
    wanted = None if amount is None else onchain.amount(amount)

    async def work(steps: Steps) -> int:
        from allium.wallet.claim import claim

        return await claim(onchain.asker(network, ask), steps, wanted, release)

    paid = onchain.stepping(rpc, contracts, key_file, dry_run, work)
    from allium.wallet.steps import sesh

    out.report(f"{sesh(paid)} SESH {'would be' if dry_run else 'were'} paid")
