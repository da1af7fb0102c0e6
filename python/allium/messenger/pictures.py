"""Pictures of people, groups and rooms: fetched once, and kept sealed under the account's secret."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from allium.base import files
from allium.client.configs.fields import Picture
from allium.client.errors import NetworkError, RefusedError
from allium.client.files.legacy import FileError
from allium.client.files.urls import FileUrlError
from allium.client.messages.kinds import Attachment
from allium.client.transfers.sinks import MemorySink
from allium.client.transfers.transfer import Transfers
from allium.messenger.account import OpenAccount
from allium.messenger.errors import ApiError, unknown
from allium.messenger.places import private_directory

#: All that are kept, and one, bytes.
MAX_KEPT, MAX_PICTURE = 256 << 20, 8 << 20
_AT_ONCE = 4
_fetching: dict[tuple[str, str], asyncio.Task[bytes]] = {}


async def of_person(account: OpenAccount, picture: Picture | None) -> bytes:
    """The bytes of a picture; `ApiError` if there is none, or it is not to be had."""
    if picture is None:
        raise unknown("picture")
    return await _kept(account, f"{picture.url} {picture.key.hex()}", lambda: _fetch(account, picture))


async def of_room(account: OpenAccount, conversation: str, number: object) -> bytes:
    """The same of a community's room, whose picture has this number."""

    async def fetch() -> bytes:
        found = await account.session.communities.picture(conversation)
        if found is None:
            raise unknown("picture")
        return found

    return await _kept(account, f"{conversation} {number}", fetch)


async def of_preview(account: OpenAccount, image: Attachment) -> bytes:
    """The image of a link's preview, as its message says."""

    async def fetch() -> bytes:
        sink = _Bounded()
        try:
            files = account.session.files
            await Transfers(files.route, await files.server()).receive(image, sink)
        except (FileError, FileUrlError, RefusedError, ValueError):
            raise unknown("picture") from None
        return sink.data

    return await _kept(account, f"{image.url} {image.key.hex()}", fetch)


class _Bounded(MemorySink):
    def write(self, data: bytes) -> None:
        super().write(data)
        if len(self._data) > MAX_PICTURE:
            raise FileError("this picture is too large")


async def _fetch(account: OpenAccount, picture: Picture) -> bytes:
    try:
        return await account.session.files.picture(picture.url, picture.key)
    except (FileError, FileUrlError, RefusedError, ValueError):
        raise unknown("picture") from None


async def _kept(account: OpenAccount, name: str, fetch: Callable[[], Coroutine[Any, Any, bytes]]) -> bytes:
    path = _path(account, name)
    box = _box(account)
    with contextlib.suppress(OSError, CryptoError):
        return box.decrypt(await asyncio.to_thread(path.read_bytes))
    key = account.id, path.name
    task = _fetching.get(key)
    if task is None:
        if len(_fetching) >= _AT_ONCE * 16:
            raise ApiError("busy", "Other pictures are being fetched; try again.")
        task = _fetching[key] = asyncio.create_task(fetch())
        task.add_done_callback(lambda _: _fetching.pop(key, None))
    try:
        found = await asyncio.shield(task)
    except NetworkError as error:
        raise ApiError("offline", f"The picture cannot be fetched now ({error}).") from None
    if len(found) > MAX_PICTURE:
        raise unknown("picture")
    with contextlib.suppress(OSError):
        await asyncio.to_thread(_keep, path, bytes(box.encrypt(found)))
    return found


def _keep(path: Path, sealed: bytes) -> None:
    kept = sorted(path.parent.iterdir(), key=lambda each: each.stat().st_mtime)
    total = sum(each.stat().st_size for each in kept) + len(sealed)
    for each in kept:
        if total <= MAX_KEPT:
            break
        total -= each.stat().st_size
        each.unlink()
    files.replace(path, sealed, files.PRIVATE)


def _path(account: OpenAccount, name: str) -> Path:
    digest = hashlib.blake2b(name.encode(), key=_secret(account), digest_size=20).hexdigest()
    return private_directory(account.directory / "pictures") / digest


def _box(account: OpenAccount) -> SecretBox:
    return SecretBox(hashlib.blake2b(_secret(account), digest_size=32, person=b"pictures").digest())


def _secret(account: OpenAccount) -> bytes:
    return account.session.account.ed25519_secret[:32]
