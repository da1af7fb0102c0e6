"""Files are written whole or not at all, for their owner alone, and belong to whom their directory belongs."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from allium import _native
from allium.base import files
from allium.devnet import ports
from allium.settings import keys
from tests.support.command import NOBODY, allium, filled, root_only


@pytest.fixture
def theirs() -> Iterator[Path]:
    """A directory of another user's, where they can go."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        place = Path(name) / "node"
        place.mkdir(mode=0o700)
        os.chown(place, NOBODY, NOBODY)
        yield place


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir() if path.is_file()}


def test_an_export_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    where, backup = filled(tmp_path / "store", 300), tmp_path / "backups" / "backup"
    backup.parent.mkdir()
    backup.write_text("precious")
    (tmp_path / "empty").mkdir()
    none = allium("store", "export", str(backup), "--data-dir", str(tmp_path / "empty"))
    assert none.returncode == 1 and "no message store" in none.stderr

    def little() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    full = allium("store", "export", str(backup), "--data-dir", str(where), preexec_fn=little)
    assert full.returncode == 1 and full.stderr
    assert backup.read_text() == "precious" and names(backup.parent) == {"backup"}
    assert allium("store", "export", str(backup), "--data-dir", str(where)).returncode == 0
    assert backup.read_bytes().count(b'{"message"') == 300 and modes(backup.parent) == {"backup": 0o600}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_heeded_at_once_and_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    where = filled(tmp_path / "store")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "allium", "store", "import", str(pipe), "--data-dir", str(where)]

    def heeds() -> None:
        """Also where this process was begun in the background of a shell, which has Ctrl-C ignored."""
        signal.signal(number, signal.SIG_DFL)

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heeds) as process:
        with pipe.open("wb", buffering=0) as writer:  # it is there when that returns, and waits for more
            writer.write(b'{"allium_store":{"version":1}}\n')
            process.send_signal(number)
            assert process.wait(30) == 128 + number
        assert process.stderr is not None and "Traceback" not in process.stderr.read()
    assert _native.store_verify(str(where))["messages"] == 20


@pytest.mark.parametrize("command", ["compact", "export"])
def test_work_that_is_stopped_in_the_middle(command: str, tmp_path: Path) -> None:
    where, backup = filled(tmp_path / "store", 20_000), tmp_path / "out" / "backup"
    backup.parent.mkdir()
    backup.write_text("precious")
    arguments = [command, *([str(backup)] if command == "export" else []), "--data-dir", str(where)]
    made = backup.parent if command == "export" else where
    with subprocess.Popen([sys.executable, "-m", "allium", "store", *arguments], stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not any(name.endswith(".new") for name in names(made)):
            pass
        process.terminate()
        code = process.wait(30)
    assert code in (0, 128 + signal.SIGTERM)
    assert not any(name.endswith(".new") for name in names(made))
    if command == "export" and code:
        assert backup.read_text() == "precious"
    assert _native.store_verify(str(where))["messages"] == 20_000


def test_no_file_is_for_others_whatever_the_umask(tmp_path: Path) -> None:
    data, account, back = tmp_path / "node", tmp_path / "account", tmp_path / "back.db"
    assert allium("node", "init", "--data-dir", str(data), umask=0).returncode == 0
    filled(data)
    assert allium("store", "compact", "--data-dir", str(data), umask=0).returncode == 0
    assert allium("store", "export", str(data / "backup"), "--data-dir", str(data), umask=0).returncode == 0
    assert allium("account", "new", "--account", str(account), umask=0).returncode == 0
    assert allium("export", "oxen-storage", str(back), "--data-dir", str(data), umask=0).returncode == 0
    assert set(modes(data).values()) == {0o600}, modes(data)
    assert modes(tmp_path) == {"account": 0o600, "back.db": 0o600}
    assert stat.S_IMODE(data.stat().st_mode) == 0o700


def test_an_open_store_s_log_is_its_owner_s(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = _native.Store(tmp_path / "deep" / "store", 1 << 30, 1 << 30, 1 << 20, "sync")
        store.put([("05" + "11" * 32, 0, 1, 1 << 62, b"hello")])
    finally:
        os.umask(before)
    assert set(modes(tmp_path / "deep" / "store").values()) == {0o600}
    assert stat.S_IMODE((tmp_path / "deep").stat().st_mode) == 0o700
    store.close()


def test_replacing_and_creating(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    files.create(path, b"one")
    link.symlink_to("file")
    with pytest.raises(FileExistsError):
        files.create(path, b"two")
    path.chmod(0o640)
    files.replace(link, b"three")
    assert link.is_symlink() and path.read_bytes() == b"three" and modes(tmp_path)["file"] == 0o640
    assert names(tmp_path) == {"file", "link"}


def test_keys_are_made_together_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "node"
    data.mkdir()
    (data / "config.toml").symlink_to("nowhere")  # where nothing can be made
    refused = allium("node", "init", "--data-dir", str(data))
    assert refused.returncode == 1 and not keys.exist(data), refused
    (data / "config.toml").unlink()
    assert allium("node", "init", "--data-dir", str(data)).returncode == 0


@root_only
def test_what_root_does_in_a_user_s_directory_is_the_user_s(theirs: Path) -> None:
    exported = theirs.parent / "export"
    filled(theirs.parent / "other")
    steps = [
        ("node", "init", "--data-dir", str(theirs)),
        ("store", "export", str(exported), "--data-dir", str(theirs.parent / "other")),
        ("store", "import", str(exported), "--data-dir", str(theirs)),
        ("store", "stats", "--data-dir", str(theirs)),
        ("store", "compact", "--data-dir", str(theirs)),
        ("store", "export", str(theirs / "backup"), "--data-dir", str(theirs)),
    ]
    for step in steps:
        done = allium(*step)
        assert done.returncode == 0, done
        assert {path.stat().st_uid for path in theirs.iterdir()} == {NOBODY}, step
    taken = theirs / "deep" / "store"
    database = str(theirs.parent / "storage.db")
    assert allium("export", "oxen-storage", database, "--data-dir", str(theirs)).returncode == 0
    assert allium("import", "oxen-storage", database, "--data-dir", str(taken)).returncode == 0
    assert {path.stat().st_uid for path in (taken, taken.parent, *taken.iterdir())} == {NOBODY}
    passphrase = theirs.parent / "passphrase"
    files.create(passphrase, b"open sesame")
    assert allium("node", "seal", "--data-dir", str(theirs), "--passphrase-file", str(passphrase)).returncode == 0
    assert {path.stat().st_uid for path in theirs.iterdir()} == {NOBODY}
    assert allium("store", "verify", "--data-dir", str(theirs), uid=NOBODY).returncode == 0


@root_only
def test_a_node_of_root_s_leaves_nothing_that_the_user_s_cannot_use(theirs: Path) -> None:
    made = keys.create(theirs)
    with ports.reserve(2) as [https_port, omq_port]:
        entry = {
            "pubkey_legacy": made.legacy_public.hex(),
            "pubkey_ed25519": made.ed25519_public.hex(),
            "pubkey_x25519": made.x25519_public.hex(),
            "ip": "127.0.0.1",
            "https_port": https_port,
            "omq_port": omq_port,
            "swarm_id": 0,
        }
        network = theirs.parent / "network.json"
        network.write_text(json.dumps({"nodes": [entry]}))
        network.chmod(0o644)
        variables = {
            "ALLIUM_DATA_DIR": str(theirs),
            "ALLIUM_NETWORK_FILE": str(network),
            "ALLIUM_BIND_IP": "127.0.0.1",
            "ALLIUM_HTTPS_PORT": str(https_port),
            "ALLIUM_OMQ_PORT": str(omq_port),
            "ALLIUM_METRICS_PORT": "",
        }
        command = [sys.executable, "-m", "allium", "node", "run"]
        with subprocess.Popen(command, env={**os.environ, **variables}, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            while "network in force" not in process.stderr.readline():
                pass
            assert {path.lstat().st_uid for path in theirs.iterdir()} == {NOBODY}, list(theirs.iterdir())
            process.terminate()
            process.wait(30)
            process.stderr.read()
        assert {path.lstat().st_uid for path in theirs.iterdir()} == {NOBODY}
        # And what somebody else has left there is named, with what to do.
        os.chown(theirs / "data.mdb", 0, 0)
        refused = allium("node", "run", env=variables, uid=NOBODY)
        assert refused.returncode == 78, refused
        assert "data.mdb belongs to root" in refused.stderr and f"chown -R nobody: {theirs}" in refused.stderr
        os.chown(theirs / "data.mdb", NOBODY, NOBODY)
        os.chown(theirs / "key", 0, 0)
        refused = allium("node", "run", env=variables, uid=NOBODY)
        assert refused.returncode == 78 and "key belongs to root" in refused.stderr, refused
