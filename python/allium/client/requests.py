"""What an account signs to prove that a request is its own (`spec/node-rpc` §4)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from allium.client.account import Account

Params = Mapping[str, Any]


def signed(account: Account, method: str, params: Params, now: int) -> dict[str, Any]:
    """`params` with the account, the time (`now`, Unix milliseconds, unless it is given) and the signature.

    `ValueError` for a method that nobody signs.
    """
    own = {"pubkey": account.account_id, "pubkey_ed25519": account.ed25519_public.hex(), **params}
    filled, text = with_text(method, own, now)
    return {**filled, "signature": base64.b64encode(account.sign(text)).decode()}


def with_text(method: str, params: Params, now: int) -> tuple[dict[str, Any], bytes]:
    """`params` with the time (`now`, Unix milliseconds) where the method has one, and what is signed of them.

    `ValueError` for a method that nobody signs.
    """
    if method not in _TEXTS:
        raise ValueError(f"{method} is not signed; those that are: {', '.join(_TEXTS)}")
    filled = dict(params)
    if method not in _UNTIMED:
        filled.setdefault("timestamp", now)
    return filled, _TEXTS[method](filled)


def _namespace(params: Params) -> str:
    namespace = params.get("namespace", 0)
    return "" if namespace == 0 else str(namespace)


def _joined(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else str(value)


def _expire(params: Params) -> bytes:
    mode = "shorten" if params.get("shorten") else "extend" if params.get("extend") else ""
    return f"expire{mode}{_joined(params['expiry'])}{_joined(params['messages'])}".encode()


def _tokens(value: Any) -> bytes:
    tokens = value if isinstance(value, list) else [value]
    return b"".join(bytes.fromhex(token) if len(token) == 72 else base64.b64decode(token) for token in tokens)


#: Methods whose time is another field, or that have none.
_UNTIMED = ("delete", "delete_before", "expire", "expire_all")
_TEXTS: dict[str, Callable[[Params], bytes]] = {
    "store": lambda p: f"store{_namespace(p)}{p.get('sig_timestamp', p['timestamp'])}".encode(),
    "retrieve": lambda p: f"retrieve{_namespace(p)}{p['timestamp']}".encode(),
    "delete": lambda p: f"delete{_joined(p['messages'])}".encode(),
    "delete_all": lambda p: f"delete_all{_namespace(p)}{p['timestamp']}".encode(),
    "delete_before": lambda p: f"delete_before{_namespace(p)}{p['before']}".encode(),
    "expire_all": lambda p: f"expire_all{_namespace(p)}{p['expiry']}".encode(),
    "expire": _expire,
    "get_expiries": lambda p: f"get_expiries{p['timestamp']}{_joined(p['messages'])}".encode(),
    "revoke_subaccount": lambda p: f"revoke_subaccount{p['timestamp']}".encode() + _tokens(p["revoke"]),
    "unrevoke_subaccount": lambda p: f"unrevoke_subaccount{p['timestamp']}".encode() + _tokens(p["unrevoke"]),
    "revoked_subaccounts": lambda p: f"revoked_subaccounts{p['timestamp']}".encode(),
}
