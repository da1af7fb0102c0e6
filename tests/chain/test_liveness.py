"""Nodes that find out by themselves who works: real engines that speak OMQ, in one process."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from allium._native import PROTOCOL_VERSION
from allium.appchain.certificates import Verdict
from allium.appchain.state import State
from allium.appchain.types import Height, Index, L2Height, Reasons, Seconds, Signature
from allium.appchain.verdicts import Judgement
from allium.consensus.solo import Listen, Sequencer
from allium.consensus.store import BlockStore
from allium.devnet import ports
from allium.liveness.ballots import Ballot, cast
from allium.liveness.clocks import Clocks
from allium.liveness.gossip import MAX_MESSAGES, pack
from allium.liveness.proof import SignedProof, Uptime, sign
from allium.liveness.service import TELL, TIME, Liveness, Surroundings
from allium.settings.keys import NodeKeys, generate
from tests.support.appchain_world import RULES, World, pubkey, secret
from tests.support.lone_node import UNASSIGNED, LoneNode
from tests.support.solo_process import FileChain, append

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
            # It may not know the network yet, and refuse.
            while (answer := await sender.ask(first, TIME))[0] is None or answer[0][0] != b"200":
                assert "not signed" not in (answer[1] or "")
        skew = int(answer[0][1]) / 1000 - first.liveness.now()
        assert abs(skew) < 5
        good = sign(net.uptime(6), secret(6))
        strange = net.uptime(2)
        forged: list[SignedProof] = [
            replace(good, signature=Signature(bytes(64))),
            sign(net.uptime(3), secret(6)),
            sign(net.uptime(6, later=-301), secret(6)),
            # Whole seconds of a clock that goes on until it arrives: one more than is allowed may be none by then.
            sign(net.uptime(6, later=301 + PATIENCE), secret(6)),
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
