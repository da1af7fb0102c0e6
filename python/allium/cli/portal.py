"""`allium portal …`: the staking portal's API over the network and its contracts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from allium.base.console import out
from allium.base.text import line
from allium.cli import servers
from allium.cli.places import url_checked, urls_checked
from allium.cli.servers import ConfigOption, DataDirOption, InitDataDirOption, PortOption, UrlOption
from allium.errors import CommandError

#: Of files that differ.
_SHOWN = 8

app = typer.Typer(help="Let people stake with a browser.", no_args_is_help=True)


@app.command("init")
def init(
    data_dir: InitDataDirOption,
    contracts: Annotated[Path, typer.Option(help="JSON file with the addresses of the contracts.")],
    rpc: Annotated[list[str], typer.Option(help="URL of a provider of the EVM chain; may be repeated.")],
    chain_file: Annotated[Path | None, typer.Option(help="JSON file that says which chain to follow.")] = None,
    network_file: Annotated[Path | None, typer.Option(help="JSON file with the nodes of the network.")] = None,
    oxend: Annotated[str | None, typer.Option(help="URL of the live network's daemon, in place of both.")] = None,
    http_port: PortOption = 8002,
    node_dir: Annotated[Path | None, typer.Option(help="Data directory of a node here, with CometBFT.")] = None,
    public_url: UrlOption = None,
) -> None:
    """Make a commented configuration of a new portal. Its key is only a name: it signs nothing."""
    if (oxend is None) == (chain_file is None) or (oxend is None and network_file is None):
        raise CommandError("name a network: with --chain-file and --network-file, or with --oxend")
    with _installed():
        from allium.portal.settings import FILE_NAME, SCHEMA

        chosen = {
            "http_port": http_port,
            "public_url": public_url,
            "chain_file": _absolute(chain_file),
            "contracts": _absolute(contracts),
            "network_file": _absolute(network_file),
            "oxend": oxend,
            "node_dir": _absolute(node_dir),
            "l2_rpc": rpc,
        }
        file, _ = servers.create(data_dir, SCHEMA, FILE_NAME, chosen)
    out.report(f"Start it with: allium portal serve --config {file}")


@app.command("serve")
def serve(
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    wallet_connect_id: Annotated[
        str | None, typer.Option(help="Id of a project at WalletConnect; without it the page has none of that.")
    ] = None,
) -> None:
    """Serve until SIGTERM, which finishes what is under way."""
    with _installed():
        from allium.portal import server
        from allium.portal.settings import FILE_NAME, PortalConfig

        chosen = {"wallet_connect_id": wallet_connect_id}
        settings, file = servers.settings(PortalConfig.load, FILE_NAME, config, data_dir, chosen)
        raise typer.Exit(server.run(settings, file))


@app.command("verify")
def verify(url: Annotated[str, typer.Argument(help="Where the portal is, such as https://portal.example.")]) -> None:
    """Compare the page that a portal serves with the one in this package, file by file."""
    with _installed():
        import asyncio

        from allium.portal.verify import verify as compare

        found = asyncio.run(compare(url))
    out.report(f"hash of this package's page: {found.hash}")
    out.report(f"hash that the portal names:  {found.published or 'none'}")
    chain = found.config.get("chain")
    if isinstance(chain, dict):
        out.report(
            f"its chain: {line(str(chain.get('id')), 40)}; its backend: {line(str(found.config.get('backend')), 200)}"
        )
    if found.different or found.unknown:
        if not found.published and "/" in found.different:
            raise CommandError("URL: it is no portal of this version; look at what is there with a browser")
        said = [f"{path} is different" for path in found.different]
        said += [f"{path} is not in this package" for path in found.unknown]
        more = [f"and {len(said) - _SHOWN} more"] if len(said) > _SHOWN else []
        raise CommandError("URL: it is not the page of this package: " + "; ".join([*said[:_SHOWN], *more]))
    if not found.same:
        raise CommandError("its files are those of this package, and it names another hash")
    out.report(f"It is the page of this package: all {found.files} files are the same.")


@app.command("page")
def page(
    directory: Annotated[Path, typer.Argument(help="Where to write it; made if it is not there.")],
    backend: Annotated[
        str, typer.Option(callback=url_checked, help="URL of the backend that it asks, such as https://portal.example.")
    ],
    chain_id: Annotated[int, typer.Option(help="Number of the EVM chain.")] = 42161,
    explorer: Annotated[
        str | None, typer.Option(callback=url_checked, help="Where links to transactions lead.")
    ] = None,
    wallet_rpc: Annotated[
        list[str] | None, typer.Option(callback=urls_checked, help="What a wallet is told that lacks the chain.")
    ] = None,
    wallet_connect_id: Annotated[
        str | None, typer.Option(help="Id of a project at WalletConnect; the backend needs one too.")
    ] = None,
) -> None:
    """Write the page as static files, for any web server, with any backend."""
    with _installed():
        from allium.portal import page_files
        from allium.portal.settings import RELAY

        remote = None if wallet_connect_id is None else page_files.WalletConnect(wallet_connect_id, RELAY)
        here = page_files.Surroundings(backend=backend, explorer=explorer, rpc=wallet_rpc or (), walletconnect=remote)
        written = page_files.export(directory, here.told(chain_id))
    out.report(f"{len(written)} files in {directory}. Have the web server give index.html for paths that are no files.")
    out.report(f"Content-Security-Policy: {page_files.policy(backend, remote)}")


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())


@contextlib.contextmanager
def _installed() -> Iterator[None]:
    """Says how to install what is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is not installed; run: pip install 'allium[portal]'") from None
