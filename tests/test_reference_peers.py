"""A swarm of this node and nodes of the reference, of several ages (`spec/swarms` §4, §7)."""

from __future__ import annotations

import base64
import contextlib
import queue
from collections.abc import Callable, Iterator
from typing import Any

import bencode2
import pytest

import wire
from conftest import LoneNode
from peer import Peer, peer

Made = Callable[..., LoneNode]
WAIT = 30
DAY = 86_400_000


class Member(Peer):
    """A node of the reference, and what it was told."""

    told: queue.Queue[tuple[str, list[bytes]]]

    def next(self, command: str) -> list[bytes]:
        """The data of the next request, which has to be this one."""
        name, parts = self.told.get(timeout=WAIT)
        assert name == command, (name, parts)
        return parts


@contextlib.contextmanager
def member(version: tuple[int, int, int], answers: dict[str, list[bytes]] | None = None) -> Iterator[Member]:
    """A member that answers as the reference does, or as `answers` say."""
    told: queue.Queue[tuple[str, list[bytes]]] = queue.Queue()
    usual = {"sn.data_ready": [b"OK"], "sn.data": [], "sn.ping": [b"pong"], "sn.storage_cc": [b"de"]}

    def answer(command: str, parts: list[bytes]) -> list[bytes]:
        if command != "sn.ping":
            told.put((command, parts))
        return {**usual, **(answers or {})}[command]

    with peer(answer, version=list(version)) as made:
        made.__class__ = Member
        assert isinstance(made, Member)
        made.told = told
        yield made


def blob(*messages: list[Any]) -> bytes:
    return b"\x01" + bencode2.bencode(list(messages))


def messages_in(parts: list[bytes]) -> list[list[Any]]:
    """The messages of an `sn.data`, as a reader of the reference finds them."""
    found = []
    for part in parts:
        assert part[:1] == b"\x01"
        found += bencode2.bdecode(part[1:])
    return found


def fields(user: wire.User, data: bytes, namespace: int = 0, age: int = 0) -> list[Any]:
    stored = wire.now_ms() - age
    own = [bytes.fromhex(user.account_id), b"not asked for", stored, stored + DAY, data]
    return [*own, namespace] if namespace else own


def test_blobs_of_the_reference_are_taken_with_and_without_namespace(lone_node: Made) -> None:
    node, user = lone_node(), wire.User()
    with member((2, 8, 0)) as old:
        node.sees(node.entry, old.entry)
        whole = blob(fields(user, b"old"), fields(user, b"new", 2), fields(user, b"dead", age=2 * DAY))
        # It may be cut anywhere.
        assert old.ask(node.entry, "sn.data", whole[:20], whole[20:]) == []
        for namespace, data in [(0, b"old"), (2, b"new")]:
            [held] = wire.retrieve(node.entry, user, namespace)
            assert held["hash"] == wire.message_hash(user.account_id, namespace, data)
            assert base64.b64decode(held["data"]) == data
        assert old.ask(node.entry, "sn.data", b"\x01garbage") != []
        assert old.ask(node.entry, "sn.storage_test", b"1", bytes(32)) == [b"wrong request"]


@pytest.mark.parametrize("version", [(2, 8, 0), (2, 11, 0), (2, 12, 0)])
def test_a_new_member_is_given_what_it_needs(lone_node: Made, version: tuple[int, int, int]) -> None:
    node, user = lone_node(), wire.User()
    node.sees(node.entry)
    for namespace in (0, 2):
        params = {**wire.store_params(user.account_id, b"message"), "namespace": namespace}
        text = f"store{namespace or ''}{params['timestamp']}"
        assert wire.rpc(node.entry, "store", {**params, **user.auth(text)}).status == 200
    with member(version) as new:
        node.sees(node.entry, new.entry)
        given = []
        while len(given) < 2:
            command, parts = new.told.get(timeout=WAIT)
            if command == "sn.data_ready":
                # We have what we had: nothing is asked for.
                assert parts == ([] if version < (2, 12, 0) else [b"d1:@i0e1:ti0ee"])
                continue
            assert command == "sn.data"
            given += messages_in(parts)
        found = {(message[1].decode(), message[5]) for message in given}
        assert found == {(wire.message_hash(user.account_id, n, b"message"), n) for n in (0, 2)}
        # What is stored from now on is passed on as it comes.
        assert wire.rpc(node.entry, "store", wire.store_params(user.account_id, b"later")).status == 200
        while (request := new.told.get(timeout=WAIT))[0] == "sn.data_ready":
            pass
        command, [method, params] = request
        assert (command, method) == ("sn.storage_cc", b"store")
        assert list(bencode2.bdecode(params)) == [b"data", b"expiry", b"pubkey", b"timestamp"]


def test_a_node_without_messages_asks_newer_members_for_them(lone_node: Made) -> None:
    node = lone_node()
    with member((2, 8, 0)) as old, member((2, 11, 3)) as newer, member((2, 12, 1)) as newest:
        node.sees(node.entry, old.entry, newer.entry, newest.entry)
        assert newest.next("sn.data_ready") == [b"d1:@i0e1:ti1ee"]
        assert newer.next("sn.data_ready") == []
        assert old.told.empty()


def test_a_member_that_asks_is_given_everything(lone_node: Made) -> None:
    node = lone_node()
    with member((2, 12, 0)) as asking, member((2, 12, 0)) as stranger:
        node.sees(node.entry, asking.entry, {**stranger.entry, "swarm_id": 7})
        asking.next("sn.data_ready")
        own = next(name for name in iter(wire.User, None) if node_of(name, node.entry))
        assert wire.rpc(node.entry, "store", wire.store_params(own.account_id, b"mine")).status == 200
        asking.next("sn.storage_cc")
        for payload, answer in [
            (b"d1:@i0e1:ti0ee", b"OK"),
            (b"d1:@i1e1:ti1ee", b"Unsupported data_ready request version 1"),
            (b"d1:@i0ee", b"Request payload malformed"),
            (b"nonsense", b"Request payload malformed"),
        ]:
            assert asking.ask(node.entry, "sn.data_ready", payload) == [answer]
        assert stranger.ask(node.entry, "sn.data_ready", b"d1:@i0e1:ti1ee") == [b"Swarm mismatch"]
        assert asking.told.empty()
        assert asking.ask(node.entry, "sn.data_ready", b"d1:@i0e1:ti1ee") == [b"OK"]
        [message] = messages_in(asking.next("sn.data"))
        assert (message[0].hex(), message[4]) == (own.account_id, b"mine")


def node_of(user: wire.User, node: dict[str, Any]) -> bool:
    """Whether `node` answers for this user."""
    return wire.rpc(node, "get_swarm", {"pubkey": user.account_id}).json()["swarm"] == "0"
