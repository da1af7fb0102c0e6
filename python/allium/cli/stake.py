"""`allium stake …`: nodes with several contributors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from allium.base.console import out
from allium.cli import stake_options
from allium.cli.lazy import LazyGroup
from allium.cli.onchain import (
    ADDRESSES,
    Beneficiary,
    Contracts,
    DryRun,
    KeyFile,
    Rpc,
    address,
    amount,
    say,
    stepping,
    viewing,
)
from allium.cli.registration import read_registration

if TYPE_CHECKING:
    from allium.wallet.contribution import Pot
    from allium.wallet.steps import ContractReader, Steps


class _Stake(LazyGroup):
    modules: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("fee", "reserve", "keys", "beneficiary", "reset", "rescue"), "stake_settings"
    )


app = typer.Typer(cls=_Stake, help="Nodes with several contributors.", no_args_is_help=True)


@app.command("open")
def open_node(
    rpc: Rpc,
    own: Annotated[str, typer.Option("--amount", metavar="SESH", help="What the operator stakes.")],
    registration: stake_options.RegistrationFile,
    contracts: Contracts = ADDRESSES,
    fee: Annotated[float, typer.Option(min=0, max=100, help="The operator's fee in percent, two decimals.")] = 0.0,
    reserve: Annotated[
        list[str] | None, typer.Option(metavar="ADDRESS=SESH", help="A place kept for somebody; may be repeated.")
    ] = None,
    manual: Annotated[bool, typer.Option("--manual", help="Register it by `allium stake finalize` only.")] = False,
    beneficiary: Beneficiary = None,
    key_file: KeyFile = None,
    dry_run: DryRun = False,
) -> None:
    """Open a node to several contributors, as its operator, with the operator's part."""

    async def work(steps: Steps) -> None:
        from allium.staking import StakingError
        from allium.wallet.contribution import Terms, contribute, deploy, look

        made, part = read_registration(registration), amount(own)
        to = None if beneficiary is None else address(beneficiary)
        places = [stake_options.place(text) for text in reserve or []]
        pot = await deploy(steps, made, Terms(part, round(fee * 100), places, manual))
        if pot is None:
            say(f"ServiceNodeContribution.contributeFunds: {own} SESH would follow")
            return
        say(f"The node's contract is {pot}")
        try:
            opened = await contribute(steps, await look(steps.view, steps.view.addresses, pot), part, to)
        except StakingError as error:
            again = f"allium stake contribute {pot} {own}"
            raise StakingError(f"{error}. The contract stays, without a stake; go on with: {again}") from error
        _show_pot(opened)

    stepping(rpc, contracts, key_file, dry_run, work)


@app.command("show")
def show(pot: stake_options.Pot, rpc: Rpc, contracts: Contracts = ADDRESSES) -> None:
    """Show who staked in a node's contract, what is missing, and how much a new contributor needs at least."""

    async def work(view: ContractReader) -> None:
        from allium.wallet.contribution import look

        _show_pot(await look(view, view.addresses, address(pot)))

    viewing(rpc, contracts, work)


@app.command("contribute")
def contribute(
    pot: stake_options.Pot,
    part: Annotated[str, typer.Argument(metavar="SESH", help="How much.")],
    rpc: Rpc,
    contracts: Contracts = ADDRESSES,
    beneficiary: Beneficiary = None,
    key_file: KeyFile = None,
    dry_run: DryRun = False,
) -> None:
    """Stake a part of a node. Without --beneficiary a top-up makes you your own beneficiary again."""

    async def work(steps: Steps) -> None:
        from allium.wallet.contribution import contribute, look

        found = await look(steps.view, steps.view.addresses, address(pot))
        to = None if beneficiary is None else address(beneficiary)
        _show_pot(await contribute(steps, found, amount(part), to))

    stepping(rpc, contracts, key_file, dry_run, work)


@app.command("withdraw")
def withdraw(
    pot: stake_options.Pot,
    rpc: Rpc,
    contracts: Contracts = ADDRESSES,
    key_file: KeyFile = None,
    dry_run: DryRun = False,
) -> None:
    """Take back what you staked in a node that is not registered yet; the operator closes it for all."""

    async def work(steps: Steps) -> None:
        from allium.wallet.contribution import look, withdraw
        from allium.wallet.steps import sesh

        got = await withdraw(steps, await look(steps.view, steps.view.addresses, address(pot)))
        if not steps.dry_run:
            say(f"{sesh(got)} SESH are back")

    stepping(rpc, contracts, key_file, dry_run, work)


@app.command("finalize")
def finalize(
    pot: stake_options.Pot,
    rpc: Rpc,
    contracts: Contracts = ADDRESSES,
    key_file: KeyFile = None,
    dry_run: DryRun = False,
) -> None:
    """Register the node of a contract that is complete and was opened with --manual."""

    async def work(steps: Steps) -> None:
        from allium.wallet.contribution import finalize, look

        await finalize(steps, await look(steps.view, steps.view.addresses, address(pot)))

    stepping(rpc, contracts, key_file, dry_run, work)


def _show_pot(pot: Pot) -> None:
    from allium.wallet.steps import sesh

    out.print(f"status        {pot.status.text}")
    out.print(f"operator      {pot.operator}, fee {pot.fee / 100:g} %")
    missing = pot.requirement - pot.total - pot.reserved
    reserved = f", {sesh(pot.reserved)} reserved" if pot.reserved else ""
    out.print(f"staked        {sesh(pot.total)} of {sesh(pot.requirement)} SESH{reserved}, {sesh(missing)} missing")
    if missing:
        out.print(f"at least      {sesh(pot.minimum)} SESH for a new contributor")
    for who, part in pot.contributors:
        out.print(f"  {who}  {sesh(part)}")
