"""`allium account`, `send` and `inbox`: a person's account, and the messages that come and go."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Coroutine
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allium.complaint import expanded
from allium.console import err, out
from allium.errors import CommandError
from allium.text import printable

if TYPE_CHECKING:
    from allium.client import Account, Message, SendResult, State

account_app = typer.Typer(help="The account that `send` and `inbox` use.", no_args_is_help=True)

File = Annotated[
    Path, typer.Option("--account", envvar="ALLIUM_ACCOUNT", help="File with the recovery phrase.", show_default=True)
]
FILE = Path("~/.config/allium/account")
_Seed = Annotated[list[str], typer.Option("--seed", envvar="ALLIUM_SEED", help="URL of a seed node; may be repeated.")]
_State = Annotated[
    Path | None,
    typer.Option("--state", help="File with what was seen, and the nodes; beside the account's file without it."),
]


def mount(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(account_app, name="account")
    app.command()(send)
    app.command()(inbox)


@account_app.command("new")
def new(file: File = FILE) -> None:
    """Make an account; whoever has its recovery phrase has the account."""
    from allium.client import Account

    account = Account.new()
    _write(expanded(file), account.phrase)
    _report(account, phrase=True)


@account_app.command("restore")
def restore(
    file: File = FILE,
    phrase: Annotated[str, typer.Option(prompt="Recovery phrase", hide_input=True, help="The 13 words.")] = "",
) -> None:
    """Bring an account back from its recovery phrase."""
    from allium.client import Account

    account = Account.from_phrase(phrase)
    _write(expanded(file), account.phrase)
    _report(account, phrase=False)


@account_app.command("show")
def show(
    file: File = FILE,
    qr: Annotated[bool, typer.Option("--qr", help="As a QR code that other clients scan.")] = False,
    phrase: Annotated[bool, typer.Option("--phrase", help="The recovery phrase too. Secret.")] = False,
) -> None:
    """Show the Account ID, which is what others write to."""
    account = read(file)
    for line in _described(account, phrase):
        out.print(line)
    if qr:
        import segno

        segno.make(account.account_id, error="m").terminal(out=sys.stdout, compact=True)


def send(
    to: Annotated[str, typer.Argument(metavar="ACCOUNT_ID", help="05 and 64 hex digits.")],
    text: Annotated[str, typer.Argument(help="What to say.")],
    seed: _Seed,
    file: File = FILE,
    name: Annotated[str, typer.Option(help="What to call yourself.")] = "",
    state: _State = None,
) -> None:
    """Send a text over a three-hop onion path into the recipient's swarm.

    Exit code 0: the message is stored there. Whether that could be shown, or remembered, makes no difference.
    """
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


def inbox(
    seed: _Seed,
    file: File = FILE,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more until Ctrl-C.")] = False,
    state: _State = None,
) -> None:
    """Show what is new in the inbox. A message that could not be shown is new the next time too."""
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


def read(file: Path) -> Account:
    """The account in a file; raises `Complaint`."""
    from allium.client import Account
    from allium.client.phrase import decoded
    from allium.client.words import PhraseError

    file = expanded(file)
    try:
        return Account.from_phrase(decoded(file.read_bytes()))
    except FileNotFoundError:
        raise CommandError(f"{file} does not exist; make an account with: allium account new") from None
    except PhraseError as error:
        raise CommandError(f"{file} holds no recovery phrase: {error}") from None


def _write(file: Path, phrase: str) -> None:
    from allium import files

    files.make_directory(file.parent)
    try:
        files.create(file, f"{phrase}\n".encode())
    except FileExistsError:
        raise CommandError(f"{file} is an account already; choose another file with --account") from None


def _report(account: Account, phrase: bool) -> None:
    for line in _described(account, phrase):
        out.report(line)


def _described(account: Account, phrase: bool) -> list[str]:
    shown = [f"Account ID       {account.account_id}"]
    return [*shown, f"Recovery phrase  {account.phrase}"] if phrase else shown


def _networked(work: Coroutine[Any, Any, None]) -> None:
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
