"""What a member of the committee votes for and says of the EVM chain, asked as CometBFT asks it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allium.appchain.certificates import Verdict
from allium.appchain.encoding import encode
from allium.appchain.events import Position, RequirementChange
from allium.appchain.input import Observation
from allium.appchain.nodes import Leaving
from allium.appchain.state import genesis
from allium.appchain.types import AtomicSesh, ContractId, Hash, Height, Index, L2Height
from allium.consensus.cometbft import abci_pb2 as abci
from allium.consensus.cometbft import application as module
from allium.consensus.cometbft import vote_extension
from allium.consensus.cometbft.application import Application
from allium.consensus.cometbft.committee import address, digest
from allium.consensus.cometbft.peers import Peers
from allium.consensus.cometbft.store import CometBFTStore, Standing
from tests.support.appchain_world import RULES, World, pubkey
from tests.support.solo_process import FileChain, append

MEMBERS = 7
PATIENCE = 30.0
ACCEPTED, REJECTED = abci.ResponseProcessProposal.ACCEPT, abci.ResponseProcessProposal.REJECT


class Member:
    """One, whose EVM chain is a file; the world is what that says and nobody has proposed yet."""

    def __init__(self, application: Application, world: World, chain: Path) -> None:
        self.application, self.world, self._chain = application, world, chain

    def seen(self) -> Observation:
        """Something new on the EVM chain."""
        seen = self.world.input().observation
        append(self._chain, seen)
        return seen

    async def votes(self, *transactions: bytes) -> int:
        """Whether it votes for these."""
        asked = abci.RequestProcessProposal(txs=transactions, height=self.world.state.height + 1)
        asked.time.seconds = 1_750_000_000
        answer = await self.application.answer(abci.Request(process_proposal=asked))
        return answer.process_proposal.status

    async def decides(self, *transactions: bytes, offenders: tuple[bytes, ...] = ()) -> None:
        """The same was decided, in a block that proves that others voted twice."""
        proven = [abci.Misbehavior(validator=abci.Validator(address=address(key)), height=1) for key in offenders]
        asked = abci.RequestFinalizeBlock(
            txs=transactions, height=self.world.state.height + 1, misbehavior=proven + proven
        )
        asked.time.seconds = 1_750_000_000
        asked.next_validators_hash = committee_digest(self.application)
        await self.application.answer(abci.Request(finalize_block=asked))
        await self.application.answer(abci.Request(commit=abci.RequestCommit()))
        self.world.state = self.application.states.last
        self.world._pending = []

    async def extension(self, *transactions: bytes) -> bytes:
        """What it says with its vote for these."""
        asked = abci.RequestExtendVote(txs=transactions, height=self.world.state.height + 1)
        answer = await self.application.answer(abci.Request(extend_vote=asked))
        return answer.extend_vote.vote_extension

    async def lets_pass(self, extension: bytes) -> bool:
        """Whether another's vote with this counts."""
        asked = abci.RequestVerifyVoteExtension(height=1, vote_extension=extension)
        answer = await self.application.answer(abci.Request(verify_vote_extension=asked))
        return answer.verify_vote_extension.status == abci.ResponseVerifyVoteExtension.ACCEPT


def committee_digest(application: Application) -> bytes:
    return digest(application.committee)


@contextlib.asynccontextmanager
async def member(directory: Path, sees: bool = True) -> AsyncIterator[Member]:
    world, chain = World(RULES), directory / "chain"
    chain.touch()
    for name in range(MEMBERS):
        world.register(name)
    with contextlib.closing(CometBFTStore(directory / "store", RULES)) as store:
        standing = Standing(genesis(RULES), tuple(sorted(map(pubkey, range(MEMBERS)))))
        source = FileChain(chain) if sees else None
        application = Application(
            store, standing, Height(0), source, Peers(), patience=0.3, snapshot_every=10, retain=100
        )
        yield Member(application, world, chain)


def beyond(seen: Observation) -> Observation:
    return replace(seen, l2_height=L2Height(seen.l2_height + 1))


def with_another_event(seen: Observation) -> Observation:
    last = seen.events[-1]
    assert not isinstance(last, RequirementChange)
    return replace(seen, events=(*seen.events[:-1], replace(last, contract_id=ContractId(99))))


LIES: dict[str, Callable[[Observation], Observation]] = {
    "another rate": lambda seen: replace(seen, reward_rate=AtomicSesh(seen.reward_rate + 1)),
    "another block": lambda seen: replace(seen, l2_hash=Hash(bytes(32))),
    "an event less": lambda seen: replace(seen, events=seen.events[:-1]),
    "no event": lambda seen: replace(seen, events=()),
    "an event more": lambda seen: replace(
        seen, events=(*seen.events, RequirementChange(Position(seen.l2_height, Index(9999)), AtomicSesh(1)))
    ),
    "another event": with_another_event,
    "a height to come": beyond,
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_member_votes_for_what_it_sees_itself_and_nothing_else(tmp_path: Path, lie: str) -> None:
    async with member(tmp_path) as one:
        seen = one.seen()
        assert await one.votes(encode(LIES[lie](seen))) == REJECTED
        assert await one.votes(encode(seen)) == ACCEPTED
        # The same once more, when it is not the beginning any more.
        await one.decides(encode(seen))
        assert len(one.world.state.nodes) == MEMBERS
        one.world.register(MEMBERS)
        seen = one.seen()
        assert await one.votes(encode(LIES[lie](seen))) == REJECTED
        assert await one.votes(encode(seen)) == ACCEPTED
        assert await one.votes(encode(vote_extension.nothing_new(one.world.state))) == ACCEPTED
        assert not one.application.fatal.done()


async def test_a_member_votes_for_no_block_that_is_none(tmp_path: Path) -> None:
    async with member(tmp_path) as one:
        first = encode(one.seen())
        await one.decides(first)
        await one.decides(encode(one.seen()))
        good = encode(one.world.certificate(one.world.worker(), Verdict.DECOMMISSION))
        next_one = encode(one.seen())
        assert await one.votes(next_one, good) == ACCEPTED
        few = one.world.certificate(one.world.worker(), Verdict.DECOMMISSION, votes=2)
        for transactions in (
            (),
            (b"",),
            (good,),
            (next_one, b"junk"),
            (next_one, encode(few)),
            (next_one, good, good),
            (next_one, next_one),
            (first,),
        ):
            assert await one.votes(*transactions) == REJECTED


async def test_who_voted_twice_is_taken_out_and_has_no_seat(tmp_path: Path) -> None:
    """Of those that are registered and of those that only have a seat; who is unknown by now changes nothing."""
    async with member(tmp_path) as one:
        await one.decides(encode(one.seen()))
        other = pubkey(99)
        one.application._standing = replace(
            one.application._standing, committee=tuple(sorted((*one.application.committee, other)))
        )
        before = one.application.committee
        await one.decides(encode(one.seen()), offenders=(pubkey(2), other, pubkey(50)))
        assert set(before) - set(one.application.committee) == {pubkey(2), other}
        state = one.application.states.last
        assert [(gone.pubkey, gone.leaving) for gone in state.departed.values()] == [(pubkey(2), Leaving.DEREGISTERED)]
        await one.decides(encode(one.seen()), offenders=(pubkey(2),))
    # What was decided is found again from the disk.
    with contextlib.closing(CometBFTStore(tmp_path / "store", RULES)) as store:
        assert [pubkey(2)] == [gone.pubkey for gone in store.load(Standing(genesis(RULES), ())).state.departed.values()]


async def test_no_height_waits_for_an_own_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was put in unseen waits to be looked at again; of too much the oldest is given up, and said."""
    monkeypatch.setattr(module, "_MAX_UNSEEN", 2)
    async with member(tmp_path) as one:
        said = []
        for _ in range(4):
            seen = one.world.input().observation
            said.append((one.world.state.l2_height, seen))
            async with asyncio.timeout(PATIENCE):
                await one.decides(encode(seen))
        unseen = one.application.unseen
        assert [unseen.get_nowait() for _ in range(unseen.qsize())] == said[-2:]


async def test_who_sees_nothing_votes_for_nothing_new(tmp_path: Path) -> None:
    async with member(tmp_path, sees=False) as blind:
        assert await blind.votes(encode(blind.seen())) == REJECTED
        assert await blind.votes(encode(vote_extension.nothing_new(blind.world.state))) == ACCEPTED
        assert await blind.extension(encode(vote_extension.nothing_new(blind.world.state))) == b""


async def test_what_a_vote_says_beside_itself(tmp_path: Path) -> None:
    """The height, the block, a digest of the events and the rate, of what comes after the block that is voted for."""
    async with member(tmp_path) as one:
        nothing = encode(vote_extension.nothing_new(one.world.state))
        assert await one.extension(nothing) == b"", "there is nothing to be seen yet"
        seen = one.seen()
        said = await one.extension(nothing)
        assert vote_extension.parse(said) == vote_extension.of(seen) and await one.lets_pass(said)
        told = vote_extension.parse(said)
        assert told is not None
        assert (told.l2_height, told.l2_hash, told.reward_rate) == (seen.l2_height, seen.l2_hash, seen.reward_rate)
        for other in ("no event", "an event less", "another event"):
            assert vote_extension.of(LIES[other](seen)) != told
        assert await one.lets_pass(b"")
        for forged in (
            b"junk",
            said[:-1],
            said + b"e",
            b"l" * 200,
            encode(replace(told, reward_rate=AtomicSesh(2**60))),
        ):
            assert not await one.lets_pass(forged)


@given(
    honest=st.lists(st.integers(100, 110), min_size=5, max_size=60),
    lies=st.lists(st.none() | st.integers(0, 2**40), max_size=30),
)
def test_less_than_a_third_moves_nobody(honest: list[int], lies: list[int | None]) -> None:
    """What is taken is no higher than what somebody honest has seen, and nothing else than what he has seen there."""
    lies = lies[: (len(honest) - 1) // 2]

    def at(height: int, true: bool) -> Observation:
        return Observation(L2Height(height), Hash(bytes(32) if true else b"\1" * 32), AtomicSesh(5), ())

    said = [vote_extension.of(at(height, True)) for height in honest]
    said += [None if height is None else vote_extension.of(at(height, False)) for height in lies]  # type: ignore[misc]
    votes = [vote_extension.ObservationVote(1, each) for each in said]
    height = vote_extension.highest(votes)
    assert height is None or height <= max(honest)
    # Who sees further says nothing of this height; who does not, or something else, is not counted for it.
    assert not vote_extension.is_supported(votes, at(max(honest), False))
    seen = sum(height >= min(honest) for height in honest)
    assert vote_extension.is_supported(votes, at(min(honest), True)) or 3 * seen <= 2 * len(votes)
    if not lies:
        assert height is not None and height in honest and vote_extension.is_supported(votes, at(height, True))
        assert 3 * sum(each >= height for each in honest) > 2 * len(honest)
        assert 3 * sum(each > height for each in honest) <= 2 * len(honest)
