"""`session.conversations`: what was said, and with whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from allium.client.database.rows import Conversation, Message, StoredAttachment, StoredReaction
from allium.client.messages.kinds import Disappearing
from allium.client.session import actions, outbound

if TYPE_CHECKING:
    from allium.client.session.session import Session


class Conversations:
    """The conversations of an account. Ids are Account IDs or group ids; our own Account ID is note to self."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def list(self, *, hidden: bool = False) -> Sequence[Conversation]:
        """Pinned ones first, then by last activity."""
        return await self._session.read(lambda database: database.conversations.all(hidden=hidden))

    async def get(self, conversation_id: str) -> Conversation | None:
        """One of them, or None."""
        wanted = conversation_id.lower()
        return await self._session.read(lambda database: database.conversations.get(wanted))

    async def messages(
        self, conversation_id: str, *, before: Message | None = None, after: Message | None = None, limit: int = 50
    ) -> Sequence[Message]:
        """The last messages, or those next to one, the oldest first."""
        wanted = conversation_id.lower()
        return await self._session.read(
            lambda database: database.messages.page(wanted, before=before, after=after, limit=limit)
        )

    async def message(self, message_id: int) -> Message | None:
        """A message by its number on this device."""
        return await self._session.read(lambda database: database.messages.get(message_id))

    async def since(self, message_id: int, *, limit: int = 100) -> Sequence[Message]:
        """What was added to any conversation after a message, in the order in which it was.

        With the last number that was dealt with kept elsewhere, nothing is missed, whatever ends the program.
        """
        return await self._session.read(lambda database: database.messages.after(message_id, limit))

    async def attachments(self, message: Message) -> Sequence[StoredAttachment]:
        """The files of a message."""
        return await self._session.read(lambda database: database.attachments.of([message.id]))

    async def reactions(self, message: Message) -> Sequence[StoredReaction]:
        """Who put what on a message."""
        return await self._session.read(lambda database: database.reactions.of([message.id]))

    async def search(
        self, text: str, *, conversation_id: str | None = None, before: int | None = None, limit: int = 50
    ) -> Sequence[Message]:
        """Messages with all the words of a text, or files named so, the newest first; `before` the number of one."""
        return await self._session.read(
            lambda database: database.search.find(text, conversation=conversation_id, before=before, limit=limit)
        )

    async def unread(self) -> int:
        """Messages that are not read, of all of them."""
        return await self._session.read(lambda database: database.conversations.unread())

    async def set_timer(self, conversation_id: str, timer: Disappearing | None) -> Message:
        """After how long what we send there disappears; None: never. The other side is told."""
        wanted = actions.conversation_id(conversation_id)
        return await self._session.run(outbound.set_timer, self._session.groups, wanted, timer)

    async def pin(self, conversation_id: str, priority: int = 1) -> None:
        """Pins it; higher ones come first, 0 takes the pin off."""
        if priority < 0:
            raise ValueError("a priority is 0 or more; `hide` hides")
        await self._session.run(actions.set_priority, actions.conversation_id(conversation_id), priority)

    async def mute(self, conversation_id: str, until: int) -> None:
        """Until a time in Unix milliseconds; 0 takes it back."""
        await self._session.run(actions.set_muted, actions.conversation_id(conversation_id), until)

    async def mark_unread(self, conversation_id: str, unread: bool = True) -> None:
        """By hand, on all our devices."""
        await self._session.run(actions.set_unread, actions.conversation_id(conversation_id), unread)

    async def set_draft(self, conversation_id: str, draft: str) -> None:
        """What is written and not sent; on this device."""
        await self._session.run(actions.set_draft, actions.conversation_id(conversation_id), draft)

    async def clear(self, conversation_id: str) -> int:
        """Forgets all messages, on this device; how many there were."""
        return await self._session.run(actions.clear, actions.conversation_id(conversation_id))

    async def hide(self, conversation_id: str) -> None:
        """Deletes the conversation on all our devices; the contact stays, and a new message shows it again."""
        await self._session.run(actions.hide, actions.conversation_id(conversation_id))
