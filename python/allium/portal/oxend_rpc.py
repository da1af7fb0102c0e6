"""What a portal asks of the live network's daemon: JSON-RPC over HTTP (`spec/appchain` §7.3)."""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec

from allium.base import unreached, urls
from allium.base.text import line
from allium.errors import Complaint

#: The list of 1,500 nodes is 5 MB.
_MOST_BYTES = 128 << 20
#: Of what the daemon has, and of what it collects from the whole network.
_SECONDS, SIGN_SECONDS = 20.0, 45.0
_TEXT = 300


class OxendError(Complaint, RuntimeError):
    """The daemon does not answer, or makes no sense; the text says why."""


class OxendRefusedError(OxendError):
    """It answers, and will not."""


class OxendRpc:
    """One daemon."""

    def __init__(self, url: str) -> None:
        """Raises `OxendError` for a URL that cannot be used."""
        try:
            urls.check(url)
        except ValueError as error:
            raise OxendError(str(error)) from None
        self._url, self._secrets = url.rstrip("/"), urls.secrets(url)
        #: For people.
        self.name = urls.place(url)
        self._session: aiohttp.ClientSession | None = None

    async def call(self, method: str, seconds: float = _SECONDS, **params: Any) -> Any:
        """The `result` of a method; raises `OxendError`, `OxendRefusedError`."""
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        asked = {"jsonrpc": "2.0", "id": "0", "method": method, "params": params}
        try:
            timeout = aiohttp.ClientTimeout(total=seconds)
            place = f"{self._url}/json_rpc"
            async with self._session.post(place, json=asked, timeout=timeout, allow_redirects=False) as answer:
                told = await _read(answer)
        except TimeoutError:
            raise OxendError(f"{self.name} does not answer {method} within {seconds:.0f} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise OxendError(f"{self.name} cannot be reached ({unreached.words(error)})") from None
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            raise OxendError(f"{self.name} answers {method} with something else than JSON") from None
        if not isinstance(told, dict):
            raise OxendError(f"{self.name} answers {method} with no object")
        if isinstance(wrong := told.get("error"), dict):
            raise OxendRefusedError(self._line(wrong.get("message")))
        if "result" not in told:
            raise OxendError(f"{self.name} answers {method} with no result")
        result = told["result"]
        status = result.get("status", "OK") if isinstance(result, dict) else "OK"
        if status != "OK":
            raise OxendRefusedError(self._line(status))
        return result

    async def close(self) -> None:
        """Ends its connections."""
        if self._session is not None:
            await self._session.close()

    def _line(self, said: object) -> str:
        """What it said, for people."""
        text = str(said)
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return line(text, _TEXT)


async def _read(answer: aiohttp.ClientResponse) -> Any:
    if answer.status != 200:
        raise OxendError(f"HTTP status {answer.status}")
    parts, size = [], 0
    async for part in answer.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > _MOST_BYTES:
            raise OxendError(f"more than {_MOST_BYTES >> 20} MiB")
    return msgspec.json.decode(b"".join(parts))
