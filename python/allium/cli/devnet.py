"""`allium devnet …`: a network of real nodes on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from allium.base.console import err, out
from allium.base.urls import redacted
from allium.errors import CommandError

app = typer.Typer(help="A network of real nodes on 127.0.0.1.", no_args_is_help=True)

_Directory = Annotated[Path, typer.Option("--dir", help="Where the network keeps everything.")]
_Index = Annotated[int, typer.Argument(metavar="I", min=0, help="Number of the node, from 0.")]
_DEVNET = Path("devnet")


@app.command("up")
def up(
    nodes: Annotated[int, typer.Option(min=1, help="How many nodes.")] = 15,
    swarm_size: Annotated[int, typer.Option(min=1, help="Nodes per swarm; of fewer, all are in one.")] = 5,
    directory: _Directory = _DEVNET,
    base_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="First port to use; free ones are chosen without it.")
    ] = None,
    rate_limit: Annotated[
        bool, typer.Option("--rate-limit", help="Limit clients on this machine as if they were strangers.")
    ] = False,
    chain: Annotated[
        bool, typer.Option("--chain", help="Stake for every node on an EVM chain, which then says who is in.")
    ] = False,
    contracts: Annotated[
        Path | None, typer.Option(help="Addresses of contracts that are there already, instead of new ones.")
    ] = None,
    rpc: Annotated[str | None, typer.Option(help="URL of the JSON-RPC of their chain.")] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="Key of who pays there, hex; else ALLIUM_WALLET_KEY has it, or it is anvil's.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(min=0, help="Blocks of their chain until one is final; else as it says.")
    ] = None,
    consensus: Annotated[
        Literal["solo", "cometbft"],
        typer.Option(help="Who orders the inputs: solo, the first node; cometbft, a committee of all."),
    ] = "solo",
    uptime: Annotated[
        float,
        typer.Option(min=1, max=3600, help="Seconds between a node's proofs; without for twice as long, it is out."),
    ] = 30,
    files: Annotated[bool, typer.Option("--files", help="Start a file server too.")] = False,
    portal: Annotated[
        bool, typer.Option("--portal", help="Start a staking portal too, with contracts that still collect.")
    ] = False,
) -> None:
    """Start a network, and return when every node serves.

    With --chain the network's own algorithm makes the swarms.
    """
    from allium.appchain.parameters import SESH
    from allium.cli.progress import words
    from allium.devnet.network import Devnet
    from allium.devnet.options import ChainOptions
    from allium.devnet.progress import Event, NodeUp

    if not chain and (contracts, rpc, key_file, depth, consensus, uptime) != (None, None, None, None, "solo", 30):
        raise CommandError("--contracts, --rpc, --key-file, --depth, --consensus and --uptime go with --chain")
    ground = ChainOptions(contracts, rpc, key_file, depth, consensus, uptime) if chain else None

    with err.status("starting") as tell:
        ready = 0

        def progress(event: Event) -> None:
            nonlocal ready
            ready += isinstance(event, NodeUp)
            tell(f"{ready}/{nodes} nodes up · {words(event)}")

        network = Devnet(directory).up(nodes, swarm_size, base_port, rate_limit, progress, ground, files, portal)
    swarms = len({node.swarm_id for node in network.nodes})
    out.report(f"{nodes} nodes in {swarms} {'swarm' if swarms == 1 else 'swarms'}, seed {network.seed_url}")
    if network.chain is not None:
        place = redacted(network.chain.rpc_url)
        out.report(f"staked for on {place}, rewards contract {network.chain.contracts['rewards']}")
    if network.files is not None:
        out.report(f"files at {network.files.url}, key {network.files.pubkey_ed25519}")
    if network.portal is not None:
        out.report(f"portal at {network.portal.url}")
        for contract in network.portal.opened.contracts:
            out.report(f"  collects for a node: {contract.address}, fee {contract.fee / 100:g} %")
        for person in network.portal.opened.people:
            out.report(f"  has {person.amount / SESH:,.0f} SESH: {person.address}, key {person.key}")
    out.report(f"{directory / 'network.json'} describes them. End it with: allium devnet down --dir {directory}")


@app.command("down")
def down(directory: _Directory = _DEVNET) -> None:
    """End every node and the seed; the data stays."""
    from allium.devnet.network import Devnet

    with err.status("ending the nodes"):
        Devnet(directory).down()
    out.report("the network is down")


@app.command("status")
def status(
    directory: _Directory = _DEVNET, as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False
) -> None:
    """Show every node; exit code 1 when one is down."""
    from allium.devnet.network import Devnet

    statuses = Devnet(directory).status()
    if as_json:
        rows = [
            {
                "index": status.index,
                "pid": status.node.pid,
                "running": status.running,
                "registration": status.registration,
                "rss": status.resident_bytes,
            }
            for status in statuses
        ]
        out.print(json.dumps(rows), markup=False)
    else:
        from rich.table import Table

        table = Table("node", "process", "registration", "swarm", "https", "omq", "pid", "memory", box=None)
        for status in statuses:
            table.add_row(
                str(status.index),
                "[green]up" if status.running else "down" if status.is_well else "[red]down",
                status.registration,
                f"{status.node.swarm_id:016x}",
                str(status.node.https_port),
                str(status.node.omq_port),
                str(status.node.pid),
                "" if status.resident_bytes is None else f"{status.resident_bytes / 1e6:.0f} MB",
            )
        out.print(table)
    raise typer.Exit(0 if all(status.is_well for status in statuses) else 1)


@app.command("kill")
def kill(index: _Index, directory: _Directory = _DEVNET) -> None:
    """End one node at once (SIGKILL), as a power cut would."""
    from allium.devnet.network import Devnet

    Devnet(directory).kill(index)
    out.report(f"node {index} is down")


@app.command("start")
def start(index: _Index, directory: _Directory = _DEVNET) -> None:
    """Bring one node back, with its data."""
    from allium.devnet.network import Devnet

    node = Devnet(directory).start(index)
    out.report(f"node {index} is up, process {node.pid}")


@app.command("stop")
def stop(index: _Index, directory: _Directory = _DEVNET) -> None:
    """Stop one node without ending it (SIGSTOP): it takes connections and says nothing."""
    from allium.devnet.network import Devnet

    Devnet(directory).pause(index)
    out.report(f"node {index} is stopped; go on with: allium devnet continue {index} --dir {directory}")


@app.command("continue")
def resume(index: _Index, directory: _Directory = _DEVNET) -> None:
    """Let a stopped node go on (SIGCONT)."""
    from allium.devnet.network import Devnet

    Devnet(directory).resume(index)
    out.report(f"node {index} goes on")


@app.command("partition")
def partition(
    sides: Annotated[
        list[str] | None, typer.Argument(metavar="[I,I… I,I…]", help="Sets of nodes that do not reach each other.")
    ] = None,
    directory: _Directory = _DEVNET,
) -> None:
    """Cut the network between sets of nodes; without any, heal it."""
    from allium.devnet.network import Devnet

    try:
        sets = [[int(index) for index in side.split(",")] for side in sides or []]
    except ValueError:
        raise CommandError("a set is numbers of nodes with commas between them, such as 0,1,2") from None
    Devnet(directory).partition(*sets)
    out.report(f"{len(sets)} sides do not reach each other" if sets else "every node reaches every other")


@app.command("skew")
def skew(
    index: _Index, seconds: Annotated[float, typer.Argument(help="May be negative.")], directory: _Directory = _DEVNET
) -> None:
    """Let one node's clock run ahead of this machine's."""
    from allium.devnet.network import Devnet

    Devnet(directory).skew(index, seconds)
    out.report(f"node {index} is {seconds} s ahead")


_Swarm = Annotated[str, typer.Argument(metavar="SWARM", help="Id of the swarm, in hex, as `devnet status` shows it.")]


def _swarm_id(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise CommandError(f"{text} is no swarm id; `allium devnet status` shows them") from None


@app.command("add")
def add(swarm: _Swarm, directory: _Directory = _DEVNET) -> None:
    """Start a new node in a swarm."""
    from allium.devnet.network import Devnet

    out.report(f"node {Devnet(directory).add(_swarm_id(swarm))} is up")


@app.command("remove")
def remove(index: _Index, directory: _Directory = _DEVNET) -> None:
    """Take one node out of the network and end it."""
    from allium.devnet.network import Devnet

    Devnet(directory).remove(index)
    out.report(f"node {index} is not registered any more")


@app.command("leave")
def leave(index: _Index, directory: _Directory = _DEVNET) -> None:
    """Let the operator of a node that was staked for ask the contract to leave."""
    from allium.devnet.network import Devnet

    Devnet(directory).leave(index)
    out.report(f"node {index} leaves when its time is up")


@app.command("move")
def move(index: _Index, swarm: _Swarm, directory: _Directory = _DEVNET) -> None:
    """Put one node into another swarm, or into a new one."""
    from allium.devnet.network import Devnet

    Devnet(directory).move({index: _swarm_id(swarm)})
    out.report(f"node {index} is in swarm {_swarm_id(swarm):016x}")


@app.command("regroup")
def regroup(
    seed: Annotated[int, typer.Option(min=0, help="Seed of the algorithm's choices.")] = 0,
    directory: _Directory = _DEVNET,
) -> None:
    """Let the network's own algorithm put every node into a swarm."""
    from allium.devnet.network import Devnet

    swarms = Devnet(directory).regroup(seed)
    out.report(f"{len(swarms)} nodes in {len(set(swarms.values()))} swarms")
