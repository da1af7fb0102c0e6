"""Where a node answers those who run it: a socket in its data directory, and a port for Prometheus."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict
from typing import Any

from aiohttp import web

from allium.base import complaint, log
from allium.base.admin_socket import SOCKET, listener
from allium.operate import exposition, health
from allium.operate.facts import Facts, FactSource

#: What metrics show and a person would not read.
_HISTOGRAMS = ("bounds", "request_times", "onion_times", "batches", "commits")


async def serve(source: FactSource) -> None:
    """Answers until cancelled. Without the socket, or the port, the node works all the same, and its log says why."""
    config, logger = source.config, log.get("operate")
    runners = []
    try:
        admin = _runner(source, status=True)
        runners.append(admin)
        try:
            await admin.setup()
            await web.SockSite(admin, listener(config.data_dir)).start()
        except OSError as error:
            logger.error("`allium status` will find no node", socket=SOCKET, reason=str(error))
        if config.metrics_port is not None:
            metrics = _runner(source, status=False)
            runners.append(metrics)
            try:
                await metrics.setup()
                await web.TCPSite(metrics, str(config.metrics_ip), config.metrics_port).start()
                logger.info("metrics", ip=str(config.metrics_ip), port=config.metrics_port)
            except OSError as error:
                source.metrics_trouble = f"port {config.metrics_port}: {os.strerror(error.errno or 0)}"
                logger.error("metrics are not served", reason=source.metrics_trouble)
        await asyncio.Event().wait()
    finally:
        (config.data_dir / SOCKET).unlink(missing_ok=True)
        await asyncio.gather(*(runner.cleanup() for runner in runners))


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
    told = {"well": not findings, "problems": [asdict(finding) for finding in findings], **asdict(facts)}
    told["engine"] = {name: value for name, value in facts.engine.items() if name not in _HISTOGRAMS}
    return told
