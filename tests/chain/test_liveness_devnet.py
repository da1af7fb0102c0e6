"""Nodes that find out by themselves who works: a devnet of real processes, ordered by a committee of all."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from allium._native import verify_ed25519
from allium.appchain.certificates import Certificate, Verdict
from allium.appchain.claims import claimable
from allium.appchain.encoding import decode
from allium.appchain.input import Input
from allium.appchain.state import State, genesis
from allium.appchain.types import Address, Height, PublicKey
from allium.consensus.chainfile import ChainFile
from allium.consensus.cometbft.committee import drawn_again
from allium.consensus.cometbft.engine import STORE_FILE
from allium.consensus.cometbft.store import CometBFTStore as CometStore
from allium.consensus.cometbft.store import Standing
from allium.devnet.network import Devnet as LocalDevnet
from allium.devnet.network import listed
from allium.liveness.clocks import Clocks
from tests.support import wire
from tests.support.appchain_world import RULES
from tests.support.devnet import Devnet
from tests.support.lone_node import UNASSIGNED
from tests.support.waiting import await_each, await_that

NODES = 7
UPTIME = 6
#: Two at once: five of seven are just enough to order, and to say that the two are gone.
KILLED = (3, 5)
#: One of the five others, which starts again meanwhile.
RESTARTED = 2


@pytest.fixture(scope="module")
def devnet_of_seven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    net = Devnet(tmp_path_factory.mktemp("liveness") / "net")
    more = ["--chain", "--consensus", "cometbft", "--uptime", str(UPTIME)]
    said = net.run("up", "--nodes", str(NODES), *more)
    try:
        assert f"{NODES} nodes in 1 swarm" in said
        yield net
    finally:
        net.run("down")


class Writer(threading.Thread):
    """Stores messages through one node, one after the other."""

    def __init__(self, node: dict[str, Any]) -> None:
        super().__init__()
        self.user, self._node = wire.User(), node
        self.stored: list[str] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.1):
            reply = wire.rpc(self._node, "store", wire.store_params(self.user.account_id, b"%d" % len(self.stored)))
            assert reply.status == 200
            self.stored.append(reply.json()["hash"])


def standing(net: Devnet, index: int) -> Standing:
    """Where a node is by what it keeps on the disk."""
    chain = ChainFile.read(net.directory / "chain.json")
    assert chain.cometbft is not None
    store = CometStore(net.directory / f"node-{index}" / STORE_FILE, chain.parameters)
    try:
        return store.load(Standing(genesis(chain.parameters), chain.cometbft.keys))
    finally:
        store.close()


def inputs(net: Devnet, index: int) -> list[Input]:
    """All that a node has computed from."""
    path = net.directory / f"node-{index}" / STORE_FILE
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT encoded FROM input ORDER BY height").fetchall()
    return [decode(Input, row[0]) for row in rows]


def verdicts(net: Devnet, index: int) -> list[tuple[int, Certificate]]:
    """What was decided of nodes, and at which heights."""
    return [(given.height, certificate) for given in inputs(net, index) for certificate in given.certificates]


def status(net: Devnet, index: int) -> dict[str, Any]:
    config = str(net.directory / f"node-{index}" / "config.toml")
    told: dict[str, Any] = json.loads(net.allium("chain", "status", "--config", config, "--json"))
    return told


def lacking(net: Devnet, index: int, writer: Writer) -> list[int]:
    """Which of the messages that were acknowledged a node has not."""
    there = set(wire.held(net.nodes[index], writer.user))
    return [number for number, name in enumerate(writer.stored) if name not in there]


def swarm_of(net: Devnet, index: int) -> int:
    return listed(net.network["seed_url"])[net.nodes[index]["pubkey_ed25519"]]


def known(net: Devnet, index: int) -> dict[str, Any]:
    """What a node keeps of the others."""
    config = str(net.directory / f"node-{index}" / "config.toml")
    told: dict[str, Any] = json.loads(net.allium("chain", "proofs", "--config", config, "--json"))
    return told


def test_dead_nodes_are_voted_out_and_in_when_they_are_back(devnet_of_seven: Devnet) -> None:
    net = devnet_of_seven
    clocks = Clocks.of(UPTIME)
    keys = [node["pubkey_ed25519"] for node in net.nodes]
    writer = Writer(net.nodes[0])
    writer.start()
    try:
        # Nobody judges others before he has worked for so long, nor is anybody voted out before.
        up = time.monotonic()
        await_that("all are paid", lambda: len(standing(net, 0).state.ledger.payees) == NODES)
        time.sleep(max(0.0, up + clocks.limits.proof_validity - time.monotonic()))
        assert not verdicts(net, 1)
        local = LocalDevnet(net.directory)
        for index in KILLED:
            local.kill(index)
        killed, stored = time.monotonic(), len(writer.stored)
        before = known(net, RESTARTED)
        local.kill(RESTARTED)
        # Four of seven order nothing; what is stored is stored.
        await_that("messages go on", lambda: len(writer.stored) >= stored + 5)
        local.start(RESTARTED)
        after = known(net, RESTARTED)["nodes"]
        for key, kept in before["nodes"].items():
            assert kept["proofs"] and kept["proofs"][-1] in after[key]["proofs"], "it has forgotten nothing"
        await_that("they are voted out", lambda: all(swarm_of(net, index) == UNASSIGNED for index in KILLED))
        took = time.monotonic() - killed
        print(f"\n{took:.1f} s from kill to decommission; a proof counts for {clocks.limits.proof_validity} s")
        for index in KILLED:
            local.start(index)
        started = time.monotonic()
        await_that("they are voted in", lambda: all(swarm_of(net, index) != UNASSIGNED for index in KILLED))
        print(f"{time.monotonic() - started:.1f} s from their start to recommission")
        later = standing(net, 0).state.height + RULES.payable_after + 3
        await_that("they are paid again", lambda: standing(net, 0).state.height >= later)
    finally:
        writer.over.set()
        writer.join()
    # A verdict each, by enough of those who were drawn, and all nodes found the same.
    state = standing(net, 1).state
    assert state.verifier is verify_ed25519
    ended: dict[int, int] = {}
    resumed: dict[int, int] = {}
    for height, certificate in verdicts(net, 1):
        drawn = state.quorum(certificate.height)
        assert drawn is not None
        index = keys.index(drawn.workers[certificate.worker].hex())
        if certificate.verdict == Verdict.DECOMMISSION:
            voters = {keys.index(drawn.validators[vote.validator].hex()) for vote in certificate.votes}
            others = set(range(NODES)) - set(KILLED)
            # Without the one that started again there would have been no first verdict.
            assert voters <= others and (ended or voters == others) and index not in ended
            ended[index] = height
        else:
            assert certificate.verdict == Verdict.RECOMMISSION and index not in resumed
            assert len(certificate.votes) >= 4 and {vote.reasons for vote in certificate.votes} == {0}
            resumed[index] = height + RULES.payable_after
    assert ended.keys() == resumed.keys() == set(KILLED)
    away = (RESTARTED, *KILLED)
    await_each("it has followed", away, lambda index: verdicts(net, index) == verdicts(net, 1))
    # Their income ends with the verdict and comes again when the rules say so, nobody else's does.
    for index in KILLED:
        node = state.nodes[PublicKey(bytes.fromhex(keys[index]))]
        since = resumed[index] - RULES.payable_after
        assert (node.last_decommission_height, node.active_since, node.decommission_count) == (ended[index], since, 1)
    first = min(ended.values()) - 3
    for index, stake in enumerate(net.network["chain"]["stakes"]):
        address = Address(bytes.fromhex(stake["stakers"][0]["address"][2:]))
        earned = [claimable(state, address, Height(height)) for height in range(first, state.height + 1)]
        paid = {height: after > before for height, (before, after) in enumerate(pairwise(earned), first + 1)}
        gone = range(ended[index], resumed[index]) if index in KILLED else range(0)
        assert paid == {height: height not in gone for height in paid}, f"node {index}"
    # And nothing is lost of what was stored before, while they were away and after.
    assert len(writer.stored) > 50
    await_each("it has all", range(NODES), lambda index: not lacking(net, index, writer), 90)


def test_a_network_that_lost_its_committee_is_restarted_by_command(devnet_of_seven: Devnet) -> None:
    net, local = devnet_of_seven, LocalDevnet(devnet_of_seven.directory)
    gone, left = (4, 5, 6), (0, 1, 2, 3)
    for index in gone:
        local.kill(index)
    # Four of seven decide nothing more; who is a height behind gets there.
    told: list[State] = []

    def stands_still() -> bool:
        before, told[:] = [state.root for state in told], [standing(net, index).state for index in left]
        return before == [state.root for state in told] and len({state.root for state in told}) == 1

    await_that("they stand still at one height", stands_still)
    state, before = told[0], status(net, 0)
    assert (before["height"], before["root"]) == (state.height, state.root.hex())
    keys = tuple(sorted(bytes.fromhex(net.nodes[index]["pubkey_ed25519"]) for index in left))
    attempt = next(number for number in range(1, 9999) if drawn_again(state, number) == keys)
    command = ["chain", "restart", "--config", str(net.directory / "node-0" / "config.toml"), "--attempt", str(attempt)]
    chain_file = (net.directory / "chain.json").read_bytes()
    said = net.allium(*command, "--dry-run")
    assert said.split() == [key.hex() for key in keys]
    assert (net.directory / "chain.json").read_bytes() == chain_file
    said = net.allium(*command)
    assert f"goes on after height {state.height}, root {state.root.hex()}" in said
    for index in left:
        local.kill(index)
        local.start(index)
    # At the first height of a day all are drawn again, also those that are gone; they vote two heights later.
    await_that("it goes on", lambda: all(standing(net, index).state.height >= state.height + 2 for index in left))
    assert status(net, 3)["chain"] == f"{before['chain']}-{state.height}-{attempt}"
    first = {given.height: given for given in inputs(net, 0)}
    assert all(first[given.height] == given for given in inputs(net, 3) if given.height in first)
    user = wire.User()
    reply = wire.rpc(net.nodes[0], "store", wire.store_params(user.account_id, b"still here"))
    assert reply.status == 200
    await_that("a message arrives", lambda: wire.held(net.nodes[3], user) == [reply.json()["hash"]])
