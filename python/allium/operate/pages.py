"""What a node tells over HTTP those who run it: how it is, and its metrics."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import asdict
from typing import Any

from aiohttp import web

from allium import __version__
from allium.base import complaint
from allium.operate import exposition, health
from allium.operate.facts import Facts, FactSource

#: What metrics show and a person would not read.
_HISTOGRAMS = ("bounds", "request_times", "onion_times", "batches", "commits")


async def serve(source: FactSource, listener: socket.socket, status: bool) -> None:
    """Answers on a listening socket until cancelled: metrics, and with `status` how the node is."""
    runner = _runner(source, status)
    try:
        await runner.setup()
        await web.SockSite(runner, listener).start()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _runner(source: FactSource, status: bool) -> web.AppRunner:
    async def metrics(request: web.Request) -> web.Response:
        try:
            facts = await _gathered(source)
        except web.HTTPServiceUnavailable as error:
            # Who asks the port need not be who runs the node.
            raise error if status else web.HTTPServiceUnavailable(text="see `allium status`\n") from None
        text, content_type = exposition.render(facts, request.headers.get("Accept", ""))
        return web.Response(body=text, headers={"Content-Type": content_type})

    async def told(_: web.Request) -> web.Response:
        return web.json_response(document(await _gathered(source)))

    application = web.Application(client_max_size=1)
    application.router.add_get("/metrics", metrics)
    if status:
        application.router.add_get("/status", told)
    return web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1.0)


async def _gathered(source: FactSource) -> Facts:
    try:
        return await source.gather()
    except Exception as error:
        raise web.HTTPServiceUnavailable(text=f"{complaint.sentence(error).text}\n") from None


def document(facts: Facts) -> dict[str, Any]:
    """What `allium status --json` prints."""
    findings = health.judge(facts)
    told = {"well": not findings, "problems": [asdict(finding) for finding in findings], "version": __version__}
    told |= asdict(facts)
    told["engine"] = {name: value for name, value in facts.engine.items() if name not in _HISTOGRAMS}
    return told
