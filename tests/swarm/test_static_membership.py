"""The network from a file: what is accepted, what is refused, and what happens when the file changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from allium.membership import MembershipError
from allium.membership.static import StaticMembership, parse, read


def node(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "pubkey_legacy": f"{number:02x}" * 32,
        "pubkey_ed25519": f"{number + 64:02x}" * 32,
        "pubkey_x25519": f"{number + 128:02x}" * 32,
        "ip": "127.0.0.1",
        "https_port": 1000 + number,
        "omq_port": 2000 + number,
        "swarm_id": 2**64 - 1,
        **changes,
    }


def without(entry: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != name}


def write(path: Path, nodes: list[dict[str, Any]], **rest: Any) -> None:
    """Replaces the file in one step, as a careful writer does."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"nodes": nodes, **rest}))
    fresh.replace(path)


def test_defaults_and_what_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    write(path, [node(1, data_dir="/x", pid=7), node(2, version=[2, 8, 0])], seed_url="http://localhost/")
    network = read(path)
    assert network == {
        "height": 0,
        "block_hash": "",
        "hardfork": (19, 4),
        "nodes": [node(1), node(2, version=(2, 8, 0))],
    }


def test_upper_case_keys_are_the_same_keys() -> None:
    network = parse({"nodes": [node(1, pubkey_legacy="AB" * 32)], "block_hash": "CD" * 32})
    assert network["nodes"][0]["pubkey_legacy"] == "ab" * 32
    assert network["block_hash"] == "cd" * 32


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "must be an object with a list of nodes"),
        ({}, '"nodes" must be a list'),
        ({"nodes": [1]}, "nodes[0] must be an object"),
        ({"nodes": [node(1), without(node(2), "swarm_id")]}, "nodes[1] has no swarm_id"),
        ({"nodes": [node(1, pubkey_x25519="12")]}, "nodes[0].pubkey_x25519 must be 64 hex digits, not '12'"),
        ({"nodes": [node(1, pubkey_legacy="12" * 32 + "\n")]}, "nodes[0].pubkey_legacy must be 64 hex digits"),
        ({"nodes": [node(1, ip="::1")]}, "nodes[0].ip must be an IPv4 address"),
        ({"nodes": [node(1, ip=1)]}, "nodes[0].ip must be an IPv4 address"),
        ({"nodes": [node(1, https_port=0)]}, "nodes[0].https_port must be a whole number from 1 to 65535, not 0"),
        ({"nodes": [node(1, omq_port=True)]}, "nodes[0].omq_port must be a whole number"),
        ({"nodes": [node(1, swarm_id=2**64)]}, "nodes[0].swarm_id must be a whole number"),
        ({"nodes": [node(1, swarm_id="7")]}, "nodes[0].swarm_id must be a whole number"),
        ({"nodes": [node(1, swarm_id=1e18)]}, "nodes[0].swarm_id must be a whole number"),
        ({"nodes": [node(1, version=[2, 8])]}, "nodes[0].version must be [major, minor, patch]"),
        ({"nodes": [node(1), node(1)]}, "nodes[0] and nodes[1] have the same pubkey_legacy"),
        ({"nodes": [], "hardfork": 19}, "hardfork must be [version, revision]"),
        ({"nodes": [], "height": -1}, "height must be a whole number"),
        ({"nodes": [], "block_hash": None}, "block_hash must be 64 hex digits"),
    ],
)
def test_mistakes_are_named(document: Any, complaint: str) -> None:
    with pytest.raises(MembershipError) as refusal:
        parse(document)
    assert complaint in str(refusal.value)


def test_a_file_that_is_no_json_or_absent_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    with pytest.raises(MembershipError, match="cannot be read: No such file"):
        read(path)
    for content in (b"{", b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(MembershipError, match=r"nodes\.json"):
            read(path)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        7,
        "node",
        [],
        without(node(2), "omq_port"),
        node(2, https_port=1e400),
        node(2, https_port=float("nan")),
        node(2, pubkey_ed25519="0" * 64),
        node(2, ip="2001:db8::1"),
        node(2, pubkey_x25519=node(1)["pubkey_x25519"]),
        node(1),
    ],
)
def test_a_bad_entry_of_a_file_costs_that_entry(bad: Any, tmp_path: Path) -> None:
    path = tmp_path / "nodes.json"
    write(path, [node(1), bad, node(3)])
    assert read(path)["nodes"] == [node(1), node(3)]
    write(path, [bad])
    if bad != node(1) and not (isinstance(bad, dict) and bad.get("pubkey_x25519") == node(1)["pubkey_x25519"]):
        with pytest.raises(MembershipError, match=r"nodes\[0\]"):
            read(path)


async def soon(snapshots: AsyncIterator[Any]) -> Any:
    return await asyncio.wait_for(anext(snapshots), 5)


def test_changes_arrive_and_broken_files_do_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "nodes.json"
        write(path, [node(1)])
        snapshots = aiter(StaticMembership(path, poll_seconds=0.01))
        assert len((await soon(snapshots))["nodes"]) == 1
        following = asyncio.create_task(soon(snapshots))
        for broken in ("{", ""):
            path.write_text(broken)
            await asyncio.sleep(0.05)
        path.unlink()
        await asyncio.sleep(0.05)
        assert not following.done()
        write(path, [node(1), node(2)])
        assert len((await following)["nodes"]) == 2

    asyncio.run(scenario())


def test_a_rewrite_of_the_same_network_is_no_news_unless_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "nodes.json"
        write(path, [node(1)])
        membership = StaticMembership(path, poll_seconds=0.01)
        snapshots = aiter(membership)
        first = await soon(snapshots)
        following = asyncio.create_task(soon(snapshots))
        write(path, [node(1)])
        await asyncio.sleep(0.1)
        assert not following.done()
        membership.reload()
        assert await following == first

    asyncio.run(scenario())


def test_reload_does_not_wait_for_the_poll(tmp_path: Path) -> None:
    async def scenario() -> None:
        path = tmp_path / "nodes.json"
        write(path, [node(1)])
        membership = StaticMembership(path, poll_seconds=3600)
        snapshots = aiter(membership)
        await soon(snapshots)
        following = asyncio.create_task(soon(snapshots))
        await asyncio.sleep(0.02)
        write(path, [node(2)])
        membership.reload()
        assert (await following)["nodes"] == [node(2)]

    asyncio.run(scenario())


def test_a_first_reading_that_fails_is_an_error(tmp_path: Path) -> None:
    async def scenario() -> None:
        await soon(aiter(StaticMembership(tmp_path / "none.json")))

    with pytest.raises(MembershipError):
        asyncio.run(scenario())
