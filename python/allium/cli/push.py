"""`allium push …`: a server that wakes devices when there is a message for them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from allium.base.console import out
from allium.cli import servers
from allium.cli.servers import ConfigOption, DataDirOption, InitDataDirOption, PortOption, UrlOption

app = typer.Typer(help="Wake devices when there is a message for them.", no_args_is_help=True)


@app.command("init")
def init(
    data_dir: InitDataDirOption,
    http_port: PortOption = 8001,
    public_url: UrlOption = None,
    network_file: Annotated[Path | None, typer.Option(help="JSON file with the nodes of the network.")] = None,
    oxend_rpc: Annotated[
        str | None, typer.Option(help="Instead: a daemon of the network, such as ipc:///var/lib/oxen/oxend.sock.")
    ] = None,
    webpush_contact: Annotated[
        str | None, typer.Option(help="mailto:ADDRESS or URL of whom push services ask; without it, no Web Push.")
    ] = None,
) -> None:
    """Make the keys and a commented configuration of a new push server."""
    from allium import _native
    from allium.push import webpush
    from allium.push.settings import FILE_NAME, SCHEMA
    from allium.settings import keys

    chosen = {
        "http_port": http_port,
        "public_url": public_url,
        "network_file": None if network_file is None else str(network_file.absolute()),
        "oxend_rpc": oxend_rpc,
        "webpush_contact": webpush_contact,
    }
    file, seed = servers.create(data_dir, SCHEMA, FILE_NAME, chosen)
    webpush.create_key(file.parent)
    ed25519, x25519, _ = _native.node_keys(seed)
    out.report(f"Ed25519 key  {ed25519.hex()}")
    out.report(f"X25519 key   {x25519.hex()}")
    out.report(f"Back up {file.with_name(keys.ED25519_FILE)} and {file.with_name(webpush.KEY_FILE)}:")
    out.report("clients seal their requests for the one, and browsers subscribe with the other.")
    out.report(f"Say in {file} where the nodes and the services' keys are, and start it with:")
    out.report(f"allium push serve --config {file}")


@app.command("seal")
def seal(
    data_dir: Annotated[Path, typer.Option(help="Directory of the server's key.")],
    passphrase_file: Annotated[
        Path | None, typer.Option(help="File that has it, mode 600; it is asked for without one.")
    ] = None,
) -> None:
    """Close the file of the Ed25519 key with a passphrase, which the server then needs to start."""
    from allium.cli import node

    node.seal(data_dir, passphrase_file)


@app.command("serve")
def serve(config: ConfigOption = None, data_dir: DataDirOption = None) -> None:
    """Serve until SIGTERM, which finishes what is under way."""
    from allium.push import server
    from allium.push.settings import FILE_NAME, PushConfig

    settings, file = servers.settings(PushConfig.load, FILE_NAME, config, data_dir)
    raise typer.Exit(server.run(settings, file))
