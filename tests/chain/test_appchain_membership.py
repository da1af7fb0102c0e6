"""The list of nodes from the chain: real nodes that serve what a `solo` sequencer's state says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from allium.appchain.certificates import Certificate
from allium.appchain.parameters import MAINNET
from allium.appchain.state import State
from allium.appchain.swarms import UNASSIGNED
from allium.appchain.types import ContractId, L2Height, PublicKey, Seconds, SwarmId
from allium.consensus import Consensus
from allium.consensus.chainfile import ChainFile
from allium.devnet import ports
from allium.errors import ConsensusError, DivergedError
from allium.liveness.proof import Uptime
from allium.membership import MembershipError
from allium.membership.appchain import AppchainMembership, snapshot
from allium.node.chain import open_chain
from allium.settings import keys as node_keys
from allium.settings.config import commented_toml
from tests.support.appchain_world import CONTRACT, RULES, World, pubkey, stakes
from tests.support.solo_net import KEY, Net

PATIENCE = 60.0


def contact(name: int, **more: Any) -> dict[str, Any]:
    return {
        "pubkey_legacy": pubkey(name).hex(),
        "pubkey_ed25519": pubkey(name).hex(),
        "pubkey_x25519": pubkey(name).hex(),
        "ip": f"192.0.2.{name}",
        "https_port": 22021,
        "omq_port": 22020,
        "swarm_id": 5,
        **more,
    }


def write_contacts(path: Path, *contacts: dict[str, Any]) -> None:
    path.write_text(json.dumps({"nodes": contacts}))


class Scripted:
    """A `Consensus` that a test steps."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._moved = asyncio.Event()
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def state(self) -> State:
        return self._world.state

    async def __aiter__(self) -> AsyncIterator[State]:
        while True:
            yield self.state
            await self._moved.wait()
            self._moved.clear()

    async def submit(self, certificate: Certificate) -> None:
        raise AssertionError

    async def run(self) -> None:
        await self._end

    def step(self) -> None:
        self._world.step()
        self._moved.set()

    def fail(self, error: Exception) -> None:
        self._end.set_exception(error)


async def test_yields_every_state_with_the_addresses_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World()
    engine: Consensus = Scripted(world)
    assert isinstance(engine, Scripted)
    world.register(1)
    world.register(2)
    write_contacts(tmp_path / "contacts", contact(1, version=[2, 8, 0]))
    membership = AppchainMembership(engine, tmp_path / "contacts")
    networks = aiter(membership)
    engine.step()
    network = await anext(networks)
    assert (network["height"], network["block_hash"]) == (1, world.state.root.hex())
    one, two = (next(node for node in network["nodes"] if node["pubkey_ed25519"] == pubkey(n).hex()) for n in (1, 2))
    assert (one["ip"], one["https_port"], one["version"], one["swarm_id"]) == ("192.0.2.1", 22021, (2, 8, 0), 0)
    assert (two["ip"], two["https_port"], two["omq_port"], two["swarm_id"]) == ("0.0.0.0", 0, 0, 0)
    assert one["pubkey_x25519"] != one["pubkey_ed25519"]

    world.request_exit(ContractId(1))
    engine.step()
    network = await anext(networks)
    unlock = {node["pubkey_ed25519"]: node["requested_unlock_height"] for node in network["nodes"]}
    assert unlock == {pubkey(1).hex(): 2 + RULES.unlock_duration, pubkey(2).hex(): 0}

    write_contacts(tmp_path / "contacts", contact(1), contact(2, ip="192.0.2.77"))
    membership.reload()
    network = await anext(networks)
    assert network["height"] == 2 and "192.0.2.77" in {node["ip"] for node in network["nodes"]}

    (tmp_path / "contacts").write_text("junk")
    membership.reload()
    engine.step()
    network = await anext(networks)
    assert network["height"] == 3 and "192.0.2.77" in {node["ip"] for node in network["nodes"]}

    engine.fail(DivergedError("roots differ"))
    write_contacts(tmp_path / "contacts", contact(1))
    network = await anext(networks)
    assert network["height"] == 3 and "192.0.2.77" not in {node["ip"] for node in network["nodes"]}
    said = capsys.readouterr()
    assert "no longer follows the network's state" in said.out + said.err and "roots differ" in said.out + said.err
    await networks.aclose()  # type: ignore[attr-defined]


async def test_a_node_is_where_it_says(tmp_path: Path) -> None:
    world = World()
    engine: Consensus = Scripted(world)
    assert isinstance(engine, Scripted)
    for name in (1, 2):
        world.register(name)
    write_contacts(tmp_path / "contacts", contact(1))
    membership = AppchainMembership(engine, tmp_path / "contacts")
    networks = aiter(membership)
    engine.step()
    await anext(networks)
    said = Uptime(
        pubkey(1), Seconds(1), "203.0.113.7", 1021, 1020, L2Height(1), (2, 11, 0), (0, 1, 0), legacy=pubkey(9)
    )
    # One that is in the file, one that is not, and one that is no member.
    for name in (1, 2, 3):
        membership.learn(replace(said, pubkey=pubkey(name)))
    nodes = {node["pubkey_ed25519"]: node for node in (await anext(networks))["nodes"]}
    assert set(nodes) == {pubkey(1).hex(), pubkey(2).hex()}
    for node in nodes.values():
        assert (node["ip"], node["https_port"], node["omq_port"]) == ("203.0.113.7", 1021, 1020)
        assert (node["pubkey_legacy"], node["version"], node["swarm_id"]) == (pubkey(9).hex(), (2, 11, 0), 0)
    # What was said is kept when the file is read again.
    membership.reload()
    assert membership.contacts[pubkey(1).hex()]["ip"] == "203.0.113.7"
    assert pubkey(3).hex() not in membership.contacts
    await networks.aclose()  # type: ignore[attr-defined]


async def test_fails_at_once_without_a_network(tmp_path: Path) -> None:
    engine = Scripted(World())
    with pytest.raises(MembershipError, match="cannot be read"):
        await anext(aiter(AppchainMembership(engine, tmp_path / "missing")))
    write_contacts(tmp_path / "contacts")
    engine.fail(ConsensusError("the store is damaged"))
    with pytest.raises(MembershipError, match="the store is damaged"):
        await anext(aiter(AppchainMembership(engine, tmp_path / "contacts")))


def test_decommissioned_nodes_are_in_no_swarm() -> None:
    world = World()
    world.register(1)
    state = world.step()
    node = replace(state.nodes[pubkey(1)], decommissioned=True, swarm=SwarmId(UNASSIGNED))
    network = snapshot(replace(state, nodes=state.nodes.changed({pubkey(1): node})), {})
    assert network["nodes"][0]["swarm_id"] == UNASSIGNED


def test_a_key_that_is_no_point_costs_that_node() -> None:
    world = World()
    world.register(1)
    state = world.step()
    nothing = PublicKey(bytes(32))
    stranger = replace(state.nodes[pubkey(1)], pubkey=nothing)
    network = snapshot(replace(state, nodes=state.nodes.changed({nothing: stranger})), {})
    assert [node["pubkey_ed25519"] for node in network["nodes"]] == [pubkey(1).hex()]


# The chain file.

CHAIN = {
    "network": "devnet",
    "l2_chain_id": 31337,
    "rewards_contract": "0x" + CONTRACT.hex(),
    "l2_start": 100,
    "sequencer": KEY.hex(),
    "feeds": ["http://127.0.0.1:1"],
}


def test_a_chain_file_names_the_rules(tmp_path: Path) -> None:
    (tmp_path / "chain").write_text(json.dumps(CHAIN))
    assert ChainFile.read(tmp_path / "chain").parameters == RULES
    (tmp_path / "chain").write_text(json.dumps({**CHAIN, "network": "mainnet", "rules": {"testers": 10}}))
    read = ChainFile.read(tmp_path / "chain")
    assert read.parameters == replace(
        MAINNET, l2_chain_id=31337, rewards_contract=CONTRACT, l2_start=RULES.l2_start, testers=10
    )
    assert read.sequencer_key == KEY


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"network": "other"}, "network"),
        ({"rewards_contract": "0x12"}, "rewards_contract"),
        ({"sequencer": "12"}, "sequencer"),
        ({"feeds": []}, "feeds"),
        ({"feeds": ["ftp://x"]}, "feeds"),
        ({"rules": {"unlock": 1}}, "there is no rule 'unlock'"),
        ({"rules": {"payable_after": -1}}, "payable_after"),
        ({"rules": {"block_seconds": 0}}, "block_seconds"),
        ({"sequenser": "x"}, "sequenser"),
    ],
)
def test_a_wrong_chain_file_is_explained(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    (tmp_path / "chain").write_text(json.dumps({**CHAIN, **change}))
    with pytest.raises(ConsensusError, match=re.escape(says)):
        ChainFile.read(tmp_path / "chain")


def test_a_sequencer_without_a_view_is_refused(tmp_path: Path) -> None:
    mine = node_keys.create(tmp_path / "node")
    (tmp_path / "chain").write_text(json.dumps({**CHAIN, "sequencer": mine.ed25519_public.hex()}))
    with pytest.raises(MembershipError, match="view of the EVM chain"):
        open_chain(tmp_path / "chain", tmp_path / "contacts", tmp_path / "node", mine, None, None)
    with pytest.raises(MembershipError, match="cannot be read"):
        open_chain(tmp_path / "none", tmp_path / "contacts", tmp_path / "node", mine, None, None)


# A real node.


class RunningNode:
    """`allium node run` that follows a chain."""

    def __init__(self, directory: Path) -> None:
        command = [sys.executable, "-m", "allium", "node", "run", "--config", str(directory / "config.toml")]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._lines: Queue[str | None] = Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def until(self, **expected: Any) -> dict[str, Any]:
        """The first log entry with these values."""
        heard = []
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            heard.append(line)
            entry: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
            if expected.items() <= entry.items():
                return entry
        raise AssertionError("".join(heard))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)


@pytest.fixture
def net(tmp_path: Path) -> Iterator[tuple[Net, list[int]]]:
    with ports.reserve(8) as mine, contextlib.closing(Net(tmp_path, mine[:4])) as made:
        yield made, mine[4:]


def test_a_node_serves_the_network_of_the_chain(net: tuple[Net, list[int]], tmp_path: Path) -> None:
    chain, [https_port, omq_port, *_] = net
    node_keys.create(tmp_path / "node")
    for name in range(6):
        chain.world.register(name)
    chain.mine()
    chain.start(0).until(2)
    settings = {**CHAIN, "feeds": [chain.url(0)]}
    (tmp_path / "chain.json").write_text(json.dumps(settings))
    write_contacts(tmp_path / "network.json", contact(1))
    (tmp_path / "config.toml").write_text(
        commented_toml(
            data_dir="node",
            network_file="network.json",
            chain_file="chain.json",
            bind_ip="127.0.0.1",
            https_port=https_port,
            omq_port=omq_port,
            feed_port=net[1][2],
            log_format="json",
        )
    )
    with contextlib.closing(RunningNode(tmp_path)) as node:
        assert node.until(event="network in force", nodes=6)["height"] >= 1
        chain.world.register(9, stakes(1))
        chain.world.register(10)
        chain.mine()
        refused = node.until(contract_id=7)
        assert refused["event"].startswith("registration refused: ")
        node.until(event="network in force", nodes=7)
