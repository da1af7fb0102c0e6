"""The last node of a path lies about a server, or the server does: neither pays for the other."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from allium.client import Account
from allium.client.communities.server import CommunityServer
from allium.client.configs.community import Community
from allium.client.exchange import ServerRequest
from allium.client.network import Network
from allium.client.servers import OnionRoute, PathFailedError, ServerUnreachableError, perform
from tests.support.sogs_server import SogsServer, sogs_server
from tests.support.standin_network import StandIn, StandInNetwork

LIES = [
    web.Response(body=b""),
    web.Response(body=b'l12:{"code":200}e'),
    web.Response(body=os.urandom(300)),
    web.Response(status=502, text="connection refused"),
    web.Response(status=502, text="Next node not found: " + "ab" * 32),
    web.Response(status=503, text="Snode not ready: " + "ab" * 32),
    web.Response(status=504, text="Request time out"),
    web.Response(status=500, text="Invalid response from snode"),
    web.Response(status=400, text="Invalid ciphertext"),
]


@pytest_asyncio.fixture
async def net(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[StandInNetwork]:
    async with StandInNetwork(tmp_path, unused_tcp_port) as made:
        yield made


@pytest_asyncio.fixture
async def route(net: StandInNetwork) -> AsyncIterator[OnionRoute]:
    network = Network.open([net.seed])
    made = OnionRoute(network)
    yield made
    await made.close()
    await network.close()


@pytest_asyncio.fixture
async def sogs() -> AsyncIterator[SogsServer]:
    async with sogs_server() as made:
        yield made


def member(route: OnionRoute, sogs: SogsServer) -> CommunityServer:
    return CommunityServer(route, Account.new(), Community.parse(sogs.join_url("lobby")).server)


def last_of(net: StandInNetwork, route: OnionRoute, number: int) -> StandIn:
    key = route.network.paths.paths[number].nodes[-1].ed25519
    return next(node for node in net.nodes if node.ed25519 == key)


@pytest.mark.parametrize("lie", LIES)
async def test_another_path_does_what_a_lying_node_did_not(
    net: StandInNetwork, route: OnionRoute, sogs: SogsServer, lie: web.Response
) -> None:
    server = member(route, sogs)
    await server.rooms()
    liar = last_of(net, route, 0)
    liar.server_lie = lie
    for _ in range(4):
        assert [room.token for room in await server.rooms()] == ["lobby"]


async def test_who_lies_is_found_out_by_the_other_path(
    net: StandInNetwork, route: OnionRoute, sogs: SogsServer
) -> None:
    server = member(route, sogs)
    await server.rooms()
    liar = last_of(net, route, 0)
    liar.server_lie = web.Response(body=os.urandom(300))
    for _ in range(4):
        await server.rooms()
    # The path has other nodes behind its guard since.
    assert all(path.nodes[-1].ed25519 != liar.ed25519 for path in route.network.paths.paths)


async def test_a_server_that_lies_costs_no_path(net: StandInNetwork, route: OnionRoute, sogs: SogsServer) -> None:
    server = member(route, sogs)
    await server.rooms()
    paths = [list(path.nodes) for path in route.network.paths.paths]
    for node in net.nodes:
        node.server_lie = web.Response(body=os.urandom(300))
    for _ in range(6):
        with pytest.raises(ServerUnreachableError):
            await server.rooms()
    assert [list(path.nodes) for path in route.network.paths.paths] == paths
    assert len(route.network.pool) == len(net.nodes)


async def test_what_may_have_arrived_is_not_sent_again(
    net: StandInNetwork, route: OnionRoute, sogs: SogsServer
) -> None:
    where = Community.parse(sogs.join_url("lobby")).server
    request = ServerRequest("POST", "/room/lobby/message")
    for node in net.nodes:
        node.server_lie = web.Response(status=504, text="Request time out")
    with pytest.raises(PathFailedError) as failed:
        await perform(route, where, request)
    assert failed.value.arrived and sum(node.entered for node in net.nodes) <= 3
