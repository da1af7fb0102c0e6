"""`allium groups`: the groups of an account, and who is in them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allium.base.console import err, out
from allium.base.text import printable
from allium.cli import session
from allium.cli.account import FILE, File
from allium.cli.places import Seed
from allium.cli.session import Json

if TYPE_CHECKING:
    from allium.client.session import Session
    from allium.client.session.group_view import GroupView

app = typer.Typer(help="The groups that the account is in.")

_Group = Annotated[str, typer.Argument(metavar="GROUP_ID", help="03 and 64 hex digits.")]
_Members = Annotated[list[str], typer.Argument(metavar="ACCOUNT_ID...", help="05 and 64 hex digits each.")]


@app.callback(invoke_without_command=True)
def groups(ctx: typer.Context, seed: Seed = [], file: File = FILE, as_json: Json = False) -> None:  # noqa: B006
    """Show the groups, those too that wait to be accepted, with their members."""
    if ctx.invoked_subcommand is not None:
        session.only_after(ctx, "seed", "file", "as_json")
        return
    if not seed:
        raise typer.BadParameter("name a seed node, or set ALLIUM_SEED", param_hint="'--seed'")

    async def work(opened: Session) -> Sequence[GroupView]:
        return await opened.groups.all()

    _show(session.used(file, seed, work), as_json)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="1 to 100 bytes.")],
    seed: Seed,
    members: Annotated[
        list[str] | None, typer.Argument(metavar="[ACCOUNT_ID...]", help="Whom to invite: 05 and 64 hex digits each.")
    ] = None,
    file: File = FILE,
    as_json: Json = False,
) -> None:
    """Make a group, whose admin the account is."""

    async def work(opened: Session) -> Sequence[GroupView]:
        return [await opened.groups.create(name, members or ())]

    _show(session.used(file, seed, work, changes=True), as_json)


@app.command()
def accept(group: _Group, seed: Seed, file: File = FILE, as_json: Json = False) -> None:
    """Accept an invitation."""

    async def act(opened: Session) -> None:
        await opened.groups.accept(group)

    _changed(file, seed, group, act, as_json)


@app.command()
def invite(
    group: _Group,
    members: _Members,
    seed: Seed,
    history: Annotated[bool, typer.Option("--history", help="They can read what was written before.")] = False,
    file: File = FILE,
    as_json: Json = False,
) -> None:
    """Invite people; as an admin."""

    async def act(opened: Session) -> None:
        await opened.groups.invite(group, members, history=history)

    _changed(file, seed, group, act, as_json)


@app.command()
def rename(
    group: _Group,
    name: Annotated[str, typer.Argument(help="1 to 100 bytes.")],
    seed: Seed,
    file: File = FILE,
    as_json: Json = False,
) -> None:
    """Give a group another name; as an admin."""

    async def act(opened: Session) -> None:
        await opened.groups.rename(group, name)

    _changed(file, seed, group, act, as_json)


@app.command()
def promote(group: _Group, members: _Members, seed: Seed, file: File = FILE, as_json: Json = False) -> None:
    """Make admins of members; as an admin. Nobody can undo it."""

    async def act(opened: Session) -> None:
        await opened.groups.promote(group, members)

    _changed(file, seed, group, act, as_json)


@app.command()
def remove(
    group: _Group,
    members: _Members,
    seed: Seed,
    messages: Annotated[bool, typer.Option("--messages", help="With all that they wrote.")] = False,
    file: File = FILE,
    as_json: Json = False,
) -> None:
    """Remove members; as an admin."""

    async def act(opened: Session) -> None:
        await opened.groups.remove(group, members, messages=messages)

    _changed(file, seed, group, act, as_json)


@app.command()
def leave(group: _Group, seed: Seed, file: File = FILE, as_json: Json = False) -> None:
    """Leave a group, or forget one that the account was removed from."""

    async def work(opened: Session) -> Sequence[GroupView]:
        await opened.groups.leave(group)
        return await opened.groups.all()

    _show(session.used(file, seed, work, changes=True), as_json)


def _changed(file: Path, seed: list[str], group: str, act: Callable[[Session], Awaitable[None]], as_json: bool) -> None:
    async def work(opened: Session) -> Sequence[GroupView]:
        await act(opened)
        found = await opened.groups.get(group)
        return [] if found is None else [found]

    _show(session.used(file, seed, work, changes=True), as_json)


def _show(views: Sequence[GroupView], as_json: bool) -> None:
    if as_json:
        session.told([_object(view) for view in views])
        return
    for view in views:
        state = "invited" if view.invited else view.removed.name.lower() if view.removed else "admin" * view.admin
        out.report(printable("  ".join(filter(None, (view.id, " ".join(view.name.split()), state)))), markup=False)
        for member in view.members:
            line = "  ".join(filter(None, (member.id, " ".join(member.name.split()), member.state)))
            out.report(printable(f"  {line}"), markup=False)
    if not views:
        err.print("no groups")


def _object(view: GroupView) -> dict[str, Any]:
    return {
        "id": view.id,
        "name": view.name,
        "admin": view.admin,
        "members": [
            {"id": member.id, "name": member.name, "admin": member.admin, "state": member.state}
            for member in view.members
        ],
    }
