"""`allium chain`: how far a node is in what the network agrees on, and what to do when the network has stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from allium import files
from allium.config import ConfigError, NodeConfig
from allium.console import out
from allium.errors import CommandError

chain_app = typer.Typer(
    help="Look after a node's part in the agreement of many machines (CometBFT).", no_args_is_help=True
)

_Config = Annotated[Path, typer.Option("--config", help="The node's configuration file.")]
_Json = Annotated[bool, typer.Option("--json", help="For machines.")]


@chain_app.command()
def status(config: _Config, as_json: _Json = False) -> None:
    """Show the last height that a node has kept, its root, and who votes; also while the node runs."""
    from allium.consensus.cometbft.home import chain_id

    settings, chain, standing = _open(config)
    state = standing.state
    shown = {
        "chain": chain_id(chain.parameters, chain.cometbft),
        "height": state.height,
        "root": state.root.hex(),
        "l2_height": state.l2_height,
        "committee": [key.hex() for key in standing.committee],
        "directory": str(settings.data_dir),
    }
    if as_json:
        out.print(json.dumps(shown), markup=False, soft_wrap=True)
        return
    for name, value in shown.items():
        text = f"{len(value)} nodes" if isinstance(value, list) else str(value)
        out.print(f"{name:<10} {text}", markup=False, soft_wrap=True)


@chain_app.command()
def restart(
    config: _Config,
    attempt: Annotated[int, typer.Option(min=1, max=9999, help="Which attempt it is; each draws another committee.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say who would vote.")] = False,
) -> None:
    """Let the network go on from a node's last height, after more than a third of its committee is gone for good.

    Writes the chain file. Every node that goes on needs the same file and the same last height; docs/consensus.md.
    """
    from allium.consensus.cometbft.committee import drawn_again

    settings, _, standing = _open(config)
    state = standing.state
    if not state.sittings or not state.sittings[-1].roster.active:
        raise CommandError("there is no state with nodes to draw a committee from")
    committee = drawn_again(state, attempt)
    for key in committee:
        out.print(key.hex())
    if dry_run or settings.chain_file is None:
        return
    document: dict[str, Any] = json.loads(settings.chain_file.read_bytes())
    document["cometbft"] = {
        "time": state.time + 1,
        "committee": [key.hex() for key in committee],
        "height": state.height,
        "root": state.root.hex(),
        "attempt": attempt,
    }
    files.replace(settings.chain_file, (json.dumps(document, indent=2) + "\n").encode())
    out.print(
        f"{settings.chain_file} goes on after height {state.height}, root {state.root.hex()}; restart the nodes",
        markup=False,
        soft_wrap=True,
    )


def _open(config: Path) -> tuple[NodeConfig, Any, Any]:
    """The settings, the chain file, and where the node is."""
    from allium.appchain.state import genesis
    from allium.consensus import ConsensusError
    from allium.consensus.chainfile import ChainFile
    from allium.consensus.cometbft.engine import STORE_FILE
    from allium.consensus.cometbft.store import Standing, Store

    try:
        settings = NodeConfig.load(config)
        if settings.chain_file is None:
            raise CommandError(f"{config} has no chain_file")
        chain = ChainFile.read(settings.chain_file)
        if chain.cometbft is None:
            raise CommandError(f"{settings.chain_file} is of a network without CometBFT")
        path = settings.data_dir / STORE_FILE
        if not path.exists():
            raise CommandError(f"{path} does not exist; the node has not begun")
        store = Store(path, chain.parameters)
        try:
            return settings, chain, store.load(Standing(genesis(chain.parameters), chain.cometbft.keys))
        finally:
            store.close()
    except (ConfigError, ConsensusError, OSError) as error:
        raise CommandError(str(error)) from None
