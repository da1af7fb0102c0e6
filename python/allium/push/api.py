"""What clients ask, and the exact answers (`spec/files-and-calls` §5): the same by HTTP and in onion requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from allium.base import log
from allium.errors import Complaint
from allium.push.metrics import PushMetrics
from allium.push.service import PushService
from allium.push.subscription import (
    ErrorCode,
    RequestError,
    Subscription,
    Unsubscription,
    decode_body,
    parse_subscription,
    parse_unsubscription,
    prove,
)
from allium.server.messages import Answer, Request, document, failure, not_allowed

#: What a body may have (`spec/client-network`).
MOST_BODY = 100_000
#: What the database may take.
_PATIENCE_SECONDS = 10.0

Item = TypeVar("Item", Subscription, Unsubscription)
Parse = Callable[[Any, float, Any], Item]
Carry = Callable[[list[Item]], Awaitable[list[dict[str, Any]]]]


class PushApi:
    """Answers requests."""

    def __init__(self, service: PushService, metrics: PushMetrics, vapid: str | None) -> None:
        """`vapid`: the server's public key for Web Push, in URL-safe base64."""
        self._service = service
        self._metrics = metrics
        self._vapid = vapid
        self._log = log.get("push")

    async def answer(self, request: Request) -> Answer:
        """The answer. Raises only what reading the body raises."""
        match (request.method, request.path):
            case "POST", "/subscribe":
                return await self._items(request, "subscribe", parse_subscription, self._subscribe)
            case "POST", "/unsubscribe":
                return await self._items(request, "unsubscribe", parse_unsubscription, self._unsubscribe)
            case "GET", "/services":
                return document(200, {"services": sorted(self._service.services), "vapid": self._vapid})
            case _, "/subscribe" | "/unsubscribe":
                return not_allowed("POST")
            case _, "/services":
                return not_allowed("GET")
        return failure(404)

    async def _items(self, request: Request, what: str, parse: Parse[Item], carry: Carry[Item]) -> Answer:
        try:
            given = decode_body(await _body(request))
        except RequestError as error:
            self._metrics.asked.labels(what, str(error.code.value)).inc()
            return document(200, refusal(error))
        items = given if isinstance(given, list) else [given]
        told = await self._carried(items, parse, carry)
        for one in told:
            self._metrics.asked.labels(what, str(one.get("error", "success"))).inc()
        return document(200, told if isinstance(given, list) else told[0])

    async def _carried(self, items: Sequence[Any], parse: Parse[Item], carry: Carry[Item]) -> list[dict[str, Any]]:
        """An answer for each item; what is wrong with one is no matter to the others."""
        told: list[dict[str, Any]] = [{}] * len(items)
        parsed: list[tuple[int, Item]] = []
        now = time.time()
        for index, item in enumerate(items):
            try:
                parsed.append((index, parse(item, now, self._service.services)))
            except RequestError as error:
                told[index] = refusal(error)
        proven: list[tuple[int, Item]] = []
        for (index, asked), holds in zip(parsed, prove([asked for _, asked in parsed]), strict=True):
            if holds:
                proven.append((index, asked))
            else:
                unproven = RequestError(ErrorCode.BAD_INPUT, "Invalid request: the signature does not verify")
                told[index] = refusal(unproven)
        answers = await self._guarded([asked for _, asked in proven], carry)
        for (index, _), answer in zip(proven, answers, strict=True):
            told[index] = answer
        return told

    async def _guarded(self, asked: list[Item], carry: Carry[Item]) -> list[dict[str, Any]]:
        if not asked:
            return []
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await carry(asked)
        except TimeoutError:
            error = RequestError(ErrorCode.SERVICE_TIMEOUT, "the server is busy; try again")
        except Complaint as failed:
            self._log.error("a request failed", reason=str(failed))
            error = RequestError(ErrorCode.ERROR, "the server cannot keep it now; try again")
        except Exception as failed:
            log.failure(self._log, "a request failed", failed)
            error = RequestError(ErrorCode.INTERNAL_ERROR, "the server failed")
        return [refusal(error)] * len(asked)

    async def _subscribe(self, asked: list[Subscription]) -> list[dict[str, Any]]:
        words = {True: ("added", "Subscription successful"), False: ("updated", "Resubscription successful")}
        told: list[dict[str, Any]] = []
        for new in await self._service.subscribe(asked):
            if new is None:
                told.append(refusal(RequestError(ErrorCode.ERROR, "this server has as many subscriptions as it may")))
                continue
            name, text = words[new]
            told.append({"success": True, name: True, "message": text})
        return told

    async def _unsubscribe(self, asked: list[Unsubscription]) -> list[dict[str, Any]]:
        told = []
        for one in asked:
            removed = await self._service.unsubscribe(one)
            text = "Device unsubscribed" if removed else "Device was not subscribed"
            told.append({"success": True, "removed": removed, "message": text})
        return told


def refusal(error: RequestError) -> dict[str, Any]:
    """What a client is told that is refused."""
    return {"success": False, "error": error.code.value, "message": str(error)}


async def _body(request: Request) -> bytes:
    if request.length is None or request.length == 0:
        raise RequestError(ErrorCode.BAD_INPUT, "Invalid request: request body missing")
    body = bytearray()
    if request.length <= MOST_BODY:
        async for chunk in request.body:
            body += chunk
            if len(body) > MOST_BODY:
                break
    if request.length > MOST_BODY or len(body) > MOST_BODY:
        raise RequestError(ErrorCode.BAD_INPUT, "Invalid request: request too large")
    return bytes(body)
