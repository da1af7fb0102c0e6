"""Conversations and messages as lines of JSON, for other programs, and back.

Each line is an object with a `type`: `export` (the first), `profile`, `conversation`, `message`. Times are Unix
milliseconds, bytes are hex. All of what people said to each other is in it, and the keys of their files; the account's
secrets, configs and what is on its way are not: those are in a backup (`archive`).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allium.base import files, system
from allium.client.database.database import Database
from allium.client.database.errors import UnwritableError
from allium.client.database.rows import (
    Conversation,
    ConversationKind,
    Deleted,
    Message,
    MessageState,
    NewMessage,
)
from allium.client.messages.kinds import Attachment, Disappear, Disappearing, Profile, Target

FORMAT = 1
#: Messages read or written at a time.
_BATCH = 200
#: Of a line that is read, in characters.
MAX_LINE = 4 << 20


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of an import."""

    #: Messages that were added, and those that were there before.
    added: int = 0
    known: int = 0
    #: Lines that were left out, as they are none of these.
    unreadable: int = 0


def lines(database: Database) -> Iterator[str]:
    """All conversations, profiles and messages, a line each, without what ends lines.

    They are ASCII, so that nothing in a name moves a terminal. Between two lines the database may be used.
    """
    yield json.dumps({"type": "export", "format": FORMAT, "time": int(time.time() * 1000)})
    for account, profile in database.profiles.all():
        yield json.dumps(_profile(account, profile))
    for conversation in database.conversations.all():
        yield json.dumps(_conversation(conversation))
    last = 0
    while batch := database.messages.after(last, _BATCH):
        yield from (json.dumps(entry) for entry in messages(database, batch))
        last = batch[-1].id


def conversation_lines(database: Database, conversation: Conversation) -> Iterator[str]:
    """One conversation as `lines` has it, with the profiles of those who wrote in it behind its messages."""
    yield json.dumps({"type": "export", "format": FORMAT, "time": int(time.time() * 1000)})
    yield json.dumps(_conversation(conversation))
    last: Message | None = None
    senders: set[str] = set()
    while batch := database.messages.page(conversation.id, after=last, first=last is None, limit=_BATCH):
        yield from (json.dumps(entry) for entry in messages(database, batch))
        senders.update(each.sender for each in batch)
        last = batch[-1]
    for account in sorted(senders):
        if (profile := database.profiles.get(account)) is not None:
            yield json.dumps(_profile(account, profile))


def messages(database: Database, batch: Iterable[Message]) -> list[dict[str, Any]]:
    """Messages as objects, with their files and reactions."""
    found = {message.id: _message(message) for message in batch}
    for file in database.attachments.of(list(found)):
        found[file.message]["attachments"].append(_attachment(file.attachment) | {"path": file.path})
    for reaction in database.reactions.of(list(found)):
        entry = {"sender": reaction.sender, "emoji": reaction.emoji, "timestamp": reaction.timestamp}
        found[reaction.message]["reactions"].append(entry)
    return list(found.values())


def write_lines(database: Database, path: Path) -> None:
    """`lines` into a new file, or in place of one, all at once; `DatabaseError` if that cannot be."""
    for _ in line_steps(database, path):
        pass


def line_steps(database: Database, path: Path) -> Generator[int, None, None]:
    """`write_lines` in short steps, between which the database may be used; yields how many lines there are so far."""
    database.check_other(path)
    yield from write_steps(path, (line + "\n" for line in lines(database)))


def write(path: Path, pieces: Iterable[str]) -> None:
    """Text into a file for its owner alone: all of it, or what was there stays. `UnwritableError` if that cannot be."""
    for _ in write_steps(path, pieces):
        pass


def write_steps(path: Path, pieces: Iterable[str]) -> Generator[int, None, None]:
    """`write` in short steps; yields how many pieces there are so far."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    flags = os.O_WRONLY | system.NEW
    try:
        files.make_directory(path.parent)
        with os.fdopen(os.open(temporary, flags, files.PRIVATE), "w", encoding="utf-8", newline="\n") as file:
            files.own(file.fileno(), path.parent)
            for count, piece in enumerate(pieces, 1):
                file.write(piece)
                if count % _BATCH == 0:
                    yield count
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        files.sync(path.parent)
    except OSError as error:
        raise UnwritableError(f"{path} cannot be written ({error.strerror}); name another file") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def read_file(database: Database, path: Path) -> Imported:
    """`read_lines` of a file, whatever is in it; `DatabaseError` if it cannot be read."""
    *_, found = file_steps(database, path)
    return found


def file_steps(database: Database, path: Path) -> Generator[Imported, None, None]:
    """`read_file` in short steps, between which the database may be used; yields what came of it so far."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
            # A file without ends of lines is not read whole.
            yield from read_steps(database, iter(lambda: file.readline(MAX_LINE + 1), ""))
    except OSError as error:
        raise UnwritableError(f"{path} cannot be read ({error.strerror})") from None


def read_lines(database: Database, source: Iterable[str]) -> Imported:
    """Adds what `lines` has written, perhaps of another database: what is there already stays as it is.

    Lines that are none of these are left out and counted. Where files lie is not taken over: anyone may have written
    the lines, and name any file of this machine.
    """
    *_, found = read_steps(database, source)
    return found


def read_steps(database: Database, source: Iterable[str]) -> Generator[Imported, None, None]:
    """`read_lines` in short steps, each a commit; yields what came of it so far."""
    added = known = unreadable = size = 0
    batch: list[dict[str, Any]] = []

    def keep() -> None:
        nonlocal added, known, unreadable
        with database.transaction():
            for entry in batch:
                match _keep(database, entry):
                    case None:
                        unreadable += 1
                    case True:
                        added += 1
                    case False:
                        known += entry["type"] == "message"
        batch.clear()

    for line in source:
        if not line.strip():
            continue
        try:
            entry = json.loads(line) if len(line) <= MAX_LINE else None
        except (ValueError, RecursionError):
            entry = None
        if isinstance(entry, dict):
            batch.append(entry)
        else:
            unreadable += 1
        size += len(line)
        if len(batch) == _BATCH or size > MAX_LINE:
            keep()
            size = 0
            yield Imported(added, known, unreadable)
    keep()
    yield Imported(added, known, unreadable)


def _keep(database: Database, entry: dict[str, Any]) -> bool | None:
    """Whether it is a message that was added; None if it cannot be read."""
    try:
        with database.transaction():
            match entry.get("type"):
                case "message":
                    return _keep_message(database, entry)
                case "conversation":
                    _keep_conversation(database, entry)
                case "profile":
                    key = bytes.fromhex(entry["picture_key"])
                    profile = Profile(str(entry["name"]), str(entry["picture_url"]), key, int(entry["updated"]))
                    database.profiles.set(str(entry["id"]), profile)
                case "export":
                    pass
                case _:
                    return None
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return False


def _keep_conversation(database: Database, entry: dict[str, Any]) -> None:
    if database.conversations.get(str(entry["id"])) is not None:
        return
    database.conversations.ensure(str(entry["id"]), ConversationKind(entry["kind"]), name=str(entry["name"]))
    database.conversations.update(
        str(entry["id"]),
        draft=str(entry["draft"]),
        priority=int(entry["priority"]),
        muted_until=int(entry["muted_until"]),
        marked_unread=bool(entry["marked_unread"]),
        last_read=int(entry["last_read"]),
        extra=dict(entry["extra"]),
    )


def _keep_message(database: Database, entry: dict[str, Any]) -> bool:
    quote, timer, expires = entry["quote"], entry["timer"], entry["expires"]
    state = MessageState(entry["state"])
    attachments = [_to_attachment(each) for each in entry["attachments"]]
    message = database.messages.add(
        NewMessage(
            str(entry["conversation"]),
            str(entry["sender"]),
            int(entry["timestamp"]),
            str(entry["text"]),
            kind=str(entry["kind"]),
            outgoing=bool(entry["outgoing"]),
            received=int(entry["received"]),
            # Nothing is on its way that was not written here.
            state=MessageState.FAILED if state is MessageState.SENDING else state,
            read=bool(entry["read"]),
            hash=str(entry["hash"]),
            quote=None if quote is None else Target(int(quote["timestamp"]), str(quote["author"])),
            timer=None if timer is None else Disappearing(Disappear(timer["kind"]), int(timer["seconds"])),
            expires=None if expires is None else int(expires),
            attachments=tuple(attachments),
            extra=dict(entry["extra"]),
        )
    )
    if message is None:
        return False
    if (deleted := Deleted(entry["deleted"])) is not Deleted.NO:
        database.messages.delete(message.id, deleted)
    for reaction in entry["reactions"]:
        timestamp = int(reaction["timestamp"])
        database.reactions.add(message.id, str(reaction["sender"]), str(reaction["emoji"]), timestamp)
    return True


def _profile(account: str, profile: Profile) -> dict[str, Any]:
    known = {"name": profile.name, "picture_url": profile.picture_url, "picture_key": profile.picture_key.hex()}
    return {"type": "profile", "id": account, **known, "updated": profile.updated}


def _conversation(conversation: Conversation) -> dict[str, Any]:
    return {
        "type": "conversation",
        "id": conversation.id,
        "kind": conversation.kind.value,
        "name": conversation.name,
        "draft": conversation.draft,
        "priority": conversation.priority,
        "muted_until": conversation.muted_until,
        "marked_unread": conversation.marked_unread,
        "last_read": conversation.last_read,
        "extra": dict(conversation.extra),
    }


def _message(message: Message) -> dict[str, Any]:
    quote, timer = message.quote, message.timer
    return {
        "type": "message",
        "conversation": message.conversation,
        "sender": message.sender,
        "timestamp": message.timestamp,
        "received": message.received,
        "text": message.body,
        "kind": message.kind,
        "outgoing": message.outgoing,
        "state": message.state.value,
        "read": message.read,
        "deleted": int(message.deleted),
        "hash": message.hash,
        "quote": None if quote is None else {"timestamp": quote.timestamp, "author": quote.author},
        "timer": None if timer is None else {"kind": int(timer.kind), "seconds": timer.seconds},
        "expires": message.expires,
        "attachments": [],
        "reactions": [],
        "extra": dict(message.extra),
    }


def _attachment(file: Attachment) -> dict[str, Any]:
    return {
        "url": file.url,
        "key": file.key.hex(),
        "digest": file.digest.hex(),
        "size": file.size,
        "content_type": file.content_type,
        "name": file.name,
        "caption": file.caption,
        "width": file.width,
        "height": file.height,
        "voice": file.voice,
    }


def _to_attachment(entry: dict[str, Any]) -> Attachment:
    return Attachment(
        str(entry["url"]),
        bytes.fromhex(entry["key"]),
        bytes.fromhex(entry["digest"]),
        int(entry["size"]),
        str(entry["content_type"]),
        str(entry["name"]),
        str(entry["caption"]),
        int(entry["width"]),
        int(entry["height"]),
        bool(entry["voice"]),
    )
