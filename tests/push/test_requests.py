"""What clients ask, and the exact answers: every refusal, both encodings, subaccounts, times, arrays."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from allium.push.subscription import SIGNATURE_SECONDS
from tests.push.conftest import Make, Parts
from tests.support import wire
from tests.support.push_client import Device
from tests.support.push_services import PushServices

DAY = 86_400


def phone(user: wire.User | None = None, token: str = "t") -> Device:
    return Device(user or wire.User(), "firebase", {"token": token})


async def test_added_updated_removed(parts: Parts) -> None:
    device = phone()
    told = await parts.ask("/subscribe", device.subscription())
    assert told == {"success": True, "added": True, "message": "Subscription successful"}
    told = await parts.ask("/subscribe", device.subscription([0, 3], data=False))
    assert told == {"success": True, "updated": True, "message": "Resubscription successful"}
    [kept] = parts.database.of_account(bytes.fromhex(device.user.account_id))
    assert (kept.subscription.namespaces, kept.subscription.data) == ((0, 3), False)
    # Another token, or another service, is another device.
    assert "added" in await parts.ask("/subscribe", phone(device.user, "other").subscription())
    assert parts.service.totals.subscriptions == 2
    told = await parts.ask("/unsubscribe", device.unsubscription())
    assert told == {"success": True, "removed": True, "message": "Device unsubscribed"}
    told = await parts.ask("/unsubscribe", device.unsubscription())
    assert told == {"success": True, "removed": False, "message": "Device was not subscribed"}


async def test_an_array_is_answered_by_an_array(parts: Parts) -> None:
    good, other = phone(), phone()
    items = [good.subscription(), {"pubkey": "no"}, 5, None, [], other.subscription()]
    told = await parts.ask("/subscribe", items)
    assert [one.get("error", 0) for one in told] == [0, 1, 1, 1, 1, 0]
    told = await parts.ask("/unsubscribe", [other.unsubscription(), good.unsubscription(), {}])
    assert [one.get("removed") for one in told] == [True, True, None]
    assert await parts.ask("/subscribe", []) == []


async def test_hex_and_base64(parts: Parts) -> None:
    for encode in (
        bytes.hex,
        lambda data: base64.b64encode(data).decode(),
        lambda data: base64.b64encode(data).decode().rstrip("="),
        lambda data: base64.urlsafe_b64encode(data).decode(),
    ):
        asked = phone().subscription()
        for name in ("pubkey", "session_ed25519", "enc_key"):
            asked[name] = encode(bytes.fromhex(asked[name]))
        asked["signature"] = encode(base64.b64decode(asked["signature"]))
        assert "added" in await parts.ask("/subscribe", asked)


async def test_groups_and_their_members(parts: Parts) -> None:
    group = wire.Group()
    namespaces = [-11, 11, 12, 13, 14]
    assert "added" in await parts.ask("/subscribe", phone(group, "admin").subscription(namespaces))
    reader = phone(wire.Member(group, 1), "reader")
    assert "added" in await parts.ask("/subscribe", reader.subscription(namespaces))
    assert (await parts.ask("/unsubscribe", reader.unsubscription()))["removed"] is True
    anywhere = phone(wire.Member(group, 1 | 8, prefix=5), "any prefix")
    assert "added" in await parts.ask("/subscribe", anywhere.subscription(namespaces))
    for member in (wire.Member(group, 2), wire.Member(group, 1, prefix=5)):
        told = await parts.ask("/subscribe", phone(member).subscription(namespaces))
        assert told["error"] == 1 and "may not read" in told["message"]
    # A token that another group has signed.
    stranger = wire.Member(wire.Group(), 1)
    stranger.account_id = group.account_id
    told = await parts.ask("/subscribe", phone(stranger).subscription(namespaces))
    assert told["error"] == 1 and "signature" in told["message"]


def changed(**fields: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(asked: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in {**asked, **fields}.items() if value is not Ellipsis}

    return change


#: What is changed in a good subscription, the number of the error, and a word of what is told.
REFUSALS: list[tuple[Any, int, str]] = [
    (changed(pubkey="05" + "00" * 31), 1, "pubkey"),
    (changed(pubkey=5), 1, "pubkey"),
    (changed(pubkey=...), 1, "pubkey"),
    (changed(pubkey="zz" * 33), 1, "pubkey"),
    (changed(pubkey="0" * 1_000), 1, "pubkey"),
    (changed(session_ed25519=...), 1, "session_ed25519"),
    (changed(session_ed25519="00" * 32), 1, "session_ed25519"),
    (changed(session_ed25519="ab" * 32), 1, "session_ed25519"),
    (changed(signature="00" * 64), 1, "signature"),
    (changed(signature=...), 1, "signature"),
    (changed(signature="AA"), 1, "signature"),
    (changed(data=False), 1, "signature"),
    (changed(namespaces=[0, 1]), 1, "signature"),
    (changed(namespaces=...), 1, "namespaces"),
    (changed(namespaces=[]), 1, "namespaces"),
    (changed(namespaces="0"), 1, "namespaces"),
    (changed(namespaces=[1, 0]), 1, "ascending"),
    (changed(namespaces=[0, 0]), 1, "ascending"),
    (changed(namespaces=[0.5]), 1, "namespaces"),
    (changed(namespaces=[True]), 1, "namespaces"),
    (changed(namespaces=[1 << 15]), 1, "namespaces"),
    (changed(namespaces=list(range(65))), 1, "namespaces"),
    (changed(data=1), 1, "data"),
    (changed(sig_ts="1700000000"), 1, "sig_ts"),
    (changed(sig_ts=...), 1, "sig_ts"),
    (changed(sig_ts=True), 1, "sig_ts"),
    (changed(sig_ts=-5), 1, "sig_ts"),
    (changed(sig_ts=1 << 80), 1, "sig_ts"),
    (changed(sig_ts=1.5), 1, "sig_ts"),
    (changed(enc_key="00" * 31), 1, "enc_key"),
    (changed(enc_key=...), 1, "enc_key"),
    (changed(subaccount="00" * 36), 1, "subaccount_sig"),
    (changed(subaccount="00" * 35, subaccount_sig="00" * 64), 1, "subaccount"),
    (changed(service="huawei"), 2, "service"),
    (changed(service=...), 1, "service"),
    (changed(service=["firebase"]), 1, "service"),
    (changed(service="\ud800"), 1, "service"),
    (changed(service_info="t"), 1, "service_info"),
    (changed(service_info={}), 1, "token"),
    (changed(service_info={"token": ""}), 1, "token"),
    (changed(service_info={"token": 5}), 1, "token"),
    (changed(service_info={"token": "x" * 5000}), 1, "token"),
    (changed(service_info={"token": "a\nb"}), 1, "token"),
    (changed(service="apns", service_info={"token": "short"}), 1, "64 hex"),
    (changed(service="webpush", service_info={"endpoint": "ftp://x"}), 1, "endpoint"),
    (changed(service="webpush", service_info={"endpoint": "http://127.0.0.1/x"}), 1, "p256dh"),
    (changed(service="webpush", service_info={"endpoint": "http://127.0.0.1/x", "keys": []}), 1, "p256dh"),
    (
        changed(
            service="webpush",
            service_info={"endpoint": "http://127.0.0.1/x", "p256dh": "04" + "00" * 64, "auth": "00" * 16},
        ),
        1,
        "p256dh",
    ),
]


async def test_refusals(parts: Parts) -> None:
    for change, code, told in REFUSALS:
        answer = await parts.ask("/subscribe", change(phone().subscription()))
        assert (answer["success"], answer["error"]) == (False, code) and told in answer["message"], answer
    assert parts.service.totals.subscriptions == 0


async def test_private_endpoints(make_parts: Make, services: PushServices) -> None:
    parts = await make_parts(webpush_private=False)
    for endpoint in (f"{services.url}/wp/browser", "https://127.0.0.1/x", "https://[::ffff:10.0.0.1]/x"):
        info = {**services.browser("browser"), "endpoint": endpoint}
        told = await parts.ask("/subscribe", Device(wire.User(), "webpush", info).subscription())
        assert told["error"] == 1 and "the endpoint cannot be used" in told["message"]
    info = {**services.browser("browser"), "endpoint": "https://push.example/x"}
    assert "added" in await parts.ask("/subscribe", Device(wire.User(), "webpush", info).subscription())


async def test_times(parts: Parts) -> None:
    now = int(time.time())
    for seconds, taken in (
        (now - SIGNATURE_SECONDS + 60, True),
        (now - SIGNATURE_SECONDS - 1, False),
        (now + DAY - 60, True),
        (now + DAY + 60, False),
    ):
        told = await parts.ask("/subscribe", phone().subscription(seconds=seconds))
        assert told["success"] is taken, seconds - now
    for seconds, taken in ((now - DAY + 60, True), (now - DAY - 60, False), (now + DAY + 60, False)):
        told = await parts.ask("/unsubscribe", phone().unsubscription(seconds))
        assert told["success"] is taken, seconds - now
    # One signature is no good for the other.
    device = phone()
    asked = device.subscription()
    told = await parts.ask("/unsubscribe", {**asked, **{"signature": asked["signature"]}})
    assert told["error"] == 1


async def test_what_lapses_and_what_makes_room(make_parts: Make) -> None:
    parts = await make_parts(account_subscriptions=3, max_subscriptions=5)
    user = wire.User()
    now = int(time.time())
    for age in (5, 4, 3, 2, 1):
        await parts.ask("/subscribe", phone(user, str(age)).subscription(seconds=now - age))
    kept = {one.subscription.device.token for one in parts.database.of_account(bytes.fromhex(user.account_id))}
    assert kept == {"3", "2", "1"} and parts.service.totals.subscriptions == 3
    soon = phone()
    await parts.ask("/subscribe", soon.subscription(seconds=now - SIGNATURE_SECONDS + 600))
    assert "added" in await parts.ask("/subscribe", phone().subscription())
    told = await parts.ask("/subscribe", phone().subscription())
    assert told["error"] == 4 and "as many subscriptions" in told["message"]
    # Who is there already may stay.
    told = await parts.ask("/subscribe", [phone(user, "1").subscription(), phone().subscription()])
    assert "updated" in told[0] and told[1]["error"] == 4
    await parts.service.tidy()
    assert parts.service.totals.subscriptions == 5
    parts.service.clock = lambda: time.time() + 700
    await parts.service.tidy()
    assert parts.service.totals.subscriptions == 4 and not parts.database.has(bytes.fromhex(soon.user.account_id))


async def test_a_database_that_fails(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    from allium.base.sqlite_writing import DatabaseUnusableError

    async def full(*_: Any) -> Any:
        raise DatabaseUnusableError("the disk is full")

    async def broken(*_: Any) -> Any:
        raise RuntimeError

    async def slow(*_: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr("allium.push.api._PATIENCE_SECONDS", 0.05)
    for fails, code in ((full, 4), (broken, 5), (slow, 3)):
        monkeypatch.setattr(parts.database, "subscribe", fails)
        [told] = await parts.ask("/subscribe", [phone().subscription()])
        assert told["error"] == code and "disk" not in told["message"]


async def test_bodies_that_are_none(parts: Parts) -> None:
    chance = random.Random(5)
    for body in (
        b"{",
        b"\xff\xfe",
        b"[" * 50_000,
        b"nul",
        b'{"a":' * 10_000,
        b"x" * 100_001,
        *(chance.randbytes(chance.randrange(1, 200)) for _ in range(100)),
    ):
        for path in ("/subscribe", "/unsubscribe"):
            told = await parts.ask(path, body)
            assert told["error"] == 1 and told["message"].startswith("Invalid request: "), body[:40]
    whole = json.dumps([phone().subscription()] * 100).encode()
    assert len(whole) < 100_000
    assert len(await parts.ask("/subscribe", whole)) == 100
    assert parts.service.totals.subscriptions == 1


async def test_services_are_told(parts: Parts, services: PushServices) -> None:
    told = await parts.ask("/services", b"", method="GET")
    assert told["services"] == ["apns", "apns-sandbox", "firebase", "unifiedpush", "webpush"]
    assert len(base64.urlsafe_b64decode(told["vapid"] + "=")) == 65
    assert services.received.empty()
