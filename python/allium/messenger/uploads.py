"""Files that a page has given and that wait to be sent, and the sending of a message with them.

They lie in the account's directory, for its owner alone, and are deleted when they are sent, or after a day.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.requests import Request

from allium.client.database.rows import AttachmentState, Message
from allium.client.files.names import safe_name
from allium.client.messages.kinds import Attachment, Preview
from allium.client.session import LocalFile
from allium.client.session.core import Work
from allium.messenger import content, requests
from allium.messenger.account import OpenAccount
from allium.messenger.calls import pieces
from allium.messenger.errors import ApiError, unknown
from allium.messenger.facts import Facts
from allium.messenger.places import private_directory, read_json, write_json
from allium.messenger.views import UploadView

#: Of one file, and of all that wait, bytes. Pictures are made smaller before they are sent.
MAX_UPLOAD, MAX_ALL = 64 << 20, 1 << 30
MAX_FILES = 128
#: They are deleted after it, seconds.
KEPT_SECONDS = 86_400
_ID = re.compile(r"[0-9a-f]{24}")
_DESCRIPTION = "about.json"
_MAX_TYPE = 100


def directory(account: OpenAccount) -> Path:
    """Where they lie."""
    return private_directory(account.directory / "uploads")


async def take(account: OpenAccount, request: Request, name: str, *, voice: bool) -> UploadView:
    """Takes the body of a request as a file; `ApiError` for one that is too large, or too many."""
    told = request.query_params.get("type", "")[:_MAX_TYPE]
    return await _take(account, pieces(request, MAX_UPLOAD), name, told, voice=voice)


async def put(account: OpenAccount, data: bytes, name: str) -> UploadView:
    """The same of bytes that are here already."""

    async def whole() -> AsyncIterator[bytes]:
        yield data

    return await _take(account, whole(), name, "", voice=False)


async def again(account: OpenAccount, body: AsyncIterator[bytes], what: Attachment) -> UploadView:
    """The same of a file that a message has, which stays what it is: a voice message stays one."""
    return await _take(account, body, what.name, what.content_type[:_MAX_TYPE], voice=what.voice)


async def _take(account: OpenAccount, body: AsyncIterator[bytes], name: str, told: str, *, voice: bool) -> UploadView:
    root = directory(account)
    await asyncio.to_thread(_make_room, root)
    number = secrets.token_hex(12)
    own = private_directory(root / number)
    shown = safe_name(name) if name else "file"
    path = own / shown
    size = 0
    try:
        with path.open("xb") as file:
            async for piece in body:
                size += len(piece)
                await asyncio.to_thread(file.write, piece)
        if not size:
            raise ApiError("invalid", "The file is empty.")
        with path.open("rb") as file:
            kind = content.kind(file.read(content.HEAD), told)
        write_json(own / _DESCRIPTION, {"name": shown, "type": kind if kind != content.UNKNOWN else "", "voice": voice})
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, own, ignore_errors=True)
        raise
    return UploadView(id=number, name=shown, type=kind, size=size)


def _make_room(root: Path) -> None:
    total, count = 0, 0
    for each in root.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - each.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(each, ignore_errors=True)
                continue
            total += sum(file.stat().st_size for file in each.iterdir())
            count += 1
    if total > MAX_ALL - MAX_UPLOAD or count >= MAX_FILES:
        raise ApiError("too_large", "Too many files wait to be sent; send or remove some first.")


def remove(account: OpenAccount, number: str) -> None:
    """Deletes one."""
    shutil.rmtree(_place(account, number), ignore_errors=True)


def _place(account: OpenAccount, number: str) -> Path:
    if _ID.fullmatch(number) is None or not (found := directory(account) / number).is_dir():
        raise unknown("upload")
    return found


def described(account: OpenAccount, number: str) -> tuple[Path, dict[str, Any]]:
    """A file and what is known of it; `ApiError` if it is not there."""
    own = _place(account, number)
    told = read_json(own / _DESCRIPTION)
    name = told.get("name")
    if not isinstance(name, str) or not (own / name).is_file():
        raise unknown("upload")
    return own / name, told


async def outgoing(
    account: OpenAccount, conversation: str, wanted: requests.NewMessage, quote: Message | None
) -> Message:
    """Sends a message; it is there, on its way, when this returns."""
    session = account.session
    files = [described(account, each) for each in wanted.attachments]
    preview = await _preview(account, wanted.preview) if wanted.preview else None
    moved = [
        replace(_moved(account, path, told, voice=wanted.voice), caption=wanted.captions.get(each, "").strip())
        for each, (path, told) in zip(wanted.attachments, files, strict=True)
    ]
    names = {each.path.parent.name for each in moved}
    account.keeper.arriving |= names
    try:
        sent = await session.send(
            conversation, wanted.text, quote=quote, attachments=moved, preview=preview, wait=False
        )
        await session.run(_here, sent.id, [str(each.path) for each in moved])
    except BaseException:
        # They may be sent again.
        for (path, _), file in zip(files, moved, strict=True):
            file.path.replace(path)
        raise
    finally:
        account.keeper.arriving -= names
    for each in wanted.attachments:
        await asyncio.to_thread(remove, account, each)
    message = await session.conversations.message(sent.id)
    if message is None:
        raise unknown("message")
    await account.tell_changed(sent.id)
    return message


def _moved(account: OpenAccount, path: Path, told: dict[str, Any], *, voice: bool) -> LocalFile:
    """A file where those of messages are: it is one from now on."""
    own = private_directory(account.keeper.directory / f"sent-{path.parent.name}") / path.name
    path.replace(own)
    kind = str(told.get("type", ""))
    return LocalFile(own, path.name, kind, voice=bool(told.get("voice")) or voice)


def _here(work: Work, number: int, paths: Sequence[str]) -> None:
    """What was uploaded already, to a community, is here too."""
    for stored, path in zip(work.database.attachments.of([number]), paths, strict=False):
        if not stored.path:
            work.database.attachments.set_state(stored.id, AttachmentState.HERE, path)


async def _preview(account: OpenAccount, url: str) -> Preview | None:
    facts = await account.session.run(Facts.load)
    return await account.previews.enclose(account.session, url) if facts.link_previews else None
