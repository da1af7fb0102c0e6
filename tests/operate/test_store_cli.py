"""`allium store`: beside a running node, and with a stopped one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lmdb
import pytest

from allium import _native
from tests.support import wire
from tests.support.lone_node import LoneNode


def allium(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "allium", "store", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def directory(node: LoneNode, tmp_path: Path) -> str:
    return str(tmp_path / str(node.entry["omq_port"]))


def filled(lone_node: Callable[..., LoneNode], count: int) -> tuple[LoneNode, wire.User, set[str]]:
    node, user = lone_node(), wire.User()
    node.sees(node.entry)
    stored = set()
    for _ in range(count):
        reply = wire.rpc(node.entry, "store", wire.store_params(user.account_id, os.urandom(1500)))
        assert reply.status == 200, reply
        stored.add(reply.json()["hash"])
    return node, user, stored


def test_looking_is_possible_beside_a_node_changing_is_not(lone_node: Callable[..., LoneNode], tmp_path: Path) -> None:
    node, user, stored = filled(lone_node, 30)
    where = directory(node, tmp_path)
    told = allium("stats", "--data-dir", where, "--json")
    assert told.returncode == 0, told
    summary = json.loads(told.stdout)
    assert (summary["messages"], summary["accounts_with_several"], summary["namespaces"]) == (30, [30], {"0": 30})
    assert "messages   30" in allium("stats", "--data-dir", where).stdout
    verified = allium("verify", "--data-dir", where)
    assert verified.returncode == 0 and "all agrees" in verified.stdout, verified
    exported = allium("export", str(tmp_path / "out"), "--data-dir", where)
    assert exported.returncode == 0 and "30 messages" in exported.stdout, exported
    for command in (["compact"], ["import", str(tmp_path / "out")]):
        refused = allium(*command, "--data-dir", where)
        assert refused.returncode == 1 and "another process has the message store open" in refused.stderr, refused
    assert {message["hash"] for message in wire.retrieve(node.entry, user)} == stored


def test_compact_gives_room_back_and_keeps_all(lone_node: Callable[..., LoneNode], tmp_path: Path) -> None:
    node, user, stored = filled(lone_node, 200)
    gone = sorted(stored)[20:]
    signed = {**user.auth("delete" + "".join(gone)), "messages": gone}
    assert wire.rpc(node.entry, "delete", signed).status == 200
    where = directory(node, tmp_path)
    node.engine.shutdown()
    # As if it had held them all for a while.
    with lmdb.open(where, max_dbs=32, map_size=1 << 28) as env, env.begin(write=True) as txn:
        for number in range(100):
            txn.put(b"%d" % number, os.urandom(4000), db=env.open_db(b"filler", txn))
        txn.drop(env.open_db(b"filler", txn))
    before = (Path(where) / "data.mdb").stat().st_size
    done = allium("compact", "--data-dir", where)
    assert done.returncode == 0, done
    assert (Path(where) / "data.mdb").stat().st_size < before // 2
    assert not (Path(where) / "data.mdb.compact").exists()
    report = _native.store_verify(where)
    assert (report["found"], report["messages"]) == (0, 20)
    # And a node goes on with it.
    again = _native.Node(
        data_dir=where,
        ed25519_seed=node.keys.ed25519_seed,
        legacy_pubkey=node.keys.legacy_public,
        bind_ip="127.0.0.1",
        https_port=node.entry["https_port"],
        omq_port=node.entry["omq_port"],
    )
    try:
        network: Any = {"height": 2, "block_hash": "", "hardfork": (19, 4), "nodes": [node.entry]}
        again.set_network(network)
        assert {message["hash"] for message in wire.retrieve(node.entry, user)} == stored - set(gone)
        assert again.stats()["durability"] == "sync"
    finally:
        again.shutdown()


def test_an_export_comes_in_elsewhere(lone_node: Callable[..., LoneNode], tmp_path: Path) -> None:
    node, user, stored = filled(lone_node, 30)
    gone = min(stored)
    assert wire.rpc(node.entry, "delete", {**user.auth(f"delete{gone}"), "messages": [gone]}).status == 200
    node.engine.shutdown()
    file = str(tmp_path / "export.jsonl")
    assert allium("export", file, "--data-dir", directory(node, tmp_path)).returncode == 0
    lines = [json.loads(line) for line in Path(file).read_text().splitlines()]
    assert lines[0] == {"allium_store": {"version": 1}} and lines[-1] == {"end": {"entries": len(lines) - 2}}
    kinds = [next(iter(line)) for line in lines[1:-1]]
    assert kinds == ["tomb", "command"] + ["message"] * 29
    other = str(tmp_path / "other")
    done = allium("import", file, "--data-dir", other)
    assert done.returncode == 0 and "29 messages, 31 entries" in done.stdout, done
    assert _native.store_verify(other)["messages"] == 29
    again = str(tmp_path / "again.jsonl")
    assert allium("export", again, "--data-dir", other).returncode == 0
    assert sorted(Path(again).read_text()) == sorted(Path(file).read_text())
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(Path(file).read_bytes()[:-30])
    refused = allium("import", str(cut), "--data-dir", str(tmp_path / "third"))
    assert refused.returncode == 1 and "line " in refused.stderr, refused
    assert "the 30 entries before that were taken" in refused.stderr
    assert _native.store_verify(str(tmp_path / "third"))["messages"] == 28
    # Once more, and with a second export behind the first.
    assert "nothing of it was new" in allium("import", file, "--data-dir", other).stdout
    store = _native.Store(tmp_path / "more", 1 << 30, 1 << 30, 1 << 20, "async")
    store.put([("05" + "22" * 32, 0, 1, 1 << 62, b"one more")])
    store.close()
    both, behind = tmp_path / "both.jsonl", tmp_path / "behind.jsonl"
    assert allium("export", str(behind), "--data-dir", str(tmp_path / "more")).returncode == 0
    both.write_bytes(Path(file).read_bytes() + b"\n" + behind.read_bytes())
    joined = allium("import", str(both), "--data-dir", other)
    assert "30 messages, 32 entries" in joined.stdout and "29 of the messages were there before" in joined.stdout
    assert _native.store_verify(other)["messages"] == 30
    both.write_bytes(Path(file).read_bytes() + b"what is this")
    strange = allium("import", str(both), "--data-dir", other)
    assert strange.returncode == 1 and "line 34" in strange.stderr and "31 entries" in strange.stderr, strange


@pytest.mark.parametrize("table", ["expiries", "data", "tombs"])
def test_verify_names_what_was_changed_behind_its_back(
    table: str, lone_node: Callable[..., LoneNode], tmp_path: Path
) -> None:
    node, user, stored = filled(lone_node, 5)
    gone = min(stored)
    assert wire.rpc(node.entry, "delete", {**user.auth(f"delete{gone}"), "messages": [gone]}).status == 200
    node.engine.shutdown()
    where = directory(node, tmp_path)
    with lmdb.open(where, max_dbs=32) as env, env.begin(write=True) as txn:
        cursor = txn.cursor(env.open_db(table.encode(), txn, create=False))
        assert cursor.last() and cursor.delete()
    done = allium("verify", "--data-dir", where, "--json")
    assert done.returncode == 1, done
    report = json.loads(done.stdout)
    assert report["found"] == len(report["problems"]) > 0
    assert "do not agree" in allium("verify", "--data-dir", where).stdout


def test_there_has_to_be_a_store(tmp_path: Path) -> None:
    for command in ("stats", "verify"):
        refused = allium(command, "--data-dir", str(tmp_path))
        assert refused.returncode == 1 and "there is no message store" in refused.stderr, refused
