"""Messages as the API shows them, made on the session's worker."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from allium.client.database.rows import Message, StoredAttachment, StoredReaction
from allium.client.messages.kinds import Disappearing
from allium.client.session import letters
from allium.client.session.core import Work
from allium.messenger import values
from allium.messenger.people import People, staff
from allium.messenger.views import (
    AttachmentView,
    InvitationView,
    MentionView,
    MessageView,
    PreviewView,
    QuoteView,
    ReactionView,
    TimerView,
)

#: Of a message that is quoted, characters.
MAX_QUOTE = 500
#: Of the words beside a file, characters: as many as we send.
MAX_CAPTION = 1000
#: Names of those who put the same emoji on a message.
MAX_SENDERS = 50
#: The last day of the year 9999.
MAX_TIME = 253_402_300_799_999
_KINDS = {1: "after_read", 2: "after_send"}


def messages(
    work: Work,
    prefix: str,
    found: Sequence[Message],
    progress: Mapping[int, float] | None = None,
    own_ids: Collection[str] = (),
) -> list[MessageView]:
    """As they are shown; `prefix` is the path of the account, `progress` of files that are under way.

    `own_ids` are those that we have in communities.
    """
    known = People(work, prefix, own_ids)
    numbers = [each.id for each in found]
    files: dict[int, list[StoredAttachment]] = {}
    for file in work.database.attachments.of([each.id for each in found if each.has_attachments]):
        files.setdefault(file.message, []).append(file)
    reactions = {
        number: list(each) for number, each in groupby(work.database.reactions.of(numbers), lambda each: each.message)
    }
    rooms = {name: _staff(work, name) for name in {each.conversation for each in found} if name.startswith("http")}
    for each in found:
        if each.sender in rooms.get(each.conversation, ()):
            known.view(each.sender, admin=True)
    return [
        _message(work, known, prefix, each, files.get(each.id, ()), reactions.get(each.id, ()), progress or {})
        for each in found
    ]


def _staff(work: Work, room: str) -> set[str]:
    """Who looks after a room."""
    found = work.database.conversations.get(room)
    return set(staff(found.extra)) if found is not None else set()


def _message(
    work: Work,
    known: People,
    prefix: str,
    message: Message,
    files: Iterable[StoredAttachment],
    reactions: Sequence[StoredReaction],
    progress: Mapping[int, float],
) -> MessageView:
    extra = message.extra
    return MessageView(
        id=message.id,
        conversation=values.in_url(message.conversation),
        sender=known.view(message.sender),
        outgoing=message.outgoing,
        kind=message.kind,
        text=message.body,
        timestamp=message.timestamp,
        received=message.received,
        position=message.position,
        state=message.state.value,
        stored_on=count(extra.get("stored on")),
        # In a community nobody tells what they have read: our own posts are only never new to ourselves.
        read=message.read and not (message.outgoing and message.conversation.startswith("http")),
        deleted=int(message.deleted),
        expires=message.expires,
        timer=timer(message.timer),
        quote=_quote(work, known, message),
        attachments=[attachment(prefix, each, progress.get(each.id)) for each in files],
        reactions=_reactions(known, reactions, extra.get("reactions")),
        preview=_preview(prefix, message),
        invitation=_invitation(extra.get("invitation")),
        notice=None if message.kind == "text" else dict(extra),
        mentions=[
            MentionView(id=each, name=known.view(each).name)
            for each in extra.get("mentions", ())
            if isinstance(each, str)
        ],
    )


def count(found: Any) -> int | None:
    """A number of what is kept as JSON, if it is one."""
    return found if isinstance(found, int) else None


def time(found: Any) -> int | None:
    """The same of a time, in Unix milliseconds; none that a calendar does not have."""
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 < found <= MAX_TIME else None


def timer(found: Disappearing | None) -> TimerView | None:
    """A timer."""
    if found is None or not found.seconds or int(found.kind) not in _KINDS:
        return None
    return TimerView(kind="after_read" if int(found.kind) == 1 else "after_send", seconds=found.seconds)


def attachment(prefix: str, stored: StoredAttachment, progress: float | None) -> AttachmentView:
    """A file; `progress` from 0 to 1 while it is under way."""
    file = stored.attachment
    state = "pending" if progress is not None else stored.state.value
    if progress is None and state == "pending" and file.url:
        # An earlier run was about to fetch it; what has no URL yet is to be sent.
        state = "remote"
    return AttachmentView(
        id=stored.id,
        name=file.name,
        type=file.content_type,
        size=file.size,
        width=file.width,
        height=file.height,
        caption=file.caption[:MAX_CAPTION],
        voice=file.voice,
        state=state,  # type: ignore[arg-type]
        progress=1.0 if state == "here" else progress or 0.0,
        url=f"{prefix}/attachments/{stored.id}",
    )


def _quote(work: Work, known: People, message: Message) -> QuoteView | None:
    if message.quote is None:
        return None
    found = work.database.messages.find(message.conversation, message.quote)
    return QuoteView(
        message=None if found is None else found.id,
        sender=known.view(message.quote.author),
        text="" if found is None else found.body[:MAX_QUOTE],
        timestamp=message.quote.timestamp,
    )


def _reactions(known: People, found: Sequence[StoredReaction], counts: Any) -> list[ReactionView]:
    of: dict[str, list[str]] = {}
    for each in found:
        of.setdefault(each.emoji, []).append(each.sender)
    told = counts if isinstance(counts, dict) else {}
    return [
        ReactionView(
            emoji=emoji,
            # Servers of communities name the first who reacted, and say how many there are.
            count=max(len(senders), told.get(emoji, 0) if isinstance(told.get(emoji), int) else 0),
            me=not known.own.isdisjoint(senders),
            senders=[known.view(each).name for each in senders[:MAX_SENDERS]],
        )
        for emoji, senders in of.items()
    ]


def _preview(prefix: str, message: Message) -> PreviewView | None:
    found = letters.preview_of(message.extra.get("preview"))
    if found is None:
        return None
    # What is posted in a community lies there in the clear, as a file of its own.
    has_image = found.image is not None and not message.conversation.startswith("http")
    image = f"{prefix}/messages/{message.id}/preview" if has_image else None
    return PreviewView(url=found.url, title=found.title, image=image)


def _invitation(found: Any) -> InvitationView | None:
    if not isinstance(found, dict):
        return None
    return InvitationView(url=str(found.get("url", "")), name=str(found.get("name", "")))
