"""What a session tells as it happens: one type an event, and `Event`, the union of them all.

An event is news, not state: what it tells of is in the database before it is told, and a listener that missed it finds
it there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from allium.client.database.rows import Message
from allium.client.messages.kinds import Call
from allium.client.session.call_state import OngoingCall


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A text or files in a conversation; `message.outgoing` if another device of ours sent it."""

    message: Message

    @property
    def conversation_id(self) -> str:
        """Account ID, group id or community room that the message is in."""
        return self.message.conversation


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """The same from somebody who is not approved: it waits among the message requests."""

    message: Message

    @property
    def conversation_id(self) -> str:
        """Account ID of who asks."""
        return self.message.conversation


@dataclass(frozen=True, slots=True)
class NoticeReceived:
    """A line that nobody wrote; `message.kind` says of what: a changed timer, a screenshot, a call, an acceptance."""

    message: Message

    @property
    def conversation_id(self) -> str:
        """Account ID or group id that it is in."""
        return self.message.conversation


@dataclass(frozen=True, slots=True)
class RequestAccepted:
    """Somebody accepted our message request, or simply answered."""

    account_id: str


@dataclass(frozen=True, slots=True)
class MessageChanged:
    """A message of ours was stored, could not be, or was read (`message.state`); or a call's line says how it ended."""

    message: Message


@dataclass(frozen=True, slots=True)
class MessageDeleted:
    """A message is gone, or shows that it was deleted (`placeholder`)."""

    conversation_id: str
    message_id: int
    placeholder: bool = False


@dataclass(frozen=True, slots=True)
class ReactionReceived:
    """An emoji was put on a message, or taken off it."""

    conversation_id: str
    message_id: int
    sender: str
    emoji: str
    removed: bool = False


@dataclass(frozen=True, slots=True)
class ReceiptReceived:
    """Messages of ours were read; `timestamps` (Unix milliseconds) name them."""

    conversation_id: str
    timestamps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TypingReceived:
    """Somebody began or ceased to type. Nothing comes after a started one if they vanish: show it for 15 s at most."""

    conversation_id: str
    started: bool


@dataclass(frozen=True, slots=True)
class GroupChanged:
    """A group's name, members or state changed, or there is a new one."""

    group_id: str


@dataclass(frozen=True, slots=True)
class ConfigChanged:
    """Another device changed a config; `namespace` says which, 2 the profile, 3 contacts, 4 read states, 5 groups."""

    namespace: int


@dataclass(frozen=True, slots=True)
class ContactChanged:
    """A contact's name, picture or approval changed, here or elsewhere."""

    account_id: str


@dataclass(frozen=True, slots=True)
class ConversationChanged:
    """A conversation was read, renamed, pinned, hidden, deleted or got another timer."""

    conversation_id: str


@dataclass(frozen=True, slots=True)
class CallReceived:
    """A step of a call, from `sender`; our own account if another of our devices took or ended it."""

    conversation_id: str
    sender: str
    call: Call
    #: When it was sent, Unix milliseconds.
    timestamp: int


@dataclass(frozen=True, slots=True)
class CallChanged:
    """The account's call began, went on, or ended; `call.phase` says how far it is, and `call.outcome` how it ended."""

    call: OngoingCall


@dataclass(frozen=True, slots=True)
class DeviceAsked:
    """A device asks to be linked; `session.devices.requests` shows it."""

    #: 64 hex digits.
    device_id: str


@dataclass(frozen=True, slots=True)
class DevicesChanged:
    """The account's device group changed, or what this device is to it; `session.devices.group` says how."""


class Connection(Enum):
    """Whether the network answers."""

    ONLINE = "online"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """The network began or ceased to answer."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class DatabaseFailed:
    """Nothing can be kept, so nothing is received; it is tried again. `reason` says to people what they can do."""

    reason: str


Event = (
    MessageReceived
    | RequestReceived
    | NoticeReceived
    | RequestAccepted
    | MessageChanged
    | MessageDeleted
    | ReactionReceived
    | ReceiptReceived
    | TypingReceived
    | GroupChanged
    | ConfigChanged
    | ContactChanged
    | ConversationChanged
    | CallReceived
    | CallChanged
    | DeviceAsked
    | DevicesChanged
    | ConnectionChanged
    | DatabaseFailed
)
