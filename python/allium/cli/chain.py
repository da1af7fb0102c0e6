"""`allium chain`: how far a node is in what the network agrees on, and what to do when the network has stopped."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allium.base.console import out
from allium.errors import CommandError

if TYPE_CHECKING:
    from allium.liveness.history import SavedRecord
    from allium.settings.config import NodeConfig

app = typer.Typer(help="Look after a node's part in the agreement of many machines (CometBFT).", no_args_is_help=True)

_Config = Annotated[Path, typer.Option("--config", help="The node's configuration file.")]
_Json = Annotated[bool, typer.Option("--json", help="For machines.")]


@app.command()
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
        out.print(json.dumps(shown), markup=False)
        return
    for name, value in shown.items():
        text = f"{len(value)} nodes" if isinstance(value, list) else str(value)
        out.print(f"{name:<10} {text}", markup=False)


@app.command()
def restart(
    config: _Config,
    attempt: Annotated[int, typer.Option(min=1, max=9999, help="Which attempt it is; each draws another committee.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say who would vote.")] = False,
) -> None:
    """Let the network go on from a node's last height, after more than a third of its committee is gone for good.

    Writes the chain file. Every node that goes on needs the same file and the same last height; docs/consensus.md.
    """
    from allium.base import files
    from allium.consensus.cometbft.committee import drawn_again

    settings, _, standing = _open(config)
    state = standing.state
    if not state.quorums or not state.quorums[-1].roster.active:
        raise CommandError("there is no state with nodes to draw a committee from")
    committee = drawn_again(state, attempt)
    for key in committee:
        out.report(key.hex())
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
    out.report(
        f"{settings.chain_file} goes on after height {state.height}, root {state.root.hex()}; restart the nodes",
        markup=False,
    )


@app.command()
def skip(
    config: _Config,
    height: Annotated[
        int | None, typer.Option(min=1, help="Up to where it may have signed; else one beyond its own state.")
    ] = None,
) -> None:
    """Let a node sign again that has lost the record of what it signed: not at the height under way, but after it.

    No other process may sign with its key, now or later.
    """
    from allium.consensus.cometbft import safety, signstate
    from allium.consensus.cometbft.engine import DIRECTORY
    from allium.operate import machine
    from allium.settings.config import NodeConfig

    if height is None:
        settings, _, standing = _open(config)
        height = standing.state.height + 1
    else:
        settings = NodeConfig.load(config)
    home = settings.data_dir / DIRECTORY
    if machine.is_locked(settings.data_dir):
        raise CommandError("the node runs; stop it first")
    if safety.is_whole(home):
        raise CommandError(f"{home / signstate.FILE} is whole; there is nothing to skip")
    safety.skip(home, height)
    out.report(f"the node signs again after height {height}", markup=False)


@app.command()
def proofs(
    config: _Config,
    node: Annotated[str, typer.Argument(help="Of which node: its Ed25519 key, or how that begins; else of all.")] = "",
    as_json: _Json = False,
) -> None:
    """Show what a node has heard and found of the others: their last proofs, and whether it reaches them."""
    import sqlite3

    from allium.liveness import HISTORY
    from allium.liveness.history import look
    from allium.settings.config import ConfigError, NodeConfig

    try:
        path = NodeConfig.load(config).data_dir / HISTORY
        kept = look(path)
    except (ConfigError, OSError, sqlite3.Error) as error:
        raise CommandError(str(error)) from None
    if kept is None:
        raise CommandError(f"{path} does not exist; the node has heard nothing of others yet")
    chosen = {key.hex(): each for key, each in sorted(kept.nodes.items()) if key.hex().startswith(node.lower())}
    if not chosen:
        raise CommandError(f"nothing is known of {node}")
    if as_json:
        shown = {
            "until": kept.until,
            "nodes": {key: {**_found(each), "proofs": _proofs(each)} for key, each in chosen.items()},
        }
        out.print(json.dumps(shown), markup=False)
        return
    for key, each in chosen.items():
        proven, found = _proofs(each), _found(each)
        for proof in proven if len(chosen) == 1 else proven[-1:]:
            versions = " ".join(".".join(map(str, proof[what])) for what in ("storage", "node"))
            place = f"{proof['ip']} {proof['https_port']}/{proof['omq_port']}"
            said = f"{_when(proof['time'])} {place} {versions} at L2 {proof['l2_height']}"
            out.print(f"{key[:16]} proved itself {said}", markup=False)
        if not proven:
            out.print(f"{key[:16]} has not proved itself", markup=False)
        if each.unreached:
            said = f"since {_when(each.unreached[0])}, tried {_when(each.unreached[1])}"
            out.print(f"{key[:16]} is not reached {said}", markup=False)
        for what, text in (("answered", "did not say the time"), ("in_time", "said another time")):
            if misses := found[what].count(False):
                said = f"{misses} times of the last {len(found[what])}"
                out.print(f"{key[:16]} {text} {said}", markup=False)


def _proofs(kept: SavedRecord) -> list[dict[str, Any]]:
    """As JSON has them, oldest first. Times are Unix time: by the node's clock, and by this one's."""
    return [
        {
            "time": said.time,
            "received": accepted.at,
            "ip": said.ip,
            "https_port": said.https_port,
            "omq_port": said.omq_port,
            "l2_height": said.l2_height,
            "storage": said.storage,
            "node": said.node,
        }
        for accepted in kept.proofs
        for said in (accepted.proof.uptime,)
    ]


def _found(kept: SavedRecord) -> dict[str, Any]:
    return {"unreached": kept.unreached, "answered": kept.answered, "in_time": kept.in_time}


def _when(unix: int) -> str:
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _open(config: Path) -> tuple[NodeConfig, Any, Any]:
    """The settings, the chain file, and where the node is."""
    from allium.appchain.state import genesis
    from allium.consensus.chainfile import ChainFile
    from allium.consensus.cometbft.engine import STORE_FILE
    from allium.consensus.cometbft.store import CometBFTStore, Standing
    from allium.errors import ConsensusError
    from allium.settings.config import ConfigError, NodeConfig

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
        store = CometBFTStore(path, chain.parameters)
        try:
            return settings, chain, store.load(Standing(genesis(chain.parameters), chain.cometbft.keys))
        finally:
            store.close()
    except (ConfigError, ConsensusError, OSError) as error:
        raise CommandError(str(error)) from None
