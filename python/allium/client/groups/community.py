"""A post in a community: in the clear, signed by its author (`spec/groups` §9.4, `spec/messages` §11).

Posts are a padded Content today and are to be Envelopes one day; both are read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from google.protobuf.message import DecodeError

from allium.client import crypto, curve
from allium.client.account import Account
from allium.client.configs import ids
from allium.client.envelope import pad, unpad
from allium.client.groups import blinding
from allium.client.messages.decoding import MessageError, decode
from allium.client.messages.encoding import content_of
from allium.client.messages.kinds import Letter, Reaction, Text
from allium.client.session_pb2 import Content, Envelope

#: How far a post's signed time may be off the server's.
MAX_SKEW_MS = 6 * 3_600_000
_SIGN = 0x80


class Author(Protocol):
    """Who signs posts: a `BlindedKey`, or an account on a server without blinding."""

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""


@dataclass(frozen=True)
class Post:
    """What is sent to a room, `data` and `signature` as base64."""

    data: bytes
    signature: bytes


@dataclass(frozen=True)
class PostReceived:
    """A post whose author is proven."""

    #: 15, 25 or 05, and 64 digits.
    author: str
    letter: Letter
    #: What the author's signature of Session Pro is over, and that signature.
    signed: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)


def write(author: Author, letter: Letter, rotating_secret: bytes | None = None) -> Post:
    """The post of a letter; `rotating_secret` (64 bytes) signs for Session Pro. `ValueError` for what is no post."""
    if not isinstance(letter.message, Text | Reaction):
        raise ValueError("rooms know no such message")
    content = content_of(letter)
    if rotating_secret is not None:
        signed = content.SerializeToString(deterministic=True)
        content.proSigForCommunityMessageOnly = crypto.sign(rotating_secret, signed)
    data = pad(content.SerializeToString(deterministic=True))
    return Post(data, author.sign(data))


def read(author: str, data: bytes, signature: bytes, posted: int) -> PostReceived:
    """The post of an author (its id on that server); `posted` is the server's time in Unix milliseconds.

    `MessageError` says why it is refused.
    """
    if not is_signed(author, data, signature):
        raise MessageError("the author's signature does not verify")
    letter, signed, pro_signature = _letter(unpad(data))
    if abs(letter.timestamp - posted) > MAX_SKEW_MS:
        raise MessageError("a signed time that is far from the server's")
    if letter.sync_target:
        raise MessageError("a copy to oneself in a room")
    return PostReceived(author.lower(), letter, signed, pro_signature)


def is_signed(author: str, data: bytes, signature: bytes) -> bool:
    """Whether a post is by a blinded id, or by an Account ID on a server without blinding; false for bad input."""
    if author.startswith(ids.BLINDED):
        return blinding.verify(author, signature, data)
    try:
        point = curve.point_of(ids.packed(author, ids.ACCOUNT)[1:])
    except ValueError:
        return False
    if len(signature) != crypto.SIGNATURE_BYTES:
        return False
    # XEd25519: of the two points with this X25519 key, the signature's top bit says which.
    point = curve.flipped(point) if signature[63] & _SIGN else point
    return crypto.verify(point, signature[:63] + bytes([signature[63] & ~_SIGN]), data)


def sign_unblinded(account: Account, data: bytes) -> bytes:
    """XEd25519: a signature that verifies against the Account ID, for servers without blinding."""
    signature = bytearray(account.sign(data))
    signature[63] |= account.ed25519_public[31] & _SIGN
    return bytes(signature)


def _letter(data: bytes) -> tuple[Letter, bytes, bytes]:
    """The letter of a Content or an Envelope, what Session Pro signed of it, and that signature."""
    try:
        letter = decode(data, 0)
    except MessageError as error:
        try:
            envelope = Envelope.FromString(data)
        except DecodeError:
            raise error from None
        return decode(unpad(envelope.content), envelope.timestamp), envelope.content, envelope.proSig
    content = Content.FromString(data)
    signature = content.proSigForCommunityMessageOnly
    content.ClearField("proSigForCommunityMessageOnly")
    return letter, content.SerializeToString(deterministic=True), signature
