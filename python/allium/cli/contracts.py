"""`allium contracts …`: the staking contracts of a network, compiled and deployed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allium.base.console import out
from allium.cli.onchain import ADDRESSES, Contracts, KeyFile, Rpc, address, amount, say, staking, viewing
from allium.errors import CommandError

if TYPE_CHECKING:
    from eth_typing import ChecksumAddress

    from allium.wallet.steps import ContractReader

app = typer.Typer(help="The staking contracts of a network.", no_args_is_help=True)


@app.command("build")
def build_contracts() -> None:
    """Compile the contracts, if they are not yet, and list the size of their code."""
    with staking():
        from rich.table import Table

        from allium.staking import abi, artifacts

        table = Table("contract", "bytes of code", "bytes to create it", box=None)
        for name in abi.CONTRACTS:
            compiled = artifacts.load(name)
            table.add_row(name, f"{len(compiled.runtime):,}", f"{len(compiled.bytecode):,}")
    out.print(table)


@app.command("deploy")
def deploy_contracts(
    rpc: Annotated[str, typer.Option(help="URL of an EVM node's JSON-RPC.")],
    addresses: Annotated[Path, typer.Option("--out", help="File to write the addresses to.")] = Path("ADDRESSES.json"),
    key_file: Annotated[
        Path | None, typer.Option(help="File with the deployer's key, hex; else ALLIUM_WALLET_KEY has it.")
    ] = None,
    staking_requirement: Annotated[int, typer.Option(min=1, help="Stake of a node, SESH.")] = 25_000,
    max_contributors: Annotated[int, typer.Option(min=1, max=32, help="Contributors of a node.")] = 10,
    liquidator_ratio: Annotated[int, typer.Option(min=0, help="Liquidator's share of a deposit.")] = 3,
    pool_ratio: Annotated[int, typer.Option(min=0, help="Pool's share of a liquidated deposit.")] = 17,
    recipient_ratio: Annotated[int, typer.Option(min=1, help="Stakers' share of a liquidated deposit.")] = 9980,
    pool: Annotated[int, typer.Option(min=0, help="What the pool of rewards holds at first, SESH.")] = 40_000_000,
    minimum_exit_age: Annotated[int, typer.Option(min=0, help="Seconds before a node can be removed.")] = 7200,
    treasury: Annotated[
        str | None, typer.Option(help="Receives the fees' share for liquidity; or the deployer.")
    ] = None,
    start: Annotated[bool, typer.Option(help="Let nodes join at once.")] = True,
) -> None:
    """Deploy a new network's contracts. The main network's parameters are the defaults."""
    if addresses.exists():
        raise CommandError(f"{addresses} is there already and stays as it is; choose another file with --out")
    import asyncio

    with staking():
        from allium.appchain.parameters import SESH
        from allium.staking.addresses import Addresses
        from allium.staking.connection import connected
        from allium.wallet import deploy, payer

        account = payer.load(key_file)
        parameters = deploy.DeployParameters(
            pool=pool * SESH,
            staking_requirement=staking_requirement * SESH,
            max_contributors=max_contributors,
            liquidator_ratio=liquidator_ratio,
            pool_ratio=pool_ratio,
            recipient_ratio=recipient_ratio,
            minimum_exit_age=minimum_exit_age,
            treasury=treasury,
            start=start,
        )

        async def work() -> Addresses:
            async with connected(rpc) as provider:
                return await deploy.deploy(provider, account, parameters, out.print)

        made = asyncio.run(work())
    try:
        made.save(addresses)
    except OSError as error:
        raise CommandError(f"{addresses} cannot be written: {error.strerror}; it would say {made}") from None
    out.report(f"Deployed by {account.address}; {addresses} names the contracts.")


@app.command("vest")
def vest(
    beneficiary: Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose the tokens are in the end.")],
    held: Annotated[str, typer.Argument(metavar="SESH", help="How many the deployer pays in.")],
    rpc: Rpc,
    start: Annotated[datetime, typer.Option(help="When staking may begin, UTC.")],
    end: Annotated[datetime, typer.Option(help="When all of it is released, UTC.")],
    revoker: Annotated[str | None, typer.Option(help="Who may take it back until then; or the deployer.")] = None,
    transferable: Annotated[bool, typer.Option(help="The beneficiary may name another.")] = False,
    contracts: Contracts = ADDRESSES,
    key_file: KeyFile = None,
) -> None:
    """Deploy a contract that holds tokens for somebody until a day, and lets them be staked before."""

    async def work(view: ContractReader) -> ChecksumAddress:
        from allium.wallet import deploy, payer

        account = payer.load(key_file)
        vesting = deploy.Vesting(
            beneficiary=address(beneficiary),
            revoker=address(revoker or account.address),
            start=_unix(start),
            end=_unix(end),
            amount=amount(held),
            transferable=transferable,
        )
        return await deploy.vest(view.provider, account, view.addresses, vesting, say)

    out.print(f"The contract is {viewing(rpc, contracts, work)}", markup=False)


def _unix(time: datetime) -> int:
    return int(time.replace(tzinfo=UTC).timestamp())
