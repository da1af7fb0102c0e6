"""HTTP to push services: little of each answer, no redirects, public addresses alone where strangers say where."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from allium.base import unreached
from allium.push.endpoints import PublicResolver

#: Of an answer, which says in a line what is wrong.
_MOST_ANSWER = 16 << 10
#: What one request may take.
_SECONDS = 15.0
_USER_AGENT = "allium-push"


class NoAnswerError(Exception):
    """There was none; the text says why, and names no address."""


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """What a service has answered; of a long body the beginning."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Outgoing:
    """Connections to push services."""

    def __init__(self, connections: int, public_only: bool) -> None:
        """`public_only`: names that lead to private addresses are not followed."""
        resolver = PublicResolver() if public_only else None
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, resolver=resolver, keepalive_timeout=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": _USER_AGENT},
            trust_env=False,
            auto_decompress=False,
        )

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> ServiceAnswer:
        """Raises `NoAnswerError`."""
        try:
            async with (
                asyncio.timeout(_SECONDS),
                self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                received = await answer.content.read(_MOST_ANSWER)
                return ServiceAnswer(answer.status, answer.headers, received)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # a time-out is an `OSError`
            raise NoAnswerError(unreached.words(error)) from None

    async def close(self) -> None:
        """Ends all connections."""
        await self._session.close()
