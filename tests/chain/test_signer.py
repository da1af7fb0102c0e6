"""The node as CometBFT's signer, over its socket: what is signed, what is not signed twice, and what is on the disk."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nacl import bindings

from allium.consensus.cometbft import framing, signstate
from allium.consensus.cometbft import privval_pb2 as pb
from allium.consensus.cometbft.signer import SOCKET, VoteSigner
from allium.errors import ConsensusError
from tests.support.appchain_world import pubkey, secret

CHAIN = "allium-test"
BLOCK = pb.BlockID(hash=b"\1" * 32, part_set_header=pb.PartSetHeader(total=1, hash=b"\2" * 32))
OTHER = pb.BlockID(hash=b"\3" * 32, part_set_header=pb.PartSetHeader(total=1, hash=b"\2" * 32))
PATIENCE = 30.0


class CometBFT:
    """The asking side of the socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def close(self) -> None:
        self._writer.close()

    async def ask(self, question: pb.Message) -> pb.Message:
        self._writer.write(framing.delimited(question.SerializeToString()))
        answer = await asyncio.wait_for(framing.read(self._reader, 1 << 20), PATIENCE)
        assert answer is not None
        return pb.Message.FromString(answer)

    async def vote(self, vote: pb.Vote, chain: str = CHAIN) -> pb.SignedVoteResponse:
        asked = pb.Message(sign_vote_request=pb.SignVoteRequest(vote=vote, chain_id=chain))
        return (await self.ask(asked)).signed_vote_response

    async def propose(self, proposal: pb.Proposal) -> pb.SignedProposalResponse:
        asked = pb.Message(sign_proposal_request=pb.SignProposalRequest(proposal=proposal, chain_id=CHAIN))
        return (await self.ask(asked)).signed_proposal_response


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in ("config", "data"):
        # Longer than a socket's path may be.
        (tmp_path / ("d" * 120) / name).mkdir(parents=True)
    signstate.write(tmp_path / ("d" * 120), signstate.SignedVote())
    return tmp_path / ("d" * 120)


@contextlib.asynccontextmanager
async def signing(home: Path) -> AsyncIterator[tuple[CometBFT, asyncio.Task[None]]]:
    """A signer that has just started, asked by a CometBFT that began before it."""
    connected: asyncio.Queue[CometBFT] = asyncio.Queue()
    made: list[CometBFT] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.append(CometBFT(reader, writer))
        connected.put_nowait(made[-1])

    with contextlib.chdir(home / "config"):
        server = await asyncio.start_unix_server(accept, SOCKET.name)
    task = asyncio.create_task(VoteSigner(home, secret(1), CHAIN).run())
    comet = await asyncio.wait_for(connected.get(), PATIENCE)
    try:
        yield comet, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.close()
        for each in made:
            each.close()


def precommit(height: int, block: pb.BlockID = BLOCK, seconds: int = 1_750_000_000, extension: bytes = b"e") -> pb.Vote:
    vote = pb.Vote(type=pb.PRECOMMIT, height=height, round=2, block_id=block, validator_index=3, extension=extension)
    vote.timestamp.seconds = seconds
    return vote


def holds(signature: bytes, message: bytes) -> bool:
    return bindings.crypto_sign_open(signature + message, pubkey(1)) == message


async def test_nothing_is_signed_twice_whoever_starts_anew(home: Path) -> None:
    async with signing(home) as (comet, _):
        ping = await comet.ask(pb.Message(ping_request=pb.PingRequest()))
        assert ping.HasField("ping_response")
        told = (await comet.ask(pb.Message(pub_key_request=pb.PubKeyRequest(chain_id=CHAIN)))).pub_key_response
        assert told.pub_key.ed25519 == pubkey(1) and not told.HasField("error")
        first = await comet.vote(precommit(7))
        assert not first.HasField("error") and first.vote.validator_index == 3
        # As CometBFT has it (v0.38), each field where its canonical vote has it.
        name = b"allium-test".hex()
        block = "0a 20" + "01" * 32 + "12 24 08 01 12 20" + "02" * 32
        place = "0700000000000000 19 0200000000000000"
        signed = bytes.fromhex(f"08 02 11 {place} 22 48 {block} 2a 06 08 80 c3 bb c2 06 32 0b {name}")
        assert holds(first.vote.signature, framing.delimited(signed))
        extended = bytes.fromhex(f"0a 01 65 11 {place} 22 0b {name}")
        assert holds(first.vote.extension_signature, framing.delimited(extended))
    async with signing(home) as (comet, _):
        again = await comet.vote(precommit(7, seconds=1_750_000_009, extension=b"another"))
        assert again.vote.signature == first.vote.signature and again.vote.timestamp == first.vote.timestamp
        assert again.vote.extension_signature != first.vote.extension_signature
        prevote = pb.Vote(type=pb.PREVOTE, height=7, round=2, block_id=OTHER)
        proposal = pb.Proposal(type=pb.PROPOSAL, height=7, round=2, block_id=OTHER)
        for wrong in (precommit(7, OTHER), precommit(7, pb.BlockID(), extension=b""), precommit(6), prevote):
            refused = await comet.vote(wrong)
            assert refused.HasField("error") and not refused.vote.signature and not refused.vote.extension_signature
        assert "comes before" in (await comet.propose(proposal)).error.description
        proposal.round = 3
        made = await comet.propose(proposal)
        assert made.proposal.signature and not made.HasField("error")
        proposal.block_id.CopyFrom(BLOCK)
        assert "something else was signed" in (await comet.propose(proposal)).error.description
        later = await comet.vote(precommit(8))
        assert later.vote.signature


async def test_what_is_of_another_chain_or_no_vote_is_not_signed(home: Path) -> None:
    async with signing(home) as (comet, _):
        assert (await comet.vote(precommit(1), chain="allium-other")).HasField("error")
        asked = pb.Message(pub_key_request=pb.PubKeyRequest(chain_id="allium-other"))
        assert (await comet.ask(asked)).pub_key_response.HasField("error")
        assert (await comet.vote(pb.Vote(type=pb.UNKNOWN, height=1))).HasField("error")
        assert (await comet.vote(precommit(1, pb.BlockID()))).HasField("error")
        assert signstate.read(home).point == signstate.Point()


async def test_without_a_record_nothing_is_signed(home: Path) -> None:
    async with signing(home) as (comet, task):
        # No room for it: what cannot be put down is not given away either.
        (home / "data").rename(home / "gone")
        asked = asyncio.create_task(comet.vote(precommit(1)))
        with pytest.raises(ConsensusError, match="cannot be written"):
            await asyncio.wait_for(task, PATIENCE)
        with pytest.raises(AssertionError):
            await asked
    with pytest.raises(ConsensusError, match="the node could sign twice"):
        VoteSigner(home, secret(1), CHAIN)
    (home / "data").mkdir()
    for damaged in ("", "{}", "[]", json.dumps({"height": "1", "round": 0, "step": 0, "signature": "?"})):
        (home / signstate.FILE).write_text(damaged)
        with pytest.raises(ConsensusError, match="the node could sign twice"):
            VoteSigner(home, secret(1), CHAIN)


async def test_a_signer_goes_on_after_whatever_its_socket_says(home: Path) -> None:
    async with signing(home) as (comet, _):
        comet._writer.write(b"\xff" * 64)
        assert await asyncio.wait_for(comet._reader.read(), PATIENCE) == b""
    async with signing(home) as (comet, _):
        assert (await comet.vote(precommit(1))).vote.signature
