"""`allium portal …`: the staking portal's API over the network and its contracts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from allium.base.console import out
from allium.cli import servers
from allium.cli.servers import ConfigOption, DataDirOption, InitDataDirOption, PortOption, UrlOption
from allium.errors import CommandError

app = typer.Typer(help="Let people stake with a browser.", no_args_is_help=True)


@app.command("init")
def init(
    data_dir: InitDataDirOption,
    chain_file: Annotated[Path, typer.Option(help="JSON file that says which chain to follow.")],
    contracts: Annotated[Path, typer.Option(help="JSON file with the addresses of the contracts.")],
    network_file: Annotated[Path, typer.Option(help="JSON file with the nodes of the network.")],
    rpc: Annotated[list[str], typer.Option(help="URL of a provider of the EVM chain; may be repeated.")],
    http_port: PortOption = 8002,
    node_dir: Annotated[Path | None, typer.Option(help="Data directory of a node here, with CometBFT.")] = None,
    public_url: UrlOption = None,
) -> None:
    """Make a commented configuration of a new portal. Its key is only a name: it signs nothing."""
    with _installed():
        from allium.portal.settings import FILE_NAME, SCHEMA

        chosen = {
            "http_port": http_port,
            "public_url": public_url,
            "chain_file": str(chain_file.absolute()),
            "contracts": str(contracts.absolute()),
            "network_file": str(network_file.absolute()),
            "node_dir": None if node_dir is None else str(node_dir.absolute()),
            "l2_rpc": rpc,
        }
        file, _ = servers.create(data_dir, SCHEMA, FILE_NAME, chosen)
    out.report(f"Start it with: allium portal serve --config {file}")


@app.command("serve")
def serve(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Serve until SIGTERM, which finishes what is under way."""
    with _installed():
        from allium.portal import server
        from allium.portal.settings import FILE_NAME, PortalConfig

        settings, file = servers.settings(PortalConfig.load, FILE_NAME, config, data_dir)
        raise typer.Exit(server.run(settings, file))


@contextlib.contextmanager
def _installed() -> Iterator[None]:
    """Says how to install what is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise CommandError(f"{error.name} is not installed; run: pip install 'allium[portal]'") from None
