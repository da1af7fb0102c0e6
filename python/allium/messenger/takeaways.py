"""One conversation to take away: a zip of a page to read, its files, and lines that the messenger reads again.

Sealed, the zip has two entries: `lock.json`, which a password opens (`allium.client.database.locks`) and which has a
key, and `conversation.sealed`, the readable zip encrypted under that key (`sealed`).
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING

from allium.base import files
from allium.client.database import locks
from allium.client.database.export import Imported
from allium.client.database.rows import StoredAttachment
from allium.client.session.core import Work
from allium.messenger import content, sealed
from allium.messenger.errors import ApiError
from allium.messenger.jobs import Told
from allium.messenger.places import private_directory

if TYPE_CHECKING:
    from allium.messenger.account import OpenAccount

PAGE, LINES, FILES = "index.html", "conversation.jsonl", "files"
_LOCK, _SEALED = "lock.json", "conversation.sealed"
_PIECE = 256 << 10
_PAGE_OF_FILES = 200
#: Of what is read: the lock, and the lines of a conversation.
_MAX_LOCK, _MAX_LINES = 64 << 10, 4 << 30
_ENDS = {"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/webp": ".webp"}


async def write(account: OpenAccount, path: Path, conversation: str, password: str | None, told: Told) -> None:
    """Writes a conversation of an account into a zip, all at once. `KeyError`, `DatabaseError`, `ApiError`."""
    exports = account.session.exports
    stored = await _stored(account, conversation)
    with tempfile.TemporaryDirectory(dir=private_directory(account.directory / "exports")) as temporary:
        directory = Path(temporary)
        places = await asyncio.to_thread(_places, stored, account.keeper.key)
        await exports.write_page(directory / PAGE, conversation, files=places, progress=lambda done: told(done, None))
        await exports.write_json(directory / LINES, conversation_id=conversation)
        stop = threading.Event()
        try:
            await asyncio.to_thread(_pack, directory, places, account.keeper.key, path, password, told, stop)
        except OSError as error:
            raise ApiError("refused", f"{path} cannot be written ({error.strerror}); name another file.") from None
        finally:
            stop.set()


async def read(account: OpenAccount, path: Path, password: str | None, told: Told) -> Imported:
    """Adds a conversation that `write` has written, sealed or not; what is there already stays. `ApiError`."""
    with tempfile.TemporaryDirectory(dir=private_directory(account.directory / "exports")) as temporary:
        lines = Path(temporary) / LINES
        try:
            await asyncio.to_thread(_unpack, path, Path(temporary), lines, password)
        except (zipfile.BadZipFile, KeyError, EOFError, ValueError, NotImplementedError, RuntimeError, OSError):
            raise ApiError("invalid", "This is no conversation that was taken away, or it is damaged.") from None
        return await account.session.exports.read_json(lines, progress=lambda found: told(found.added, None))


async def _stored(account: OpenAccount, conversation: str) -> list[StoredAttachment]:
    """The files of a conversation that are on this machine."""

    def page(work: Work, before: int | None) -> tuple[list[StoredAttachment], int | None]:
        numbers = work.database.attachments.messages_with(conversation, before=before, limit=_PAGE_OF_FILES)
        found = [each for each in work.database.attachments.of(numbers) if each.path]
        return found, numbers[-1] if len(numbers) == _PAGE_OF_FILES else None

    found, before = await account.session.run(page, None)
    while before is not None:
        more, before = await account.session.run(page, before)
        found += more
    return found


def _places(stored: list[StoredAttachment], key: bytes) -> dict[str, str]:
    """Where the files will lie in the zip, by where they are; their names have an end that fits the content."""
    places: dict[str, str] = {}
    for each in stored:
        try:
            found = sealed.opened(Path(each.path), key)
        except OSError:
            continue
        try:
            kind = content.kind(found.read(0, content.HEAD))
        except OSError:
            continue
        finally:
            found.close()
        name = "".join(one if one.isascii() and (one.isalnum() or one in "-_") else "_" for one in each.attachment.name)
        places[each.path] = f"{FILES}/{each.id}-{name[:60] or 'file'}{_ENDS.get(kind, '.bin')}"
    return places


def _pack(
    directory: Path,
    places: Mapping[str, str],
    key: bytes,
    path: Path,
    password: str | None,
    told: Told,
    stop: threading.Event,
) -> None:
    made = directory / "made.zip"
    with zipfile.ZipFile(made, "x", zipfile.ZIP_DEFLATED) as archive:
        for name in (PAGE, LINES):
            archive.write(directory / name, name)
        for count, (source, name) in enumerate(places.items(), 1):
            with archive.open(name, "w", force_zip64=True) as entry:
                _copy(Path(source), key, entry, stop)
            told(count, len(places))
    if password is not None:
        made = _seal(made, password)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        with made.open("rb") as plain, temporary.open("xb") as file:
            temporary.chmod(files.PRIVATE)
            shutil.copyfileobj(plain, file, _PIECE)
            file.flush()
            os.fsync(file.fileno())
        if stop.is_set():
            raise InterruptedError
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _copy(source: Path, key: bytes, entry: IO[bytes], stop: threading.Event) -> None:
    found = sealed.opened(source, key)
    try:
        at = 0
        while not stop.is_set() and (piece := found.read(at, _PIECE)):
            entry.write(piece)
            at += len(piece)
    finally:
        found.close()
    if stop.is_set():
        raise InterruptedError


def _seal(made: Path, password: str) -> Path:
    key = secrets.token_bytes(32)
    hidden, whole = made.with_name(_SEALED), made.with_name("sealed.zip")
    sealed.seal(made, hidden, key)
    with zipfile.ZipFile(whole, "x", zipfile.ZIP_STORED) as archive:
        archive.writestr(_LOCK, json.dumps(locks.lock(key, password)))
        archive.write(hidden, _SEALED)
    return whole


def _unpack(path: Path, directory: Path, lines: Path, password: str | None) -> None:
    with zipfile.ZipFile(path) as archive:
        if _LOCK not in archive.namelist():
            _extract(archive, LINES, lines)
            return
        if archive.getinfo(_LOCK).file_size > _MAX_LOCK:
            raise ValueError
        document = json.loads(archive.read(_LOCK))
        try:
            key = locks.unlock(document, password or "")
        except locks.LockError:
            raise ValueError from None
        if key is None or not password:
            raise ApiError("forbidden", "This is not the password that it was sealed with; try again.")
        hidden = directory / _SEALED
        _extract(archive, _SEALED, hidden)
    plain = directory / "plain.zip"
    found = sealed.opened(hidden, key)
    try:
        with plain.open("xb") as file:
            at = 0
            while piece := found.read(at, sealed.PIECE):
                file.write(piece)
                at += len(piece)
    finally:
        found.close()
    with zipfile.ZipFile(plain) as archive:
        _extract(archive, LINES, lines)


def _extract(archive: zipfile.ZipFile, name: str, target: Path) -> None:
    """Nobody's word on how large it is is taken."""
    size = 0
    with archive.open(name) as entry, target.open("xb") as file:
        while piece := entry.read(_PIECE):
            size += len(piece)
            if size > _MAX_LINES:
                raise ValueError
            file.write(piece)
