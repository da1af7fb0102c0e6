"""Conversations, contacts and groups as the API shows them, made on the session's worker."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from allium.client.configs.contacts import Contact
from allium.client.configs.user_groups import Removed
from allium.client.database.rows import Conversation, ConversationKind
from allium.client.messages.kinds import Disappear, Disappearing
from allium.client.session import group_view, people
from allium.client.session.core import Work
from allium.messenger import showing, values
from allium.messenger.people import People, short, version
from allium.messenger.views import ContactView, ConversationView, GroupView, MemberView

#: Unread messages of a conversation that are looked through for a mention, the newest.
MAX_MENTIONS_LOOKED = 200


def conversations(
    work: Work,
    prefix: str,
    found: Sequence[Conversation],
    groups: Mapping[str, group_view.GroupView],
    typing: Collection[str] = (),
    own_ids: Collection[str] = (),
) -> list[ConversationView]:
    """As a list shows them; `own_ids` are those that we have in communities."""
    known = People(work, prefix, own_ids)
    return [_conversation(work, known, prefix, each, groups.get(each.id), each.id in typing) for each in found]


def _conversation(
    work: Work,
    known: People,
    prefix: str,
    found: Conversation,
    group: group_view.GroupView | None,
    typing: bool,
) -> ConversationView:
    contact = people.contact_of(work, found.id) if found.kind is ConversationKind.CONTACT else None
    blocked = contact is not None and contact.blocked
    request = _is_request(found, contact, group)
    name = _name(known, found, group)
    last = work.database.messages.page(found.id, limit=1)
    return ConversationView(
        id=values.in_url(found.id),
        kind=found.kind.value,
        name=name or ("" if found.kind is ConversationKind.NOTE else short(found.id)),
        picture=_picture(known, prefix, found, group),
        draft=found.draft,
        pinned=max(found.priority, 0),
        hidden=found.priority < 0,
        muted_until=found.muted_until,
        marked_unread=found.marked_unread,
        unread=found.unread,
        mentioned=_is_mentioned(work, found, known.own),
        last_read=found.last_read,
        last_activity=found.last_activity,
        last_message=showing.messages(work, prefix, last, own_ids=known.own)[0] if last else None,
        timer=showing.timer(_timer(work, found, group)),
        approved=found.kind is not ConversationKind.CONTACT or (contact is not None and contact.approved),
        approved_me=found.kind is not ConversationKind.CONTACT or (contact is not None and contact.approved_me),
        blocked=blocked,
        request=request,
        typing=typing,
        writable=not blocked and _is_writable(found, group),
        color=values.color(found.id),
        letters=values.letters(name, found.id),
    )


def _is_request(found: Conversation, contact: Contact | None, group: group_view.GroupView | None) -> bool:
    if found.kind is ConversationKind.CONTACT:
        # Of very many who ask, most are no contacts.
        return contact is None or (contact.approved_me and not contact.approved and not contact.blocked)
    return group is not None and group.invited


def _name(known: People, found: Conversation, group: group_view.GroupView | None) -> str:
    if group is not None:
        return group.name
    if found.kind is ConversationKind.CONTACT:
        return known.name(found.id) or found.name
    return found.name


def _picture(known: People, prefix: str, found: Conversation, group: group_view.GroupView | None) -> str | None:
    url = f"{prefix}/conversations/{values.in_url(found.id)}/picture"
    if group is not None:
        return f"{url}?v={version(group.picture)}" if group.picture else None
    if found.kind is ConversationKind.COMMUNITY:
        image = found.extra.get("image")
        return f"{url}?v={image}" if isinstance(image, int) and image else None
    if found.kind in (ConversationKind.CONTACT, ConversationKind.NOTE):
        return known.url(found.id, known.picture(found.id))
    return None


def _timer(work: Work, found: Conversation, group: group_view.GroupView | None) -> Disappearing | None:
    if group is not None:
        return Disappearing(Disappear.AFTER_SEND, group.timer) if group.timer else None
    return people.timer_of(work, found.id)


def _is_writable(found: Conversation, group: group_view.GroupView | None) -> bool:
    match found.kind:
        case ConversationKind.GROUP:
            return group is not None and not (group.invited or group.expired or group.removed)
        case ConversationKind.COMMUNITY:
            return found.extra.get("write", True) is not False
        case ConversationKind.NOTE | ConversationKind.CONTACT:
            return True
        case _:
            return False


def _is_mentioned(work: Work, found: Conversation, own_ids: Collection[str]) -> bool:
    if not found.unread or found.kind in (ConversationKind.NOTE, ConversationKind.CONTACT):
        return False
    recent = work.database.messages.page(found.id, limit=min(found.unread, MAX_MENTIONS_LOOKED))
    return any(
        not each.read and not each.outgoing and any(name in own_ids for name in each.extra.get("mentions", ()))
        for each in recent
    )


def contacts(work: Work, prefix: str, found: Sequence[Contact]) -> list[ContactView]:
    """As a list shows them."""
    known = People(work, prefix)
    return [contact(known, each) for each in found]


def contact(known: People, found: Contact) -> ContactView:
    """A contact."""
    return ContactView(
        id=found.account_id,
        name=found.name,
        nickname=found.nickname,
        approved=found.approved,
        approved_me=found.approved_me,
        blocked=found.blocked,
        color=values.color(found.account_id),
        letters=values.letters(found.shown_name, found.account_id),
        picture=known.url(found.account_id, known.picture(found.account_id)),
    )


def group(work: Work, prefix: str, found: group_view.GroupView) -> GroupView:
    """A group with its members."""
    known = People(work, prefix)
    url = f"{prefix}/conversations/{found.id}/picture"
    return GroupView(
        id=found.id,
        name=found.name,
        description=found.description,
        picture=f"{url}?v={version(found.picture)}" if found.picture else None,
        admin=found.admin,
        invited=found.invited,
        kicked=found.removed is Removed.KICKED,
        destroyed=found.removed is Removed.DESTROYED,
        expired=found.expired,
        members=[
            MemberView(
                id=each.id,
                name=each.name or short(each.id),
                admin=each.admin,
                state=each.state,
                color=values.color(each.id),
                letters=values.letters(each.name, each.id),
                picture=known.url(each.id, known.picture(each.id)),
            )
            for each in found.members
        ],
        timer=found.timer,
    )
