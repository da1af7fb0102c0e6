"""Requests that a client sends without waiting take effect, for one account, in the order in which it sent them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from allium import _native
from tests.support import wire
from tests.support.devnet import Devnet
from tests.support.mixed_swarm import Entry, store_params
from tests.support.reference_omq import omq_client
from tests.support.waiting import await_each

DAY = 86_400_000
Request = tuple[str, dict[str, Any]]
#: What a node answers each of these, sent over one connection without waiting: status and JSON.
Pipeline = Callable[[Entry, list[Request]], list[tuple[int, Any]]]


def over_omq(node: Entry, requests: list[Request]) -> list[tuple[int, Any]]:
    async def ask() -> list[tuple[int, Any]]:
        async with omq_client(node) as socket:
            for number, (method, params) in enumerate(requests):
                await socket.send_multipart([f"storage.{method}".encode(), b"%d" % number, json.dumps(params).encode()])
            answers: dict[int, tuple[int, Any]] = {}
            async with asyncio.timeout(30):
                while len(answers) < len(requests):
                    reply, tag, *parts = await socket.recv_multipart()
                    assert reply == b"REPLY", (reply, tag)
                    answers[int(tag)] = (200, json.loads(parts[0])) if len(parts) == 1 else (int(parts[0]), parts[1])
            return [answers[number] for number in range(len(requests))]

    return asyncio.run(ask())


def over_quic(node: Entry, requests: list[Request]) -> list[tuple[int, Any]]:
    client = _native.QuicClient(node["ip"], node["omq_port"], bytes.fromhex(node["pubkey_ed25519"]), os.urandom(32))
    try:
        told = client.pipeline([(method, json.dumps(params).encode()) for method, params in requests], 30)
    finally:
        client.close()
    return [tuple(json.loads(body)) if ok else (int(body.split()[0]), body) for ok, body in told]


@pytest.fixture(params=[over_omq, over_quic], ids=["omq", "quic"])
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    chosen: Pipeline = request.param
    return chosen


def storing(user: wire.User, data: bytes, namespace: int = 0) -> tuple[Request, str]:
    """A store, and the hash of what it stores."""
    return ("store", store_params(user, data, namespace)), wire.message_hash(user.account_id, namespace, data)


def deleting(user: wire.User, name: str) -> Request:
    return "delete", {**user.auth(f"delete{name}"), "messages": [name]}


def expiring(user: wire.User, name: str, expiry: int, how: str = "") -> Request:
    fields = {"messages": [name], "expiry": expiry, **({how: True} if how else {})}
    return "expire", {**user.auth(f"expire{how}{expiry}{name}"), **fields}


def retrieving(user: wire.User, namespace: int = 0) -> Request:
    timestamp = wire.now_ms()
    fields = {"namespace": namespace, "timestamp": timestamp}
    return "retrieve", {**user.auth(f"retrieve{namespace or ''}{timestamp}"), **fields}


def test_stores_come_back_in_the_order_in_which_they_were_sent(pair: Devnet, pipeline: Pipeline) -> None:
    user, other = wire.User(), wire.User()
    requests, names = zip(*(storing(user, os.urandom(size)) for size in [40_000, 10] * 15), strict=True)
    foreign = [storing(other, b"%d" % number)[0] for number in range(30)]
    mixed = [request for both in zip(requests, foreign, strict=True) for request in both]
    answers = pipeline(pair.nodes[0], [*mixed, retrieving(user)])
    assert [status for status, _ in answers] == [200] * 61
    assert [answer["hash"] for _, answer in answers[:-1:2]] == list(names)
    # Whoever asks on the same connection sees all that it stored.
    assert [message["hash"] for message in answers[-1][1]["messages"]] == list(names)
    await_each("it is the same", pair.nodes, lambda node: hashes(node, user) == list(names))


def hashes(node: Entry, user: wire.User) -> list[str]:
    return [message["hash"] for message in wire.retrieve(node, user)]


def test_each_request_sees_what_those_before_it_did(pair: Devnet, pipeline: Pipeline) -> None:
    for _ in range(10):
        see_each_other(pair.nodes, pipeline)


def see_each_other(nodes: list[Entry], pipeline: Pipeline) -> None:
    """Once, all of it in one go."""
    user, now = wire.User(), wire.now_ms()
    soon, later = now + DAY // 2, now + 2 * DAY
    (first, first_name), (second, second_name) = storing(user, b"first"), storing(user, b"second")
    (third, third_name) = storing(user, b"third")
    both = {"requests": [{"method": method, "params": params} for method, params in (third, retrieving(user))]}
    requests: list[Request] = [
        first,
        expiring(user, first_name, soon, "shorten"),
        expiring(user, first_name, later, "extend"),
        first,
        retrieving(user),
        deleting(user, first_name),
        retrieving(user),
        ("ifelse", {"if": {"hf_at_least": [19, 0]}, "then": {"method": second[0], "params": second[1]}}),
        ("ifelse", {"if": {"hf_before": [19, 0]}, "then": {"method": third[0], "params": third[1]}}),
        retrieving(user),
        ("sequence", both),
        ("delete_all", {**user.auth(f"delete_all{now}"), "timestamp": now}),
        retrieving(user),
        first,
        retrieving(user),
    ]
    answers = pipeline(nodes[0], requests)
    assert all(status == 200 for status, _ in answers), answers
    told = [answer for _, answer in answers]

    def held(answer: dict[str, Any]) -> list[str]:
        return [message["hash"] for message in answer["messages"]]

    assert done(told[0], "already") is None
    assert (done(told[1], "updated"), done(told[2], "updated")) == ([first_name], [first_name])
    assert done(told[3], "already")
    assert [(message["hash"], message["expiration"]) for message in told[4]["messages"]] == [(first_name, later)]
    assert (done(told[5], "deleted"), held(told[6])) == ([first_name], [])
    assert (told[7]["condition"], told[7]["result"]["code"]) == (True, 200)
    assert (told[8]["condition"], "result" in told[8]) == (False, False)
    assert held(told[9]) == [second_name]
    assert held(told[10]["results"][1]["body"]) == [second_name, third_name]
    assert (done(told[11], "deleted"), held(told[12])) == (sorted((second_name, third_name)), [])
    assert held(told[14]) == [first_name]
    await_each("it is the same", nodes, lambda node: hashes(node, user) == [first_name])


def done(answer: dict[str, Any], field: str) -> Any:
    """What every member says of itself."""
    one, *others = (result.get(field) for result in answer["swarm"].values())
    assert all(other == one for other in others), answer
    return one


@pytest.mark.parametrize("method", ["expire", "expire_all", "delete_all", "delete_before"])
def test_what_was_deleted_and_stored_again_is_changed_like_anything_else(pair: Devnet, method: str) -> None:
    user, now = wire.User(), wire.now_ms()
    request, name = storing(user, b"again")
    soon, until = now + DAY // 2, now + 50_000
    commands: dict[str, Request] = {
        "expire": expiring(user, name, soon, "shorten"),
        "expire_all": ("expire_all", {**user.auth(f"expire_all{soon}"), "expiry": soon}),
        "delete_all": ("delete_all", {**user.auth(f"delete_all{now}"), "timestamp": now}),
        "delete_before": ("delete_before", {**user.auth(f"delete_before{until}"), "before": until}),
    }
    for before in (request, deleting(user, name), request):
        assert wire.rpc(pair.nodes[0], *before).status == 200
    answer = wire.rpc(pair.nodes[0], *commands[method]).json()
    assert done(answer, "updated" if "expire" in method else "deleted") == [name]
