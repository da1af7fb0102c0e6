"""Stores of many clients go to a member together where it knows how; what becomes of one is nothing to the others."""

from __future__ import annotations

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bencode2
import pytest

from tests.support import wire
from tests.support.lone_node import LoneNode
from tests.support.quic_peer import ALLIUM, BEFORE, REFERENCE, QuicPeer, RefusedError, quic_peer
from tests.support.waiting import await_that

DAY = 86_400_000
#: Stores at once.
MANY = 40
DONE = {b"hash": b"h", b"signature": bytes(64)}
Told = list[tuple[str, bytes]]


def stored(message: tuple[str, bytes]) -> list[bytes]:
    """The params of each store in a message between nodes."""
    command, body = message
    parts = bencode2.bdecode(body)
    return list(parts) if command == "stores" else [parts[1]]


def answer(command: str, body: bytes) -> bytes:
    """A member that does all that it is asked, but for comparing."""
    match command:
        case "stores":
            return bencode2.bencode([[200, DONE] for _ in bencode2.bdecode(body)])
        case "storage_cc":
            return bencode2.bencode([200, DONE])
        case "snode_ping":
            return b"pong"
        case "data":
            return b"OK"
    raise RefusedError(f"Invalid endpoint '{command}'")


def half(command: str, body: bytes) -> bytes:
    """The same, but of many stores it tells of every other one at the front."""
    if command == "stores":
        asked = len(bencode2.bdecode(body))
        return bencode2.bencode([[200, DONE]] * (asked // 2))
    return answer(command, body)


def transferred(seen: Told) -> set[bytes]:
    """The texts of messages that were told late."""
    blobs = [body for command, body in seen if command == "data"]
    return {message[4] for blob in blobs for message in bencode2.bdecode(blob[1:])}


def told(seen: Told) -> set[bytes]:
    """The texts of all messages that a member has been told of."""
    at_once = [params for message in seen if message[0] in ("stores", "storage_cc") for params in stored(message)]
    return {bencode2.bdecode(params)[b"data"] for params in at_once} | transferred(seen)


def store(node: LoneNode, text: bytes) -> dict[str, Any]:
    reply = wire.rpc(node.entry, "store", wire.store_params(wire.User().account_id, text))
    assert reply.status == 200
    entries: dict[str, Any] = reply.json()["swarm"]
    return entries


def store_many(node: LoneNode, peer: QuicPeer) -> dict[bytes, dict[str, Any]]:
    """Stores at once; what the member's entry in each answer is, by the text that was stored."""
    texts = [b"many %d" % number for number in range(MANY)]
    with ThreadPoolExecutor(MANY) as pool:
        answers = pool.map(lambda text: store(node, text), texts)
        return {text: entries[peer.entry["pubkey_ed25519"]] for text, entries in zip(texts, answers, strict=True)}


def connected(node: LoneNode, peer: QuicPeer) -> None:
    """The node sees this member and reaches it, and has told it all."""
    node.sees(node.entry, peer.entry)
    key = peer.entry["pubkey_ed25519"]
    await_that("the member confirms", lambda: "failed" not in store(node, b"first")[key])
    peer.forget()


@pytest.mark.parametrize("protocol", [ALLIUM, BEFORE, REFERENCE])
def test_members_of_each_kind_are_told_in_their_way(lone_node: Callable[..., LoneNode], protocol: str) -> None:
    node = lone_node()
    with quic_peer(answer, protocol) as peer:
        connected(node, peer)
        texts = store_many(node, peer).keys()
        peer.await_seen(lambda seen: told(seen) >= texts)
        seen = peer.seen("stores", "storage_cc")
        assert {command for command, _ in seen} == {"stores" if protocol == ALLIUM else "storage_cc"}
        # What came goes to the reference as the client has said it, with nothing of ours.
        fields = [bencode2.bdecode(params).keys() for message in seen for params in stored(message)]
        plain = {b"pubkey", b"data", b"expiry", b"timestamp"}
        assert all(keys == (plain if protocol == REFERENCE else plain | {b"@"}) for keys in fields)


def test_half_an_answer_loses_nothing(lone_node: Callable[..., LoneNode]) -> None:
    node = lone_node()
    with quic_peer(half) as peer:
        node.sees(node.entry, peer.entry)
        key = peer.entry["pubkey_ed25519"]
        # A store that comes alone is one of which half of the answer says nothing.
        await_that("the member is asked", lambda: bool(store(node, b"first")[key] and peer.seen("stores")))
        entries = store_many(node, peer)
        assert {"timeout"} & set().union(*entries.values())
        peer.await_seen(lambda seen: told(seen) >= entries.keys())
        # Who was told nothing of theirs is told again.
        unsure = {text for text, entry in entries.items() if entry.get("timeout")}
        peer.await_seen(lambda seen: transferred(seen) >= unsure)


def test_one_bad_store_fails_alone(lone_node: Callable[..., LoneNode]) -> None:
    node = lone_node()
    user = wire.User()
    with quic_peer(answer) as peer:
        node.sees(node.entry, peer.entry)

        def params(text: bytes, **more: Any) -> bytes:
            now = wire.now_ms()
            fields = {"@": now, "data": text, "expiry": now + DAY, "pubkey": bytes.fromhex(user.account_id)}
            return bencode2.bencode({**fields, "timestamp": now, **more})

        forged = params(b"forged", namespace=5, pubkey_ed25519=user.ed_public, signature=bytes(64))
        several = [params(b"one"), forged, b"no dict", params(b"two"), params(b"x" * 80_000), params(b"three")]
        delete = bencode2.bencode([b"get_swarm", b"de"])
        # What is no list, has something else in it, or too much; what cannot be passed on.
        wrong = [b"", b"le5", b"li1ee", b"d1:ai1ee", b"l" + b"1:x" * 65 + b"e"]
        commands = [("stores", bencode2.bencode(several)), ("storage_cc", delete)]
        (kind, body), refused, *others = peer.ask(node.entry, *commands, *(("stores", body) for body in wrong))
        assert kind == b"R"
        answers = bencode2.bdecode(body)
        assert [isinstance(one, list) and one[0] for one in answers] == [200, False, False, 200, False, 200]
        assert [one[:3] for one in answers if isinstance(one, bytes)] == [b"401", b"400", b"400"]
        for text, one in zip((b"one", b"two", b"three"), (answers[0], answers[3], answers[5]), strict=True):
            assert one[1][b"hash"].decode() == wire.message_hash(user.account_id, 0, text)
        assert refused[0] == b"E"
        assert others == [(b"E", b"Invalid forwarded stores")] * len(wrong)
        assert {message["data"] for message in wire.retrieve(node.entry, user)} == {
            wire.store_params("", text)["data"] for text in (b"one", b"two", b"three")
        }


def test_order_holds_between_many_stores_and_what_comes_after(lone_node: Callable[..., LoneNode]) -> None:
    node = lone_node()
    user = wire.User()
    with quic_peer(answer) as peer:
        node.sees(node.entry, peer.entry)
        now = wire.now_ms()
        pubkey = bytes.fromhex(user.account_id)
        names = [wire.message_hash(user.account_id, 0, b"%d" % number) for number in range(20)]
        fields = {"@": now, "expiry": now + DAY, "pubkey": pubkey, "timestamp": now}
        params = [bencode2.bencode({**fields, "data": b"%d" % number}) for number in range(20)]
        signature = user.auth("delete" + "".join(names))
        delete = {
            "@": now + 1,
            "messages": [name.encode() for name in names],
            "pubkey": pubkey,
            "pubkey_ed25519": user.ed_public,
            "signature": base64.b64decode(signature["signature"]),
        }
        forwarded = bencode2.bencode([b"delete", bencode2.bencode(delete)])
        commands = [("stores", bencode2.bencode(params[:10])), ("stores", bencode2.bencode(params[10:]))]
        told = peer.ask(node.entry, *commands, ("storage_cc", forwarded))
        assert [kind for kind, _ in told] == [b"R"] * 3
        # All had come before they were deleted.
        assert sorted(bencode2.bdecode(told[2][1])[1][b"deleted"]) == sorted(name.encode() for name in names)
        assert wire.held(node.entry, user) == []


def test_strangers_pass_nothing_on(lone_node: Callable[..., LoneNode]) -> None:
    node = lone_node()
    with quic_peer(answer) as stranger:
        node.sees(node.entry)
        with pytest.raises((ConnectionError, TimeoutError, AssertionError)):
            stranger.ask(node.entry, ("stores", bencode2.bencode([b"de"])))
