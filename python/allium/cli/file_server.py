"""`allium account file-server`: where this device sends files, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from allium.base.console import out
from allium.cli import session
from allium.cli.account import FILE, File
from allium.cli.session import Json
from allium.errors import CommandError

if TYPE_CHECKING:
    from allium.client.session import Session
    from allium.client.transfers.transfer import FileServer

app = typer.Typer()


def parsed(place: str, option: str = "URL#KEY") -> FileServer:
    """The server of `URL#KEY`, as `allium files init` shows it; `option` is what it was given as."""
    from allium.client.transfers.transfer import FileServer

    url, separator, key = place.partition("#")
    try:
        server = FileServer(url, bytes.fromhex(key.removeprefix("p=")))
    except ValueError:
        separator = ""
    if not separator:
        raise CommandError(f"{option}: a server is named by its URL, # and its key of 64 hex digits")
    return server


@app.command("file-server")
def file_server(
    place: Annotated[
        str, typer.Argument(metavar="[URL#KEY]", help="Where files are sent from now on.", show_default=False)
    ] = "",
    default: Annotated[bool, typer.Option("--default", help="Where all clients send them, as at first.")] = False,
    quic: Annotated[
        bool,
        typer.Option("--quic", help="Straight over QUIC while it can be had, which tells the server your address."),
    ] = False,
    quic_port: Annotated[
        int | None, typer.Option("--quic-port", min=1, max=65535, help="Its UDP port, if it is not the URL's number.")
    ] = None,
    file: File = FILE,
    as_json: Json = False,
) -> None:
    """Show where this device sends files, or name another place.

    They go over the network's nodes, so that the server does not learn who sends them, unless you say --quic.
    """
    if default and (place or quic or quic_port):
        raise CommandError("--default stands alone")
    if (quic or quic_port) and not place:
        raise CommandError("name the server that is to be asked over QUIC: URL#KEY --quic")
    if quic_port and not quic:
        raise CommandError("--quic-port is the port for --quic, which is not there")
    wanted = parsed(place) if place else None

    async def work(opened: Session) -> tuple[FileServer, int | None]:
        files = opened.files
        if wanted is not None:
            await files.set_server(wanted, quic_port=(quic_port or wanted.server.port) if quic else None)
        elif default:
            await files.set_server(None)
        return await files.server(), await files.quic_port()

    server, port = session.used_here(file, [], True, work)
    if as_json:
        session.told({"url": server.url, "key": server.key.hex(), "quic_port": port})
        return
    out.report(f"File server  {server.url}", markup=False)
    out.report(f"Key          {server.key.hex()}")
    how = "over the network's nodes" if port is None else f"straight over QUIC, at UDP port {port}"
    out.report(f"Asked        {how}")
