"""What admins and members sign to prove that a request to their group's swarm is theirs (`spec/groups` §4)."""

from __future__ import annotations

import base64
from typing import Any

from allium.client.account import Account
from allium.client.groups import subaccounts
from allium.client.groups.identity import GroupIdentity
from allium.client.groups.subaccounts import AuthData
from allium.client.requests import Params, with_text


def as_admin(group: GroupIdentity, method: str, params: Params, now: int) -> dict[str, Any]:
    """`params` with the group, the time (`now`, Unix milliseconds) and its signature; `ValueError` without a seed."""
    filled, text = with_text(method, {"pubkey": group.group_id, **params}, now)
    return {**filled, "signature": _base64(group.sign(text))}


def as_member(
    account: Account, group: GroupIdentity, auth: AuthData, method: str, params: Params, now: int
) -> dict[str, Any]:
    """The same by a member, with its token and the admin's signature of that."""
    filled, text = with_text(method, {"pubkey": group.group_id, **params}, now)
    signed = subaccounts.sign(account, auth, text)
    return {
        **filled,
        "subaccount": _base64(signed.token),
        "subaccount_sig": _base64(signed.token_signature),
        "signature": _base64(signed.signature),
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
