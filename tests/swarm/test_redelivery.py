"""What a member of a swarm missed while it was down reaches it, whoever goes down next."""

from __future__ import annotations

import time
from typing import Any

from tests.support import wire
from tests.support.devnet import Devnet
from tests.support.waiting import await_that

Node = dict[str, Any]


def members(devnet: Devnet, user: wire.User) -> list[int]:
    """Numbers of the nodes in the user's swarm."""
    reply = wire.rpc(devnet.nodes[0], "get_swarm", {"pubkey": user.account_id})
    keys = {snode["pubkey_ed25519"] for snode in reply.json()["snodes"]}
    return [index for index, node in enumerate(devnet.nodes) if node["pubkey_ed25519"] in keys]


def test_a_member_that_was_down_gets_all_it_missed(devnet: Devnet) -> None:
    user = wire.User()
    entry, away, *others = members(devnet, user)
    devnet.run("kill", str(away))
    stored = []
    for number in range(200):
        reply = wire.rpc(devnet.nodes[entry], "store", wire.store_params(user.account_id, b"%d" % number))
        assert reply.status == 200
        stored.append(reply.json()["hash"])
    removed = stored[::10]
    params = {**user.auth("delete" + "".join(removed)), "messages": removed}
    assert wire.rpc(devnet.nodes[entry], "delete", params).status == 200
    left = [name for name in stored if name not in removed]
    # All go down, and the entry node remembers what it owes.
    for node in (entry, *others):
        devnet.run("kill", str(node))
    devnet.run("start", str(away))
    assert wire.held(devnet.nodes[away], user) == []
    devnet.run("start", str(entry))
    await_that("the member catches up", lambda: sorted(wire.held(devnet.nodes[away], user)) == sorted(left))
    assert wire.held(devnet.nodes[away], user) == left
    # Once it has, it confirms again like the others.
    key = devnet.nodes[away]["pubkey_ed25519"]

    def confirms() -> bool:
        reply = wire.rpc(devnet.nodes[entry], "store", wire.store_params(user.account_id, b"%d" % time.monotonic_ns()))
        return "failed" not in reply.json()["swarm"][key]

    await_that("the member confirms", confirms)
