"""`allium messenger`: what a person opens."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allium.base.complaint import expanded
from allium.base.console import out

if TYPE_CHECKING:
    from allium.client.transfers.transfer import FileServer

app = typer.Typer(help="A messenger in the browser, served by this machine to its owner alone.")

DIRECTORY = Path("~/.local/share/allium/messenger")
DataDir = Annotated[
    Path, typer.Option("--data-dir", envvar="ALLIUM_MESSENGER_DIR", help="Where everything is kept.", show_default=True)
]


@app.callback(invoke_without_command=True)
def messenger(
    ctx: typer.Context,
    data_dir: DataDir = DIRECTORY,
    seed: Annotated[
        list[str] | None,
        typer.Option("--seed", envvar="ALLIUM_SEED", help="URL of a seed node of another network; may be repeated."),
    ] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Where it listens.")] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Show the link, and open nothing.")] = False,
    file_server: Annotated[
        str,
        typer.Option(
            envvar="ALLIUM_FILE_SERVER", metavar="URL#KEY", help="Where files are sent, if not where all clients do."
        ),
    ] = "",
) -> None:
    """Open the messenger, and serve it until Ctrl-C."""
    if ctx.invoked_subcommand is not None:
        return
    import allium
    from allium.messenger import server

    wanted = server.Wanted(expanded(data_dir), tuple(seed or ()), port, _file_server(file_server), allium.__version__)

    def ready(link: str) -> None:
        out.report(link, markup=False)
        if not no_browser:
            import webbrowser

            webbrowser.open(link)

    asyncio.run(server.serve(wanted, ready))


def _file_server(place: str) -> FileServer | None:
    if not place:
        return None
    from allium.cli import sending

    return sending.server_of(place)
