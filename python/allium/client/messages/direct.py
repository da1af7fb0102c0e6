"""A letter between two accounts as it is stored, and back (`spec/messages` §1, §8)."""

from __future__ import annotations

from dataclasses import dataclass, field

from google.protobuf.message import DecodeError

from allium.client import crypto
from allium.client.account import Account, account_key
from allium.client.envelope import EnvelopeError, open_from, pad, seal_to, unpad
from allium.client.messages import pro
from allium.client.messages.decoding import MessageError, decode
from allium.client.messages.encoding import encode
from allium.client.messages.kinds import Letter, Unsend
from allium.client.session_pb2 import Envelope, WebSocketMessage

_DEVICE = 1


@dataclass(frozen=True)
class Received:
    """A letter whose sender is proven."""

    #: Account ID.
    sender: str
    letter: Letter
    #: What the sender's signature of Session Pro is over, and that signature.
    signed: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)
    #: Of protocol v2, whether it was sealed with keys that are soon forgotten; None of protocol v1.
    forward_secret: bool | None = None


def seal(sender: Account, recipient: str, letter: Letter, rotating_secret: bytes | None = None) -> bytes:
    """What is stored in namespace 0 of the recipient (Account ID). `rotating_secret` (64 bytes) signs for Session Pro.

    `ValueError` for a bad Account ID.
    """
    sealed = seal_to(sender, account_key(recipient), pad(encode(letter)))
    envelope = Envelope(type=Envelope.SESSION_MESSAGE, timestamp=letter.timestamp, sourceDevice=_DEVICE, content=sealed)
    envelope.proSig = crypto.sign(rotating_secret, sealed) if rotating_secret else pro.decoy()
    message = WebSocketMessage(type=WebSocketMessage.REQUEST)
    message.request.verb = ""
    message.request.path = ""
    message.request.body = envelope.SerializeToString()
    message.request.requestId = 0
    return message.SerializeToString()


def open_letter(recipient: Account, data: bytes) -> Received:
    """The inverse of `seal`, of clients of any age; `MessageError` says why the bytes are refused."""
    try:
        envelope = Envelope.FromString(WebSocketMessage.FromString(data).request.body)
    except DecodeError:
        raise MessageError("not an envelope") from None
    if envelope.type != Envelope.SESSION_MESSAGE:
        raise MessageError("not a message between two accounts")
    if envelope.timestamp == 0:
        raise MessageError("an envelope without a time")
    try:
        sender, padded = open_from(recipient, envelope.content)
    except EnvelopeError as error:
        raise MessageError(str(error)) from None
    letter = _checked(recipient, sender, decode(unpad(padded), envelope.timestamp))
    return Received(sender, letter, envelope.content, envelope.proSig)


def of_content(
    recipient: Account, sender: str, content: bytes, forward_secret: bool, signed: bytes = b"", signature: bytes = b""
) -> Received:
    """A letter that came without an envelope, whose sender (Account ID) is proven: of protocol v2. Raises alike."""
    return Received(sender, _checked(recipient, sender, decode(content, 0)), signed, signature, forward_secret)


def _checked(recipient: Account, sender: str, letter: Letter) -> Letter:
    if letter.sync_target and sender != recipient.account_id:
        raise MessageError("a copy to self from somebody else")
    if isinstance(letter.message, Unsend) and letter.message.target.author != sender:
        raise MessageError("somebody else's message to be deleted")
    return letter
