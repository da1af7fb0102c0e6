"""`allium node …`: a node on this machine. `registration` has what the contracts are asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from allium.base.complaint import expanded
from allium.base.console import err, out
from allium.cli.lazy import LazyGroup
from allium.errors import CommandError


class _Node(LazyGroup):
    modules: ClassVar[Mapping[str, str]] = {
        "register": "registration",
        "exit": "registration",
        "liquidate": "registration",
    }


app = typer.Typer(cls=_Node, help="Run a node.", no_args_is_help=True)


@app.command("init")
def init(
    data_dir: Annotated[Path, typer.Option(help="Directory for the keys, the messages and the configuration.")],
    network_file: Annotated[Path, typer.Option(help="JSON file with the nodes of the network.")] = Path("network.json"),
    https_port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port for clients.")] = 22021,
    omq_port: Annotated[int, typer.Option(min=1, max=65535, help="Port for other nodes.")] = 22020,
) -> None:
    """Make the keys and a commented configuration of a new node."""
    from allium.base import files
    from allium.settings import config, keys

    data_dir, network_file = expanded(data_dir), expanded(network_file)
    if network_file != Path("network.json") and network_file.exists():
        # In the file it would be looked for beside the file.
        network_file = network_file.absolute()
    file = data_dir / "config.toml"
    if file.exists():
        raise CommandError(f"{file} is there already and stays as it is")
    settings = config.commented_toml(
        data_dir=".", network_file=str(network_file), https_port=https_port, omq_port=omq_port
    )
    try:
        made = keys.create(data_dir)
    except keys.KeyFileError as error:
        raise CommandError(str(error)) from None
    try:
        files.create(file, settings.encode())
    except BaseException:
        keys.discard(data_dir)
        raise
    out.report(f"Ed25519 key   {made.ed25519_public.hex()}")
    out.report(f"X25519 key    {made.x25519_public.hex()}")
    out.report(f"legacy key    {made.legacy_public.hex()}")
    out.report(
        f"Back up {data_dir / keys.ED25519_FILE} and {data_dir / keys.LEGACY_FILE}: nothing else can replace them."
    )
    out.report(f"Start it with: allium node run --config {file}")


@app.command("seal")
def seal(
    data_dir: Annotated[Path, typer.Option(help="Directory of the node's keys.")],
    passphrase_file: Annotated[
        Path | None, typer.Option(help="File that has it, mode 600; it is asked for without one.")
    ] = None,
) -> None:
    """Close the key files with a passphrase, which the node then needs to start."""
    from allium.base import sealed
    from allium.settings import keys

    try:
        if passphrase_file is not None:
            passphrase = sealed.read(passphrase_file)
        else:
            passphrase = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True).encode()
        done = keys.seal(data_dir, passphrase)
    except (keys.KeyFileError, sealed.PassphraseError) as error:
        raise CommandError(str(error)) from None
    out.report(f"sealed: {', '.join(done)}" if done else "every key file was sealed already")
    out.report(f"A node finds the passphrase in the file that {sealed.ENVIRONMENT} names, or asks for it.")


@app.command("restart")
def restart(data_dir: Annotated[Path, typer.Option(help="Directory of the running node.")]) -> None:
    """Start a running node's program and configuration anew; it refuses no request meanwhile."""
    from allium.node.restart import ask

    pid = ask(data_dir)
    if pid is None:
        if not data_dir.is_dir():
            raise CommandError(f"there is no directory {data_dir}; name the node's data directory")
        raise CommandError(
            f"no node serves {data_dir}; start it (`allium node run`, or systemctl start) in place of restarting it"
        )
    out.report(f"process {pid} starts anew; what it serves with is in its log")


@app.command("run")
def run(
    config: Annotated[
        Path | None, typer.Option(help="TOML file; ALLIUM_* variables win over it, and are enough without it.")
    ] = None,
    config_file: Annotated[
        Path | None, typer.Option(help="File with options of the reference's storage server.")
    ] = None,
    bind_ip: Annotated[
        str | None, typer.Option("--ip", "--bind-ip", metavar="IP", help="Address to listen on.")
    ] = None,
    https_port: Annotated[
        int | None, typer.Option("--https-port", "--port", metavar="PORT", help="TCP port for clients.")
    ] = None,
    omq_port: Annotated[
        int | None, typer.Option("--omq-port", "--lmq-port", metavar="PORT", help="TCP and UDP port for other nodes.")
    ] = None,
    oxend_rpc: Annotated[
        str | None, typer.Option(metavar="OMQ_URL", help="The live network's daemon, such as ipc:///path/oxend.sock.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Directory of the messages.")] = None,
    testnet: Annotated[bool, typer.Option("--testnet", help="The daemon is one of the test network.")] = False,
    skip_bootstrap: Annotated[bool, typer.Option("--skip-bootstrap-nodes", help="Do not ask seeds.")] = False,
    stats_access_keys: Annotated[
        list[str] | None, typer.Option("--stats-access-key", metavar="KEY", help="X25519 key; may be repeated.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    positional: Annotated[list[str] | None, typer.Argument(metavar="[IP [PORT]]", help="As --ip and --port.")] = None,
) -> None:
    """Serve until SIGTERM, which finishes what is under way. SIGHUP reads the network and the log level again.

    SIGUSR2 starts the program and its settings anew, and refuses no request meanwhile.
    The options are those of the reference's storage server, and win over what is set elsewhere.
    """
    from allium.node import node
    from allium.settings.config import ConfigError
    from allium.takeover import storage_server_options

    ip, port, *more = [*(positional or []), None, None]
    if len(more) > 2:
        raise CommandError("only an address and a port may stand by themselves")
    options = {
        "ip": bind_ip or ip,
        "port": https_port or port,
        "omq-port": omq_port,
        "oxend-rpc": oxend_rpc,
        "data-dir": data_dir,
        "testnet": testnet,
        "skip-bootstrap-nodes": skip_bootstrap,
        "stats-access-key": stats_access_keys,
        "log-level": log_level,
    }
    try:
        settings = (
            storage_server_options.read(config_file, lambda text: err.print(text, markup=False)) if config_file else {}
        )
    except ConfigError as error:
        err.print(str(error), markup=False)
        raise typer.Exit(error.exit_code) from None
    raise typer.Exit(node.main(config, settings | storage_server_options.settings(options)))
