"""`session.contacts`: people, and the requests of those who are not approved yet (`spec/messages` §5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from allium.client.configs.contacts import Contact
from allium.client.session import actions, outbound

if TYPE_CHECKING:
    from allium.client.session.session import Session


class Contacts:
    """The contacts of an account. Ids are Account IDs; `ValueError` for anything else."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def list(self) -> Sequence[Contact]:
        """Whom we approved, or they us; blocked ones too."""
        return await self._session.run(actions.contacts)

    async def requests(self) -> Sequence[Contact]:
        """Those who wrote to us and were neither approved nor blocked."""
        return [each for each in await self.list() if each.approved_me and not each.approved and not each.blocked]

    async def get(self, account_id: str) -> Contact | None:
        """One of them, or None."""
        wanted = actions.conversation_id(account_id)
        return next((each for each in await self.list() if each.account_id == wanted), None)

    async def accept(self, account_id: str) -> bool:
        """Accepts a message request and tells its sender; False if there was none."""
        return await self._session.run(outbound.accept, self._session.groups, actions.conversation_id(account_id))

    async def set_nickname(self, account_id: str, nickname: str) -> None:
        """Ours for somebody, at most 100 bytes; an empty one removes it."""
        await self._session.run(actions.set_nickname, actions.conversation_id(account_id), nickname)

    async def block(self, account_id: str) -> None:
        """From now on nothing that they send is kept."""
        await self._session.run(actions.set_blocked, actions.conversation_id(account_id), True)

    async def unblock(self, account_id: str) -> None:
        """Takes a block back."""
        await self._session.run(actions.set_blocked, actions.conversation_id(account_id), False)

    async def remove(self, account_id: str) -> bool:
        """Deletes a contact, or declines a request, with all that was said; nothing is sent. False without one."""
        return await self._session.run(actions.remove_contact, actions.conversation_id(account_id))
