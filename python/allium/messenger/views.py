"""What the API shows, as types: their names and members are the API's. Times are Unix milliseconds, sizes bytes."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field

from allium.messenger.call_views import IceServerView


class CallView(Struct, kw_only=True):
    """A call. `signals` counts what the other side has sent of it, `owner` is who has it."""

    id: str
    contact: PersonView
    outgoing: bool
    phase: Literal["calling", "ringing", "connecting", "connected", "ended"]
    since: int
    #: Since when both hear each other; null if they do not.
    answered: int | None
    owner: str
    #: They called while we were calling them: who was calling takes it at once.
    wanted: bool
    signals: int
    outcome: Literal["answered", "missed", "off", "unanswered", "declined", "elsewhere", "failed", "crossed"] | None = (
        None
    )


class AccountView(Struct, kw_only=True):
    """An account on this machine; where `open` is false, `error` says what to do."""

    id: str
    account_id: str
    display_name: str
    picture: str | None = None
    open: bool = True
    unread: int = 0
    online: bool = False
    phrase_seen: bool = False
    color: int = 0
    letters: str = ""
    error: str | None = None
    #: The call that there is.
    call: CallView | None = None


class StateView(Struct, kw_only=True):
    """The service and its accounts; of those nothing is shown while it is locked."""

    version: str
    locked: bool
    network: Literal["mainnet", "devnet"]
    accounts: list[AccountView]
    #: Whether there is a password that locks.
    password: bool
    #: Whether the system's keychain opens it at the start.
    keychain: bool
    auto_lock_minutes: int


class PersonView(Struct, kw_only=True):
    """Who wrote something."""

    id: str
    name: str
    color: int
    letters: str
    picture: str | None = None
    admin: bool = False


class TimerView(Struct, kw_only=True):
    """When messages disappear."""

    kind: Literal["after_read", "after_send"]
    seconds: int


class QuoteView(Struct, kw_only=True):
    """The message that one answers; `message` is null where it is not here."""

    message: int | None
    sender: PersonView
    text: str
    timestamp: int


class AttachmentView(Struct, kw_only=True):
    """A file of a message."""

    id: int
    name: str
    type: str
    size: int
    width: int
    height: int
    caption: str
    voice: bool
    state: Literal["remote", "pending", "here", "failed"]
    progress: float
    url: str


class ReactionView(Struct, kw_only=True):
    """An emoji on a message; of very many senders the first are named."""

    emoji: str
    count: int
    me: bool
    senders: list[str]


class PreviewView(Struct, kw_only=True):
    """What is behind a link."""

    url: str
    title: str
    image: str | None = None


class InvitationView(Struct, kw_only=True):
    """An invitation to a community."""

    url: str
    name: str


class MentionView(Struct, kw_only=True):
    """Somebody whom a text names as @ and their id."""

    id: str
    name: str


class MessageView(Struct, kw_only=True):
    """A message; of other kinds than `text`, `notice` says what it tells."""

    id: int
    conversation: str
    sender: PersonView
    outgoing: bool
    kind: str
    text: str
    timestamp: int
    received: int
    position: int
    state: Literal["received", "sending", "sent", "failed", "unsynced"]
    #: On how many nodes of its swarm it is known to be; null where nobody counted.
    stored_on: int | None
    read: bool
    deleted: int
    expires: int | None
    timer: TimerView | None
    quote: QuoteView | None
    attachments: list[AttachmentView]
    reactions: list[ReactionView]
    preview: PreviewView | None
    invitation: InvitationView | None
    notice: dict[str, Any] | None
    mentions: list[MentionView]
    #: In an answer to a search: the text around what was found.
    snippet: str | None = None


class ConversationView(Struct, kw_only=True):
    """A conversation, as a list of them shows it."""

    id: str
    kind: Literal["note", "contact", "group", "legacy-group", "community", "blinded"]
    name: str
    picture: str | None
    draft: str
    pinned: int
    hidden: bool
    muted_until: int
    marked_unread: bool
    unread: int
    mentioned: bool
    last_read: int
    last_activity: int
    last_message: MessageView | None
    timer: TimerView | None
    approved: bool
    approved_me: bool
    blocked: bool
    request: bool
    typing: bool
    writable: bool
    color: int
    letters: str


class MessagesView(Struct, kw_only=True):
    """A page of messages, the oldest first; `before` and `after` are cursors of the next ones, null at an end."""

    messages: list[MessageView]
    before: str | None
    after: str | None


class ContactView(Struct, kw_only=True):
    """Somebody whom we know."""

    id: str
    name: str
    nickname: str
    approved: bool
    approved_me: bool
    blocked: bool
    color: int
    letters: str
    picture: str | None = None


class KeyView(Struct, kw_only=True):
    """A key's safety words."""

    id: str
    own: bool
    words: list[str]


class SafetyView(Struct, kw_only=True):
    """Safety words of our key and of somebody's, in an order that is the same on both sides."""

    keys: list[KeyView]


class MemberView(Struct, kw_only=True):
    """A member of a group; `state` is one word for how far it is."""

    id: str
    name: str
    admin: bool
    state: str
    color: int
    letters: str
    picture: str | None = None


class GroupView(Struct, kw_only=True):
    """A group."""

    id: str
    name: str
    description: str
    picture: str | None
    admin: bool
    invited: bool
    kicked: bool
    destroyed: bool
    expired: bool
    members: list[MemberView]
    timer: int


class RoomView(Struct, kw_only=True):
    """A room of a community server."""

    token: str
    name: str
    description: str
    url: str
    active_users: int


class CommunityView(Struct, kw_only=True):
    """A room that we are in, who looks after it, and what we may there; `url` is how others join."""

    id: str
    name: str
    description: str
    url: str
    active_users: int
    read: bool
    write: bool
    upload: bool
    moderator: bool
    admin: bool
    #: Admins and moderators.
    staff: list[PersonView]
    #: Those of the pinned messages that are here, and how many there are.
    pinned: list[MessageView]
    pinned_count: int


class SettingsView(Struct, kw_only=True):
    """What is set on this device."""

    read_receipts: bool
    typing_indicators: bool
    calls: bool
    link_previews: bool
    #: Whether a provider of GIFs may be asked, with a key that the user has set.
    gif_search: bool
    community_requests: bool
    #: Calls go through relays alone.
    relay_only: bool
    #: Servers for calls that the owner has set; null for those of the network.
    ice_servers: list[IceServerView] | None
    auto_lock_minutes: int


class HopView(Struct, kw_only=True):
    """A node; `country` is where its address is registered, two letters, null where nobody knows."""

    ip: str
    port: int
    pubkey: str
    country: str | None = None


class PathView(Struct, kw_only=True):
    """The path that messages take, the entry first; empty while there is none."""

    hops: list[HopView]
    guard_ok: bool


class NodesView(Struct, kw_only=True):
    """The nodes that keep our messages."""

    nodes: list[HopView]


class NetworkView(Struct, kw_only=True):
    """The network as its nodes have told it to this device; `countries` are how many of them are where."""

    nodes: int
    countries: dict[str, int]
    #: Those of which nobody knows where they are.
    elsewhere: int
    paths: int
    #: Seconds since nodes were asked for their list.
    age: float
    #: How far the network's clock is ahead of this machine's, milliseconds.
    clock: int


class PhraseView(Struct, kw_only=True):
    """The recovery phrase: whoever has it has the account."""

    phrase: str
    words: int


class UploadView(Struct, kw_only=True):
    """A file that waits to be sent; it is deleted after a day."""

    id: str
    name: str
    type: str
    size: int


class WayView(Struct, kw_only=True):
    """One thing that a message of ours is stored as: for the other side, or a copy for our other devices."""

    purpose: str
    state: Literal["queued", "sending", "stored", "failed"]
    attempts: int
    #: When it is tried next, and when it was stored.
    next: int | None
    stored: int | None
    error: str


class HolderView(Struct, kw_only=True):
    """A node that has signed that it keeps a message; `ip` is empty if it is not known any more."""

    pubkey: str
    ip: str


class InfoView(Struct, kw_only=True):
    """What is known of how a message came, or goes."""

    #: Under which swarm or server have it; empty if not known.
    hash: str
    #: When it was written, by its sender's clock; when the network had it; when this device fetched it, null if not
    #: known or if it was written here.
    timestamp: int
    received: int
    fetched: int | None
    #: Of a message of ours: how many nodes were asked to keep it, how many do, and which.
    asked: int | None
    stored_on: int | None
    #: When they had it, when our other devices could have it, when it last failed, when the other side had read it, as
    #: that says; null for what did not happen, or nobody told.
    stored: int | None
    copied: int | None
    failed: int | None
    read: int | None
    nodes: list[HolderView]
    waiting_for_files: bool
    ways: list[WayView]


class MediaView(Struct, kw_only=True):
    """Messages with files, the newest first; `next` is the `before` of the next page."""

    messages: list[MessageView]
    next: int | None


class SearchView(Struct, kw_only=True):
    """What was found; `next` is the `before` of the next page."""

    messages: list[MessageView]
    conversations: list[ConversationView]
    contacts: list[ContactView]
    next: int | None


class JobView(Struct, kw_only=True):
    """Something that takes a while. `total` is null where nobody knows it."""

    id: str
    kind: str
    done: int
    total: int | None
    state: Literal["running", "done", "failed", "cancelled"]
    error: str | None


class JobRef(Struct, kw_only=True):
    """Where to ask how far it is."""

    job: str


class DeviceView(Struct, kw_only=True):
    """A browser or telephone that may use the service."""

    id: str
    name: str
    created: int
    seen: int
    current: bool
    remote: bool


class PairingView(Struct, kw_only=True):
    """How a telephone comes in: it opens `url`, which has the code behind its #; the code is good for some seconds."""

    code: str
    url: str
    fingerprint: str
    seconds: int


class PushView(Struct, kw_only=True):
    """The push server's public key for browsers, URL-safe base64; null where none can be woken."""

    key: str | None


class LinkView(Struct, kw_only=True):
    """A link that opens the messenger once."""

    url: str


class LeftView(Struct, kw_only=True):
    """Keys of nodes that did not prove that they deleted an account."""

    nodes: list[str]


class CountView(Struct, kw_only=True):
    """How many it were."""

    count: int


class Nothing(Struct):
    """An empty object."""


class ErrorView(Struct, kw_only=True):
    """Why it cannot be."""

    error: str
    message: str
    word: int | None = field(default=None)
