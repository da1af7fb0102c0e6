"""The signature that each envelope has: of Session Pro, or a decoy that looks like one (`spec/messages` §9, §10)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import Enum

from nacl import bindings

from allium.client import crypto
from allium.client.session_pb2 import ProMessage, ProProof

#: The Ed25519 key of who makes proofs for the official clients.
BACKEND = bytes.fromhex("479ffca8bcec7b4a0f0f7afe48b8a6d15635a8c7ff15ad16add05752c19414d4")
_PROOF_DOMAIN = b"ProProof_v0_____"
#: Above this a time is in milliseconds: a proof of the older form, whose signature is another.
_LAST_SECOND = 10**12
LONG_TEXT = 1 << 0
BADGE, ANIMATED_PICTURE = 1 << 0, 1 << 1


class ProStatus(Enum):
    """What a receiver makes of a message that claims Session Pro. The message is shown in any case."""

    NONE = "none"
    VALID = "valid"
    EXPIRED = "expired"
    BAD_PROOF = "the backend's signature is not good"
    BAD_SIGNATURE = "the sender's signature is not good"
    UNKNOWN = "a proof of another version"


@dataclass(frozen=True)
class Proof:
    """A proof of Session Pro as it is in messages."""

    #: 32 bytes each.
    revocation_tag: bytes
    rotating_key: bytes
    #: Unix seconds.
    expiry: int
    #: By the backend, 64 bytes.
    signature: bytes

    @property
    def signed(self) -> bytes:
        """What the backend signs."""
        return _PROOF_DOMAIN + self.revocation_tag + self.rotating_key + str(self.expiry).encode()


def decoy() -> bytes:
    """64 bytes that nobody can tell from a signature: a point of the curve, and a scalar."""
    point = bindings.crypto_scalarmult_ed25519_base_noclamp(_random_scalar())
    return point + _random_scalar()


def _random_scalar() -> bytes:
    return bindings.crypto_core_ed25519_scalar_reduce(secrets.token_bytes(64))


def pro_message(proof: Proof, profile_features: int = 0, message_features: int = 0) -> bytes:
    """The ProMessage that a letter carries."""
    message = ProMessage(profileBitset=profile_features, msgBitset=message_features)
    message.proof.revocationTag = proof.revocation_tag
    message.proof.rotatingPublicKey = proof.rotating_key
    message.proof.expiryUnixTs = proof.expiry
    message.proof.sig = proof.signature
    return message.SerializeToString(deterministic=True)


def status(pro: bytes, signature: bytes, signed: bytes, sent: int, backend: bytes) -> ProStatus:
    """Of a letter's `pro` and its envelope's `signature` over `signed`, its content as it was sent.

    `sent` is in Unix milliseconds, `backend` the Ed25519 key of who makes proofs.
    """
    if not pro:
        return ProStatus.NONE
    proof = ProMessage.FromString(pro).proof
    if not _is_known(proof):
        return ProStatus.UNKNOWN
    known = Proof(proof.revocationTag, proof.rotatingPublicKey, proof.expiryUnixTs, proof.sig)
    if not crypto.verify(backend, known.signature, known.signed):
        return ProStatus.BAD_PROOF
    if not crypto.verify(known.rotating_key, signature, signed):
        return ProStatus.BAD_SIGNATURE
    return ProStatus.VALID if known.expiry * 1000 > sent else ProStatus.EXPIRED


def features(pro: bytes) -> tuple[int, int]:
    """Of the profile, and of the message: bits that count where `status` is valid."""
    claimed = ProMessage.FromString(pro)
    return claimed.profileBitset, claimed.msgBitset


def _is_known(proof: ProProof) -> bool:
    sizes = len(proof.revocationTag), len(proof.rotatingPublicKey), len(proof.sig)
    return sizes == (32, 32, 64) and not proof.HasField("version") and 0 < proof.expiryUnixTs <= _LAST_SECOND
