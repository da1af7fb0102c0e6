"""`allium doctor` on real nodes, up and down: what is wrong is found, and nothing is changed."""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import lmdb
import pytest

from allium.base import complaint
from allium.cli import main as cli
from allium.devnet import ports
from allium.operate import admin
from allium.settings import keys
from allium.settings.config import commented_toml
from tests.support.command import NOBODY, allium, root_only
from tests.support.devnet import Devnet, up


def doctor(*arguments: str, **environment: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """Exit code, and results by check. In this process: a new one needs half a second to begin."""
    with pytest.MonkeyPatch.context() as patch, io.StringIO() as output, redirect_stdout(output):
        for name, value in environment.items():
            patch.setenv(name, value)
        code = cli.main(["doctor", *arguments, "--json"])
        return code, read(code, output.getvalue())


def read(code: int, output: str) -> dict[str, list[dict[str, Any]]]:
    """Results by check, each of them as it should be."""
    results: dict[str, list[dict[str, Any]]] = {}
    for result in json.loads(output):
        assert result["level"] in ("ok", "warning", "failed")
        # A remedy for whatever is not well, and for nothing else.
        assert bool(result["remedy"]) == (result["level"] != "ok"), result
        results.setdefault(result["check"], []).append(result)
    failed = any(result["level"] == "failed" for several in results.values() for result in several)
    assert code == (1 if failed else 0)
    return results


def one(results: dict[str, list[dict[str, Any]]], check: str) -> tuple[str, str]:
    """Level and finding of the only result of a check."""
    [result] = results[check]
    return result["level"], result["found"]


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Path]:
    """The directory of a node that was never started, on ports that are free."""
    directory = tmp_path / "node"
    keys.create(directory)
    with ports.reserve(3) as [https_port, omq_port, metrics_port]:
        free = {"https_port": https_port, "omq_port": omq_port, "metrics_port": metrics_port}
    text = commented_toml(data_dir=".", network_file="network.json", bind_ip="127.0.0.1", **free)
    (directory / "config.toml").write_text(text)
    yield directory


def test_all_checks_are_made_beside_a_node_that_serves(small_chain: Devnet) -> None:
    directory = small_chain.nodes[0]["data_dir"]
    code, results = doctor("--data-dir", directory)
    expected = ["config", "node", "keys", "key_bls", "directory", "store", "space", "disk", "limits", "memory"]
    expected += ["processor", "network", "clock", "reachable", "ports", "providers", "cometbft"]
    assert list(results) == expected
    for check in ("config", "keys", "key_bls", "directory", "store", "clock", "ports", "providers", "cometbft"):
        assert one(results, check)[0] == "ok", results[check]
    assert f"process {small_chain.nodes[0]['pid']}" in one(results, "node")[1]
    assert "format 6" in one(results, "store")[1] and "fdatasync" not in one(results, "disk")[1]
    assert "2 other nodes" in one(results, "clock")[1] and "chain 31337" in one(results, "providers")[1]
    assert code == any(result["level"] == "failed" for several in results.values() for result in several)
    command = [sys.executable, "-m", "allium", "doctor", "--config", f"{directory}/config.toml"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert shown.returncode == code and all(f" {check} " in shown.stdout for check in expected), shown


def test_a_running_node_is_not_harmed_and_does_not_take_it_for_a_test(tmp_path: Path) -> None:
    # Alone: another node would test it, whenever it likes.
    with up(tmp_path, "--nodes", "1") as net:
        directory = Path(net.nodes[0]["data_dir"])
        before = sorted(path.name for path in directory.iterdir())
        earlier = asked(directory)
        assert one(doctor("--data-dir", str(directory))[1], "ports")[0] == "ok"
        # One request over each transport, and no ping, which would be a test by somebody else.
        now = asked(directory)
        assert {key: now[key] - earlier[key] for key in now} == {
            ("https", "info"): 1,
            ("omq", "info"): 1,
            ("quic", "info"): 1,
        }
        assert sorted(path.name for path in directory.iterdir()) == before


def asked(directory: Path) -> Counter[tuple[str, str]]:
    """What a node was asked: how, and what for."""
    rows = admin.status(directory)["engine"]["requests"]
    return Counter({(via, method): count for via, method, _, count in rows})


def test_a_provider_that_is_not_there_and_one_of_another_chain_are_found(small_chain: Devnet) -> None:
    directory = small_chain.nodes[0]["data_dir"]
    good = small_chain.network["chain"]["rpc_url"]
    with ports.reserve(1) as [nobody]:
        dead = f"http://127.0.0.1:{nobody}/secret-of-mine"
        code, results = doctor("--data-dir", directory, ALLIUM_L2_RPC=json.dumps([dead]))
        assert code == 1 and one(results, "providers")[0] == "failed"
        assert "secret-of-mine" not in json.dumps(results)
        code, results = doctor("--data-dir", directory, ALLIUM_L2_RPC=json.dumps([good, dead, good]))
        # Two of three are enough.
        assert [result["level"] for result in results["providers"]] == ["ok", "warning", "ok"]
    other = Path(directory).parent / "other-chain.json"
    chain = json.loads((Path(directory).parent / "chain.json").read_text())
    other.write_text(json.dumps({**chain, "l2_chain_id": 1}))
    code, results = doctor("--data-dir", directory, ALLIUM_CHAIN_FILE=str(other))
    assert one(results, "providers")[0] == "failed" and "the chain is 1" in results["providers"][0]["remedy"]


def test_a_clock_that_is_off_is_found(pair: Devnet, tmp_path: Path) -> None:
    directory = pair.nodes[0]["data_dir"]
    try:
        for seconds, level, words in ((90, "failed", "behind"), (-5, "warning", "ahead of")):
            pair.skew(1, seconds)
            until = time.monotonic() + 20
            # The node looks at its levers once in a while.
            while (found := one(doctor("--data-dir", directory)[1], "clock"))[0] != level:
                assert time.monotonic() < until, found
            assert words in found[1], found
            assert ("clock" in signed_complaint(pair, 1, tmp_path / "account")) == (abs(seconds) > 60)
    finally:
        pair.skew(1, 0)


def signed_complaint(net: Devnet, index: int, file: Path) -> str:
    """What `allium rpc --sign` complains of when that node is asked."""
    if not file.exists():
        net.allium("account", "new", "--account", str(file))
    command = [sys.executable, "-m", "allium", "rpc", "retrieve", "--sign", "--account", str(file)]
    command += ["--seed", net.network["seed_url"], "--node", net.nodes[index]["pubkey_ed25519"]]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stderr


def test_few_open_files_are_found(pair: Devnet) -> None:
    pid = pair.nodes[0]["pid"]
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (512, before[1]))
        _, results = doctor("--data-dir", pair.nodes[0]["data_dir"])
        level, found = one(results, "limits")
        assert level == "failed" and found.startswith("512 open files (the node's limit)")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_a_node_that_hangs_is_told_of(pair: Devnet) -> None:
    pair.run("stop", "1")
    try:
        code, results = doctor("--data-dir", pair.nodes[1]["data_dir"])
        # As `allium status` says it.
        assert code == 1 and "does not answer within" in one(results, "node")[1]
        # Its ports are its own, and not somebody else's.
        assert one(results, "ports")[0] == "failed" and "https: " in one(results, "ports")[1]
        assert one(results, "clock")[0] == "ok" and one(results, "store")[0] == "ok"
    finally:
        pair.run("continue", "1")


def test_a_node_that_is_down_is_examined_too(idle: Path) -> None:
    _, results = doctor("--data-dir", str(idle))
    assert one(results, "node") == ("ok", "does not run; what needs it is not checked")
    assert one(results, "keys")[0] == "ok" and one(results, "ports")[0] == "ok"
    assert one(results, "store") == ("ok", "there is none yet; the first start makes it")
    assert "no other node" in one(results, "clock")[1]
    assert sorted(path.name for path in idle.iterdir()) == ["config.toml", "key", "key_ed25519"]


def test_keys_that_others_can_read_are_found(idle: Path) -> None:
    (idle / keys.ED25519_FILE).chmod(0o644)
    code, results = doctor("--data-dir", str(idle))
    [result] = results["keys"]
    assert code == 1 and result["level"] == "failed" and "mode 644" in result["found"]
    assert result["remedy"] == f"run: chmod 600 {idle / keys.ED25519_FILE}"
    (idle / keys.ED25519_FILE).chmod(0o600)
    (idle / keys.LEGACY_FILE).write_bytes(bytes(32))
    code, results = doctor("--data-dir", str(idle))
    assert code == 1 and "is damaged" in one(results, "keys")[1]
    (idle / keys.LEGACY_FILE).unlink()
    assert "does not exist" in one(doctor("--data-dir", str(idle))[1], "keys")[1]


def test_a_directory_of_everybody_is_found(idle: Path) -> None:
    idle.chmod(0o755)
    assert one(doctor("--data-dir", str(idle))[1], "directory")[0] == "warning"
    idle.chmod(0o777)
    assert one(doctor("--data-dir", str(idle))[1], "directory")[0] == "failed"


def test_a_directory_that_keeps_its_owner_out_is_found(idle: Path) -> None:
    idle.chmod(0o500)
    code, results = doctor("--data-dir", str(idle))
    idle.chmod(0o700)
    assert code == 1 and one(results, "directory")[0] == "failed" and "mode 500" in one(results, "directory")[1]


@root_only
def test_what_root_has_left_in_the_directory_of_another_user_is_found(idle: Path) -> None:
    os.chown(idle, NOBODY, NOBODY)
    code, results = doctor("--data-dir", str(idle))
    [result] = results["directory"]
    assert code == 1 and "key_ed25519 belongs to root" in result["found"]
    assert result["remedy"] == f"chown -R {complaint.name(NOBODY)}: {idle}"


@root_only
def test_a_disk_that_is_full_or_read_only_is_found(idle: Path) -> None:
    disk = idle.parent / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        shutil.copytree(idle, disk / "node")
        with pytest.raises(OSError, match="No space"):
            (disk / "fill").write_bytes(bytes(1 << 20))
        code, results = doctor("--data-dir", str(disk / "node"))
        assert code == 1 and "the disk is full" in one(results, "disk")[1]
        sealed = allium("node", "init", "--data-dir", str(disk / "other"))
        assert sealed.returncode == 1 and "key_ed25519: the disk is full" in sealed.stderr
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        code, results = doctor("--data-dir", str(disk / "node"))
        assert code == 1 and "the file system is read-only" in one(results, "disk")[1]
        (disk.parent / "passphrase").write_text("p")
        (disk.parent / "passphrase").chmod(0o600)
        command = [
            "node",
            "seal",
            "--data-dir",
            str(disk / "node"),
            "--passphrase-file",
            str(disk.parent / "passphrase"),
        ]
        sealed = allium(*command)
        assert sealed.returncode == 1 and "key_ed25519: the file system is read-only" in sealed.stderr
    finally:
        subprocess.run(["umount", disk], check=True)


def test_the_list_of_nodes_is_looked_at(idle: Path) -> None:
    code, results = doctor("--data-dir", str(idle))
    assert code == 1 and one(results, "network") == (
        "failed",
        f"{idle / 'network.json'} cannot be read: No such file or directory",
    )
    (idle / "network.json").write_text('{"nodes": []}')
    level, found = one(doctor("--data-dir", str(idle))[1], "network")
    assert level == "warning" and "this node is none of them" in found


def test_a_place_without_a_configuration_is_told_of(idle: Path) -> None:
    (idle / "config.toml").unlink()
    for place, said in ((idle, "has no config.toml"), (idle / "none", "there is no "), (idle / "key", "there is no ")):
        code, results = doctor("--data-dir", str(place))
        assert code == 1 and said in one(results, "config")[1]
    (idle / "config.toml").mkdir()
    code, results = doctor("--data-dir", str(idle))
    assert code == 1 and "it is a directory" in one(results, "config")[1]


def test_a_port_that_somebody_else_has_is_found(idle: Path) -> None:
    with ports.reserve(1) as [port], socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", port))
        code, results = doctor("--data-dir", str(idle), ALLIUM_OMQ_PORT=str(port))
    assert code == 1 and one(results, "ports") == ("failed", f"UDP port {port} at 127.0.0.1: Address already in use")


def test_a_store_of_another_version_or_none_at_all_is_found(idle: Path, pair: Devnet) -> None:
    shutil.copy(Path(pair.nodes[0]["data_dir"]) / "data.mdb", idle)
    assert one(doctor("--data-dir", str(idle))[1], "store") == ("ok", "format 6")
    with lmdb.open(str(idle), max_dbs=32, map_size=1 << 28) as env, env.begin(write=True) as txn:
        txn.put(b"format", (99).to_bytes(8, "big"), db=env.open_db(b"meta", txn, create=False))
    code, results = doctor("--data-dir", str(idle))
    assert code == 1 and one(results, "store")[0] == "failed" and "format 99" in one(results, "store")[1]
    (idle / "data.mdb").write_bytes(b"no store at all" * 1000)
    code, results = doctor("--data-dir", str(idle))
    assert code == 1 and one(results, "store")[0] == "failed"


def test_a_store_that_has_no_room_to_grow_is_found(idle: Path) -> None:
    _, results = doctor("--data-dir", str(idle), ALLIUM_MAX_STORE_BYTES=str(10**18))
    assert one(results, "space")[0] == "warning"


def test_a_slower_backend_than_there_is_is_found(idle: Path) -> None:
    # The choice is made once for a process.
    command = [sys.executable, "-m", "allium", "doctor", "--data-dir", str(idle), "--json"]
    environment = {**os.environ, "ALLIUM_X25519": "scalar"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    level, found = one(read(done.returncode, done.stdout), "processor")
    assert level == "warning" and "scalar" in found


def test_the_daemon_is_looked_for(idle: Path) -> None:
    nowhere = f"ipc://{idle}/oxend.sock"
    code, results = doctor("--data-dir", str(idle), ALLIUM_OXEND_RPC=nowhere, ALLIUM_NETWORK_FILE="")
    assert code == 1 and one(results, "daemon") == ("failed", f"{nowhere} does not answer")
    assert "there is no such socket" in results["daemon"][0]["remedy"]
    assert one(results, "keys") == ("ok", "come from the network's daemon")


def test_a_configuration_that_cannot_be_used_is_told_of(idle: Path) -> None:
    (idle / "config.toml").write_text("data_dir = 1\nno_such = 2\n")
    code, results = doctor("--data-dir", str(idle))
    assert code == 1 and list(results) == ["config"] and "no_such" in one(results, "config")[1]
