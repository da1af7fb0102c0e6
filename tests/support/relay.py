"""A relay of WalletConnect's kind: whoever is subscribed to a topic gets what others send to it."""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import WSMsgType, web

from allium.devnet.layout import LOOPBACK


class Relay:
    """It keeps everything, as a wallet may come later than what was sent to it."""

    def __init__(self) -> None:
        self.url = ""
        #: As each client named its project.
        self.projects: list[str] = []
        self._topics: dict[str, set[web.WebSocketResponse]] = defaultdict(set)
        self._sent: dict[str, list[tuple[web.WebSocketResponse, dict[str, Any]]]] = defaultdict(list)
        self._numbers = itertools.count(1)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Relay]:
        """Until the block ends."""
        runner = web.ServerRunner(web.Server(self._client), shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, LOOPBACK, 0)
        await site.start()
        self.url = f"ws://{LOOPBACK}:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _client(self, request: web.BaseRequest) -> web.WebSocketResponse:
        self.projects.append(request.query.get("projectId", ""))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                asked = json.loads(message.data)
                if "method" in asked:
                    await socket.send_json(
                        {"id": asked["id"], "jsonrpc": "2.0", "result": await self._done(socket, asked)}
                    )
        for clients in self._topics.values():
            clients.discard(socket)
        return socket

    async def _done(self, socket: web.WebSocketResponse, asked: dict[str, Any]) -> Any:
        given = asked["params"]
        match asked["method"]:
            case "irn_subscribe":
                return await self._subscribe(socket, given["topic"])
            case "irn_batchSubscribe":
                return [await self._subscribe(socket, topic) for topic in given["topics"]]
            case "irn_batchFetchMessages" | "irn_fetchMessages":
                return {"messages": [], "hasMore": False}
            case "irn_publish":
                await self._publish(socket, given["topic"], given["message"], given.get("tag", 0))
            case "wc_proposeSession":
                self._topics[given["pairingTopic"]].add(socket)
                await self._publish(socket, given["pairingTopic"], given["sessionProposal"], 1100)
            case "wc_approveSession":
                self._topics[given["sessionTopic"]].add(socket)
                await self._publish(socket, given["pairingTopic"], given["sessionProposalResponse"], 1101)
                await self._publish(socket, given["sessionTopic"], given["sessionSettlementRequest"], 1102)
        return True

    async def _subscribe(self, socket: web.WebSocketResponse, topic: str) -> str:
        if socket not in self._topics[topic]:
            self._topics[topic].add(socket)
            for sender, told in self._sent[topic]:
                if sender is not socket:
                    await self._push(socket, told)
        return topic

    async def _publish(self, sender: web.WebSocketResponse, topic: str, message: str, tag: int) -> None:
        told = {"topic": topic, "message": message, "publishedAt": int(time.time() * 1000), "tag": tag}
        self._sent[topic].append((sender, told))
        for client in list(self._topics[topic]):
            if client is not sender:
                await self._push(client, told)

    async def _push(self, socket: web.WebSocketResponse, told: dict[str, Any]) -> None:
        number = int(time.time() * 1000) * 1000 + next(self._numbers)
        params = {"id": told["topic"], "data": told}
        with contextlib.suppress(ConnectionError):
            await socket.send_json({"id": number, "jsonrpc": "2.0", "method": "irn_subscription", "params": params})
