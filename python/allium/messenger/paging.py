"""Pages of messages, by the place of a message among the others: `position,id`."""

from __future__ import annotations

from dataclasses import dataclass

from allium.client.database.rows import Message, Place
from allium.client.session import Session
from allium.client.session.core import Work
from allium.messenger.calls import integer
from allium.messenger.errors import ApiError

__all__ = ["Page", "Place", "cursor", "page", "place"]


@dataclass(frozen=True)
class Page:
    """Messages, the oldest first, and whether there are more on either side."""

    messages: list[Message]
    more_before: bool
    more_after: bool


def place(given: str) -> Place | None:
    """The place that a cursor says; `ApiError` for what is no cursor."""
    if not given:
        return None
    position, comma, number = given.partition(",")
    if not comma:
        raise ApiError("invalid", "This is no cursor; take one that the service gave.")
    return Place(integer(position), integer(number))


def cursor(message: Message) -> str:
    """The inverse."""
    return f"{message.position},{message.id}"


async def page(
    session: Session,
    conversation: str,
    *,
    before: Place | None = None,
    after: Place | None = None,
    around: Message | None = None,
    limit: int,
) -> Page:
    """The last messages, those next to a place, or those around a message."""

    def found(work: Work) -> Page:
        get = work.database.messages.page
        if around is not None:
            half = limit // 2
            earlier = get(conversation, before=around, limit=half + 1)
            later = get(conversation, after=around, limit=half + 1)
            kept = [*earlier[max(0, len(earlier) - half) :], around, *later[:half]]
            return Page(kept, len(earlier) > half, len(later) > half)
        if after is not None:
            later = get(conversation, after=after, limit=limit + 1)
            return Page(later[:limit], True, len(later) > limit)
        earlier = get(conversation, before=before, limit=limit + 1)
        return Page(earlier[-limit:], len(earlier) > limit, before is not None)

    return await session.run(found)
