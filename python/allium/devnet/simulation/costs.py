"""What a node sends, by what it is for. Bytes are those of the messages, without what TCP, TLS and CURVE add."""

from __future__ import annotations

from enum import StrEnum

from allium.appchain.certificates import Verdict, Vote
from allium.appchain.encoding import encode
from allium.appchain.input import Input
from allium.appchain.types import AtomicSesh, Hash, Height, Index, L2Height, PublicKey, Reasons, Seconds, Signature
from allium.consensus.cometbft.vote_extension import ObservationDigest
from allium.liveness.ballots import Ballot
from allium.liveness.gossip import pack
from allium.liveness.proof import MINIMUM_NODE, SignedProof, Uptime


class Purpose(StrEnum):
    """What is sent."""

    PROOFS = "proofs"
    VOTES = "votes"
    CERTIFICATES = "certificates"
    PINGS = "pings"
    BLOCKS = "blocks"


#: CometBFT's own upper bounds (types/block.go, types/vote.go): a header, a signature of a commit, a vote.
_HEADER_BYTES, _COMMIT_SIGNATURE_BYTES, _VOTE_BYTES = 626, 109, 209
#: That a vote is known already, told to each neighbour.
HAS_VOTE_BYTES = 20
#: Of what a block travels in.
PART_BYTES = 64 << 10
#: What both ends of a test of whether a node is reached send for all three transports, handshakes and headers and all,
#: measured between two nodes alone on a loopback interface. One that fails is taken for as much.
PING_BYTES = 13_800

_VOTE = Vote(Index(19), Reasons(0xFF), Signature(bytes(64)))
_SIGHTING = ObservationDigest(L2Height(3 * 10**8), Hash(bytes(32)), AtomicSesh(22_983_257_229), Hash(bytes(32)))
_UPTIME = Uptime(
    pubkey=PublicKey(bytes(32)),
    time=Seconds(1_750_000_000),
    ip="203.0.113.7",
    https_port=22021,
    omq_port=22020,
    l2_height=L2Height(3 * 10**8),
    storage=(2, 12, 0),
    node=MINIMUM_NODE,
)
#: A proof, a vote of a tester, and one of a member of the committee, each as it travels.
PROOF_BYTES = len(pack(SignedProof(_UPTIME.encoded, Signature(bytes(64)))))
BALLOT_BYTES = len(pack(Ballot(Height(10**6), Index(999), Verdict.DECOMMISSION, _VOTE)))
COMMITTEE_VOTE_BYTES = _VOTE_BYTES + 64 + len(encode(_SIGHTING))


def block_bytes(given: Input, members: int) -> int:
    """A block with its commit."""
    return _HEADER_BYTES + members * _COMMIT_SIGNATURE_BYTES + len(encode(given))
