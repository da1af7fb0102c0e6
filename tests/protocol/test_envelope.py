"""The message format against its published vector, and against whatever strangers store (`spec/messages` §1)."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allium.client import Account, envelope
from allium.client.envelope import EnvelopeError, open_sealed, pad, seal, unpad
from allium.client.session_pb2 import Content, Envelope, WebSocketMessage
from allium.client.swarm import message_hash

SENDER = Account(bytes(range(16)))
RECIPIENT = Account(b"\xff" * 16)
TIMESTAMP = 1_700_000_000_123
# `spec/messages` §1.5.
VECTOR = base64.b64decode(
    "CAESxQIKABIAGrwCCAYo+9CV/7wxQrACwfwErj3iw0Myrx2fwSCBJ0NPX9tCBQDbMyG3xwDhDgsqBeGU73aiJ4fgzDsxS29zPPDZmlZfqDKu9QNkWVgr"
    "QneKD0WWZMTGpdqNwjWhIYCffpB2BlpMF0+Cjtj8kW8spIk6sPwNBSK88NSLYOf13HV+IVCOQvGBqtv0TAXGOP3A/i0ma+vBzp4hVHSYA0ATMv8MgDWm"
    "zVWvd7xJhganrQ6i5pvhOSnopqkDtr1BMymBkGy+m3GDUc7g49Ry9b2gUVkI6owrzuL4+If8m3E/L1RmSie9KG0xugUAG8hE+ybKPw4SehCBALSuB01P"
    "yLoYZsPbfh4M2PMzycASSWtuYP9lKFH8+D301LPQyNxWlfnMiFK5cAD8LG0If3GOefPzREdaC7cx7E+GsdMa/+t0aSAA"
)


def hello() -> Content:
    content = Content()
    content.dataMessage.body = "hello"
    content.dataMessage.profile.displayName = "Alice"
    return content


def test_sealing_gives_the_published_bytes() -> None:
    data = seal(SENDER, RECIPIENT.account_id, hello(), TIMESTAMP, deterministic=True)
    assert data == VECTOR
    assert hashlib.sha256(data).hexdigest() == "0df89723c7f8d5d0bb9af9689284dea656d80778915f1cba1517c5e9ebe8b3e6"
    assert message_hash(RECIPIENT.account_id, 0, data) == "Su90i7XhqRj6EIj4XCMY1Z/vhUYh3PTXDuNC6tHFmkw"


def test_opening_the_published_bytes_proves_the_sender() -> None:
    opened = open_sealed(RECIPIENT, VECTOR)
    assert (opened.sender, opened.timestamp) == (SENDER.account_id, TIMESTAMP)
    assert opened.content.dataMessage.body == "hello"
    assert opened.content.dataMessage.profile.displayName == "Alice"
    assert opened.content.sigTimestamp == TIMESTAMP


def test_only_the_recipient_can_open() -> None:
    with pytest.raises(EnvelopeError, match="not sealed for this account"):
        open_sealed(SENDER, VECTOR)


@given(st.binary(max_size=700))
def test_padding_comes_off_again(content: bytes) -> None:
    padded = pad(content)
    assert len(padded) % 160 == 0
    assert padded[len(content)] == 0x80 and padded[len(content) + 1] == 0
    assert unpad(padded) == content


def test_padding_of_older_clients_and_none() -> None:
    assert unpad(b"text\x80" + bytes(154)) == b"text"
    assert unpad(b"text\x80") == b"text"
    assert unpad(b"text") == b"text"
    assert unpad(b"") == b""


@given(st.data())
def test_any_changed_byte_is_refused_or_leaves_the_proof(data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(VECTOR) - 1))
    flipped = bytearray(VECTOR)
    flipped[position] ^= data.draw(st.integers(1, 255))
    try:
        opened = open_sealed(RECIPIENT, bytes(flipped))
    except EnvelopeError:
        return
    # Outside the sealed part nothing is authenticated but the time, which is repeated under the signature.
    assert (opened.sender, opened.content) == (SENDER.account_id, open_sealed(RECIPIENT, VECTOR).content)


@given(st.binary(max_size=400))
def test_strangers_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(EnvelopeError):
        open_sealed(RECIPIENT, data)


def reworked(change: object) -> bytes:
    message = WebSocketMessage.FromString(VECTOR)
    inner = Envelope.FromString(message.request.body)
    change(inner)  # type: ignore[operator]
    message.request.body = inner.SerializeToString()
    return message.SerializeToString()


def test_envelope_rules() -> None:
    def later(inner: Envelope) -> None:
        inner.timestamp += 1

    def group(inner: Envelope) -> None:
        inner.type = Envelope.CLOSED_GROUP_MESSAGE

    def timeless(inner: Envelope) -> None:
        inner.timestamp = 0

    def named(inner: Envelope) -> None:
        inner.source, inner.sourceDevice, inner.proSig = "05" + "00" * 32, 1, bytes(64)

    with pytest.raises(EnvelopeError, match="signed time"):
        open_sealed(RECIPIENT, reworked(later))
    with pytest.raises(EnvelopeError, match="between two accounts"):
        open_sealed(RECIPIENT, reworked(group))
    with pytest.raises(EnvelopeError, match="without a time"):
        open_sealed(RECIPIENT, reworked(timeless))
    assert open_sealed(RECIPIENT, reworked(named)).sender == SENDER.account_id


def test_a_content_without_a_signed_time_is_taken() -> None:
    key = RECIPIENT.x25519_public
    plaintext = pad(hello().SerializeToString())
    inner = plaintext + SENDER.ed25519_public + SENDER.sign(plaintext + SENDER.ed25519_public + key)
    sealed = envelope._box_seal(inner, key, None)
    message = WebSocketMessage(type=WebSocketMessage.REQUEST)
    message.request.body = Envelope(
        type=Envelope.SESSION_MESSAGE, timestamp=TIMESTAMP, content=sealed
    ).SerializeToString()
    assert open_sealed(RECIPIENT, message.SerializeToString()).content.dataMessage.body == "hello"


def test_a_copy_to_self_comes_from_oneself() -> None:
    content = hello()
    content.dataMessage.syncTarget = RECIPIENT.account_id
    with pytest.raises(EnvelopeError, match="copy to self"):
        open_sealed(RECIPIENT, seal(SENDER, RECIPIENT.account_id, content, TIMESTAMP))
    assert open_sealed(SENDER, seal(SENDER, SENDER.account_id, content, TIMESTAMP)).sender == SENDER.account_id
