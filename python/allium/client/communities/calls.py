"""Every request that a community's server is asked, as a value (`spec/groups` §9.3 and its additions).

`ValueError` for rooms and ids that cannot be ones.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from allium.client.configs import ids
from allium.client.configs.community import checked_room

MAX_BATCH = 20
#: Posts that one answer has at most.
POSTS = 100
MAX_ROOM_FILE_BYTES = 10_000_000
_REACTORS = 5


@dataclass(frozen=True, slots=True)
class Call:
    """One request. Its path has its query, and percent signs for what needs them."""

    method: str
    path: str
    #: A JSON value; None for none.
    json: Any = field(default=None, repr=False)

    @property
    def body(self) -> bytes:
        """As it is sent; empty for none."""
        return b"" if self.json is None else json.dumps(self.json, separators=(",", ":")).encode()


# The server, and several calls at once


def capabilities() -> Call:
    """What the server can do; anybody may ask."""
    return Call("GET", "/capabilities")


def batch(calls: Sequence[Call]) -> Call:
    """Up to `MAX_BATCH` calls, each with an answer of its own."""
    return _several("/batch", calls)


def sequence(calls: Sequence[Call]) -> Call:
    """The same, in order, until one fails."""
    return _several("/sequence", calls)


def _several(path: str, calls: Sequence[Call]) -> Call:
    if not 0 < len(calls) <= MAX_BATCH:
        raise ValueError(f"1 to {MAX_BATCH} calls at once")
    parts = [
        {"method": call.method, "path": call.path, **({} if call.json is None else {"json": call.json})}
        for call in calls
    ]
    return Call("POST", path, parts)


# Rooms


def rooms() -> Call:
    """All rooms that one may see."""
    return Call("GET", "/rooms")


def room(token: str) -> Call:
    """One room."""
    return Call("GET", _room(token))


def poll_info(token: str, info_updates: int) -> Call:
    """What may change often of a room, and the rest if it is not as of `info_updates`."""
    return Call("GET", f"{_room(token)}/pollInfo/{_number(info_updates)}")


def edit_room(token: str, **changes: Any) -> Call:
    """`name`, `description` (None removes it), `image` (a file's id), `default_read` and so on. Of admins."""
    known = {"name", "description", "image", "default_read", "default_accessible", "default_write", "default_upload"}
    if not changes or not changes.keys() <= known:
        raise ValueError(f"of a room can be changed: {', '.join(sorted(known))}")
    return Call("PUT", _room(token), changes)


def create_room(token: str, name: str, description: str = "") -> Call:
    """A new room. Of global admins, on the newest servers."""
    return Call("POST", "/rooms", {"token": checked_room(token), "name": name, "description": description})


def delete_room(token: str) -> Call:
    """Of global admins, on the newest servers."""
    return Call("DELETE", _room(token))


# Posts


def recent(token: str, limit: int = POSTS) -> Call:
    """The last posts, the newest first."""
    return Call("GET", f"{_room(token)}/messages/recent?reactors={_REACTORS}&limit={_number(limit)}")


def since(token: str, seqno: int, limit: int = POSTS) -> Call:
    """New posts, edits, deletions and reactions after a sequence number, in order."""
    return Call(
        "GET", f"{_room(token)}/messages/since/{_number(seqno)}?t=r&reactors={_REACTORS}&limit={_number(limit)}"
    )


def before(token: str, post: int, limit: int = POSTS) -> Call:
    """Posts before one, the newest first."""
    return Call("GET", f"{_room(token)}/messages/before/{_number(post)}?reactors={_REACTORS}&limit={_number(limit)}")


def single(token: str, post: int) -> Call:
    """One post."""
    return Call("GET", _post(token, post))


def post(
    token: str,
    data: bytes,
    signature: bytes,
    files: Iterable[int] = (),
    *,
    whisper_to: str | None = None,
    whisper_mods: bool = False,
) -> Call:
    """A new post with files that were uploaded to the room. Whispers are of moderators."""
    told: dict[str, Any] = _signed(data, signature, files)
    if whisper_to is not None:
        told["whisper_to"] = _id(whisper_to)
    if whisper_mods:
        told["whisper_mods"] = True
    return Call("POST", f"{_room(token)}/message", told)


def edit(token: str, number: int, data: bytes, signature: bytes, files: Iterable[int] = ()) -> Call:
    """Other words for a post of one's own."""
    return Call("PUT", _post(token, number), _signed(data, signature, files))


def delete(token: str, number: int) -> Call:
    """Deletes a post of one's own, or as a moderator."""
    return Call("DELETE", _post(token, number))


def delete_all(author: str, token: str | None = None) -> Call:
    """Deletes all posts of somebody, in a room or in all. Of moderators."""
    where = "/rooms" if token is None else _room(token)
    return Call("DELETE", f"{where}/all/{_id(author)}")


def pin(token: str, number: int) -> Call:
    """Pins a post. Of admins."""
    return Call("POST", f"{_room(token)}/pin/{_number(number)}", {})


def unpin(token: str, number: int | None = None) -> Call:
    """Takes the pin off a post, or off all. Of admins."""
    return Call("POST", f"{_room(token)}/unpin/{'all' if number is None else _number(number)}", {})


def _signed(data: bytes, signature: bytes, files: Iterable[int]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "data": base64.b64encode(data).decode(),
        "signature": base64.b64encode(signature).decode(),
    }
    if listed := [_number(each) for each in files]:
        told["files"] = listed
    return told


# Reactions


def react(token: str, number: int, emoji: str) -> Call:
    """Puts an emoji on a post."""
    return Call("PUT", _reaction(token, number, emoji), {})


def unreact(token: str, number: int, emoji: str) -> Call:
    """Takes one's own emoji off a post."""
    return Call("DELETE", _reaction(token, number, emoji))


def clear_reactions(token: str, number: int, emoji: str | None = None) -> Call:
    """Takes everybody's emoji off a post, one of them or all. Of moderators."""
    end = "" if emoji is None else f"/{_emoji(emoji)}"
    return Call("DELETE", f"{_room(token)}/reactions/{_number(number)}{end}")


def reactors(token: str, number: int, emoji: str, limit: int = POSTS) -> Call:
    """Who put an emoji on a post."""
    return Call("GET", f"{_room(token)}/reactors/{_number(number)}/{_emoji(emoji)}?limit={_number(limit)}")


def _reaction(token: str, number: int, emoji: str) -> str:
    return f"{_room(token)}/reaction/{_number(number)}/{_emoji(emoji)}"


def _emoji(emoji: str) -> str:
    if not 0 < len(emoji) <= 20 or "/" in emoji:
        raise ValueError("no emoji")
    return quote(emoji, safe="")


# Files


def file_path(token: str, number: int | None = None) -> str:
    """Where a file of a room is, or where one is sent."""
    return f"{_room(token)}/file" + ("" if number is None else f"/{_number(number)}")


def file_headers(name: str) -> dict[str, str]:
    """What is said of a file that is sent."""
    disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}" if name else "attachment"
    return {"Content-Type": "application/octet-stream", "Content-Disposition": disposition}


# Moderation


def ban(user: str, rooms: Sequence[str] | None, timeout: float | None = None) -> Call:
    """Bans somebody from rooms, or (None) from the server, for some seconds or for good. Posts stay."""
    told = _where(rooms)
    if timeout is not None:
        told["timeout"] = timeout
    return Call("POST", f"/user/{_id(user)}/ban", told)


def unban(user: str, rooms: Sequence[str] | None) -> Call:
    """The inverse; a ban from rooms and one from the server are two."""
    return Call("POST", f"/user/{_id(user)}/unban", _where(rooms))


def ban_and_delete(user: str, token: str) -> Call:
    """Bans somebody from a room and deletes what there is of theirs in it."""
    return sequence([ban(user, [token]), delete_all(user, token)])


def set_moderator(user: str, token: str, *, admin: bool, moderator: bool, visible: bool = True) -> Call:
    """Makes somebody a moderator or an admin of a room, or neither. Of admins."""
    if admin and not moderator:
        raise ValueError("who is an admin is a moderator too")
    told = {"rooms": [checked_room(token)], "global": False, "visible": visible, "admin": admin, "moderator": moderator}
    return Call("POST", f"/user/{_id(user)}/moderator", told)


def set_permissions(token: str, user: str, **permissions: bool) -> Call:
    """`accessible`, `read`, `write`, `upload`, each allowed or not; `default_write=True` and so on for as everybody."""
    known = {"accessible", "read", "write", "upload"}
    if not permissions or not {name.removeprefix("default_") for name in permissions} <= known:
        raise ValueError(f"permissions are {', '.join(sorted(known))}")
    return Call("POST", f"{_room(token)}/permissions/{_id(user)}", dict(permissions))


def permissions(token: str, user: str | None = None) -> Call:
    """What somebody may, or all exceptions. Of moderators."""
    return Call("GET", f"{_room(token)}/permissions" + ("" if user is None else f"/{_id(user)}"))


def _where(rooms: Sequence[str] | None) -> dict[str, Any]:
    if rooms is None:
        return {"global": True}
    if not rooms:
        raise ValueError("from which rooms?")
    return {"rooms": [each if each == "*" else checked_room(each) for each in rooms]}


# Direct messages of blinded users


def inbox(since: int = 0) -> Call:
    """Messages to us after one of them."""
    return Call("GET", f"/inbox/since/{_number(since)}" if since else "/inbox")


def outbox(since: int = 0) -> Call:
    """Messages of ours after one of them: what other devices have sent."""
    return Call("GET", f"/outbox/since/{_number(since)}" if since else "/outbox")


def send_direct(recipient: str, sealed: bytes) -> Call:
    """A message to a blinded id."""
    packed = ids.packed(recipient, *ids.BLINDED).hex()
    return Call("POST", f"/inbox/{packed}", {"message": base64.b64encode(sealed).decode()})


def clear_inbox() -> Call:
    """Deletes what is kept for us."""
    return Call("DELETE", "/inbox")


def _room(token: str) -> str:
    return f"/room/{checked_room(token)}"


def _post(token: str, number: int) -> str:
    return f"{_room(token)}/message/{_number(number)}"


def _number(value: int) -> int:
    if not 0 <= value < 1 << 63:
        raise ValueError("no number that a server gives")
    return value


def _id(user: str) -> str:
    return ids.packed(user, ids.ACCOUNT, *ids.BLINDED).hex()
