"""The `allium` command. Each command imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.pretty import Pretty
from rich.table import Table

import allium
from allium import account_cli, complaint
from allium.account_cli import account_app
from allium.chain_cli import chain_app
from allium.complaint import expanded
from allium.console import ClosedError, accept_any_text, err, out, settle, staking
from allium.devnet.simulation import cli as simulation_cli
from allium.errors import CommandError
from allium.operate import cli as operate_cli
from allium.rewards import cli as rewards_cli
from allium.staking import cli as staking_cli
from allium.store_cli import store_app
from allium.takeover_cli import export_app, import_app
from allium.urls import redacted

if TYPE_CHECKING:
    from allium.client import direct

app = typer.Typer(
    name="allium",
    help="A Session Network node, a client, and whole networks on one machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
node_app = typer.Typer(help="Run a node.", no_args_is_help=True)
devnet_app = typer.Typer(help="A network of real nodes on 127.0.0.1.", no_args_is_help=True)
app.add_typer(node_app, name="node")
app.add_typer(devnet_app, name="devnet")
app.add_typer(account_app, name="account")
contracts_app = typer.Typer(help="The staking contracts of a network.", no_args_is_help=True)
app.add_typer(contracts_app, name="contracts")
app.add_typer(store_app, name="store")
app.add_typer(import_app, name="import")
app.add_typer(export_app, name="export")
app.add_typer(chain_app, name="chain")
app.add_typer(rewards_cli.app, name="rewards")
app.add_typer(simulation_cli.app, name="simulate")
app.add_typer(staking_cli.stake_app, name="stake")
staking_cli.mount(node_app)
operate_cli.mount(app)
account_cli.mount(app)

#: Whether `--debug` was given.
_debug = False


def main(arguments: list[str]) -> int:
    """Runs one command and returns its exit code. Whatever is raised in it ends here, as a sentence."""
    accept_any_text()
    # It would tell of what nobody awaits any more, where in the program that was.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    if threading.current_thread() is threading.main_thread():
        # What a command has begun is undone on its way out, as after Ctrl-C.
        signal.signal(signal.SIGTERM, _terminated)
    try:
        if arguments[:2] == ["node", "run"]:
            arguments = _without_obsolete(arguments)
        app(args=arguments, standalone_mode=True)
        sys.stdout.flush()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except ClosedError as error:
        return error.exit_code
    except BaseException as error:  # a panic of the engine is no `Exception`
        if _debug:
            err.print(redacted("".join(traceback.format_exception(error))), markup=False)
        settle()
        text, code = complaint.sentence(error)
        err.print(f"error: {text}", markup=False)
        return code
    return 0


def _without_obsolete(arguments: list[str]) -> list[str]:
    """What a unit file of the reference's may still have is no reason not to start."""
    from allium import unit

    kept, obsolete = unit.without_obsolete(arguments)
    if obsolete:
        err.print(unit.passed_over("the command line", obsolete), markup=False)
    return kept


def _terminated(number: int, _: object) -> None:
    sys.exit(128 + number)


def _version(wanted: bool) -> None:
    if wanted:
        out.print(f"allium {allium.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Where a command fails, show also where in the program.")
    ] = False,
) -> None:
    global _debug
    _debug = debug


# --- node


@node_app.command("init")
def node_init(
    data_dir: Annotated[Path, typer.Option(help="Directory for the keys, the messages and the configuration.")],
    network_file: Annotated[Path, typer.Option(help="JSON file with the nodes of the network.")] = Path("network.json"),
    https_port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port for clients.")] = 22021,
    omq_port: Annotated[int, typer.Option(min=1, max=65535, help="Port for other nodes.")] = 22020,
) -> None:
    """Make the keys and a commented configuration of a new node."""
    from allium import config, files, keys

    data_dir = expanded(data_dir)
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


@node_app.command("seal")
def node_seal(
    data_dir: Annotated[Path, typer.Option(help="Directory of the node's keys.")],
    passphrase_file: Annotated[
        Path | None, typer.Option(help="File that has it, mode 600; it is asked for without one.")
    ] = None,
) -> None:
    """Close the key files with a passphrase, which the node then needs to start."""
    from allium import keys, sealed

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


@node_app.command("restart")
def node_restart(data_dir: Annotated[Path, typer.Option(help="Directory of the running node.")]) -> None:
    """Start a running node's program and configuration anew; it refuses no request meanwhile."""
    from allium import restart

    pid = restart.ask(data_dir)
    if pid is None:
        raise CommandError(f"no node serves {data_dir}")
    out.report(f"process {pid} starts anew; what it serves with is in its log")


@node_app.command("run")
def node_run(
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
    from allium import node, unit
    from allium.config import ConfigError

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
        settings = unit.read(config_file, lambda text: err.print(text, markup=False)) if config_file else {}
    except ConfigError as error:
        err.print(str(error), markup=False)
        raise typer.Exit(error.exit_code) from None
    raise typer.Exit(node.main(config, settings | unit.settings(options)))


# --- devnet

_Directory = Annotated[Path, typer.Option("--dir", help="Where the network keeps everything.")]
_Index = Annotated[int, typer.Argument(metavar="I", min=0, help="Number of the node, from 0.")]
_DEVNET = Path("devnet")
#: How a node refuses a time that is not its own, now and after 2.8.
_WRONG_TIME = (406, 425)


@devnet_app.command("up")
def devnet_up(
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
) -> None:
    """Start a network, and return when every node serves.

    With --chain the network's own algorithm makes the swarms.
    """
    from allium.devnet.network import ChainOptions, Devnet

    if not chain and (contracts, rpc, key_file, depth, consensus, uptime) != (None, None, None, None, "solo", 30):
        raise CommandError("--contracts, --rpc, --key-file, --depth, --consensus and --uptime go with --chain")
    ground = ChainOptions(contracts, rpc, key_file, depth, consensus, uptime) if chain else None

    with err.status("starting") as status:
        ready = 0

        def progress(step: str) -> None:
            nonlocal ready
            ready += step.startswith("node ")
            status.update(f"{ready}/{nodes} nodes up · {step}")

        network = Devnet(directory).up(nodes, swarm_size, base_port, rate_limit, progress, ground)
    swarms = len({node.swarm_id for node in network.nodes})
    out.report(f"{nodes} nodes in {swarms} {'swarm' if swarms == 1 else 'swarms'}, seed {network.seed_url}")
    if network.chain is not None:
        place = redacted(network.chain.rpc_url)
        out.report(f"staked for on {place}, rewards contract {network.chain.contracts['rewards']}")
    out.report(f"{directory / 'network.json'} describes them. End it with: allium devnet down --dir {directory}")


@devnet_app.command("down")
def devnet_down(directory: _Directory = _DEVNET) -> None:
    """End every node and the seed; the data stays."""
    from allium.devnet.network import Devnet

    with err.status("ending the nodes"):
        Devnet(directory).down()
    out.report("the network is down")


@devnet_app.command("status")
def devnet_status(
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


@devnet_app.command("kill")
def devnet_kill(index: _Index, directory: _Directory = _DEVNET) -> None:
    """End one node at once (SIGKILL), as a power cut would."""
    from allium.devnet.network import Devnet

    Devnet(directory).kill(index)
    out.report(f"node {index} is down")


@devnet_app.command("start")
def devnet_start(index: _Index, directory: _Directory = _DEVNET) -> None:
    """Bring one node back, with its data."""
    from allium.devnet.network import Devnet

    node = Devnet(directory).start(index)
    out.report(f"node {index} is up, process {node.pid}")


@devnet_app.command("stop")
def devnet_stop(index: _Index, directory: _Directory = _DEVNET) -> None:
    """Stop one node without ending it (SIGSTOP): it takes connections and says nothing."""
    from allium.devnet.network import Devnet

    Devnet(directory).pause(index)
    out.report(f"node {index} is stopped; go on with: allium devnet continue {index} --dir {directory}")


@devnet_app.command("continue")
def devnet_continue(index: _Index, directory: _Directory = _DEVNET) -> None:
    """Let a stopped node go on (SIGCONT)."""
    from allium.devnet.network import Devnet

    Devnet(directory).resume(index)
    out.report(f"node {index} goes on")


@devnet_app.command("partition")
def devnet_partition(
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


@devnet_app.command("skew")
def devnet_skew(
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


@devnet_app.command("add")
def devnet_add(swarm: _Swarm, directory: _Directory = _DEVNET) -> None:
    """Start a new node in a swarm."""
    from allium.devnet.network import Devnet

    out.report(f"node {Devnet(directory).add(_swarm_id(swarm))} is up")


@devnet_app.command("remove")
def devnet_remove(index: _Index, directory: _Directory = _DEVNET) -> None:
    """Take one node out of the network and end it."""
    from allium.devnet.network import Devnet

    Devnet(directory).remove(index)
    out.report(f"node {index} is not registered any more")


@devnet_app.command("leave")
def devnet_leave(index: _Index, directory: _Directory = _DEVNET) -> None:
    """Let the operator of a node that was staked for ask the contract to leave."""
    from allium.devnet.network import Devnet

    Devnet(directory).leave(index)
    out.report(f"node {index} leaves when its time is up")


@devnet_app.command("move")
def devnet_move(index: _Index, swarm: _Swarm, directory: _Directory = _DEVNET) -> None:
    """Put one node into another swarm, or into a new one."""
    from allium.devnet.network import Devnet

    Devnet(directory).move({index: _swarm_id(swarm)})
    out.report(f"node {index} is in swarm {_swarm_id(swarm):016x}")


@devnet_app.command("regroup")
def devnet_regroup(
    seed: Annotated[int, typer.Option(min=0, help="Seed of the algorithm's choices.")] = 0,
    directory: _Directory = _DEVNET,
) -> None:
    """Let the network's own algorithm put every node into a swarm."""
    from allium.devnet.network import Devnet

    swarms = Devnet(directory).regroup(seed)
    out.report(f"{len(swarms)} nodes in {len(set(swarms.values()))} swarms")


# --- rpc


@app.command()
def rpc(
    method: Annotated[str, typer.Argument(help="Such as info, retrieve or get_swarm.")],
    params: Annotated[str, typer.Argument(metavar="[JSON]", help="Its params.")] = "{}",
    seed: Annotated[str, typer.Option(envvar="ALLIUM_SEED", help="URL of a seed node.")] = "",
    node: Annotated[
        str, typer.Option(help="Start of the node's Ed25519 key; without it, one of the account's swarm, or any.")
    ] = "",
    transport: Annotated[str, typer.Option(help="https, onion, omq or quic.")] = "https",
    bencode: Annotated[bool, typer.Option("--bencode", help="Params and answer in bencode (omq and quic).")] = False,
    sign: Annotated[bool, typer.Option("--sign", help="Sign with the account of --account.")] = False,
    file: account_cli.File = account_cli.FILE,
    timeout: Annotated[float, typer.Option(help="Seconds.")] = 30.0,
) -> None:
    """Ask one node anything, over any transport, and show the answer as it is."""
    from allium.client import direct, requests
    from allium.client.errors import NetworkError

    if not seed:
        raise CommandError("name a seed with --seed URL, or in ALLIUM_SEED")
    if transport not in ("https", "onion", "omq", "quic"):
        raise CommandError(f"there is no transport {transport!r}; use https, onion, omq or quic")
    try:
        fields = json.loads(params)
        if not isinstance(fields, dict):
            raise ValueError("an object is needed")
        if sign:
            fields = requests.signed(account_cli.read(file), method, fields, time.time_ns() // 1_000_000)
    except KeyError as error:
        raise CommandError(f"{method} needs the parameter {error}") from None
    except ValueError as error:
        raise CommandError(f"the params cannot be used: {error}") from None

    async def run() -> direct.Answer:
        chosen, path = await _choose_node(seed, node, fields.get("pubkey"))
        return await direct.call(
            chosen,
            method,
            fields,
            transport=transport,  # type: ignore[arg-type]
            encoding="bencode" if bencode else "json",
            path=path if transport == "onion" else (),
            timeout=timeout,
        )

    try:
        answer = asyncio.run(run())
    except (NetworkError, ValueError) as error:
        raise CommandError(str(error)) from None
    err.print(
        f"status {answer.status}, {answer.seconds * 1000:.0f} ms", style="green" if answer.status == 200 else "red"
    )
    if sign and answer.status in _WRONG_TIME:
        err.print(
            "the node refused the time of the signature: this machine's clock or the node's is wrong; `timedatectl`"
        )
    decoded = answer.decoded()
    out.print(decoded if isinstance(decoded, str) else Pretty(decoded, expand_all=True), markup=False)
    raise typer.Exit(0 if answer.status == 200 else 1)


async def _choose_node(seed: str, start: str, account_id: Any) -> tuple[direct.Node, tuple[direct.Node, ...]]:
    """The node whose key starts with `start`, or a member of the account's swarm, or any; and a path that avoids it."""
    from allium.client import NetworkError, direct
    from allium.client.listing import decoded, usable
    from allium.client.pool import seed_endpoint
    from allium.client.transport import Transport

    call = {"method": "get_n_service_nodes", "params": {"active_only": True}}
    async with Transport() as http:
        answer = await http.post(seed_endpoint(seed), json.dumps(call).encode(), 10, "application/json")
    try:
        nodes = usable(decoded(answer.body)["result"]["service_node_states"], direct.Node.parse)
    except (ValueError, KeyError, TypeError):
        raise NetworkError(f"{seed} gave no list of nodes") from None
    random.shuffle(nodes)
    if start:
        found = [node for node in nodes if node.ed25519.hex().startswith(start.lower())]
        if len(found) != 1:
            raise NetworkError(f"{len(found)} nodes have a key that starts with {start}")
        chosen = found[0]
    elif not nodes:
        raise NetworkError(f"{seed} knows no node")
    elif isinstance(account_id, str):
        told = (await direct.call(nodes[0], "get_swarm", {"pubkey": account_id})).decoded()
        members = told.get("snodes") if isinstance(told, dict) else None
        keys = [member.get("pubkey_ed25519") for member in members or () if isinstance(member, dict)]
        chosen = next((node for node in nodes if node.ed25519.hex() in keys), nodes[0])
    else:
        chosen = nodes[0]
    return chosen, tuple(node for node in nodes if node != chosen)[:3]


# --- contracts


@contracts_app.command("build")
def contracts_build() -> None:
    """Compile the contracts, if they are not yet, and list the size of their code."""
    with staking():
        from allium.staking import abi, artifacts

        table = Table("contract", "bytes of code", "bytes to create it", box=None)
        for name in abi.CONTRACTS:
            compiled = artifacts.load(name)
            table.add_row(name, f"{len(compiled.runtime):,}", f"{len(compiled.bytecode):,}")
    out.print(table)


@contracts_app.command("deploy")
def contracts_deploy(
    rpc: Annotated[str, typer.Option(help="URL of an EVM node's JSON-RPC.")],
    addresses: Annotated[Path, typer.Option("--out", help="File to write the addresses to.")] = Path("ADDRESSES.json"),
    key_file: Annotated[
        Path | None, typer.Option(help="File with the deployer's key, hex; else ALLIUM_WALLET_KEY has it.")
    ] = None,
    staking_requirement: Annotated[int, typer.Option(min=1, help="Stake of a node, SESH.")] = 25_000,
    max_contributors: Annotated[int, typer.Option(min=1, max=32, help="Contributors of a node.")] = 10,
    liquidator_ratio: Annotated[int, typer.Option(min=0, help="Liquidator's share of a deposit.")] = 3,
    pool_ratio: Annotated[int, typer.Option(min=0, help="Pool's share of a liquidated deposit.")] = 17,
    recipient_ratio: Annotated[int, typer.Option(min=1, help="Stakers' share of a liquidated deposit.")] = 9980,
    pool: Annotated[int, typer.Option(min=0, help="What the pool of rewards holds at first, SESH.")] = 40_000_000,
    minimum_exit_age: Annotated[int, typer.Option(min=0, help="Seconds before a node can be removed.")] = 7200,
    treasury: Annotated[
        str | None, typer.Option(help="Receives the fees' share for liquidity; or the deployer.")
    ] = None,
    start: Annotated[bool, typer.Option(help="Let nodes join at once.")] = True,
) -> None:
    """Deploy a new network's contracts. The main network's parameters are the defaults."""
    if addresses.exists():
        raise CommandError(f"{addresses} is there already and stays as it is; choose another file with --out")
    with staking():
        from allium.staking import deploy, wallet
        from allium.staking.provider import connected

        account = wallet.load(key_file)
        parameters = deploy.Parameters(
            pool=pool * deploy.SESH,
            staking_requirement=staking_requirement * deploy.SESH,
            max_contributors=max_contributors,
            liquidator_ratio=liquidator_ratio,
            pool_ratio=pool_ratio,
            recipient_ratio=recipient_ratio,
            minimum_exit_age=minimum_exit_age,
            treasury=treasury,
            start=start,
        )

        async def work() -> deploy.Addresses:
            async with connected(rpc) as provider:
                return await deploy.deploy(provider, account, parameters, out.print)

        made = asyncio.run(work())
    try:
        made.save(addresses)
    except OSError as error:
        raise CommandError(f"{addresses} cannot be written: {error.strerror}; it would say {made}") from None
    out.report(f"Deployed by {account.address}; {addresses} names the contracts.")


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End by itself; exit code 0 if every step held.")] = False,
    nodes: Annotated[int, typer.Option(min=9, help="How many nodes.")] = 15,
) -> None:
    """Watch a message go through three onion hops of real nodes into a swarm and back out."""
    from allium.devnet import demo as show

    raise typer.Exit(show.main(nodes, once))
