"""Strangers who fill what somebody else needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support import wire
from tests.support.victim import Victim, victim

MESSAGES = 100


def signed_store(node: Victim, user: wire.User, namespace: int, data: bytes) -> wire.HttpReply:
    now = wire.now_ms()
    params: dict[str, Any] = {**wire.store_params(user.account_id, data), **user.auth(f"store{namespace}{now}")}
    return wire.rpc(node.entry, "store", {**params, "namespace": namespace, "sig_timestamp": now})


def test_a_full_inbox_leaves_the_rest_to_its_owner(tmp_path: Path) -> None:
    with victim(tmp_path, account_max_messages=MESSAGES) as node:
        user = wire.User()
        with node.attacked():
            for number in range(MESSAGES):
                params = wire.store_params(user.account_id, b"%d" % number)
                node.sent += len(wire.rpc_body("store", params))
                assert wire.rpc(node.entry, "store", {**params, "namespace": number % 5 * 10}).status == 200
        full = wire.rpc(node.entry, "store", wire.store_params(user.account_id, b"one more"))
        assert full.status == 500 and b"this account's share" in full.body
        for namespace in (2, 3, 5, -1, 11):
            assert signed_store(node, user, namespace, b"mine").status == 200
        # What goes makes room.
        messages = wire.retrieve(node.entry, user)
        name = messages[0]["hash"]
        reply = wire.rpc(node.entry, "delete", {**user.auth(f"delete{name}"), "messages": [name]})
        assert reply.status == 200
        assert wire.rpc(node.entry, "store", wire.store_params(user.account_id, b"one more")).status == 200


def written(node: Victim) -> int:
    """Bytes that the node has written to its files."""
    lines = Path(f"/proc/{node.node.process.pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar:"))


def test_a_small_request_writes_no_large_account_again(tmp_path: Path) -> None:
    """Whoever changes the times of all messages at once, again and again, has the node write those times."""
    large, times = 70_000, 40
    with victim(tmp_path) as node:
        user = wire.User()
        for number in range(MESSAGES):
            reply = signed_store(node, user, 2, b"%d" % number + bytes(large))
            assert reply.status == 200, reply
        before, expiry = written(node), reply.json()["t"] + 80_000_000
        with node.attacked():
            for earlier in range(times):
                at = expiry - earlier
                params = {**user.auth(f"expire_all2{at}"), "expiry": at, "namespace": 2}
                node.sent += len(wire.rpc_body("expire_all", params))
                reply = wire.rpc(node.entry, "expire_all", params)
                [result] = reply.json()["swarm"].values()
                assert len(result["updated"]) == MESSAGES, reply
        # Not `times` as much as all the messages, but what of them was still on its way from the log to the tables.
        assert written(node) - before < 4 * MESSAGES * large
        assert {message["expiration"] for message in wire.retrieve(node.entry, user, 2)} == {at}
