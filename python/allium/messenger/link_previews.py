"""What was found behind links while they are typed, until the message is sent."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from allium.client.messages.kinds import Preview
from allium.client.previews.fetch import LinkPreview

if TYPE_CHECKING:
    from allium.client.session import Session

#: Of an account; the oldest goes.
MAX_KEPT = 8


class LinkPreviews:
    """The last ones, by a name that says nothing of the link."""

    def __init__(self) -> None:
        self._found: dict[str, LinkPreview] = {}

    async def find(self, session: Session, text: str) -> tuple[str, LinkPreview] | None:
        """Asks the site behind the first link; None if nothing is found."""
        found = await session.files.find_preview(text)
        if found is None:
            return None
        name = hashlib.blake2b(found.url.encode(), digest_size=12).hexdigest()
        self._found.pop(name, None)
        while len(self._found) >= MAX_KEPT:
            del self._found[next(iter(self._found))]
        self._found[name] = found
        return name, found

    def get(self, name: str) -> LinkPreview | None:
        """One that was found."""
        return self._found.get(name)

    async def enclose(self, session: Session, url: str) -> Preview | None:
        """What a message carries of a link: of what was shown, or else of what is found now."""
        found = next((each for each in self._found.values() if each.url == url), None)
        if found is None:
            found = await session.files.find_preview(url)
        return None if found is None else await session.files.upload_preview(found)
