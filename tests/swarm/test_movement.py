"""Swarms change while they hold messages: each ends up with all who answer for it now, and with nobody else."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nacl import bindings

from allium import _native
from allium.client.direct import Node, OmqClient
from allium.membership.static import parse
from tests.support import wire
from tests.support.devnet import Devnet
from tests.support.lone_node import LoneNode
from tests.support.peer import peer
from tests.support.waiting import await_that

USERS, EACH = 30, 4
ADMIN = os.urandom(32)


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Devnet]:
    """Nine nodes in three swarms, which tell us their figures."""
    devnet = Devnet(tmp_path / "net")
    os.environ["ALLIUM_STATS_ACCESS_KEYS"] = json.dumps([bindings.crypto_scalarmult_base(ADMIN).hex()])
    try:
        devnet.run("up", "--nodes", "9", "--swarm-size", "3")
        yield devnet
    finally:
        del os.environ["ALLIUM_STATS_ACCESS_KEYS"]
        devnet.run("down")


def figures(node: dict[str, Any]) -> dict[str, Any]:
    """`service.get_stats`."""

    async def ask() -> list[bytes]:
        async with OmqClient(Node.parse(node), ADMIN) as client:
            return await client.request("service.get_stats")

    [answer] = asyncio.run(ask())
    told: dict[str, Any] = json.loads(answer)
    return told


def rearrange(devnet: Devnet, swarms: list[int], height: int) -> None:
    """Puts node i into `swarms[i]`, as every node reads it."""
    path = devnet.directory / "nodes.json"
    network = json.loads(path.read_text())
    network["height"] = height
    for node, swarm in zip(network["nodes"], swarms, strict=True):
        node["swarm_id"] = swarm
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(network))
    fresh.replace(path)


def check(devnet: Devnet, users: dict[str, list[str]], swarms: list[int]) -> None:
    """Every message is with each member of its swarm, and nothing else is."""
    ids = sorted(set(swarms) - {2**64 - 1})
    expected = [0] * len(swarms)
    for account, names in users.items():
        swarm = _native.swarm_of(account, ids)
        for index, own in enumerate(swarms):
            expected[index] += len(names) * (own == swarm)

    def settled() -> bool:
        told = [figures(node) for node in devnet.nodes]
        unassigned = [swarm == 2**64 - 1 for swarm in swarms]
        return all(
            one["transfers"] == 0 and (one["total_stored"] == count or idle)
            for one, count, idle in zip(told, expected, unassigned, strict=True)
        )

    await_that(f"swarms {swarms} settle", settled)


def test_messages_follow_their_swarms(net: Devnet) -> None:
    network = parse(json.loads((net.directory / "nodes.json").read_text()))
    a, b, c = sorted({node["swarm_id"] for node in network["nodes"]})
    swarms = [node["swarm_id"] for node in network["nodes"]]
    owners = [wire.User() for _ in range(USERS)]
    users: dict[str, list[str]] = {}
    for owner in owners:
        entry = net.nodes[swarms.index(_native.swarm_of(owner.account_id, [a, b, c]) or 0)]
        replies = [wire.rpc(entry, "store", wire.store_params(owner.account_id, b"%d" % n)) for n in range(EACH)]
        users[owner.account_id] = [reply.json()["hash"] for reply in replies]
    check(net, users, swarms)

    # One swarm dissolves into the others.
    spread = [a if index % 2 else b for index in range(9)]
    swarms = [swarm if swarm != c else spread[index] for index, swarm in enumerate(swarms)]
    rearrange(net, swarms, 2)
    check(net, users, swarms)

    # A new one appears, of nodes from both, while one node is down.
    net.run("kill", "0")
    fresh = [index for index, swarm in enumerate(swarms) if swarm == a][:2]
    fresh += [index for index, swarm in enumerate(swarms) if swarm == b][-2:]
    swarms = [c if index in fresh else swarm for index, swarm in enumerate(swarms)]
    rearrange(net, swarms, 3)
    net.run("start", "0")
    check(net, users, swarms)

    # Everybody reads everything, in order, wherever it is now.
    for owner in owners:
        swarm = _native.swarm_of(owner.account_id, sorted(set(swarms)))
        for index in [index for index, own in enumerate(swarms) if own == swarm]:
            assert sorted(m["hash"] for m in wire.retrieve(net.nodes[index], owner)) == sorted(users[owner.account_id])


def test_a_member_that_leaves_does_not_keep_what_has_gone_to_the_others(lone_node: Callable[..., LoneNode]) -> None:
    node = lone_node()
    node.sees(node.entry)
    users = [wire.User() for _ in range(20)]
    for user in users:
        assert wire.rpc(node.entry, "store", wire.store_params(user.account_id, b"x")).status == 200
    took = threading.Event()

    def takes(command: str, _: list[bytes]) -> list[bytes]:
        if command != "sn.data":
            return [b"OK"]
        took.set()
        return []

    with peer(takes, swarm_id=2**63) as member, peer(lambda *_: [b"500", b"busy"], swarm_id=2**63) as leaver:
        node.sees(node.entry, member.entry, leaver.entry)
        assert took.wait(30)
        node.sees(node.entry, member.entry)
        theirs = sum(_native.swarm_of(user.account_id, [0, 2**63]) != 0 for user in users)
        assert theirs
        await_that("all has gone", lambda: node.engine.stats()["messages"] == len(users) - theirs)
        assert node.engine.stats()["transfers"] == 0
