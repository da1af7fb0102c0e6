"""From a message to a device: what each service is sent, and what becomes of what it does not take."""

from __future__ import annotations

import asyncio
import functools
import os
import time
from email.utils import formatdate
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from allium.devnet import ports
from allium.push import endpoints, outcome, outgoing, webpush
from allium.push.database import Notification
from allium.push.payload import Message
from tests.push.conftest import Make, Parts
from tests.support import wire
from tests.support.push_client import Device
from tests.support.push_services import CONTACT, Browser, PushServices, apns_token, opened, unb64
from tests.support.waiting import await_that


def message(account: str, data: bytes | None, namespace: int = 0) -> Message:
    """As a node tells of it."""
    now = int(time.time() * 1000)
    name = wire.message_hash(account, namespace, data or os.urandom(8))
    return Message(bytes.fromhex(account), name, namespace, now, now + 3_600_000, data)


def devices(services: PushServices, user: wire.User) -> list[tuple[str, Device]]:
    """One of each service, and what the service calls it."""
    apple = apns_token("phone")
    return [
        ("browser", Device(user, "webpush", services.browser("browser"))),
        ("distributor", Device(user, "unifiedpush", services.browser("distributor"))),
        ("a:token", Device(user, "firebase", {"token": "a:token"})),
        (apple, Device(user, "apns", {"token": apple})),
        (apple, Device(user, "apns-sandbox", {"token": apple})),
    ]


async def test_every_service_gets_what_its_specification_says(parts: Parts, services: PushServices) -> None:
    user = wire.User()
    for place, (name, device) in enumerate(devices(services, user)):
        assert (await parts.ask("/subscribe", device.subscription()))["added"] is True
        for size in (0, 10, 2500, 2501):
            sent = message(user.account_id, os.urandom(size))
            parts.service.told(sent)
            got = await services.next()
            assert got.device == name, place
            about, body = opened(got.payload, device.enc_key)
            wanted = {"@": user.account_id, "#": sent.hash, "n": 0, "t": sent.timestamp, "z": sent.expiry, "l": size}
            assert about == (wanted if size <= 2500 else {**wanted, "B": True})
            assert body == (sent.data if size <= 2500 else None)
        assert (await parts.ask("/unsubscribe", device.unsubscription()))["removed"] is True
    assert services.tokens_asked == 1, "an access token does for many"


async def test_only_what_was_asked_for(parts: Parts, services: PushServices) -> None:
    user = wire.User()
    quiet = Device(user, "firebase", {"token": "quiet"})
    await parts.ask("/subscribe", quiet.subscription([0, 2], data=False))
    await parts.ask("/subscribe", Device(user, "firebase", {"token": "other"}).subscription([5]))
    parts.service.told(message(user.account_id, b"elsewhere", namespace=3))
    parts.service.told(message(wire.User().account_id, b"somebody's"))
    sent = message(user.account_id, b"told of twice", namespace=2)
    parts.service.told(sent)
    parts.service.told(sent)
    parts.service.told(message(user.account_id, b"the last", namespace=5))
    first, second = await services.next(), await services.next()
    assert {first.device, second.device} == {"quiet", "other"}
    [got] = [each for each in (first, second) if each.device == "quiet"]
    about, body = opened(got.payload, quiet.enc_key)
    assert (about["n"], body, "l" in about, "B" in about) == (2, None, False, False)
    await asyncio.to_thread(await_that, "all is delivered", lambda: parts.service.totals.queued == 0)
    assert services.received.empty()


@pytest.mark.parametrize(
    ("service", "status", "body"),
    [
        ("webpush", 404, {}),
        ("webpush", 410, {}),
        ("firebase", 404, {"error": {"status": "NOT_FOUND", "details": [{"errorCode": "UNREGISTERED"}]}}),
        ("apns", 410, {"reason": "Unregistered", "timestamp": 1}),
        ("apns", 400, {"reason": "BadDeviceToken"}),
    ],
)
async def test_a_device_that_is_no_more_ends_its_subscription(
    parts: Parts, services: PushServices, service: str, status: int, body: dict[str, Any]
) -> None:
    user = wire.User()
    [(name, device)] = [each for each in devices(services, user) if each[1].service == service]
    await parts.ask("/subscribe", device.subscription())
    services.will_answer(name, status, **body)
    parts.service.told(message(user.account_id, b"for nobody"))
    await asyncio.to_thread(await_that, "it ends", lambda: parts.service.totals.subscriptions == 0)
    assert (await parts.ask("/unsubscribe", device.unsubscription()))["removed"] is False
    assert parts.metrics.value("gone_total") == 1


@pytest.mark.parametrize("service", ["webpush", "firebase", "apns"])
async def test_what_is_refused_for_good_is_not_tried_again(parts: Parts, services: PushServices, service: str) -> None:
    user = wire.User()
    [(name, device)] = [each for each in devices(services, user) if each[1].service == service]
    await parts.ask("/subscribe", device.subscription())
    services.will_answer(name, 400, reason="PayloadEmpty", error={"status": "INVALID_ARGUMENT"})
    parts.service.told(message(user.account_id, b"refused"))
    parts.service.told(message(user.account_id, b"taken"))
    about, body = opened((await services.next()).payload, device.enc_key)
    assert body in (b"refused", b"taken") and about["@"] == user.account_id
    await asyncio.to_thread(await_that, "the queue is empty", lambda: parts.service.totals.queued == 0)
    assert parts.metrics.value("attempts_total", service=service, outcome="failed") == 1
    assert parts.service.totals.subscriptions == 1


@pytest.mark.parametrize("service", ["webpush", "firebase", "apns"])
async def test_what_is_to_come_later_does(
    parts: Parts, services: PushServices, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("allium.push.delivery._FIRST_PAUSE", 0.01)
    user = wire.User()
    [(name, device)] = [each for each in devices(services, user) if each[1].service == service]
    await parts.ask("/subscribe", device.subscription())
    services.will_answer(name, 503, {"retry-after": "1"}, reason="ServiceUnavailable")
    services.will_answer(name, 429, reason="TooManyRequests")
    parts.service.told(message(user.account_id, b"at last"))
    assert opened((await services.next()).payload, device.enc_key)[1] == b"at last"
    assert parts.metrics.value("attempts_total", service=service, outcome="retry") == 2


async def test_tokens_that_are_refused_are_made_anew(
    parts: Parts, services: PushServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("allium.push.delivery._FIRST_PAUSE", 0.01)
    user, apple = wire.User(), apns_token("x")
    for service, token in (("apns", apple), ("firebase", "x")):
        await parts.ask("/subscribe", Device(user, service, {"token": token}).subscription())
    services.will_answer(apple, 403, reason="ExpiredProviderToken")
    services.will_answer("x", 401, error={"status": "UNAUTHENTICATED"})
    parts.service.told(message(user.account_id, b"hello"))
    assert {(await services.next()).device, (await services.next()).device} == {apple, "x"}
    assert services.tokens_asked == 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7), (" 120 ", 120), ("99999999", 86_400), ("soon", None), ("-1", None), ("1e3", None), (None, None)],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert outcome.seconds(text) == seconds


def test_retry_after_as_a_date() -> None:
    wait = outcome.seconds(formatdate(time.time() + 100, usegmt=True))
    assert wait is not None and 90 < wait <= 100
    assert outcome.seconds(formatdate(time.time() - 100, usegmt=True)) == 0


async def test_what_was_being_sent_when_the_process_died_is_sent(make_parts: Make, services: PushServices) -> None:
    parts = await make_parts(delivers=False)
    user = wire.User()
    device = Device(user, "firebase", {"token": "t"})
    await parts.ask("/subscribe", device.subscription())
    parts.service.told(message(user.account_id, b"one"))
    parts.service.told(message(user.account_id, b"two"))
    await asyncio.to_thread(await_that, "both wait", lambda: parts.service.totals.queued == 2)
    [claimed] = await parts.database.claim("firebase", time.time(), 1)
    assert claimed.device.token == "t"
    await make_parts()
    got = {opened((await services.next()).payload, device.enc_key)[1] for _ in range(2)}
    assert got == {b"one", b"two"}


async def test_one_device_does_not_fill_the_queue(make_parts: Make) -> None:
    parts = await make_parts(delivers=False, max_queued=100)
    users = [wire.User(), wire.User()]
    for user in users:
        await parts.ask("/subscribe", Device(user, "firebase", {"token": "t"}).subscription())
    for number in range(1000):
        parts.service.told(message(users[0].account_id, b"%d" % number))
    parts.service.told(message(users[1].account_id, b"mine"))

    def seen_to() -> float:
        drops = sum(parts.metrics.value("dropped_total", reason=reason) for reason in ("full", "device"))
        return drops + parts.service.totals.queued

    await asyncio.to_thread(await_that, "all are seen to", lambda: seen_to() == 1001)
    assert parts.service.totals.queued < 100
    [kept] = parts.database.of_account(bytes.fromhex(users[1].account_id))
    claimed = await parts.database.claim("firebase", time.time(), 1000)
    assert sum(one.subscription == kept.id for one in claimed) == 1


# --- Web Push


def test_the_example_of_rfc_8291() -> None:
    """Its browser opens its body here too, so what is opened elsewhere by it is encrypted as it should be."""
    secret = int.from_bytes(unb64("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"), "big")
    browser = Browser(ec.derive_private_key(secret, ec.SECP256R1()), unb64("BTBZMqHH6r4Tts7J_aSIgg"))
    body = (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7"
        "A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    assert browser.open(unb64(body)) == b"When I grow up, I want to be a watermelon"
    assert browser.open(webpush.encrypted(b"hello", browser.public + browser.auth)) == b"hello"


@pytest.mark.parametrize(
    "url",
    [
        "http://push.example/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://10.1.2.3/x",
        "https://192.168.1.1:8443/x",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/x",
        "https://0.0.0.0/x",
        "https://224.0.0.1/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://[64:ff9b::a00:1]/x",
        "https://[fe80::1]/x",
        "https://[fec0::1]/x",
        "https://[fd00::1]/x",
        "https://localhost/x",
        "https://a.localhost/x",
        "https://router.local/x",
        "https://intranet/x",
        "https://2130706433/x",
        "https://user@push.example/x",
        "https://push.example:0/x",
        "https://push.example/a b",
        "https://push.example/\r\nX: y",
        "https://",
        "ftp://push.example/x",
        "file:///etc/passwd",
        "https://[::1",
        "https://p\u00fcsh.example/x",
    ],
)
def test_what_is_not_everybodys_is_no_endpoint(url: str) -> None:
    with pytest.raises(endpoints.EndpointError):
        endpoints.check(url, private=False)


async def test_a_name_that_leads_to_a_private_address_is_not_followed(parts: Parts, services: PushServices) -> None:
    """Names are looked up when they are posted to; numbers in forms that only resolvers know are such names."""
    user = wire.User()
    info = services.browser("browser")
    sender = webpush.WebPushSender(webpush.load_key(parts.directory), CONTACT, False, 4)
    port = services.url.rpartition(":")[2]
    try:
        for host in ("127.1", "0177.0.0.1", "0x7f.0.0.1", "localhost.localdomain"):
            url = f"https://{host}:{port}/wp/browser"
            device = Device(user, "webpush", {**info, "endpoint": url})
            await parts.ask("/subscribe", device.subscription())
            [kept] = parts.database.of_account(bytes.fromhex(user.account_id))
            claimed = Notification(1, kept.id, kept.subscription.device, 0, time.time() + 60, "x")
            told = await sender.send(claimed)
            assert told.kind in (outcome.OutcomeKind.RETRY, outcome.OutcomeKind.FAILED), (host, told)
            await parts.ask("/unsubscribe", device.unsubscription())
    finally:
        await sender.close()
    assert services.received.empty()


async def test_a_server_that_does_not_answer_is_left_alone_for_a_while(parts: Parts, services: PushServices) -> None:
    user, info = wire.User(), services.browser("browser")
    with ports.reserve(1) as [port]:
        device = Device(user, "webpush", {**info, "endpoint": f"http://127.0.0.1:{port}/wp/browser"})
        await parts.ask("/subscribe", device.subscription())
        [kept] = parts.database.of_account(bytes.fromhex(user.account_id))
        sender = webpush.WebPushSender(webpush.load_key(parts.directory), CONTACT, True, 4)
        told = Notification(1, kept.id, kept.subscription.device, 0, time.time() + 60, "x")
        first, second = await sender.send(told), await sender.send(told)
        await sender.close()
    assert first.kind is second.kind is outcome.OutcomeKind.RETRY
    assert first.reason.startswith("no answer") and second.after is not None and 0 < second.after <= 1


async def test_names_are_looked_up_and_what_they_lead_to_is_checked(
    services: PushServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = services.url.replace("127.0.0.1", "localhost") + "/nothing"
    http = outgoing.Outgoing(4, public_only=True)
    with pytest.raises(outgoing.NoAnswerError):
        await http.post(url, b"", {})
    monkeypatch.setattr(endpoints, "is_public", lambda address: address.version == 4)
    assert (await http.post(url, b"", {})).status == 404
    await http.close()


async def test_nobody_is_led_elsewhere(parts: Parts, services: PushServices) -> None:
    user = wire.User()
    device = Device(user, "webpush", services.browser("browser"))
    services.browser("other")
    await parts.ask("/subscribe", device.subscription())
    services.will_answer("browser", 307, {"Location": f"{services.url}/wp/other"})
    parts.service.told(message(user.account_id, b"for one alone"))
    failures = functools.partial(parts.metrics.value, "attempts_total", service="webpush", outcome="failed")
    await asyncio.to_thread(await_that, "it is refused", lambda: failures() == 1)
    assert services.received.empty() and not services.faults
