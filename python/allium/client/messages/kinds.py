"""Every kind of message between two accounts, as a value (`spec/messages` §2). Group updates are in `updates`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from allium.client.messages.updates import GroupUpdate

#: What a receiver takes of one message.
MAX_ATTACHMENTS = 32


class Disappear(IntEnum):
    """When a message disappears. In configs the two numbers are the other way round."""

    AFTER_READ = 1
    AFTER_SEND = 2


@dataclass(frozen=True)
class Disappearing:
    """A message's timer."""

    kind: Disappear
    seconds: int


@dataclass(frozen=True)
class Profile:
    """What a sender says of itself."""

    name: str = ""
    picture_url: str = ""
    #: 32 bytes, or none.
    picture_key: bytes = b""
    #: When it changed, in Unix seconds; 0 if the sender does not say.
    updated: int = 0


@dataclass(frozen=True)
class Attachment:
    """Where a file is and how it is opened."""

    url: str
    #: 64 bytes of the legacy encryption, 32 of the deterministic one; none where the file is in the clear.
    key: bytes = b""
    #: SHA-256 of what is stored, with the legacy encryption.
    digest: bytes = b""
    #: Of the file itself, in bytes.
    size: int = 0
    content_type: str = ""
    name: str = ""
    caption: str = ""
    width: int = 0
    height: int = 0
    voice: bool = False


@dataclass(frozen=True)
class Target:
    """A message, as others name it: when it was sent (Unix milliseconds), and by whom."""

    timestamp: int
    author: str


@dataclass(frozen=True)
class Preview:
    """What the sender found behind a link in its text."""

    url: str
    title: str = ""
    image: Attachment | None = None


@dataclass(frozen=True)
class CommunityInvitation:
    """An invitation to a community: the URL to join by, and its name."""

    url: str
    name: str


@dataclass(frozen=True)
class Text:
    """A message to be seen. At least one of its first five fields says something."""

    body: str = ""
    attachments: tuple[Attachment, ...] = ()
    quote: Target | None = None
    preview: Preview | None = None
    invitation: CommunityInvitation | None = None
    profile: Profile | None = None
    #: Only on a copy to oneself: the account or group that the message went to.
    sync_target: str = ""
    #: Whether the sender refuses requests of blinded users; None if it does not say.
    blocks_community_requests: bool | None = None


@dataclass(frozen=True)
class Reaction:
    """An emoji put on a message, or taken off it."""

    target: Target
    emoji: str
    remove: bool = False
    profile: Profile | None = None
    sync_target: str = ""


@dataclass(frozen=True)
class TimerUpdate:
    """The conversation's new timer is the one that the message itself has; none switches it off."""

    profile: Profile | None = None
    sync_target: str = ""


@dataclass(frozen=True)
class GroupUpdateMessage:
    """A change of a group, or an invitation to one."""

    update: GroupUpdate
    profile: Profile | None = None


@dataclass(frozen=True)
class Typing:
    """Somebody began or ceased to type."""

    started: bool


@dataclass(frozen=True)
class ReadReceipt:
    """Messages of ours, by when they were sent (Unix milliseconds), have been read."""

    timestamps: tuple[int, ...]


@dataclass(frozen=True)
class Unsend:
    """A message of the sender's own is to be deleted."""

    target: Target


class Extraction(IntEnum):
    """What was done with a conversation."""

    SCREENSHOT = 1
    MEDIA_SAVED = 2


@dataclass(frozen=True)
class DataExtraction:
    """The other side took a screenshot, or saved a file."""

    kind: Extraction
    #: When, in Unix milliseconds.
    timestamp: int = 0


@dataclass(frozen=True)
class RequestResponse:
    """A message request was accepted."""

    approved: bool = True
    profile: Profile | None = None


class CallStep(IntEnum):
    """A step of a call."""

    OFFER = 1
    ANSWER = 2
    PROVISIONAL_ANSWER = 3
    ICE_CANDIDATES = 4
    END_CALL = 5
    PRE_OFFER = 6


@dataclass(frozen=True)
class Call:
    """One step of a call (`spec/files-and-calls` §4)."""

    step: CallStep
    uuid: str
    sdps: tuple[str, ...] = ()
    #: With `ICE_CANDIDATES`, as long as `sdps`.
    line_indexes: tuple[int, ...] = ()
    mids: tuple[str, ...] = ()


Message = (
    Text
    | Reaction
    | TimerUpdate
    | GroupUpdateMessage
    | Typing
    | ReadReceipt
    | Unsend
    | DataExtraction
    | RequestResponse
    | Call
)


@dataclass(frozen=True)
class Letter:
    """A message with what is around it, under the sender's signature."""

    message: Message
    #: When it was sent, in Unix milliseconds.
    timestamp: int
    disappearing: Disappearing | None = None
    #: Serialised ProMessage, if the sender has Session Pro.
    pro: bytes = field(default=b"", repr=False)

    @property
    def sync_target(self) -> str:
        """On a copy to oneself, the account or group that the message went to; else empty."""
        return getattr(self.message, "sync_target", "")
