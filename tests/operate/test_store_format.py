"""`docs/on-disk-format.md` is true: LMDB alone, without a line of ours, reads a node's directory as it says."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb

from tests.support import wire
from tests.support.lone_node import LoneNode

MEMBER = "aa" * 32


def tables(directory: Path) -> dict[str, dict[bytes, bytes]]:
    """Every table, whole."""
    with lmdb.open(str(directory), readonly=True, max_dbs=32, create=False) as env, env.begin() as txn:
        names = [name for name, _ in txn.cursor()]
        return {name.decode(): dict(txn.cursor(env.open_db(name, txn, create=False))) for name in names}


def charge(size: int) -> int:
    return (-(-(size + 64) // 4096) * 4096 if size > 1900 else size) + 320


def namespace_of(two: bytes) -> int:
    return int.from_bytes(two) - 0x8000


def filled(node: LoneNode, user: wire.User, data: list[bytes], gone: bytes, group: wire.Group) -> dict[str, Any]:
    """Stores all, deletes one, revokes a token, and has one member that cannot be reached."""
    absent = {**node.entry, "pubkey_ed25519": MEMBER, "pubkey_legacy": "bb" * 32, "pubkey_x25519": "cc" * 32}
    absent["omq_port"] = absent["https_port"] = 1
    node.sees(node.entry, absent)
    sent = {}
    for one in [*data, gone]:
        params = wire.store_params(user.account_id, one)
        reply = wire.rpc(node.entry, "store", params)
        assert reply.status == 200, reply
        sent[reply.json()["hash"]] = params
    name = wire.message_hash(user.account_id, 0, gone)
    reply = wire.rpc(node.entry, "delete", {**user.auth(f"delete{name}"), "messages": [name]})
    assert reply.status == 200, reply
    changed = wire.message_hash(user.account_id, 0, data[0])
    sooner = sent[changed]["timestamp"] + 60_000
    params = {**user.auth(f"expire{sooner}{changed}"), "messages": [changed], "expiry": sooner}
    reply = wire.rpc(node.entry, "expire", params)
    assert reply.status == 200, reply
    token = bytes(wire.Member(group, 3).token, "ascii").decode()
    now = wire.now_ms()
    signed = b"revoke_subaccount" + str(now).encode() + bytes.fromhex(token)
    reply = wire.rpc(node.entry, "revoke_subaccount", {**group.auth(signed), "revoke": token, "timestamp": now})
    assert reply.status == 200, reply
    return {"sent": sent, "deleted": name, "token": token, "changed": changed, "sooner": sooner}


def test_every_table_is_as_documented(lone_node: Callable[..., LoneNode], tmp_path: Path) -> None:
    node, user, group = lone_node(), wire.User(), wire.Group()
    data = [b"%d" % number for number in range(50)] + [b"x" * 5000]
    made = filled(node, user, data, b"gone", group)
    node.engine.shutdown()
    held = tables(tmp_path / str(node.entry["omq_port"]))
    assert set(held) == {
        *("data", "expiries", "tombs", "tombs_by_time", "commands", "commands_by_time", "revoked"),
        *("missed", "dumps", "meta", "times"),
    }
    account = bytes.fromhex(user.account_id)
    messages, hashes, expected = {}, {}, dict.fromkeys(sorted(held["data"]))
    for key, value in held["data"].items():
        whose, rest = key[:33], key[33:]
        assert whose == account
        if not rest:
            inbox = (sum(charge(len(one)) for one in data), len(data))
            assert struct.unpack(">QQQQ", value) == inbox * 2
        elif rest[0] == 1:
            namespace, sequence = struct.unpack(">HQ", rest[1:])
            assert namespace == 0x8000
            digest, times, body = value[:32], struct.unpack(">QQQQ", value[32:64]), value[64:]
            assert hashlib.blake2b(account + body, digest_size=32).digest() == digest
            messages[sequence] = (digest, times, body)
        else:
            assert (rest[0], len(rest), namespace_of(value[:2])) == (2, 33, 0)
            hashes[rest[1:]] = int.from_bytes(value[2:])
    assert list(held["data"]) == list(expected)
    assert [messages[sequence][2] for sequence in sorted(messages)] == data
    assert hashes == {digest: sequence for sequence, (digest, _, _) in messages.items()}
    for sequence, (_, (timestamp, expiry, stored, changed), body) in messages.items():
        sent = made["sent"][wire.message_hash(user.account_id, 0, body)]
        assert (timestamp, expiry) == (sent["timestamp"], sent["timestamp"] + sent["ttl"])
        assert abs(stored - sent["timestamp"]) < 120_000 and changed == stored
        digest, place = (
            hashlib.blake2b(account + body, digest_size=32).digest(),
            b"\x80\x00" + struct.pack(">Q", sequence),
        )
        if (now := held["times"].pop(account + b"\x01" + place, None)) is not None:
            assert base64.b64encode(digest).decode().rstrip("=") == made["changed"]
            expiry, still, later = struct.unpack(">QQQ", now)
            assert expiry == made["sooner"] and still == stored < later
        assert held["expiries"][struct.pack(">QQ", expiry, sequence)] == account + b"\x80\x00"
    assert len(held["expiries"]) == len(messages) and held["times"] == {}

    ((tombstone, span),) = held["tombs"].items()
    digest = hashlib.blake2b(account + b"gone", digest_size=32).digest()
    until, at = struct.unpack(">QQ", span)
    assert tombstone == digest + account and at < until == made["sent"][made["deleted"]]["timestamp"] + 86_400_000
    assert held["tombs_by_time"] == {span[:8] + tombstone: b""}

    commands = {}
    for key, value in held["commands"].items():
        assert hashlib.blake2b(value, digest_size=8).digest() == key[41:]
        commands[value[1 : 1 + value[0]]] = key
    assert commands[b"delete"] == account + at.to_bytes(8) + commands[b"delete"][41:]
    assert set(commands) == {b"delete", b"expire", b"revoke_subaccount"}
    assert held["commands_by_time"] == {key[33:41] + key[:33] + key[41:]: b"" for key in held["commands"]}

    ((revoked, state),) = held["revoked"].items()
    assert revoked == bytes.fromhex(group.account_id) + bytes.fromhex(made["token"])
    assert (len(state), state[8]) == (9, 1)

    missed = sorted(held["missed"].items())
    assert {key[:32].hex() for key, _ in missed} == {MEMBER}
    owed = [value[8:] for _, value in missed]
    assert [value[34:] for value in owed if value[:34] == b"\x00" + account] == [
        *(digest for _, (digest, _, _) in sorted(messages.items())),
        digest,
    ]
    assert {value[1:] for value in owed if value[0] == 2} == set(held["commands"])
    assert held["dumps"] == {}

    meta = {name.decode(): value for name, value in held["meta"].items()}
    others = ("topology", "swarms", "in_flight")
    numbers = {name: int.from_bytes(value) for name, value in meta.items() if name not in others}
    assert int.from_bytes(meta["in_flight"][:8]) == numbers["folded"] and len(meta["in_flight"]) % 44 == 8
    assert numbers["format"] == 6 and numbers["messages"] == len(messages)
    assert numbers["bytes"] == sum(charge(len(one)) for one in data)
    assert numbers["sequence"] == len(data) + 1 == numbers["settled"]
    assert numbers["missed"] == int.from_bytes(missed[-1][0][32:])
    assert numbers["latest"] >= max(times[3] for _, times, _ in messages.values())
    assert set(numbers) == {"format", "messages", "bytes", "sequence", "settled", "missed", "latest", "folded"}
