"""Guards that are kept, paths that change, and a connection that comes and goes, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from allium.client import Account, NetworkError, Paths, Snode, SnodePool
from allium.client.connection import SILENT
from allium.client.credentials import AccountCredentials
from allium.client.errors import UnreachableError
from allium.client.network import Network
from allium.client.path import ROTATION_SECONDS
from allium.client.polling import poll
from allium.client.seeds import MAINNET, PINS
from allium.client.swarm import Store, store
from allium.client.transport import Transport
from tests.support.devnet import Devnet
from tests.support.standin_network import HANG_UP, StandInNetwork

HOUR = 3600 * 1000


@pytest.fixture
async def net(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[StandInNetwork]:
    async with StandInNetwork(tmp_path, unused_tcp_port) as net:
        yield net


@contextlib.asynccontextmanager
async def opened(seed: str, **known: Any) -> AsyncIterator[Network]:
    network = Network.open([seed], **known)
    try:
        yield network
    finally:
        await network.close()


def no_cursors(node: Snode) -> dict[int, str]:
    return {}


def diverse(index: int) -> Snode:
    return Snode(f"198.51.{index}.1", 1000, bytes([index + 1]) * 32, bytes([index + 100]) * 32)


async def test_guards_are_kept_over_runs(net: StandInNetwork) -> None:
    own = AccountCredentials(Account.new())
    async with opened(net.seed) as network:
        await poll(network, own, [0], no_cursors)
        first, nodes, swarms = network.paths.guards, network.pool.nodes, network.swarms
        assert len(first) == 2 and len(swarms[own.pubkey]) == 5
    entered = {node.key: node.entered for node in net.nodes}
    async with opened("http://127.0.0.1:9", nodes=nodes, guards=first, swarms=swarms) as network:
        for _ in range(5):
            await poll(network, own, [0], no_cursors)
        assert set(first) == set(network.paths.guards[:2])
    # Of five polls of five members, one or the other has a guard as its destination, and needs a third path.
    met = {node.key for node in net.nodes if node.entered > entered[node.key]}
    assert {key.hex() for key in first} <= met and len(met) <= 4


async def test_a_guard_that_fails_goes_and_one_that_is_let_down_stays(
    net: StandInNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = AccountCredentials(Account.new())
    monkeypatch.setattr("allium.client.path.REST_SECONDS", 0.0)

    async def hang_up(request: web.Request) -> Any:
        return HANG_UP

    async with opened(net.seed) as network:
        await poll(network, own, [0], no_cursors)
        first = network.paths.paths[0]
        network.paths.failed(first)
        second = network.paths.paths[0]
        assert second.guard == first.guard and not set(second.nodes[1:]) & set(first.nodes[1:])
        [node] = [node for node in net.nodes if node.ed25519 == first.guard.ed25519]
        node.entry_lie = hang_up
        for _ in range(12):
            await poll(network, own, [0], no_cursors)
        assert first.guard.ed25519 not in [path.guard.ed25519 for path in network.paths.paths]
        assert network.connection.online and len(network.paths.paths) >= 2


async def test_offline_costs_no_node_and_back_needs_no_restart(net: StandInNetwork) -> None:
    own = AccountCredentials(Account.new())
    told: list[bool] = []
    async with opened(net.seed) as network:
        network.connection.on_change.append(told.append)
        await store(network, own.pubkey, Store(0, b"before", HOUR))
        nodes, guards = len(network.pool), network.paths.guards
        assert told == [True]
        await net.stop()
        for _ in range(20):
            with pytest.raises(NetworkError):
                await poll(network, own, [0], no_cursors)
        assert told == [True, False] and network.connection.online is False
        assert len(network.pool) == nodes and set(network.paths.guards) == set(guards)
        back = asyncio.create_task(network.connection.wait())
        await net.start()
        result = await poll(network, own, [0], no_cursors)
        assert [message.data for message in result.messages] == [b"before"]
        await asyncio.wait_for(back, 5)
        assert told == [True, False, True] and set(network.paths.guards[:2]) == set(guards)
        # Nobody has a strike for it.
        assert not network.pool._strikes


async def test_no_seed_and_no_node_is_offline_too(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bool] = []
    async with opened("http://127.0.0.1:9") as network:
        network.connection.on_change.append(told.append)
        monkeypatch.setattr("allium.client.pool.SEED_ATTEMPTS", 1)
        with pytest.raises(NetworkError):
            await poll(network, AccountCredentials(Account.new()), [0], no_cursors)
        assert told == [False]


async def test_silence_is_blamed_when_others_are_heard() -> None:
    async with Transport() as transport:
        pool = SnodePool(["http://127.0.0.1:9"], transport, [diverse(i) for i in range(20)])
        connection = Paths(pool, transport).connection
        connection.silent(diverse(0), diverse(1), diverse(2))
        assert connection.online is None and not pool._strikes
        connection.heard()
        assert set(pool._strikes) == {diverse(1).ed25519, diverse(2).ed25519}
        for index in range(3, 3 + SILENT):
            connection.silent(diverse(index), diverse(index))
        assert connection.online is False
        connection.heard()
        assert connection.online and len(pool._strikes) == 2


async def test_two_paths_of_six_networks(net: StandInNetwork) -> None:
    """No two nodes of a path are in one /24, and each /24 is as likely, however many nodes are in it."""
    async with Transport() as transport:
        crowd = [Snode(f"203.0.113.{n}", 1000, bytes([n]) * 32, bytes([n + 1]) * 32) for n in range(100, 200)]
        pool = SnodePool(["http://127.0.0.1:9"], transport, [*crowd, *(diverse(i) for i in range(9))])
        chosen = [node for _ in range(200) for node in Paths(pool, transport)._choose(3, [], [])]
        assert all(len({node.subnet for node in chosen[place : place + 3]}) == 3 for place in range(0, len(chosen), 3))
        # 100 of 109 nodes, but one of ten networks: 60 of 600 are expected.
        assert sum(node.ip.startswith("203.0.113.") for node in chosen) < 150


async def test_middle_and_last_change_and_the_guard_stays(net: StandInNetwork) -> None:
    now = 0.0
    async with Transport() as transport:
        pool = SnodePool([net.seed], transport)
        await pool.ensure()
        paths = Paths(pool, transport, clock=lambda: now)
        first = [await paths.get() for _ in range(2)]
        assert {id(await paths.get()) for _ in range(4)} == {id(path) for path in first}
        now += ROTATION_SECONDS
        second = [await paths.get() for _ in range(2)]
        assert {path.guard for path in second} == {path.guard for path in first}
        assert not {id(path) for path in second} & {id(path) for path in first}
        assert len({node for path in second for node in path.nodes}) == 6


async def test_requests_go_over_quic_where_it_is_offered(
    shared_devnet: Devnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = AccountCredentials(Account.new())
    async with opened(shared_devnet.network["seed_url"]) as network:
        posted: list[str] = []
        post = network._transport.post

        async def noting(url: str, *rest: Any) -> Any:
            posted.append(url.rpartition("/")[2])
            return await post(url, *rest)

        monkeypatch.setattr(network._transport, "post", noting)
        await store(network, own.pubkey, Store(0, b"by quic", HOUR))
        await asyncio.gather(*(poll(network, own, [0], no_cursors) for _ in range(20)))
        assert "v2" not in posted and "v1" in posted  # guards are tested by HTTPS
        monkeypatch.setattr("allium.client.quic.CONNECT_SECONDS", 0.2)
        # A port where nobody speaks it: HTTPS, and not tried again with each request.
        nodes = [Snode(node.ip, node.port, node.ed25519, node.x25519, 9) for node in network.pool.nodes]
    async with opened("http://127.0.0.1:9", nodes=nodes) as network:
        for _ in range(5):
            result = await poll(network, own, [0], no_cursors)
            assert [message.data for message in result.messages] == [b"by quic"]


async def test_a_node_killed_under_polling(shared_devnet: Devnet) -> None:
    own = AccountCredentials(Account.new())
    async with opened(shared_devnet.network["seed_url"]) as network:
        await store(network, own.pubkey, Store(0, b"kept", HOUR))
        victims = {network.paths.paths[0].guard.ed25519.hex(), (await network.swarm(own.pubkey))[0].ed25519.hex()}
        indices = [i for i, node in enumerate(shared_devnet.nodes) if node["pubkey_ed25519"] in victims]
        ending = asyncio.Event()

        async def polling() -> int:
            count = 0
            while not ending.is_set():
                result = await poll(network, own, [0], no_cursors)
                assert [message.data for message in result.messages] == [b"kept"]
                count += 1
            return count

        polls = [asyncio.create_task(polling()) for _ in range(2)]
        try:
            for index in indices:
                await asyncio.to_thread(shared_devnet.run, "kill", str(index))
            for _ in range(5):
                await poll(network, own, [0], no_cursors)
            ending.set()
            assert all(count > 0 for count in await asyncio.gather(*polls))
            assert network.connection.online
        finally:
            ending.set()
            for index in indices:
                await asyncio.to_thread(shared_devnet.run, "start", str(index))
            await asyncio.gather(*polls, return_exceptions=True)


async def test_a_pinned_seed_is_believed_by_its_certificate_only(net: StandInNetwork, tmp_path: Path) -> None:
    pem = (tmp_path / "standin.pem").read_text()
    certificate = ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERTIFICATE") :])
    right, wrong = hashlib.sha256(certificate).digest(), hashlib.sha256(b"another").digest()
    async with Transport({"127.0.0.1": right}) as transport:
        pool = SnodePool([net.seed], transport)
        await pool.ensure()
        assert len(pool) == 13
    async with Transport({"127.0.0.1": wrong}) as transport:
        with pytest.raises(UnreachableError, match="certificate"):
            await transport.post(f"{net.seed}json_rpc", b"{}", 5)
        with pytest.raises(NetworkError, match="https only"):
            await transport.post(f"http://127.0.0.1:{net.port}/json_rpc", b"{}", 5)
    assert net.seeded == 1
    assert [seed.split("/")[2].split(":")[0] for seed in MAINNET] == list(PINS)
    assert all(len(digest) == 32 for digest in PINS.values())
