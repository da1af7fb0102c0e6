"""What the commands of an account with a database share: it is brought up to date, used, and pushed."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from allium.base.complaint import expanded
from allium.base.console import out
from allium.cli.account import read
from allium.errors import CommandError

if TYPE_CHECKING:
    from allium.client.database.rows import Message
    from allium.client.session import Session

Offline = Annotated[bool, typer.Option("--offline", help="What is here, without asking the network what is new.")]
Json = Annotated[bool, typer.Option("--json", help="For machines.")]

T = TypeVar("T")


def database_of(file: Path) -> Path:
    """Where the database of the account in a file is."""
    file = expanded(file)
    return file.with_name(file.name + ".db")


async def opened(file: Path, seeds: list[str]) -> Session:
    """The session of the account in a file; its database is beside it, and is made where there is none."""
    from allium.client.database import DatabaseError
    from allium.client.session import Session

    account = read(file)
    database = database_of(file)
    if not database.exists():
        return await Session.restore(database, account.phrase, seeds=seeds, keep_phrase=False)
    try:
        return await Session.open(database, phrase=account.phrase, seeds=seeds)
    except DatabaseError:
        try:
            # What was interrupted when it was made is made again; all else is refused.
            return await Session.restore(database, account.phrase, seeds=seeds, keep_phrase=False)
        except DatabaseError:
            pass
        raise


def used(file: Path, seeds: list[str], work: Callable[[Session], Awaitable[T]], *, changes: bool = False) -> T:
    """What `work` makes of the session once all that is new is there; what it `changes` is pushed before this ends."""

    async def run() -> T:
        async with await opened(file, seeds) as session:
            await session.sync()
            result = await work(session)
            if changes:
                await session.sync()
            return result

    return finished(run)


def used_here(file: Path, seeds: list[str], offline: bool, work: Callable[[Session], Awaitable[T]]) -> T:
    """`used`, or `offline` what `work` makes of what is on this machine already."""
    if not offline:
        if not seeds:
            raise typer.BadParameter("name a seed node, or set ALLIUM_SEED, or say --offline", param_hint="'--seed'")
        return used(file, seeds, work)

    async def run() -> T:
        from allium.client.session import Session

        phrase, database = read(file).phrase, database_of(file)
        if not database.exists():
            raise CommandError(f"{database} does not exist, so there is nothing here yet; leave out --offline")
        async with await Session.open(database, phrase=phrase, seeds=seeds or None) as session:
            return await work(session)

    return finished(run)


def finished(run: Callable[[], Awaitable[T]]) -> T:
    """Runs it to its end; what it says of wrong values is a complaint to the person."""
    import asyncio

    async def all_of_it() -> T:
        return await run()

    try:
        return asyncio.run(all_of_it())
    except UnicodeError:
        raise
    except ValueError as error:
        raise CommandError(str(error)) from None


def told(value: Any) -> None:
    """Shows a value as one line of JSON."""
    out.print(json.dumps(value, ensure_ascii=True), markup=False)


def as_object(message: Message) -> dict[str, Any]:
    """A message as the commands tell of it."""
    return {
        "id": message.hash or str(message.id),
        "type": "message" if message.kind == "text" else message.kind,
        "sender": message.sender,
        "conversation": message.conversation,
        "text": message.body,
        "timestamp": message.timestamp,
    }


def only_after(ctx: typer.Context, *names: str) -> None:
    """Complains of options of a group that stand before the name of one of its commands."""
    for name in names:
        source = ctx.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise CommandError(f"options stand behind `{ctx.invoked_subcommand}`, not before it")
