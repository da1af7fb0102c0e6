"""CometBFT's signer: the node's key stays in the node, and CometBFT asks for each signature over a socket.

CometBFT listens and the node connects, however often one of them starts anew. Each signature's place in the agreement
is on the disk before the signature leaves (`signstate`), and none goes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

from google.protobuf.message import DecodeError
from nacl import bindings

from allium.base import log
from allium.consensus.cometbft import framing, signstate
from allium.consensus.cometbft import privval_pb2 as pb
from allium.consensus.cometbft.signstate import Point, SignedVote
from allium.errors import ConsensusError

#: Of the socket in CometBFT's directory, from which it is started; in a part of it that nobody else may enter.
SOCKET = Path("config/signer.sock")
#: What CometBFT takes itself.
_MAX_BYTES = 10 << 10
#: CometBFT waits three seconds for its signer.
_RETRY_SECONDS = 0.1

_PROPOSAL_STEP = 1
_STEPS = {pb.PREVOTE: 2, pb.PRECOMMIT: 3}


class SigningError(ValueError):
    """What is not signed; the text says why."""


class VoteSigner:
    """The node's Ed25519 key, and what was signed with it for one chain."""

    def __init__(self, home: Path, secret: bytes, chain_id: str) -> None:
        """`secret` is libsodium's (64 bytes). Raises `ConsensusError` when it is not known what was signed."""
        self._home, self._secret, self._chain_id = home, secret, chain_id
        self._last = signstate.read(home)
        self._logger = log.get("consensus")

    async def run(self) -> None:
        """Signs for CometBFT until cancelled; raises `ConsensusError`."""
        while True:
            try:
                reader, writer = await _dial(self._home / SOCKET)
            except OSError:
                # It is not there yet, or not any more.
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            try:
                while (body := await framing.read(reader, _MAX_BYTES)) is not None:
                    answer = await self.answer(pb.Message.FromString(body))
                    writer.write(framing.delimited(answer.SerializeToString()))
                    await writer.drain()
            except (framing.FramingError, DecodeError, ConnectionError) as error:
                self._logger.error("what CometBFT wants signed is no request", reason=str(error))
            finally:
                writer.close()

    async def answer(self, asked: pb.Message) -> pb.Message:
        """What one request gets; raises `ConsensusError` when the record of what was signed cannot be kept."""
        kind = asked.WhichOneof("sum")
        if kind == "ping_request":
            return pb.Message(ping_response=pb.PingResponse())
        if kind == "pub_key_request":
            return pb.Message(pub_key_response=self._pub_key(asked.pub_key_request))
        if kind == "sign_vote_request":
            vote, wrong = asked.sign_vote_request, None
            try:
                await asyncio.to_thread(self._vote, vote)
            except SigningError as error:
                wrong = self._refusal(error)
            return pb.Message(signed_vote_response=pb.SignedVoteResponse(vote=vote.vote, error=wrong))
        if kind == "sign_proposal_request":
            proposal, wrong = asked.sign_proposal_request, None
            try:
                await asyncio.to_thread(self._proposal, proposal)
            except SigningError as error:
                wrong = self._refusal(error)
            return pb.Message(
                signed_proposal_response=pb.SignedProposalResponse(proposal=proposal.proposal, error=wrong)
            )
        raise DecodeError("a question that its v0.38 line does not have")

    def _refusal(self, why: SigningError) -> pb.RemoteSignerError:
        self._logger.error("not signed for CometBFT", reason=str(why))
        return pb.RemoteSignerError(code=1, description=str(why))

    def _pub_key(self, asked: pb.PubKeyRequest) -> pb.PubKeyResponse:
        key = pb.PublicKey(ed25519=self._secret[32:])
        if asked.chain_id != self._chain_id:
            return pb.PubKeyResponse(pub_key=key, error=self._refusal(_foreign(asked.chain_id)))
        return pb.PubKeyResponse(pub_key=key)

    def _vote(self, asked: pb.SignVoteRequest) -> None:
        vote = asked.vote
        if (step := _STEPS.get(vote.type)) is None:
            raise SigningError(f"a vote of kind {vote.type}")
        wanted = canonical_vote(vote, self._chain_id)
        extended = step == _STEPS[pb.PRECOMMIT] and wanted.HasField("block_id")
        if vote.extension and not extended:
            raise SigningError("an extension to a vote for no block")
        self._sign(asked.chain_id, Point(vote.height, vote.round, step), wanted, vote)
        if extended:
            # It may be another one when the vote is asked for again: nobody is bound by it.
            extension = pb.CanonicalVoteExtension(
                extension=vote.extension, height=vote.height, round=vote.round, chain_id=self._chain_id
            )
            vote.extension_signature = self._signature(_delimited(extension))

    def _proposal(self, asked: pb.SignProposalRequest) -> None:
        proposal = asked.proposal
        wanted = canonical_proposal(proposal, self._chain_id)
        self._sign(asked.chain_id, Point(proposal.height, proposal.round, _PROPOSAL_STEP), wanted, proposal)

    def _sign(
        self,
        chain_id: str,
        point: Point,
        wanted: pb.CanonicalVote | pb.CanonicalProposal,
        filled: pb.Vote | pb.Proposal,
    ) -> None:
        """Fills in the signature, and the time at which the same was signed before."""
        if chain_id != self._chain_id:
            raise _foreign(chain_id)
        last = self._last
        if point < last.point:
            raise SigningError(f"{_named(point)} comes before {_named(last.point)}, which was signed last")
        if point == last.point:
            signed = type(wanted)()
            try:
                signed.ParseFromString(_undelimited(last.message))
            except (DecodeError, framing.FramingError):
                signed.Clear()
            wanted.timestamp.CopyFrom(signed.timestamp)
            if not last.signature or _delimited(wanted) != last.message:
                raise SigningError(f"something else was signed at {_named(point)}")
            filled.timestamp.CopyFrom(signed.timestamp)
            filled.signature = last.signature
            return
        message = _delimited(wanted)
        made = SignedVote(point, message, self._signature(message))
        try:
            signstate.write(self._home, made)
        except OSError as error:
            raise ConsensusError(f"{self._home / signstate.FILE} cannot be written: {error.strerror}") from None
        self._last = made
        filled.signature = made.signature

    def _signature(self, message: bytes) -> bytes:
        return bindings.crypto_sign(message, self._secret)[: bindings.crypto_sign_BYTES]


def canonical_vote(vote: pb.Vote, chain_id: str) -> pb.CanonicalVote:
    """What of a vote is signed."""
    return pb.CanonicalVote(
        type=vote.type,
        height=vote.height,
        round=vote.round,
        block_id=_block(vote.block_id),
        timestamp=vote.timestamp,
        chain_id=chain_id,
    )


def canonical_proposal(proposal: pb.Proposal, chain_id: str) -> pb.CanonicalProposal:
    """What of a proposal is signed."""
    return pb.CanonicalProposal(
        type=pb.PROPOSAL,
        height=proposal.height,
        round=proposal.round,
        pol_round=proposal.pol_round,
        block_id=_block(proposal.block_id),
        timestamp=proposal.timestamp,
        chain_id=chain_id,
    )


def _block(block: pb.BlockID) -> pb.BlockID | None:
    """`None` for no block; else with its parts' header, which is written even when it is empty."""
    header = block.part_set_header
    if not block.hash and not header.total and not header.hash:
        return None
    return pb.BlockID(hash=block.hash, part_set_header=header)


def _delimited(message: pb.CanonicalVote | pb.CanonicalProposal | pb.CanonicalVoteExtension) -> bytes:
    return framing.delimited(message.SerializeToString(deterministic=True))


def _undelimited(message: bytes) -> bytes:
    """Without the length, which is one or two bytes for what is signed."""
    return message[2 if message[:1] and message[0] & 0x80 else 1 :]


def _foreign(chain_id: str) -> SigningError:
    return SigningError(f"it is for the chain {chain_id!r:.80}")


def _named(point: Point) -> str:
    return f"height {point.height}, round {point.round}, step {point.step}"


async def _dial(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    with contextlib.ExitStack() as failed:
        failed.callback(dialled.close)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # A socket's path has at most 107 bytes, and the directory's may be longer.
            await asyncio.get_running_loop().sock_connect(dialled, f"/proc/self/fd/{directory}/{path.name}")
        finally:
            os.close(directory)
        connected = await asyncio.open_unix_connection(sock=dialled)
        failed.pop_all()
        return connected
