"""The key files of a node."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from nacl import bindings

from allium.settings import keys


def test_created_keys_load_again_and_are_private(tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "node"
    made = keys.create(directory)
    assert keys.load(directory) == made
    for name, size in ((keys.ED25519_FILE, 64), (keys.LEGACY_FILE, 32)):
        status = (directory / name).stat()
        assert stat.S_IMODE(status.st_mode) == 0o600
        assert status.st_size == size


def test_public_keys_belong_to_the_secrets() -> None:
    made = keys.generate()
    assert made.ed25519_public == bindings.crypto_sign_ed25519_sk_to_pk(made.ed25519_secret)
    x25519_secret = bindings.crypto_sign_ed25519_sk_to_curve25519(made.ed25519_secret)
    assert made.x25519_public == bindings.crypto_scalarmult_base(x25519_secret)
    assert made != keys.generate()


def test_legacy_public_key_is_not_clamped() -> None:
    one = keys.NodeKeys(bytes(64), (1).to_bytes(32, "little"))
    base_point = "58" + "66" * 31
    assert one.legacy_public.hex() == base_point


def test_secrets_stay_out_of_repr() -> None:
    made = keys.generate()
    assert repr(made) == "NodeKeys()"


@pytest.mark.parametrize("present", [keys.ED25519_FILE, keys.LEGACY_FILE])
def test_nothing_is_overwritten(tmp_path: Path, present: str) -> None:
    (tmp_path / present).write_bytes(b"precious")
    with pytest.raises(keys.KeyFileError, match="never overwritten"):
        keys.create(tmp_path)
    assert (tmp_path / present).read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_readable_by_others_is_refused_with_the_command_to_run(tmp_path: Path, mode: int) -> None:
    keys.create(tmp_path)
    path = tmp_path / keys.LEGACY_FILE
    path.chmod(mode)
    with pytest.raises(keys.KeyFileError, match=f"chmod 600 {path}"):
        keys.load(tmp_path)


def test_missing_or_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(keys.KeyFileError, match="does not exist; restore your backup"):
        keys.load(tmp_path)
    made = keys.create(tmp_path)
    ed25519, legacy = tmp_path / keys.ED25519_FILE, tmp_path / keys.LEGACY_FILE
    ed25519.write_bytes(made.ed25519_secret[:-1])
    with pytest.raises(keys.KeyFileError, match="not 64 bytes"):
        keys.load(tmp_path)
    ed25519.write_bytes(made.ed25519_seed + bytes(32))
    with pytest.raises(keys.KeyFileError, match="do not belong together"):
        keys.load(tmp_path)
    ed25519.write_bytes(made.ed25519_secret)
    for scalar in (bytes(32), b"\xff" * 32):
        legacy.write_bytes(scalar)
        with pytest.raises(keys.KeyFileError, match="not a scalar"):
            keys.load(tmp_path)
    legacy.write_bytes(made.legacy_secret)
    assert keys.load(tmp_path) == made
