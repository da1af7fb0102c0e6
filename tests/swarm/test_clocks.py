"""Clocks that are wrong by hours: whose it is serves by the others' time, and loses and refuses nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support import wire
from tests.support.devnet import up
from tests.support.status import problems, status
from tests.support.waiting import await_that

HOURS = 8 * 3600
#: The shortest that a message may have.
TTL_MS = 10_000
#: Three looks of a node at its clock (`LOOK` in engine/src/transport/peers/time.rs).
LOOKS_MS = 3000


def store(node: dict[str, Any], user: wire.User, data: bytes, ttl_ms: int = 86_400_000) -> str:
    reply = wire.rpc(node, "store", wire.store_params(user.account_id, data, ttl_ms))
    assert reply.status == 200, reply.body
    failed = [entry for entry in reply.json()["swarm"].values() if "failed" in entry]
    assert not failed, failed
    name: str = reply.json()["hash"]
    return name


def clock(node: dict[str, Any]) -> int:
    """The time by which it goes, Unix milliseconds."""
    told: int = wire.rpc(node, "info", {}).json()["timestamp"]
    return told


def error(node: dict[str, Any]) -> int:
    """Milliseconds that the time by which it goes is ahead."""
    return clock(node) - wire.now_ms()


def complains(node: dict[str, Any], words: str) -> bool:
    """Of its clock, in these words."""
    return any("this node's clock" in what and words in what for what in problems(status(node["data_dir"])[1]))


def test_a_node_whose_clock_is_wrong_goes_by_the_others(tmp_path: Path) -> None:
    with up(tmp_path, "--nodes", "5", "--swarm-size", "5") as net:
        wrong, right = net.nodes[0], net.nodes[1]
        user = wire.User()
        kept = [store(right, user, b"for an hour", 3_600_000)]
        net.skew(0, HOURS)
        await_that("it says so", lambda: complains(wrong, "ahead of"))
        kept.append(store(right, user, b"stored meanwhile"))
        kept.append(store(wrong, user, b"stored there"))
        gone = store(right, user, b"for a moment", TTL_MS)
        assert abs(error(wrong)) < 5000
        await_that("what is over goes", lambda: gone not in wire.held(wrong, user))
        assert set(wire.held(wrong, user)) == set(kept)
        net.skew(0, -HOURS)
        await_that("it says so", lambda: complains(wrong, "behind"))
        kept.append(store(right, user, b"stored later"))
        kept.append(store(wrong, user, b"stored there later"))
        net.skew(0, 0)
        await_that("it is right again", lambda: not complains(wrong, "most others'"))
        for node in net.nodes:
            assert set(wire.held(node, user)) == set(kept)


def test_what_a_node_refused_by_its_clock_comes_once_that_is_right(tmp_path: Path) -> None:
    """Two others are too few to know whose clock is wrong."""
    with up(tmp_path, "--nodes", "3", "--swarm-size", "5") as net:
        wrong, right, _ = net.nodes
        user = wire.User()
        net.skew(0, -HOURS)
        await_that("it is behind", lambda: error(wrong) < -3_600_000)
        # A node looks at its clock once a second; what comes and goes in between it does not see.
        seen_by = clock(wrong) + LOOKS_MS
        await_that("it has been so for a while", lambda: clock(wrong) > seen_by)
        reply = wire.rpc(right, "store", wire.store_params(user.account_id, b"stored meanwhile"))
        assert reply.json()["swarm"][wrong["pubkey_ed25519"]]["code"] == "406"
        net.skew(0, 0)
        await_that("it is right", lambda: abs(error(wrong)) < 5000)
        await_that("it has it", lambda: wire.held(wrong, user) == [reply.json()["hash"]])
