"""What an operator of the reference's storage server brings along, and takes away again."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allium import _native
from allium.errors import CommandError
from allium.settings import keys
from allium.takeover import oxen_storage
from tests.support import wire
from tests.support.lone_node import LoneNode

#: `spec/storage` §2, as a node that has been running for years has it: with the columns in another order.
SCHEMA = """
CREATE TABLE owners (id INTEGER PRIMARY KEY, type INTEGER NOT NULL, pubkey BLOB NOT NULL, UNIQUE (pubkey, type));
CREATE TABLE messages (
  id INTEGER PRIMARY KEY, hash TEXT NOT NULL, owner INTEGER NOT NULL REFERENCES owners (id), timestamp INTEGER NOT NULL,
  expiry INTEGER NOT NULL, data BLOB NOT NULL, namespace INTEGER NOT NULL DEFAULT 0, UNIQUE (hash)
);
CREATE TABLE revoked_subaccounts (
  owner INTEGER REFERENCES owners (id) ON DELETE CASCADE, token BLOB NOT NULL, timestamp INTEGER NOT NULL,
  PRIMARY KEY (owner, token)
);
"""
NOW = time.time_ns() // 1_000_000
DAY = 86_400_000
GROUP = b"\x03" + bytes(range(32))
USER = b"\x05" + bytes(range(32, 64))


class Reference:
    """A storage server's data directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self.database = sqlite3.connect(directory / "storage.db")
        self.database.execute("PRAGMA journal_mode=WAL")
        self.database.executescript(SCHEMA)

    def owner(self, account: bytes) -> int:
        found = self.database.execute("SELECT id FROM owners WHERE type = ? AND pubkey = ?", (account[0], account[1:]))
        if row := found.fetchone():
            return int(row[0])
        return self.database.execute(
            "INSERT INTO owners (type, pubkey) VALUES (?, ?)", (account[0], account[1:])
        ).lastrowid  # type: ignore[return-value]

    def message(self, account: bytes, data: Any = b"hello", namespace: Any = 0, **columns: Any) -> str:
        row = {
            "hash": oxen_storage.message_hash(account, namespace, data) if isinstance(data, bytes) else "x" * 43,
            "owner": self.owner(account),
            "namespace": namespace,
            "timestamp": NOW - 1000,
            "expiry": NOW + DAY,
            "data": data,
            **columns,
        }
        names = ", ".join(row)
        self.database.execute(
            f"INSERT INTO messages ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
        )
        return str(row["hash"])

    def revoke(self, owner: int | None, token: Any, timestamp: Any = NOW - 5) -> None:
        self.database.execute("INSERT INTO revoked_subaccounts VALUES (?, ?, ?)", (owner, token, timestamp))

    def close(self) -> Path:
        self.database.commit()
        self.database.close()
        return self.directory


@pytest.fixture
def reference(tmp_path: Path) -> Reference:
    return Reference(tmp_path / "oxen")


def allium(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "allium", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def content(database: Path) -> tuple[list[Any], list[Any]]:
    """All that means something there: messages by account and namespace in their order, and revocations."""
    with sqlite3.connect(database) as connection:
        return (
            connection.execute(
                "SELECT type, pubkey, namespace, hash, timestamp, expiry, data FROM messages m "
                "JOIN owners o ON m.owner = o.id ORDER BY type, pubkey, namespace, m.id"
            ).fetchall(),
            connection.execute(
                "SELECT type, pubkey, token, timestamp FROM revoked_subaccounts r JOIN owners o ON r.owner = o.id "
                "ORDER BY type, pubkey, token"
            ).fetchall(),
        )


def test_there_and_back_is_equal(reference: Reference, tmp_path: Path) -> None:
    for number in range(3000):
        account = (USER, GROUP, b"\x00" + USER[1:], b"\x05" + number.to_bytes(32))[number % 4]
        reference.message(
            account,
            number.to_bytes(4) + os.urandom(number % 700),
            (0, 11, -10, 7)[number % 3],
            expiry=NOW + DAY + number,
        )
    for number in range(50):
        reference.revoke(reference.owner(GROUP), b"\x03\x02\0\0" + number.to_bytes(32), NOW - number)
    source = reference.close()
    before = content(source / "storage.db")
    store, back = tmp_path / "allium", tmp_path / "back.db"
    done = allium("import", "oxen-storage", str(source), "--data-dir", str(store))
    assert done.returncode == 0 and done.stdout == "3,000 messages, 50 revocations\n", done
    assert sorted(path.name for path in store.iterdir()) == ["data.mdb", "store.lock"]
    report = _native.store_verify(str(store))
    assert (report["found"], report["messages"]) == (0, 3000)
    done = allium("export", "oxen-storage", str(back), "--data-dir", str(store))
    assert done.returncode == 0 and done.stdout == "3,000 messages, 50 revocations\n", done
    assert content(back) == before
    with sqlite3.connect(back) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE sql IS NOT NULL")} == {
            *("owners", "messages", "revoked_subaccounts", "owned_messages", "messages_expiry", "messages_owner"),
            *("messages_hash", "owner_autoclean", "revoked_subaccounts_limit", "owned_messages_insert"),
        }
        # What the reference does there works as it expects: an insert by the view, limits and tidying by triggers.
        connection.execute("PRAGMA foreign_keys=ON")
        insert = "INSERT INTO owned_messages (type, pubkey, hash, namespace, timestamp, expiry, data)"
        connection.execute(f"{insert} VALUES (5, ?, 'new', 0, 1, 2, x'00')", (bytes(32),))
        number = connection.execute("SELECT oid FROM owned_messages WHERE hash = 'new'").fetchone()[0]
        for at in range(51):
            connection.execute("INSERT INTO revoked_subaccounts VALUES (?, ?, ?)", (number, bytes([at]), at))
        revoked = "SELECT count(*), min(timestamp) FROM revoked_subaccounts WHERE owner = ?"
        assert connection.execute(revoked, (number,)).fetchone() == (50, 1)
        connection.execute("DELETE FROM messages WHERE hash = 'new'")
        assert connection.execute(revoked, (number,)).fetchone() == (0, None)
        assert connection.execute("SELECT 1 FROM owners WHERE id = ?", (number,)).fetchone() is None


def test_a_node_serves_what_was_taken_over(
    reference: Reference, lone_node: Callable[..., LoneNode], tmp_path: Path
) -> None:
    user = wire.User()
    account = bytes.fromhex(user.account_id)
    stored = [reference.message(account, bytes([number])) for number in range(9)]
    source = reference.close()
    store = tmp_path / "store"
    oxen_storage.take_over(source / "storage.db", store, 1 << 30, lambda *_: None)
    # Beside a running one it would be half of what it has.
    node = lone_node()
    with pytest.raises(CommandError, match="in use"):
        oxen_storage.take_over(source / "storage.db", tmp_path / str(node.entry["omq_port"]), 1 << 30, lambda *_: None)
    node.engine.shutdown()
    (store / "data.mdb").rename(tmp_path / str(node.entry["omq_port"]) / "data.mdb")
    again = LoneNode(
        tmp_path / str(node.entry["omq_port"]), node.entry["https_port"], node.entry["omq_port"], node.keys
    )
    try:
        again.sees(again.entry)
        assert [message["hash"] for message in wire.retrieve(again.entry, user)] == stored
    finally:
        again.engine.shutdown()


def test_hostile_rows_stay_behind_and_are_counted(reference: Reference, tmp_path: Path) -> None:
    good = reference.message(USER)
    reference.message(USER, b"by another name", hash="A" * 43)
    reference.message(USER, b"by no name", hash="A" * 42 + "B")
    lost = reference.message(USER, b"moved", hash=oxen_storage.message_hash(USER, -11, b"moved"))
    reference.message(USER, b"", 1)
    reference.message(USER, bytes(76_800), 2)
    reference.message(USER, bytes(76_801), 3)
    reference.message(USER, os.urandom(30 << 20), 4)
    reference.message(USER, b"late", expiry=NOW - 1)
    reference.message(USER, b"for ever", expiry=2**63 - 1)
    reference.message(USER, b"ns", 40_000)
    reference.message(USER, b"when", timestamp=-1)
    reference.message(USER, "text", hash="t")
    reference.message(USER, b"words", timestamp="yesterday")
    reference.message(USER, b"from the future", timestamp=NOW + 9 * DAY)
    reference.message(b"\x05" + bytes(31), b"short key")
    reference.message(b"\x05" + bytes(40), b"long key")
    number = reference.database.execute("INSERT INTO owners (type, pubkey) VALUES (999, ?)", (bytes(32),)).lastrowid
    reference.message(USER, b"kind", owner=number)
    reference.message(USER, b"nobody", owner=12345)
    reference.revoke(reference.owner(USER), bytes(36))
    reference.revoke(reference.owner(USER), bytes(35))
    reference.revoke(reference.owner(USER), "t" * 36)
    reference.revoke(None, bytes(36))
    source = reference.close()
    store = tmp_path / "allium"
    moved = oxen_storage.take_over(source / "storage.db", store, 1 << 30, lambda *_: None, NOW)
    assert (moved.messages, moved.revocations, moved.misfiled) == (6, 1, 2)
    assert moved.left == {
        "messages that are too long": 2,
        "expired messages": 1,
        "messages that would stay longer than any may": 1,
        "malformed messages": 4,
        "messages of no account": 4,
        "messages whose hash is none": 1,
        "malformed revocations": 2,
        "revocations of no account": 1,
    }
    back = tmp_path / "back.db"
    oxen_storage.give_back(store, back, lambda *_: None)
    places = {row[3]: row[2] for row in content(back)[0]}
    assert len(places) == 6 and (places[good], places["A" * 43], places[lost]) == (0, 0, -11)


def test_a_failure_leaves_nothing_and_the_target_as_it_was(reference: Reference, tmp_path: Path) -> None:
    for _ in range(600):
        reference.message(USER, os.urandom(3000))
    source = reference.close()
    store = tmp_path / "allium"
    arguments = ("import", "oxen-storage", str(source), "--data-dir", str(store))
    full = allium(*arguments, "--max-store-bytes", str(1 << 20))
    assert full.returncode == 1 and "the store is full" in full.stderr, full
    assert [path.name for path in store.iterdir()] == ["store.lock"]
    # A page in the middle is no page any more.
    sound = (source / "storage.db").read_bytes()
    spoilt = tmp_path / "spoilt.db"
    spoilt.write_bytes(sound[: len(sound) // 2] + os.urandom(8192) + sound[len(sound) // 2 + 8192 :])
    broken = allium("import", "oxen-storage", str(spoilt), "--data-dir", str(store))
    assert broken.returncode == 1 and "cannot be read" in broken.stderr, broken
    assert [path.name for path in store.iterdir()] == ["store.lock"]
    stray = store / "redo.1"
    stray.write_bytes(b"")
    beside = allium(*arguments)
    assert beside.returncode == 1 and "a store that is not there" in beside.stderr, beside
    stray.unlink()
    assert allium(*arguments).returncode == 0
    before = (store / "data.mdb").read_bytes()
    again = allium(*arguments)
    assert again.returncode == 1 and "has a message store already" in again.stderr, again
    assert (store / "data.mdb").read_bytes() == before
    target = tmp_path / "there.db"
    target.write_text("precious")
    refused = allium("export", "oxen-storage", str(target), "--data-dir", str(store))
    assert refused.returncode == 1 and "stays as it is" in refused.stderr and target.read_text() == "precious"
    none = allium("export", "oxen-storage", str(tmp_path / "none.db"), "--data-dir", str(tmp_path / "nowhere"))
    assert none.returncode == 1 and "there is no message store" in none.stderr, none
    assert not list(tmp_path.glob("none.db*"))


@pytest.mark.parametrize("what", ["nothing", "text", "another database", "a view in place of a table"])
def test_what_is_no_database_of_a_storage_server(what: str, tmp_path: Path) -> None:
    path = tmp_path / "storage.db"
    if what == "text":
        path.write_text("hello" * 1000)
    elif what != "nothing":
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE owners (id)")
            if what.startswith("a view"):
                connection.execute("CREATE VIEW messages AS SELECT * FROM owners, owners, owners")
    with pytest.raises(CommandError, match=r"does not exist|no database"):
        oxen_storage.take_over(oxen_storage.find(tmp_path), tmp_path / "out", 1 << 30, lambda *_: None)


def test_the_daemon_s_keys_come_along(reference: Reference, tmp_path: Path) -> None:
    made = keys.generate()
    bls = _native.BlsSecretKey.random()
    daemon, node = tmp_path / "daemon", tmp_path / "node"
    daemon.mkdir()
    for name, text in (
        ("key_ed25519", f"0x{made.ed25519_secret.hex()}\n".encode()),
        ("key", made.legacy_secret),
        ("key_bls", b"0x" + bls.to_bytes().hex().encode()),
    ):
        (daemon / name).write_bytes(text)
        (daemon / name).chmod(0o600)
    arguments = ("import", "oxen-storage", str(tmp_path / "oxen"), "--data-dir", str(node), "--keys", str(daemon))
    reference.close().joinpath("storage.db").rename(tmp_path / "away")
    gone = allium(*arguments)
    assert gone.returncode == 1 and not keys.exist(node), gone
    (tmp_path / "away").rename(tmp_path / "oxen" / "storage.db")
    done = allium(*arguments)
    assert done.returncode == 0 and made.ed25519_public.hex() in done.stdout, done
    assert made.ed25519_secret.hex() not in done.stdout + done.stderr
    assert keys.load(node) == made == keys.load(daemon)
    assert keys.load_bls(node).to_bytes() == bls.to_bytes()
    assert {stat.S_IMODE((node / name).stat().st_mode) for name in ("key", "key_bls", "key_ed25519")} == {0o600}
    (node / "data.mdb").unlink()
    again = allium(*arguments)
    assert again.returncode == 1 and "never overwritten" in again.stderr and keys.load(node) == made


def test_old_databases_are_taken_over_too(tmp_path: Path) -> None:
    """Keys in hex, as bytes or as text, and no namespaces."""
    with contextlib.closing(sqlite3.connect(tmp_path / "storage.db")) as database, database:
        database.executescript(
            "CREATE TABLE owners (id INTEGER PRIMARY KEY, type INTEGER NOT NULL, pubkey NOT NULL);"
            "CREATE TABLE messages (id INTEGER PRIMARY KEY, hash TEXT NOT NULL, owner INTEGER NOT NULL, "
            "timestamp INTEGER NOT NULL, expiry INTEGER NOT NULL, data BLOB NOT NULL);"
        )
        forms = [USER[1:], USER[1:].hex(), USER[1:].hex().upper().encode(), USER, USER.hex()]
        for number, form in enumerate(forms, 1):
            database.execute("INSERT INTO owners VALUES (?, 5, ?)", (number, form))
            row = (number, f"{number}", number, NOW, NOW + DAY, bytes([number]))
            database.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)", row)
    moved = oxen_storage.take_over(tmp_path / "storage.db", tmp_path / "allium", 1 << 30, lambda *_: None, NOW)
    assert (moved.messages, moved.left) == (5, {})
    assert _native.store_verify(str(tmp_path / "allium"))["accounts"] == 1


def test_what_is_left_behind_is_told_by_the_exit_code(reference: Reference, tmp_path: Path) -> None:
    reference.message(USER)
    reference.message(USER, b"late", expiry=NOW - 1)
    source = reference.close()
    done = allium("import", "oxen-storage", str(source), "--data-dir", str(tmp_path / "one"))
    assert done.returncode == 0 and "1 expired messages" in done.stdout, done
    with contextlib.closing(sqlite3.connect(source / "storage.db")) as database, database:
        database.execute("UPDATE messages SET timestamp = -1, expiry = expiry + 1000000")
    done = allium("import", "oxen-storage", str(source), "--data-dir", str(tmp_path / "two"))
    assert done.returncode == 1 and "2 things were left behind" in done.stderr, done
    assert "Traceback" not in done.stderr


def test_the_source_is_left_as_it_was(reference: Reference, tmp_path: Path) -> None:
    for number in range(3):
        reference.message(USER, bytes([number]))
    reference.database.commit()
    # As a server leaves it that was killed: what it wrote last is beside the database.
    killed = tmp_path / "killed"
    killed.mkdir()
    for suffix in ("", "-wal"):
        (killed / f"storage.db{suffix}").write_bytes((tmp_path / "oxen" / f"storage.db{suffix}").read_bytes())
    reference.message(USER, b"later")
    clean = reference.close()
    for source, count in ((killed, 3), (clean, 4)):
        before = {path.name: path.read_bytes() for path in source.iterdir()}
        done = allium("import", "oxen-storage", str(source), "--data-dir", str(tmp_path / f"store{count}"))
        assert done.returncode == 0 and f"{count} messages" in done.stdout, done
        assert {path.name: path.read_bytes() for path in source.iterdir()} == before


def test_a_database_that_is_locked_is_not_damaged(reference: Reference, tmp_path: Path) -> None:
    reference.message(USER)
    reference.database.commit()
    reference.database.execute("PRAGMA journal_mode=DELETE")
    reference.database.execute("BEGIN EXCLUSIVE")
    done = allium("import", "oxen-storage", str(tmp_path / "oxen"), "--data-dir", str(tmp_path / "store"))
    assert done.returncode == 1 and "locked" in done.stderr and "damaged" not in done.stderr, done
    assert "stop the storage server" in done.stderr
    reference.database.rollback()
    # One that is only open is read beside it.
    reference.database.execute("PRAGMA journal_mode=WAL")
    reference.message(USER, b"more")
    reference.database.commit()
    done = allium("import", "oxen-storage", str(tmp_path / "oxen"), "--data-dir", str(tmp_path / "store"))
    assert done.returncode == 0 and "2 messages" in done.stdout, done
