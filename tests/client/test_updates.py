"""What the project's servers tell every client, asked for under a key that is nobody's."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from nacl import bindings

from allium.client.account import Account
from allium.client.configs.community import Server
from allium.client.errors import NetworkError, RefusedError
from allium.client.servers import DirectRoute
from allium.client.transfers import updates
from allium.client.transfers.transfer import FileServer

ALICE = Account(bytes(range(16)))
ID = "07dd3d6d153503c02e1c65231b6839805c664534140936349de53a8cfe1d179c16"
INFO = {
    "t": 5,
    "price": {"usd": 1.5, "usd_market_cap": 2e8, "t_price": 1_700_000_000, "t_stale": 1_700_000_300},
    "token": {"staking_requirement": 25_000, "staking_reward_pool": 4e7, "contract_address": "0x" + "ab" * 20},
    "network": {"network_size": 1_500, "network_staked_tokens": 4.5e7, "network_staked_usd": 6.75e7},
}


class InfoServer:
    """Checks the signature of each request, and says what it is told to."""

    def __init__(self) -> None:
        self.said: Any = None
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        shown, stamp = request.headers["X-FS-Pubkey"], request.headers["X-FS-Timestamp"]
        signature = base64.b64decode(request.headers["X-FS-Signature"], validate=True)
        text = f"{stamp}{request.method}{request.raw_path}".encode()
        assert shown == ID and abs(int(stamp) - time.time()) < 60
        bindings.crypto_sign_open(signature + text, bytes.fromhex(shown[2:]))
        if request.path == "/session_version" and request.query["platform"] == "ios":
            return web.Response(status=502)
        body = self.said if isinstance(self.said, bytes) else json.dumps(self.said).encode()
        return web.Response(body=body)


@pytest_asyncio.fixture
async def server() -> AsyncIterator[InfoServer]:
    made = InfoServer()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest_asyncio.fixture
async def route() -> AsyncIterator[DirectRoute]:
    made = DirectRoute(lambda server: True)
    yield made
    await made.close()


def now() -> int:
    return int(time.time())


async def test_the_newest_version(server: InfoServer, route: DirectRoute) -> None:
    files = FileServer(server.url)
    server.said = {"result": "1.18.0", "updated": 5.0, "name": "Session 1.18.0", "notes": "better\n\u202e"}
    found = await updates.newest(route, ALICE, "desktop", now(), server=files)
    assert found == updates.Release("1.18.0", "Session 1.18.0", "better")
    with pytest.raises(RefusedError):
        await updates.newest(route, ALICE, "ios", now(), server=files)


async def test_figures_of_the_network(server: InfoServer, route: DirectRoute) -> None:
    where = Server(server.url, b"\1" * 32)
    server.said = INFO
    found = await updates.network_figures(route, ALICE, now(), where)
    assert (found.price_usd, found.size, found.staking_requirement) == (1.5, 1_500, 25_000)
    assert (found.stale, found.contract) == (1_700_000_300, "0x" + "ab" * 20)


@pytest.mark.parametrize("said", [None, [], 5, b"<html>", {}, {"result": 5}, {"result": ""}, {"result": "x" * 100}])
async def test_answers_that_are_none(server: InfoServer, route: DirectRoute, said: Any) -> None:
    server.said = said
    with pytest.raises(NetworkError):
        await updates.newest(route, ALICE, "desktop", now(), server=FileServer(server.url))
    where = Server(server.url, b"\1" * 32)
    if isinstance(said, dict):
        assert await updates.network_figures(route, ALICE, now(), where) == updates.NetworkFigures()
    else:
        with pytest.raises(NetworkError):
            await updates.network_figures(route, ALICE, now(), where)


async def test_absurd_figures_are_none(server: InfoServer, route: DirectRoute) -> None:
    server.said = b'{"price": {"usd": 1e999, "t_price": -5}, "token": [], "network": {"network_size": true}}'
    assert (
        await updates.network_figures(route, ALICE, now(), Server(server.url, b"\1" * 32)) == updates.NetworkFigures()
    )
