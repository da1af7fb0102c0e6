"""`allium account backup`, `verify-backup`, `restore-backup`: all of an account in one encrypted file, and back."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allium.base.complaint import expanded
from allium.base.console import err, out
from allium.cli import account, session
from allium.cli.account import FILE, File
from allium.cli.places import Seed
from allium.cli.session import Json, Offline
from allium.errors import CommandError

if TYPE_CHECKING:
    from allium.client.database.archive import Backup
    from allium.client.session import Session

app = typer.Typer()

_Backup = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]
_PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file",
        envvar="ALLIUM_BACKUP_PASSWORD_FILE",
        help="File with the backup's password, mode 600; it is asked for without one.",
    ),
]


@app.command()
def backup(
    path: _Backup,
    seed: Seed = [],  # noqa: B006
    file: File = FILE,
    password: Annotated[
        bool, typer.Option("--password", help="Ask for a password, which then opens it instead of the recovery phrase.")
    ] = False,
    password_file: _PasswordFile = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Write all of the account into a file, or add to one what is new since the last time.

    The recovery phrase opens it, or a password, the same each time.
    """
    path = expanded(path)
    opener = None
    if password or password_file is not None or (path.exists() and _has_password(path)):
        opener = _password(password_file, new=not path.exists())

    async def work(opened: Session) -> Backup:
        with _progress("backing up") as progress:
            return await opened.backups.write(path, password=opener, progress=progress)

    _tell(session.used_here(file, seed, offline, work), path, as_json)


@app.command("verify-backup")
def verify_backup(path: _Backup, file: File = FILE, password_file: _PasswordFile = None, as_json: Json = False) -> None:
    """Read all of a backup and say what is in it; exit code 1 if it cannot be restored."""
    from allium.client.session.backups import verify_backup

    path = expanded(path)
    opener = _opener(path, file, password_file)

    async def work() -> Backup:
        with _progress("verifying") as progress:
            return await verify_backup(path, **opener, progress=progress)

    _tell(session.finished(work), path, as_json)


@app.command("restore-backup")
def restore_backup(
    path: _Backup, file: File = FILE, password_file: _PasswordFile = None, as_json: Json = False
) -> None:
    """Make an account's file and its database of a backup, where there is none; what is new since comes by itself.

    It is opened with its password, or with the recovery phrase: that in the account's file, or from standard input.
    """
    from allium.client.session.backups import restore_backup

    path, file = expanded(path), expanded(file)
    database = session.database_of(file)
    if database.exists():
        raise CommandError(f"{database} is there already; choose another file with --account")
    opener = _opener(path, file, password_file)
    found = _account(path, opener)
    made = not file.exists()
    if made:
        account.write(file, found.phrase)
    elif account.read(file).account_id != found.account_id:
        raise CommandError(f"{file} is another account; choose another file with --account")

    async def work() -> Backup:
        with _progress("restoring") as progress:
            return await restore_backup(
                path,
                database,
                phrase=opener.get("phrase"),
                backup_password=opener.get("password"),
                keep_phrase=False,
                progress=progress,
            )

    try:
        restored = session.finished(work)
    except BaseException:
        if made and not database.exists():
            file.unlink()
        raise
    _tell(restored, path, as_json, account_id=found.account_id)


def _account(path: Path, opener: dict[str, str]) -> Any:
    from allium.client import Account
    from allium.client.session import accountfile

    if "password" in opener:
        return accountfile.account_of_backup(path, opener["password"])
    given = Account.from_phrase(opener["phrase"])
    # Whether it is of this account is known before anything is made.
    return accountfile.account_of_backup(path, accountfile.secret(given))


def _opener(path: Path, file: Path, password_file: Path | None) -> dict[str, str]:
    """What opens a backup: its password, or the recovery phrase of the account."""
    if _has_password(path):
        return {"password": _password(password_file)}
    return {"phrase": account.read(file).phrase if expanded(file).exists() else account.given_phrase()}


def _has_password(path: Path) -> bool:
    from allium.client.database import archive

    return archive.has_password(path)


def _password(file: Path | None, new: bool = False) -> str:
    from allium.base import sealed

    if file is not None:
        try:
            return sealed.read(expanded(file)).decode()
        except UnicodeDecodeError:
            raise CommandError(f"{file} has no password: it is no text") from None
        except sealed.PassphraseError as error:
            raise CommandError(str(error)) from None
    if sys.stdin is None or not sys.stdin.isatty():
        raise CommandError("the backup's password is asked for at a terminal; else name its file with --password-file")
    answer: str = typer.prompt("Password of the backup", hide_input=True, confirmation_prompt=new)
    return answer


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int], object]]:
    with err.status(what) as tell:
        yield lambda rows: tell(f"{what} · {rows:,} rows")


def _tell(found: Backup, path: Path, as_json: bool, **more: str) -> None:
    if as_json:
        shown = {name: getattr(found, name) for name in ("time", "messages", "conversations", "size", "added")}
        session.told({"file": str(path), **shown, **more})
        return
    for account_id in more.values():
        out.report(f"Account ID       {account_id}")
    made = datetime.fromtimestamp(found.time / 1000, UTC)
    out.report(f"{path}: {found.messages:,} messages, {found.conversations:,} conversations", markup=False)
    out.report(
        f"of {made:%Y-%m-%d %H:%M:%S} UTC, {found.size:,} bytes"
        + (f", {found.added:,} of them new" if found.added else "")
    )
    if found.behind:
        out.report(f"{found.behind:,} bytes behind it are of a later backup that was not finished, or is damaged")
