"""One table of requests and their answers, for every transport and encoding that carries them (`spec/node-rpc`)."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import bencode2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl import bindings

import wire
from allium.client import direct
from allium.client.direct import Answer, Node
from conftest import Devnet

#: Every transport with the encodings that it carries.
CALLS = [
    ("https", "json"),
    ("onion", "json"),
    ("omq", "json"),
    ("omq", "bencode"),
    ("quic", "json"),
    ("quic", "bencode"),
]
#: Fields that are base64 in JSON and raw in bencode.
_RAW = ("signature", "subaccount_sig", "data")
_TOKENS = ("subaccount", "revoke", "unrevoke")
HASH = "9QAogeWwJY/CE19iFAh5hr2vRcMyC92b8njFtInsmxg"
UNKNOWN = "A" * 43
DAY = 86_400_000


class Caller:
    """An account, a member of its swarm, and a way to ask it."""

    def __init__(self, devnet: Devnet, transport: str, encoding: str) -> None:
        self.devnet, self.transport, self.encoding = devnet, transport, encoding
        self.user, self.now = wire.User(), wire.now_ms()
        reply = wire.rpc(devnet.nodes[0], "get_swarm", {"pubkey": self.user.account_id})
        members = {snode["pubkey_ed25519"] for snode in reply.json()["snodes"]}
        self.inside = [Node.parse(node) for node in devnet.nodes if node["pubkey_ed25519"] in members]
        self.outside = [Node.parse(node) for node in devnet.nodes if node["pubkey_ed25519"] not in members]
        self.node = self.inside[0]

    def ask(self, method: str, params: dict[str, Any]) -> Answer:
        """`params` in their JSON form; bencode is made of it."""
        sent = to_bencode(params) if self.encoding == "bencode" else params
        path = tuple(self.outside[:2]) if self.transport == "onion" else ()
        call = direct.call(
            self.node,
            method,
            sent,
            transport=self.transport,  # type: ignore[arg-type]
            encoding=self.encoding,  # type: ignore[arg-type]
            path=path,
        )
        return asyncio.run(call)

    def signed(self, text: str, **params: Any) -> dict[str, Any]:
        """Params that the account signs over `text`."""
        return {**self.user.auth(text), **params}

    def retrieve(self, **params: Any) -> dict[str, Any]:
        namespace = params.get("namespace", 0)
        text = f"retrieve{namespace or ''}{self.now}"
        return self.signed(text, timestamp=self.now, **params)

    def store(self, data: bytes = b"hello world", **params: Any) -> dict[str, Any]:
        return {**wire.store_params(self.user.account_id, data), **params}

    def stored(self, data: bytes = b"hello world", **params: Any) -> str:
        """Stores beforehand, over HTTPS; the hash."""
        node = {"ip": self.node.ip, "https_port": self.node.https_port}
        reply = wire.rpc(node, "store", self.store(data, **params))
        assert reply.status == 200, reply
        return str(reply.json()["hash"])

    def result(self, answer: Answer) -> Any:
        """The body with text for bytes, so that both encodings compare alike."""
        return textual(answer.decoded())


def to_bencode(params: Any, name: str = "") -> Any:
    if isinstance(params, dict):
        return {key: to_bencode(value, key) for key, value in params.items() if value is not None}
    if isinstance(params, list):
        return [to_bencode(item, name) for item in params]
    if isinstance(params, str) and (name in _RAW or name in _TOKENS):
        try:
            return bytes.fromhex(params) if len(params) == 72 else base64.b64decode(params, validate=True)
        except ValueError:
            return params
    return params


def textual(value: Any) -> Any:
    if isinstance(value, dict):
        return {textual(key): textual(item) for key, item in value.items()}
    if isinstance(value, list):
        return [textual(item) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    return value


Check = str | Callable[[Any, Caller], bool]


@dataclass(frozen=True)
class Row:
    """One request: what is asked, and the status and text (or what holds of the result)."""

    name: str
    method: str
    params: Callable[[Caller], dict[str, Any]]
    status: int
    check: Check
    #: The text where bencode's differs; `None`: bencode cannot say such a thing.
    bencode: str | None = field(default="")


def invalid(
    name: str, method: str, params: Callable[[Caller], dict[str, Any]], text: str, bencode: str | None = ""
) -> Row:
    """A 400 with the prefix that all of them have."""
    prefix = "invalid request: "
    return Row(name, method, params, 400, prefix + text, bencode and prefix + bencode)


def late(caller: Caller) -> int:
    return caller.now - 120_000


def swarm_entries(result: Any, caller: Caller) -> dict[str, Any]:
    """Per-node results; their keys must be the swarm's."""
    assert set(result["swarm"]) == {node.ed25519.hex() for node in caller.inside}
    entries: dict[str, Any] = result["swarm"]
    return entries


def all_signed(result: Any, caller: Caller, text: bytes) -> bool:
    for key, entry in swarm_entries(result, caller).items():
        signature = base64.b64decode(entry["signature"])
        bindings.crypto_sign_open(signature + text, bytes.fromhex(key))  # raises when it does not verify
    return True


def confirmed(result: Any, caller: Caller) -> bool:
    return all_signed(result, caller, result["hash"].encode()) and "t" in result and result["hf"] == [19, 4]


TOKEN = "030300002543b92ff1095511476adc8369db6ddc933665a11978dda1404ee1066ca9559d"

ROWS = [
    # info, get_swarm, oxend_request, active_nodes_bin
    Row("plain", "info", lambda c: {}, 200, lambda r, c: r["version"] == [2, 8, 0] and r["timestamp"] == r["t"]),
    Row("own", "get_swarm", lambda c: {"pubkey": c.user.account_id}, 200, lambda r, c: len(r["snodes"]) == 5),
    Row("alias", "get_snodes_for_pubkey", lambda c: {"pubKey": c.user.account_id.upper()}, 200,
        lambda r, c: isinstance(r["snodes"][0]["port"], str) and len(r["snodes"][0]["address"]) == 58),
    invalid("short key", "get_swarm", lambda c: {"pubkey": "05ff"}, "Pubkey must be 66 hex digits/33 bytes long"),
    invalid("no key", "get_swarm", lambda c: {}, "Required field 'pubkey' missing"),
    Row("names", "oxend_request", lambda c: {"endpoint": "ons_resolve", "params": {}}, 200,
        lambda r, c: r["result"]["status"] == "OK", None),
    Row("nodes", "oxend_request",
        lambda c: {"endpoint": "get_service_nodes", "params": {"active_only": True, "fields": ["public_ip"]}}, 200,
        lambda r, c: len(r["result"]["service_node_states"]) == 15, None),
    invalid("elsewhere", "oxend_request", lambda c: {"endpoint": "stop_daemon"}, "Invalid oxend endpoint 'stop_daemon'"),
    # store
    Row("inbox", "store", lambda c: c.store(), 200, confirmed),
    Row("numbers as text", "store", lambda c: c.store(timestamp=str(c.now), ttl="86400000"), 200, confirmed, None),
    Row("camel case", "store", lambda c: {**c.store(), "pubkey": None, "pubKey": c.user.account_id}, 200, confirmed),
    Row("again", "store", lambda c: c.stored() and c.store(), 200,
        lambda r, c: all(entry["already"] in (True, 1) for entry in swarm_entries(r, c).values())),
    Row("public 40", "store", lambda c: c.store(namespace=40), 200, confirmed),
    Row("signed 42", "store",
        lambda c: {**c.store(namespace=42, timestamp=c.now), **c.user.auth(f"store42{c.now}")}, 200, confirmed),
    Row("own time of signature", "store",
        lambda c: {**c.store(namespace=2), "sig_timestamp": c.now + 5, **c.user.auth(f"store2{c.now + 5}")}, 200,
        confirmed),
    Row("outbox", "store",
        lambda c: {**c.store(namespace=-1, timestamp=c.now), **c.user.auth(f"store-1{c.now}")}, 200, confirmed),
    invalid("no time", "store", lambda c: {**c.store(), "timestamp": None}, "Required field 'timestamp' missing"),
    invalid("no end", "store", lambda c: {**c.store(), "ttl": None}, "Required field 'expiry' or 'ttl' missing"),
    invalid("two ends", "store", lambda c: c.store(expiry=c.now), "Cannot specify both 'expiry' and 'ttl'"),
    invalid("two keys", "store", lambda c: c.store(pubKey=c.user.account_id), "Cannot specify both 'pubkey' and 'pubKey'"),
    invalid("time in words", "store", lambda c: c.store(timestamp="soon"),
            "Invalid value given for 'timestamp': \"soon\"",
            "Invalid value given for 'timestamp': expected integer timestamp (in milliseconds)"),
    invalid("not base64", "store", lambda c: {**c.store(), "data": "?!"}, "Invalid 'data' value: not base64 encoded", None),
    invalid("too long", "store", lambda c: c.store(os.urandom(76_801)),
            "Message body exceeds maximum allowed length of 76800 bytes"),
    invalid("namespace too far", "store", lambda c: c.store(namespace=32_768),
            "Invalid value given for 'namespace': value out of range"),
    invalid("namespace in words", "store", lambda c: c.store(namespace="x"),
            "Invalid value given for 'namespace': expected 16-bit integer"),
    Row("too short-lived", "store", lambda c: c.store(ttl=9_999), 403, "Provided expiry/TTL is not valid."),
    Row("too long-lived", "store", lambda c: c.store(ttl=14 * DAY + 1), 403, "Provided expiry/TTL is not valid."),
    Row("from the future", "store", lambda c: c.store(timestamp=c.now + 20_000), 406,
        "Timestamp error: check your clock"),
    Row("long gone", "store", lambda c: c.store(timestamp=c.now - 100_000, ttl=20_000), 406,
        "Timestamp error: check your clock"),
    Row("unsigned 42", "store", lambda c: c.store(namespace=42), 401,
        "store: signature required to store to namespace 42"),
    Row("unsigned -1", "store", lambda c: c.store(namespace=-1), 401,
        "store: signature required to store to namespace -1"),
    Row("signed by another", "store", lambda c: {**c.store(namespace=42), **c.user.auth("store42")}, 401,
        "store signature verification failed"),
    Row("signed long ago", "store",
        lambda c: {**c.store(namespace=42), "sig_timestamp": late(c), **c.user.auth(f"store42{late(c)}")}, 406,
        "store signature timestamp too far from current time"),
    # retrieve
    Row("empty", "retrieve", lambda c: c.retrieve(), 200, lambda r, c: r["messages"] == [] and not r["more"]),
    Row("one", "retrieve", lambda c: c.stored() and c.retrieve(), 200,
        lambda r, c: r["messages"][0]["data"] in ("hello world", "aGVsbG8gd29ybGQ=")
        and set(r["messages"][0]) == {"hash", "data", "timestamp", "expiration"}),
    Row("after the last", "retrieve", lambda c: c.retrieve(last_hash=c.stored()), 200, lambda r, c: r["messages"] == []),
    Row("after the last, camel case", "retrieve", lambda c: c.retrieve(lastHash=c.stored()), 200,
        lambda r, c: r["messages"] == []),
    Row("after an unknown one", "retrieve", lambda c: c.stored() and c.retrieve(last_hash=UNKNOWN), 200,
        lambda r, c: len(r["messages"]) == 1),
    Row("some of many", "retrieve", lambda c: [c.stored(b"%d" % n) for n in range(3)] and c.retrieve(max_count=2), 200,
        lambda r, c: len(r["messages"]) == 2 and bool(r["more"])),
    Row("open namespace", "retrieve", lambda c: {"pubkey": c.user.account_id, "namespace": -10}, 200,
        lambda r, c: r["messages"] == []),
    Row("unsigned", "retrieve", lambda c: {"pubkey": c.user.account_id}, 401, "retrieve: request signature required"),
    invalid("unsigned 42", "retrieve", lambda c: {"pubkey": c.user.account_id, "namespace": 42},
            "Required field 'signature' missing"),
    invalid("no time", "retrieve", lambda c: c.signed("retrieve"), "Required field 'timestamp' missing"),
    invalid("time in seconds", "retrieve", lambda c: c.signed("", timestamp=c.now // 10_000),
            "Invalid timestamp for 'timestamp': timestamp must be in milliseconds", None),
    invalid("odd signature", "retrieve", lambda c: {**c.retrieve(), "signature": "AAAA"},
            "invalid signature: expected base64 encoded Ed25519 signature",
            "invalid signature: expected 64-byte Ed25519 signature"),
    invalid("key that is not hex", "retrieve", lambda c: {**c.retrieve(), "pubkey_ed25519": "z" * 64},
            "invalid pubkey_ed25519: value is not hex"),
    invalid("key of an odd length", "retrieve", lambda c: {**c.retrieve(), "pubkey_ed25519": "00"},
            "Invalid pubkey_ed25519: expected 64 hex char or 32 byte pubkey"),
    invalid("key of a group", "retrieve", lambda c: {**c.retrieve(), "pubkey": "03" + "11" * 32},
            "pubkey_ed25519 is only permitted for 05[...] pubkeys"),
    invalid("short last hash", "retrieve", lambda c: c.retrieve(last_hash="x"),
            "Invalid last_hash: expected base64 (43 chars)"),
    invalid("odd last hash", "retrieve", lambda c: c.retrieve(last_hash="?" * 43), "Invalid last_hash: not base64"),
    invalid("count in words", "retrieve", lambda c: c.retrieve(max_count="x"),
            "Invalid value given for 'max_count': expected integer"),
    Row("late", "retrieve", lambda c: c.signed(f"retrieve{late(c)}", timestamp=late(c)), 406,
        "retrieve timestamp too far from current time"),
    Row("signed otherwise", "retrieve", lambda c: c.signed("retrieve", timestamp=c.now), 401,
        "retrieve signature verification failed"),
    # delete
    Row("one of two", "delete", lambda c: c.signed(f"delete{c.stored()}{UNKNOWN}", messages=[HASH_OF(c), UNKNOWN]), 200,
        lambda r, c: all(e["deleted"] == [HASH_OF(c)] for e in swarm_entries(r, c).values())
        and all_signed(r, c, f"{c.user.account_id}{HASH_OF(c)}{UNKNOWN}{HASH_OF(c)}".encode())),
    Row("none, required", "delete", lambda c: c.signed(f"delete{UNKNOWN}", messages=UNKNOWN, required=True), 404,
        lambda r, c: all(e["deleted"] == [] for e in swarm_entries(r, c).values())),
    invalid("no hashes", "delete", lambda c: c.signed("", messages=[]), "messages does not contain any message hashes"),
    invalid("odd hash", "delete", lambda c: c.signed("", messages=["x"]), "invalid message hash: x"),
    invalid("numbers", "delete", lambda c: c.signed("", messages=[1]),
            "Invalid value given for 'messages': expected string array"),
    invalid("a word for yes", "delete", lambda c: c.signed("", messages=[UNKNOWN], required="yes"),
            "Invalid value given for 'required': expected boolean"),
    Row("signed otherwise", "delete", lambda c: c.signed("", messages=[UNKNOWN]), 401,
        "delete_msgs signature verification failed"),
    # delete_all, delete_before, expire_all
    Row("one namespace", "delete_all", lambda c: c.stored() and c.signed(f"delete_all{c.now}", timestamp=c.now), 200,
        lambda r, c: all_signed(r, c, f"{c.user.account_id}{c.now}{HASH_OF(c)}".encode())),
    Row("everything", "delete_all",
        lambda c: c.stored() and c.signed(f"delete_allall{c.now}", timestamp=c.now, namespace="all"), 200,
        lambda r, c: all(e["deleted"] == {"0": [HASH_OF(c)]} for e in swarm_entries(r, c).values())),
    invalid("namespace in words", "delete_all", lambda c: c.signed("", timestamp=c.now, namespace="some"),
            "Invalid value given for 'namespace': expected integer or \"all\""),
    Row("late", "delete_all", lambda c: c.signed("", timestamp=late(c)), 406,
        "delete_all timestamp too far from current time"),
    Row("signed otherwise", "delete_all", lambda c: c.signed("", timestamp=c.now), 401,
        "delete_all signature verification failed"),
    Row("up to now", "delete_before", lambda c: c.stored() and c.signed(f"delete_before{c.now + 50_000}", before=c.now + 50_000),
        200, lambda r, c: all_signed(r, c, f"{c.user.account_id}{c.now + 50_000}{HASH_OF(c)}".encode())),
    Row("far ahead", "delete_before", lambda c: c.signed("", before=c.now + 120_000), 401,
        "delete_before timestamp too far in the future"),
    Row("signed otherwise", "delete_before", lambda c: c.signed("", before=c.now), 401,
        "delete_before signature verification failed"),
    Row("all sooner", "expire_all", lambda c: c.stored() and c.signed(f"expire_all{c.now}", expiry=c.now), 200,
        lambda r, c: all_signed(r, c, f"{c.user.account_id}{c.now}{HASH_OF(c)}".encode())),
    Row("late", "expire_all", lambda c: c.signed("", expiry=late(c)), 406,
        "expire_all timestamp should be >= current time"),
    Row("signed otherwise", "expire_all", lambda c: c.signed("", expiry=c.now), 401,
        "expire_all signature verification failed"),
    # expire, get_expiries
    Row("set", "expire",
        lambda c: c.signed(f"expire{c.now + DAY}{c.stored()}", messages=[HASH_OF(c)], expiry=c.now + DAY), 200,
        lambda r, c: all_signed(r, c, f"{c.user.account_id}{c.now + DAY}{HASH_OF(c)}{HASH_OF(c)}".encode())),
    Row("extend what lasts longer", "expire",
        lambda c: c.signed(f"expireextend{c.now}{c.stored()}", messages=HASH_OF(c), expiry=c.now, extend=True), 200,
        lambda r, c: all(e["updated"] == [] and list(e["unchanged"]) == [HASH_OF(c)]
                         for e in swarm_entries(r, c).values())),
    Row("several", "expire",
        lambda c: c.signed(f"expire{c.now}{c.now + 1}{c.stored()}{UNKNOWN}", messages=[HASH_OF(c), UNKNOWN],
                           expiry=[c.now, c.now + 1]), 200,
        lambda r, c: all(e["expiry"] == [c.now] for e in swarm_entries(r, c).values())),
    invalid("no times", "expire", lambda c: c.signed("", messages=[UNKNOWN], expiry=[]),
            "'expiry' does not contain any expiration timestamps"),
    invalid("both ways", "expire", lambda c: c.signed("", messages=[UNKNOWN], expiry=c.now, shorten=True, extend=True),
            "cannot specify both 'shorten' and 'extend'"),
    invalid("another length", "expire", lambda c: c.signed("", messages=[UNKNOWN], expiry=[c.now, c.now]),
            "'expiry' must be a single expiry, or the same length as 'messages'"),
    Row("late", "expire", lambda c: c.signed("", messages=[UNKNOWN], expiry=late(c)), 401,
        "expire: timestamp should be >= current time"),
    Row("signed otherwise", "expire", lambda c: c.signed("", messages=[UNKNOWN], expiry=c.now), 401,
        "expire: signature verification failed"),
    Row("known ones", "get_expiries",
        lambda c: c.signed(f"get_expiries{c.now}{c.stored()}{UNKNOWN}", timestamp=c.now, messages=[HASH_OF(c), UNKNOWN]),
        200, lambda r, c: list(r) == ["expiries"] and list(r["expiries"]) == [HASH_OF(c)]),
    invalid("no hashes", "get_expiries", lambda c: c.signed("", timestamp=c.now), "Required field 'messages' missing"),
    Row("late", "get_expiries", lambda c: c.signed("", timestamp=late(c), messages=[UNKNOWN]), 406,
        "get_expiries timestamp too far from current time"),
    Row("signed otherwise", "get_expiries", lambda c: c.signed("", timestamp=c.now, messages=[UNKNOWN]), 401,
        "get_expiries signature verification failed"),
    # revocations
    invalid("odd token", "revoke_subaccount", lambda c: c.signed("", timestamp=c.now, revoke="AAAA"),
            "invalid revoke: expected base64 or hex-encoded subaccount tag",
            "invalid revoke subaccount: invalid subaccount tag length"),
    invalid("too many", "revoke_subaccount", lambda c: c.signed("", timestamp=c.now, revoke=[TOKEN] * 51),
            "invalid revoke: cannot revoke more than 50 subaccounts at once"),
    Row("late", "revoke_subaccount", lambda c: c.signed("", timestamp=late(c), revoke=TOKEN), 406,
        "revoke_subaccount timestamp too far from current time"),
    Row("signed otherwise", "revoke_subaccount", lambda c: c.signed("", timestamp=c.now, revoke=TOKEN), 401,
        "revoke_subaccount signature verification failed"),
    Row("revoke", "revoke_subaccount", lambda c: c.revocation("revoke"), 200,
        lambda r, c: all_signed(r, c, f"{c.user.account_id}{c.now}".encode() + bytes.fromhex(TOKEN))),
    Row("unrevoke", "unrevoke_subaccount", lambda c: c.revocation("unrevoke"), 200,
        lambda r, c: all(e["count"] == 0 for e in swarm_entries(r, c).values())),
    Row("signed otherwise", "unrevoke_subaccount", lambda c: c.signed("", timestamp=c.now, unrevoke=TOKEN), 401,
        "unrevoke_subaccount signature verification failed"),
    Row("list", "revoked_subaccounts", lambda c: c.signed(f"revoked_subaccounts{c.now}", timestamp=c.now), 200,
        lambda r, c: r["revoked_subaccounts"] == [] and "t" in r),
    Row("late", "revoked_subaccounts", lambda c: c.signed("", timestamp=late(c)), 406,
        "revoked_subaccounts timestamp too far from current time"),
    Row("signed otherwise", "revoked_subaccounts", lambda c: c.signed("", timestamp=c.now), 401,
        "revoked_subaccounts signature verification failed"),
    # batch, sequence, ifelse
    Row("two", "batch", lambda c: {"requests": [{"method": "info", "params": {}}] * 2}, 200,
        lambda r, c: [result["code"] for result in r["results"]] == [200, 200]),
    Row("until it fails", "sequence",
        lambda c: {"requests": [{"method": m, "params": {"pubkey": c.user.account_id}} for m in ("get_swarm", "retrieve", "info")]},
        200, lambda r, c: [result["code"] for result in r["results"]] == [200, 401]
        and r["results"][1]["body"] == "retrieve: request signature required"),
    invalid("no requests", "batch", lambda c: {}, "Invalid batch request: no valid \"requests\" field"),
    invalid("empty", "batch", lambda c: {"requests": []}, "Invalid batch request: no valid \"requests\" field",
            "Invalid batch request: empty \"requests\" list"),
    invalid("too many", "batch", lambda c: {"requests": [{"method": "info", "params": {}}] * 21},
            "Invalid batch request: subrequest limit exceeded"),
    invalid("numbers", "batch", lambda c: {"requests": [1]}, "Invalid batch request: requests must be objects",
            "Invalid batch request: requests must be dicts"),
    invalid("no method", "sequence", lambda c: {"requests": [{"params": {}}]},
            "Invalid batch request: subrequests must have method/params keys",
            "Invalid batch request: subrequests must have a method"),
    invalid("no params", "sequence", lambda c: {"requests": [{"method": "info"}]},
            "Invalid batch request: subrequests must have method/params keys",
            "Invalid batch request: subrequests must have a params dict"),
    invalid("unknown method", "sequence", lambda c: {"requests": [{"method": "nope", "params": {}}]},
            "Invalid batch subrequest: invalid method \"nope\""),
    invalid("nested", "batch", lambda c: {"requests": [{"method": "batch", "params": {}}]},
            "Invalid batch subrequest: subrequests may not contain meta-requests"),
    Row("chosen", "ifelse", lambda c: {"if": {"hf_at_least": [19, 3]}, "then": {"method": "info", "params": {}}}, 200,
        lambda r, c: bool(r["condition"]) and r["result"]["code"] == 200 and r["height"] == 1),
    Row("not chosen", "ifelse", lambda c: {"if": {"v_before": [2]}, "then": {"method": "info", "params": {}}}, 200,
        lambda r, c: not r["condition"] and "result" not in r),
    invalid("no if", "ifelse", lambda c: {"then": {}}, "Invalid ifelse request: no valid \"if\" field"),
    invalid("no condition", "ifelse", lambda c: {"if": {}},
            "Invalid ifelse request: must specify at least one \"if\" condition"),
    invalid("no branch", "ifelse", lambda c: {"if": {"height_before": 1}},
            "Invalid ifelse request: at least one of \"then\"/\"else\" required"),
    invalid("branch without params", "ifelse", lambda c: {"if": {"height_before": 1}, "else": {"method": "info"}},
            "Invalid ifelse request: else must have method/params keys", "Invalid ifelse request: else missing params"),
    invalid("unknown branch", "ifelse", lambda c: {"if": {"height_before": 1}, "else": {"method": "x", "params": {}}},
            "Invalid ifelse request method \"else\""),
]  # fmt: skip


def HASH_OF(caller: Caller) -> str:
    """The hash of `hello world` in the caller's inbox."""
    from allium.client.client import message_hash

    return message_hash(caller.user.account_id, 0, b"hello world")


def _revocation(caller: Caller, field_name: str) -> dict[str, Any]:
    text = f"{field_name}_subaccount{caller.now}".encode() + bytes.fromhex(TOKEN)
    signature = bindings.crypto_sign(text, caller.user.ed_secret)[:64]
    return {
        **caller.user.auth(""),
        "signature": base64.b64encode(signature).decode(),
        "timestamp": caller.now,
        field_name: TOKEN,
    }


Caller.revocation = _revocation  # type: ignore[attr-defined]


def cases() -> list[Any]:
    return [
        pytest.param(row, transport, encoding, id=f"{row.method}-{row.name}-{transport}-{encoding}".replace(" ", "_"))
        for row in ROWS
        for transport, encoding in CALLS
        if encoding == "json" or row.bencode is not None
    ]


@pytest.mark.parametrize(("row", "transport", "encoding"), cases())
def test_table(shared_devnet: Devnet, row: Row, transport: str, encoding: str) -> None:
    caller = Caller(shared_devnet, transport, encoding)
    answer = caller.ask(row.method, row.params(caller))
    check = row.bencode if encoding == "bencode" and row.bencode else row.check
    if isinstance(check, str):
        assert (answer.status, answer.body.decode()) == (row.status, check)
    else:
        assert answer.status == row.status, answer
        assert check(caller.result(answer), caller), answer


@pytest.mark.parametrize(("transport", "encoding"), CALLS)
def test_wrong_swarm_on_every_transport(shared_devnet: Devnet, transport: str, encoding: str) -> None:
    caller = Caller(shared_devnet, transport, encoding)
    right = {node.ed25519.hex() for node in caller.inside}
    caller.node, *caller.outside = caller.outside
    answer = caller.ask("store", caller.store())
    assert answer.status == 421
    result = caller.result(answer)
    assert {snode["pubkey_ed25519"] for snode in result["snodes"]} == right
    assert "t" in result and result["hf"] == [19, 4]


def test_table_covers_every_method() -> None:
    counted = Counter(row.method for row in ROWS)
    assert set(counted) >= {
        "store", "retrieve", "delete", "delete_all", "delete_before", "expire", "expire_all", "get_expiries",
        "revoke_subaccount", "unrevoke_subaccount", "revoked_subaccounts", "get_swarm", "get_snodes_for_pubkey", "info",
        "batch", "sequence", "ifelse", "oxend_request",
    }  # fmt: skip


def test_active_nodes_in_binary(shared_devnet: Devnet) -> None:
    expected = {bytes.fromhex(node["pubkey_ed25519"]): node for node in shared_devnet.nodes}
    for transport, encoding in CALLS:
        body = Caller(shared_devnet, transport, encoding).ask("active_nodes_bin", {}).body
        raw = base64.b64decode(body) if transport == "onion" else body
        records = [raw[start : start + 51] for start in range(0, len(raw), 51)]
        assert {record[:32] for record in records} == set(expected), transport
        for record in records:
            node = expected[record[:32]]
            assert int.from_bytes(record[32:40], "big") == node["swarm_id"]
            assert record[40:44] == bytes([127, 0, 0, 1])
            assert int.from_bytes(record[44:46], "big") == node["https_port"]
            assert int.from_bytes(record[46:48], "big") == node["omq_port"]


# --- the same question, asked in every way


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(max_size=8)
    | st.sampled_from([UNKNOWN, TOKEN]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(
    [
        "pubkey", "pubKey", "timestamp", "ttl", "expiry", "data", "namespace", "signature", "pubkey_ed25519", "messages",
        "last_hash", "max_count", "max_size", "before", "shorten", "extend", "revoke", "unrevoke", "endpoint", "params",
        "requests", "if", "then", "required", "subaccount", "subaccount_sig", "sig_timestamp",
    ]
)  # fmt: skip
METHODS = st.sampled_from(sorted({row.method for row in ROWS} | {"active_nodes_bin"}))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=METHODS, params=st.dictionaries(FIELDS, VALUES, max_size=6), well_known=st.booleans())
def test_every_transport_gives_the_same_answer(
    shared_devnet: Devnet, method: str, params: dict[str, Any], well_known: bool
) -> None:
    caller = Caller(shared_devnet, "https", "json")
    if well_known:
        params = {**params, "pubkey": caller.user.account_id, "signature": caller.user.sign("")}
    answers = {}
    for transport, encoding in CALLS:
        if encoding == "json":
            caller.transport = transport
            answer = caller.ask(method, params)
            answers[transport] = (answer.status, timeless(answer.decoded()))
    assert len({json.dumps(answer, default=repr) for answer in answers.values()}) == 1, answers


def timeless(value: Any) -> Any:
    """Without what tells the time, and with binary as the base64 that JSON has for it."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in ("t", "timestamp")}
    if isinstance(value, list):
        return [timeless(item) for item in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=200) | st.dictionaries(st.binary(max_size=6), st.binary(max_size=9)).map(bencode2.bencode)
)
def test_omq_and_quic_take_any_bytes_alike(shared_devnet: Devnet, body: bytes) -> None:
    node = Node.parse(shared_devnet.nodes[0])

    async def ask() -> list[Answer]:
        return [await direct.call(node, "store", body, transport=transport) for transport in ("omq", "quic")]

    omq, quic = asyncio.run(ask())
    assert (omq.status, omq.body) == (quic.status, quic.body)
