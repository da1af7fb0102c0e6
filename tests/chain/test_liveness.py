"""Nodes that find out by themselves who works: real engines that speak OMQ, then real processes with real CometBFT."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from allium._native import PROTOCOL_VERSION, verify_ed25519
from allium.appchain.certificates import Certificate, Verdict
from allium.appchain.claims import claimable
from allium.appchain.encoding import decode
from allium.appchain.input import Input
from allium.appchain.state import State, genesis
from allium.appchain.types import Address, Height, Index, L2Height, PublicKey, Reasons, Seconds, Signature
from allium.appchain.verdicts import Judgement
from allium.consensus.chainfile import ChainFile
from allium.consensus.cometbft.committee import drawn_again
from allium.consensus.cometbft.engine import STORE_FILE
from allium.consensus.cometbft.store import CometBFTStore as CometStore
from allium.consensus.cometbft.store import Standing
from allium.consensus.solo import Listen, Sequencer
from allium.consensus.store import BlockStore
from allium.devnet import ports
from allium.devnet.network import Devnet as LocalDevnet
from allium.devnet.network import listed
from allium.liveness.ballots import Ballot, cast
from allium.liveness.clocks import Clocks
from allium.liveness.gossip import MAX_MESSAGES, pack
from allium.liveness.proof import SignedProof, Uptime, sign
from allium.liveness.service import TELL, TIME, Liveness, Surroundings
from allium.settings.keys import NodeKeys, generate
from tests.support import wire
from tests.support.appchain_world import RULES, World, pubkey, secret
from tests.support.devnet import Devnet
from tests.support.lone_node import UNASSIGNED, LoneNode
from tests.support.solo_process import FileChain, append
from tests.support.waiting import await_each, await_that

PATIENCE = 60.0
NODES = 7
SEQUENCER = 50


@dataclass
class Member:
    """A node of the network in this process, which works as long as its `task` does."""

    name: int
    lone: LoneNode
    liveness: Liveness
    task: asyncio.Task[None] | None = None

    async def tell(self, other: Member, *told: SignedProof | Ballot) -> list[bytes] | None:
        """Sends this to another; what it answers."""
        return (await self.ask(other, TELL, *map(pack, told)))[0]

    async def ask(self, other: Member, command: str, *parts: bytes) -> tuple[list[bytes] | None, str]:
        entry: Any = other.lone.entry
        [answer] = await asyncio.to_thread(self.lone.engine.ask, [entry], command, list(parts), 5.0)
        return answer

    def work(self) -> None:
        self.task = asyncio.create_task(self.liveness.run())

    async def end(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            self.task = None


class Net:
    """Seven of them, ordered by one sequencer whose EVM chain is a file."""

    def __init__(self, consensus: Sequencer, members: list[Member], stranger: LoneNode) -> None:
        self.consensus, self.members, self.stranger = consensus, members, stranger

    @property
    def state(self) -> State:
        return self.consensus.state

    async def until(self, true: Callable[[State], bool]) -> State:
        """The first state of which something is true."""
        async with asyncio.timeout(PATIENCE):
            async for state in self.consensus:
                if true(state):
                    return state
        raise AssertionError

    def ballot(self, voter: int, about: int, verdict: Verdict, reasons: int = 1, state: State | None = None) -> Ballot:
        state = self.state if state is None else state
        drawn = state.quorum(state.height)
        assert drawn is not None
        judged = Judgement(Index(drawn.workers.index(pubkey(about))), verdict, Reasons(reasons))
        place = Index(drawn.validators.index(pubkey(voter)))
        return cast(state.parameters.chain, state.height, place, judged, secret(voter))

    def uptime(self, name: int, later: float = 0.0) -> Uptime:
        member = self.members[name]
        return Uptime(
            pubkey=pubkey(name),
            time=Seconds(int(member.liveness.now() + later)),
            ip="127.0.0.1",
            https_port=member.lone.entry["https_port"],
            omq_port=member.lone.entry["omq_port"],
            l2_height=L2Height(self.state.l2_height),
            storage=PROTOCOL_VERSION,
            node=(0, 1, 0),
        )


def keys_of(name: int) -> NodeKeys:
    return NodeKeys(secret(name), generate().legacy_secret)


@contextlib.asynccontextmanager
async def network(directory: Path, clocks: Clocks) -> AsyncIterator[Net]:
    """All are registered, and none works yet."""
    world = World(RULES)
    for name in range(NODES):
        world.register(name)
    chain = directory / "chain"
    append(chain, world.input().observation)
    async with contextlib.AsyncExitStack() as stack:
        feed, *places = stack.enter_context(ports.reserve(1 + 2 * (NODES + 1)))
        store = stack.enter_context(BlockStore(directory / "store", RULES, pubkey(SEQUENCER)))
        consensus = Sequencer(store, FileChain(chain), secret(SEQUENCER), Listen("127.0.0.1", feed))
        members: list[Member] = []
        contacts: dict[str, Any] = {}
        for name in range(NODES + 1):
            node_keys = keys_of(name)
            https_port, omq_port = places[2 * name : 2 * name + 2]
            place = directory / str(name)
            lone = LoneNode(place, https_port, omq_port, keys=node_keys, allow_private_servers=True)
            stack.push_async_callback(asyncio.to_thread, lone.engine.shutdown)
            if name < NODES:
                contacts[pubkey(name).hex()] = lone.entry
            around = Surroundings(node_keys, lambda: contacts, lambda _: None, lambda: 0, private=True)
            members.append(Member(name, lone, Liveness(lone.engine, consensus, around, clocks)))
        stranger = members.pop()
        for member in [*members, stranger]:
            member.lone.sees(*contacts.values())
            stack.push_async_callback(member.end)
        ordering = asyncio.create_task(consensus.run())
        try:
            net = Net(consensus, members, stranger.lone)
            await net.until(lambda state: len(state.nodes) == NODES)
            yield net
        finally:
            ordering.cancel()
            await asyncio.gather(ordering, return_exceptions=True)


async def test_a_silent_node_is_voted_out_and_in_again_whatever_another_says(tmp_path: Path) -> None:
    """One of seven is silent and another contradicts itself, so that the five others are just enough."""
    silent, liar = 5, 6
    async with network(tmp_path, Clocks.of(2)) as net:
        for member in net.members[:5]:
            member.work()

        async def lie(everywhere: asyncio.Event) -> None:
            """Proves that it is there, and says this and that of all others, in another order to every second."""
            async for state in net.consensus:
                here = sign(net.uptime(liar), secret(liar))
                for other in net.members[:5]:
                    await net.members[liar].tell(other, here)
                for about in range(NODES - 1):
                    active = not state.nodes[pubkey(about)].decommissioned
                    first, second = (Verdict.DECOMMISSION, Verdict.IP_CHANGE) if active else (Verdict.RECOMMISSION,) * 2
                    twofold = [net.ballot(liar, about, first, 0, state), net.ballot(liar, about, second, 1, state)]
                    for other in net.members[:5]:
                        told = twofold if other.name % 2 else twofold[::-1]
                        assert await net.members[liar].tell(other, *told) == [b"200"]
                if state.nodes[pubkey(silent)].decommissioned:
                    everywhere.set()

        told = asyncio.Event()
        lying = asyncio.create_task(lie(told))
        out = await net.until(lambda state: state.nodes[pubkey(silent)].decommissioned)
        node = out.nodes[pubkey(silent)]
        assert node.swarm == UNASSIGNED and node.reasons_all == 1
        await asyncio.wait_for(told.wait(), PATIENCE)
        net.members[silent].work()
        back = await net.until(lambda state: not state.nodes[pubkey(silent)].decommissioned)
        assert back.nodes[pubkey(silent)].swarm != UNASSIGNED
        assert not lying.done(), "it has lied all the time"
        lying.cancel()
        await asyncio.gather(lying, return_exceptions=True)
        for name in (*range(5), liar):
            others = net.state.nodes[pubkey(name)]
            assert (others.decommission_count, others.last_ip_change_height) == (0, 0)


async def test_what_is_forged_is_dropped_and_what_is_true_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with network(tmp_path, Clocks.of(3600)) as net:
        # They prove nothing of themselves in this time; number 6 does not work, and says what it is told to.
        first, second, sender = net.members[0], net.members[1], net.members[6]
        for member in net.members[:2]:
            member.work()
        records = first.liveness.records
        async with asyncio.timeout(PATIENCE):
            while (answer := await sender.ask(first, TIME))[0] is None:
                assert "not signed" not in answer[1]
        skew = int(answer[0][1]) / 1000 - first.liveness.now()
        assert abs(skew) < 5
        good = sign(net.uptime(6), secret(6))
        strange = net.uptime(2)
        forged: list[SignedProof] = [
            replace(good, signature=Signature(bytes(64))),
            sign(net.uptime(3), secret(6)),
            sign(net.uptime(6, later=-301), secret(6)),
            sign(net.uptime(6, later=301), secret(6)),
            sign(replace(net.uptime(6), pubkey=pubkey(9)), secret(9)),
            sign(replace(net.uptime(6), storage=(2, 7, 0)), secret(6)),
            SignedProof(good.said.replace(b"127.0.0.1", b"127.0.0.2"), good.signature),
        ]
        for proof in forged:
            assert await sender.tell(first, proof) == [b"200"]
        assert not any(records.history(pubkey(name)) for name in range(NODES))
        said = "".join(capsys.readouterr())
        assert said.count("a proof with a wrong signature") == 3

        state = await net.until(lambda state: state.height >= 4)
        vote = net.ballot(6, 2, Verdict.DECOMMISSION, state=state)
        wrong: list[Ballot] = [
            replace(vote, vote=replace(vote.vote, signature=Signature(bytes(64)))),
            replace(vote, vote=replace(vote.vote, validator=Index((vote.vote.validator + 1) % NODES))),
            replace(vote, vote=replace(vote.vote, validator=Index(NODES))),
            replace(vote, worker=Index(NODES)),
            replace(vote, height=Height(1)),
            replace(vote, height=Height(state.height + 1000)),
            replace(vote, verdict=Verdict.RECOMMISSION),
        ]
        for ballot in wrong:
            assert await sender.tell(first, ballot) == [b"200"]
        assert not first.liveness._tally._votes and not first.liveness._early
        assert "".join(capsys.readouterr()).count("a vote with a wrong signature") == 2
        too_many = [pack(vote)] * (MAX_MESSAGES + 1)
        assert (await sender.ask(first, TELL, *too_many))[0] == [b"400"]
        # Who is in no network is not heard at all.
        stranger = Member(99, net.stranger, sender.liveness)
        answer = await stranger.ask(first, TELL, pack(good))
        assert answer[0] is None and "FORBIDDEN_SN" in answer[1]
        assert (await sender.ask(first, TELL, b"", b"x", b"v", b"p" * 2000, b"\xff" * 100))[0] == [b"200"]
        assert not records.history(pubkey(6))

        # The same node is still heard when it tells the truth, and what it says goes on to the others, once.
        assert await sender.tell(first, good, vote, good, vote) == [b"200"]
        assert records.history(pubkey(6))[0].proof == good
        await net.until(lambda _: bool(second.liveness.records.history(pubkey(6)) and second.liveness._tally._votes))
        assert second.liveness.records.last(pubkey(6)) == records.last(pubkey(6))
        assert second.liveness._tally._votes == first.liveness._tally._votes
        assert list(first.liveness._tally._votes.values()) == [{vote.vote.validator: vote}]
        assert not first.liveness.records.history(strange.pubkey)


async def test_a_node_that_starts_again_goes_on_with_what_it_knew(tmp_path: Path) -> None:
    """And votes at once, if it was not away for so long that it may have missed two proofs of somebody."""
    async with network(tmp_path, Clocks.of(3600)) as net:
        first, sender = net.members[0], net.members[6]
        contact: Any = net.members[5].lone.entry
        learnt: list[Uptime] = []
        suspected: list[str] = []
        known = first.liveness._around
        around = replace(known, history=tmp_path / "history", learn=learnt.append, suspect=suspected.append)

        def starts() -> Liveness:
            first.liveness = Liveness(first.lone.engine, net.consensus, around, Clocks.of(3600))
            first.work()
            return first.liveness

        before = starts()
        own = pubkey(0)
        heard = sign(net.uptime(6), secret(6))
        async with asyncio.timeout(PATIENCE):
            while not before.records.history(pubkey(6)):
                await sender.tell(first, heard)
                await net.until(lambda state, last=net.state.height: state.height > last)  # type: ignore[misc]
        await before.reported(contact, False)
        await first.end()
        # As if it had worked for an hour, or for two hours and a half.
        for hours, votes in ((1, False), (2.5, True)):
            with contextlib.closing(sqlite3.connect(tmp_path / "history")) as database, database:
                database.execute("UPDATE work SET since = until - ?", (hours * 3600,))
            learnt.clear()
            suspected.clear()
            height = net.state.height
            again = starts()
            await net.until(lambda state, again=again: pubkey(1) in again.records.found())  # type: ignore[misc]
            assert [accepted.proof for accepted in again.records.history(pubkey(6))] == [heard]
            assert again.records.found()[pubkey(5)].unreached == before.records.found()[pubkey(5)].unreached
            assert {uptime.pubkey for uptime in learnt} >= {pubkey(6)} and suspected == [pubkey(5).hex()]
            # It knows when it proved itself last, and does not do so again.
            assert len(again.records.history(own)) == len(before.records.history(own))
            worked = time.monotonic() - again._begun
            assert (worked >= again._clocks.limits.proof_validity) == votes and worked >= hours * 3600
            assert again._voted == height, "it does not vote twice at one height"
            await first.end()
        # Away for longer, or with less of the chain than before, it waits as a new one, and trusts no test of its own.
        for change in ("since = since - 3601, until = until - 3601", "since = until - 9000, height = height + 1000"):
            with contextlib.closing(sqlite3.connect(tmp_path / "history")) as database, database:
                database.execute(f"UPDATE work SET {change}")
            late = starts()
            await net.until(lambda _, late=late: pubkey(1) in late.records.found())  # type: ignore[misc]
            assert time.monotonic() - late._begun < PATIENCE
            assert [accepted.proof for accepted in late.records.history(pubkey(6))] == [heard]
            assert late.records.found()[pubkey(5)].unreached is None
            await late.reported(contact, False)
            await first.end()


async def test_a_vote_that_comes_before_its_height_counts_then(tmp_path: Path) -> None:
    async with network(tmp_path, Clocks.of(3600)) as net:
        first, sender = net.members[0], net.members[6]
        first.work()
        state = await net.until(lambda state: state.height >= 3)
        height, judged = Height(state.height + 3), Judgement(Index(0), Verdict.DECOMMISSION, Reasons(1))
        # Nobody knows yet as which tester the sender will be drawn, so it tries all places; one will be right.
        tried = [cast(RULES.chain, height, Index(place), judged, secret(6)) for place in range(NODES)]
        async with asyncio.timeout(PATIENCE):
            while await sender.tell(first, *tried) is None:
                assert net.state.height < height
        assert not first.liveness._tally._votes
        assert [len(early) for early in first.liveness._early.values()] == [NODES]
        later = await net.until(lambda _: not first.liveness._early)
        drawn = later.quorum(height)
        assert drawn is not None
        place = drawn.validators.index(pubkey(6))
        assert first.liveness._tally._votes == {(height, 0): {place: tried[place]}}


# A devnet of real processes, ordered by a committee of all.

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
