"""`allium import json`: messages of an export become part of an account."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allium.base.complaint import expanded
from allium.base.console import err, out
from allium.cli import session
from allium.cli.account import FILE, File
from allium.cli.places import Seed
from allium.cli.session import Json, Offline

if TYPE_CHECKING:
    from allium.client.database.export import Imported
    from allium.client.session import Session

app = typer.Typer()


@app.command("json")
def from_json(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What `export json` has written.")],
    seed: Seed = [],  # noqa: B006
    file: File = FILE,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Add what was exported to the messages of the account; what is there already stays as it is.

    Nothing of it is sent. Lines that cannot be read are counted and left out.
    """
    path = expanded(path)

    async def work(opened: Session) -> Imported:
        with err.status("reading") as tell:
            return await opened.exports.read_json(
                path, progress=lambda found: tell(f"reading · {found.added + found.known:,} messages")
            )

    found = session.used_here(file, seed, offline, work)
    if as_json:
        session.told(asdict(found))
        return
    out.report(f"{found.added:,} messages added, {found.known:,} were there")
    if found.unreadable:
        out.report(f"{found.unreadable:,} lines left out, which are none of an export")
