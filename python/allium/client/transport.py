"""HTTP to seeds and entry nodes. Nodes have self-made certificates: who they are is proven by the onion layer's key.

What speaks it takes longer to load than all else of a client, and is loaded with the first connections.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from allium.base.unanswered import why
from allium.client.errors import NetworkError, UnreachableError
from allium.client.seeds import PINS

#: Nothing that a node answers is larger.
_MAX_ANSWER_BYTES = 12 << 20
#: A connection that takes longer is none.
_CONNECT_SECONDS = 5.0
_HEADERS = {"User-Agent": "WhatsApp", "Accept-Language": "en-us"}


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Any answer, a refusal too."""

    status: int
    body: bytes


class Transport:
    """One pool of connections; no cookies, no proxies, no redirects."""

    def __init__(self, pins: Mapping[str, bytes] = PINS) -> None:
        """`pins` are hosts with the SHA-256 of the only certificate that is theirs."""
        import aiohttp

        self._session = aiohttp.ClientSession(
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(ssl=False, limit=64),
            trust_env=False,
        )
        self._pins = {host: aiohttp.Fingerprint(digest) for host, digest in pins.items()}

    async def post(self, url: str, body: bytes, timeout: float, content_type: str | None = None) -> HttpAnswer:
        """POSTs `body`; `NetworkError` when there is no whole answer within `timeout` seconds.

        `UnreachableError` when there was no connection that it could be sent over.
        """
        import aiohttp

        headers = {} if content_type is None else {"Content-Type": content_type}
        place = urlsplit(url)
        pin = self._pins.get(place.hostname or "")
        if pin is not None and place.scheme != "https":
            raise NetworkError(f"{url}: this host is asked over https only")
        limits = aiohttp.ClientTimeout(total=timeout, sock_connect=_CONNECT_SECONDS)
        try:
            async with self._session.post(
                url,
                data=io.BytesIO(body),
                headers=headers,
                timeout=limits,
                allow_redirects=False,
                ssl=False if pin is None else pin,
            ) as answer:
                received = bytearray()
                async for chunk in answer.content.iter_any():
                    received += chunk
                    if len(received) > _MAX_ANSWER_BYTES:
                        raise NetworkError(f"{url}: the answer is too large")
                return HttpAnswer(answer.status, bytes(received))
        except aiohttp.ConnectionTimeoutError:
            raise UnreachableError(f"{url}: no connection within {min(timeout, _CONNECT_SECONDS):.0f} s") from None
        except TimeoutError:
            raise NetworkError(f"{url}: no answer within {timeout:.0f} s") from None
        except aiohttp.ServerFingerprintMismatch:
            raise UnreachableError(f"{url}: not the certificate that this host is known by") from None
        except aiohttp.ClientConnectorError as error:
            raise UnreachableError(f"{url}: {why(error)}") from error
        except aiohttp.ClientError as error:
            raise NetworkError(f"{url}: {why(error)}") from error

    async def close(self) -> None:
        """Closes every connection."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
