"""A provider of the EVM chain that can be told how to fail: it stands before a real anvil."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import aiohttp
from aiohttp import web

#: What a provider makes of a call: its own answer, or `None` to pass the call on.
Meddle = Callable[[str, list[Any]], Any]
#: What it makes of anvil's answer.
Twist = Callable[[str, list[Any], Any], Any]


class Provider:
    """An honest provider, until told otherwise."""

    def __init__(self, url: str) -> None:
        self._upstream = url
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self.meddle: Meddle = lambda method, params: None
        self.twist: Twist = lambda method, params, result: result
        #: Every call, in order.
        self.calls: list[tuple[str, list[Any]]] = []
        self.url = ""

    async def start(self) -> Provider:
        application = web.Application()
        application.router.add_post("/secret-of-an-account", self._answer)
        self._session = aiohttp.ClientSession()
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/secret-of-an-account"
        return self

    async def stop(self) -> None:
        assert self._runner is not None and self._session is not None
        await self._runner.cleanup()
        await self._session.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        call = json.loads(await request.read())
        method, params = call["method"], call["params"]
        self.calls.append((method, params))
        own = self.meddle(method, params)
        if isinstance(own, web.StreamResponse):
            return own
        if own is not None:
            return web.json_response({"jsonrpc": "2.0", "id": call["id"], **own})
        assert self._session is not None
        async with self._session.post(self._upstream, json=call) as answer:
            said = json.loads(await answer.read())
        if "result" in said:
            said["result"] = self.twist(method, params, said["result"])
        return web.json_response(said)


def refusing(limit: int) -> Meddle:
    """Gives no more than so many blocks of logs at once."""

    def meddle(method: str, params: list[Any]) -> Any:
        if method != "eth_getLogs":
            return None
        blocks = int(params[0]["toBlock"], 16) - int(params[0]["fromBlock"], 16) + 1
        return {"error": {"code": -32005, "message": f"at most {limit} blocks"}} if blocks > limit else None

    return meddle


def saying(body: bytes, status: int = 200) -> Meddle:
    """Says the same whatever it is asked."""
    return lambda method, params: web.Response(body=body, status=status)
