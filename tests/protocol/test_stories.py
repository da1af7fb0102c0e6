"""What takes several requests to see (`spec/node-tests` §9), over every transport and encoding that carries it."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from typing import Any

import bencode2
import pytest

from allium import _native
from allium.client.direct import Node, OmqClient
from tests.support import wire
from tests.support.caller import CALLS, DAY, UNKNOWN, Caller
from tests.support.devnet import Devnet

READ, WRITE, DELETE, ANY_PREFIX = 1, 2, 4, 8
#: Bytes of a message of which few fit into an answer, and what each counts there.
BIG, CHARGED = 70_000, 93_476


def as_group(caller: Caller) -> tuple[Caller, wire.Group]:
    """The same way to ask, for a group's account."""
    group = wire.Group()
    return Caller(caller.devnet, caller.transport, caller.encoding, group), group


def as_member(caller: Caller, group: wire.Group, flags: int, prefix: int | None = None) -> Caller:
    """The same way to ask, for a member of a group."""
    return Caller(caller.devnet, caller.transport, caller.encoding, wire.Member(group, flags, prefix))


# --- store and retrieve


def the_same_message_again_keeps_its_time_and_lasts_longer(caller: Caller) -> None:
    first = caller.store(timestamp=caller.now - 5_000, ttl=DAY)
    [name] = {caller.ok("store", first)["hash"]}
    again = caller.ok("store", caller.store(timestamp=caller.now, ttl=2 * DAY))
    assert again["hash"] == name
    [message] = caller.ok("retrieve", caller.retrieve())["messages"]
    assert (message["timestamp"], message["expiration"]) == (caller.now - 5_000, caller.now + 2 * DAY)
    caller.ok("store", caller.store(timestamp=caller.now, ttl=DAY))
    [message] = caller.ok("retrieve", caller.retrieve())["messages"]
    assert message["expiration"] == caller.now + 2 * DAY


def groups_and_bare_keys_prove_themselves(caller: Caller) -> None:
    for prefix in ("03", "05", "15"):
        other = Caller(caller.devnet, caller.transport, caller.encoding, wire.Group(prefix))
        other.ok("store", other.signed_store(11))
        assert other.held(namespace=11) == [other.hash_of(namespace=11)]
        wrong = {**other.retrieve(), "signature": base64.b64encode(os.urandom(64)).decode()}
        assert other.refused("retrieve", wrong) == (401, "retrieve signature verification failed")


def only_the_owner_deletes(caller: Caller) -> None:
    other = wire.User()
    name = caller.stored()
    text = f"delete_all{caller.now}"
    refusal = (401, "delete_all signature verification failed")
    bare = {**caller.signed(text, timestamp=caller.now), "pubkey_ed25519": None}
    assert caller.refused("delete_all", bare) == refusal
    stranger = {**other.auth(text), "pubkey": caller.user.account_id, "timestamp": caller.now}
    assert caller.refused("delete_all", stranger) == refusal
    assert caller.held() == [name]
    deleted = caller.ok("delete_all", caller.signed(text, timestamp=caller.now))
    assert caller.each_signed(deleted, f"{caller.user.account_id}{caller.now}{name}")
    assert caller.held() == []


# --- deletes


def delete_all_names_what_went(caller: Caller) -> None:
    names = {namespace: [] for namespace in (0, 2, -1)}  # type: dict[int, list[str]]
    names[0] = sorted(caller.stored(b"%d" % number) for number in range(3))
    for namespace in (2, -1):
        names[namespace] = [caller.ok("store", caller.signed_store(namespace))["hash"]]
    deleted = caller.ok("delete_all", caller.signed(f"delete_all{caller.now}", timestamp=caller.now))
    assert all(entry["deleted"] == names[0] for entry in caller.entries(deleted).values())
    assert caller.each_signed(deleted, f"{caller.user.account_id}{caller.now}{''.join(names[0])}")
    fields = caller.signed(f"delete_allall{caller.now}", timestamp=caller.now, namespace="all")
    deleted = caller.ok("delete_all", fields)
    left = {"2": names[2], "-1": names[-1]}
    assert all(entry["deleted"] == left for entry in caller.entries(deleted).values())
    together = "".join(sorted(names[2] + names[-1]))
    assert caller.each_signed(deleted, f"{caller.user.account_id}{caller.now}{together}")
    assert caller.held() == caller.held(namespace=2) == []


def deletion_may_be_required(caller: Caller) -> None:
    names = [caller.stored(b"1"), UNKNOWN, caller.stored(b"0")]
    fields = caller.signed("delete" + "".join(names), messages=names, required=True)
    deleted = caller.ok("delete", fields)
    gone = sorted([names[0], names[2]])
    assert all(entry["deleted"] == gone for entry in caller.entries(deleted).values())
    assert caller.each_signed(deleted, caller.user.account_id + "".join(names + gone))
    answer = caller.ask("delete", fields)
    assert answer.status == 404
    assert caller.each_signed(caller.result(answer), caller.user.account_id + "".join(names))
    assert caller.ask("delete", {**fields, "required": False}).status == 200


def delete_before_goes_in_steps(caller: Caller) -> None:
    times = [caller.now - 3_000, caller.now - 2_000, caller.now - 1_000]
    names = [caller.stored(b"%d" % time, timestamp=time) for time in times]

    def before(time: int) -> list[str]:
        deleted = caller.ok("delete_before", caller.signed(f"delete_before{time}", before=time))
        lists = [entry["deleted"] for entry in caller.entries(deleted).values()]
        assert lists == [lists[0]] * len(lists)
        assert caller.each_signed(deleted, f"{caller.user.account_id}{time}{''.join(lists[0])}")
        return list(lists[0])

    assert before(times[0] - 1) == []
    assert before(times[1]) == sorted(names[:2])
    assert caller.held() == names[2:]
    assert before(times[2] - 1) == []
    assert before(times[2]) == names[2:]


# --- expiry


def expire_all_only_shortens(caller: Caller) -> None:
    long, exact = caller.stored(b"long", ttl=2 * DAY), caller.now + DAY
    caller.stored(b"exact", ttl=None, expiry=exact)
    short = caller.stored(b"short", ttl=20_000)
    changed = caller.ok("expire_all", caller.signed(f"expire_all{exact}", expiry=exact))
    assert all(entry["updated"] == [long] for entry in caller.entries(changed).values())
    assert caller.each_signed(changed, f"{caller.user.account_id}{exact}{long}")
    found = {m["hash"]: m["expiration"] for m in caller.ok("retrieve", caller.retrieve())["messages"]}
    assert found[long] == exact and found[short] < exact


def expire_sets_shortens_and_extends(caller: Caller) -> None:
    first, second = caller.stored(b"1"), caller.stored(b"2")
    times = {m["hash"]: m["timestamp"] for m in caller.ok("retrieve", caller.retrieve())["messages"]}
    both = [second, UNKNOWN, first]
    until = caller.now + 3 * DAY

    def expire(how: str, expiry: Any, messages: list[str]) -> Any:
        times = expiry if isinstance(expiry, list) else [expiry]
        text = f"expire{how}{''.join(map(str, times))}{''.join(messages)}"
        flags = {how: True} if how else {}
        return caller.ok("expire", caller.signed(text, messages=messages, expiry=expiry, **flags))

    changed = expire("", until, both)
    assert all(entry["updated"] == sorted([first, second]) for entry in caller.entries(changed).values())
    assert not any("unchanged" in entry for entry in caller.entries(changed).values())
    signed = caller.user.account_id + str(until) + "".join(both) + "".join(sorted([first, second]))
    assert caller.each_signed(changed, signed)
    # One of two lasts longer than asked for.
    expire("", until + DAY, [first])
    changed = expire("extend", until + 1, both)
    for entry in caller.entries(changed).values():
        assert (entry["updated"], entry["unchanged"]) == ([second], {first: until + DAY})
    signed = caller.user.account_id + str(until + 1) + "".join(both) + second + first + str(until + DAY)
    assert caller.each_signed(changed, signed)
    changed = expire("shorten", until + 2, both)
    for entry in caller.entries(changed).values():
        assert (entry["updated"], entry["unchanged"]) == ([first], {second: until + 1})
    # One time for each; the list that comes back belongs to `updated`, which is sorted.
    wanted = {second: until + 5, UNKNOWN: until + 6, first: until + 7}
    changed = expire("", list(wanted.values()), both)
    in_order = sorted([first, second])
    for entry in caller.entries(changed).values():
        assert entry["expiry"] == [wanted[name] for name in in_order]
    # No further than 30 days from now.
    changed = expire("", wire.now_ms() + 31 * DAY, [first])
    for entry in caller.entries(changed).values():
        assert abs(entry["expiry"] - (wire.now_ms() + 30 * DAY)) < 5_000
    asked = caller.signed(f"get_expiries{caller.now}{first}", timestamp=caller.now, messages=[first])
    [(name, expiry)] = caller.ok("get_expiries", asked)["expiries"].items()
    assert name == first and abs(expiry - (wire.now_ms() + 30 * DAY)) < 5_000
    asked = caller.signed(f"get_expiries{caller.now}{''.join(both)}", timestamp=caller.now, messages=both)
    assert set(caller.ok("get_expiries", asked)["expiries"]) == {first, second}
    assert times == {m["hash"]: m["timestamp"] for m in caller.ok("retrieve", caller.retrieve())["messages"]}


# --- namespaces


def each_namespace_has_its_own(caller: Caller) -> None:
    caller.ok("store", caller.store(namespace=40))
    caller.ok("store", caller.signed_store(42))
    for namespace in (40, 42):
        assert caller.held(namespace=namespace) == [caller.hash_of(namespace=namespace)]
    assert caller.held() == []


def anybody_reads_and_writes_a_legacy_group(caller: Caller) -> None:
    name = caller.ok("store", caller.store(namespace=-10))["hash"]
    found = caller.ok("retrieve", {"pubkey": caller.user.account_id, "namespace": -10})
    assert [message["hash"] for message in found["messages"]] == [name]


def an_outbox_has_one_message(caller: Caller) -> None:
    def read() -> Any:
        return caller.ok("retrieve", {"pubkey": caller.user.account_id, "namespace": -1})["messages"]

    caller.ok("store", {**caller.signed_store(-1, b"old", ttl=DAY), "timestamp": caller.now - 2_000, **sign_at(caller)})
    new = caller.ok("store", caller.signed_store(-1, b"new", ttl=DAY))["hash"]
    assert [message["hash"] for message in read()] == [new]
    [before] = read()
    later = {**caller.signed_store(-1, b"new", ttl=2 * DAY), "timestamp": caller.now + 1, **sign_at(caller)}
    caller.ok("store", later)
    [after] = read()
    assert (after["timestamp"], after["expiration"]) == (before["timestamp"], before["expiration"] + DAY + 1)


def sign_at(caller: Caller) -> dict[str, Any]:
    """The time that `signed_store` has signed, where the message has another."""
    return {"sig_timestamp": caller.now}


# --- batches


def a_batch_gives_every_answer(caller: Caller) -> None:
    requests = [{"method": "store", "params": caller.store(data)} for data in (b"one", b"two")]
    results = caller.ok("batch", {"requests": requests})["results"]
    assert [result["code"] for result in results] == [200, 200]
    names = [caller.hash_of(b"one"), caller.hash_of(b"two")]
    assert [result["body"]["hash"] for result in results] == names
    for result, name in zip(results, names, strict=True):
        assert caller.each_signed(result["body"], name)


def a_sequence_sees_what_it_did(caller: Caller) -> None:
    def step(method: str, params: dict[str, Any]) -> dict[str, Any]:
        return {"method": method, "params": params}

    delete_all = caller.signed(f"delete_all{caller.now}", timestamp=caller.now)
    steps = [
        step("store", caller.store(b"one")),
        step("retrieve", caller.retrieve()),
        step("store", caller.store(b"two")),
        step("delete_all", delete_all),
        step("retrieve", caller.retrieve()),
    ]
    results = caller.ok("sequence", {"requests": steps})["results"]
    assert [len(results[index]["body"]["messages"]) for index in (1, 4)] == [1, 0]
    both = sorted([caller.hash_of(b"one"), caller.hash_of(b"two")])
    assert all(entry["deleted"] == both for entry in caller.entries(results[3]["body"]).values())
    steps.insert(2, step("retrieve", {"pubkey": caller.user.account_id}))
    results = caller.ok("sequence", {"requests": steps})["results"]
    assert [result["code"] for result in results] == [200, 200, 401]


# --- subaccounts


def flags_permit(caller: Caller) -> None:
    _, group = as_group(caller)
    refused = {"retrieve": False, "store": False, "delete": False}
    for flags, prefix, allowed in [
        (READ, None, {"retrieve"}),
        (0, None, set()),
        (READ | WRITE | DELETE, None, {"retrieve", "store", "delete"}),
        (READ | WRITE | ANY_PREFIX, None, {"retrieve", "store"}),
        (READ | WRITE | DELETE, 0x05, set()),
        (READ | WRITE | ANY_PREFIX, 0x05, {"retrieve", "store"}),
    ]:
        member = as_member(caller, group, flags, prefix)
        answers = {
            "retrieve": member.ask("retrieve", member.retrieve(namespace=42)),
            "store": member.ask("store", member.signed_store(42)),
            "delete": member.ask("delete", member.signed(f"delete{UNKNOWN}", messages=[UNKNOWN])),
        }
        permitted = {name for name, answer in answers.items() if answer.status == 200}
        assert permitted == allowed, (flags, prefix)
        assert all(answers[name].status == 401 for name in set(refused) - allowed), (flags, prefix)


def writers_extend_only(caller: Caller) -> None:
    _, group = as_group(caller)
    member = as_member(caller, group, READ | WRITE)
    name = member.ok("store", member.signed_store(42))["hash"]
    until = member.now + 2 * DAY
    changed = member.ok("expire", member.signed(f"expire{until}{name}", messages=[name], expiry=until))
    assert all(entry["updated"] == [name] for entry in member.entries(changed).values())
    changed = member.ok("expire", member.signed(f"expire{until - DAY}{name}", messages=[name], expiry=until - DAY))
    for entry in member.entries(changed).values():
        assert entry["updated"] == [] and "unchanged" not in entry
    shorten = member.signed(f"expireshorten{until}{name}", messages=[name], expiry=until, shorten=True)
    text = "expire: shorten parameter cannot be used with this subaccount token (missing delete access)"
    assert member.refused("expire", shorten) == (400, text)


def a_revoked_member_reads_only_what_is_for_it(caller: Caller) -> None:
    owner, group = as_group(caller)
    member = as_member(caller, group, READ | WRITE)
    token = member.user.token  # type: ignore[attr-defined]
    assert member.held(namespace=42) == []
    revoked = owner.ok("revoke_subaccount", owner.revocation("revoke", [token]))
    assert owner.each_signed(revoked, f"{group.account_id}{owner.now}".encode() + bytes.fromhex(token))
    assert member.refused("retrieve", member.retrieve(namespace=42)) == (401, "retrieve signature verification failed")
    assert member.refused("store", member.signed_store(42)) == (401, "store signature verification failed")
    assert member.held(namespace=-11) == []
    fields = owner.signed(f"revoked_subaccounts{owner.now}", timestamp=owner.now)
    told = base64.b64encode(bytes.fromhex(token)).decode()
    assert owner.ok("revoked_subaccounts", fields)["revoked_subaccounts"] == [told]
    removed = owner.ok("unrevoke_subaccount", owner.revocation("unrevoke", [token]))
    assert all(entry["count"] == 1 for entry in owner.entries(removed).values())
    assert member.held(namespace=42) == []


def the_newest_fifty_revocations_stay(caller: Caller) -> None:
    owner, group = as_group(caller)
    member = as_member(caller, group, READ)
    first = member.user.token  # type: ignore[attr-defined]
    others = [(bytes([3, READ, 0, 0]) + os.urandom(32)).hex() for _ in range(60)]
    owner.ok("revoke_subaccount", owner.revocation("revoke", [first]))
    assert member.ask("retrieve", member.retrieve(namespace=42)).status == 401
    owner.ok("revoke_subaccount", owner.revocation("revoke", others[:50]))
    assert member.held(namespace=42) == []
    owner.ok("revoke_subaccount", owner.revocation("revoke", others[50:]))
    removed = owner.ok("unrevoke_subaccount", owner.revocation("unrevoke", [first, *others]))
    assert all(entry["count"] == 50 for entry in owner.entries(removed).values())


STORIES: list[Callable[[Caller], None]] = [
    the_same_message_again_keeps_its_time_and_lasts_longer,
    groups_and_bare_keys_prove_themselves,
    only_the_owner_deletes,
    delete_all_names_what_went,
    deletion_may_be_required,
    delete_before_goes_in_steps,
    expire_all_only_shortens,
    expire_sets_shortens_and_extends,
    each_namespace_has_its_own,
    anybody_reads_and_writes_a_legacy_group,
    an_outbox_has_one_message,
    a_batch_gives_every_answer,
    a_sequence_sees_what_it_did,
    flags_permit,
    writers_extend_only,
    a_revoked_member_reads_only_what_is_for_it,
    the_newest_fifty_revocations_stay,
]


@pytest.mark.parametrize(("transport", "encoding"), CALLS)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_story(shared_devnet: Devnet, story: Callable[[Caller], None], transport: str, encoding: str) -> None:
    story(Caller(shared_devnet, transport, encoding))


# --- big answers


@pytest.fixture(scope="module")
def large(shared_devnet: Devnet) -> Iterator[Caller]:
    """An account with more than one answer holds."""
    caller = Caller(shared_devnet, "https", "json")
    for _ in range(90):
        caller.stored(os.urandom(BIG))
    yield caller


@pytest.mark.parametrize(("transport", "encoding"), CALLS)
def test_big_retrieve(shared_devnet: Devnet, large: Caller, transport: str, encoding: str) -> None:
    caller = Caller(shared_devnet, transport, encoding, large.user)

    def page(**limits: Any) -> tuple[list[str], bool]:
        found = caller.ok("retrieve", caller.retrieve(**limits))
        return [message["hash"] for message in found["messages"]], bool(found["more"])

    everything, more = page(max_size=-1)
    assert len(everything) == 7_800_000 // CHARGED == 83 and more
    for limits, count in [
        ({"max_count": 5}, 5),
        ({"max_count": 100}, 83),
        ({"max_size": 500_000}, 5),
        ({"max_size": 600_000}, 6),
        ({"max_size": -3}, 27),
        ({}, 16),
        ({"max_count": 5, "max_size": 1_000_000}, 5),
        ({"max_count": 10, "max_size": 700_000}, 7),
        ({"max_size": 1}, 1),
    ]:
        assert page(**limits) == (everything[:count], True), limits
    rest, more = page(max_count=20, last_hash=everything[-1])
    assert len(rest) == 7 and not more
    # The parts of a request share the room of one answer, which every transport carries.
    requests = [{"method": "retrieve", "params": caller.retrieve(max_size=-1)}] * 2
    first, second = caller.ok("batch", {"requests": requests})["results"]
    assert (first["code"], second["code"]) == (200, 200) and second["body"]["more"]
    # They may run in either order.
    assert len(first["body"]["messages"]) + len(second["body"]["messages"]) == len(everything)
    assert page(max_count=1) == (everything[:1], True)


# --- subscriptions


def monitored(user: wire.User, who: dict[str, Any], text: str, seconds: int) -> bytes:
    """A subscription to namespace 0 without data."""
    signature = base64.b64decode(user.sign(f"MONITOR{user.account_id}{seconds}{text}"))
    fields = {**who, "n": [0], "s": signature, "t": seconds}
    return bencode2.bencode(dict(sorted(fields.items())))


async def test_every_kind_of_account_subscribes(shared_devnet: Devnet) -> None:
    group, seconds = wire.Group(), wire.now_ms() // 1000
    member = wire.Member(group, READ)
    token = bytes.fromhex(member.token)
    account = bytes.fromhex(group.account_id)
    signature = base64.b64decode(member.auth("")["subaccount_sig"])
    reply = wire.rpc(shared_devnet.nodes[0], "get_swarm", {"pubkey": group.account_id})
    keys = {snode["pubkey_ed25519"] for snode in reply.json()["snodes"]}
    node = next(node for node in shared_devnet.nodes if node["pubkey_ed25519"] in keys)
    blind = wire.Member(group, WRITE)
    quic = _native.QuicClient(node["ip"], node["omq_port"], bytes.fromhex(node["pubkey_ed25519"]), os.urandom(32))
    async with OmqClient(Node.parse(node)) as omq:
        for user, who, errcode in [
            (group, {"p": account}, None),
            (member, {"p": account, "S": signature, "T": token}, None),
            (member, {"p": account, "S": signature[:5], "T": token}, 2),
            (member, {"p": account, "S": signature, "T": token[:5]}, 2),
            (blind, {"p": account, "S": base64.b64decode(blind.auth("")["subaccount_sig"]),
                     "T": bytes.fromhex(blind.token)}, 5),
            (group, {"p": account[:5]}, 2),
            (group, {"P": account[:5]}, 2),
            (wire.Group(), {"p": account}, 5),
            (group, {}, 1),
        ]:  # fmt: skip
            body = monitored(user, who, "00", seconds)
            over_omq = await omq.request("monitor.messages", body)
            assert [quic.request("monitor", body)[1]] == over_omq
            answer = bencode2.bdecode(over_omq[0])
            assert answer.get(b"errcode") == errcode and (answer.get(b"success") == 1) == (errcode is None), answer
        day = 86_400
        for time, errcode in [(seconds - 14 * day - 60, 4), (seconds + day + 60, 4), (seconds - 13 * day, None)]:
            [told] = await omq.request("monitor.messages", monitored(group, {"p": account}, "00", time))
            assert bencode2.bdecode(told).get(b"errcode") == errcode
    quic.close()
