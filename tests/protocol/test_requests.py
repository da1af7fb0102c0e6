"""One table of requests and their answers, for every transport and encoding that carries them (`spec/node-rpc`)."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections import Counter
from typing import Any

import bencode2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allium.client import direct
from allium.client.direct import Answer, Node
from tests.support import wire
from tests.support.caller import CALLS, DAY, UNKNOWN, Caller
from tests.support.devnet import Devnet
from tests.support.request_rows import Row, cases, invalid


def late(caller: Caller) -> int:
    return caller.now - 120_000


def confirmed(result: Any, caller: Caller) -> bool:
    return caller.each_signed(result, result["hash"]) and "t" in result and result["hf"] == [19, 4]


SIGNATURE = base64.b64encode(bytes(64)).decode()
TOKEN = "030300002543b92ff1095511476adc8369db6ddc933665a11978dda1404ee1066ca9559d"

ROWS = [
    # info, get_swarm, oxend_request, active_nodes_bin
    Row("plain", "info", lambda c: {}, 200, lambda r, c: r["version"] == [2, 8, 0] and 0 <= r["t"] - r["timestamp"] < 60_000),
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
        lambda r, c: all(entry["already"] in (True, 1) for entry in c.entries(r).values())),
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
    invalid("end in words", "store", lambda c: c.store(ttl="soon"), "Invalid value given for 'ttl': \"soon\"",
            "Invalid value given for 'ttl': expected positive integer"),
    invalid("end before the beginning", "store", lambda c: c.store(ttl=-1),
            "Invalid value given for 'ttl': expected positive integer"),
    invalid("nothing at all", "store", lambda c: {}, "Required field 'timestamp' missing"),
    invalid("end as text", "store", lambda c: {**c.store(), "ttl": None, "expiry": str(c.now + DAY)},
            "Invalid value given for 'expiry': expected integer timestamp (in milliseconds)"),
    invalid("end in seconds", "store", lambda c: {**c.store(), "ttl": None, "expiry": c.now // 10_000},
            "Invalid timestamp for 'expiry': timestamp must be in milliseconds", None),
    invalid("signature time in words", "store",
            lambda c: {**c.store(namespace=2), "sig_timestamp": "soon", **c.user.auth("")},
            "Invalid value given for 'sig_timestamp': expected integer timestamp (in milliseconds)"),
    invalid("odd signature of an inbox", "store", lambda c: {**c.store(), **c.user.auth(""), "signature": "AAAA"},
            "invalid signature: expected base64 encoded Ed25519 signature",
            "invalid signature: expected 64-byte Ed25519 signature"),
    Row("any signature of an inbox", "store", lambda c: {**c.store(), **c.user.auth("")}, 200, confirmed),
    Row("no Ed25519 key beside a key that is none", "store",
        lambda c: {**c.signed_store(2), "pubkey_ed25519": None}, 401, "store signature verification failed"),
    Row("another's Ed25519 key", "store",
        lambda c: {**c.signed_store(2), "pubkey_ed25519": wire.User().ed_public.hex()}, 401,
        "store signature verification failed"),
    invalid("token without its signature", "store", lambda c: {**c.signed_store(2), "subaccount": TOKEN},
            "invalid subaccount: subaccount_sig is required when using subaccount"),
    invalid("odd token", "store", lambda c: {**c.signed_store(2), "subaccount": "AAAA", "subaccount_sig": SIGNATURE},
            "invalid subaccount: expected base64 or hex-encoded subaccount token",
            "invalid subaccount token: invalid token length"),
    invalid("odd signature of a token", "store",
            lambda c: {**c.signed_store(2), "subaccount": TOKEN, "subaccount_sig": "AAAA"},
            "invalid subaccount signature: expected base64 encoded Ed25519 signature",
            "invalid signature: expected 64-byte Ed25519 signature"),
    Row("a whole message", "store", lambda c: c.store(os.urandom(76_800)), 200, confirmed),
    Row("14 days", "store", lambda c: c.store(ttl=14 * DAY), 200, confirmed),
    Row("30 days", "store", lambda c: c.signed_store(2, ttl=30 * DAY), 200, confirmed),
    Row("more than 30 days", "store", lambda c: c.signed_store(2, ttl=30 * DAY + 1), 403,
        "Provided expiry/TTL is not valid."),
    Row("legacy group", "store", lambda c: c.store(namespace=-10), 200, confirmed),
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
    Row("early", "retrieve", lambda c: c.signed(f"retrieve{c.now + 120_000}", timestamp=c.now + 120_000), 406,
        "retrieve timestamp too far from current time"),
    invalid("unsigned 40", "retrieve", lambda c: {"pubkey": c.user.account_id, "namespace": 40},
            "Required field 'signature' missing"),
    Row("wrongly signed where no signature is needed", "retrieve",
        lambda c: c.signed("", timestamp=c.now, namespace=-1), 401, "retrieve signature verification failed"),
    invalid("size in words", "retrieve", lambda c: c.retrieve(max_size="x"),
            "Invalid value given for 'max_size': expected integer"),
    invalid("key of another kind", "retrieve", lambda c: {**c.retrieve(), "pubkey": "04" + "11" * 32},
            "pubkey_ed25519 is only permitted for 05[...] pubkeys"),
    invalid("short account", "retrieve", lambda c: {**c.retrieve(), "pubkey": "05ff"},
            "Pubkey must be 66 hex digits (33 bytes) long"),
    Row("null is nothing", "retrieve", lambda c: {**c.retrieve(), "namespace": None, "last_hash": None}, 200,
        lambda r, c: r["messages"] == []),
    # delete
    Row("one of two", "delete", lambda c: c.signed(f"delete{c.stored()}{UNKNOWN}", messages=[c.hash_of(), UNKNOWN]), 200,
        lambda r, c: all(e["deleted"] == [c.hash_of()] for e in c.entries(r).values())
        and c.each_signed(r, f"{c.user.account_id}{c.hash_of()}{UNKNOWN}{c.hash_of()}")),
    Row("none, required", "delete", lambda c: c.signed(f"delete{UNKNOWN}", messages=UNKNOWN, required=True), 404,
        lambda r, c: all(e["deleted"] == [] for e in c.entries(r).values())),
    invalid("no hashes", "delete", lambda c: c.signed("", messages=[]), "messages does not contain any message hashes"),
    invalid("odd hash", "delete", lambda c: c.signed("", messages=["x"]), "invalid message hash: x"),
    invalid("numbers", "delete", lambda c: c.signed("", messages=[1]),
            "Invalid value given for 'messages': expected string array"),
    invalid("a word for yes", "delete", lambda c: c.signed("", messages=[UNKNOWN], required="yes"),
            "Invalid value given for 'required': expected boolean"),
    Row("signed otherwise", "delete", lambda c: c.signed("", messages=[UNKNOWN]), 401,
        "delete_msgs signature verification failed"),
    Row("none", "delete", lambda c: c.signed(f"delete{UNKNOWN}", messages=[UNKNOWN]), 200,
        lambda r, c: c.each_signed(r, f"{c.user.account_id}{UNKNOWN}")),
    # delete_all, delete_before, expire_all
    Row("one namespace", "delete_all", lambda c: c.stored() and c.signed(f"delete_all{c.now}", timestamp=c.now), 200,
        lambda r, c: c.each_signed(r, f"{c.user.account_id}{c.now}{c.hash_of()}")),
    Row("everything", "delete_all",
        lambda c: c.stored() and c.signed(f"delete_allall{c.now}", timestamp=c.now, namespace="all"), 200,
        lambda r, c: all(e["deleted"] == {"0": [c.hash_of()]} for e in c.entries(r).values())),
    invalid("namespace in words", "delete_all", lambda c: c.signed("", timestamp=c.now, namespace="some"),
            "Invalid value given for 'namespace': expected integer or \"all\""),
    Row("late", "delete_all", lambda c: c.signed("", timestamp=late(c)), 406,
        "delete_all timestamp too far from current time"),
    Row("signed otherwise", "delete_all", lambda c: c.signed("", timestamp=c.now), 401,
        "delete_all signature verification failed"),
    Row("early", "delete_all", lambda c: c.signed("", timestamp=c.now + 120_000), 406,
        "delete_all timestamp too far from current time"),
    Row("up to now", "delete_before", lambda c: c.stored() and c.signed(f"delete_before{c.now + 50_000}", before=c.now + 50_000),
        200, lambda r, c: c.each_signed(r, f"{c.user.account_id}{c.now + 50_000}{c.hash_of()}")),
    Row("nothing", "delete_before", lambda c: c.signed(f"delete_before{c.now}", before=c.now), 200,
        lambda r, c: c.each_signed(r, f"{c.user.account_id}{c.now}")),
    Row("of all namespaces", "delete_before",
        lambda c: c.stored() and c.signed(f"delete_beforeall{c.now + 50_000}", before=c.now + 50_000, namespace="all"),
        200, lambda r, c: all(e["deleted"] == {"0": [c.hash_of()]} for e in c.entries(r).values())),
    Row("far ahead", "delete_before", lambda c: c.signed("", before=c.now + 120_000), 401,
        "delete_before timestamp too far in the future"),
    Row("signed otherwise", "delete_before", lambda c: c.signed("", before=c.now), 401,
        "delete_before signature verification failed"),
    Row("all sooner", "expire_all", lambda c: c.stored() and c.signed(f"expire_all{c.now}", expiry=c.now), 200,
        lambda r, c: c.each_signed(r, f"{c.user.account_id}{c.now}{c.hash_of()}")),
    Row("late", "expire_all", lambda c: c.signed("", expiry=late(c)), 406,
        "expire_all timestamp should be >= current time"),
    Row("signed otherwise", "expire_all", lambda c: c.signed("", expiry=c.now), 401,
        "expire_all signature verification failed"),
    # expire, get_expiries
    Row("set", "expire",
        lambda c: c.signed(f"expire{c.now + DAY}{c.stored()}", messages=[c.hash_of()], expiry=c.now + DAY), 200,
        lambda r, c: c.each_signed(r, f"{c.user.account_id}{c.now + DAY}{c.hash_of()}{c.hash_of()}")),
    Row("extend what lasts longer", "expire",
        lambda c: c.signed(f"expireextend{c.now}{c.stored()}", messages=c.hash_of(), expiry=c.now, extend=True), 200,
        lambda r, c: all(e["updated"] == [] and list(e["unchanged"]) == [c.hash_of()]
                         for e in c.entries(r).values())),
    Row("several", "expire",
        lambda c: c.signed(f"expire{c.now}{c.now + 1}{c.stored()}{UNKNOWN}", messages=[c.hash_of(), UNKNOWN],
                           expiry=[c.now, c.now + 1]), 200,
        lambda r, c: all(e["expiry"] == [c.now] for e in c.entries(r).values())),
    invalid("no times", "expire", lambda c: c.signed("", messages=[UNKNOWN], expiry=[]),
            "'expiry' does not contain any expiration timestamps"),
    invalid("both ways", "expire", lambda c: c.signed("", messages=[UNKNOWN], expiry=c.now, shorten=True, extend=True),
            "cannot specify both 'shorten' and 'extend'"),
    invalid("another length", "expire", lambda c: c.signed("", messages=[UNKNOWN], expiry=[c.now, c.now]),
            "'expiry' must be a single expiry, or the same length as 'messages'"),
    invalid("no hashes", "expire", lambda c: c.signed("", messages=[], expiry=c.now),
            "messages does not contain any message hashes"),
    invalid("odd hash", "expire", lambda c: c.signed("", messages=["x"], expiry=c.now), "invalid message hash: x"),
    invalid("times in words", "expire", lambda c: c.signed("", messages=[UNKNOWN], expiry="x"),
            "Invalid value given for 'expiry': expected timestamp array"),
    Row("late", "expire", lambda c: c.signed("", messages=[UNKNOWN], expiry=late(c)), 401,
        "expire: timestamp should be >= current time"),
    Row("signed otherwise", "expire", lambda c: c.signed("", messages=[UNKNOWN], expiry=c.now), 401,
        "expire: signature verification failed"),
    Row("known ones", "get_expiries",
        lambda c: c.signed(f"get_expiries{c.now}{c.stored()}{UNKNOWN}", timestamp=c.now, messages=[c.hash_of(), UNKNOWN]),
        200, lambda r, c: list(r) == ["expiries"] and list(r["expiries"]) == [c.hash_of()]),
    invalid("no hashes", "get_expiries", lambda c: c.signed("", timestamp=c.now), "Required field 'messages' missing"),
    invalid("empty", "get_expiries", lambda c: c.signed("", timestamp=c.now, messages=[]),
            "messages does not contain any message hashes"),
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
    Row("revoke", "revoke_subaccount", lambda c: c.revocation("revoke", [TOKEN]), 200,
        lambda r, c: c.each_signed(r, f"{c.user.account_id}{c.now}".encode() + bytes.fromhex(TOKEN))),
    Row("unrevoke", "unrevoke_subaccount", lambda c: c.revocation("unrevoke", [TOKEN]), 200,
        lambda r, c: all(e["count"] == 0 for e in c.entries(r).values())),
    Row("signed otherwise", "unrevoke_subaccount", lambda c: c.signed("", timestamp=c.now, unrevoke=TOKEN), 401,
        "unrevoke_subaccount signature verification failed"),
    Row("late", "unrevoke_subaccount", lambda c: c.signed("", timestamp=late(c), unrevoke=TOKEN), 406,
        "unrevoke_subaccount timestamp too far from current time"),
    invalid("odd token", "unrevoke_subaccount", lambda c: c.signed("", timestamp=c.now, unrevoke="AAAA"),
            "invalid unrevoke: expected base64 or hex-encoded subaccount tag",
            "invalid unrevoke subaccount: invalid subaccount tag length"),
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
    invalid("branch that is a list", "ifelse", lambda c: {"if": {"height_before": 1}, "then": []},
            "Invalid ifelse request: then must be an object", "Invalid ifelse request: then must be a dict"),
    Row("in each other", "ifelse",
        lambda c: {"if": {"hf_before": [99999, 99]}, "then": {"method": "ifelse", "params": {
            "if": {"v_at_least": [2, 8], "height_at_least": 1}, "then": {"method": "batch", "params": {
                "requests": [{"method": "info", "params": {}}]}}}}}, 200,
        lambda r, c: r["result"]["body"]["result"]["body"]["results"][0]["code"] == 200),
    Row("otherwise", "ifelse",
        lambda c: {"if": {"hf_at_least": [99999]}, "then": {"method": "retrieve", "params": {"pubkey": c.user.account_id}},
                   "else": {"method": "info", "params": {}}}, 200,
        lambda r, c: not r["condition"] and r["result"]["code"] == 200),
    invalid("unknown branch", "ifelse", lambda c: {"if": {"height_before": 1}, "else": {"method": "x", "params": {}}},
            "Invalid ifelse request method \"else\""),
]  # fmt: skip


@pytest.mark.parametrize(("row", "transport", "encoding"), cases(ROWS))
def test_table(shared_devnet: Devnet, row: Row, transport: str, encoding: str) -> None:
    row.check_at(Caller(shared_devnet, transport, encoding))


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


def reading(caller: Caller) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    """Requests that change nothing, most of them valid."""
    names = st.lists(
        st.sampled_from([caller.hash_of(BINARY), caller.hash_of(BINARY, 2), UNKNOWN]), min_size=1, max_size=4
    )
    times = st.integers(-70_000, 70_000).map(lambda offset: caller.now + offset)
    namespaces = st.none() | st.sampled_from([0, 2, -1, -10, 40, 40_000])

    def retrieve(time: int, namespace: int | None, count: int | None, size: int | None, last: str | None) -> Any:
        fields = {"timestamp": time, "namespace": namespace, "max_count": count, "max_size": size, "last_hash": last}
        signed = caller.signed(f"retrieve{namespace or ''}{time}", **fields)
        return "retrieve", {key: value for key, value in signed.items() if value is not None}

    def expiries(time: int, names: list[str], others: bool) -> Any:
        text = f"get_expiries{time}{''.join(names)}{'!' if others else ''}"
        return "get_expiries", caller.signed(text, timestamp=time, messages=names)

    amounts = st.none() | st.integers(-5, 300_000)
    single = (
        st.builds(retrieve, times, namespaces, amounts, amounts, names.map(lambda names: names[0]) | st.none())
        | st.builds(expiries, times, names, st.booleans())
        | times.map(lambda time: ("revoked_subaccounts", caller.signed(f"revoked_subaccounts{time}", timestamp=time)))
        | st.sampled_from([("info", {}), ("get_swarm", {"pubkey": caller.user.account_id})])
    )
    several = st.lists(single.map(lambda one: {"method": one[0], "params": one[1]}), max_size=3)
    return single | st.tuples(
        st.sampled_from(["batch", "sequence"]), several.map(lambda requests: {"requests": requests})
    )


BINARY = bytes(range(256))


def test_both_encodings_give_the_same_answer(shared_devnet: Devnet) -> None:
    caller = Caller(shared_devnet, "https", "json")
    caller.stored(BINARY)
    caller.ok("store", caller.signed_store(2, BINARY))
    callers = [(name, Caller(shared_devnet, *name, caller.user)) for name in CALLS]

    @settings(max_examples=60, deadline=None)
    @given(request=reading(caller))
    def alike(request: tuple[str, dict[str, Any]]) -> None:
        method, params = request
        answers = {}
        for name, one in callers:
            answer = one.ask(method, params)
            told = json.dumps(timeless(one.result(answer)), sort_keys=True, default=repr)
            # Bencode has numbers for these; the words in which it refuses are its own.
            told = told.replace("true", "1").replace("false", "0")
            answers[name] = (answer.status, told)
        assert len({answer for name, answer in answers.items() if name[1] == "json"}) == 1, answers
        assert len({answer for name, answer in answers.items() if name[1] == "bencode"}) == 1, answers
        assert len({(status, text if status == 200 else "") for status, text in answers.values()}) == 1, answers

    alike()


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
