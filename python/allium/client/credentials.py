"""Who may read and write in a swarm: account, group's admin, group's member (`spec/messages` §3, `spec/groups` §4).

A request to a swarm takes credentials and does not ask which kind they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from allium.client.account import Account
from allium.client.groups.identity import GroupIdentity
from allium.client.groups.requests import as_admin, as_member
from allium.client.groups.subaccounts import AuthData
from allium.client.requests import signed


class Credentials(Protocol):
    """What proves that a request is allowed."""

    @property
    def pubkey(self) -> str:
        """Whose messages: `05` or `03` and 64 lower-case hex digits."""
        ...

    def sign(self, method: str, params: Mapping[str, Any], now: int) -> dict[str, Any]:
        """`params` with all that proves the request; `now` is in Unix milliseconds, by the nodes' clocks.

        `ValueError` for a method that nobody signs.
        """
        ...


@dataclass(frozen=True, slots=True)
class AccountCredentials:
    """A person's, for the account's own swarm."""

    account: Account

    @property
    def pubkey(self) -> str:
        """The Account ID."""
        return self.account.account_id

    def sign(self, method: str, params: Mapping[str, Any], now: int) -> dict[str, Any]:
        """With the account's Ed25519 key."""
        return signed(self.account, method, params, now)


@dataclass(frozen=True, slots=True)
class GroupAdminCredentials:
    """An admin's, who has the group's seed."""

    group: GroupIdentity

    @property
    def pubkey(self) -> str:
        """The group's id."""
        return self.group.group_id

    def sign(self, method: str, params: Mapping[str, Any], now: int) -> dict[str, Any]:
        """With the group's own key; `ValueError` without its seed."""
        return as_admin(self.group, method, params, now)


@dataclass(frozen=True, slots=True)
class GroupMemberCredentials:
    """A member's, who acts by a token of the admins'."""

    account: Account
    group: GroupIdentity
    auth: AuthData

    @property
    def pubkey(self) -> str:
        """The group's id."""
        return self.group.group_id

    def sign(self, method: str, params: Mapping[str, Any], now: int) -> dict[str, Any]:
        """With the key of the token; `SubaccountError` if the auth data is good for nothing."""
        return as_member(self.account, self.group, self.auth, method, params, now)
