"""What a community's server says, as values. A server is a stranger: of any list, what cannot be read is left out."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from allium.client.configs import ids
from allium.client.configs.community import CommunityError, checked_room
from allium.client.messages.decoding import MAX_TIMESTAMP

MAX_ROOMS = 1_000
MAX_LISTED = 256
MAX_NAME, MAX_DESCRIPTION = 200, 4_000
MAX_DATA_BYTES = 256 << 10
_MAX_EMOJI, _MAX_EMOJI_LENGTH = 50, 20
_MAX_CAPABILITIES = 50
_CAPABILITY = re.compile(r"[a-z0-9_.-]{1,40}")


@dataclass(frozen=True, slots=True)
class SubReply:
    """One answer of a batch."""

    status: int
    #: Decoded JSON, or text.
    body: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Room:
    """A room as the server describes it. Times are Unix seconds."""

    token: str
    name: str
    description: str = ""
    #: Raised with each change of what follows.
    info_updates: int = 0
    #: The id of its picture, a file of the room.
    image: int | None = None
    created: float = 0.0
    admins: tuple[str, ...] = ()
    moderators: tuple[str, ...] = ()
    #: Ids of posts, as they were pinned.
    pinned: tuple[int, ...] = ()
    #: People who were there lately.
    active_users: int = 0


@dataclass(frozen=True, slots=True)
class RoomStatus:
    """What of a room concerns us, or changes often."""

    token: str
    active_users: int = 0
    read: bool = True
    write: bool = True
    upload: bool = True
    #: Whether we are one.
    moderator: bool = False
    admin: bool = False
    #: If it is not as it was.
    details: Room | None = None


@dataclass(frozen=True, slots=True)
class PostReaction:
    """One emoji on a post."""

    count: int
    #: The first of them.
    reactors: tuple[str, ...]
    #: Whether we are one.
    own: bool
    #: Its place among others.
    index: int = 0


@dataclass(frozen=True, slots=True)
class PostEntry:
    """An entry of a room's list, not verified. Without `data`, the post was deleted, or only its reactions changed."""

    id: int
    seqno: int
    author: str = ""
    #: Unix milliseconds.
    posted: int = 0
    edited: int = 0
    data: bytes | None = field(default=None, repr=False)
    signature: bytes = field(default=b"", repr=False)
    deleted: bool = False
    #: None if the server does not say.
    reactions: Mapping[str, PostReaction] | None = None
    whisper: bool = False
    whisper_to: str = ""


@dataclass(frozen=True, slots=True)
class DirectEntry:
    """A message between two blinded ids, not opened."""

    id: int
    sender: str
    recipient: str
    #: Unix milliseconds.
    posted: int
    data: bytes = field(repr=False)


def capabilities_of(body: Any) -> frozenset[str]:
    """The names of what a server can do; `ValueError` for what is no such answer."""
    found = body.get("capabilities") if isinstance(body, dict) else None
    if not isinstance(found, list):
        raise ValueError("no capabilities")
    return frozenset(
        each for each in found[:_MAX_CAPABILITIES] if isinstance(each, str) and _CAPABILITY.fullmatch(each)
    )


def batch_of(body: Any, count: int) -> list[SubReply]:
    """The answers of a batch of `count` calls, or of a sequence that ended early; `ValueError`."""
    if not isinstance(body, list) or len(body) > count:
        raise ValueError("not the answers of a batch")
    return [
        SubReply(_whole(each.get("code")), each.get("body")) if isinstance(each, dict) else SubReply(500, None)
        for each in body
    ]


def rooms_of(body: Any) -> list[Room]:
    """All rooms of a list."""
    return [] if not isinstance(body, list) else [made for each in body[:MAX_ROOMS] if (made := room_of(each))]


def room_of(body: Any) -> Room | None:
    """A room; None for what is none."""
    if not isinstance(body, dict) or (token := _token(body.get("token"))) is None:
        return None
    image = body.get("image_id")
    pinned = body.get("pinned_messages")
    return Room(
        token,
        _text(body.get("name"), MAX_NAME) or token,
        _text(body.get("description"), MAX_DESCRIPTION),
        _whole(body.get("info_updates")),
        image if isinstance(image, int) and 0 < image < 1 << 63 else None,
        _seconds(body.get("created")),
        _ids(body.get("admins")),
        _ids(body.get("moderators")),
        tuple(
            each["id"]
            for each in (pinned if isinstance(pinned, list) else [])[:MAX_LISTED]
            if isinstance(each, dict) and isinstance(each.get("id"), int)
        ),
        _whole(body.get("active_users")),
    )


def status_of(body: Any, token: str) -> RoomStatus | None:
    """What polling a room tells; None for what is no answer to it."""
    if not isinstance(body, dict):
        return None
    return RoomStatus(
        token,
        _whole(body.get("active_users")),
        body.get("read") is not False,
        body.get("write") is not False,
        body.get("upload") is not False,
        body.get("moderator") is True or body.get("global_moderator") is True,
        body.get("admin") is True or body.get("global_admin") is True,
        room_of({**body["details"], "token": token}) if isinstance(body.get("details"), dict) else None,
    )


def posts_of(body: Any) -> tuple[list[PostEntry], int]:
    """The entries of a list of posts, and how many there were that could not be read."""
    listed = body[:MAX_LISTED] if isinstance(body, list) else []
    found = [_post(each) for each in listed]
    return [each for each in found if each is not None], sum(each is None for each in found)


def _post(body: Any) -> PostEntry | None:
    try:
        # Of changed reactions a server need not say more than whose they are.
        number, seqno = body["id"], body.get("seqno", 0 if "data" not in body and "reactions" in body else None)
        if not (_is_number(number) and (seqno == 0 or _is_number(seqno))):
            return None
        reactions = _reactions(body["reactions"]) if "reactions" in body else None
        data = body.get("data")
        if data is None:
            deleted = body.get("deleted") is True or "data" in body
            return PostEntry(number, seqno, deleted=deleted, reactions=reactions)
        return PostEntry(
            number,
            seqno,
            ids.packed(body["session_id"], ids.ACCOUNT, *ids.BLINDED).hex(),
            _milliseconds(body.get("posted")),
            _milliseconds(body.get("edited")),
            _bytes(data),
            _bytes(body.get("signature")),
            body.get("deleted") is True,
            reactions,
            body.get("whisper") is True,
            body["whisper_to"] if isinstance(body.get("whisper_to"), str) else "",
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def direct_of(body: Any) -> tuple[list[DirectEntry], int]:
    """The entries of an inbox or outbox, and how many there were that could not be read."""
    listed = body[:MAX_LISTED] if isinstance(body, list) else []
    found = [_direct(each) for each in listed]
    return [each for each in found if each is not None], sum(each is None for each in found)


def _direct(body: Any) -> DirectEntry | None:
    try:
        if not _is_number(body["id"]):
            return None
        sender, recipient = (ids.packed(body[name], *ids.BLINDED).hex() for name in ("sender", "recipient"))
        return DirectEntry(body["id"], sender, recipient, _milliseconds(body.get("posted_at")), _bytes(body["message"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def file_id_of(body: Any) -> int:
    """The id of a file that was sent to a room; `ValueError`."""
    number: Any = body.get("id") if isinstance(body, dict) else None
    # Some servers write it as text.
    number = int(number) if isinstance(number, str) and number.isascii() and number.isdecimal() else number
    if not _is_number(number):
        raise ValueError("the server does not name the file")
    return int(number)


def _reactions(body: Any) -> dict[str, PostReaction]:
    found: dict[str, PostReaction] = {}
    for emoji, told in list(body.items())[:_MAX_EMOJI] if isinstance(body, dict) else []:
        if isinstance(told, dict) and 0 < len(emoji) <= _MAX_EMOJI_LENGTH:
            count = _whole(told.get("count"))
            if count:
                found[emoji] = PostReaction(
                    count, _ids(told.get("reactors")), told.get("you") is True, _whole(told.get("index"))
                )
    return found


def _ids(values: Any) -> tuple[str, ...]:
    return tuple(_each_id(values)) if isinstance(values, list) else ()


def _each_id(values: Iterable[Any]) -> Iterable[str]:
    for value in list(values)[:MAX_LISTED]:
        try:
            yield ids.packed(value, ids.ACCOUNT, *ids.BLINDED).hex()
        except (ValueError, AttributeError):
            continue


def _token(value: Any) -> str | None:
    try:
        return checked_room(value) if isinstance(value, str) else None
    except CommunityError:
        return None


def _text(value: Any, longest: int) -> str:
    # A lone surrogate can be in JSON, and in no database.
    return value[:longest].encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str) or len(value) > MAX_DATA_BYTES:
        raise ValueError("not base64 of a message")
    return base64.b64decode(value + "=" * (-len(value) % 4), validate=True)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63 else 0


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value < MAX_TIMESTAMP / 1000 else 0.0


def _milliseconds(value: Any) -> int:
    seconds = _seconds(value)
    return 0 if math.isnan(seconds) else round(seconds * 1000)
