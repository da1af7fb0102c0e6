"""Rows as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from allium.client.messages.kinds import Attachment, Disappearing, Target


class ConversationKind(StrEnum):
    """With whom."""

    NOTE = "note"
    CONTACT = "contact"
    GROUP = "group"
    LEGACY_GROUP = "legacy-group"
    COMMUNITY = "community"
    BLINDED = "blinded"


class MessageState(StrEnum):
    """How far a message has come."""

    RECEIVED = "received"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    #: Sent, but the own other devices do not have it.
    UNSYNCED = "unsynced"


class Deleted(IntEnum):
    """Whether a message is only a place where one was."""

    NO = 0
    HERE = 1
    EVERYWHERE = 2


class AttachmentState(StrEnum):
    """Where a file is."""

    REMOTE = "remote"
    PENDING = "pending"
    HERE = "here"
    FAILED = "failed"


class OutboxState(StrEnum):
    """How far an item of the outbox has come."""

    QUEUED = "queued"
    SENDING = "sending"
    STORED = "stored"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation, as a list of them shows it."""

    #: An Account ID, a group's id, a blinded id, or a community's URL with its room.
    id: str
    kind: ConversationKind
    name: str = ""
    draft: str = ""
    #: As in configs: below 0 hidden, above 0 pinned.
    priority: int = 0
    #: Unix milliseconds; 0 if not.
    muted_until: int = 0
    marked_unread: bool = False
    #: Up to when it is read, in Unix milliseconds.
    last_read: int = 0
    last_activity: int = 0
    unread: int = 0
    #: What its owner keeps besides; as JSON.
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that is to be kept."""

    conversation: str
    sender: str
    #: When it was sent, as its sender says, in Unix milliseconds.
    timestamp: int
    body: str = ""
    #: `text`, or another word for what the conversation shows in its place.
    kind: str = "text"
    outgoing: bool = False
    #: When the swarm or the server had it, in Unix milliseconds; 0 for what `timestamp` says.
    received: int = 0
    state: MessageState = MessageState.RECEIVED
    read: bool = False
    #: Under which the own swarm, the group's or the server has it; empty if not known.
    hash: str = ""
    quote: Target | None = None
    timer: Disappearing | None = None
    #: When it disappears, in Unix milliseconds; None if it does not, or not yet.
    expires: int | None = None
    attachments: tuple[Attachment, ...] = ()
    #: Preview, invitation, and what else a kind has; as JSON.
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """A message that is kept. Fields of the same name are those of `NewMessage`."""

    id: int
    conversation: str
    sender: str
    timestamp: int
    body: str
    kind: str
    outgoing: bool
    received: int
    #: Its place among the others: when it was sent, but not later than when it came.
    position: int
    state: MessageState
    #: By us, or of an outgoing one by the other side.
    read: bool
    deleted: Deleted
    hash: str
    quote: Target | None
    timer: Disappearing | None
    expires: int | None
    #: Whether there are files: `Messages.attachments` has them.
    has_attachments: bool
    extra: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a message is among the others of its conversation, whether or not it is still there."""

    position: int
    id: int


@dataclass(frozen=True, slots=True)
class StoredAttachment:
    """A file of a message."""

    id: int
    message: int
    attachment: Attachment
    state: AttachmentState
    #: Where it lies on this machine; empty if it does not.
    path: str


@dataclass(frozen=True, slots=True)
class StoredReaction:
    """Who put which emoji on a message, and when."""

    message: int
    sender: str
    emoji: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """Something to store in a swarm, with the hash that it will have there."""

    id: int
    pubkey: str
    namespace: int
    hash: str
    #: What is stored, not yet as base64. Empty once it was.
    payload: bytes
    #: Milliseconds.
    ttl: int
    timestamp: int
    #: `message`, `sync`, `receipt` …: the owner's word.
    purpose: str
    #: Whose state it decides.
    message: int | None
    state: OutboxState
    attempts: int
    #: When it is tried next, in Unix milliseconds.
    not_before: int
    #: When the swarm took it, by its clock; 0 if not yet.
    stored: int
    error: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something received that this version makes nothing of."""

    id: int
    pubkey: str
    namespace: int
    hash: str
    data: bytes
    timestamp: int
    reason: str
