"""A swarm of this node and nodes of the reference, of several ages (`spec/swarms` §4, §7)."""

from __future__ import annotations

import base64
import contextlib
import json
import queue
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import bencode2
import pytest

from allium.devnet import ports
from tests.support import wire
from tests.support.lone_node import UNASSIGNED, LoneNode
from tests.support.peer import Peer, peer
from tests.support.reference_node import ReferenceNode
from tests.support.waiting import await_that

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

    def find(self, command: str) -> list[bytes]:
        """The data of the next request of this kind."""
        while (request := self.told.get(timeout=WAIT))[0] != command:
            pass
        return request[1]


@contextlib.contextmanager
def member(
    version: tuple[int, int, int], *refusals: list[bytes], is_full: Callable[[], bool] = lambda: False
) -> Iterator[Member]:
    """A member that answers as the reference does, but refuses the first commands of clients so, and transfers while it
    is full.
    """
    refusing = iter(refusals)
    told: queue.Queue[tuple[str, list[bytes]]] = queue.Queue()
    usual = {"sn.data_ready": [b"OK"], "sn.data": [], "sn.ping": [b"pong"], "sn.storage_cc": [b"de"]}

    def answer(command: str, parts: list[bytes]) -> list[bytes]:
        if command == "storage.info":
            return [json.dumps({"timestamp": wire.now_ms()}).encode()]
        if command != "sn.ping":
            told.put((command, parts))
        if command == "sn.data" and is_full():
            return [b"500", b"full"]
        refusal = next(refusing, None) if command == "sn.storage_cc" else None
        return refusal or usual[command]

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


def fields(
    user: wire.User, data: bytes, namespace: int = 0, age: int = 0, name: str = "", named: bool = False
) -> list[Any]:
    """As a node sends it that loses the namespace, or has it `named`."""
    stored = wire.now_ms() - age
    name = name or wire.message_hash(user.account_id, namespace, data)
    own = [bytes.fromhex(user.account_id), name.encode(), stored, stored + DAY, data]
    return [*own, namespace] if named else own


@pytest.fixture(params=["asks", "lives"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Member | ReferenceNode]:
    """A member of 2.8: one that only asks, or a whole one."""
    if request.param == "asks":
        with member((2, 8, 0)) as made:
            yield made
    else:
        with ports.reserve(2) as [https_port, omq_port]:
            node = ReferenceNode(tmp_path, https_port, omq_port, 0, random.Random(1))
            node.start()
            yield node
            node.stop()


def test_blobs_of_the_reference_are_taken_with_and_without_namespace(
    lone_node: Made, old: Member | ReferenceNode
) -> None:
    node, user = lone_node(), wire.User()
    if isinstance(old, ReferenceNode):
        old.sees(node.entry, old.entry)
    node.sees(node.entry, old.entry)
    whole = blob(
        fields(user, b"old"),
        fields(user, b"new", 2, named=True),
        *(fields(user, b"bare", namespace) for namespace in (3, 14, 21, -11, 127)),
        fields(user, b"far", 420),
        fields(user, b"dead", age=2 * DAY),
        fields(user, b"called so", name="A" * 43),
        fields(user, b"called nothing", name="no hash"),
    )
    # It may be cut anywhere.
    assert old.ask(node.entry, "sn.data", whole[:20], whole[20:]) == []
    kept = {(2, b"new"), *((namespace, b"bare") for namespace in (3, 14, 21, -11, 127))}
    for namespace, data in kept:
        [held] = wire.retrieve(node.entry, user, namespace)
        assert held["hash"] == wire.message_hash(user.account_id, namespace, data)
        assert base64.b64decode(held["data"]) == data
    # Nobody has stored anything in 420 here. What is in no namespace that was tried keeps the name that clients
    # know.
    far = wire.message_hash(user.account_id, 420, b"far")
    assert {(held["hash"], base64.b64decode(held["data"])) for held in wire.retrieve(node.entry, user)} == {
        (wire.message_hash(user.account_id, 0, b"old"), b"old"),
        (far, b"far"),
        ("A" * 43, b"called so"),
    }
    params = {**wire.store_params(user.account_id, b"seen"), "namespace": 420}
    assert wire.rpc(node.entry, "store", params).status == 200
    assert old.ask(node.entry, "sn.data", blob(fields(user, b"later", 420))) == []
    assert [base64.b64decode(held["data"]) for held in wire.retrieve(node.entry, user, 420)] == [b"seen", b"later"]
    # Clients can delete it by that name.
    removed = wire.rpc(node.entry, "delete", {**user.auth(f"delete{far}"), "messages": [far]}).json()
    assert removed["swarm"][node.entry["pubkey_ed25519"]]["deleted"] == [far]
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
        given: list[list[Any]] = []
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
        command, [method, stored] = request
        assert (command, method) == ("sn.storage_cc", b"store")
        assert list(bencode2.bdecode(stored)) == [b"data", b"expiry", b"pubkey", b"timestamp"]


@pytest.mark.parametrize("version", [(2, 8, 0), (2, 11, 3)])
def test_a_transfer_has_nothing_that_is_stored_once_it_began(lone_node: Made, version: tuple[int, int, int]) -> None:
    """The new member is told of it like all others; an old one would lose its namespace in the transfer."""
    node, user, stored = lone_node(), wire.User(), threading.Event()
    node.sees(node.entry)

    def store(namespace: int) -> str:
        params = {**wire.store_params(user.account_id, b"message"), "namespace": namespace}
        reply = wire.rpc(node.entry, "store", {**params, **user.auth(f"store{namespace or ''}{params['timestamp']}")})
        assert reply.status == 200
        return str(reply.json()["hash"])

    before = store(0)
    with member(version, is_full=lambda: not stored.is_set()) as new:
        node.sees(node.entry, new.entry)
        new.find("sn.data")
        store(2)
        stored.set()
        await_that("the transfer is over", lambda: node.engine.stats()["transfers"] == 0)
        told = list(new.told.queue)
    assert [parts[0] for command, parts in told if command == "sn.storage_cc"] == [b"store"]
    transferred = [messages_in(parts) for command, parts in told if command == "sn.data"]
    assert transferred
    assert {message[1].decode() for messages in transferred for message in messages} == {before}


@pytest.mark.parametrize("version", [(2, 8, 0), (2, 11, 3)])
def test_what_a_member_missed_keeps_its_namespace(lone_node: Made, version: tuple[int, int, int]) -> None:
    node, user = lone_node(), wire.User()
    unaware, late = [b"421", b"{}"], [b"406", b"store signature timestamp too far from current time"]
    loses_it = version < (2, 11, 3)
    # An old member is told as the client signed it, for as long as it takes that.
    refusals = [unaware, [b"de"], unaware, late] if loses_it else [unaware]
    with member(version, *refusals) as replica:
        node.sees(node.entry, replica.entry)
        for data in (b"in time", b"too late") if loses_it else (b"named",):
            params = {**wire.store_params(user.account_id, data), "namespace": 2}
            stored = wire.rpc(node.entry, "store", {**params, **user.auth(f"store2{params['timestamp']}")})
            assert stored.status == 200
            first = replica.find("sn.storage_cc")
            assert (first[0], bencode2.bdecode(first[1])[b"namespace"]) == (b"store", 2)
            if loses_it:
                assert replica.find("sn.storage_cc") == first
            if data != b"in time":
                [message] = messages_in(replica.find("sn.data"))
                assert (message[1].decode(), message[5]) == (stored.json()["hash"], 2)


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
    return bool(wire.rpc(node, "get_swarm", {"pubkey": user.account_id}).json()["swarm"] == "0")


def test_what_a_member_sends_before_the_change_that_it_follows_from(lone_node: Made) -> None:
    """The reference pushes once, as soon as it has heard of a new member; which may hear of it later."""
    node, user = lone_node(), wire.User()
    with member((2, 8, 0)) as old, ThreadPoolExecutor() as pool:
        node.sees({**node.entry, "swarm_id": UNASSIGNED}, old.entry)
        pushed = pool.submit(old.ask, node.entry, "sn.data", blob(fields(user, b"early")))
        while not any(name == "omq_sn" and taken for name, taken, _ in node.engine.metrics()["queues"]):
            assert not pushed.done()
        node.sees(node.entry, old.entry)
        assert pushed.result(WAIT) == []
        assert [base64.b64decode(held["data"]) for held in wire.retrieve(node.entry, user)] == [b"early"]


def test_a_member_that_does_not_know_the_sender_yet_is_told_later(lone_node: Made) -> None:
    """The list of one node is a block behind that of another now and then."""
    node, late, user = lone_node(), lone_node(), wire.User()
    late.sees(late.entry)
    node.sees(node.entry, late.entry)
    stored = wire.rpc(node.entry, "store", wire.store_params(user.account_id, b"message"))
    assert stored.json()["swarm"][late.entry["pubkey_ed25519"]] == {"failed": True, "timeout": True}
    assert node.engine.stats()["members_behind"] == 1
    late.sees(node.entry, late.entry)
    await_that("it is told", lambda: len(wire.retrieve(late.entry, user)) == 1)


@pytest.mark.parametrize("version", [[2, 8, 0], [2, 12, 0]])
def test_nodes_of_ours_know_each_other_whatever_they_advertise(lone_node: Made, version: list[int]) -> None:
    """They compare what they hold, which nodes of no other make do."""
    nodes, user = [lone_node(), lone_node()], wire.User()
    entries = [{**node.entry, "version": version} for node in nodes]
    nodes[0].sees(entries[0])
    assert wire.rpc(entries[0], "store", wire.store_params(user.account_id, b"before")).status == 200
    for node in nodes:
        node.sees(*entries)
    await_that("they have compared", lambda: any(node.engine.stats()["compared_bytes"] for node in nodes))
    await_that("both have it", lambda: len(wire.retrieve(entries[1], user)) == 1)
