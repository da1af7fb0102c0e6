"""Nodes of ours and of the reference in one swarm: whatever a client does through either is done by all.

`ALLIUM_MIXED_SEED` repeats what was left to chance, though not its timing; `ALLIUM_MIXED_SECONDS` makes the test of
reachability longer (`make test-mixed`: ten minutes).
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import pytest

from tests.support import wire
from tests.support.mixed_swarm import SECONDS, SEED, Entry, MixedSwarm, ask, confirmed, mixed, store
from tests.support.reference_store import READ, WRITE

DAY = 86_400_000


@pytest.fixture(scope="module", params=[(0, 3), (2, 3), (3, 2)], ids=["0+3", "2+3", "3+2"])
def swarm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MixedSwarm]:
    """A swarm for tests that leave all of its nodes alive; one has only the reference's, which try each other."""
    with mixed(tmp_path_factory.mktemp("mixed"), *request.param) as made:
        for node in made.theirs:
            node.ping_every = 0.5
        yield made
        made.check()


def test_a_store_through_any_node_is_confirmed_and_held_by_all(swarm: MixedSwarm) -> None:
    user = wire.User()
    for number, entry, namespace in product(range(3), swarm.entries(), (0, 2, -10, -11)):
        answer = store(entry, user, f"{number} {entry['omq_port']}".encode(), namespace)
        assert confirmed(swarm, answer)["hash"] == answer["hash"]
        assert swarm.holders(user, [namespace], answer["hash"]) == swarm.keys()


def test_commands_through_any_node_are_done_by_all(swarm: MixedSwarm) -> None:
    for entry in swarm.entries():
        expire_and_delete(swarm, entry)
        revoke_and_unrevoke(swarm, entry)


def expire_and_delete(swarm: MixedSwarm, entry: Entry) -> None:
    """All through one node."""
    user = wire.User()
    own, now, unknown = user.account_id, wire.now_ms(), "x" * 43
    first, second, third = (store(entry, user, b"%d" % number)["hash"] for number in range(3))
    other = store(entry, user, b"other", 5)["hash"]

    def command(method: str, text: str, **params: Any) -> dict[str, Any]:
        return ask(entry, method, {**user.auth(method + text), **params})

    def held() -> dict[str, int]:
        """The same at all members: hashes, and when they go."""
        one, *rest = (expiries_at(swarm, node, user) for node in swarm.entries())
        assert all(other == one for other in rest), (SEED, one, rest)
        return one

    expiry = now + DAY // 2
    told = command("expire", f"shorten{expiry}{first}{second}", messages=[first, second], expiry=expiry, shorten=True)
    updated = sorted((first, second))
    result = confirmed(swarm, told, f"{own}{expiry}{first}{second}{''.join(updated)}")
    assert (result["updated"], held()[first], held()[second]) == (updated, expiry, expiry)
    told = command("expire", f"extend{now}{first}", messages=[first], expiry=now, extend=True)
    assert confirmed(swarm, told, f"{own}{now}{first}{first}{expiry}")["unchanged"] == {first: expiry}
    later = expiry + 1
    told = command("expire", f"{later}{first}", messages=[first], expiry=later)
    assert confirmed(swarm, told, f"{own}{later}{first}{first}")["updated"] == [first]

    told = command("expire_all", f"all{expiry}", expiry=expiry, namespace="all")
    updated = sorted((first, third, other))
    result = confirmed(swarm, told, f"{own}{expiry}{''.join(updated)}")
    assert result["updated"] == {"0": sorted((first, third)), "5": [other]}
    assert held() == dict.fromkeys((first, second, third, other), expiry)

    told = command("delete", f"{first}{unknown}", messages=[first, unknown])
    assert confirmed(swarm, told, f"{own}{first}{unknown}{first}")["deleted"] == [first]
    told = command("delete_before", f"{now + 60_000}", before=now + 60_000)
    deleted = sorted((second, third))
    assert confirmed(swarm, told, f"{own}{now + 60_000}{''.join(deleted)}")["deleted"] == deleted
    assert held() == {other: expiry}
    told = command("delete_all", f"all{now}", timestamp=now, namespace="all")
    assert confirmed(swarm, told, f"{own}{now}{other}")["deleted"] == {"5": [other]}
    assert held() == {}


def revoke_and_unrevoke(swarm: MixedSwarm, entry: Entry) -> None:
    """All through one node, and every node keeps to it."""
    group = wire.Group()
    member, now = wire.Member(group, READ | WRITE), wire.now_ms()
    token = bytes.fromhex(member.token)
    confirmed(swarm, store(entry, member, b"by a member", 11))
    for how, status in (("revoke", 401), ("unrevoke", 200)):
        params = {**group.auth(f"{how}_subaccount{now}".encode() + token), "timestamp": now, how: member.token}
        told = ask(entry, f"{how}_subaccount", params)
        confirmed(swarm, told, f"{group.account_id}{now}".encode() + token)
        for node in swarm.entries():
            moment = wire.now_ms()
            params = {**member.auth(f"retrieve11{moment}"), "namespace": 11, "timestamp": moment}
            assert wire.rpc(node, "retrieve", params).status == status


def expiries_at(swarm: MixedSwarm, entry: Entry, user: wire.User) -> dict[str, int]:
    for node in swarm.theirs:
        if node.key == entry["pubkey_ed25519"]:
            return {name: message.expiry for name, message in node.holds(user.account_id).items()}
    messages = [message for namespace in (0, 5) for message in wire.retrieve(entry, user, namespace)]
    return {message["hash"]: message["expiration"] for message in messages}


def test_onions_of_alternating_hops_are_answered(swarm: MixedSwarm) -> None:
    ours = [node.entry for node in swarm.ours] or [node.entry for node in swarm.theirs]
    theirs = [node.entry for node in swarm.theirs]
    chance = random.Random(SEED)

    def path(first_is_ours: bool, length: int) -> list[Entry]:
        """No node twice in a row."""
        hops: list[Entry] = []
        for number in range(length):
            kind = ours if first_is_ours == (number % 2 == 0) else theirs
            hops.append(chance.choice([node for node in kind if not hops or node is not hops[-1]]))
        return hops

    def send(hops: list[Entry]) -> None:
        user = wire.User()
        params = wire.store_params(user.account_id, b"through an onion")
        payload, layer = wire.onion(hops, wire.rpc_body("store", params))
        answer = wire.open_reply(layer, wire.post_onion(hops[0], payload))
        assert answer["status"] == 200, (SEED, answer)
        confirmed(swarm, json.loads(answer["body"]))

    paths = [path(first, length) for first, length in product((True, False), (1, 2, 3, 4)) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(send, paths))


def test_an_onion_that_leads_nowhere_is_refused_alike(swarm: MixedSwarm) -> None:
    gone = {**swarm.entries()[0], "pubkey_ed25519": "ab" * 32}
    for entry, other in product(swarm.entries(), repeat=2):
        if entry is not other:
            payload, _ = wire.onion([entry, other, gone], wire.rpc_body("info", {}))
            reply = wire.post_onion(entry, payload)
            assert (reply.status, reply.body) == (502, b"Next node not found: " + b"ab" * 32)


def test_nobody_is_told_to_be_unreachable_who_is_not(swarm: MixedSwarm) -> None:
    user, chance, number = wire.User(), random.Random(SEED), 0
    # Before all had heard of all, it may have been otherwise.
    before = [len(node.reports()) for node in swarm.ours], [len(node.pings) for node in swarm.theirs]
    ending = time.monotonic() + SECONDS
    while time.monotonic() < ending:
        # Traffic comes and goes, so that connections are closed for want of it and opened again.
        for _ in range(chance.randrange(5)):
            number += 1
            confirmed(swarm, store(chance.choice(swarm.entries()), user, b"%d" % number, chance.choice((0, 2))))
        time.sleep(chance.uniform(0, 3))
    legacy = {entry["pubkey_ed25519"]: entry["pubkey_legacy"] for entry in swarm.entries()}
    for node, since in zip(swarm.ours, before[0], strict=True):
        reports = node.reports()[since:]
        assert {report["pubkey"] for report in reports} == set(legacy.values()) - {legacy[node.key]}
        assert [report for report in reports if not report["passed"]] == [], f"seed {SEED}: {node.log.read_text()}"
        # Over QUIC nobody tests before hardfork 19.4.
        assert node.logged("nobody has tested") == []
    for peer, since in zip(swarm.theirs, before[1], strict=True):
        pings = peer.pings[since:]
        assert {key for key, _, _ in pings} == swarm.keys() - {peer.key}
        assert [ping for ping in pings if not ping[2]] == [], f"seed {SEED}"
