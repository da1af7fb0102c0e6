"""Rooms and inboxes as a community server keeps them, from the spec's table of calls (`spec/groups` §9.3)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any


class Refusal(Exception):
    """What the server answers in place of what was asked."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass
class Post:
    id: int
    seqno: int
    author: str
    data: str | None
    signature: str | None
    posted: float
    edited: float | None = None
    #: As of the last change of its reactions.
    reactions_seqno: int = 0
    reactions: dict[str, list[str]] = field(default_factory=dict)
    whisper_to: str | None = None
    files: list[int] = field(default_factory=list)


@dataclass
class Room:
    token: str
    name: str
    description: str = ""
    info_updates: int = 1
    seqno: int = 0
    image: int | None = None
    admins: set[str] = field(default_factory=set)
    moderators: set[str] = field(default_factory=set)
    banned: set[str] = field(default_factory=set)
    posts: list[Post] = field(default_factory=list)
    pinned: list[dict[str, Any]] = field(default_factory=list)
    permissions: dict[str, dict[str, bool]] = field(default_factory=dict)
    #: By id: the name as the header had it, the bytes, and which post names it.
    files: dict[int, tuple[str, bytes, int | None]] = field(default_factory=dict)
    created: float = field(default_factory=time.time)

    # Who may what

    def may(self, user: str | None, what: str) -> None:
        if user in self.banned or not self.permissions.get(user or "", {}).get(what, True):
            raise Refusal(403, f"no permission to {what}")

    def moderated_by(self, user: str | None, *, admin: bool = False) -> None:
        if user not in self.admins and (admin or user not in self.moderators):
            raise Refusal(403, "moderators only")

    # What it says of itself

    def details(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "token": self.token,
            "name": self.name,
            "description": self.description or None,
            "info_updates": self.info_updates,
            "message_sequence": self.seqno,
            "created": self.created,
            "active_users": 1,
            "active_users_cutoff": 604_800,
            "admins": sorted(self.admins),
            "moderators": sorted(self.moderators),
            "pinned_messages": self.pinned,
        }
        return shown | ({} if self.image is None else {"image_id": self.image})

    def status(self, user: str | None) -> dict[str, Any]:
        allowed = self.permissions.get(user or "", {})
        shown: dict[str, Any] = {"token": self.token, "active_users": 1}
        shown |= {what: user not in self.banned and allowed.get(what, True) for what in ("read", "write", "upload")}
        if user in self.admins:
            shown["admin"] = True
        if user in self.moderators or user in self.admins:
            shown["moderator"] = True
        return shown

    # Posts

    def find(self, number: int) -> Post:
        for post in self.posts:
            if post.id == number and post.data is not None:
                return post
        raise Refusal(404, "no such post")

    def next(self) -> int:
        self.seqno += 1
        return self.seqno

    def add(self, number: int, author: str, told: dict[str, Any]) -> Post:
        post = Post(number, self.next(), author, told["data"], told["signature"], time.time())
        post.whisper_to = told.get("whisper_to")
        self._attach(post, told.get("files", []))
        self.posts.append(post)
        return post

    def edit(self, post: Post, told: dict[str, Any]) -> None:
        post.data, post.signature, post.edited, post.seqno = told["data"], told["signature"], time.time(), self.next()
        self._attach(post, told.get("files", []))

    def _attach(self, post: Post, files: list[int]) -> None:
        for number in files:
            if number not in self.files:
                raise Refusal(404, "no such file")
            name, data, owner = self.files[number]
            self.files[number] = name, data, post.id if owner is None else owner
        post.files += files

    def delete(self, post: Post) -> None:
        post.data = post.signature = None
        post.seqno = self.next()

    def delete_all(self, author: str) -> int:
        found = [post for post in self.posts if post.author == author and post.data is not None]
        for post in found:
            self.delete(post)
        return len(found)

    def changed(self, post: Post) -> int:
        post.reactions_seqno = self.next()
        return post.reactions_seqno

    # Lists of posts

    def recent(self, user: str | None, limit: int, reactors: int, before: int = 1 << 62) -> list[dict[str, Any]]:
        found = [post for post in self.posts if post.data is not None and post.id < before and _sees(post, user)]
        return [self.entry(post, user, reactors) for post in reversed(found[-limit:])]

    def since(
        self, user: str | None, seqno: int, limit: int, reactors: int, *, reactions: bool
    ) -> list[dict[str, Any]]:
        found: list[tuple[int, dict[str, Any]]] = []
        for post in self.posts:
            if not _sees(post, user):
                continue
            if post.seqno > seqno:
                found.append((post.seqno, self.entry(post, user, reactors)))
            elif post.reactions_seqno > seqno and reactions and post.data is not None:
                shown = _reactions(post, user, reactors)
                found.append((post.reactions_seqno, {"id": post.id, "seqno": post.reactions_seqno, "reactions": shown}))
        return [entry for _, entry in sorted(found, key=lambda each: each[0])[:limit]]

    def entry(self, post: Post, user: str | None, reactors: int) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": post.id, "seqno": max(post.seqno, post.reactions_seqno), "posted": post.posted}
        shown["session_id"] = post.author
        if post.data is None:
            return shown | {"data": None, "deleted": True}
        shown |= {"data": post.data, "signature": post.signature, "reactions": _reactions(post, user, reactors)}
        if post.edited is not None:
            shown["edited"] = post.edited
        if post.whisper_to is not None:
            shown |= {"whisper": True, "whisper_to": post.whisper_to}
        return shown


def _sees(post: Post, user: str | None) -> bool:
    return post.whisper_to is None or user in (post.whisper_to, post.author)


def _reactions(post: Post, user: str | None, most: int) -> dict[str, Any]:
    return {
        emoji: {"index": index, "count": len(who), "reactors": who[:most], **({"you": True} if user in who else {})}
        for index, (emoji, who) in enumerate(post.reactions.items())
        if who
    }
