"""Where groups meet the session: a handler for each group that is polled, and the feature that makes them.

The session polls and calls; what a group's messages mean is the handler's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from allium.client.credentials import Credentials
from allium.client.messages.direct import Received as Opened
from allium.client.messages.kinds import Letter
from allium.client.polling import PollResult, Received

if TYPE_CHECKING:
    from allium.client.session.core import Work


class GroupHandler(Protocol):
    """One group that is polled."""

    #: 03 and 64 digits.
    group_id: str
    credentials: Credentials
    namespaces: Sequence[int]
    #: When something last happened in it, Unix milliseconds: lively groups are polled more often.
    active: int

    async def cursors(self) -> Mapping[bytes, Mapping[int, str]]:
        """By node (Ed25519 key) and namespace, the last hash that was handled."""
        ...

    async def renew(self) -> Sequence[str]:
        """Storage hashes of configs that have to stay in the swarm."""
        ...

    async def handle(self, result: PollResult) -> None:
        """Takes what a poll brought, cursors included. Never raises for what is in there."""
        ...


class GroupFeature(Protocol):
    """All groups of a session."""

    async def handlers(self) -> Sequence[GroupHandler]:
        """The groups to be polled: neither pending nor left."""
        ...

    def letter(self, work: Work, stored: Received, opened: Opened) -> None:
        """An invitation or promotion came to the account. Runs on the worker, inside the transaction of the poll."""
        ...

    def configured(self, work: Work) -> None:
        """UserGroups was merged with what another device wrote. Runs on the worker, inside the transaction."""
        ...

    def queue(self, work: Work, group_id: str, letter: Letter, message: int | None) -> None:
        """Puts a letter to a group into the outbox; `message` is the row that shows it. `ValueError` says why not."""
        ...

    def credentials(self, work: Work, group_id: str) -> Credentials | None:
        """What an item of the outbox is stored with; None if we are no longer in that group."""
        ...

    async def push(self) -> None:
        """Stores what of the groups is not in their swarms yet."""
        ...

    async def close(self) -> None:
        """The session ends."""
        ...
