"""`allium send` and `allium inbox`: a person's messages, as they come and go."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allium.base.complaint import expanded
from allium.base.console import err, out
from allium.base.text import printable
from allium.cli.account import FILE, File, read
from allium.cli.places import Seed
from allium.errors import CommandError

if TYPE_CHECKING:
    from allium.client import Account, Message, SendResult, State

app = typer.Typer()

_State = Annotated[
    Path | None,
    typer.Option("--state", help="File with what was seen, and the nodes; beside the account's file without it."),
]


@app.command()
def send(
    to: Annotated[str, typer.Argument(metavar="ID", help="05, or of a group 03, and 64 hex digits.")],
    text: Annotated[str, typer.Argument(help="What to say.")],
    seed: Seed,
    file: File = FILE,
    name: Annotated[str, typer.Option(help="What to call yourself.")] = "",
    state: _State = None,
    reply: Annotated[str, typer.Option("--reply", metavar="MESSAGE", help="Answer the message of this hash.")] = "",
    attach: Annotated[
        list[Path] | None, typer.Option("--attach", metavar="FILE", help="A file to send with it; may be repeated.")
    ] = None,
    file_server: Annotated[
        str,
        typer.Option(
            envvar="ALLIUM_FILE_SERVER", metavar="URL#KEY", help="Where files are sent, if not where all clients do."
        ),
    ] = "",
) -> None:
    """Send a text over a three-hop onion path into the recipient's swarm.

    Exit code 0: the message is stored there. Whether that could be shown, or remembered, makes no difference.
    """
    if reply or attach or to.startswith("03"):
        from allium.cli import sending

        sending.send(file, seed, to, text, reply, attach or [], file_server)
        return
    from allium.client import Client
    from allium.client.state import StateError

    async def run() -> None:
        try:
            async with Client(read(file), seed, _state(file, state)) as client:
                _confirm(await client.send_text(to, text, display_name=name))
        except StateError as error:
            err.print(f"the message is stored; {error}", markup=False)

    _networked(run())


def _confirm(result: SendResult) -> None:
    out.report(f"message {result.hash}")
    out.report("path    " + " → ".join(map(str, (*result.path, result.destination))))
    for confirmation in result.confirmations:
        told = confirmation.failure or ("stored, signed" if confirmation.verified else "a false signature")
        out.report(printable(f"  {confirmation.node.hex()} {told}"), markup=False)


@app.command()
def inbox(
    seed: Seed,
    file: File = FILE,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more until Ctrl-C.")] = False,
    state: _State = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="For machines: of all conversations, an object a line.")
    ] = False,
) -> None:
    """Show what is new in the inbox. A message that could not be shown is new the next time too."""
    if as_json:
        from allium.cli import inbox as machines

        machines.tell(file, seed, follow)
        return
    from allium.client import Client

    account = read(file)

    async def run() -> None:
        async with Client(account, seed, _state(file, state)) as client:
            if follow:
                async for message in client.follow():
                    _show(message, account)
            poll = await client.peek()
            for message in poll.messages:
                _show(message, account)
                client.mark_seen(message)
            client.mark_seen(poll)
            if not poll.messages:
                err.print("nothing new")

    with contextlib.suppress(KeyboardInterrupt):
        _networked(run())


def _show(message: Message, account: Account) -> None:
    who = f"to {message.recipient}" if message.sender == account.account_id else message.sender
    name = f" ({' '.join(message.display_name.split())})" if message.display_name else ""
    # What stands at the left margin is ours to say.
    text = message.text.replace("\n", "\n  ")
    out.print(printable(f"{moment(message.timestamp)}  {who}{name}\n  {text}"), markup=False)


def moment(milliseconds: int) -> str:
    """A time of somebody else's clock, by this machine's calendar; what is on no calendar is told as it is."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"at {milliseconds} ms"


def _networked(work: Coroutine[Any, Any, None]) -> None:
    import asyncio

    try:
        asyncio.run(work)
    except UnicodeError:
        raise
    except ValueError as error:
        raise CommandError(str(error)) from None


def _state(file: Path, named: Path | None) -> State:
    from allium.client import State

    file = expanded(file)
    return State.load(file.with_name(file.name + ".state.json") if named is None else expanded(named))
