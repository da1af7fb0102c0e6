"""HTTP to seeds and entry nodes. Nodes have self-made certificates: who they are is proven by the onion layer's key.

What speaks it takes longer to load than all else of a client, and is loaded with the first connections.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from allium.client.errors import NetworkError

#: Nothing that a node answers is larger.
_MAX_ANSWER_BYTES = 12 << 20
_HEADERS = {"User-Agent": "WhatsApp", "Accept-Language": "en-us"}


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Any answer, a refusal too."""

    status: int
    body: bytes


class Transport:
    """One pool of connections; no cookies, no proxies, no redirects."""

    def __init__(self) -> None:
        import aiohttp

        self._session = aiohttp.ClientSession(
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(ssl=False, limit=64),
            trust_env=False,
        )

    async def post(self, url: str, body: bytes, timeout: float, content_type: str | None = None) -> HttpAnswer:
        """POSTs `body`; `NetworkError` when there is no whole answer within `timeout` seconds."""
        import aiohttp

        headers = {} if content_type is None else {"Content-Type": content_type}
        try:
            async with self._session.post(
                url,
                data=io.BytesIO(body),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout),
                allow_redirects=False,
            ) as answer:
                received = bytearray()
                async for chunk in answer.content.iter_any():
                    received += chunk
                    if len(received) > _MAX_ANSWER_BYTES:
                        raise NetworkError(f"{url}: the answer is too large")
                return HttpAnswer(answer.status, bytes(received))
        except TimeoutError:
            raise NetworkError(f"{url}: no answer within {timeout:.0f} s") from None
        except aiohttp.ClientError as error:
            raise NetworkError(f"{url}: {error}") from error

    async def close(self) -> None:
        """Closes every connection."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
