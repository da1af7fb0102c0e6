"""Communities in the database: rooms that are joined, how far they are known, their posts. It runs on the worker.

A room's conversation is named by the server's URL and the room in lower case; its posts by that and their number, in
place of a hash. Authors are the ids that they have on that server.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from allium.client.communities.polling import (
    CommunityEvent,
    DirectReceived,
    EntryUnreadable,
    PollOutcome,
    PostDeleted,
    PostReceived,
    ReactionsChanged,
    RoomChanged,
    RoomCursor,
    RoomRefused,
    ServerState,
)
from allium.client.configs.community import Community, Server
from allium.client.configs.convo_info_volatile import ReadState
from allium.client.configs.user_groups import JoinedCommunity
from allium.client.database.rows import ConversationKind, Deleted, Message, MessageState, NewMessage
from allium.client.messages import kinds, text
from allium.client.messages.direct import Received as Opened
from allium.client.polling import Received
from allium.client.session import blinded, inbound, letters, people
from allium.client.session.core import Work
from allium.client.session.events import ConversationChanged, MessageChanged, MessageReceived, ReactionReceived
from allium.client.session.group import GroupFeature

#: What is kept in the inbox of a server, and for how long it is remembered that it came; milliseconds.
_INBOX_MS = 15 * 86_400_000
_NAMESPACE = 0
#: Messages of a room among which one that was never sent is looked for.
_LOOKED_AT = 100


def conversation_id(community: Community) -> str:
    """By which a room is known."""
    return f"{community.server.base_url}/{community.key}"


def post_name(conversation: str, number: int) -> str:
    """What stands in place of a hash."""
    return f"{conversation}#{number}"


def number_of(message: Message) -> int:
    """The server's number of a post; `ValueError` if it has none."""
    _, _, number = message.hash.rpartition("#")
    if not number.isdecimal():
        raise ValueError("this post has not reached its community")
    return int(number)


# What is joined


def rooms(work: Work) -> dict[str, Community]:
    """Every room that is joined on some device, by its conversation."""
    return {conversation_id(each.community): each.community for each in work.configs.groups.communities()}


def reconcile(work: Work) -> dict[str, Community]:
    """Has a conversation for each room that is joined, and none for those that another device has left.

    What another device has read is read.
    """
    wanted = rooms(work)
    for conversation in work.database.conversations.all():
        if conversation.kind is ConversationKind.COMMUNITY and conversation.id not in wanted:
            work.database.conversations.remove(conversation.id)
            work.tell(ConversationChanged(conversation.id))
    for name, community in wanted.items():
        found = work.database.conversations.get(name)
        if found is None:
            _show(work, name, community)
            continue
        read = _read_state(work, community)
        if read.last_read > found.last_read:
            work.database.messages.mark_read(name, work.now, up_to=read.last_read)
        if read.last_read > found.last_read or read.unread != found.marked_unread:
            work.database.conversations.update(name, marked_unread=read.unread)
            work.tell(ConversationChanged(name))
    return wanted


def told(work: Work) -> object:
    """What `reconcile` goes by, to be compared: it has nothing to do while this is the same."""
    return list(work.configs.groups.communities()), list(work.configs.volatile.communities())


def _read_state(work: Work, community: Community) -> ReadState:
    state = work.configs.volatile.get_community(community.server.base_url, community.room) or ReadState()
    # Nobody has read what is not sent yet, whatever a device says.
    return state if state.last_read <= work.now else replace(state, last_read=0)


def _show(work: Work, name: str, community: Community) -> None:
    work.database.conversations.ensure(name, ConversationKind.COMMUNITY, name=community.room)
    joined = work.configs.groups.community(community.server.base_url, community.room)
    read = _read_state(work, community)
    work.database.conversations.update(
        name,
        priority=joined.priority if joined else 0,
        muted_until=joined.muted_until * 1000 if joined else 0,
        last_read=read.last_read,
        marked_unread=read.unread,
    )
    work.tell(ConversationChanged(name))


def enter(work: Work, community: Community) -> str:
    """A room is joined, on all our devices; its conversation."""
    found = work.configs.groups.community(community.server.base_url, community.room)
    if found is None:
        work.configs.groups.set_community(JoinedCommunity(joined=work.seconds, community=community))
    reconcile(work)
    return conversation_id(community)


def leave(work: Work, community: Community) -> None:
    """The inverse."""
    base, room = community.server.base_url, community.room
    work.configs.groups.erase_community(base, room)
    work.configs.volatile.erase_community(base, room)
    reconcile(work)


def forsake(work: Work, sending: Collection[int]) -> None:
    """Posts that an earlier run was sending have failed, unless a poll finds them; `sending` are this run's."""
    for conversation in rooms(work):
        for message in work.database.messages.page(conversation, limit=_LOOKED_AT):
            if message.state is MessageState.SENDING and not message.hash and message.id not in sending:
                set_state(work, message.id, MessageState.FAILED)


def mark_read(work: Work, community: Community, up_to: int) -> None:
    """Up to where a room is read, for all our devices; Unix milliseconds."""
    state = _read_state(work, community)
    state.last_read, state.unread = max(state.last_read, min(up_to, work.now)), False
    work.configs.volatile.set_community(community, state, work.now)


# How far a server is known


def state_of(work: Work, server: Server, joined: Mapping[str, Community]) -> ServerState:
    """What an earlier poll left, with the rooms of this server that are joined now."""
    try:
        kept = json.loads(work.database.facts.get(_fact(server)) or b"{}")
        state = ServerState(
            frozenset(kept.get("capabilities", ())),
            {room: RoomCursor(*cursor) for room, cursor in kept.get("rooms", {}).items()},
            kept.get("inbox", 0),
            kept.get("outbox", 0),
        )
    except (ValueError, TypeError, AttributeError):
        state = ServerState()
    here = [each.room for each in joined.values() if each.server.base_url == server.base_url]
    return state.within({room: RoomCursor() for room in here})


def keep_state(work: Work, server: Server, state: ServerState) -> None:
    """With what it stands for, in one transaction."""
    kept = {
        "capabilities": sorted(state.capabilities),
        "rooms": {room: [cursor.seqno, cursor.info_updates] for room, cursor in state.rooms.items()},
        "inbox": state.inbox,
        "outbox": state.outbox,
    }
    data = json.dumps(kept).encode()
    # Most polls bring nothing, and the disk is left alone.
    if work.database.facts.get(_fact(server)) != data:
        work.database.facts.set(_fact(server), data)


def _fact(server: Server) -> str:
    return f"community {server.base_url}"


# What a poll has brought


def take(work: Work, server: Server, outcome: PollOutcome, own_id: str, groups: GroupFeature) -> None:
    """Takes all events of a poll, and the state after it."""
    take_events(work, server, outcome.events, own_id, groups)
    keep_state(work, server, outcome.state)


def take_events(
    work: Work, server: Server, events: Iterable[CommunityEvent], own_id: str, groups: GroupFeature
) -> None:
    """Takes events; one that cannot be taken hides no other."""
    for event in events:
        action: Callable[[], None] = functools.partial(_take, work, server, event, own_id, groups)
        kept = Received(_NAMESPACE, _name_of(server, event), b"", work.now, work.now)
        inbound.guarded(work, kept, action)


def _take(work: Work, server: Server, event: CommunityEvent, own_id: str, groups: GroupFeature) -> None:
    if isinstance(event, DirectReceived):
        _direct(work, server, event, groups)
        return
    if isinstance(event, EntryUnreadable):
        _unreadable(work, server, event)
        return
    conversation = conversation_id(Community(server, event.room))
    if work.database.conversations.get(conversation) is None:
        return
    match event:
        case RoomChanged():
            _room(work, conversation, event)
        case RoomRefused(_, status):
            _extra(work, conversation, {"refused": status})
        case PostReceived():
            _post(work, conversation, event, own_id)
        case PostDeleted(_, number):
            found = work.database.messages.by_hash(post_name(conversation, number))
            if found is not None and not found.deleted:
                letters.erase(work, found, Deleted.EVERYWHERE)
        case ReactionsChanged():
            _reactions(work, conversation, event, own_id)


def _name_of(server: Server, event: CommunityEvent) -> str:
    if isinstance(event, DirectReceived | EntryUnreadable | PostReceived):
        number = event.entry.id if event.entry else 0
        return post_name(server.base_url, number)
    return server.base_url


def _unreadable(work: Work, server: Server, event: EntryUnreadable) -> None:
    if event.entry is None or not event.proven:
        # Anybody could have written it, and no version will read it.
        return
    data, posted = event.entry.data or b"", event.entry.posted
    work.database.unreadable.add(
        server.base_url, _NAMESPACE, _name_of(server, event) + f" {event.room}", data, posted, event.reason
    )


def _room(work: Work, conversation: str, event: RoomChanged) -> None:
    status = event.status
    told: dict[str, Any] = {
        "read": status.read,
        "write": status.write,
        "upload": status.upload,
        "moderator": status.moderator,
        "admin": status.admin,
        "active": status.active_users,
        "refused": 0,
    }
    if status.details is not None:
        work.database.conversations.update(conversation, name=text.name(status.details.name))
        told |= {
            "description": text.plain(status.details.description),
            "image": status.details.image,
            "pinned": list(status.details.pinned),
            "moderators": [*status.details.admins, *status.details.moderators],
        }
    _extra(work, conversation, told)


def _extra(work: Work, conversation: str, told: Mapping[str, Any]) -> None:
    found = work.database.conversations.get(conversation)
    if found is not None and any(found.extra.get(name) != value for name, value in told.items()):
        work.database.conversations.update(conversation, extra={**found.extra, **told})
        work.tell(ConversationChanged(conversation))


def _post(work: Work, conversation: str, event: PostReceived, own_id: str) -> None:
    message, entry = event.letter.message, event.entry
    if not isinstance(message, kinds.Text):
        return
    if not event.own:
        people.learn_profile(work, entry.author, message.profile)
    name = post_name(conversation, entry.id)
    known = work.database.messages.by_hash(name)
    if known is not None:
        if not entry.edited or known.deleted or known.body == message.body:
            return
        # Other words take the post's place.
        work.database.messages.remove([known.id])
    row = row_of(conversation, entry.author, event.letter, own=event.own, name=name, posted=entry.posted)
    found = work.database.conversations.get(conversation)
    read = known.read if known else found is not None and entry.posted <= found.last_read
    added = work.database.messages.add(replace(row, read=event.own or read))
    if added is not None:
        work.tell(MessageReceived(added))
        return
    mine = work.database.messages.find(conversation, kinds.Target(event.letter.timestamp, entry.author), kind="text")
    if mine is not None and mine.outgoing and not mine.hash and event.own:
        posted(work, mine.id, conversation, entry.id)


def row_of(
    conversation: str, author: str, letter: kinds.Letter, *, own: bool, name: str = "", posted: int = 0
) -> NewMessage:
    """The row of a post; of an own one without a name it is still on its way."""
    message = letter.message
    if not isinstance(message, kinds.Text):
        raise ValueError("rooms show nothing but texts")
    state = MessageState.RECEIVED if not own else MessageState.SENT if name else MessageState.SENDING
    return NewMessage(
        conversation,
        author,
        letter.timestamp,
        body=message.body,
        outgoing=own,
        received=posted,
        state=state,
        read=own,
        hash=name,
        quote=message.quote,
        attachments=message.attachments,
        extra=letters.text_extra(message),
    )


def posted(work: Work, message: int, conversation: str, number: int) -> None:
    """A post of ours is on the server."""
    work.database.messages.set_hash(message, post_name(conversation, number))
    set_state(work, message, MessageState.SENT)


def set_state(work: Work, message: int, state: MessageState) -> None:
    """How far a post of ours has come."""
    work.database.messages.set_state(message, state)
    if (found := work.database.messages.get(message)) is not None:
        work.tell(MessageChanged(found))


def _reactions(work: Work, conversation: str, event: ReactionsChanged, own_id: str) -> None:
    """The server names but the first of those who reacted, and how many there are: both are kept."""
    found = work.database.messages.by_hash(post_name(conversation, event.id))
    if found is None or found.deleted:
        return
    before = {(each.sender, each.emoji) for each in work.database.reactions.of([found.id])}
    now: set[tuple[str, str]] = set()
    for emoji, told in event.reactions.items():
        now |= {(each, emoji) for each in told.reactors if each != own_id}
        if told.own:
            now.add((own_id, emoji))
    for sender, emoji in sorted(before - now):
        if work.database.reactions.remove(found.id, sender, emoji):
            work.tell(ReactionReceived(conversation, found.id, sender, emoji, removed=True))
    for sender, emoji in sorted(now - before):
        if work.database.reactions.add(found.id, sender, emoji, work.now):
            work.tell(ReactionReceived(conversation, found.id, sender, emoji))
    counts = {emoji: told.count for emoji, told in event.reactions.items()}
    if counts != found.extra.get("reactions", {}):
        work.database.messages.set_extra(found.id, {**found.extra, "reactions": counts})


def _direct(work: Work, server: Server, event: DirectReceived, groups: GroupFeature) -> None:
    """A message to us is a request of the account behind the blinded id; ours is in the conversation with that id."""
    name = f"{server.base_url} inbox {event.entry.id}"
    if not work.database.seen.new([name]):
        return
    work.database.seen.add({name: work.now + _INBOX_MS}, work.now)
    stored = Received(_NAMESPACE, name, b"", event.entry.posted or work.now, work.now + _INBOX_MS)
    if not event.own:
        contact = people.contact_of(work, event.sender)
        if work.configs.profile.community_requests is False and not (contact and contact.approved):
            # The user wants none of these.
            return
        letters.take_opened(work, stored, Opened(event.sender, event.letter), groups)
        return
    if isinstance(event.letter.message, kinds.Text):
        show_direct(work, server, event.entry.recipient, event.letter, name=name)


def show_direct(work: Work, server: Server, recipient: str, letter: kinds.Letter, *, name: str) -> Message | None:
    """What we wrote to a blinded id, in a conversation of its own; None if it is there."""
    work.database.conversations.ensure(recipient, ConversationKind.BLINDED)
    work.database.conversations.update(recipient, extra={"server": server.base_url, "key": server.key.hex()})
    blinded.remember(work, recipient, server.key)
    row = row_of(recipient, work.own_id, letter, own=True, name=name, posted=letter.timestamp)
    added = work.database.messages.add(row)
    if added is not None:
        work.tell(MessageReceived(added))
    return added
