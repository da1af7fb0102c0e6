"""Posts in communities, of blinded authors and others, of today and tomorrow (`spec/groups` §9.4)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allium.client import crypto
from allium.client import session_pb2 as pb
from allium.client.account import Account
from allium.client.envelope import pad
from allium.client.groups import blinding, community
from allium.client.messages import kinds
from allium.client.messages.decoding import MessageError
from allium.client.messages.kinds import Letter, Profile, Reaction, Target, Text

ALICE, BOB = Account(bytes(range(16))), Account(b"\xff" * 16)
SERVER = b"\xc3" * 32
KEY = blinding.blinded_key(ALICE, SERVER)
SENT = 1_700_000_000_123
LETTER = Letter(Text("hello", profile=Profile("Alice")), SENT)


@pytest.mark.parametrize("scheme", [15, 25])
@pytest.mark.parametrize("message", [LETTER.message, Reaction(Target(SENT, KEY.blinded_id), "😂")])
def test_a_post_is_read_as_it_was_written(scheme: blinding.Scheme, message: kinds.Message) -> None:
    key = blinding.blinded_key(ALICE, SERVER, scheme)
    post = community.write(key, Letter(message, SENT))
    assert len(post.data) % 160 == 0
    received = community.read(key.blinded_id, post.data, post.signature, SENT + 5)
    assert (received.author, received.letter) == (key.blinded_id, Letter(message, SENT))


def test_a_post_is_its_authors_and_of_its_time() -> None:
    post = community.write(KEY, LETTER)
    other = blinding.blinded_key(BOB, SERVER)
    for author, data, signature in (
        (other.blinded_id, post.data, post.signature),
        (KEY.blinded_id, post.data + b"\0", post.signature),
        (KEY.blinded_id, post.data, post.signature[:-1]),
        ("15", post.data, post.signature),
    ):
        with pytest.raises(MessageError, match="does not verify"):
            community.read(author, data, signature, SENT)
    with pytest.raises(MessageError, match="far from"):
        community.read(KEY.blinded_id, post.data, post.signature, SENT + community.MAX_SKEW_MS + 1)
    with pytest.raises(ValueError):
        community.write(KEY, Letter(kinds.Typing(True), SENT))


def test_a_post_of_tomorrow_is_an_envelope() -> None:
    content = pb.Content(dataMessage=pb.DataMessage(body="later"), sigTimestamp=SENT).SerializeToString()
    envelope = pb.Envelope(type=pb.Envelope.CLOSED_GROUP_MESSAGE, timestamp=SENT, content=content, proSig=b"s" * 64)
    data = pad(envelope.SerializeToString())
    received = community.read(KEY.blinded_id, data, KEY.sign(data), SENT)
    assert (received.letter, received.signed, received.signature) == (Letter(Text("later"), SENT), content, b"s" * 64)


def test_session_pro_signs_the_content_without_its_signature() -> None:
    rotating, secret = crypto.key_pair(b"\2" * 32)
    post = community.write(KEY, LETTER, secret)
    received = community.read(KEY.blinded_id, post.data, post.signature, SENT)
    assert crypto.verify(rotating, received.signature, received.signed)


@given(st.binary(min_size=16, max_size=16), st.binary(max_size=50))
def test_servers_without_blinding_know_account_ids(entropy: bytes, data: bytes) -> None:
    account = Account(entropy)
    signature = community.sign_unblinded(account, data)
    assert community.is_signed(account.account_id, data, signature)
    assert not community.is_signed(account.account_id, data + b"x", signature)
    assert not community.is_signed(BOB.account_id, data, signature)


@given(st.binary(max_size=200), st.text(max_size=70))
def test_nothing_breaks_the_reader_of_posts(data: bytes, author: str) -> None:
    assert not community.is_signed(author, data, data[:64])
    with contextlib.suppress(MessageError):
        community.read(KEY.blinded_id, data, KEY.sign(data), SENT)
