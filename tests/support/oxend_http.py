"""The live network's daemon as a portal sees it: JSON-RPC over HTTP, with answers that a test gives it."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Self

from aiohttp import web


class OxendServer:
    """Answers `results` by method; a method without one is refused, as the daemon does it."""

    def __init__(self) -> None:
        self.results: dict[str, Any] = {}
        #: Bodies in the place of any answer, by method.
        self.bodies: dict[str, bytes] = {}
        self.calls: list[tuple[str, Any]] = []
        #: Methods that get no answer until this is set.
        self.held: dict[str, asyncio.Event] = {}
        self.url = ""

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_post("/json_rpc", self._answer)
        application.router.add_get("/price", self._price)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        asked = json.loads(await request.read())
        method, params = asked["method"], asked.get("params")
        self.calls.append((method, params))
        if method in self.held:
            await self.held[method].wait()
        if method in self.bodies:
            return web.Response(body=self.bodies[method])
        told: dict[str, Any] = {"jsonrpc": "2.0", "id": asked["id"]}
        if method in self.results:
            result = self.results[method]
            told["result"] = result(params) if callable(result) else result
        else:
            told["error"] = {"code": -32601, "message": f"{method} cannot be done now"}
        return web.json_response(told)

    async def _price(self, request: web.Request) -> web.Response:
        self.calls.append(("price", dict(request.query)))
        return web.json_response(self.results["price"])
