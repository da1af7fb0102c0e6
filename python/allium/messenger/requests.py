"""What the API takes, as types. Members that are left out are left as they are."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Text = Annotated[str, Meta(max_length=100_000)]
Name = Annotated[str, Meta(max_length=200)]
Id = Annotated[str, Meta(max_length=400)]
Ids = Annotated[list[Id], Meta(max_length=1000)]
Time = Annotated[int, Meta(ge=0, le=1 << 53)]
#: No more than a row of a database may have for its number.
MessageId = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class Unlock(Struct, kw_only=True):
    """Opens what is locked."""

    password: Annotated[str, Meta(max_length=1024)]


class Password(Struct, kw_only=True):
    """A new password for all accounts of this machine."""

    new: Annotated[str, Meta(min_length=6, max_length=256)]
    old: Annotated[str, Meta(max_length=1024)] | None = None


class Forget(Struct, kw_only=True):
    """`confirm` is "forget this device"."""

    confirm: str


class NewAccount(Struct, kw_only=True):
    """A new account, or with `phrase` one that is restored; without a name it has the one that it had."""

    display_name: Name = ""
    phrase: Annotated[str, Meta(max_length=2000)] | None = None
    password: Annotated[str, Meta(min_length=6, max_length=256)] | None = None


class AccountChange(Struct, kw_only=True):
    """A new name."""

    display_name: Name | UnsetType = UNSET


class IceServerChange(Struct, kw_only=True):
    """A server for calls: `stun:` or `turn:`, `stuns:` or `turns:`, its name and port."""

    url: Annotated[
        str,
        Meta(
            max_length=300,
            pattern=r"^(stuns?|turns?):(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?(\?transport=(udp|tcp))?$",
        ),
    ]
    username: Name = ""
    credential: Name = ""


class SettingsChange(Struct, kw_only=True):
    """What is to be set."""

    read_receipts: bool | UnsetType = UNSET
    typing_indicators: bool | UnsetType = UNSET
    calls: bool | UnsetType = UNSET
    link_previews: bool | UnsetType = UNSET
    community_requests: bool | UnsetType = UNSET
    relay_only: bool | UnsetType = UNSET
    ice_servers: Annotated[list[IceServerChange], Meta(max_length=8)] | UnsetType | None = UNSET
    auto_lock_minutes: Annotated[int, Meta(ge=0, le=100_000)] | UnsetType = UNSET


class TimerChange(Struct, kw_only=True):
    """After how long messages disappear."""

    kind: Literal["after_read", "after_send"]
    seconds: Annotated[int, Meta(ge=1, le=(1 << 32) - 1)]


class ConversationChange(Struct, kw_only=True):
    """`pinned` of 0 takes the pin off; a `timer` of null stops it."""

    draft: Text | UnsetType = UNSET
    pinned: Annotated[int, Meta(ge=0, le=1 << 31)] | UnsetType = UNSET
    muted_until: Time | UnsetType = UNSET
    marked_unread: bool | UnsetType = UNSET
    hidden: bool | UnsetType = UNSET
    timer: TimerChange | UnsetType | None = UNSET


Sdp = Annotated[str, Meta(min_length=1, max_length=64 << 10)]
Owner = Annotated[str, Meta(max_length=64)]


class NewCall(Struct, kw_only=True):
    """Whom to call; `owner` is a name of who has the call, which it chooses itself."""

    contact: Id
    owner: Owner = ""


class CallTaken(Struct, kw_only=True):
    """Who takes it."""

    owner: Owner = ""


class Description(Struct, kw_only=True):
    """A session description of WebRTC."""

    sdp: Sdp


class CandidateGiven(Struct, kw_only=True):
    """A candidate of WebRTC."""

    candidate: Annotated[str, Meta(max_length=2000)]
    line_index: Annotated[int, Meta(ge=0, le=255)] = 0
    mid: Annotated[str, Meta(max_length=64)] = ""


class CandidatesGiven(Struct, kw_only=True):
    """Ways to reach us."""

    candidates: Annotated[list[CandidateGiven], Meta(max_length=64)]


class CallAlive(Struct, kw_only=True):
    """Whether both sides hear each other; to be said each minute."""

    connected: bool = False


class CallEnd(Struct, kw_only=True):
    """Whether there was no way to the other side."""

    failed: bool = False


class Read(Struct, kw_only=True):
    """Up to a time; without it everything."""

    up_to: Time | None = None


class Typing(Struct, kw_only=True):
    """Whether we type."""

    typing: bool


Caption = Annotated[str, Meta(max_length=1000)]


class NewMessage(Struct, kw_only=True):
    """A message to be sent. `attachments` are ids of uploads, `captions` words beside them, `preview` a link in it."""

    text: Text = ""
    quote: MessageId | None = None
    attachments: Annotated[list[Id], Meta(max_length=32)] = []
    captions: Annotated[dict[Id, Caption], Meta(max_length=32)] = {}
    preview: Annotated[str, Meta(max_length=2048)] | None = None
    voice: bool = False


class Forward(Struct, kw_only=True):
    """Where a message is sent on to."""

    conversation: Id


class GifSearchWanted(Struct, kw_only=True):
    """A key for GIPHY, of the user's own, who says that it may be asked."""

    key: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{8,128}$")]
    agreed: bool


class PreviewWanted(Struct, kw_only=True):
    """The text with the link."""

    text: Text


class ContactChange(Struct, kw_only=True):
    """`approved` true accepts a request."""

    nickname: Name | UnsetType = UNSET
    blocked: bool | UnsetType = UNSET
    approved: bool | UnsetType = UNSET


class NewGroup(Struct, kw_only=True):
    """A group and whom to invite."""

    name: Name
    members: Ids = []
    description: Annotated[str, Meta(max_length=600)] = ""


class GroupChange(Struct, kw_only=True):
    """As an admin."""

    name: Name | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=600)] | UnsetType = UNSET


class GroupAction(Struct, kw_only=True):
    """`history` of an invitation, `messages` of a removal: whether these go too."""

    members: Ids = []
    history: bool = False
    messages: bool = False


class Join(Struct, kw_only=True):
    """A community's URL with room and key."""

    url: Annotated[str, Meta(max_length=2048)]


class CommunityAction(Struct, kw_only=True):
    """Whom, or which message, it is about."""

    user: Id = ""
    message: MessageId | None = None
    delete: bool = False
    admin: bool = True
    remove: bool = False
    pinned: bool = True
    timeout: Annotated[float, Meta(ge=0, le=1e9)] | None = None


Endpoint = Annotated[str, Meta(min_length=1, max_length=4096)]
PushKey = Annotated[str, Meta(min_length=1, max_length=200)]


class PushWanted(Struct, kw_only=True):
    """A browser's subscription, as its `PushSubscription` says it."""

    endpoint: Endpoint
    p256dh: PushKey
    auth: PushKey


class PushOver(Struct, kw_only=True):
    """The subscription that ends."""

    endpoint: Endpoint


class BackupWanted(Struct, kw_only=True):
    """Where to; without a password the recovery phrase opens it."""

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    password: Annotated[str, Meta(min_length=6, max_length=256)] | None = None


class RestoreWanted(Struct, kw_only=True):
    """A backup, which the recovery phrase opens, or the password that it has; `password` is the messenger's."""

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    phrase: Annotated[str, Meta(max_length=2000)] | None = None
    backup_password: Annotated[str, Meta(max_length=1024)] | None = None
    password: Annotated[str, Meta(min_length=6, max_length=256)] | None = None


class ExportWanted(Struct, kw_only=True):
    """`json` writes one file, `html` a directory; with a `conversation`, `html` writes its page alone.

    `zip` writes a conversation with its files: a page to read, and what an import takes; with a `password` sealed.
    """

    format: Literal["json", "html", "zip"]
    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    conversation: Id | None = None
    password: Annotated[str, Meta(min_length=6, max_length=256)] | None = None


class ImportWanted(Struct, kw_only=True):
    """A `zip` of an export, and the password that it was sealed with."""

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    password: Annotated[str, Meta(max_length=1024)] | None = None


class Pairing(Struct, kw_only=True):
    """The code that the service shows, and what to call the device."""

    code: Annotated[str, Meta(max_length=64)]
    name: Name = ""
