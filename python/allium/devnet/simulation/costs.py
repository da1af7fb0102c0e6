"""What a node sends, by what it is for. Bytes are those of the messages, without what TCP, TLS and CURVE add."""

from __future__ import annotations

from enum import StrEnum

from bencode2 import bencode

from allium.appchain.certificates import Certificate, Verdict, Vote
from allium.appchain.encoding import encode
from allium.appchain.input import Input
from allium.appchain.types import AtomicSesh, Hash, Height, Index, L2Height, Reasons, Signature
from allium.consensus.cometbft.sighting import Sighting


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
#: What both ends of a test send for all three transports, handshakes and headers and all: where it passes, and where
#: nobody is there. Measured.
PING_BYTES, FAILED_PING_BYTES = 1000, 1000

_VOTE = Vote(Index(19), Reasons(0xFF), Signature(bytes(64)))
_SIGHTING = Sighting(L2Height(3 * 10**8), Hash(bytes(32)), AtomicSesh(22_983_257_229), Hash(bytes(32)))
_UPTIME = {
    "ip": "203.0.113.7",
    "l2": 300_000_000,
    "lv": [0, 0, 0],
    "pke": bytes(32),
    "q": 22020,
    "shp": 22021,
    "sop": 22020,
    "sv": [2, 12, 0],
    "t": 1_750_000_000,
    "v": [0, 1, 0],
}
#: A proof with its signature, a vote of a tester, and one of a member of the committee, each as it travels.
PROOF_BYTES = 1 + 64 + len(bencode(_UPTIME))
BALLOT_BYTES = 1 + len(encode(Certificate(Height(10**6), Index(999), Verdict.DECOMMISSION, (_VOTE,)))) - len(b"le")
COMMITTEE_VOTE_BYTES = _VOTE_BYTES + 64 + len(encode(_SIGHTING))


def block_bytes(given: Input, members: int) -> int:
    """A block with its commit."""
    return _HEADER_BYTES + members * _COMMIT_SIGNATURE_BYTES + len(encode(given))
