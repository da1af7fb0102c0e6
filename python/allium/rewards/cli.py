"""`allium rewards …`: what an account has earned, and how it gets it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from allium.console import out
from allium.staking import cli as staking

if TYPE_CHECKING:
    from allium.rewards.claims import Balance
    from allium.staking.steps import Steps, View

app = typer.Typer(help="What was earned by staking.", no_args_is_help=True)


@app.command("show")
def show(
    account: Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose.")],
    rpc: staking.Rpc,
    contracts: staking.Contracts = staking.ADDRESSES,
    network: staking.Network = staking.NETWORK,
    ask: staking.AskNode = "",
    as_json: Annotated[bool, typer.Option("--json", help="For machines, in atomic units.")] = False,
) -> None:
    """Show what an account has earned and staked, and what it can claim now."""

    async def work(view: View) -> Balance:
        from allium.rewards.claims import balance

        return await balance(staking.asker(network, ask), view, staking.address(account))

    told = staking.viewing(rpc, contracts, work)
    if as_json:
        names = ("height", "earned", "known", "claimed", "claimable", "locked", "returning")
        out.print(json.dumps({name: getattr(told, name) for name in names}), markup=False)
        return
    from allium.staking.steps import sesh

    out.print(f"earned so far  {sesh(told.earned)} SESH, returned stakes with it, at height {told.height}")
    out.print(f"claimed        {sesh(told.claimed)} SESH")
    out.print(f"can be claimed {sesh(told.claimable)} SESH")
    out.print(f"staked         {sesh(told.locked)} SESH")
    out.print(f"on its way     {sesh(told.returning)} SESH of returned stakes")


@app.command("claim")
def claim(
    rpc: staking.Rpc,
    contracts: staking.Contracts = staking.ADDRESSES,
    network: staking.Network = staking.NETWORK,
    ask: staking.AskNode = "",
    amount: Annotated[str | None, typer.Option(metavar="SESH", help="Not all, but so much.")] = None,
    release: Annotated[
        bool, typer.Option("--release", help="Have the pool pay out first what it owes, which is everybody's.")
    ] = False,
    key_file: staking.KeyFile = None,
    dry_run: staking.DryRun = False,
) -> None:
    """Claim what the account of the key has earned: the network signs, the contract pays."""
    wanted = None if amount is None else staking.amount(amount)

    async def work(steps: Steps) -> int:
        from allium.rewards.claims import claim

        return await claim(staking.asker(network, ask), steps, wanted, release)

    paid = staking.stepping(rpc, contracts, key_file, dry_run, work)
    from allium.staking.steps import sesh

    out.report(f"{sesh(paid)} SESH {'would be' if dry_run else 'were'} paid")
