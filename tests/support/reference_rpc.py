"""A client's request at the reference's entry node, straight from `spec/node-rpc`: from JSON or bencode, and back.

Also where an account belongs, and how a node is named.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import bencode2

from tests.support.lone_node import UNASSIGNED
from tests.support.reference_store import Fields, Refusal, Result

BASE32Z = "ybndrfg8ejkmcpqxot1uwisza345h769"
#: What a forwarded command carries besides its own fields (`spec/node-rpc` §3).
WHO = ("pubkey", "pubkey_ed25519", "signature", "subaccount", "subaccount_sig")
FORWARDED: dict[str, tuple[str, ...]] = {
    "store": ("data", "expiry", "timestamp", "sig_timestamp", "namespace"),
    "delete": ("messages",),
    "delete_all": ("namespace", "timestamp"),
    "delete_before": ("before", "namespace"),
    "expire": ("expiry", "messages", "shorten", "extend"),
    "expire_all": ("expiry", "namespace"),
    "revoke_subaccount": ("revoke", "timestamp"),
    "unrevoke_subaccount": ("timestamp", "unrevoke"),
}


def unbase64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))


def hexed_or_base64(text: str) -> bytes:
    return bytes.fromhex(text) if len(text) in (64, 66, 72) else unbase64(text)


def several(read: Callable[[Any], bytes]) -> Callable[[Any], list[bytes]]:
    return lambda value: [read(item) for item in (value if isinstance(value, list) else [value])]


FROM_JSON: dict[str, Callable[[Any], Any]] = {
    "pubkey": bytes.fromhex,
    "pubkey_ed25519": bytes.fromhex,
    "signature": unbase64,
    "subaccount": hexed_or_base64,
    "subaccount_sig": unbase64,
    "data": unbase64,
    "messages": several(str.encode),
    "revoke": several(hexed_or_base64),
    "unrevoke": several(hexed_or_base64),
    "namespace": lambda value: value.encode() if isinstance(value, str) else value,
    "last_hash": str.encode,
    "timestamp": int,
    "ttl": int,
    "shorten": int,
    "extend": int,
}


def from_json(params: dict[str, Any]) -> Fields:
    """`Refusal` for what cannot be read."""
    renamed = {{"pubKey": "pubkey", "lastHash": "last_hash"}.get(name, name): value for name, value in params.items()}
    try:
        return _timed({name: FROM_JSON.get(name, lambda value: value)(value) for name, value in renamed.items()})
    except (TypeError, ValueError) as error:
        raise Refusal(400, f"invalid request: {error}") from error


def from_bencode(params: dict[bytes, Any]) -> Fields:
    fields = {name.decode(): value for name, value in params.items()}
    for name in ("messages", "revoke", "unrevoke"):
        if isinstance(fields.get(name), bytes):
            fields[name] = [fields[name]]
    return _timed(fields)


def _timed(fields: Fields) -> Fields:
    """With an absolute expiry."""
    if "ttl" in fields and "timestamp" in fields:
        fields["expiry"] = fields["timestamp"] + fields.pop("ttl")
    return fields


def forwarded(method: str, fields: Fields) -> bytes:
    """What the other members are sent of a command."""
    passed = {name: fields[name] for name in (*WHO, *FORWARDED[method]) if name in fields}
    if method == "store":
        if "signature" in fields:
            passed.setdefault("sig_timestamp", fields["timestamp"])
        else:
            passed.pop("sig_timestamp", None)
        if passed.get("namespace") == 0:
            del passed["namespace"]
    elif "namespace" in FORWARDED[method]:
        passed.setdefault("namespace", 0)
    for name in ("shorten", "extend"):
        if not passed.get(name, True):
            del passed[name]
    expiry = passed.get("expiry")
    if isinstance(expiry, list) and len(expiry) == 1:
        passed["expiry"] = expiry[0]
    return bencode2.bencode(dict(sorted(passed.items())))


def member_result(answer: list[bytes] | None) -> Result:
    """What another member made of a command, as clients see it."""
    match answer:
        case None:
            return {"failed": True, "timeout": True}
        case [body]:
            try:
                result = bencode2.bdecode(body)
            except bencode2.BencodeDecodeError:
                result = None
            if isinstance(result, dict):
                return {name.decode(): value for name, value in result.items()}
        case [code, text]:
            return {"failed": True, "code": code.decode(), "reason": text.decode(errors="replace")}
    return {"failed": True, "bad_peer_response": True}


def to_json(value: Any, name: str = "") -> Any:
    """A result for clients that asked in JSON."""
    if isinstance(value, dict):
        texts = {key.decode() if isinstance(key, bytes) else key: inner for key, inner in value.items()}
        return {key: to_json(inner, key) for key, inner in texts.items()}
    if isinstance(value, list):
        return [to_json(inner, name) for inner in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode() if name in ("signature", "data") else value.decode()
    return value


def swarm_of(account: bytes, swarms: list[int]) -> int:
    """`spec/swarms` §1; `UNASSIGNED` without swarms."""
    key, value = account[1:], 0
    for start in range(0, 32, 8):
        value ^= int.from_bytes(key[start : start + 8])
    ids = sorted(swarms)
    if not ids:
        return UNASSIGNED
    at = next((index for index, one in enumerate(ids) if one >= value), 0)
    right, left = ids[at], ids[at - 1]
    return right if (right - value) % 2**64 < (value - left) % 2**64 else left


def base32z(key: bytes) -> str:
    number = int.from_bytes(key) << 4
    return "".join(BASE32Z[number >> shift & 31] for shift in range(255, -1, -5))
