"""Onion requests to servers: sealed as the network and its servers open them, opened whatever strangers answer."""

from __future__ import annotations

import base64
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl import bindings

from allium.client.configs.community import Server
from allium.client.onion_v4 import Hop, ReplyError, ReplyOpener, RequestSealer, SharedKey
from tests.support.reference_onion import GCM, ReferenceLayer, unframe
from tests.support.sogs_server import v4_parts

Keys = tuple[bytes, bytes]


def keys() -> Keys:
    secret = os.urandom(32)
    return secret, bindings.crypto_scalarmult_base(secret)


NODES = [keys() for _ in range(3)]
SECRET, PUBLIC = keys()
HOPS = [Hop(bytes([n]) * 32, public) for n, (_, public) in enumerate(NODES, 1)]
SERVER = Server.parse("http://files.example:8000", PUBLIC)


def sealed(body: bytes | None, cut: int = 7) -> tuple[bytes, RequestSealer]:
    sealer = RequestSealer(HOPS, SERVER, "POST", "/file?x=1", {"x-a": "b"}, None if body is None else len(body))
    pieces = [] if body is None else [body[start : start + cut] for start in range(0, len(body), cut)]
    payload = b"".join([sealer.update(piece) for piece in pieces]) + sealer.finish()
    assert len(payload) == sealer.size
    return payload, sealer


def peeled(payload: bytes) -> tuple[bytes, ReferenceLayer]:
    """What the server is posted, as the nodes of the path pass it on, and what it has in common with the client."""
    for number, (secret, _) in enumerate(NODES):
        ciphertext, control = unframe(payload)
        layer = ReferenceLayer.between(secret, bytes.fromhex(control["ephemeral_key"]), GCM)
        payload = layer.open(ciphertext)
        _, inner = unframe(payload)
        if number < 2:
            assert inner["destination"] == HOPS[number + 1].ed25519.hex()
    assert {**inner, "ephemeral_key": ""} == {
        "host": "files.example",
        "port": 8000,
        "protocol": "http",
        "method": "POST",
        "target": "/oxen/v4/lsrpc",
        "ephemeral_key": "",
    }
    return payload, ReferenceLayer.between(SECRET, bytes.fromhex(inner["ephemeral_key"]), GCM)


def opened(opener: ReplyOpener, reply: bytes, cut: int = 5) -> bytes:
    body = b"".join(opener.update(reply[start : start + cut]) for start in range(0, len(reply), cut))
    opener.finish()
    return body


@given(st.none() | st.binary(max_size=300), st.integers(1, 50), st.integers(1, 50))
def test_a_request_and_its_reply_in_pieces(body: bytes | None, cut: int, other: int) -> None:
    payload, sealer = sealed(body, cut)
    posted, layer = peeled(payload)
    ciphertext, _ = unframe(posted)
    meta, sent = v4_parts(layer.open(ciphertext))
    assert meta == {"method": "POST", "endpoint": "/file?x=1", "headers": {"x-a": "b"}}
    assert sent == (body or b"")
    opener = sealer.opener(300)
    answer = json.dumps({"code": 201, "headers": {"X-One": 1}}).encode()
    reply = b"l%d:%b" % (len(answer), answer) + (b"" if body is None else b"%d:%b" % (len(body), body)) + b"e"
    assert opened(opener, layer.seal(reply), other) == (body or b"")
    assert (opener.status, opener.headers) == (201, {"x-one": "1"})
    assert opener.size == (None if body is None else len(body))


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        b"d",
        b"le",
        b"l2:{}e",
        b"l3:abce",
        b"l-1:e",
        b"l99999999999:",
        b"l:e",
        b'l13:{"code": "x"}e',
        b'l13:{"code": 1e9}',
        b'l12:{"code":200}',
        b'l12:{"code":200}2:abce',
        b'l12:{"code":200}5:abce',
        b'l12:{"code":200}1:a1:be',
        b'l12:{"code":200}301:',
        b'l12:{"code":200}eX',
        b"l9999999:" + b"x" * 100,
        b"l3:[1]e",
        b"l%d:%be" % (10_000, b"[" * 10_000),
    ],
)
def test_replies_that_are_none(plaintext: bytes) -> None:
    payload, sealer = sealed(b"")
    _, layer = peeled(payload)
    with pytest.raises(ReplyError):
        opened(sealer.opener(300), layer.seal(plaintext))


@given(st.binary(max_size=200), st.data())
def test_a_reply_that_was_changed_or_cut_is_refused(body: bytes, draw: st.DataObject) -> None:
    payload, sealer = sealed(b"")
    _, layer = peeled(payload)
    reply = layer.seal(b'l12:{"code":200}%d:%be' % (len(body), body))
    changed = bytearray(reply)
    changed[draw.draw(st.integers(0, len(reply) - 1))] ^= draw.draw(st.integers(1, 255))
    for bad in (bytes(changed), reply[: draw.draw(st.integers(0, len(reply) - 1))], reply + b"x", os.urandom(40)):
        with pytest.raises(ReplyError):
            opened(sealer.opener(300), bad)


def test_what_a_node_says_in_the_servers_place_is_known() -> None:
    payload, sealer = sealed(b"")
    _, control = unframe(payload)
    layer = ReferenceLayer.between(NODES[0][0], bytes.fromhex(control["ephemeral_key"]), GCM)
    opener = sealer.opener(300)
    said = base64.b64encode(layer.seal(b'{"status":400,"body":"Invalid url"}'))
    with pytest.raises(ReplyError):
        opened(opener, said[:30], 30)
    assert opener.complaint(said[30:]) == (400, "Invalid url")
    other = sealer.opener(300)
    with pytest.raises(ReplyError):
        opened(other, os.urandom(100))
    assert other.complaint() is None


def test_keys_and_sizes_that_are_none() -> None:
    for bad in (bytes(32), b"x" * 31):
        with pytest.raises(ValueError):
            SharedKey.fresh(bad)
    with pytest.raises(ValueError):
        RequestSealer([], SERVER, "GET", "/", {}, None)
    sealer = RequestSealer(HOPS, SERVER, "POST", "/", {}, 3)
    sealer.update(b"ab")
    with pytest.raises(ValueError, match="smaller"):
        sealer.finish()
    with pytest.raises(ValueError, match="larger"):
        sealer.update(b"cd")
