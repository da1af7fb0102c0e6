"""`allium export json`, `allium export html`: all that was said, in files that everybody can read."""

from __future__ import annotations

from collections.abc import Sequence
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
    from allium.client.session import Session

app = typer.Typer()


@app.command("json")
def lines(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="What was there is replaced.")],
    seed: Seed = [],  # noqa: B006
    file: File = FILE,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Write conversations, profiles and messages into a file, a line of JSON each, which `import json` takes back.

    They are not encrypted; the account's secrets are not among them.
    """
    path = expanded(path)

    async def work(opened: Session) -> None:
        with err.status("writing") as tell:
            await opened.exports.write_json(path, progress=lambda count: tell(f"writing · {count:,} lines"))

    session.used_here(file, seed, offline, work)
    size = path.stat().st_size
    if as_json:
        session.told({"file": str(path), "size": size})
        return
    out.report(f"{path}: {size:,} bytes, not encrypted", markup=False)


@app.command("html")
def pages(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Is made if it is not there.")],
    seed: Seed = [],  # noqa: B006
    file: File = FILE,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Write a web page for each conversation, and one that lists them. They are not encrypted."""
    directory = expanded(directory)

    async def work(opened: Session) -> Sequence[Path]:
        with err.status("writing") as tell:
            return await opened.exports.write_html(directory, progress=lambda count: tell(f"writing · {count:,} pages"))

    written = session.used_here(file, seed, offline, work)
    if as_json:
        session.told({"file": str(written[0]), "conversations": len(written) - 1})
        return
    out.report(f"{written[0]}: {len(written) - 1:,} conversations, not encrypted", markup=False)
