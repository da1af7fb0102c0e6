"""Every way in which an onion request can fail, or leave the network (`spec/onion` §4, §7), over each entry."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bencode2
import pytest
from nacl import bindings

from allium import _native
from allium.client.direct import Node, OmqClient
from allium.settings import keys
from tests.support import wire
from tests.support.devnet import Devnet
from tests.support.lone_node import UNASSIGNED, LoneNode
from tests.support.peer import peer

INFO = wire.rpc_body("info", {})
Made = Callable[..., LoneNode]


def entries(node: dict[str, Any], payload: bytes) -> list[tuple[int, bytes]]:
    """The answers to a payload given to HTTPS and to QUIC."""
    posted = wire.post_onion(node, payload)
    quic = _native.QuicClient(node["ip"], node["omq_port"], bytes.fromhex(node["pubkey_ed25519"]), os.urandom(32))
    ok, body = quic.request("onion_req", payload, 35)
    quic.close()
    if ok:
        return [(posted.status, posted.body), (200, body)]
    head, _, text = body.partition(b"\n\n")
    return [(posted.status, posted.body), (int(head.split()[0]), text)]


# --- in the clear


def test_what_is_wrong_with_the_outermost_layer(shared_devnet: Devnet) -> None:
    first, second, third = shared_devnet.nodes[:3]
    stranger = {**second, "pubkey_ed25519": "00" * 31 + "07"}
    unknown, _ = wire.onion([first, stranger, third], INFO)
    flipped = bytearray(wire.onion([first, second], INFO)[0])
    flipped[40] ^= 1
    inner_flipped = wire.onion([first, {**second, "pubkey_x25519": third["pubkey_x25519"]}], INFO)[0]
    rows = [
        (unknown, 502, f"Next node not found: {stranger['pubkey_ed25519']}"),
        (bytes(flipped), 400, "Invalid ciphertext"),
        (inner_flipped, 400, "Invalid ciphertext"),
    ]
    for payload, status, text in rows:
        assert entries(first, payload) == [(status, text.encode())] * 2
    key = {"ephemeral_key": "00" * 32}
    for broken, what in [
        (b"", b"Unexpected payload size; expected ciphertext size"),
        (b"\1\0\0", b"Unexpected payload size; expected ciphertext size"),
        (b"\xff\xff\xff\xff", b"Unexpected payload size 0, expected >= 4294967295"),
        (b"\x05\0\0\0abc", b"Unexpected payload size 3, expected >= 5"),
        (wire.frame(b"x", {"ephemeral_key": "zz" * 32}), b"Hex key data is invalid: data is not hex"),
        (wire.frame(b"x", {"ephemeral_key": "00"}), b"Hex key data is invalid: expected 64 hex digits not 2"),
        (wire.frame(b"x", {**key, "enc_type": "rot13"}), b"Invalid encryption type rot13"),
        (wire.frame(b"", {}), b""),
    ]:
        for status, body in entries(first, broken):
            assert status == 400 and body.startswith(b"Error parsing onion request: " + what), (broken, body)


def test_who_is_not_ready_says_so(lone_node: Made) -> None:
    ready, idle = lone_node(), lone_node()
    resting = {**idle.entry, "swarm_id": UNASSIGNED}
    nodes = [ready.entry, resting]
    ready.sees(*nodes)
    idle.sees(*nodes)
    # As the last, inside the encryption; on the way, in the clear; as the entry, before it looks.
    payload, layer = wire.onion([ready.entry, resting], INFO)
    assert wire.open_reply(layer, wire.post_onion(ready.entry, payload)) == {"status": 503, "body": "Snode not ready"}
    payload, _ = wire.onion([ready.entry, resting, ready.entry], INFO)
    refusal = (503, f"Snode not ready: {resting['pubkey_ed25519']}".encode())
    assert entries(ready.entry, payload) == [refusal] * 2
    refusal = (503, b"Service node is not ready: not in any swarm\n")
    assert entries(resting, payload) == [refusal] * 2


def test_what_the_next_node_says_is_passed_on(lone_node: Made) -> None:
    node = lone_node()
    for told, status, body in [
        ([], 500, b"Invalid response from snode"),
        ([b"200"], 500, b"Invalid response from snode"),
        ([b"503", b"Snode not ready: me"], 503, b"Snode not ready: me"),
        ([b"200", b"sealed"], 200, b"sealed"),
        ([b"not a number", b"text"], 500, b"text"),
        ([b"299", b"no status of ours"], 500, b"no status of ours"),
    ]:
        with peer(lambda *_, told=told: told) as other:
            node.sees(node.entry, other.entry)
            assert entries(node.entry, wire.onion([node.entry, other.entry], INFO)[0]) == [(status, body)] * 2, told


def test_a_silent_node_is_given_30_seconds(lone_node: Made) -> None:
    node = lone_node()
    asked = threading.Event()
    with peer(lambda *_: asked.set()) as other:
        node.sees(node.entry, other.entry)
        # Both at once, for the time it takes.
        payload, _ = wire.onion([node.entry, other.entry], INFO)
        assert entries_at_once(node.entry, payload) == [(504, b"Request time out")] * 2
    assert asked.is_set()


def entries_at_once(node: dict[str, Any], payload: bytes) -> list[tuple[int, bytes]]:
    """As `entries`, side by side."""
    answers: list[tuple[int, bytes]] = []

    def post() -> None:
        reply = wire.post_onion(node, payload)
        answers.append((reply.status, reply.body))

    thread = threading.Thread(target=post)
    thread.start()
    quic = _native.QuicClient(node["ip"], node["omq_port"], bytes.fromhex(node["pubkey_ed25519"]), os.urandom(32))
    ok, body = quic.request("onion_req", payload, 40)
    quic.close()
    thread.join()
    head, _, text = body.partition(b"\n\n")
    assert not ok
    return [*answers, (int(head.split()[0]), text)]


async def test_no_path_is_longer_than_15(shared_devnet: Devnet) -> None:
    asking, asked = shared_devnet.nodes[:2]
    made = keys.load(Path(asking["data_dir"]))
    secret = bindings.crypto_sign_ed25519_sk_to_curve25519(made.ed25519_secret)
    layer = wire.Layer(bytes.fromhex(asked["pubkey_x25519"]))
    sealed = layer.seal(wire.frame(INFO, {"headers": ""}))
    async with OmqClient(Node.parse(asked), secret) as client:
        for number, status in [(15, b"200"), (16, b"400"), (-1, b"200"), (2**40, b"400")]:
            hop = {"data": sealed, "enc_type": "aes-gcm", "ephemeral_key": layer.ephemeral, "hop_no": number}
            answer = await client.request("sn.onion_request", bencode2.bencode(hop))
            assert answer[0] == status
            if status == b"400":
                assert answer[1] == b"onion request max path length exceeded"
        del hop["hop_no"]
        told, text = await client.request("sn.onion_request", bencode2.bencode(hop))
        assert told == b"400" and text.startswith(b"Invalid internal onion request")


# --- inside the encryption


def test_errors_inside_the_encryption(shared_devnet: Devnet) -> None:
    first, second = shared_devnet.nodes[:2]
    refused_url = {"host": "127.0.0.1", "target": "/elsewhere", "protocol": "http", "port": 1}
    rows: list[tuple[bytes, dict[str, Any], dict[str, Any]]] = [
        (b"", {"nothing": 1}, {"status": 400, "body": "Invalid json"}),
        (b"x", refused_url, {"status": 400, "body": "Invalid url"}),
        (b"{", {"headers": ""}, {"status": 400, "body": "invalid json"}),
        (wire.rpc_body("nope", {}), {"headers": ""}, {"status": 400, "body": "no method nope"}),
    ]
    for body, control, want in rows:
        payload, layer = wire.onion([first, second], body, control)
        assert wire.open_reply(layer, wire.post_onion(first, payload)) == want


def test_a_hop_answers_for_a_broken_inside_with_its_own_key(shared_devnet: Devnet) -> None:
    first, second = shared_devnet.nodes[:2]
    middle = wire.Layer(bytes.fromhex(second["pubkey_x25519"]))
    outer = wire.Layer(bytes.fromhex(first["pubkey_x25519"]))
    inside = middle.seal(b"\xff\xff\xff\xffno frame at all")
    hop = wire.frame(inside, {"destination": second["pubkey_ed25519"], "ephemeral_key": middle.ephemeral.hex()})
    payload = wire.frame(outer.seal(hop), {"ephemeral_key": outer.ephemeral.hex()})
    assert wire.open_reply(middle, wire.post_onion(first, payload)) == {"status": 400, "body": "Invalid json"}


# --- out of the network


class Upstream(http.server.BaseHTTPRequestHandler):
    """A server that tells what it was sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(418)
        self.send_header("X-Target", self.path)
        self.send_header("X-Agent", self.headers["User-Agent"])
        self.send_header("Content-Length", str(len(body) + 4))
        self.end_headers()
        self.wfile.write(b"got " + body)

    def log_message(self, *_: object) -> None:
        pass


def to_server(path: list[dict[str, Any]], port: int) -> tuple[bytes, bytes]:
    """A payload for a server on this machine, and what the server is to get: what the last node has opened."""
    control = {"host": "127.0.0.1", "port": port, "protocol": "http", "target": "/loki/v3/lsrpc", "method": "POST"}
    payload, _ = wire.onion(path, b"for the server", control)
    return payload, wire.frame(b"for the server", control)


def test_a_server_answers_through_the_path(shared_devnet: Devnet) -> None:
    path = shared_devnet.nodes[:2]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            # A status that no node gives is none of its own; between nodes it becomes 500.
            payload, sent = to_server(path, server.server_port)
            assert entries(path[0], payload) == [(500, b"got " + sent)] * 2
            payload, sent = to_server(path[:1], server.server_port)
            reply = wire.post_onion(path[0], payload)
            assert (reply.status, reply.body) == (418, b"got " + sent)
            assert reply.headers["x-target"] == "/loki/v3/lsrpc"
            assert reply.headers["x-agent"].startswith("Oxen Storage Server/")
        finally:
            server.shutdown()
            thread.join()
    # Nobody is there any more.
    for status, body in entries(path[0], to_server(path, server.server_port)[0]):
        assert status == 502 and body


@pytest.mark.parametrize("enc_type", ["aes-gcm", "xchacha20"])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_paths_of_every_length_and_cipher(shared_devnet: Devnet, enc_type: str, length: int) -> None:
    hops = [
        (bytes.fromhex(n["pubkey_ed25519"]), bytes.fromhex(n["pubkey_x25519"])) for n in shared_devnet.nodes[:length]
    ]
    for _ in range(2):
        payload, key = _native.onion_build(hops[:-1], hops[-1], INFO, enc_type)
        for status, body in entries(shared_devnet.nodes[0], payload):
            assert status == 200 and b'"version"' in (key.open(body) or b"").replace(b'\\"', b'"')
