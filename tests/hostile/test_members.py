"""Nodes that are registered and mean harm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bencode2
import pytest
from nacl import bindings

from allium.client.errors import NetworkError
from tests.support import wire
from tests.support.lone_node import UNASSIGNED, LoneNode
from tests.support.peer import peer


def negative(entry: dict[str, Any]) -> dict[str, Any]:
    """A node with the other Ed25519 key that has the same X25519 key."""
    key = bytearray.fromhex(entry["pubkey_ed25519"])
    key[31] ^= 0x80
    assert bindings.crypto_sign_ed25519_pk_to_curve25519(bytes(key)).hex() == entry["pubkey_x25519"]
    return {**entry, "pubkey_ed25519": key.hex(), "pubkey_legacy": "dd" * 32, "swarm_id": 7}


def test_two_nodes_with_one_key_do_not_stop_the_network(lone_node: Callable[..., LoneNode]) -> None:
    node, replica = lone_node(), lone_node()
    for nodes in ([node.entry, negative(node.entry), replica.entry], [node.entry, replica.entry, replica.entry]):
        node.sees(*nodes)
        replica.sees(*nodes)
        stats = node.engine.stats()
        assert (stats["nodes"], stats["nodes_left_out"]) == (2, 1)
        reply = wire.rpc(node.entry, "store", wire.store_params(wire.User().account_id, b"x"))
        assert reply.status == 200
        assert all("failed" not in entry for entry in reply.json()["swarm"].values())


def transferred(account: str, namespace: int, data: bytes, now: int) -> bytes:
    """A message that was sent now, as nodes send it to each other."""
    name = wire.message_hash(account, namespace, data)
    return b"\x01" + bencode2.bencode([[bytes.fromhex(account), name.encode(), now, now + 86_400_000, data, namespace]])


def neighbour(swarm_id: int = 0) -> wire.User:
    """Somebody whose account this swarm keeps, of those in the network."""
    while True:
        user = wire.User()
        words = [int(user.account_id[place : place + 16], 16) for place in range(2, 66, 16)]
        if abs((words[0] ^ words[1] ^ words[2] ^ words[3]) - swarm_id) < 2**61:
            return user


def test_messages_are_taken_from_the_swarm_alone(lone_node: Callable[..., LoneNode]) -> None:
    node, user = lone_node(), neighbour()
    with (
        peer(lambda *_: None) as replica,
        peer(lambda *_: None, swarm_id=2**63) as elsewhere,
        peer(lambda *_: None, swarm_id=UNASSIGNED) as resting,
    ):
        node.sees(node.entry, replica.entry, elsewhere.entry, resting.entry)
        blob = transferred(user.account_id, 3, b"forged", wire.now_ms())
        assert elsewhere.ask(node.entry, "sn.data", blob)[-1] == b"Swarm mismatch"
        with pytest.raises(NetworkError, match="FORBIDDEN"):
            resting.ask(node.entry, "sn.data", blob)
        assert node.engine.stats()["messages"] == 0
        assert replica.ask(node.entry, "sn.data", blob) == []
        assert node.engine.stats()["messages"] == 1
        # Who has left gives away what it kept.
        node.sees(node.entry, {**replica.entry, "swarm_id": 2**63}, elsewhere.entry, resting.entry)
        blob = transferred(user.account_id, 3, b"handed over", wire.now_ms())
        assert replica.ask(node.entry, "sn.data", blob) == []
        assert node.engine.stats()["messages"] == 2


def test_what_strangers_delete_brings_nothing_back(lone_node: Callable[..., LoneNode]) -> None:
    node, user, stranger = lone_node(), wire.User(), wire.User()
    node.sees(node.entry)
    sent = wire.now_ms()
    assert wire.rpc(node.entry, "store", wire.store_params(user.account_id, b"gone")).status == 200
    name = wire.message_hash(user.account_id, 0, b"gone")
    delete = {**user.auth(f"delete{name}"), "messages": [name]}
    assert wire.rpc(node.entry, "delete", delete).status == 200
    hashes = [wire.message_hash(stranger.account_id, 0, b"%d" % number) for number in range(5000)]
    for _ in range(40):
        reply = wire.rpc(node.entry, "delete", {**stranger.auth("delete" + "".join(hashes)), "messages": hashes})
        assert reply.status == 200
    with peer(lambda *_: None) as replica:
        node.sees(node.entry, replica.entry)
        assert replica.ask(node.entry, "sn.data", transferred(user.account_id, 0, b"gone", sent)) == []
        assert node.engine.stats()["messages"] == 0
