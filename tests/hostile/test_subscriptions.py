"""Strangers who subscribe without end, and those who may not read any more."""

from __future__ import annotations

import base64
import contextlib
from pathlib import Path
from typing import Any

import bencode2
import zmq

from tests.support import wire
from tests.support.dealers import answer, dealer
from tests.support.victim import victim

#: The least memory that a node can be given has room for so many subscriptions, of which one alone gets a fifth.
ROOM = (256 << 20) // 8 // 512
SUBSCRIBED = {b"success": 1}
READ = 1


def subscription(user: wire.User) -> dict[str, Any]:
    moment = wire.now_ms() // 1000
    fields = {"n": [0], "s": base64.b64decode(user.sign(f"MONITOR{user.account_id}{moment}00")), "t": moment}
    if isinstance(user, wire.Member):
        signature = base64.b64decode(user.auth("")["subaccount_sig"])
        return {**fields, "p": bytes.fromhex(user.account_id), "T": bytes.fromhex(user.token), "S": signature}
    if isinstance(user, wire.Group):
        return {**fields, "p": bytes.fromhex(user.account_id)}
    return {**fields, "P": user.ed_public}


def subscribe(socket: zmq.Socket[bytes], body: bytes) -> Any:
    return bencode2.bdecode(answer(socket, b"monitor.messages", b"tag", body)[2])


def test_one_address_does_not_take_all_subscriptions(tmp_path: Path) -> None:
    body = bencode2.bencode([subscription(wire.User()) for _ in range(100)])
    with (
        victim(tmp_path, memory_limit=256 << 20) as node,
        zmq.Context() as context,
        contextlib.ExitStack() as sockets,
        node.attacked(),
    ):
        strangers, taken = [], 0
        for _ in range(ROOM // 5 // 100 + 2):
            stranger = sockets.enter_context(dealer(context, node.entry))
            strangers.append(stranger)
            taken += subscribe(stranger, body).count(SUBSCRIBED)
            node.sent += len(body)
        assert abs(taken - ROOM // 5) <= 1
        # Somebody else finds room, and what is in force is renewed.
        honest = sockets.enter_context(dealer(context, node.entry, source="127.0.0.2"))
        assert subscribe(honest, body) == [SUBSCRIBED] * 100
        assert subscribe(strangers[0], body) == [SUBSCRIBED] * 100


def test_a_subscription_ends_with_its_token(tmp_path: Path) -> None:
    group = wire.Group()
    member = wire.Member(group, READ)

    def store(entry: dict[str, Any], data: bytes) -> None:
        assert wire.rpc(entry, "store", wire.store_params(group.account_id, data)).status == 200

    with (
        victim(tmp_path) as node,
        zmq.Context() as context,
        dealer(context, node.entry) as revoked,
        dealer(context, node.entry) as owner,
    ):
        assert subscribe(revoked, bencode2.bencode(subscription(member))) == SUBSCRIBED
        assert subscribe(owner, bencode2.bencode(subscription(group))) == SUBSCRIBED
        store(node.entry, b"before")
        for subscriber in (revoked, owner):
            assert subscriber.poll(20_000) and subscriber.recv_multipart()[0] == b"notify.message"
        now = wire.now_ms()
        signed = b"revoke_subaccount%d" % now + bytes.fromhex(member.token)
        params = {**group.auth(signed), "revoke": member.token, "timestamp": now}
        assert wire.rpc(node.entry, "revoke_subaccount", params).status == 200
        store(node.entry, b"after")
        assert owner.poll(20_000) and owner.recv_multipart()[0] == b"notify.message"
        assert not revoked.poll(200)
        # Nor is it renewed.
        assert subscribe(revoked, bencode2.bencode(subscription(member)))[b"errcode"] == 5
        store(node.entry, b"at last")
        assert owner.poll(20_000) and not revoked.poll(200)
