"""Brings a devnet up and down, and single nodes of it.

What makes new nodes is imported where they are made: most commands look after those that are there.
"""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from allium.appchain.swarms import UNASSIGNED, assign
from allium.base import files
from allium.devnet import ports, process
from allium.devnet.layout import (
    LOOPBACK,
    LOOPBACK_NETWORK,
    ChainRecord,
    DevnetError,
    Layout,
    NetworkRecord,
    NodeRecord,
    write_json,
)
from allium.devnet.node_status import NodeStatus, registration_of
from allium.devnet.options import ChainOptions, ConsensusEngine
from allium.devnet.progress import (
    AwaitingSwarms,
    Event,
    FilesUp,
    MakingKeys,
    NodeUp,
    Progress,
    SeedUp,
)

if TYPE_CHECKING:
    from allium.settings.config import Setting

DEFAULT_NODES = 15
DEFAULT_SWARM_SIZE = 5
DEFAULT_DIRECTORY = Path("devnet")

#: A node that needs longer than this to start has a fault.
_START_SECONDS = 60.0
#: A node finishes what is under way for up to 25 s, the longest a peer may take.
_STOP_SECONDS = 30.0
_PORTS_PER_NODE = 3
_PORTS_OF_COMETBFT = 2
_PORTS_OF_FILES = 2
_PORTS_OF_PORTAL = 2
_POLL_SECONDS = 0.2
#: How many others a node tests in the time between two proofs, if that is short.
_TESTS_PER_PROOF = 6
_NODE_STORE_BYTES = 256 << 20


class Devnet:
    """The network in one directory. Its processes go on when this object, or the command that made it, ends."""

    def __init__(self, directory: Path) -> None:
        self.layout = Layout(directory.resolve())

    def up(
        self,
        nodes: int = DEFAULT_NODES,
        swarm_size: int = DEFAULT_SWARM_SIZE,
        base_port: int | None = None,
        rate_limit: bool = False,
        progress: Progress = lambda _: None,
        chain: ChainOptions | None = None,
        with_files: bool = False,
        with_portal: bool = False,
    ) -> NetworkRecord:
        """Starts the seed and `nodes` new nodes in swarms of `swarm_size`.

        The last ones may be larger, and of fewer nodes there is one.

        With `chain`, every node is staked for on an EVM chain, and the network forms from what its contracts say. The
        network's algorithm then chooses the swarms, and `swarm_size` says nothing.

        Returns when all of them serve. `base_port` is the seed's; the nodes' follow. `rate_limit`: clients on this
        machine are limited as strangers are. `with_files`: and a file server. `with_portal`: and a staking portal, with
        contracts that still collect. Raises `DevnetError`, and leaves no process, when one does not come up.
        """
        from allium.devnet import file_server
        from allium.settings import keys

        if nodes < 1 or swarm_size < 1:
            raise DevnetError("a network needs at least one node, and so does a swarm")
        if self.layout.network.exists():
            raise DevnetError(
                f"a network is up in {self.layout.directory}; end it with: "
                f"allium devnet down --dir {self.layout.directory}"
            )
        if keys.exist(self.layout.data_dir(0)):
            raise DevnetError(
                f"{self.layout.directory} holds an earlier network; remove it, or choose another directory with --dir"
            )
        committee = chain is not None and chain.consensus == "cometbft"
        count = _PORTS_PER_NODE + (_PORTS_OF_COMETBFT if committee else 0)
        if with_portal and chain is None:
            raise DevnetError("a portal tells of stakes: --portal goes with --chain")
        of_files, of_portal = _PORTS_OF_FILES * with_files, _PORTS_OF_PORTAL * with_portal
        with ports.reserve(2 + count * nodes + of_portal + of_files, base_port) as free, ExitStack() as undo:
            progress(MakingKeys())
            seed_port, feed_port, *node_ports = free
            portal_ports = node_ports[count * nodes :][:of_portal]
            swarms = swarm_ids(nodes, swarm_size) if chain is None else [UNASSIGNED] * nodes
            records = [
                self._create(index, swarm, node_ports[count * index :][:count], rate_limit, chain is not None)
                for index, swarm in enumerate(swarms)
            ]
            write_json(self.layout.nodes, {"height": 1, "nodes": [_member(record) for record in records]})
            grounded = None if chain is None else self._ground(chain, records, feed_port, progress, undo)
            with _listen(seed_port) as listener:
                commands = [*(self._node_command(index) for index in range(nodes))]
                commands.append(self._seed_command(listener, None if chain is None else chain.consensus))
                served = file_server.create(self.layout, *free[-of_files:]) if with_files else None
                commands += [file_server.command(self.layout)] * (served is not None)
                pids = process.start(
                    commands, _START_SECONDS, lambda ready: progress(_up(commands.index(ready), nodes))
                )
            undo.callback(process.stop, pids, 0)
            up = tuple(replace(record, pid=pid) for record, pid in zip(records, pids[:nodes], strict=True))
            if served is not None:
                served = replace(served, pid=pids[-1])
            network = NetworkRecord(f"http://{LOOPBACK}:{seed_port}/", pids[nodes], up, grounded, served)
            if chain is not None and grounded is not None:
                progress(AwaitingSwarms())
                network = self._formed(network, _START_SECONDS)
                if with_portal:
                    from allium.devnet import portal

                    made = portal.up(self.layout, chain, grounded, portal_ports, _START_SECONDS, progress)
                    undo.callback(process.stop, [made.pid], 0)
                    network = replace(network, portal=made)
            self.layout.write_network(network)
            undo.pop_all()
        return network

    def down(self) -> None:
        """Ends every process, with time to finish what is under way, and removes `network.json`."""
        network = self.layout.read_network()
        pids = [status.node.pid for status in self.status() if status.running]
        if process.is_running(network.seed_pid, str(self.layout.nodes)):
            pids.append(network.seed_pid)
        if network.files is not None:
            from allium.devnet import file_server

            if file_server.is_running(self.layout, network.files):
                pids.append(network.files.pid)
        if network.portal is not None:
            from allium.devnet import portal

            if portal.is_running(self.layout, network.portal):
                pids.append(network.portal.pid)
        process.stop(pids, _STOP_SECONDS)
        chain = network.chain
        # Only the chain that was started here has this port.
        if chain and chain.anvil_pid and process.is_running(chain.anvil_pid, chain.rpc_url.rpartition(":")[2]):
            process.stop([chain.anvil_pid], _STOP_SECONDS)
        self.layout.network.unlink()

    def status(self) -> list[NodeStatus]:
        """Every node, whether its process lives, and its size."""
        network = self.layout.read_network()
        nodes = network.nodes
        if network.chain is None:
            members = json.loads(self.layout.nodes.read_bytes())["nodes"]
            swarms = {member["pubkey_ed25519"]: member["swarm_id"] for member in members}
        else:
            swarms = {node.pubkey_ed25519: node.swarm_id for node in nodes}
            with suppress(OSError):  # without the seed, what it said when the network came up
                swarms = listed(network.seed_url)
        return [
            replace(
                self._status(index, replace(node, swarm_id=swarms.get(node.pubkey_ed25519, UNASSIGNED))),
                registration=registration_of(swarms.get(node.pubkey_ed25519)),
            )
            for index, node in enumerate(nodes)
        ]

    def kill(self, index: int) -> None:
        """SIGKILL to one node, and to its CometBFT."""
        status = self._one(index)
        if not status.running:
            raise DevnetError(f"node {index} is not running")
        process.kill(status.node.pid)

    def start(self, index: int) -> NodeRecord:
        """Brings one node back, on its ports and with its data; its new pid goes into `network.json`."""
        if self._one(index).running:
            raise DevnetError(f"node {index} is running")
        [pid] = process.start([self._node_command(index)], _START_SECONDS)
        self._record(index, pid=pid)
        return self.layout.read_network().nodes[index]

    def pause(self, index: int) -> None:
        """SIGSTOP to one node: it takes connections and says nothing, until `resume`."""
        self._signal(index, signal.SIGSTOP)

    def resume(self, index: int) -> None:
        """SIGCONT."""
        self._signal(index, signal.SIGCONT)

    def partition(self, *sides: Iterable[int]) -> None:
        """Cuts the network between these sets of nodes; nodes in none of them reach all. Without sets, heals it."""
        nodes = self.layout.read_network().nodes
        side_of = {self._one(index).index: number for number, side in enumerate(sides) for index in side}
        for index in range(len(nodes)):
            others = [n for n, side in side_of.items() if index in side_of and side != side_of[index]]
            self._pretend(index, cut_off=[nodes[other].pubkey_ed25519 for other in others])

    def skew(self, index: int, seconds: float) -> None:
        """Lets one node's clock run ahead of this machine's."""
        self._one(index)
        self._pretend(index, clock_offset_ms=round(seconds * 1000))

    def add(self, swarm_id: int) -> int:
        """Starts a new node in this swarm; its number."""
        from allium.settings import keys

        network = self._without_chain()
        index = len(network.nodes)
        if keys.exist(self.layout.data_dir(index)):
            raise DevnetError(f"{self.layout.data_dir(index)} holds another node; remove it")
        with ports.reserve(_PORTS_PER_NODE) as free:
            record = self._create(index, swarm_id, free, rate_limit=False)
            self._change_network(lambda members: members.append(_member(record)))
            [pid] = process.start([self._node_command(index)], _START_SECONDS)
        nodes = (*network.nodes, replace(record, pid=pid))
        self.layout.write_network(replace(network, nodes=nodes))
        return index

    def remove(self, index: int) -> None:
        """Takes a node out of the network for good, and ends it. It keeps its number, and its data."""
        self._without_chain()
        status = self._one(index)
        key = status.node.pubkey_ed25519
        self._change_network(lambda members: members.remove(next(m for m in members if m["pubkey_ed25519"] == key)))
        if status.running:
            process.stop([status.node.pid], _STOP_SECONDS)
        self._record(index, swarm_id=UNASSIGNED)

    def move(self, swarms: Mapping[int, int]) -> None:
        """Puts nodes (by number) into swarms, all at once."""
        nodes = self._without_chain().nodes
        by_key = {nodes[self._one(index).index].pubkey_ed25519: swarm for index, swarm in swarms.items()}

        def change(members: list[dict[str, Any]]) -> None:
            for member in members:
                member["swarm_id"] = by_key.get(member["pubkey_ed25519"], member["swarm_id"])

        self._change_network(change)
        for index, swarm in swarms.items():
            self._record(index, swarm_id=swarm)

    def regroup(self, seed: int) -> dict[int, int]:
        """Lets the network's own algorithm put every node into a swarm; the swarm of each node."""
        self._without_chain()
        document = json.loads(self.layout.nodes.read_bytes())
        current = {bytes.fromhex(member["pubkey_legacy"]): member["swarm_id"] for member in document["nodes"]}
        assigned = {key.hex(): swarm for key, swarm in assign(current, seed).items()}
        nodes = self.layout.read_network().nodes
        swarms = {i: assigned[node.pubkey_legacy] for i, node in enumerate(nodes) if node.pubkey_legacy in assigned}
        self.move(swarms)
        return swarms

    def leave(self, index: int) -> None:
        """Lets the operator of a node ask the contract to leave. The node serves until the network lets it go."""
        network = self.layout.read_network()
        self._one(index)
        if network.chain is None:
            raise DevnetError("nobody staked for this network's nodes; take one out with: allium devnet remove")
        from allium.devnet import evm

        evm.leave(network.chain, index)

    def _ground(
        self,
        chain: ChainOptions,
        records: Sequence[NodeRecord],
        feed_port: int,
        progress: Progress,
        undo: ExitStack,
    ) -> ChainRecord:
        """Stakes for every node.

        The first one looks at the chain and orders what it sees, the second looks too; of a committee, all do.
        """
        from allium.consensus.cometbft.committee import SEATS
        from allium.devnet import evm
        from allium.liveness.reachability import INTERVAL_SECONDS

        ground = evm.prepare(self.layout, chain, len(records), undo, progress)
        looking = len(records)
        for index in range(len(records)):
            often = min(INTERVAL_SECONDS, chain.uptime / _TESTS_PER_PROOF)
            self._configure(index, uptime_seconds=chain.uptime, reachability_seconds=often)
        if chain.consensus == "cometbft":
            first = [record.pubkey_ed25519 for record in records[:SEATS]]
            order: dict[str, Any] = {"cometbft": {"time": int(time.time()), "committee": first}}
        else:
            order = {"sequencer": records[0].pubkey_ed25519, "feeds": [f"http://{LOOPBACK}:{feed_port}"]}
            self._configure(0, feed_port=feed_port)
            looking = min(2, len(records))
        write_json(self.layout.chain, ground.chain_file(order))
        for index in range(looking):
            self._configure(index, l2_rpc=[ground.record.rpc_url], **ground.finality)
        return ground.record

    def _formed(self, network: NetworkRecord, seconds: float) -> NetworkRecord:
        """The network with the swarm of every node, when all of them have one."""
        deadline = time.monotonic() + seconds
        while True:
            swarms = listed(network.seed_url)
            missing = [
                i for i, node in enumerate(network.nodes) if swarms.get(node.pubkey_ed25519, UNASSIGNED) == UNASSIGNED
            ]
            if not missing:
                return replace(
                    network, nodes=tuple(replace(node, swarm_id=swarms[node.pubkey_ed25519]) for node in network.nodes)
                )
            if time.monotonic() > deadline:
                raise DevnetError(
                    f"the network does not have node {missing[0]} after {seconds:.0f} s; look into the logs"
                )
            time.sleep(_POLL_SECONDS)

    def _without_chain(self) -> NetworkRecord:
        network = self.layout.read_network()
        if network.chain is not None:
            raise DevnetError("stakes decide who is in this network, and its algorithm on the swarms")
        return network

    def _signal(self, index: int, number: signal.Signals) -> None:
        status = self._one(index)
        if not status.running:
            raise DevnetError(f"node {index} is not running")
        process.signal_all(status.node.pid, number)

    def _pretend(self, index: int, **levers: Any) -> None:
        path = self.layout.levers(index)
        before = json.loads(path.read_bytes()) if path.exists() else {}
        if {**before, **levers} != before:
            write_json(path, {**before, **levers})

    def _change_network(self, change: Callable[[list[dict[str, Any]]], None]) -> None:
        document = json.loads(self.layout.nodes.read_bytes())
        change(document["nodes"])
        document["height"] += 1
        write_json(self.layout.nodes, document)

    def _record(self, index: int, **fields: Any) -> None:
        network = self.layout.read_network()
        nodes = list(network.nodes)
        nodes[index] = replace(nodes[index], **fields)
        self.layout.write_network(replace(network, nodes=tuple(nodes)))

    def _one(self, index: int) -> NodeStatus:
        nodes = self.layout.read_network().nodes
        if not 0 <= index < len(nodes):
            raise DevnetError(f"there is no node {index}; they are numbered from 0 to {len(nodes) - 1}")
        return self._status(index, nodes[index])

    def _status(self, index: int, node: NodeRecord) -> NodeStatus:
        running = process.is_running(node.pid, str(self.layout.config(index)))
        return NodeStatus(index, node, running, process.resident_bytes(node.pid) if running else None)

    def _configure(self, index: int, **more: Setting) -> None:
        """Writes the node's configuration, or writes it again with more in it."""
        import tomllib

        from allium.settings import config

        path = self.layout.config(index)
        before = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        files.replace(path, config.commented_toml(**{**before, **more}).encode())

    def _create(self, index: int, swarm_id: int, free: list[int], rate_limit: bool, staked: bool = False) -> NodeRecord:
        from allium.settings import keys

        directory = self.layout.data_dir(index)
        https_port, omq_port, metrics_port, *more = free
        cometbft_port, rpc_port = more or (None, None)
        cometbft: dict[str, Setting] = {}
        if cometbft_port is not None:
            cometbft = {"cometbft_port": cometbft_port, "cometbft_rpc": f"{LOOPBACK}:{rpc_port}"}
        node_keys = keys.create(directory)
        if staked:
            keys.create_bls(directory)
        self._configure(
            index,
            data_dir=".",
            network_file="../nodes.json",
            levers_file=Layout.LEVERS,
            bind_ip=LOOPBACK,
            https_port=https_port,
            omq_port=omq_port,
            metrics_port=metrics_port,
            max_store_bytes=_NODE_STORE_BYTES,
            rate_limit_exempt=[] if rate_limit else [LOOPBACK_NETWORK],
            # They share the machine.
            worker_threads=2,
            allow_private_servers=True,
            **({"chain_file": "../chain.json"} if staked else {}),
            **cometbft,
        )
        return NodeRecord(
            ip=LOOPBACK,
            https_port=https_port,
            omq_port=omq_port,
            pubkey_ed25519=node_keys.ed25519_public.hex(),
            pubkey_x25519=node_keys.x25519_public.hex(),
            pubkey_legacy=node_keys.legacy_public.hex(),
            swarm_id=swarm_id,
            data_dir=str(directory),
            pid=0,
            metrics_port=metrics_port,
            cometbft_port=cometbft_port,
            cometbft_rpc_port=rpc_port,
        )

    def _node_command(self, index: int) -> process.Command:
        arguments = [sys.executable, "-m", "allium", "node", "run", "--config", str(self.layout.config(index))]
        return process.Command(f"node {index}", arguments, self.layout.log(index))

    def _seed_command(self, listener: socket.socket, consensus: ConsensusEngine | None) -> process.Command:
        descriptor = listener.fileno()
        arguments = [sys.executable, "-m", "allium.devnet.seed", str(self.layout.nodes), "--fd", str(descriptor)]
        if consensus == "cometbft":
            arguments.append("--ask")
        elif consensus == "solo":
            self.layout.seed_dir.mkdir()
            arguments += ["--chain", str(self.layout.chain)]
        return process.Command("seed", arguments, self.layout.seed_log, (descriptor,))


def swarm_ids(nodes: int, swarm_size: int) -> list[int]:
    """The swarm of each node: as many swarms as `swarm_size` gives, evenly spaced over all accounts, dealt in turn."""
    swarms = max(1, nodes // swarm_size)
    return [(2 * (index % swarms) + 1) * (1 << 64) // (2 * swarms) for index in range(nodes)]


def listed(seed_url: str) -> dict[str, int]:
    """The swarm of every node in the network, by Ed25519 key, as a seed tells it."""
    from urllib.request import Request, urlopen

    call = {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "get_service_nodes",
        "params": {"fields": ["pubkey_ed25519", "swarm_id"]},
    }
    asking = Request(f"{seed_url}json_rpc", json.dumps(call).encode(), {"Content-Type": "application/json"})  # noqa: S310
    with urlopen(asking, timeout=10) as answer:  # noqa: S310 - our own seed
        told = json.loads(answer.read())
    return {node["pubkey_ed25519"]: node["swarm_id"] for node in told["result"]["service_node_states"]}


def _up(index: int, nodes: int) -> Event:
    """The event of a process that serves: the nodes in their order, the seed, the file server."""
    if index < nodes:
        return NodeUp(index)
    return SeedUp() if index == nodes else FilesUp()


def _member(record: NodeRecord) -> dict[str, Any]:
    member = asdict(record)
    del member["pid"], member["data_dir"], member["metrics_port"]
    return {name: value for name, value in member.items() if value is not None}


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((LOOPBACK, port))
    listener.listen()
    return listener
