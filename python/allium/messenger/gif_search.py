"""Search for moving pictures at GIPHY, by this service alone and only for who wants that (`spec/messages` §3).

Where a picture lies is the provider's word, and so a stranger's: it is fetched from the provider's own hosts alone, at
public addresses, without redirections, and no more of it than is of use. The key is in each URL that is asked for, so
that no URL and no error of the transport is ever shown or logged.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from allium.client import addresses
from allium.client.addresses import Address, Resolve
from allium.client.messages import text
from allium.client.previews import links
from allium.messenger.errors import ApiError, unknown

if TYPE_CHECKING:
    import aiohttp

#: The provider, and the domain in which its pictures are.
BASE, DOMAIN = "https://api.giphy.com", "giphy.com"
RATING, PAGE = "pg-13", 20
MAX_TEXT, MAX_TITLE, MAX_OFFSET = 50, 100, 4_979
MAX_ANSWER, MAX_PREVIEW = 2 << 20, 2 << 20
#: Of what is sent: the largest rendition that fits (`spec/messages` §3).
_WHOLE = (("downsized_large", 8_000_000), ("downsized", 2_000_000))
_PREVIEWS = ("fixed_width_downsampled", "fixed_width_small", "fixed_width")
#: Of an answer, and of a picture, seconds.
_ANSWER_SECONDS, _PICTURE_SECONDS = 10.0, 30.0
#: Pictures that can be asked for after they were found; those fetched at once.
_MAX_KEPT, _AT_ONCE = 400, 6
_PIECE = 16 << 10
_MAX_SIDE = 4096
_ID = re.compile(r"[A-Za-z0-9]{1,64}")
_KEY_REFUSED, _TOO_OFTEN = (401, 403), 429


@dataclass(frozen=True)
class FoundGif:
    """One that was found."""

    id: str
    title: str
    #: Of the small one, in pixels.
    width: int
    height: int
    preview: str
    whole: str
    #: Of the whole, bytes at most.
    limit: int


class GifSearch:
    """Of one account: what it asks for, and what was found last."""

    def __init__(
        self,
        base: str = "",
        resolve: Resolve = addresses.system_resolve,
        is_allowed: Callable[[Address], bool] = addresses.is_public,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """`base` is another provider with the same API, whose pictures are at the same place, wherever that is."""
        self._base, self._own = (base or BASE).rstrip("/"), bool(base)
        self._resolve, self._is_allowed, self._trust = resolve, is_allowed, trust
        self._found: dict[str, FoundGif] = {}
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def find(self, key: str, words: str, offset: int = 0) -> tuple[list[FoundGif], int | None]:
        """Pictures for some words, or those that many look at now, and the offset of the next ones. `ApiError`."""
        offset = max(0, min(offset, MAX_OFFSET))
        wanted = {"rating": RATING, "offset": offset, "limit": PAGE, "api_key": key}
        kind = "trending"
        if words := words.strip()[:MAX_TEXT]:
            kind, wanted = "search", {**wanted, "q": words}
        url = f"{self._base}/v1/gifs/{kind}?{urlencode(wanted)}"
        data = await self._get(url, MAX_ANSWER, _ANSWER_SECONDS)
        try:
            told = json.loads(data)
        except (ValueError, RecursionError):
            raise _away() from None
        listed = told.get("data") if isinstance(told, dict) else None
        if not isinstance(listed, list):
            raise _away()
        found = [gif for each in listed[:PAGE] if (gif := self._gif(each)) is not None]
        for each in found:
            self._found.pop(each.id, None)
            self._found[each.id] = each
        while len(self._found) > _MAX_KEPT:
            del self._found[next(iter(self._found))]
        more = len(listed) >= PAGE and offset + PAGE <= MAX_OFFSET
        return found, offset + PAGE if more else None

    async def preview(self, name: str) -> bytes:
        """The small one of what was found. `ApiError`."""
        return await self._get(self._known(name).preview, MAX_PREVIEW, _PICTURE_SECONDS)

    async def whole(self, name: str) -> tuple[FoundGif, bytes]:
        """What is sent of it. `ApiError`."""
        found = self._known(name)
        return found, await self._get(found.whole, found.limit, _PICTURE_SECONDS)

    async def close(self) -> None:
        """Ends its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _known(self, name: str) -> FoundGif:
        found = self._found.get(name)
        if found is None:
            raise unknown("picture")
        return found

    def _gif(self, told: Any) -> FoundGif | None:
        """One of an answer; None for what cannot be shown or sent."""
        if not isinstance(told, dict):
            return None
        name, title, renditions = told.get("id"), told.get("title"), told.get("images")
        if not isinstance(name, str) or _ID.fullmatch(name) is None or not isinstance(renditions, dict):
            return None
        preview = next((each for each in _PREVIEWS if self._url(renditions.get(each))), None)
        whole = next((each for each in _WHOLE if self._url(renditions.get(each[0]), each[1])), None)
        if preview is None or whole is None:
            return None
        small = renditions[preview]
        return FoundGif(
            name,
            text.plain(title[: 4 * MAX_TITLE])[:MAX_TITLE] if isinstance(title, str) else "",
            _number(small.get("width"), _MAX_SIDE),
            _number(small.get("height"), _MAX_SIDE),
            self._url(small),
            self._url(renditions[whole[0]]),
            whole[1],
        )

    def _url(self, rendition: Any, most: int = MAX_PREVIEW) -> str:
        """Where one lies; empty if it is too large, or lies where nothing is fetched."""
        url = rendition.get("url") if isinstance(rendition, Mapping) else None
        if not isinstance(url, str) or not 0 <= _number(rendition.get("size"), most + 1) <= most:
            return ""
        try:
            if self._own:
                parts, own = urlsplit(url), urlsplit(self._base)
                same = (parts.scheme, parts.netloc) == (own.scheme, own.netloc)
                return url if same and len(url) <= links.MAX_URL else ""
            url = links.checked(url)
            host = urlsplit(url).hostname or ""
        except ValueError:
            return ""
        return url if host == DOMAIN or host.endswith(f".{DOMAIN}") else ""

    async def _get(self, url: str, most: int, seconds: float) -> bytes:
        import aiohttp

        try:
            async with self._limit, asyncio.timeout(seconds), self._opened().get(url, allow_redirects=False) as answer:
                if answer.status in _KEY_REFUSED:
                    raise ApiError("refused", "GIPHY does not take this key; set another one under Settings, Privacy.")
                if answer.status == _TOO_OFTEN:
                    raise ApiError("busy", "GIPHY was asked too often with this key; try again in a while.")
                if answer.status != 200:
                    raise _away()
                data = bytearray()
                async for piece in answer.content.iter_chunked(_PIECE):
                    data += piece
                    if len(data) > most:
                        answer.close()
                        raise ApiError("too_large", "This picture is too large.")
                return bytes(data)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            raise _away() from None

    def _opened(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=addresses.resolver(self._resolve, self._is_allowed),
                    ssl=self._trust or ssl.create_default_context(),
                    use_dns_cache=False,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                # As little as can be: not which program it is, nor of which version.
                skip_auto_headers=("User-Agent",),
            )
        return self._session


def _number(told: Any, most: int) -> int:
    """A number that the provider writes as digits; 0 for none."""
    if isinstance(told, str) and told.isascii() and told.isdecimal() and len(told) < 12:
        told = int(told)
    return min(told, most) if isinstance(told, int) and not isinstance(told, bool) and told > 0 else 0


def _away() -> ApiError:
    return ApiError("offline", "The search for GIFs cannot be reached now; try again in a while.")
