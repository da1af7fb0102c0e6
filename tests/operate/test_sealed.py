"""Key files that a passphrase keeps."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from allium.base import sealed
from allium.settings import keys


@pytest.fixture(autouse=True)
def _anew_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed.ask.cache_clear()
    monkeypatch.setattr(sealed, "EFFORT", (1, 8192))


def test_only_the_passphrase_opens_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # what it costs in earnest
    closed = sealed.seal(b"secret", b"correct horse")
    assert b"secret" not in closed and sealed.is_sealed(closed)
    assert sealed.unseal(closed, b"correct horse") == b"secret"
    with pytest.raises(sealed.PassphraseError, match="not opened by this passphrase"):
        sealed.unseal(closed, b"correct hors")
    assert sealed.seal(b"secret", b"correct horse") != closed


@pytest.mark.parametrize("change", [lambda c: c[:25], lambda c: c[:50], lambda c: c[:-1], lambda c: c[:-1] + b"\0"])
def test_a_damaged_file_is_refused(change: object) -> None:
    closed = sealed.seal(b"secret", b"p")
    with pytest.raises(sealed.PassphraseError):
        sealed.unseal(change(closed), b"p")  # type: ignore[operator]


def test_a_hostile_file_costs_nothing() -> None:
    cost = len(b"allium sealed key 1\n")
    for operations, memory in ((2**40, 1 << 20), (3, 1 << 40)):
        closed = sealed.seal(b"secret", b"p")
        hostile = closed[:cost] + struct.pack(">QQ", operations, memory) + closed[cost + 16 :]
        with pytest.raises(sealed.PassphraseError, match="damaged"):
            sealed.unseal(hostile, b"p")


def test_a_node_s_keys_are_sealed_and_open_by_file_or_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = keys.create(tmp_path / "node")
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse\n")
    passphrase.chmod(0o600)
    assert keys.seal(tmp_path / "node", b"correct horse") == [keys.ED25519_FILE, keys.LEGACY_FILE]
    assert keys.seal(tmp_path / "node", b"correct horse") == []
    for name, secret in ((keys.ED25519_FILE, made.ed25519_secret), (keys.LEGACY_FILE, made.legacy_secret)):
        content = (tmp_path / "node" / name).read_bytes()
        assert secret not in content and (tmp_path / "node" / name).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in (tmp_path / "node").iterdir()) == sorted([keys.ED25519_FILE, keys.LEGACY_FILE])
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(keys.KeyFileError, match=sealed.ENVIRONMENT):
        keys.load(tmp_path / "node")
    monkeypatch.setenv(sealed.ENVIRONMENT, str(passphrase))
    assert keys.load(tmp_path / "node") == made
    monkeypatch.delenv(sealed.ENVIRONMENT)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    sealed.ask.cache_clear()
    assert keys.load(tmp_path / "node") == made
    passphrase.write_text("another\n")
    sealed.ask.cache_clear()
    with pytest.raises(keys.KeyFileError, match="not opened by this passphrase"):
        keys.load(tmp_path / "node")


@pytest.mark.parametrize(("text", "mode"), [(b"", 0o600), (b"\n", 0o600), (b"x" * 5000, 0o600), (b"known", 0o644)])
def test_what_is_no_passphrase(text: bytes, mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(text)
    path.chmod(mode)
    monkeypatch.setenv(sealed.ENVIRONMENT, str(path))
    with pytest.raises(sealed.PassphraseError):
        sealed.ask()
    os.environ[sealed.ENVIRONMENT] = str(tmp_path / "none")
    with pytest.raises(sealed.PassphraseError, match="cannot be read"):
        sealed.ask()


def test_an_operator_seals_them_once(tmp_path: Path) -> None:
    made = keys.create(tmp_path / "node")
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse\n")
    passphrase.chmod(0o600)
    command = [sys.executable, "-m", "allium", "node", "seal", "--data-dir", str(tmp_path / "node")]
    command += ["--passphrase-file", str(passphrase)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "sealed: key_ed25519, key\n" in done.stdout, done
    assert "correct horse" not in done.stdout + done.stderr
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 0 and "sealed already" in again.stdout, again
    content = (tmp_path / "node" / keys.ED25519_FILE).read_bytes()
    assert sealed.unseal(content, b"correct horse") == made.ed25519_secret
    passphrase.chmod(0o644)
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1 and "others may read" in refused.stderr, refused
