"""`allium contacts`: the people of an account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allium.base.console import err, out
from allium.base.text import printable
from allium.cli import session
from allium.cli.account import FILE, File
from allium.cli.places import Seed
from allium.cli.session import Json

if TYPE_CHECKING:
    from allium.client.configs.contacts import Contact
    from allium.client.session import Session

app = typer.Typer(help="The people whom the account knows.")


@app.callback(invoke_without_command=True)
def contacts(ctx: typer.Context, seed: Seed = [], file: File = FILE, as_json: Json = False) -> None:  # noqa: B006
    """Show the account's contacts, message requests and blocked ones too."""
    if ctx.invoked_subcommand is not None:
        session.only_after(ctx, "seed", "file", "as_json")
        return
    if not seed:
        raise typer.BadParameter("name a seed node, or set ALLIUM_SEED", param_hint="'--seed'")

    async def work(opened: Session) -> Sequence[Contact]:
        return await opened.contacts.list()

    _show(session.used(file, seed, work), as_json)


@app.command("set")
def change(
    contact: Annotated[str, typer.Argument(metavar="ACCOUNT_ID", help="05 and 64 hex digits.")],
    seed: Seed,
    nickname: Annotated[str, typer.Option("--nickname", help="What to call them; empty for their own name.")],
    file: File = FILE,
    as_json: Json = False,
) -> None:
    """Give a contact a nickname, which nobody else sees."""

    async def work(opened: Session) -> Sequence[Contact]:
        await opened.contacts.set_nickname(contact, nickname)
        changed = await opened.contacts.get(contact)
        return [] if changed is None else [changed]

    _show(session.used(file, seed, work, changes=True), as_json)


def _show(people: Sequence[Contact], as_json: bool) -> None:
    if as_json:
        session.told([_object(person) for person in people])
        return
    for person in people:
        state = "blocked" if person.blocked else "" if person.approved else "request"
        name = " ".join(person.shown_name.split())
        out.report(printable("  ".join(filter(None, (person.account_id, name, state)))), markup=False)
    if not people:
        err.print("no contacts")


def _object(person: Contact) -> dict[str, Any]:
    return {
        "id": person.account_id,
        "name": person.name,
        "nickname": person.nickname,
        "approved": person.approved,
        "approved_me": person.approved_me,
        "blocked": person.blocked,
    }
