"""A message to a group as it is stored: signed by its sender, encrypted for all members (`spec/groups` §5)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from allium.client import bencode, crypto
from allium.client.account import Account, account_id_of
from allium.client.bencode import Value
from allium.client.configs import codec
from allium.client.configs.message import ConfigError
from allium.client.groups.identity import GroupIdentity
from allium.client.messages import pro
from allium.client.messages.decoding import MessageError, decode
from allium.client.messages.encoding import encode
from allium.client.messages.kinds import Letter
from allium.client.session_pb2 import Envelope

NAMESPACE = 11
MAX_PLAINTEXT = 1_000_000
MAX_STORED = 76_800
_OVERHEAD = crypto.NONCE_BYTES + crypto.TAG_BYTES
_BUCKET = 256
_VERSION = 1


class NoKeyError(MessageError):
    """A message under a key that we do not have, or not yet."""


@dataclass(frozen=True)
class GroupReceived:
    """A letter to a group, whose sender is proven."""

    #: Account ID; that it is a member's, the caller knows.
    sender: str
    letter: Letter
    #: What the sender's signature of Session Pro is over, and that signature.
    signed: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)


def seal(
    sender: Account, group: GroupIdentity, key: bytes, letter: Letter, rotating_secret: bytes | None = None
) -> bytes:
    """What is stored in namespace 11 of the group, under its current key; `ValueError` if it is too large."""
    content = encode(letter)
    envelope = Envelope(type=Envelope.CLOSED_GROUP_MESSAGE, timestamp=letter.timestamp, sourceDevice=1, content=content)
    envelope.proSig = crypto.sign(rotating_secret, content) if rotating_secret else pro.decoy()
    return encrypt(sender, group, key, envelope.SerializeToString(), secrets.token_bytes(crypto.NONCE_BYTES))


def encrypt(sender: Account, group: GroupIdentity, key: bytes, plaintext: bytes, nonce: bytes) -> bytes:
    """The same for any plaintext; the nonce (24 bytes) must never be used twice."""
    if len(plaintext) > MAX_PLAINTEXT:
        raise ValueError("too large for a message to a group")
    compressed = codec.compress(plaintext)
    shorter = len(compressed) < len(plaintext)
    name, body = (b"z", compressed) if shorter else (b"d", plaintext)
    signature = sender.sign(body + group.public)
    inner = bencode.encode({b"": _VERSION, b"a": sender.ed25519_public, name: body, b"s": signature})
    padded = inner + bytes(-(len(inner) + _OVERHEAD) % _BUCKET)
    stored = nonce + crypto.encrypt(padded, nonce, key)
    if len(stored) > MAX_STORED:
        raise ValueError("too large for a message to a group")
    return stored


def open_letter(group: GroupIdentity, keys: Sequence[bytes], data: bytes) -> GroupReceived:
    """The inverse of `seal`; the keys are tried in their order. `MessageError` says why the bytes are refused."""
    sender, plaintext = decrypt(group, keys, data)
    try:
        envelope = Envelope.FromString(plaintext)
    except DecodeError:
        raise MessageError("not an envelope") from None
    if envelope.timestamp == 0:
        raise MessageError("an envelope without a time")
    letter = decode(envelope.content, envelope.timestamp)
    if letter.sync_target:
        raise MessageError("a copy to oneself in a group")
    return GroupReceived(sender, letter, envelope.content, envelope.proSig)


def decrypt(group: GroupIdentity, keys: Sequence[bytes], data: bytes) -> tuple[str, bytes]:
    """The proven sender (Account ID) and the plaintext."""
    nonce, ciphertext = data[: crypto.NONCE_BYTES], data[crypto.NONCE_BYTES :]
    opened = (crypto.decrypt(ciphertext, nonce, key) for key in keys)
    padded = next((each for each in opened if each is not None), None)
    if padded is None:
        raise NoKeyError("no key opens it")
    try:
        inner = bencode.decode_dict(padded.rstrip(b"\0"))
    except bencode.BencodeError:
        raise MessageError("not a group's message") from None
    version, author, signature = inner.get(b""), inner.get(b"a"), inner.get(b"s")
    if version != _VERSION:
        raise MessageError("a group's message of another version")
    body = inner.get(b"d", inner.get(b"z"))
    if not isinstance(author, bytes) or not isinstance(signature, bytes) or not isinstance(body, bytes):
        raise MessageError("a group's message without its parts")
    if not crypto.verify(author, signature, body + group.public):
        raise MessageError("the sender's signature does not verify")
    try:
        return account_id_of(author), _plain(inner, body)
    except ValueError as error:
        raise MessageError(str(error)) from None


def _plain(inner: dict[bytes, Value], body: bytes) -> bytes:
    if b"d" in inner:
        return body
    try:
        return codec.decompress(body, MAX_PLAINTEXT)
    except ConfigError as error:
        raise MessageError(str(error)) from None
