"""A message between two accounts: padded, signed and sealed, in an envelope (`spec/messages` §1)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from nacl import bindings
from nacl.exceptions import CryptoError

from allium.client.account import Account, account_id_of, account_key
from allium.client.session_pb2 import Content, Envelope, WebSocketMessage

PADDING_BLOCK = 160
_KEY_BYTES = bindings.crypto_sign_PUBLICKEYBYTES
_SIGNATURE_BYTES = bindings.crypto_sign_BYTES
_DETERMINISTIC_KEY = b"SessionBoxEphemeralHashKey"


class EnvelopeError(ValueError):
    """Bytes that are no message for this account. Anyone may store such bytes, so this is no fault of ours."""


@dataclass(frozen=True)
class Opened:
    """A message whose sender is proven."""

    #: Account ID.
    sender: str
    #: Unix milliseconds, by the sender's clock.
    timestamp: int
    content: Content


def seal(sender: Account, recipient: str, content: Content, timestamp: int, *, deterministic: bool = False) -> bytes:
    """The bytes that the recipient's swarm stores. `timestamp` is in Unix milliseconds and goes into both layers.

    `deterministic` derives the ephemeral key from the content, for vectors. `ValueError` for a bad Account ID.
    """
    content = Content.FromString(content.SerializeToString())
    content.sigTimestamp = timestamp
    sealed = seal_to(sender, account_key(recipient), pad(content.SerializeToString()), deterministic=deterministic)
    envelope = Envelope(type=Envelope.SESSION_MESSAGE, timestamp=timestamp, content=sealed)
    message = WebSocketMessage(type=WebSocketMessage.REQUEST)
    message.request.verb = ""
    message.request.path = ""
    message.request.body = envelope.SerializeToString()
    message.request.requestId = 0
    return message.SerializeToString()


def seal_to(sender: Account, recipient_key: bytes, plaintext: bytes, *, deterministic: bool = False) -> bytes:
    """What only the holder of an X25519 key (32 bytes) can open, and knows by it that the sender wrote it."""
    inner = plaintext + sender.ed25519_public + sender.sign(plaintext + sender.ed25519_public + recipient_key)
    return _box_seal(
        inner, recipient_key, _deterministic_seed(sender, recipient_key, plaintext) if deterministic else None
    )


def open_sealed(recipient: Account, data: bytes) -> Opened:
    """The inverse of `seal`; `EnvelopeError` says why the bytes are refused."""
    try:
        envelope = Envelope.FromString(WebSocketMessage.FromString(data).request.body)
    except DecodeError as error:
        raise EnvelopeError("not an envelope") from error
    if envelope.type != Envelope.SESSION_MESSAGE:
        raise EnvelopeError("not a message between two accounts")
    if envelope.timestamp == 0:
        raise EnvelopeError("an envelope without a time")
    sender, padded = open_from(recipient, envelope.content)
    try:
        content = Content.FromString(unpad(padded))
    except DecodeError as error:
        raise EnvelopeError("not a content") from error
    if content.sigTimestamp not in (0, envelope.timestamp):
        raise EnvelopeError("the signed time is not the envelope's")
    if content.dataMessage.syncTarget and sender != recipient.account_id:
        raise EnvelopeError("a copy to self from somebody else")
    return Opened(sender, envelope.timestamp, content)


def pad(content: bytes) -> bytes:
    """0x80, then at least one 0x00, to a multiple of `PADDING_BLOCK`."""
    marked = content + b"\x80"
    return marked + bytes(PADDING_BLOCK - len(marked) % PADDING_BLOCK)


def unpad(padded: bytes) -> bytes:
    """Content without padding of any sender; bytes that are not padded come back as they are."""
    stripped = padded.rstrip(b"\0")
    return stripped[:-1] if stripped.endswith(b"\x80") else padded


def open_from(recipient: Account, sealed: bytes) -> tuple[str, bytes]:
    """The proven sender (Account ID) and the plaintext of `seal_to`; `EnvelopeError` says why the bytes are refused."""
    try:
        inner = bindings.crypto_box_seal_open(sealed, recipient.x25519_public, recipient.x25519_secret)
    except (CryptoError, ValueError, TypeError) as error:
        raise EnvelopeError("not sealed for this account") from error
    if len(inner) < _KEY_BYTES + _SIGNATURE_BYTES:
        raise EnvelopeError("too short to be signed")
    plaintext, trailer = inner[: -_KEY_BYTES - _SIGNATURE_BYTES], inner[-_KEY_BYTES - _SIGNATURE_BYTES :]
    key, signature = trailer[:_KEY_BYTES], trailer[_KEY_BYTES:]
    if not verify(key, signature, plaintext + key + recipient.x25519_public):
        raise EnvelopeError("the sender's signature does not verify")
    try:
        return account_id_of(key), plaintext
    except ValueError as error:
        raise EnvelopeError("the sender's key is unusable") from error


def verify(ed25519_public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature (64 bytes) of `message` is by this key; false for any malformed input."""
    try:
        bindings.crypto_sign_open(signature + message, ed25519_public)
    except (CryptoError, ValueError, TypeError):
        return False
    return True


def _deterministic_seed(sender: Account, recipient_key: bytes, plaintext: bytes) -> bytes:
    return hashlib.blake2b(
        sender.ed25519_secret[:32] + recipient_key + plaintext, digest_size=32, key=_DETERMINISTIC_KEY
    ).digest()


def _box_seal(message: bytes, recipient_key: bytes, seed: bytes | None) -> bytes:
    """A sealed box of libsodium, whose ephemeral key comes from `seed` where one is given."""
    if seed is None:
        try:
            return bindings.crypto_box_seal(message, recipient_key)
        except CryptoError:
            raise ValueError("that Account ID is no key that anything can be sealed for; ask for it again") from None
    ephemeral_public, ephemeral_secret = bindings.crypto_box_seed_keypair(seed)
    nonce = hashlib.blake2b(ephemeral_public + recipient_key, digest_size=bindings.crypto_box_NONCEBYTES).digest()
    return ephemeral_public + bindings.crypto_box(message, nonce, recipient_key, ephemeral_secret)
