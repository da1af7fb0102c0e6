"""A network of real nodes, each with a real CometBFT: what a committee decides, all compute, whoever dies or lies."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from allium._native import verify_ed25519
from allium.appchain.encoding import encode
from allium.appchain.nodes import Leaving
from allium.appchain.state import genesis
from allium.appchain.types import Blocks, L2Height
from allium.consensus.cometbft import framing, peers, rpc, safety, signstate
from allium.consensus.cometbft import privval_pb2 as pb
from allium.consensus.cometbft.committee import address, drawn_again
from allium.consensus.cometbft.signer import canonical_vote
from allium.consensus.cometbft.store import CometBFTStore as CometStore
from allium.consensus.cometbft.store import Standing
from allium.consensus.cometbft.vote_extension import nothing_new
from allium.consensus.solo import Listen, Sequencer
from allium.consensus.store import BlockStore
from tests.support.appchain_world import RATE, RULES, pubkey, secret, sign
from tests.support.cometbft_net import PATIENCE, SNAPSHOT_EVERY, Net, network
from tests.support.cometbft_process import more
from tests.support.waiting import await_that


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Net]:
    """Four nodes that vote, and place for one more. They keep their seats."""
    rules = replace(RULES, day=Blocks(10_000))
    with network(tmp_path_factory.mktemp("four"), 4, 4, spare=1, parameters=rules) as net:
        yield net


async def test_a_committee_and_a_sequencer_find_the_same_of_the_same(four: Net, tmp_path: Path) -> None:
    four.reach(8)
    assert four.agree() >= 6
    inputs = four.nodes[1].inputs()
    assert [given.height for given in inputs] == list(range(1, len(inputs) + 1))
    assert any(given.observation.events for given in inputs), "the registrations are in"
    now = inputs[0]
    with BlockStore(tmp_path / "solo", four.parameters, pubkey(50)) as store:
        sequencer = Sequencer(store, NoSource(), secret(50), Listen("127.0.0.1", 0), clock=lambda: now.time)
        for now in inputs:
            sequencer._pending = dict.fromkeys(now.certificates)
            await sequencer._propose(now.observation)
            if (told := four.nodes[1].states.get(now.height)) is not None:
                assert sequencer.state.root.hex() == told["root"]
    assert sequencer.state.verifier is verify_ed25519
    assert sequencer.state.height == inputs[-1].height and len(sequencer.state.nodes) == 4


def test_a_node_that_forgot_what_it_signed_does_not_sign(four: Net) -> None:
    four.reach(4)
    node, home = four.nodes[3], four.directory / "node3" / "cometbft"
    node.end()
    record, blocks = home / signstate.FILE, home / "data" / "blockstore.db"
    whole = record.read_bytes()

    def refusal() -> str:
        reason = four.start(3).reason()
        four.nodes[3].end()
        return reason

    for damaged in (b"{}", b'{"height": "1", "round": "x"}', b"[]", b'{"height": "-1"}', b"\xff", b""):
        record.write_bytes(damaged)
        assert not safety.is_whole(home)
    assert f"{record} is damaged" in refusal()
    record.unlink()
    # Even where its own state is gone too, and it is to begin at a snapshot, which the blocks make way for.
    store = four.nodes[3].store
    store.rename(away := store.with_name("away"))
    reason = four.start(3, sync=[four.url(0), four.url(1)]).reason()
    four.nodes[3].end()
    assert f"{record} is missing" in reason and "allium chain skip --height N" in reason
    assert blocks.exists() and not record.exists()
    store.unlink()
    away.rename(store)
    record.write_bytes(whole)
    blocks.rename(moved := blocks.with_name("moved"))
    assert f"move {store} away" in refusal()
    moved.rename(blocks)
    # Nothing is signed at the height under way, and then it goes on with the others.
    at = max(four.nodes[0].height, 4)
    safety.skip(home, at + 1)
    four.start(3)
    four.reach(at + 3)
    assert four.agree()
    assert int(json.loads(record.read_bytes())["height"]) > at + 1


class NoSource:
    async def observe(self, after: L2Height, upto: L2Height | None = None) -> Any:
        raise AssertionError("the inputs are given")


def test_no_file_of_a_node_holds_its_key(four: Net) -> None:
    """Nor does one of an earlier version go on holding it."""
    four.reach(2)
    four.nodes[2].end(signal.SIGTERM)
    directory = Path(four.nodes[2].settings["directory"])
    whole = secret(2)
    forms = [whole[:32], whole[:32].hex().encode(), base64.b64encode(whole)[:40]]
    for old in ("priv_validator_key.json", "node_key.json"):
        (directory / "cometbft" / "config" / old).write_bytes(base64.b64encode(whole))
    four.start(2)
    four.grow(2)
    held = [
        path for path in directory.rglob("*") if path.is_file() and any(form in path.read_bytes() for form in forms)
    ]
    assert held == [], "a file holds the node's secret"
    assert four.nodes[2].states[max(four.nodes[2].states)]["votes"]


def test_a_stranger_is_no_peer(four: Net) -> None:
    """One with a key that is neither registered nor in the network file hears nothing, however often it knocks."""
    four.reach(2)
    stranger = four.start(4, secret=secret(77).hex())
    stranger.until(0)
    four.grow(4, 0, 1, 2, 3)
    assert stranger.height == 0
    known = {peers.name(pubkey(other)) for other in range(4)}
    for each in range(4):
        told = asyncio.run(rpc.call(four.url(each), "net_info"))["peers"]
        assert {peer["node_info"]["id"] for peer in told} == known - {peers.name(pubkey(each))}
    stranger.end()
    four.nodes.pop(4)


def test_fake_certificates_do_not_get_in(four: Net) -> None:
    four.grow(2)
    good = four.certificate(1, 3)
    few = replace(good, votes=good.votes[:1])
    strange = replace(good, votes=(*good.votes[:-1], replace(good.votes[-1], signature=sign(50, b"anything"))))
    later = replace(good, height=type(good.height)(good.height + 1000))
    for fake, why in (
        (encode(few), "are needed"),
        (encode(strange), "wrong signature"),
        (encode(later), "do not count"),
        (encode(more(four.nodes[1].inputs()[0].observation)), "no certificate"),
        (b"junk", "no certificate"),
        (b"d" * 20_000, "larger than any certificate"),
    ):
        for name in (0, 3):
            assert why in told(four.url(name), fake)
    four.grow(2)
    assert all(not given.certificates for given in four.nodes[0].inputs())


def told(url: str, transaction: bytes) -> str:
    """What CometBFT says of a transaction that is handed in; empty when it takes it."""
    try:
        return asyncio.run(rpc.broadcast(url, transaction)) or ""
    except rpc.RpcError as error:
        # Larger than CometBFT itself takes.
        return "larger than any certificate" if "too large" in str(error) else str(error)


def test_a_member_that_proposes_lies_is_voted_down(four: Net) -> None:
    four.nodes[3].end(signal.SIGTERM)
    four.start(3, lies=True)
    for name in (0, 1, 2):
        assert "votes against a proposal" in four.nodes[name].says("sees something else on the EVM chain")
    four.grow(3)
    four.agree()
    expect_the_true_rate(four)


def expect_the_true_rate(net: Net) -> None:
    """Whatever was said of it."""
    rates = {given.observation.reward_rate for given in net.nodes[0].inputs()}
    at_first = nothing_new(genesis(net.parameters)).reward_rate
    assert RATE in rates and rates <= {RATE, at_first}


def test_a_node_whose_provider_lies_stops_and_the_others_go_on(four: Net) -> None:
    four.nodes[3].end()
    lied_to = four.start(3, lied_to=True)
    assert "is not what this node sees there" in lied_to.reason()
    four.nodes[3].end()
    four.nodes.pop(3)
    four.grow(2)
    expect_the_true_rate(four)
    # With a better provider it goes on where it stopped.
    four.start(3)
    four.grow(2)
    four.agree()


def test_a_cut_network_stops_and_goes_on_when_it_is_healed(four: Net) -> None:
    sides = ({0, 1}, {2, 3})
    for name, node in four.nodes.items():
        node.cut_off(*sides[name < 2])
    for node in four.nodes.values():
        # What was under way when the last connection ended may still come.
        node.hear(lambda _: False, 2)
    stopped = {name: node.height for name, node in four.nodes.items()}
    for node in four.nodes.values():
        node.hear(lambda _: False, 1)
    assert {name: node.height for name, node in four.nodes.items()} == stopped
    for node in four.nodes.values():
        node.cut_off()
    four.grow(2)
    four.agree()


def test_all_are_killed_and_go_on(four: Net) -> None:
    before = {name: dict(node.states) for name, node in four.nodes.items()}
    with contextlib.ExitStack() as stack:
        engines = [os.pidfd_open(node.states[max(node.states)]["pid"]) for node in four.nodes.values()]
        for engine in engines:
            stack.callback(os.close, engine)
        for node in four.nodes.values():
            node.end()
        # None outlives its node.
        assert all(select.select([engine], [], [], PATIENCE)[0] for engine in engines)
    top = max(max(states) for states in before.values())
    for name in list(four.nodes):
        # One of them keeps no more than it has to.
        four.start(name, **({"retain": 1} if name == 3 else {}))
    four.reach(top + 2)
    four.agree()
    for name, states in before.items():
        for height in set(states) & set(four.nodes[0].states):
            assert states[height]["root"] == four.nodes[0].states[height]["root"], name


def test_what_is_old_is_let_go_of(four: Net) -> None:
    """CometBFT's blocks, and the inputs before the older of two snapshots; what is left is enough to go on from."""
    four.reach(2 * SNAPSHOT_EVERY + 2)

    def earliest(name: int) -> int:
        return int(asyncio.run(rpc.call(four.url(name), "status"))["sync_info"]["earliest_block_height"])

    await_that("blocks are let go of", lambda: earliest(3) > 1)
    assert [earliest(name) for name in range(3)] == [1, 1, 1]
    first = earliest(3)
    for node in four.nodes.values():
        kept = CometStore(node.store, four.parameters)
        snapshots = [height for height, _ in kept.snapshots()]
        heights = sorted(kept.roots())
        kept.close()
        assert len(snapshots) == 2 and heights == list(range(heights[0], heights[-1] + 1))
        # One may have been made between the two looks.
        assert snapshots[-1] < heights[0] <= snapshots[0] + 1
        # Whoever begins at the older snapshot finds all blocks after it.
        assert first <= snapshots[-1] + 1
    four.nodes[3].end()
    four.start(3, retain=1)
    four.grow(2)
    four.agree()


def test_who_votes_twice_loses_seat_and_registration(tmp_path: Path) -> None:
    """Two votes with one key for two blocks, handed to another's CometBFT, which proves them to all."""
    with network(tmp_path, 4, 4, parameters=replace(RULES, day=Blocks(10_000))) as net:
        net.reach(4)
        assert asyncio.run(accused(net, 3))
        for number in range(3):
            net.nodes[number].until(5, committee=3)
        for number in range(3):
            net.nodes[number].end(signal.SIGTERM)
        states = []
        for number in range(3):
            store = CometStore(net.nodes[number].store, net.parameters)
            states.append(store.load(Standing(genesis(net.parameters), ())).state)
            store.close()
            [gone] = states[-1].departed.values()
            assert gone.pubkey == pubkey(3) and gone.leaving == Leaving.DEREGISTERED
            assert any(given.offenders == (pubkey(3),) for given in net.nodes[number].inputs())
        # They go on from their disks, and without it.
        for number in range(3):
            net.start(number)
        net.grow(2, 0, 1, 2)
        net.agree(0, 1, 2)


async def accused(net: Net, number: int) -> str:
    """Hands in the proof that a node voted twice at a height; its hash."""
    height = 2
    header = (await rpc.call(net.url(0), "header", height=str(height)))["header"]
    when = header["time"]
    members = sorted(address(pubkey(other)) for other in range(4))
    votes = []
    for digest in (b"\1" * 32, b"\2" * 32):
        vote = pb.Vote(type=pb.PREVOTE, height=height, round=0)
        vote.block_id.hash = digest
        vote.block_id.part_set_header.total = 1
        vote.block_id.part_set_header.hash = digest
        vote.timestamp.FromJsonString(when)
        message = canonical_vote(vote, header["chain_id"]).SerializeToString()
        own = address(pubkey(number))
        votes.append(
            {
                "type": pb.PREVOTE,
                "height": str(height),
                "round": 0,
                "block_id": {"hash": digest.hex().upper(), "parts": {"total": 1, "hash": digest.hex().upper()}},
                "timestamp": when,
                "validator_address": own.hex().upper(),
                "validator_index": members.index(own),
                "signature": base64.b64encode(sign(number, framing.delimited(message))).decode(),
                "extension": "",
                "extension_signature": "",
            }
        )
    proof = {"vote_a": votes[0], "vote_b": votes[1], "TotalVotingPower": "4", "ValidatorPower": "1", "Timestamp": when}
    evidence = {"type": "tendermint/DuplicateVoteEvidence", "value": proof}
    return str((await rpc.call(net.url(0), "broadcast_evidence", evidence=evidence))["hash"])


def test_a_network_goes_on_without_those_that_are_gone(tmp_path: Path) -> None:
    with network(tmp_path, 4, 4) as net:
        net.reach(6)
        for name in (1, 3):
            net.nodes.pop(name).end()
        # Nothing is decided any more; who is a height behind gets there.
        top = max(node.height for node in net.nodes.values())
        states = {}
        for name, node in net.nodes.items():
            if node.height < top:
                node.until(top)
            node.end(signal.SIGTERM)
            store = CometStore(node.store, net.parameters)
            states[name] = store.load(Standing(genesis(net.parameters), ())).state
            store.close()
        assert states[0].root == states[2].root
        left = tuple(sorted(pubkey(name) for name in net.nodes))
        attempt = next(number for number in range(1, 1000) if drawn_again(states[0], number) == left)
        another = next(number for number in range(1, 1000) if drawn_again(states[0], number) != left)
        right = {
            "time": states[0].time + 1,
            "committee": [key.hex() for key in left],
            "height": states[0].height,
            "root": states[0].root.hex(),
            "attempt": attempt,
        }
        for wrong, why in (({"root": "00" * 32}, "goes on from root"), ({"attempt": another}, "is not the one of")):
            net.beginning = {**right, **wrong}
            refused = net.start(2)
            assert why in refused.reason()
            refused.end()
        net.beginning = right
        for name in list(net.nodes):
            net.start(name)
        net.reach(states[0].height + 3)
        net.agree()


def test_a_late_joiner_begins_at_a_snapshot(four: Net) -> None:
    four.grow(1)
    began = time.monotonic()
    late = four.start(4, sync=[four.url(0), four.url(1)])
    late.says("begins at a snapshot")
    first = late.until(1)
    late.until(first["height"] + 1)
    print(f"\na late joiner follows after {time.monotonic() - began:.1f} s, from height {first['height']}")
    assert first["height"] % SNAPSHOT_EVERY == 0 and not late.states[first["height"]]["votes"]
    four.grow(2)
    assert four.agree() >= 2
    # And it goes on from its own disk.
    late.end()
    late = four.start(4, sync=[four.url(0), four.url(1)])
    again = late.until(first["height"] + 1)
    assert again["height"] > first["height"]
    four.grow(2)
    four.agree()
    # It has no seat, and still goes no further than it sees itself.
    late.end()
    lied_to = four.start(4, sync=[four.url(0), four.url(1)], lied_to=True)
    assert "is not what this node sees there" in lied_to.reason()
    assert not any(said["votes"] for said in (*late.states.values(), *lied_to.states.values()))
    lied_to.end()
    four.nodes.pop(4)


def test_seven_nodes_two_killed_one_voted_out(tmp_path: Path) -> None:
    """Four have seats at first; a day later all have, but for one that was voted out."""
    rules = replace(RULES, day=Blocks(6))
    with network(tmp_path, 7, 4, parameters=rules) as net:
        net.reach(1)
        assert [node.states[max(node.states)]["votes"] for node in net.nodes.values()] == [True] * 4 + [False] * 3
        for name in net.nodes:
            net.nodes[name].until(7, committee=7, votes=True)
        for name in (5, 6):
            net.nodes.pop(name).end()
        net.grow(3)
        certificate = encode(net.certificate(0, 6))
        assert told(net.url(1), certificate) == ""
        for node in net.nodes.values():
            node.until(1, down=1, committee=6)
        net.grow(2)
        assert net.agree() >= 10
        net.start(5)
        net.nodes[5].until(max(net.nodes[0].states), down=1, committee=6)
        net.grow(2)
        net.agree()
