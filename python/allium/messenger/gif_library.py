"""The moving pictures of an account's conversations, to be sent again: the newest first, each once."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from allium.client.database.rows import StoredAttachment
from allium.client.session.core import Work
from allium.messenger import content, sealed

if TYPE_CHECKING:
    from allium.messenger.account import OpenAccount

#: What may move, and is looked at for whether it does.
TYPES = ("image/gif", "image/webp")
#: Pictures of one answer, and files that are looked at for it.
PAGE, MAX_LOOKED_AT = 24, 96
#: Read for one answer, bytes.
MAX_READ = 64 << 20
#: Nothing larger can be sent.
MAX_BYTES = 10_000_000
#: Pictures that were taken out, the last ones; and files of which it is remembered what they are.
MAX_HIDDEN, _MAX_KNOWN = 1_000, 5_000
_HIDDEN = "gifs hidden"
_FRAME = b"\x21\xf9\x04"


@dataclass(frozen=True)
class OwnGif:
    """One of them."""

    #: What it is known by: the same wherever the same picture is.
    name: str
    stored: StoredAttachment


class GifLibrary:
    """Of one account."""

    def __init__(self, account: OpenAccount) -> None:
        self._account = account
        #: By attachment: the picture's name; None for what is no moving picture.
        self._known: dict[int, str | None] = {}

    async def page(self, before: int | None = None) -> tuple[list[OwnGif], int | None]:
        """At most `PAGE` of them, of attachments before this one, and the `before` of the next ones."""
        session = self._account.session
        hidden = set(await session.run(_hidden))
        found: dict[str, OwnGif] = {}
        files = await session.run(lambda work: work.database.attachments.here(TYPES, before, MAX_LOOKED_AT))
        read = 0
        for each in files:
            before = each.id
            if each.id in self._known:
                name = self._known[each.id]
            else:
                name, size = await self._look(each)
                read += size
            if name is not None and name not in hidden and name not in found:
                found[name] = OwnGif(name, each)
            if len(found) == PAGE or read > MAX_READ:
                break
        at_end = len(files) < MAX_LOOKED_AT and (not files or before == files[-1].id)
        return list(found.values()), None if at_end else before

    async def get(self, number: int) -> tuple[OwnGif, bytes] | None:
        """One of them, and its bytes; None if it is none."""
        stored = await self._account.session.run(lambda work: work.database.attachments.get(number))
        if stored is None or (data := await self._read(stored)) is None or (name := named(data)) is None:
            return None
        return OwnGif(name, stored), data

    async def hide(self, name: str) -> None:
        """It is shown in the library no more, whoever sends it; messages stay as they are."""

        def change(work: Work) -> None:
            names = [*(each for each in _hidden(work) if each != name), name]
            work.database.facts.set(_HIDDEN, json.dumps(names[-MAX_HIDDEN:]).encode())

        await self._account.session.run(change)

    async def _look(self, stored: StoredAttachment) -> tuple[str | None, int]:
        """What it is, and how many bytes were read for it."""
        data = await self._read(stored)
        if data is None:
            # It may be about to be sealed, and lie under another name with the next look.
            return None, 0
        name = await asyncio.to_thread(named, data)
        while len(self._known) >= _MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[stored.id] = name
        return name, len(data)

    async def _read(self, stored: StoredAttachment) -> bytes | None:
        path, keeper = Path(stored.path), self._account.keeper
        if not stored.path or stored.attachment.content_type not in TYPES:
            return None
        if not await asyncio.to_thread(keeper.has, path):
            return None
        try:
            return await asyncio.to_thread(_whole, path, keeper.key)
        except OSError:
            return None


def named(data: bytes) -> str | None:
    """What a picture is known by; None for one that does not move."""
    kind = content.kind(data[: content.HEAD])
    moves = data.count(_FRAME) > 1 if kind == "image/gif" else kind == "image/webp" and b"ANIM" in data[: content.HEAD]
    return hashlib.blake2b(data, digest_size=16).hexdigest() if moves else None


def _whole(path: Path, key: bytes) -> bytes | None:
    file = sealed.opened(path, key)
    try:
        if file.size > MAX_BYTES:
            return None
        pieces = []
        at = 0
        while at < file.size and (piece := file.read(at, sealed.PIECE)):
            pieces.append(piece)
            at += len(piece)
        return b"".join(pieces)
    finally:
        file.close()


def _hidden(work: Work) -> list[str]:
    try:
        found = json.loads(work.database.facts.get(_HIDDEN) or b"[]")
    except ValueError:
        return []
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
