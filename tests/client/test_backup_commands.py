"""The commands for backups and exports, without a network: what they make, and what they say of what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from allium.client import Account
from allium.client.database.rows import ConversationKind, NewMessage
from allium.client.session import Session
from allium.client.session.core import Work
from tests.support.command import allium

BOB = "05" + "bb" * 32


def said(work: Work) -> None:
    work.database.conversations.ensure(BOB, ConversationKind.CONTACT, name="Bob")
    work.database.messages.add(NewMessage(BOB, BOB, 1_700_000_000_000, "hello from Bob"))


@pytest.fixture
async def account(tmp_path: Path) -> Account:
    made = Account.new()
    (tmp_path / "account").write_text(made.phrase)
    async with await Session.restore(
        tmp_path / "account.db", made.phrase, seeds=["http://127.0.0.1:9"], keep_phrase=False
    ) as session:
        await session.run(said)
    return made


def test_a_backup_is_restored_and_exported(account: Account, tmp_path: Path) -> None:
    env = {"ALLIUM_ACCOUNT": str(tmp_path / "account"), "ALLIUM_SEED": None}
    other = {**env, "ALLIUM_ACCOUNT": str(tmp_path / "other")}
    backup, lines = str(tmp_path / "backup"), str(tmp_path / "lines")
    assert allium("account", "backup", backup, env=env).returncode == 2
    done = allium("account", "backup", backup, "--offline", "--json", env=env)
    assert done.returncode == 0 and json.loads(done.stdout)["messages"] == 1, done
    stranger = allium("account", "restore-backup", backup, env=other, input=Account.new().phrase)
    assert stranger.returncode == 78 and not (tmp_path / "other").exists(), stranger
    restored = allium("account", "restore-backup", backup, env=other, input=account.phrase)
    assert restored.returncode == 0 and account.account_id in restored.stdout, restored
    assert (tmp_path / "other").read_text().strip() == account.phrase
    assert allium("account", "restore-backup", backup, env=other).returncode == 1

    # What is in the other one can be read by anybody, and by a new account.
    pages = allium("export", "html", str(tmp_path / "pages"), "--offline", env=other)
    assert pages.returncode == 0 and "hello from Bob" in next((tmp_path / "pages").glob("0001-*")).read_text(), pages
    assert allium("export", "json", lines, "--offline", env=other).returncode == 0
    taken = allium("import", "json", lines, "--offline", "--json", env=env)
    assert json.loads(taken.stdout) == {"added": 0, "known": 1, "unreadable": 0}


def test_a_password_comes_from_a_file(account: Account, tmp_path: Path) -> None:
    env = {"ALLIUM_ACCOUNT": str(tmp_path / "account"), "ALLIUM_SEED": None}
    backup, password = str(tmp_path / "backup"), tmp_path / "password"
    password.write_text("a long one\n")
    command = ("account", "backup", backup, "--offline", "--password-file", str(password))
    readable = allium(*command, env=env)
    assert readable.returncode == 1 and "chmod 600" in readable.stderr, readable
    password.chmod(0o600)
    assert allium(*command, env=env).returncode == 0
    asked = allium("account", "verify-backup", backup, env=env, input="a long one\n")
    assert asked.returncode == 1 and "--password-file" in asked.stderr, asked
    # It needs no account, and the file may be named by the environment.
    known = {"ALLIUM_ACCOUNT": str(tmp_path / "none"), "ALLIUM_BACKUP_PASSWORD_FILE": str(password)}
    assert "1 messages" in allium("account", "verify-backup", backup, env=known).stdout
    content = bytearray(Path(backup).read_bytes())
    content[-200] ^= 1
    Path(backup).write_bytes(content)
    damaged = allium("account", "restore-backup", backup, env=known)
    assert damaged.returncode == 1 and "damaged" in damaged.stderr, damaged
    assert not (tmp_path / "none").exists() and not (tmp_path / "none.db").exists()
