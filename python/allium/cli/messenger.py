"""`allium messenger`: what a person opens."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allium.base.complaint import expanded
from allium.base.console import err, out
from allium.base.text import printable
from allium.cli import session
from allium.cli.places import urls_checked
from allium.errors import CommandError

if TYPE_CHECKING:
    from allium.client.transfers.transfer import FileServer
    from allium.messenger.server import Ready, Wanted

app = typer.Typer(help="A messenger in the browser, served by this machine to its owner alone.")
devices_app = typer.Typer(help="Browsers and telephones that may come in.")
app.add_typer(devices_app, name="devices")

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
        typer.Option(
            "--seed",
            envvar="ALLIUM_SEED",
            callback=urls_checked,
            help="URL of a seed node of another network; may be repeated.",
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Where it listens on this machine.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Show the link, and open nothing.")] = False,
    listen: Annotated[
        str, typer.Option("--listen", metavar="ADDRESS[:PORT]", help="Let telephones come in here, by a code.")
    ] = "",
    file_server: Annotated[
        str,
        typer.Option(
            envvar="ALLIUM_FILE_SERVER", metavar="URL#KEY", help="Where files are sent, if not where all clients do."
        ),
    ] = "",
    open_link: Annotated[
        str, typer.Option("--open", metavar="LINK", help="A session: link, or a community's URL, to be led to.")
    ] = "",
    push_server: Annotated[
        str,
        typer.Option(envvar="ALLIUM_PUSH_SERVER", metavar="URL#KEY", help="What wakes browsers whose page is closed."),
    ] = "",
    gif_provider: Annotated[
        str,
        typer.Option(
            envvar="ALLIUM_GIF_PROVIDER", metavar="URL", help="What is searched for GIFs, in place of GIPHY's own API."
        ),
    ] = "",
) -> None:
    """Open the messenger, and serve it until Ctrl-C; where it is served already, open it there."""
    if ctx.invoked_subcommand is not None:
        session.only_after(
            ctx,
            "data_dir",
            "seed",
            "port",
            "no_browser",
            "listen",
            "file_server",
            "open_link",
            "push_server",
            "gif_provider",
        )
        return
    import allium

    try:
        from allium.messenger.server import Wanted
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is not installed; run: pip install 'allium[messenger]'") from None

    wanted = Wanted(
        expanded(data_dir),
        tuple(seed or ()),
        port,
        listen,
        _file_server("--file-server", file_server),
        _file_server("--push-server", push_server),
        allium.__version__,
        _provider(gif_provider),
    )
    _serve(wanted, browser=not no_browser, to=open_link)


def _serve(wanted: Wanted, *, browser: bool, to: str) -> None:
    import asyncio

    from allium.base.pidfile import InUseError
    from allium.messenger import server

    def ready(told: Ready) -> None:
        link = _leading(told.link, to)
        out.report(link, markup=False)
        if told.telephone:
            _show_telephone(told)
        if browser:
            _open(link)

    try:
        asyncio.run(server.serve(wanted, ready))
    except InUseError:
        link = server.running_elsewhere(wanted.directory)
        if link is None:
            raise
        link = _leading(link, to)
        out.report(link, markup=False)
        if browser:
            _open(link)


def _leading(link: str, to: str) -> str:
    """The link that lets a browser in, and takes it to somebody."""
    from urllib.parse import quote

    return f"{link}&open={quote(to, safe='')}" if to else link


def _show_telephone(told: Ready) -> None:
    import segno

    out.report(f"Telephone    {told.telephone}", markup=False)
    pairs = [told.fingerprint[at : at + 2] for at in range(0, len(told.fingerprint), 2)]
    out.report(f"Certificate  SHA-256 {':'.join(pairs).upper()}", markup=False)
    if sys.stdout is not None and sys.stdout.isatty():
        segno.make(told.telephone, error="l").terminal(out=sys.stdout, compact=True)


def _open(link: str) -> None:
    import webbrowser

    if not webbrowser.open(link):
        err.print("no browser was found; open the link in one", markup=False)


def _file_server(option: str, place: str) -> FileServer | None:
    if not place:
        return None
    from allium.cli.file_server import parsed

    return parsed(place, option)


def _provider(url: str) -> str:
    from allium.base import urls

    if url:
        try:
            urls.check(url)
        except ValueError as error:
            raise CommandError(f"--gif-provider: {error}") from None
    return url


@app.command("install")
def install(
    data_dir: DataDir = DIRECTORY,
    autostart: Annotated[
        bool, typer.Option("--autostart", help="Also run it, without a browser, at each login.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take both away again.")] = False,
) -> None:
    """Put the messenger into this machine's menu of programs."""
    import subprocess

    from allium.messenger import install as installing

    command = [sys.executable, "-m", "allium", "messenger", "--data-dir", str(expanded(data_dir).absolute())]
    made, values = installing.entries(command, autostart=autostart or remove), installing.registry(command)
    if remove:
        for path in installing.remove(made, values):
            out.report(f"removed {path}", markup=False)
        return
    try:
        installing.install(made, values)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CommandError(f"not everything could be put into the menu: {error}") from None
    for each in made:
        out.report(f"made {each.path}", markup=False)


@devices_app.callback(invoke_without_command=True)
def devices(ctx: typer.Context, data_dir: DataDir = DIRECTORY) -> None:
    """Show the browsers and telephones that may come in."""
    if ctx.invoked_subcommand is None:
        _list(data_dir)
    else:
        session.only_after(ctx, "data_dir")


@devices_app.command("list")
def list_devices(data_dir: DataDir = DIRECTORY) -> None:
    """Show them."""
    _list(data_dir)


@devices_app.command("revoke")
def revoke(
    device: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")], data_dir: DataDir = DIRECTORY
) -> None:
    """Let one in no longer; a running service knows at once."""
    from allium.messenger.access import Access
    from allium.messenger.places import Places

    if not Access(Places(expanded(data_dir))).revoke(device):
        raise CommandError(f"there is no device {device!r}; `allium messenger devices list` shows them")
    out.report(f"revoked {device}", markup=False)


def _list(data_dir: Path) -> None:
    from allium.messenger.access import Access
    from allium.messenger.places import Places

    found = Access(Places(expanded(data_dir))).devices()
    for each in found:
        seen = f"{datetime.fromtimestamp(each.seen, UTC):%Y-%m-%d %H:%M}"
        way = "network" if each.remote else "here"
        out.report(printable(f"{each.id}  {seen}  {way:7}  {each.name}"), markup=False)
    if not found:
        err.print("no devices")
