"""`allium account …`: a person's account, which other commands use too."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from allium.base.complaint import expanded
from allium.base.console import out
from allium.cli.lazy import LazyGroup
from allium.errors import CommandError

if TYPE_CHECKING:
    from allium.client import Account


class _Account(LazyGroup):
    modules: ClassVar[Mapping[str, str]] = {
        "backup": "backups",
        "verify-backup": "backups",
        "restore-backup": "backups",
        "file-server": "file_server",
    }

    def list_commands(self, ctx: Any) -> list[str]:
        """What makes an account comes first."""
        return sorted(super().list_commands(ctx), key=lambda name: name in self.modules)


app = typer.Typer(
    cls=_Account,
    help="The account that `send` and `inbox` use, its file server, its backups.",
    no_args_is_help=True,
)

File = Annotated[
    Path, typer.Option("--account", envvar="ALLIUM_ACCOUNT", help="File with the recovery phrase.", show_default=True)
]
FILE = Path("~/.config/allium/account")
#: On standard input there is a phrase, and not more.
_MOST_PHRASE_BYTES = 4096


@app.command("new")
def new(file: File = FILE) -> None:
    """Make an account; whoever has its recovery phrase has the account."""
    from allium.client import Account

    account = Account.new()
    write(expanded(file), account.phrase)
    _report(account, phrase=True)


@app.command("restore")
def restore(
    file: File = FILE,
    phrase: Annotated[str, typer.Option(help="The 13 words; others on this machine may see them there.")] = "",
) -> None:
    """Bring an account back from its recovery phrase, which is asked for, or read from standard input."""
    from allium.client import Account

    account = Account.from_phrase(phrase or given_phrase())
    write(expanded(file), account.phrase)
    _report(account, phrase=False)


@app.command("show")
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


def given_phrase() -> str:
    """A recovery phrase from the person, or from standard input."""
    if sys.stdin is not None and sys.stdin.isatty():
        answer: str = typer.prompt("Recovery phrase", hide_input=True)
        return answer
    from allium.client.phrase import decoded

    return decoded(sys.stdin.buffer.read(_MOST_PHRASE_BYTES) if sys.stdin is not None else b"")


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


def write(file: Path, phrase: str) -> None:
    """Makes the file of an account; raises `Complaint` if it is there."""
    from allium.base import files

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
