"""What is left of a database when its process is killed, its disk full, its file somebody else's or damaged."""

from __future__ import annotations

import contextlib
import shutil
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from allium.client.database import (
    DamagedError,
    Database,
    DatabaseError,
    InUseError,
    NewerVersionError,
    UnwritableError,
    WrongKeyError,
    keys,
    locks,
    migrations,
)
from allium.client.database.connection import Connection
from allium.client.database.database import prepared
from allium.client.database.rows import ConversationKind
from tests.support import ROOT
from tests.support.database_writer import KEY, PEER, verify, write_one

COMMAND = [sys.executable, "-m", "tests.support.database_writer"]


@contextlib.contextmanager
def program(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [*COMMAND, *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    path = tmp_path / "account.sqlite"
    done = 0
    for writes in (1, 30, 7, 400):
        with program("write", path, done) as process:
            for number in range(done, done + writes):
                assert said(process) == str(number)
        with Database.open(path, KEY) as database:
            verify(database, done + writes)
            done = database.messages.count()


def test_a_wrong_key_leaves_a_log_that_was_not_put_into_the_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "account.sqlite"
    with program("write", path, 0) as process:
        assert [said(process) for _ in range(20)][-1] == "19"
    with pytest.raises(WrongKeyError):
        Database.open(path, bytes(32))
    with pytest.raises(WrongKeyError):
        Database.open(path, None)
    with Database.open(path, KEY) as database:
        verify(database, 20)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "account.sqlite"
    with keys.create(path, "old") as database, database.transaction():
        database.conversations.ensure(PEER, ConversationKind.CONTACT)
        for number in range(500):
            write_one(database, number, "text " * 1000)
    return path


@pytest.fixture
def protected(made: Path, tmp_path: Path) -> Path:
    """A database of some megabytes, with the password "old"."""
    for file in (made, keys.key_file(made)):
        shutil.copy(file, tmp_path)
    return tmp_path / "account.sqlite"


def opened(path: Path, passwords: tuple[str, ...]) -> list[str]:
    """Which of the passwords open it."""
    found = []
    for password in passwords:
        try:
            with keys.open_with_password(path, password) as database:
                assert database.messages.count() == 500
                assert database.check() == []
                found.append(password)
        except WrongKeyError as error:
            assert str(error) == f"the password is not that of {path}"
    return found


def test_a_changed_password_is_the_only_one(protected: Path) -> None:
    before = protected.read_bytes()
    with keys.open_with_password(protected, "old") as database:
        with pytest.raises(WrongKeyError):
            keys.change_password(database, "new", "newer")
        keys.change_password(database, "old", "new \N{LATIN SMALL LETTER E WITH ACUTE}")
        assert database.messages.count() == 500
    assert opened(protected, ("old", "new", "", "new e\N{COMBINING ACUTE ACCENT}")) == [
        "new e\N{COMBINING ACUTE ACCENT}"
    ]
    after = protected.read_bytes()
    assert all(before[page : page + 4096] != after[page : page + 4096] for page in range(0, len(before), 4096))
    assert stat.S_IMODE(keys.key_file(protected).stat().st_mode) == 0o600


@pytest.mark.parametrize("how", ["before", "after", "0.005", "0.02", "0.06"])
def test_a_kill_while_the_password_changes_loses_nothing(protected: Path, how: str) -> None:
    with program("password", protected, how) as process:
        process.wait()
    assert opened(protected, ("old", "new")) == ["new"]
    # What was begun has been finished: the key from before is nowhere any more.
    assert [len(keys._unlock(protected, "new"))] == [1]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"salt": 1}', b"\xff" * 100, b"[" * 50_000])
def test_a_damaged_key_file_is_said_to_be_that(protected: Path, content: bytes) -> None:
    keys.key_file(protected).write_bytes(content)
    with pytest.raises(DamagedError, match="is damaged; restore it from a backup"):
        keys.open_with_password(protected, "old")


def test_a_key_file_cannot_ask_for_all_memory(protected: Path) -> None:
    file = keys.key_file(protected)
    file.write_text(file.read_text().replace(str(locks.MEMORY), str(1 << 50)))
    with pytest.raises(NewerVersionError, match="written by another version"):
        keys.open_with_password(protected, "old")


def test_a_lost_or_foreign_key_file_is_named(protected: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    keys.create(other, "old").close()
    shutil.copy(keys.key_file(other), keys.key_file(protected))
    with pytest.raises(DamagedError, match="restore both from one backup"):
        keys.open_with_password(protected, "old")
    keys.key_file(protected).unlink()
    with pytest.raises(DatabaseError, match="is lost"):
        keys.open_with_password(protected, "old")
    with pytest.raises(DatabaseError, match="is there already"):
        keys.create(protected, "new")


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "account.sqlite"
    with program("hold", path) as process:
        assert said(process) == "opened"
        with pytest.raises(InUseError, match="in use by another process"):
            Database.open(path, KEY)
    with Database.open(path, KEY) as database:
        with pytest.raises(InUseError):
            Database.open(path, KEY)
        database.rekey(bytes(32))
        database.rekey(KEY)
        # Whoever reads the file and closes it takes SQLite's lock away.
        assert path.read_bytes()
        with program("open", path) as process:
            assert said(process) == f"InUseError {path} is in use by another process; end that first"
    database.close()
    with program("open", path) as process:
        assert said(process) == "opened"


@pytest.mark.skipif(shutil.which("unshare") is None, reason="there is no unshare")
def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    program = f"{sys.executable} -m tests.support.database_writer"
    # A file system of its own, which is gone with the process.
    script = f"""
        mount -t tmpfs -o size=2m none {tmp_path} || exit 77
        head -c 500000 /dev/zero > {tmp_path}/other
        last=$({program} fill {tmp_path}/account.sqlite | tail -n 2)
        rm {tmp_path}/other
        echo "$last"
        {program} verify {tmp_path}/account.sqlite $(echo "$last" | head -n 1)
    """
    command = ["unshare", "-rm", "sh", "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 77 or done.stderr.startswith("unshare"):
        pytest.skip("this user may mount nothing")
    number, error, last = done.stdout.splitlines()
    assert int(number) > 10
    assert error.startswith("DiskFullError there is no room for")
    assert last == "sound"


@pytest.mark.parametrize("name", ["file", "directory"])
def test_what_may_not_be_written_is_said(name: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "account.sqlite")
        Database.open(path, KEY).close()
        path.chmod(0o444 if name == "file" else 0o666)
        Path(directory).chmod(0o555 if name == "directory" else 0o777)
        # Root may write everything, so that somebody else tries.
        with program("stranger", path) as process:
            assert said(process).startswith(f"UnwritableError {path} cannot be written; look at the permissions")


def test_what_is_no_file_of_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnwritableError):
        Database.open(tmp_path, KEY)
    (tmp_path / "file").write_bytes(b"text" * 1000)
    with pytest.raises(UnwritableError):
        Database.open(tmp_path / "file" / "account.sqlite", KEY)
    for key in (KEY, None):
        with pytest.raises(WrongKeyError):
            Database.open(tmp_path / "file", key)
    assert (tmp_path / "file").read_bytes() == b"text" * 1000
    other = apsw.Connection(str(tmp_path / "other"))
    other.execute("CREATE TABLE t (a)")
    other.close()
    with pytest.raises(WrongKeyError, match="no database of this program"):
        Database.open(tmp_path / "other", None)


def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "account.sqlite"
    with Database.open(path, KEY) as database, database.transaction():
        database.conversations.ensure(PEER, ConversationKind.CONTACT)
        for number in range(100):
            write_one(database, number, "text")
    with Database.open(path, KEY) as database:
        unused = database.connection.value("PRAGMA freelist_count")
    whole = path.read_bytes()
    pages = range(4096, len(whole), 4096)
    unnoticed = 0
    for page in pages:
        path.write_bytes(whole[: page + 50] + bytes([whole[page + 50] ^ 1]) + whole[page + 51 :])
        try:
            with Database.open(path, KEY) as database:
                unnoticed += database.check() == []
        except DamagedError as error:
            assert str(error) == f"{path} is damaged; restore a backup"
    assert unnoticed <= unused < len(pages) / 10
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DamagedError):
        Database.open(path, KEY)


def test_an_apsw_that_cannot_encrypt_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(apsw, "mc_version")
    with pytest.raises(DatabaseError, match="cannot encrypt: install apsw-sqlite3mc"):
        Database.open(tmp_path / "account.sqlite", KEY)
    assert list(tmp_path.iterdir()) == []


def test_only_who_opens_a_database_needs_sqlite() -> None:
    script = """
        import sys
        sys.modules["apsw"] = None
        from allium.client import Account, Client
        from allium.client.database import DatabaseError
        try:
            from allium.client.database import Database
        except ImportError as error:
            print(error.name)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "apsw\n"


def test_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "account.sqlite"
    with Database.open(path, KEY) as database:
        database.connection.raw.pragma("user_version", 99)
    before = path.read_bytes()
    with pytest.raises(NewerVersionError, match=r"written by a newer version \(format 99, this one knows \d+\); use"):
        Database.open(path, KEY)
    assert path.read_bytes() == before


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "first"
    connection = prepared(path, bytes(32))
    migrations.migrate(connection, migrations.STEPS[:1])
    connection.execute(
        "INSERT INTO outbox (pubkey, namespace, hash, payload, ttl, timestamp, purpose, state) "
        "VALUES (?, 0, 'hash', x'00', 1, 1, 'message', 'queued')",
        ("05" + "00" * 32,),
    )
    connection.close()
    with Database.open(path, bytes(32)) as database:
        [item] = database.outbox.due(1)
        assert (item.hash, item.unsealed) == ("hash", False)
        assert database.secrets.get("device") is None
        assert database.connection.value("SELECT v FROM search_config WHERE k = 'automerge'") == 0


def test_a_migration_that_fails_leaves_the_version_before_it(tmp_path: Path) -> None:
    def half(connection: Connection) -> None:
        connection.execute("CREATE TABLE more (a)")
        connection.execute("INSERT INTO facts VALUES ('migrated', x'01')")
        raise InterruptedError

    def whole(connection: Connection) -> None:
        connection.execute("CREATE TABLE more (a)")

    path = tmp_path / "account.sqlite"
    with Database.open(path, KEY) as database:
        version = database.connection.value("PRAGMA user_version")
        with pytest.raises(InterruptedError):
            migrations.migrate(database.connection, (*migrations.STEPS, half))
        assert database.connection.value("PRAGMA user_version") == version
        assert database.facts.get("migrated") is None
        migrations.migrate(database.connection, (*migrations.STEPS, whole))
        assert database.connection.value("PRAGMA user_version") == version + 1
    with pytest.raises(NewerVersionError):
        Database.open(path, KEY)
