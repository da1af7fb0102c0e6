"""What `Session.send` says of a message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from allium.client.database.rows import Message, MessageState


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message of ours, on its way or there."""

    id: int
    conversation: str
    #: Unix milliseconds; with our Account ID it names the message.
    timestamp: int
    #: `SENDING` if the network did not answer: it is tried again without further ado, now and after a restart.
    state: MessageState

    @classmethod
    def of(cls, message: Message) -> Self:
        """As its row says."""
        return cls(message.id, message.conversation, message.timestamp, message.state)
