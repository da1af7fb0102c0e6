"""One provider of the EVM chain. It is a stranger: what it says is bounded, checked, and believed when others agree."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
from pydantic_core import from_json
from web3 import AsyncWeb3
from web3.providers.async_base import AsyncJSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from allium import log

T = TypeVar("T")

#: What one answer may have. A range of logs that is larger is asked for in parts.
_MAX_ANSWER = 16 << 20
_TIMEOUT = aiohttp.ClientTimeout(total=20, connect=5)
_TEXT = 200


class ProviderFault(Exception):
    """What is wrong with a provider, or with what it said."""


class TooMuch(ProviderFault):
    """A provider that refuses a question, or whose answer is too large: a smaller question may do."""


class _Http(AsyncJSONBaseProvider):
    """JSON-RPC over HTTP as `web3` speaks it, with an end to what may come back."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        body, headers = self.encode_rpc_request(method, params), {"Content-Type": "application/json"}
        async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer:
            parts, size = [], 0
            async for part in answer.content.iter_any():
                parts.append(part)
                size += len(part)
                if size > _MAX_ANSWER:
                    raise TooMuch(f"more than {_MAX_ANSWER} bytes in answer to {method}")
            if answer.status == 413:
                raise TooMuch(f"HTTP status 413 in answer to {method}")
            if answer.status >= 500 or answer.status in (401, 403, 404, 429):
                raise ProviderFault(f"HTTP status {answer.status}")
        # Not Python's own reader, whose depth is only limited by what other libraries set for the whole process.
        told: RPCResponse = from_json(b"".join(parts))
        return told

    async def disconnect(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


class Provider:
    """One provider, and what is known against it."""

    def __init__(self, url: str, number: int = 0) -> None:
        self._http = _Http(url)
        #: Without middleware, which would ask more than it is asked.
        self._w3: AsyncWeb3[Any] = AsyncWeb3(self._http, middleware=[])
        #: For people. URLs often have the key of an account with the provider in their path, which nobody else sees.
        self.name = f"{number}: {urlsplit(url).netloc.rpartition('@')[2]}"
        self._secrets = [part for part in (urlsplit(url).path, urlsplit(url).query, urlsplit(url).password) if part]
        self.chain_id: int | None = None
        #: Its last final block, as far as it said.
        self.final = -1
        #: How many blocks of logs it gives at once.
        self.span: int | None = None
        #: What is wrong with it; `None` when nothing is known.
        self.trouble: str | None = None
        #: Whether its last answer was not that of the others.
        self.outvoted = False
        #: By the event loop's clock, when it may be among the first to be asked again.
        self.shunned_until = 0.0
        self._logger = log.get("staking")

    async def ask(self, question: Callable[[AsyncWeb3[Any]], Awaitable[T]]) -> T:
        """What `question` makes of the provider's answers; raises `ProviderFault` whatever they were."""
        try:
            return await question(self._w3)
        except ProviderFault:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ProviderFault(f"cannot be reached: {self._short(error)}") from None
        except Exception as error:
            # There is no part of the library that a stranger's answer could not break.
            raise TooMuch(f"no usable answer: {self._short(error)}") from None

    def blame(self, trouble: str | None) -> None:
        """Notes what is wrong with it, or that nothing is any more, and tells when that is new."""
        if trouble is not None and trouble != self.trouble:
            self._logger.warning("a provider of the EVM chain is not relied on", provider=self.name, reason=trouble)
        elif trouble is None and self.trouble is not None:
            self._logger.info("a provider of the EVM chain is as it should be again", provider=self.name)
        self.trouble = trouble

    async def close(self) -> None:
        """Ends its connections."""
        await self._http.disconnect()

    def _short(self, error: Exception) -> str:
        text = f"{type(error).__name__}: {error}"
        for secret in self._secrets:
            text = text.replace(secret, "…") if len(secret) > 1 else text
        return text if len(text) <= _TEXT else text[:_TEXT] + "…"
