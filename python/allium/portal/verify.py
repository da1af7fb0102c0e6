"""Whether a portal serves the page that is in this package: what `allium portal verify URL` looks at.

It compares what this machine is given. Who serves a page could give others another one: the hash is good for comparing
notes, and a browser that was given the same files has the same page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from pydantic_core import from_json

from allium.base import unreached, urls
from allium.base.text import line
from allium.errors import CommandError
from allium.portal.page_files import CONFIG, DIRECTORY, INDEX, LISTED, ROUTES, content_hash, hashes

_SECONDS, _MOST_JSON, _TEXT = 20.0, 1 << 20, 200


@dataclass
class Verdict:
    """What was found."""

    #: Of the page in this package.
    hash: str
    #: What the portal says of its own, if it says anything.
    published: str | None = None
    #: Paths whose content is another one, or is missing.
    different: list[str] = field(default_factory=list)
    #: Paths that the portal names, and that are not in this package.
    unknown: list[str] = field(default_factory=list)
    #: `config.json`, as it is served.
    config: Mapping[str, Any] = field(default_factory=dict)
    files: int = 0

    @property
    def same(self) -> bool:
        """Whether it is the page of this package, file by file."""
        return not self.different and not self.unknown and self.published == self.hash


async def verify(url: str, directory: Path = DIRECTORY) -> Verdict:
    """Fetches every file of the page, and compares it. Raises `CommandError` for what cannot be compared."""
    try:
        urls.check(url)
    except ValueError as error:
        raise CommandError(str(error)) from None
    files = hashes(directory)
    if INDEX not in files:
        raise CommandError("this package has no page to compare with: run `make pages` in the source")
    base, found = url.rstrip("/"), Verdict(content_hash(files), files=len(files))
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        try:
            # Every path at which the page shows something gives the same file.
            shown = {path: files[INDEX] for path in ("", *ROUTES)}
            for path, digest in {**shown, **files}.items():
                most = (directory / (path if path in files else INDEX)).stat().st_size
                body = await _get(session, f"{base}/{path}", most + 1)
                if body is None or hashlib.sha256(body).hexdigest() != digest:
                    found.different.append(f"/{path}")
            listed = _json(await _get(session, f"{base}/{LISTED}", _MOST_JSON))
            found.config = _json(await _get(session, f"{base}/{CONFIG}", _MOST_JSON))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise CommandError(
                f"{urls.place(url)} cannot be reached: {unreached.words(error)}; see whether the URL is right"
            ) from None
    named = listed.get("hash")
    found.published = line(named, _TEXT) if isinstance(named, str) else None
    others = listed.get("files")
    if isinstance(others, dict):
        found.unknown = sorted(f"/{line(str(path), _TEXT)}" for path in others.keys() - files.keys())
    return found


async def _get(session: aiohttp.ClientSession, url: str, most: int) -> bytes | None:
    """The first `most` bytes at a URL; `None` when there is nothing."""
    async with session.get(url, allow_redirects=False) as answer:
        if answer.status != 200:
            return None
        body = b""
        async for part in answer.content.iter_chunked(1 << 16):
            body += part
            if len(body) >= most:
                break
        return body[:most]


def _json(body: bytes | None) -> dict[str, Any]:
    try:
        told = from_json(body or b"{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
