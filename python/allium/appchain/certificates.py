"""Verdicts on nodes: what the nodes drawn to test say of one that they tested, when enough of them say it.

Votes are those of `spec/appchain` §4.4 with Ed25519 signatures, which also say for which chain and why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import pairwise

from nacl import bindings
from nacl.exceptions import BadSignatureError

from allium.appchain.encoding import encode
from allium.appchain.keccak import keccak_256
from allium.appchain.mt19937 import obligations_quorum
from allium.appchain.parameters import Parameters
from allium.appchain.types import Hash, Height, Index, PublicKey, Reasons, Signature

#: Says of each (key, message, signature) whether it holds. All that may be given say what `one_by_one` says.
Verifier = Callable[[Sequence[tuple[bytes, bytes, bytes]]], Sequence[bool]]


class Verdict(IntEnum):
    """What becomes of a node."""

    DEREGISTER = 0
    DECOMMISSION = 1
    RECOMMISSION = 2
    #: It proved two addresses: noted, and nothing else.
    IP_CHANGE = 3


@dataclass(frozen=True)
class Vote:
    """One tester's signature."""

    #: Among the testers.
    validator: Index
    #: Why; 0 for verdicts that need no reason.
    reasons: Reasons
    #: Over `vote_message`.
    signature: Signature


@dataclass(frozen=True)
class Certificate:
    """A verdict with the votes that make it one."""

    #: At which the testers were drawn.
    height: Height
    #: Among the tested.
    worker: Index
    verdict: Verdict
    #: By ascending validator, nobody twice.
    votes: tuple[Vote, ...]


@dataclass(frozen=True)
class Roster:
    """Who is registered, by key."""

    active: tuple[PublicKey, ...]
    decommissioned: tuple[PublicKey, ...]

    @cached_property
    def digest(self) -> Hash:
        """Of its encoding."""
        return Hash(blake2b(encode(self), digest_size=32, person=b"allium.roster").digest())


@dataclass(frozen=True)
class DrawnQuorum:
    """Who tests whom at one height."""

    validators: tuple[PublicKey, ...]
    workers: tuple[PublicKey, ...]

    @property
    def threshold(self) -> int:
        """How many votes make a certificate: two thirds, so 14 of 20."""
        return -(-2 * len(self.validators) // 3)


@lru_cache(maxsize=128)
def quorum(roster: Roster, beacon: Hash, parameters: Parameters) -> DrawnQuorum:
    """The testers of a height, and whom they test.

    Where that would be fewer than `tested`, the testers are tested too: nobody else may be there to test.
    """
    everybody = roster.active + roster.decommissioned
    validators, workers = obligations_quorum(
        beacon, len(roster.active), len(roster.decommissioned), parameters.testers, parameters.tested
    )
    workers += validators[: max(0, parameters.tested - len(workers))]
    return DrawnQuorum(tuple(everybody[index] for index in validators), tuple(everybody[index] for index in workers))


def vote_hash(height: Height, worker: Index, verdict: Verdict) -> Hash:
    """Keccak-256 of what is voted on."""
    voted = height.to_bytes(8, "little") + worker.to_bytes(4, "little")
    if verdict != Verdict.DEREGISTER:
        voted += verdict.to_bytes(2, "little")
    return Hash(keccak_256(voted))


def vote_message(chain: Hash, height: Height, worker: Index, verdict: Verdict, reasons: Reasons) -> bytes:
    """What a tester signs (66 bytes): the chain, the vote's hash, the reasons (little-endian)."""
    return chain + vote_hash(height, worker, verdict) + reasons.to_bytes(2, "little")


@lru_cache(maxsize=256)
def fault(certificate: Certificate, drawn: DrawnQuorum, chain: Hash, verify: Verifier) -> str | None:
    """What is wrong with the votes; `None` when they make a certificate.

    It is asked when a certificate comes in, is proposed, voted for and decided, and verifies each once.
    """
    votes = certificate.votes
    if certificate.worker >= len(drawn.workers):
        return f"there is no worker {certificate.worker}"
    if len(votes) < drawn.threshold or not votes:
        return f"{len(votes)} votes of {len(drawn.validators)}, {drawn.threshold} are needed"
    if votes[-1].validator >= len(drawn.validators):
        return f"there is no validator {votes[-1].validator}"
    if any(left.validator >= right.validator for left, right in pairwise(votes)):
        return "votes must be ordered by validator, one of each"
    said = certificate.height, certificate.worker, certificate.verdict
    proofs = [(drawn.validators[v.validator], vote_message(chain, *said, v.reasons), v.signature) for v in votes]
    for vote, holds in zip(votes, verify(proofs), strict=True):
        if not holds:
            return f"the vote of validator {vote.validator} has a wrong signature"
    return None


def reasons(votes: Sequence[Vote]) -> tuple[Reasons, Reasons]:
    """What some gave as reasons, and what all did."""
    some, every = 0, 0xFFFF
    for vote in votes:
        some |= vote.reasons
        every &= vote.reasons
    return Reasons(some), Reasons(every)


def one_by_one(proofs: Sequence[tuple[bytes, bytes, bytes]]) -> list[bool]:
    """The plain `Verifier`."""
    return [signed(PublicKey(key), Signature(signature), message) for key, message, signature in proofs]


def signed(key: PublicKey, signature: Signature, message: bytes) -> bool:
    """Whether an Ed25519 signature is right, as libsodium sees it: nodes that judge otherwise would part ways."""
    try:
        bindings.crypto_sign_open(signature + message, key)
    except BadSignatureError:
        return False
    return True
