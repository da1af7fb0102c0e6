"""What a token costs, as a price service that whoever runs the portal names says it; nobody is asked without (§4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

from allium.base import log, unreached, urls
from allium.portal.documents import Price

#: How long a price counts as one of now; after a failure, when the service is asked again.
FRESH_SECONDS, _RETRY_SECONDS = 300, 30.0
_MOST_BYTES, _SECONDS = 1 << 20, 10.0
#: An answer has two of them for each token.
_MOST_TOKENS = 100


class NoPriceError(LookupError):
    """There is no price now: `known` says whether there is such a token at all."""

    def __init__(self, known: bool) -> None:
        super().__init__("there is no price at the moment" if known else "no price of that is known here")
        self.known = known


class Prices:
    """Prices in the form of CoinGecko's `simple/price`: `{"session-token": {"usd": 1, "usd_market_cap": 2}}`."""

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._told: Mapping[str, Price] = {}
        self._fresh_until = 0.0
        self._turn = asyncio.Lock()
        self._logger = log.get("portal")

    async def price(self, token: str | None) -> Price:
        """Of a token, by the service's name for it, or of its only or first one; raises `NoPriceError`."""
        if self._url is None:
            raise NoPriceError(known=False)
        async with self._turn:
            if time.monotonic() >= self._fresh_until:
                await self._ask(self._url)
        if not self._told:
            raise NoPriceError(known=True)
        found = self._told.get(next(iter(self._told)) if token is None else token)
        if found is None:
            raise NoPriceError(known=False)
        return found

    async def _ask(self, url: str) -> None:
        """What it does not say stays as it was."""
        try:
            timeout = aiohttp.ClientTimeout(total=_SECONDS)
            async with (
                aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session,
                session.get(url, allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    raise ValueError(f"HTTP status {answer.status}")
                told = _read(await _whole(answer))
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError, RecursionError) as error:
            self._fresh_until = time.monotonic() + _RETRY_SECONDS
            reason = urls.redacted(unreached.words(error))
            self._logger.warning("the price service does not answer", at=urls.place(url), reason=reason[:200])
            return
        self._told = told
        self._fresh_until = time.monotonic() + FRESH_SECONDS


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in answer.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > _MOST_BYTES:
            raise ValueError("more than 1 MiB")
    return b"".join(parts)


def _read(body: bytes) -> dict[str, Price]:
    """Every token with a price; raises `ValueError` when there is none."""
    told = msgspec.json.decode(body)
    now = int(time.time())
    found = {}
    for name, entry in list(told.items())[:_MOST_TOKENS] if isinstance(told, dict) else ():
        usd = _amount(entry.get("usd")) if isinstance(entry, dict) else None
        if usd is not None:
            cap = _amount(entry.get("usd_market_cap"))
            at = entry.get("last_updated_at")
            when = at if type(at) is int and 0 < at <= now else now
            found[name] = Price(usd=usd, usd_market_cap=cap or 0.0, t_price=when, t_stale=now + FRESH_SECONDS)
    if not found:
        raise ValueError("no price in its answer")
    return found


def _amount(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and 0 <= value < 1e18 else None
