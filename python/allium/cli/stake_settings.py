"""`allium stake fee|reserve|keys|beneficiary|reset|rescue`: what may be changed until a node is registered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allium.cli.onchain import ADDRESSES, Contracts, DryRun, KeyFile, Rpc, address, amount, say, stepping
from allium.cli.registration import read_registration
from allium.cli.stake_options import Pot, RegistrationFile, place

if TYPE_CHECKING:
    from allium.wallet import contribution
    from allium.wallet.steps import Steps

app = typer.Typer()


@app.command("fee")
def fee(
    pot: Pot,
    percent: Annotated[float, typer.Argument(min=0, max=100, help="The operator's fee in percent, two decimals.")],
    rpc: Rpc,
    contracts: Contracts = ADDRESSES,
    key_file: KeyFile = None,
    dry_run: DryRun = False,
) -> None:
    """Set the fee, as the operator, before anybody has staked."""

    async def work(steps: Steps, found: contribution.Pot) -> None:
        from allium.wallet.contribution_settings import set_fee

        await set_fee(steps, found, round(percent * 100))

    _change(pot, rpc, contracts, key_file, dry_run, work)


@app.command("reserve")
def reserve(
    pot: Pot,
    rpc: Rpc,
    own: Annotated[str | None, typer.Option("--amount", metavar="SESH", help="What the operator will stake.")] = None,
    places: Annotated[
        list[str] | None, typer.Option("--reserve", metavar="ADDRESS=SESH", help="A place; may be repeated.")
    ] = None,
    contracts: Contracts = ADDRESSES,
    key_file: KeyFile = None,
    dry_run: DryRun = False,
) -> None:
    """Keep places for others, as the operator, before anybody has staked; without options none is kept any more."""

    async def work(steps: Steps, found: contribution.Pot) -> None:
        from allium.wallet.contribution_settings import reserve

        part = 0 if own is None else amount(own)
        await reserve(steps, found, part, [place(text) for text in places or []])

    _change(pot, rpc, contracts, key_file, dry_run, work)


@app.command("keys")
def keys(
    pot: Pot,
    rpc: Rpc,
    registration: RegistrationFile,
    contracts: Contracts = ADDRESSES,
    key_file: KeyFile = None,
    dry_run: DryRun = False,
) -> None:
    """Name another node, or the same with new keys, as the operator, before anybody has staked."""

    async def work(steps: Steps, found: contribution.Pot) -> None:
        from allium.wallet.contribution_settings import set_keys

        await set_keys(steps, found, read_registration(registration))

    _change(pot, rpc, contracts, key_file, dry_run, work)


@app.command("beneficiary")
def beneficiary(
    pot: Pot,
    to: Annotated[str, typer.Argument(metavar="ADDRESS", help="Who is paid your rewards from now on.")],
    rpc: Rpc,
    contracts: Contracts = ADDRESSES,
    key_file: KeyFile = None,
    dry_run: DryRun = False,
) -> None:
    """Have your rewards paid to somebody else, as one who staked, until the node is registered."""

    async def work(steps: Steps, found: contribution.Pot) -> None:
        from allium.wallet.contribution_settings import set_beneficiary

        await set_beneficiary(steps, found, address(to))

    _change(pot, rpc, contracts, key_file, dry_run, work)


@app.command("reset")
def reset(
    pot: Pot, rpc: Rpc, contracts: Contracts = ADDRESSES, key_file: KeyFile = None, dry_run: DryRun = False
) -> None:
    """Give everybody the stake back and begin anew, as the operator; keys and fee stay."""

    async def work(steps: Steps, found: contribution.Pot) -> None:
        from allium.wallet.contribution_settings import reset

        await reset(steps, found)

    _change(pot, rpc, contracts, key_file, dry_run, work)


@app.command("rescue")
def rescue(
    pot: Pot,
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="Address of the token.")],
    rpc: Rpc,
    contracts: Contracts = ADDRESSES,
    key_file: KeyFile = None,
    dry_run: DryRun = False,
) -> None:
    """Take out tokens that somebody sent to the contract by mistake, as the operator."""

    async def work(steps: Steps, found: contribution.Pot) -> None:
        from allium.wallet.contribution_settings import rescue

        await rescue(steps, found, address(token))

    _change(pot, rpc, contracts, key_file, dry_run, work)


def _change(
    pot: str,
    rpc: Sequence[str],
    contracts: Path,
    key_file: Path | None,
    dry_run: bool,
    change: Callable[[Steps, contribution.Pot], Awaitable[None]],
) -> None:
    async def work(steps: Steps) -> None:
        from allium.wallet.contribution import look

        await change(steps, await look(steps.view, steps.view.addresses, address(pot)))

    stepping(rpc, contracts, key_file, dry_run, work)
    if not dry_run:
        say(f"Changed; allium stake show {pot} says how it stands.")
