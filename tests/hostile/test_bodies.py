"""Bodies that are small and become large: nested, of many values, of many parts; and lists without end."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from typing import Any

import bencode2

from allium import _native
from allium.client.direct import Node, OmqClient
from tests.support import wire
from tests.support.victim import Victim

HASHES = 5000
NAMESPACES = 64
SUBSCRIPTIONS = 100


def over_https(entry: dict[str, Any], method: str, params: bytes) -> tuple[int, bytes]:
    url = f"https://{entry['ip']}:{entry['https_port']}/storage_rpc/v1"
    reply = wire.post(url, b'{"method":"%b","params":%b}' % (method.encode(), params))
    return reply.status, reply.body


def over_onion(entry: dict[str, Any], method: str, params: bytes) -> tuple[int, bytes]:
    payload, layer = wire.onion([entry], b'{"method":"%b","params":%b}' % (method.encode(), params))
    reply = wire.open_reply(layer, wire.post_onion(entry, payload))
    return reply["status"], str(reply["body"]).encode()


def over_omq(entry: dict[str, Any], method: str, params: bytes) -> tuple[int, bytes]:
    async def ask() -> list[bytes]:
        async with OmqClient(Node.parse(entry)) as client:
            return await client.request(f"storage.{method}", params, timeout=30)

    match asyncio.run(ask()):
        case [answer]:
            return 200, answer
        case [code, text]:
            return int(code), text
    raise AssertionError("neither an answer nor a refusal")


def over_quic(entry: dict[str, Any], method: str, params: bytes) -> tuple[int, bytes]:
    client = _native.QuicClient(entry["ip"], entry["omq_port"], bytes.fromhex(entry["pubkey_ed25519"]), os.urandom(32))
    try:
        ok, answer = client.request(method, params, 30)
    finally:
        client.close()
    return (200, answer) if ok else (int(answer.split()[0]), answer.partition(b"\n\n")[2])


WAYS = [over_https, over_onion, over_omq, over_quic]


def nested(depth: int) -> bytes:
    """`ifelse` in `ifelse`."""
    head = b'{"if":{"height_before":1},"then":{"method":"ifelse","params":'
    return head * depth + b"{}" + b"}}" * depth


def bencoded(depth: int) -> bytes:
    head = b"d2:ifd13:height_beforei1ee4:thend6:method6:ifelse6:params"
    return head * depth + b"de" + b"ee" * depth


def test_requests_in_requests(alone: Victim) -> None:
    with alone.attacked():
        for way in WAYS:
            for depth in (9, 60, 180, 12_000):
                params = nested(depth)
                alone.sent += len(params)
                status, text = way(alone.entry, "ifelse", params)
                assert (status, b"nested" in text or b"invalid body" in text) == (400, True), (way, depth, text)
        for way in (over_omq, over_quic):
            for depth in (9, 60, 12_000):
                alone.sent += len(bencoded(depth))
                assert way(alone.entry, "ifelse", bencoded(depth))[0] == 400
    # As deep as anybody needs.
    condition = {"height_at_least": 0}
    deep: dict[str, Any] = {"if": condition, "then": {"method": "info", "params": {}}}
    for _ in range(7):
        deep = {"if": condition, "then": {"method": "ifelse", "params": deep}}
    reply = wire.rpc(alone.entry, "ifelse", deep)
    result = reply.json()
    for _ in range(7):
        result = result["result"]["body"]
    assert result["result"]["body"]["version"]


def test_values_that_cost_more_than_their_bytes(alone: Victim) -> None:
    shapes = [(b"{},", b"[", b"0]"), (b'{"":0},', b"[", b"0]"), (b"[],", b"[", b"0]"), (b"0,", b"[", b"0]")]
    with alone.attacked():
        for part, begin, end in shapes:
            many = begin + part * (2_000_000 // len(part)) + end
            for way in WAYS:
                alone.sent += len(many)
                assert way(alone.entry, "info", b'{"x":%b}' % many)[0] == 400, (way, part)
        for small in (b"le", b"de", b"0:", b"i0e", b"d0:0:e"):
            many = b"d1:xl" + small * (2_000_000 // len(small)) + b"ee"
            for way in (over_omq, over_quic):
                alone.sent += len(many)
                assert way(alone.entry, "info", many)[0] == 400, (way, small)


def test_lists_have_an_end(alone: Victim) -> None:
    user = wire.User()
    hashes = [wire.message_hash(user.account_id, 0, b"%d" % number) for number in range(HASHES + 1)]
    now = wire.now_ms()
    tokens = ["00" * 36] * (HASHES + 1)

    def params(method: str, count: int) -> dict[str, Any]:
        some = hashes[:count]
        match method:
            case "delete":
                return {**user.auth("delete" + "".join(some)), "messages": some}
            case "expire":
                signed = f"expire{now + 86_400_000}" + "".join(some)
                return {**user.auth(signed), "messages": some, "expiry": now + 86_400_000}
            case "get_expiries":
                return {**user.auth(f"get_expiries{now}" + "".join(some)), "messages": some, "timestamp": now}
        signed_tokens = b"unrevoke_subaccount%d" % now + bytes(36 * count)
        return {**user.auth(signed_tokens), "unrevoke": tokens[:count], "timestamp": now}

    with alone.attacked():
        for method in ("delete", "expire", "get_expiries", "unrevoke_subaccount"):
            for count, status in ((HASHES, 200), (HASHES + 1, 400)):
                body = wire.rpc_body(method, params(method, count))
                alone.sent += len(body)
                reply = wire.rpc(alone.entry, method, params(method, count))
                assert reply.status == status, (method, count, reply.body[:200])
                assert status == 200 or b"more than 5000 items" in reply.body


def test_subscriptions_have_an_end(alone: Victim) -> None:
    user = wire.User()
    now = wire.now_ms() // 1000

    def subscription(namespaces: list[int]) -> dict[str, Any]:
        text = f"MONITOR{user.account_id}{now}0" + ",".join(map(str, namespaces))
        signature = base64.b64decode(user.sign(text))
        return {"P": user.ed_public, "n": namespaces, "s": signature, "t": now}

    async def monitor(body: Any) -> Any:
        async with OmqClient(Node.parse(alone.entry)) as client:
            [answer] = await client.request("monitor.messages", bencode2.bencode(body))
            # What is widened is no larger either.
            assert bencode2.bdecode(answer)
            return bencode2.bdecode(answer)

    most = list(range(NAMESPACES))
    assert asyncio.run(monitor(subscription(most))) == {b"success": 1}
    assert asyncio.run(monitor(subscription([*most, NAMESPACES])))[b"errcode"] == 3
    many = [subscription([0])] * SUBSCRIPTIONS
    assert asyncio.run(monitor(many)) == [{b"success": 1}] * SUBSCRIPTIONS
    assert asyncio.run(monitor([*many, many[0]]))[b"errcode"] == 1


def test_the_parts_of_an_answer_share_its_room(alone: Victim) -> None:
    group = wire.Group()
    for number in range(100):
        now = wire.now_ms()
        data = number.to_bytes(2, "big") * 38_000
        params = {**wire.store_params(group.account_id, data), **group.auth(f"store3{now}"), "namespace": 3}
        reply = wire.rpc(alone.entry, "store", {**params, "sig_timestamp": now})
        assert reply.status == 200, reply
    now = wire.now_ms()
    retrieve = {**group.auth(f"retrieve3{now}"), "namespace": 3, "timestamp": now, "max_size": 7_800_000}
    request = {"method": "retrieve", "params": retrieve}
    with alone.attacked():
        for method in ("batch", "sequence"):
            params = {"requests": [request] * 20}
            alone.sent += len(json.dumps(params))
            reply = wire.rpc(alone.entry, method, params)
            assert reply.status == 200 and len(reply.body) < 8_000_000
            parts = [part["body"] for part in reply.json()["results"]]
            assert len(parts) == 20 and all(part["more"] for part in parts)
            assert len(parts[0]["messages"]) > 70 and parts[-1]["messages"] == []
