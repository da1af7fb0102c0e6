"""`allium profile`: what others see of an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from allium.base.console import out
from allium.base.text import printable
from allium.cli import session
from allium.cli.account import FILE, File
from allium.cli.places import Seed
from allium.cli.session import Json

if TYPE_CHECKING:
    from allium.client.session import Session

app = typer.Typer(help="The account's name, as others see it.")


@app.callback(invoke_without_command=True)
def profile(ctx: typer.Context, seed: Seed = [], file: File = FILE, as_json: Json = False) -> None:  # noqa: B006
    """Show the account's id and name, as all of its devices have them."""
    if ctx.invoked_subcommand is not None:
        session.only_after(ctx, "seed", "file", "as_json")
        return
    _show(*session.used(file, _needed(seed), _profile), as_json)


@app.command("set")
def change(
    seed: Seed,
    name: Annotated[str, typer.Option("--name", help="1 to 100 bytes.")],
    file: File = FILE,
    as_json: Json = False,
) -> None:
    """Change the name on all of the account's devices."""

    async def work(opened: Session) -> tuple[str, str]:
        await opened.set_display_name(name)
        return await _profile(opened)

    _show(*session.used(file, seed, work, changes=True), as_json)


async def _profile(opened: Session) -> tuple[str, str]:
    return opened.account_id, opened.profile.name


def _show(account_id: str, name: str, as_json: bool) -> None:
    if as_json:
        session.told({"id": account_id, "name": name})
        return
    out.report(f"Account ID  {account_id}")
    out.report(printable(f"Name        {' '.join(name.split())}"), markup=False)


def _needed(seeds: list[str]) -> list[str]:
    if not seeds:
        raise typer.BadParameter("name a seed node, or set ALLIUM_SEED", param_hint="'--seed'")
    return seeds
