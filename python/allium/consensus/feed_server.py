"""Answers those who follow through this node (`consensus.feed`)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from allium.appchain.certificates import Certificate
from allium.appchain.encoding import EncodingError, decode
from allium.appchain.types import Height
from allium.base import log
from allium.consensus import CertificateRefusedError
from allium.consensus.feed import WAIT_SECONDS, FeedError
from allium.consensus.replica import Replica

_MAX_CERTIFICATE = 16 << 10
_MAX_HEIGHT = 2**63 - 1

Submit = Callable[[Certificate], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(replica: Replica, submit: Submit, host: str, port: int) -> AsyncIterator[None]:
    """Answers others while the context is open; `OSError` when the port cannot be had."""
    runner = web.AppRunner(_application(replica, submit), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()


def _application(replica: Replica, submit: Submit) -> web.Application:
    async def blocks(request: web.Request) -> web.Response:
        after = _number(request, "after", _MAX_HEIGHT)
        wait = _number(request, "wait", WAIT_SECONDS)
        await replica.states.reached(Height(after), wait)
        return web.Response(body=await replica.blocks(Height(after)))

    async def newest(_: web.Request) -> web.Response:
        body = await replica.newest_snapshot()
        return web.Response(status=404) if body is None else web.Response(body=body)

    async def certificates(request: web.Request) -> web.Response:
        try:
            await submit(decode(Certificate, await request.read()))
        except (EncodingError, CertificateRefusedError) as error:
            return web.Response(status=400, text=str(error))
        except FeedError as error:
            # A follower that has not found whom to hand it to yet.
            log.get("consensus").warning("a certificate could not be handed on", reason=str(error))
            return web.Response(status=503, text="nobody to hand it to; try again later")
        return web.Response(status=202)

    application = web.Application(client_max_size=_MAX_CERTIFICATE)
    application.add_routes(
        [
            web.get("/v1/blocks", blocks),
            web.get("/v1/snapshot", newest),
            web.post("/v1/certificates", certificates),
        ]
    )
    return application


def _number(request: web.Request, name: str, most: int) -> int:
    text = request.query.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= most):
        raise web.HTTPBadRequest(text=f"{name} must be a whole number up to {most}")
    return int(text)
