"""A network that forms from stakes on a chain: real anvil, real nodes, and only the contracts say who is in."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.request import Request, urlopen

import pytest
from nacl import bindings

from allium.appchain.admission import possible
from allium.appchain.certificates import Certificate, Verdict, Vote, vote_message
from allium.appchain.encoding import decode, encode
from allium.appchain.nodes import Node
from allium.appchain.state import State
from allium.appchain.types import Index, PublicKey, Reasons, Signature
from allium.client import Account, Client, direct
from allium.client.requests import signed
from allium.consensus.block import Block
from allium.consensus.chainfile import ChainFile
from allium.consensus.store import BlockStore
from allium.devnet import anvil, process
from allium.devnet.network import listed
from allium.node.chain import STORE_FILE
from allium.settings import keys
from allium.staking.addresses import Addresses
from tests.support.devnet import Devnet
from tests.support.lone_node import UNASSIGNED

T = TypeVar("T")

PATIENCE = 60.0
NODES = 15


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Devnet, float]]:
    """Fifteen nodes, and how long it took until they were a network."""
    net = Devnet(tmp_path_factory.mktemp("chain") / "net")
    began = time.monotonic()
    net.run("up", "--chain")
    took = time.monotonic() - began
    try:
        yield net, took
    finally:
        net.run("down")


def eventually(make: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + PATIENCE
    while (made := make()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return made


def stores(net: Devnet) -> list[Path]:
    return [net.directory / f"node-{index}" / STORE_FILE for index in range(len(net.nodes))]


def blocks(store: Path) -> dict[int, Block]:
    """Every height that a node has followed."""
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT encoded FROM block").fetchall()
    database.close()
    made = [decode(Block, row[0]) for row in rows]
    return {block.given.height: block for block in made}


def state(net: Devnet, index: int) -> State:
    """What one node has computed, from what it keeps on the disk."""
    chain = ChainFile.read(net.directory / "chain.json")
    with BlockStore(stores(net)[index], chain.parameters, chain.sequencer_key) as store:
        return store.load()


def members(net: Devnet, index: int) -> dict[str, Node]:
    """Who is in the network, as one node has computed it."""
    return {key.hex(): node for key, node in state(net, index).nodes.items()}


def vote(net: Devnet, index: int, verdict: Verdict) -> None:
    """Lets the testers of a height give a verdict on a node, as soon as the rules allow it."""
    key = PublicKey(bytes.fromhex(net.nodes[index]["pubkey_ed25519"]))
    secrets = {
        bytes.fromhex(node["pubkey_ed25519"]): keys.load(Path(node["data_dir"])).ed25519_secret for node in net.nodes
    }

    def certificate() -> Certificate | None:
        now = state(net, 1)
        drawn = now.quorum(now.height)
        if drawn is None or possible(now.nodes[key], now.height, verdict, now.parameters) is not None:
            return None
        worker = Index(drawn.workers.index(key))
        message = vote_message(now.parameters.chain, now.height, worker, verdict, Reasons(1))
        voters = drawn.validators[: drawn.threshold]
        votes = [Signature(bindings.crypto_sign(message, secrets[voter])[:64]) for voter in voters]
        return Certificate(
            now.height, worker, verdict, tuple(Vote(Index(i), Reasons(1), each) for i, each in enumerate(votes))
        )

    [feed] = json.loads((net.directory / "chain.json").read_text())["feeds"]
    with urlopen(Request(f"{feed}/v1/certificates", encode(eventually(certificate))), timeout=10) as answer:
        assert answer.status == 202


def test_a_network_is_up_in_time_and_described(net: tuple[Devnet, float]) -> None:
    up, took = net
    print(f"\n{NODES} nodes staked for and serving in {took:.1f} s")
    assert took < 90
    chain = up.network["chain"]
    assert chain["contracts"] == json.loads((up.directory / "ADDRESSES.json").read_text())
    assert chain["key"] == anvil.account(0).key.hex()
    assert Addresses.load(up.directory / "ADDRESSES.json").chain_id == anvil.CHAIN_ID
    shared = [stake for stake in chain["stakes"] if len(stake["stakers"]) > 1]
    assert len(shared) >= 3 and all(stake["fee"] and stake["contribution"] for stake in shared)
    assert {len(stake["stakers"]) for stake in chain["stakes"]} == {1, 2, 3, 4}
    for node in up.nodes:
        assert (Path(node["data_dir"]) / "key_bls").stat().st_mode & 0o077 == 0


def test_every_node_is_a_member_by_its_stake(net: tuple[Devnet, float]) -> None:
    up, _ = net
    joined = members(up, 7)
    assert set(joined) == {node["pubkey_ed25519"] for node in up.nodes}
    for record, stake in zip(up.nodes, up.network["chain"]["stakes"], strict=True):
        node = joined[record["pubkey_ed25519"]]
        assert (node.contract_id, node.fee) == (stake["contract_id"], stake["fee"])
        assert [c.amount for c in node.contributors] == [staker["amount"] for staker in stake["stakers"]]
        assert node.swarm == record["swarm_id"] != UNASSIGNED
    assert listed(up.network["seed_url"]) == {node["pubkey_ed25519"]: node["swarm_id"] for node in up.nodes}
    # The second node looks at the chain itself, and has found nothing else there than the first.
    assert "l2_rpc = [" in (up.directory / "node-1" / "config.toml").read_text()
    assert all("chain_file" in (up.directory / f"node-{i}" / "config.toml").read_text() for i in range(NODES))


def test_all_nodes_compute_the_same(net: tuple[Devnet, float]) -> None:
    up, _ = net

    def far() -> list[dict[int, Block]] | None:
        kept = [blocks(store) for store in stores(up)]
        return kept if min(len(each) for each in kept) >= 10 else None

    kept = eventually(far)
    common = set.intersection(*(set(each) for each in kept))
    assert len(common) >= 10
    for height in common:
        assert len({each[height].root for each in kept}) == 1
    # Heights are signed by one, and computed by all: a store loads only what it computes again itself.
    assert len(members(up, 3)) == NODES
    print(f"\n{len(common)} roots compared over {NODES} nodes")


def test_a_message_arrives(net: tuple[Devnet, float]) -> None:
    asyncio.run(a_message_arrives(net[0]))


async def held(node: dict[str, Any], account: Account) -> list[str]:
    """Hashes of what one node has for an account."""
    params = signed(account, "retrieve", {}, time.time_ns() // 1_000_000)
    answer = await direct.call(direct.Node.parse(node), "retrieve", params)
    return [message["hash"] for message in answer.decoded()["messages"]]


async def a_message_arrives(up: Devnet) -> None:
    alice, bob = Account.new(), Account.new()
    seeds = [up.network["seed_url"]]
    async with Client(alice, seeds) as sender, Client(bob, seeds) as receiver:
        sent = await sender.send_text(bob.account_id, "by stake", display_name="Alice", sync=False)
        told = [(each.verified, each.failure) for each in sent.confirmations]
        assert any(verified for verified, _ in told) and all(verified or failure for verified, failure in told), told
        # Every member has it, one that was too busy to confirm as soon as it can.
        for member in (each.node.hex() for each in sent.confirmations):
            [entry] = [node for node in up.nodes if node["pubkey_ed25519"] == member]
            deadline = time.monotonic() + PATIENCE
            while sent.hash not in await held(entry, bob):
                assert time.monotonic() < deadline, told
        assert [message.text for message in (await receiver.poll()).messages] == ["by stake"]


def test_what_a_file_decides_elsewhere_is_refused(net: tuple[Devnet, float]) -> None:
    up, _ = net
    for arguments in (["remove", "1"], ["move", "1", "5"], ["regroup"], ["add", "5"]):
        command = [sys.executable, "-m", "allium", "devnet", *arguments, "--dir", str(up.directory)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1 and "stakes decide" in done.stderr


def test_a_node_that_is_started_again_is_back(net: tuple[Devnet, float]) -> None:
    up, _ = net
    up.run("kill", "5")
    reached = max(blocks(stores(up)[5]))
    up.run("start", "5")
    eventually(lambda: max(blocks(stores(up)[5])) > reached + 2 or None)
    # And the one that orders goes on where it was, from its own store and the chain.
    up.run("kill", "0")
    ended = max(blocks(stores(up)[0]))
    up.run("start", "0")
    after = eventually(lambda: {h: b for h, b in blocks(stores(up)[5]).items() if h > ended + 2} or None)
    mine = blocks(stores(up)[0])
    assert all(mine[height].root == block.root for height, block in after.items())
    assert mine[ended + 1].previous == mine[ended].root


def test_a_node_that_asks_to_leave_leaves(net: tuple[Devnet, float]) -> None:
    up, _ = net
    leaver = up.nodes[4]
    up.run("leave", "4")
    eventually(lambda: leaver["pubkey_ed25519"] not in listed(up.network["seed_url"]) or None)
    eventually(lambda: leaver["pubkey_ed25519"] not in members(up, 9) or None)
    rows = up.run("status")
    assert f"{UNASSIGNED:016x}" in rows
    left = listed(up.network["seed_url"])
    assert len(left) == NODES - 1 and UNASSIGNED not in left.values()
    said = (up.directory / "node-9" / "node.log").read_text()
    assert "leaves after height" in said


def test_a_chain_that_is_gone_is_told_of_and_messages_go_on(net: tuple[Devnet, float]) -> None:
    up, _ = net
    process.kill(up.network["chain"]["anvil_pid"])
    log = up.directory / "node-0" / "node.log"
    eventually(lambda: "no height can be made" in log.read_text() or None)
    assert "cannot be reached" in log.read_text()
    asyncio.run(a_message_arrives(up))


def registrations(net: Devnet) -> list[str]:
    return [row["registration"] for row in json.loads(net.run("status", "--json"))]


def a_node_that_is_voted_down_leaves(net: Devnet, index: int) -> None:
    key, seed = net.nodes[index]["pubkey_ed25519"], net.network["seed_url"]
    vote(net, index, Verdict.DECOMMISSION)
    eventually(lambda: listed(seed)[key] == UNASSIGNED or None)
    assert registrations(net)[index] == "decommissioned"
    vote(net, index, Verdict.DEREGISTER)
    eventually(lambda: key not in listed(seed) or None)
    assert registrations(net)[index] == "not registered"
    kept = [blocks(store) for store in stores(net)]
    newest = min(map(max, kept))
    assert len({each[newest].root for each in kept}) == 1
    assert key not in members(net, index), "it knows itself that it is out"


def test_a_network_on_contracts_that_are_there(tmp_path: Path) -> None:
    net = Devnet(tmp_path / "net")
    with anvil.running(tmp_path / "anvil.log") as local:
        key = tmp_path / "key"
        key.touch(mode=0o600)
        key.write_text(anvil.account(0).key.hex())
        addresses = tmp_path / "ADDRESSES.json"
        options = ["--staking-requirement", "100", "--max-contributors", "3", "--key-file", str(key)]
        net.allium("contracts", "deploy", "--rpc", local.url, "--out", str(addresses), *options)
        # Whose votes are made here, is not to be voted in again meanwhile.
        more = ["--chain", "--contracts", str(addresses), "--rpc", local.url, "--uptime", "3600"]
        net.run("up", "--nodes", "6", *more)
        try:
            chain = net.network["chain"]
            assert (chain["rpc_url"], chain["anvil_pid"]) == (local.url, None)
            assert chain["contracts"] == json.loads(addresses.read_text())
            joined = members(net, 2)
            assert len(joined) == 6
            assert {sum(c.amount for c in node.contributors) for node in joined.values()} == {100 * 10**9}
            a_node_that_is_voted_down_leaves(net, 3)
        finally:
            net.run("down")
        assert process.is_running(local.pid, str(local.port)), "it is not ours to end"


FAILS: list[tuple[list[str], str]] = [
    (["--contracts", "x.json"], "go with --chain"),
    (["--chain", "--contracts", "x.json"], "--contracts and --rpc go together"),
    (["--chain", "--contracts", "x.json", "--rpc", "http://127.0.0.1:1"], "cannot be read"),
]


@pytest.mark.parametrize(("options", "says"), FAILS)
def test_what_cannot_be_is_explained(tmp_path: Path, options: list[str], says: str) -> None:
    command = [sys.executable, "-m", "allium", "devnet", "up", "--dir", str(tmp_path / "net"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and says in done.stderr, done.stderr
    assert not (tmp_path / "net" / "network.json").exists()
