"""Backups: all of a database comes back, each time only what is new is written, and what was changed is noticed."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from allium.client.database import (
    Database,
    DatabaseError,
    InUseError,
    NewerVersionError,
    UnwritableError,
    WrongKeyError,
    archive,
    keys,
    migrations,
)
from allium.client.database.rows import ConversationKind, MessageState, NewMessage, OutboxState
from allium.client.messages.kinds import Attachment, Profile
from tests.support import ROOT

ALICE, BOB = "05" + "aa" * 32, "05" + "bb" * 32
KEY = bytes(range(32))
NOW = 1_700_000_000_000
PASSWORD = "a password"
#: Tables that are the same after a restore.
KEPT = ("facts", "profiles", "conversations", "messages", "reactions", "attachments", "cursors", "seen", "configs")


def text(database: Database, number: int) -> None:
    file = Attachment(f"http://f/{number}", bytes(32), name=f"file {number}.png")
    sent = NewMessage(BOB, BOB, NOW + number, f"text {number} \N{GRINNING FACE}\nof \0 two", attachments=(file,))
    message = database.messages.add(sent)
    assert message is not None
    database.reactions.add(message.id, ALICE, "\N{GRINNING FACE}", NOW)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("filled") / "account.sqlite"
    with Database.open(path, KEY) as opened, opened.transaction():
        opened.conversations.ensure(BOB, ConversationKind.CONTACT, name="Bob")
        opened.profiles.set(BOB, Profile("Bob", "http://p", bytes(32), 7))
        opened.facts.set("secret", bytes(range(256)))
        opened.configs.set(ALICE, 2, b"dump")
        opened.cursors.set(bytes(32), ALICE, {0: "hash", -10: "other"})
        opened.seen.add({f"hash {number}": NOW + number for number in range(2_000)}, NOW)
        for number in range(1_500):
            text(opened, number)
    return path


@pytest.fixture
def database(filled: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copy(filled, tmp_path / "account.sqlite")
    with Database.open(tmp_path / "account.sqlite", KEY) as opened:
        yield opened


def content(database: Database) -> dict[str, list[tuple[object, ...]]]:
    return {table: database.connection.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in KEPT}


@pytest.mark.parametrize("opener", [PASSWORD, bytes(16)])
def test_everything_comes_back(database: Database, tmp_path: Path, opener: str | bytes) -> None:
    file, restored = tmp_path / "backup", tmp_path / "restored" / "account.sqlite"
    made = archive.backup(database, file, opener)
    assert (made.messages, made.conversations, made.size) == (1_500, 1, file.stat().st_size)
    assert archive.verify(file, opener).messages == 1_500
    assert archive.facts(file, opener) == {"secret": bytes(range(256))}
    assert archive.restore(file, opener, restored, bytes(32)).time == made.time
    with Database.open(restored, bytes(32)) as again:
        assert content(again) == content(database)
        assert again.check() == []
        assert len(again.search.find("text 14", limit=1000)) == len(database.search.find("text 14", limit=1000)) > 100
        assert again.conversations.get(BOB) == database.conversations.get(BOB)
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(restored.stat().st_mode) == 0o600
    assert b"text" not in file.read_bytes()


def test_a_second_backup_writes_what_is_new(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    first = archive.backup(database, file, PASSWORD)
    nothing = archive.backup(database, file, PASSWORD)
    assert nothing.added < first.size / 10
    text(database, 1_500)
    one = archive.backup(database, file, PASSWORD)
    assert one.added < first.size / 3
    assert archive.verify(file, PASSWORD).messages == 1_501
    archive.restore(file, PASSWORD, tmp_path / "restored", None)
    with Database.open(tmp_path / "restored", None) as again:
        assert content(again) == content(database)


def test_a_file_is_written_anew_when_little_of_it_is_of_use(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_SLACK", 0)
    file = tmp_path / "backup"
    largest = archive.backup(database, file, PASSWORD).size
    for number in range(5):
        with database.transaction():
            for message in database.messages.after(0, 2_000):
                database.messages.set_state(message.id, MessageState.SENT if number % 2 else MessageState.UNSYNCED)
        assert archive.backup(database, file, PASSWORD).size < 3 * largest
        assert file.stat().st_size < 3 * largest
    archive.restore(file, PASSWORD, tmp_path / "restored", None)
    with Database.open(tmp_path / "restored", None) as again:
        assert content(again) == content(database)
    assert [path.name for path in tmp_path.iterdir() if "new" in path.name] == []


def test_what_was_on_its_way_is_not_sent_again(database: Database, tmp_path: Path) -> None:
    message = database.messages.add(NewMessage(BOB, ALICE, NOW, "x", outgoing=True, state=MessageState.SENDING))
    assert message is not None
    item = database.outbox.add(BOB, 0, b"data", ttl=1, timestamp=NOW, message=message.id)
    archive.backup(database, tmp_path / "backup", PASSWORD)
    archive.restore(tmp_path / "backup", PASSWORD, tmp_path / "restored", None)
    with Database.open(tmp_path / "restored", None) as again:
        assert again.outbox.due(NOW) == []
        found, shown = again.outbox.get(item.id), again.messages.get(message.id)
        assert found is not None
        assert shown is not None
        assert (found.state, found.payload, shown.state) == (OutboxState.FAILED, b"data", MessageState.FAILED)


def test_the_database_may_be_used_while_it_is_backed_up(database: Database, tmp_path: Path) -> None:
    steps = archive.backup_steps(database, tmp_path / "backup", PASSWORD)
    number = 2_000
    ended = False
    while not ended:
        text(database, number)
        database.messages.remove([number - 1_990, number - 1_000])
        database.reactions.add(number - 1_980, BOB, "x", NOW)
        number += 1
        try:
            next(steps)
        except StopIteration:
            ended = True
    archive.restore(tmp_path / "backup", PASSWORD, tmp_path / "restored", None)
    with Database.open(tmp_path / "restored", None) as again:
        assert again.check() == []
        assert len(again.messages.unread(BOB, limit=9_999)) == again.messages.count() == again.conversations.unread()
        assert {m.id for m in database.messages.after(0, 1_400)} <= {m.id for m in again.messages.after(0, 9_999)}


def test_a_backup_that_is_broken_off_leaves_the_one_before(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    first = archive.backup(database, file, PASSWORD)
    with database.transaction():
        for message in database.messages.after(0, 2_000):
            database.messages.set_state(message.id, MessageState.SENT)
    steps = archive.backup_steps(database, file, PASSWORD)
    # Until it has come to the messages.
    while next(steps) <= 5_200:
        pass
    steps.close()
    found = archive.verify(file, PASSWORD)
    assert (found.time, found.size) == (first.time, first.size)
    assert found.behind > 0
    archive.backup(database, file, PASSWORD)
    assert archive.verify(file, PASSWORD).behind == 0
    first_ever = archive.backup_steps(database, tmp_path / "other", PASSWORD)
    next(first_ever)
    first_ever.close()
    assert not any("other" in path.name for path in tmp_path.iterdir())


WRITER = """
import sys
from pathlib import Path
from allium.client.database import Database, archive
database = Database.open(sys.argv[1], bytes(range(32)))
number = 10_000
while True:
    database.facts.set("number", str(number).encode() * 100_000)
    archive.backup(database, Path(sys.argv[2]), bytes(16))
    print(number, flush=True)
    number += 1
"""


def test_a_kill_during_a_backup_loses_none(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    database.close()
    for rounds in (1, 4):
        command = [sys.executable, "-c", WRITER, str(database.path), str(file)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            number = [process.stdout.readline().strip() for _ in range(rounds)][-1]
            process.kill()
        assert archive.verify(file, bytes(16)).messages == 1_500
        (tmp_path / "restored").unlink(missing_ok=True)
        archive.restore(file, bytes(16), tmp_path / "restored", None)
        with Database.open(tmp_path / "restored", None) as again:
            kept = again.facts.get("number")
        assert kept is not None
        assert int(kept[:5]) >= int(number)
    Database.open(database.path, KEY).close()


def test_a_changed_byte_is_noticed(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    archive.backup(database, file, bytes(16))
    whole = file.read_bytes()
    for place in [*range(0, 300, 7), *range(300, len(whole), len(whole) // 50)]:
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DatabaseError):
            archive.verify(file, bytes(16))
    for length in (0, 10, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(DatabaseError):
            archive.restore(file, bytes(16), tmp_path / "restored", None)
        assert not any("restor" in path.name for path in tmp_path.iterdir())


def test_errors_are_sentences(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    archive.backup(database, file, PASSWORD)
    for wrong in ("another", bytes(16)):
        with pytest.raises(WrongKeyError, match="the password is not that of"):
            archive.verify(file, wrong)
        with pytest.raises(WrongKeyError):
            archive.backup(database, file, wrong)
    with pytest.raises(DatabaseError, match="is there already"):
        archive.restore(file, PASSWORD, database.path, KEY)
    with pytest.raises(UnwritableError, match="is the database itself"):
        archive.backup(database, database.path, PASSWORD)
    (tmp_path / "text").write_text("text")
    with pytest.raises(DatabaseError, match="is no backup"):
        archive.backup(database, tmp_path / "text", PASSWORD)
    assert (tmp_path / "text").read_text() == "text"
    with pytest.raises(UnwritableError, match="No such file"):
        archive.verify(tmp_path / "nothing", PASSWORD)
    with pytest.raises(UnwritableError, match="Is a directory"):
        archive.backup(database, tmp_path, PASSWORD)
    steps = archive.backup_steps(database, file, PASSWORD)
    next(steps)
    with pytest.raises(InUseError):
        archive.backup(database, file, PASSWORD)
    steps.close()
    with pytest.raises(NewerVersionError):
        (tmp_path / "newer").write_bytes(archive.MAGIC.replace(b"1", b"2") + b"more")
        archive.verify(tmp_path / "newer", PASSWORD)
    database.connection.raw.pragma("user_version", len(migrations.STEPS) + 1)
    archive.backup(database, file, PASSWORD)
    with pytest.raises(NewerVersionError):
        archive.restore(file, PASSWORD, tmp_path / "restored", None)


def test_a_full_disk_leaves_the_backup_before(database: Database, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    link = tmp_path / "full"
    link.symlink_to("/dev/full")
    # A device that has room for nothing is no backup, and stays what it is.
    with pytest.raises(DatabaseError):
        archive.backup(database, link, PASSWORD)
    assert link.is_symlink()


def test_a_backup_is_restored_under_a_password(database: Database, tmp_path: Path) -> None:
    archive.backup(database, tmp_path / "backup", PASSWORD)
    path = tmp_path / "restored"
    archive.restore(tmp_path / "backup", PASSWORD, path, keys.new(path, "another"))
    with keys.open_with_password(path, "another") as again:
        assert content(again) == content(database)
