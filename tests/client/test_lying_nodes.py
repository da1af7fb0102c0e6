"""Nodes that lie, are silent, or say too much, over real sockets: a poll brings what honest ones have, or says why."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from allium.client import Account, NetworkError, RefusedError, Snode
from allium.client.clock import NetworkClock
from allium.client.credentials import AccountCredentials
from allium.client.network import Network, members_in
from allium.client.polling import poll, poll_everyone
from allium.client.pool import parse_states
from allium.client.swarm import Outcome, Store, confirmations, sequence, store
from tests.support.standin_network import HANG_UP, StandIn, StandInNetwork, entry_of
from tests.support.wire import now_ms

HOUR = 3600 * 1000
WORDS = (
    *("snodes", "ip", "port", "port_quic", "pubkey_ed25519", "pubkey_x25519", "result", "service_node_states"),
    *("public_ip", "storage_port", "storage_lmq_port", "swarm", "failed", "reason", "signature", "updated", "ab" * 32),
)


@pytest.fixture
async def net(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[StandInNetwork]:
    async with StandInNetwork(tmp_path, unused_tcp_port) as net:
        yield net


@contextlib.asynccontextmanager
async def opened(net: StandInNetwork, **known: Any) -> AsyncIterator[Network]:
    network = Network.open([net.seed], **known)
    try:
        yield network
    finally:
        await network.close()


def no_cursors(node: Snode) -> dict[int, str]:
    return {}


def as_one(method: str, body: Any, status: int = 200) -> Any:
    """What a lie is for one call, inside a batch or not."""

    async def lie(asked: str, params: dict[str, Any]) -> Any:
        if asked in ("batch", "sequence"):
            return 200, {"results": [{"code": status, "body": body} for _ in params["requests"]]}
        return (status, body) if asked == method else None

    return lie


ABSURD: list[Any] = [
    None,
    [],
    "",
    0,
    1e308,
    {"results": None},
    {"results": []},
    {"results": [None] * 3},
    {"results": [{"code": "200", "body": {}}] * 3},
    {"results": [{"code": 200, "body": []}] * 3},
    {"results": [{"code": 2**70, "body": {}}] * 3},
    {"results": [{"code": 200, "body": {"messages": []}}] * 900},
    {"results": [{"code": 200, "body": {"messages": []}}]},
    {"t": 2**63, "results": {"code": 200}},
]


async def test_answers_that_are_none_send_a_poll_elsewhere(net: StandInNetwork) -> None:
    own = AccountCredentials(Account.new())
    liar, *honest = net.members
    async with opened(net) as network:
        await store(network, own.pubkey, Store(0, b"text", HOUR), own)
        for body in ABSURD:
            liar.asked.clear()

            async def lie(method: str, params: dict[str, Any], body: Any = body) -> Any:
                return (200, body) if method == "batch" else None

            liar.lie = lie
            results = [await poll(network, own, [2, 3, 0], no_cursors) for _ in range(len(net.members))]
            assert {message.data for result in results for message in result.messages} == {b"text"}, body
            if "messages" not in json.dumps(body):
                assert {result.source.ed25519 for result in results} <= {node.ed25519 for node in honest}, body


@pytest.mark.parametrize("raw", [b"", b"\xff" * 100, b"bm90IHNlYWxlZA==", b"[" * 100_000])
async def test_answers_that_do_not_open(net: StandInNetwork, raw: bytes) -> None:
    own = AccountCredentials(Account.new())

    async def lie(method: str, params: dict[str, Any]) -> Any:
        return raw

    net.members[0].lie = lie
    async with opened(net) as network:
        await store(network, own.pubkey, Store(0, b"text", HOUR), own)
        for _ in range(6):
            assert [each.data for each in (await poll(network, own, [0], no_cursors)).messages] == [b"text"]


async def test_only_what_hashes_as_it_says_is_a_message(net: StandInNetwork) -> None:
    account = Account.new()
    own, now = AccountCredentials(account), now_ms()
    good = entry_of(account.account_id, 0, b"good", now)
    foreign = entry_of(Account.new().account_id, 0, b"for another", now)
    elsewhere = entry_of(account.account_id, 2, b"a config", now)
    forged = {**entry_of(account.account_id, 0, b"original", now), "data": base64.b64encode(b"changed").decode()}
    huge = entry_of(account.account_id, 0, os.urandom(200_000), now)
    timeless = {**entry_of(account.account_id, 0, b"timeless", now), "timestamp": -1, "expiration": 2**80}
    clipped = entry_of(account.account_id, 0, b"clipped", now)
    clipped["data"] = clipped["data"].rstrip("=")
    entries: list[Any] = [
        *(None, 5, "text", [], {}, {"hash": 5}, {**good, "data": 7}, {**good, "data": "%%%"}, {**good, "hash": "x"}),
        *(foreign, elsewhere, forged, huge, good, good, timeless, clipped),
    ]

    async with opened(net) as network:
        for node in net.members:
            node.lie = as_one("retrieve", {"messages": entries, "more": False, "t": True})
        result = await poll(network, own, [0], no_cursors)
        assert [message.data for message in result.messages] == [b"good", b"timeless", b"clipped"]
        assert all(now - 60_000 < each.timestamp <= network.now() for each in result.messages)
        assert all(each.expiry <= network.now() + 30 * 24 * HOUR for each in result.messages)
        assert result.cursors == {0: clipped["hash"]}


async def test_pages_that_never_end_end(net: StandInNetwork) -> None:
    own = AccountCredentials(Account.new())

    async def always_more(method: str, params: dict[str, Any]) -> Any:
        if method != "batch":
            return None
        entries = [entry_of(own.pubkey, 0, os.urandom(50_000), now_ms()) for _ in range(20)]
        return 200, {
            "results": [{"code": 200, "body": {"messages": entries, "more": True}} for _ in params["requests"]]
        }

    same = [entry_of(own.pubkey, 0, b"the same", now_ms())]
    async with opened(net) as network:
        for node in net.members:
            node.lie = always_more
        result = await poll(network, own, [0], no_cursors)
        assert result.more and 10 << 20 < sum(len(message.data) for message in result.messages) < 20 << 20
        # What has more is asked again, before the others.
        assert (await poll(network, own, [0], no_cursors)).source == result.source
        for node in net.members:
            node.lie = as_one("retrieve", {"messages": same * 200, "more": True})
        result = await poll(network, own, [0], lambda node: {0: same[0]["hash"]})
        assert not result.more and [message.data for message in result.messages] == [b"the same"]

        # More than any node may answer.
        async def endless(method: str, params: dict[str, Any]) -> Any:
            return b"x" * (13 << 20)

        for node in net.members:
            node.lie = endless
        with pytest.raises(NetworkError, match="too large"):
            await poll(network, own, [0], no_cursors)


async def test_silence_is_waited_for_only_so_long(net: StandInNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    own = AccountCredentials(Account.new())
    over = asyncio.Event()

    async def hang(method: str, params: dict[str, Any]) -> Any:
        await over.wait()

    async with opened(net) as network:
        await store(network, own.pubkey, Store(0, b"text", HOUR), own)
        monkeypatch.setattr(Network.request, "__defaults__", (0.5,))
        silent, *others = net.members
        silent.lie = hang
        for _ in range(5):
            assert [each.data for each in (await poll(network, own, [0], no_cursors)).messages] == [b"text"]
        everyone = await poll_everyone(network, own, [0])
        assert len(everyone) >= len(others) - 1 and all(each.messages for each in everyone)
        over.set()


async def test_one_refusal_is_not_believed(net: StandInNetwork) -> None:
    own = AccountCredentials(Account.new())
    for lie in (as_one("store", "no", 403), as_one("store", "elsewhere", 404), as_one("store", {"hash": "x"})):
        net.members[0].lie = lie
        async with opened(net) as network:
            for number in range(5):
                stored = await store(network, own.pubkey, Store(0, bytes([number]), HOUR))
                assert stored.expiry > network.now()
    for node in net.members:
        node.lie = as_one("store", "no", 403)
    async with opened(net) as network:
        with pytest.raises(RefusedError, match="403"):
            await store(network, own.pubkey, Store(0, b"refused by all", HOUR))


async def test_a_swarm_is_of_nodes_that_are_known(net: StandInNetwork) -> None:
    """Whoever is asked for a swarm may name itself, and nodes that there are not."""
    own = AccountCredentials(Account.new())
    outside = [{"ip": "192.0.2.9", "port": 1, "pubkey_ed25519": f"{n:02x}" * 32, "pubkey_x25519": f"{n + 99:02x}" * 32}
               for n in range(1, 9)]  # fmt: skip
    for node in net.nodes[1:]:
        node.lie = as_one("get_swarm", {"snodes": outside})
    async with opened(net) as network:
        with pytest.raises(NetworkError, match="swarm"):
            net.nodes[0].lie = as_one("get_swarm", {"snodes": 7})
            await network.swarm(own.pubkey)
    # A 421 that names nobody known costs the node its place; the swarm is asked for anew.
    for node in net.nodes:
        node.lie = None
    liar = net.members[0]
    liar.lie = as_one("retrieve", {"snodes": outside}, 421)
    async with opened(net) as network:
        await store(network, own.pubkey, Store(0, b"text", HOUR))
        for _ in range(6):
            assert (await poll(network, own, [0], no_cursors)).messages


async def test_a_list_of_nodes_takes_two_of_three(net: StandInNetwork) -> None:
    """Liars in the minority change nothing, and a majority cannot replace a network by a few of theirs."""
    theirs = {"result": {"service_node_states": [net.state(node) for node in net.nodes[:3]]}}
    async with opened(net) as network:
        await network.refresh()
        assert net.seeded == 1
        gone = net.listed.pop()  # it has left the network since
        network.pool.postpone(-1)
        await network.refresh()
        assert net.seeded == 1 and len(network.pool) == 12 and network.pool.get(gone.ed25519) is None
        for node in net.nodes:
            node.lie = as_one("oxend_request", theirs)
        network.pool.postpone(-1)
        await network.refresh()
        assert net.seeded == 2 and len(network.pool) == 12 and not network.pool.is_stale
        for node in net.nodes:
            node.lie = as_one("oxend_request", {"result": {"service_node_states": [[]] * 100_000}})
        network.pool.postpone(-1)
        await network.refresh()
        assert len(network.pool) == 12


async def test_clocks(net: StandInNetwork) -> None:
    """One node's clock is its own fault; when all refuse our time, theirs is taken."""
    own = AccountCredentials(Account.new())
    for node in net.members[:2]:
        node.ahead = 3_600_000
    async with opened(net) as network:
        for number in range(8):
            await store(network, own.pubkey, Store(0, bytes([number]), HOUR), own)
            await poll(network, own, [0], no_cursors)
            assert abs(network.now() - now_ms()) < 30_000
        # Asked, asked again by the right time, and not any more.
        assert all(node.asked.count("sequence") + node.asked.count("batch") <= 2 for node in net.members[:2])
    for node in net.nodes:
        node.ahead = -7_200_000
    async with opened(net) as network:
        assert (await poll(network, own, [0], no_cursors)).messages
        assert abs(network.now() - now_ms() + 7_200_000) < 30_000
        assert len(network.pool) == 13


async def test_a_node_of_the_path_cannot_blame_whom_it_likes(net: StandInNetwork) -> None:
    own = AccountCredentials(Account.new())

    def blaming(text: str) -> Any:
        async def lie(request: web.Request) -> Any:
            return web.Response(status=502, text=text)

        return lie

    async with opened(net) as network:
        await network.swarm(own.pubkey)
        guard = net.nodes[_number(net, network.paths.paths[0].guard)]
        used = {node.ed25519 for path in network.paths.paths for node in path.nodes}
        innocent = next(node for node in net.nodes if node.ed25519 not in used and node not in net.members)
        guard.entry_lie = blaming(f"Next node not found: {innocent.key}")
        for _ in range(6):
            await poll(network, own, [0], no_cursors)
        assert network.pool.get(innocent.ed25519) is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("ab" * 32),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=20,
)


@settings(max_examples=50)
@given(JSON)
def test_whatever_is_answered_costs_no_more_than_itself(body: Any) -> None:
    assert all(isinstance(node, Snode) for node in members_in(body))
    with contextlib.suppress(ValueError):
        assert all(isinstance(node, Snode) for node in parse_states(body))
    outcome = Outcome(200, body)
    assert outcome.named("updated", "unchanged") >= frozenset() and outcome.reason
    if isinstance(body, dict):
        assert all(not each.verified for each in confirmations(body, "x" * 43))
    clock = NetworkClock(lambda: 1_700_000_000_000)
    for number in range(3):
        clock.note(bytes([number]), body)
    clock.replace({b"node": body})
    assert isinstance(clock.now(), int)


async def test_a_fifth_of_all_requests_fails(net: StandInNetwork) -> None:
    own = AccountCredentials(Account.new())
    count = 0

    def failing(node: StandIn) -> Any:
        honest = type(net)._onion

        async def lie(request: web.Request) -> Any:
            nonlocal count
            count += 1
            match count % 15:
                case 4:
                    return HANG_UP
                case 9:
                    return web.Response(status=504, text="Request time out")
                case 14:
                    return web.Response(body=b"garbage")
            if request.path != "/onion_req/v2":
                return web.json_response({"snodes": []})
            node.entry_lie, kept = None, node.entry_lie
            try:
                return await honest(net, request)
            finally:
                node.entry_lie = kept

        return lie

    for node in net.nodes:
        node.entry_lie = failing(node)
    async with opened(net) as network:
        sent = [bytes([number]) * 10 for number in range(40)]
        for data in sent:
            await store(network, own.pubkey, Store(0, data, HOUR))
        stores = await sequence(network, own, [Store(2, data, HOUR) for data in sent])
        assert len(stores) == 40
        for _ in range(20):
            result = await poll(network, own, [2, 0], no_cursors)
            assert [message.data for message in result.messages] == [*sent, *sent]
        assert count > 80 and network.connection.online


def _number(net: StandInNetwork, node: Snode) -> int:
    return [each.ed25519 for each in net.nodes].index(node.ed25519)
