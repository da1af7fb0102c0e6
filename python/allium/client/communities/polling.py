"""Polling of one server: which calls go into one batch, and what comes of the answers (`spec/groups` §9.3).

Nothing is remembered here: a state goes in, and events and the next state come out. Whoever polls keeps the state with
the events, in one transaction, so that a crash in between loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from allium.client.communities import answers, calls
from allium.client.communities.answers import DirectEntry, PostEntry, PostReaction, RoomStatus, SubReply
from allium.client.communities.calls import Call
from allium.client.communities.signing import BLIND, Identity
from allium.client.envelope import unpad
from allium.client.groups import blinding, community
from allium.client.messages.decoding import MessageError, decode
from allium.client.messages.kinds import Letter

_GONE = (403, 404)


@dataclass(frozen=True, slots=True)
class RoomCursor:
    """How far a room is known."""

    #: Of the last entry that was seen; 0 for a room of which nothing is known.
    seqno: int = 0
    info_updates: int = 0


@dataclass(frozen=True, slots=True)
class ServerState:
    """What is kept of one server between two polls."""

    capabilities: frozenset[str] = frozenset()
    #: The rooms that we are in.
    rooms: Mapping[str, RoomCursor] = field(default_factory=dict)
    inbox: int = 0
    outbox: int = 0

    def within(self, rooms: Mapping[str, RoomCursor]) -> ServerState:
        """Itself with just these rooms, those that it does not know as they are given."""
        return replace(self, rooms={room: self.rooms.get(room, cursor) for room, cursor in rooms.items()})


@dataclass(frozen=True, slots=True)
class RoomChanged:
    """A room's status, and its description where that is new."""

    room: str
    status: RoomStatus


@dataclass(frozen=True, slots=True)
class RoomRefused:
    """We may not read a room (403), or it is gone (404)."""

    room: str
    status: int


@dataclass(frozen=True, slots=True)
class PostReceived:
    """A post, new or with other words; its author is proven."""

    room: str
    entry: PostEntry
    letter: Letter
    #: Whether it is ours, from this device or another.
    own: bool
    #: What the author's signature of Session Pro is over, and that signature.
    signed: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class PostDeleted:
    """A post is no longer there."""

    room: str
    id: int


@dataclass(frozen=True, slots=True)
class ReactionsChanged:
    """All emoji on a post, as they are now."""

    room: str
    id: int
    reactions: Mapping[str, PostReaction]


@dataclass(frozen=True, slots=True)
class DirectReceived:
    """A message between blinded ids, to us or (`own`) of another device of ours."""

    entry: DirectEntry
    #: The sender's Account ID, proven.
    sender: str
    letter: Letter
    own: bool


@dataclass(frozen=True, slots=True)
class EntryUnreadable:
    """What is no message, or is not its author's. `room` is empty for a direct message."""

    room: str
    entry: PostEntry | DirectEntry | None
    reason: str
    #: Whether it is at least by whom it names: a newer version may read it.
    proven: bool = False


CommunityEvent = (
    RoomChanged | RoomRefused | PostReceived | PostDeleted | ReactionsChanged | DirectReceived | EntryUnreadable
)


@dataclass(frozen=True, slots=True)
class PollOutcome:
    """What one poll has brought."""

    events: tuple[CommunityEvent, ...]
    state: ServerState
    #: Whether there is more, to be polled for at once.
    more: bool


def batches(state: ServerState) -> list[list[Call]]:
    """The calls of one poll; one batch, unless there are too many rooms for it."""
    wanted = [calls.capabilities()]
    for room, cursor in state.rooms.items():
        wanted.append(calls.poll_info(room, cursor.info_updates))
        wanted.append(calls.since(room, cursor.seqno) if cursor.seqno else calls.recent(room))
    if BLIND in state.capabilities:
        wanted += [calls.inbox(state.inbox), calls.outbox(state.outbox)]
    return [wanted[start : start + calls.MAX_BATCH] for start in range(0, len(wanted), calls.MAX_BATCH)]


def take(state: ServerState, identity: Identity, asked: Sequence[Call], replies: Sequence[SubReply]) -> PollOutcome:
    """What the answers to one batch mean. Never fails, whatever the server says."""
    events: list[CommunityEvent] = []
    more = False
    rooms = dict(state.rooms)
    for call, reply in zip(asked, replies, strict=False):
        match call.path.partition("?")[0].split("/")[1:]:
            case ["capabilities"] if reply.status == 200:
                state = _with_capabilities(state, reply)
            case ["room", room, "pollInfo", _]:
                cursor = rooms[room]
                if reply.status in _GONE:
                    events.append(RoomRefused(room, reply.status))
                elif reply.status == 200 and (status := answers.status_of(reply.body, room)):
                    events.append(RoomChanged(room, status))
                    if status.details:
                        rooms[room] = replace(cursor, info_updates=status.details.info_updates)
            case ["room", room, "messages", *_] if reply.status == 200:
                found, entries, count = posts(room, reply.body, identity)
                events += found
                last = max([rooms[room].seqno, *(entry.seqno for entry in entries)])
                more = more or (last > rooms[room].seqno > 0 and count >= calls.POSTS)
                rooms[room] = replace(rooms[room], seqno=last)
            case ["inbox" | "outbox" as box, *_] if reply.status == 200:
                direct, unreadable = answers.direct_of(reply.body)
                events += [EntryUnreadable("", None, "not an entry of an inbox")] * unreadable
                events += [_of_direct(entry, identity) for entry in direct]
                last = max([state.inbox if box == "inbox" else state.outbox, *(entry.id for entry in direct)])
                state = replace(state, inbox=last) if box == "inbox" else replace(state, outbox=last)
    return PollOutcome(tuple(events), replace(state, rooms=rooms), more)


def posts(room: str, body: Any, identity: Identity) -> tuple[list[CommunityEvent], list[PostEntry], int]:
    """What a list of posts means, its entries, and how many there were with those that cannot be read."""
    entries, unreadable = answers.posts_of(body)
    entries.sort(key=lambda entry: entry.seqno)
    events: list[CommunityEvent] = [EntryUnreadable(room, None, "not an entry of a room")] * unreadable
    for entry in entries:
        events += _of_post(room, entry, identity)
    return events, entries, len(entries) + unreadable


def _with_capabilities(state: ServerState, reply: SubReply) -> ServerState:
    try:
        # A server that has once had blinding must not have us show who we are by forgetting it.
        return replace(state, capabilities=answers.capabilities_of(reply.body) | (state.capabilities & {BLIND}))
    except ValueError:
        return state


def _of_post(room: str, entry: PostEntry, identity: Identity) -> Iterator[CommunityEvent]:
    if entry.deleted:
        yield PostDeleted(room, entry.id)
        return
    if entry.data is not None:
        try:
            # A post's time is that of its first words; other words were signed when they were written.
            read = community.read(entry.author, entry.data, entry.signature, entry.edited or entry.posted)
        except MessageError as error:
            proven = community.is_signed(entry.author, entry.data, entry.signature)
            yield EntryUnreadable(room, entry, str(error), proven)
            return
        own = identity.is_own(entry.author)
        yield PostReceived(room, entry, read.letter, own, read.signed, read.signature)
    if entry.reactions is not None:
        yield ReactionsChanged(room, entry.id, entry.reactions)


def _of_direct(entry: DirectEntry, identity: Identity) -> CommunityEvent:
    try:
        own = identity.key_for(entry.sender)
        sender, padded = blinding.open_sealed(own, entry.sender, entry.recipient, identity.server.key, entry.data)
    except ValueError as error:
        return EntryUnreadable("", entry, str(error))
    try:
        letter = decode(unpad(padded), 0)
    except MessageError as error:
        return EntryUnreadable("", entry, str(error), proven=True)
    return DirectReceived(entry, sender, letter, sender == identity.account.account_id)
