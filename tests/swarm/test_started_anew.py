"""Who had a connection to a node that was killed reaches it with the first request after it has started anew."""

from __future__ import annotations

import os
from typing import Any

from tests.support import wire
from tests.support.devnet import Devnet
from tests.support.waiting import await_that


def _info_over(guard: dict[str, Any], destination: dict[str, Any]) -> int:
    body = b'{"jsonrpc":"2.0","method":"info","params":{}}'
    payload, _ = wire.onion([guard, destination], body)
    return wire.post_onion(guard, payload).status


def test_the_first_onion_to_a_node_that_started_anew_arrives(pair: Devnet) -> None:
    guard, other = pair.nodes
    for _ in range(3):
        await_that("an onion over both", lambda: _info_over(guard, other) == 200)
        pair.run("kill", "1")
        pair.run("start", "1")
        # Nothing told the guard that its connection is one of a process that is gone.
        assert _info_over(guard, other) == 200


def test_the_first_store_after_a_member_started_anew_is_confirmed_by_it(pair: Devnet) -> None:
    (guard, other), user = pair.nodes, wire.User()

    def confirms() -> bool:
        reply = wire.rpc(guard, "store", wire.store_params(user.account_id, os.urandom(16)))
        assert reply.status == 200
        return "failed" not in reply.json()["swarm"][other["pubkey_ed25519"]]

    for _ in range(3):
        await_that("a store at both", confirms)
        pair.run("kill", "1")
        pair.run("start", "1")
        assert confirms()
