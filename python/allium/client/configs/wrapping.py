"""The envelope around an encrypted config of an account, as clients store it still (`spec/configs` §3).

Whoever reads takes it without, with, and with it twice.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError

from allium.client.account import Account
from allium.client.envelope import EnvelopeError, open_from, seal_to, unpad
from allium.client.session_pb2 import Content, Envelope, SharedConfigMessage, WebSocketMessage

_LAYERS = 2
#: One byte, and no block: nobody knows why.
_PADDING = b"\x80"
_TIMESTAMP = 1


def wrap(account: Account, kind: SharedConfigMessage.Kind.ValueType, seqno: int, encrypted: bytes) -> bytes:
    """A message of the account to itself that carries the config; the same bytes each time."""
    content = Content()
    content.sharedConfigMessage.kind = kind
    content.sharedConfigMessage.seqno = seqno
    content.sharedConfigMessage.data = encrypted
    padded = content.SerializeToString() + _PADDING
    envelope = Envelope(type=Envelope.SESSION_MESSAGE, timestamp=_TIMESTAMP)
    envelope.content = seal_to(account, account.x25519_public, padded, deterministic=True)
    message = WebSocketMessage(type=WebSocketMessage.REQUEST)
    message.request.verb = ""
    message.request.path = ""
    message.request.body = envelope.SerializeToString()
    message.request.requestId = 0
    return message.SerializeToString()


def unwrap(account: Account, data: bytes) -> bytes:
    """The encrypted config in a wrapped one; what is not wrapped comes back as it is."""
    for _ in range(_LAYERS):
        inner = _inner(account, data)
        if inner is None:
            return data
        data = inner
    return data


def _inner(account: Account, data: bytes) -> bytes | None:
    try:
        envelope = Envelope.FromString(WebSocketMessage.FromString(data).request.body)
        sender, padded = open_from(account, envelope.content)
        content = Content.FromString(unpad(padded))
    except (DecodeError, EnvelopeError):
        return None
    if sender != account.account_id or not content.HasField("sharedConfigMessage"):
        return None
    return content.sharedConfigMessage.data
