"""Requests that are almost right: refused, or taken, in the reference's order and words (`spec/node-rpc`)."""

from __future__ import annotations

import pytest

from tests.support.caller import Caller
from tests.support.devnet import Devnet
from tests.support.request_rows import Row, cases, invalid

INFO = {"method": "info", "params": {}}
TOKEN_ALONE = "invalid subaccount: subaccount_sig is required when using subaccount"

ROWS = [
    invalid("blanks in base64", "store", lambda c: {**c.store(), "data": "aG k="},
            "Invalid 'data' value: not base64 encoded", None),
    invalid("a line's end behind base64", "store", lambda c: {**c.store(), "data": "aGk=\n"},
            "Invalid 'data' value: not base64 encoded", None),
    Row("base64 without padding", "store", lambda c: {**c.store(), "data": "aGk"}, 200,
        lambda r, c: r["hash"] == c.hash_of(b"hi"), None),
    invalid("long and not base64", "store", lambda c: {**c.store(), "data": "?" * 102_404},
            "Invalid 'data' value: not base64 encoded", None),
    invalid("namespace beyond signed numbers", "store", lambda c: c.store(namespace=(1 << 64) - 1),
            "Invalid value given for 'namespace': value out of range"),
    invalid("nothing but a time", "store", lambda c: {"timestamp": c.now}, "Required field 'expiry' or 'ttl' missing"),
    invalid("a number for a token, unsigned", "store", lambda c: c.store(subaccount=1),
            "Invalid value given for 'subaccount': expected string"),
    invalid("odd token without its signature", "store", lambda c: {**c.signed_store(2), "subaccount": "AAAA"},
            TOKEN_ALONE),
    invalid("a number for a token, unsigned", "retrieve", lambda c: {"pubkey": c.user.account_id, "subaccount": 1},
            "Invalid value given for 'subaccount': expected string"),
    invalid("an odd key without a signature", "retrieve",
            lambda c: {"pubkey": c.user.account_id, "pubkey_ed25519": "00"},
            "Required field 'signature' missing"),
    invalid("no numbers", "ifelse", lambda c: {"if": {"hf_at_least": []}, "then": INFO},
            "Invalid ifelse request: must specify at least one \"if\" condition"),
    invalid("height in words", "ifelse", lambda c: {"if": {"height_before": "1"}, "then": INFO},
            "Invalid value given for 'height_before': expected integer"),
    Row("before all heights", "ifelse", lambda c: {"if": {"height_before": -1}, "then": INFO}, 200,
        lambda r, c: not r["condition"] and "result" not in r),
]  # fmt: skip


@pytest.mark.parametrize(("row", "transport", "encoding"), cases(ROWS))
def test_almost_right(shared_devnet: Devnet, row: Row, transport: str, encoding: str) -> None:
    row.check_at(Caller(shared_devnet, transport, encoding))
