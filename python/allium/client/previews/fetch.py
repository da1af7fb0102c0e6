"""Fetches a preview: over https from public addresses alone, in little time, and no more bytes than are of use.

The address that was looked at is the one that is connected to, at each redirection anew, so that a name which changes
its mind in between gains nothing.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from allium.client import addresses
from allium.client.addresses import Address, Resolve
from allium.client.errors import NetworkError
from allium.client.previews import links, pages
from allium.client.previews.links import LinkError
from allium.client.transfers.images import ImageError, Picture, thumbnail

if TYPE_CHECKING:
    import aiohttp

TIMEOUT = 10.0
MAX_REDIRECTS = 20
MIN_IMAGE_BYTES, MAX_IMAGE_BYTES = 8, 1 << 20
_IMAGES_TRIED = 3
_PREVIEW_SIDE = 400
_PIECE_BYTES = 16 << 10
_REDIRECTS = (301, 302, 303, 307, 308)
_PAGE_TYPES = ("text/html", "application/xhtml+xml")


class PreviewError(NetworkError):
    """There is no preview to be had of a link; the message is sent without one."""


@dataclass(frozen=True, slots=True)
class LinkPreview:
    """What was found behind a link."""

    #: As it is in the text.
    url: str
    title: str
    #: Small, and of this program's own making.
    image: Picture | None = field(default=None, repr=False)


class PreviewFetcher:
    """Asks for pages as anybody would, with nothing that says who asks but this machine's address."""

    def __init__(
        self,
        resolve: Resolve = addresses.system_resolve,
        is_allowed: Callable[[Address], bool] = addresses.is_public,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """`resolve`, `is_allowed` and `trust` are the system's names, public addresses and the system's authorities."""
        self._resolve, self._is_allowed = resolve, is_allowed
        self._trust = trust or ssl.create_default_context()

    async def preview(self, url: str) -> LinkPreview:
        """What is behind a link; `PreviewError` when that is nothing, or cannot be had within `TIMEOUT` seconds."""
        import aiohttp

        try:
            async with asyncio.timeout(TIMEOUT):
                async with aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(
                        resolver=addresses.resolver(self._resolve, self._is_allowed),
                        ssl=self._trust,
                        use_dns_cache=False,
                    ),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    trust_env=False,
                    headers={"User-Agent": "WhatsApp", "Accept-Language": "en-us"},
                ) as session:
                    return await self._preview(session, url)
        except TimeoutError:
            raise PreviewError("the page takes too long") from None
        except (LinkError, aiohttp.ClientError, OSError, ValueError) as error:
            raise PreviewError(f"no preview: {error}") from None

    async def _preview(self, session: aiohttp.ClientSession, url: str) -> LinkPreview:
        page_url, kind, data = await self._get(session, links.checked(url), pages.MAX_PAGE_BYTES, cut=True)
        if kind.startswith("image/"):
            # A link to a picture shows it.
            raise PreviewError("a picture is no page")
        if kind.partition(";")[0].strip().lower() not in _PAGE_TYPES:
            raise PreviewError("the link leads to no page")
        page = await asyncio.to_thread(pages.read, data, kind, page_url)
        if not page.title:
            raise PreviewError("the page has no title")
        return LinkPreview(url, page.title, await self._image(session, page.images[:_IMAGES_TRIED]))

    async def _image(self, session: aiohttp.ClientSession, urls: Sequence[str]) -> Picture | None:
        """The first that is a picture; without one, or without Pillow, the title stands alone."""
        import aiohttp

        for url in urls:
            try:
                _, _, data = await self._get(session, url, MAX_IMAGE_BYTES, cut=False)
                if len(data) >= MIN_IMAGE_BYTES:
                    return await asyncio.to_thread(thumbnail, data, _PREVIEW_SIDE)
            except (LinkError, PreviewError, ImageError, ImportError, aiohttp.ClientError, OSError, ValueError):
                continue
        return None

    async def _get(self, session: aiohttp.ClientSession, url: str, most: int, *, cut: bool) -> tuple[str, str, bytes]:
        """Where it was in the end, its media type, and its bytes, the first `most` of them if it may be `cut`."""
        seen: set[str] = set()
        for _ in range(MAX_REDIRECTS + 1):
            if url in seen:
                raise PreviewError("the page leads in a circle")
            seen.add(url)
            async with session.get(url, allow_redirects=False) as answer:
                if answer.status in _REDIRECTS:
                    url = links.joined(url, answer.headers.get("Location", ""))
                    continue
                if answer.status != 200:
                    raise PreviewError(f"the page answers with status {answer.status}")
                data = bytearray()
                async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                    data += piece
                    if len(data) > most:
                        if not cut:
                            raise PreviewError("the picture is too large")
                        # The connection is closed, not read to its end.
                        answer.close()
                        break
                return url, answer.headers.get("Content-Type", ""), bytes(data[:most])
        raise PreviewError("the page leads on and on")
