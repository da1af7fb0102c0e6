"""How an operator runs a file server: `init`, `seal`, `status`, `doctor`, metrics, settings."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path

import aiohttp
import pytest

from allium import _native
from allium.devnet import ports
from allium.files.settings import FilesConfig, commented_toml
from allium.settings import keys
from allium.settings.declared import ConfigError
from tests.files.conftest import Make
from tests.files.test_api import fetch, upload
from tests.support.command import allium
from tests.support.file_server import through_layer


def test_init_makes_a_key_and_settings(tmp_path: Path) -> None:
    directory = tmp_path / "files"
    url = "http://files.example"
    done = allium("files", "init", "--data-dir", str(directory), "--public-url", url, "--http-port", "8123")
    assert done.returncode == 0, done.stderr
    ed25519, x25519, _ = _native.node_keys(keys.load_ed25519(directory)[:32])
    assert f"Ed25519 key   {ed25519.hex()}" in done.stdout and f"X25519 key    {x25519.hex()}" in done.stdout
    assert f"{url}/file/ID#p={ed25519.hex()}" in done.stdout
    assert (directory / "key_ed25519").stat().st_mode & 0o777 == 0o600
    config = FilesConfig.load(directory / "files.toml")
    assert (config.data_dir, config.http_port, config.public_url) == (directory, 8123, url)
    again = allium("files", "init", "--data-dir", str(directory))
    assert again.returncode == 1 and "is there already" in again.stderr
    assert keys.load_ed25519(directory)[32:] == ed25519


def test_init_refuses_what_is_no_url(tmp_path: Path) -> None:
    done = allium("files", "init", "--data-dir", str(tmp_path / "files"), "--public-url", "files.example")
    assert done.returncode == 78 and "public_url" in done.stderr
    assert not (tmp_path / "files" / "key_ed25519").exists()


async def test_a_sealed_key(http: aiohttp.ClientSession, make_server: Make, tmp_path: Path) -> None:
    server = make_server()
    server.stop()
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse")
    passphrase.chmod(0o600)
    done = allium("files", "seal", "--data-dir", str(server.directory), "--passphrase-file", str(passphrase))
    assert done.returncode == 0 and "sealed: key_ed25519" in done.stdout, done.stderr
    refused = server.command("serve")
    assert refused.returncode == 78 and "is sealed" in refused.stderr
    server.start({"ALLIUM_PASSPHRASE_FILE": str(passphrase)})
    # The key is the one it was: layers for it still open.
    assert (await through_layer(http, server, "GET", "/file/1")).code == 404


async def test_status_and_metrics(http: aiohttp.ClientSession, make_server: Make) -> None:
    with ports.reserve(1) as [metrics_port]:
        server = make_server(metrics_port=metrics_port, max_bytes=1 << 20)
        directory = str(server.directory)
        told = await upload(http, server, os.urandom(100_000))
        await through_layer(http, server, "GET", f"/file/{told['id']}")
        done = allium("status", "--data-dir", directory)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "all is well" in done.stdout and "file server" in done.stdout and server.ed25519.hex() in done.stdout
        await upload(http, server, os.urandom(900_000))
        done = allium("status", "--data-dir", directory, "--json")
        document = json.loads(done.stdout)
        assert done.returncode == 1 and document["kind"] == "files" and not document["well"]
        assert document["problems"][0]["remedy"] == "raise max_bytes"
        assert document["files"]["stored_files"] == 2 and document["files"]["stored_bytes"] == 1_000_000
        _, body = await fetch(http, f"http://127.0.0.1:{metrics_port}/metrics")
    text = body.decode()
    assert 'allium_files_requests_total{request="POST file",status="200",via="http"} 2.0' in text
    assert 'allium_files_requests_total{request="content",status="200",via="layer"} 1.0' in text
    assert "allium_files_stored_bytes 1e+06" in text
    assert 'allium_files_request_seconds_count{via="onion"} 1.0' in text
    server.stop()
    done = allium("status", "--data-dir", directory)
    assert done.returncode == 3


def test_doctor(make_server: Make) -> None:
    server = make_server()
    done = allium("doctor", "--data-dir", str(server.directory), "--json")
    checks = {each["check"]: each for each in json.loads(done.stdout)}
    assert {"config", "server", "keys", "directory", "storage", "index", "space"} <= set(checks)
    assert f"process {server.pid}" in checks["server"]["found"]
    assert all(checks[name]["level"] == "ok" for name in ("config", "keys", "directory", "storage", "index"))
    server.stop()
    (server.directory / "key_ed25519").chmod(0o644)
    done = allium("doctor", "--config", str(server.directory / "files.toml"), "--json")
    checks = {each["check"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 1 and checks["keys"]["level"] == "failed" and "chmod 600" in checks["keys"]["remedy"]
    (server.directory / "files.toml").write_text("max_bytes = 'many'\n")
    done = allium("doctor", "--config", str(server.directory / "files.toml"))
    assert done.returncode == 1 and "max_bytes" in done.stdout


def test_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "files.toml"
    path.write_text(commented_toml(data_dir="."))
    config = FilesConfig.load(path)
    assert config.data_dir == tmp_path and config.max_file_bytes == 10_000_000 and config.ttl_seconds == 14 * 86_400
    # Every setting is in the file, with its default.
    uncommented = "\n".join(line.removeprefix("#") for line in path.read_text().splitlines() if "# " not in line[:2])
    path.write_text(uncommented)
    assert FilesConfig.load(path) == config
    monkeypatch.setenv("ALLIUM_FILES_SOURCE_EXEMPT", "192.0.2.0/24, 2001:db8::/32")
    assert [str(network) for network in FilesConfig.load(path).source_exempt] == ["192.0.2.0/24", "2001:db8::/32"]
    monkeypatch.delenv("ALLIUM_FILES_SOURCE_EXEMPT")
    for line, told in (
        ("storage = 'ftp://x'", "storage"),
        ("index = 'mysql://user:secret@x'", "index"),
        ("max_files = 5", "there is no setting"),
        ("ttl_seconds = 5", "ttl_seconds"),
        ("public_url = 'x'", "public_url"),
        ("http_port = 0", "http_port"),
        ("= 5", "TOML"),
    ):
        path.write_text(f"data_dir = '.'\n{line}\n")
        with pytest.raises(ConfigError, match=told) as error:
            FilesConfig.load(path)
        assert "secret" not in str(error.value)
    with pytest.raises(ConfigError, match="allium files init"):
        FilesConfig.load(tmp_path / "none.toml")


def test_metrics_are_nobody_elses_business(make_server: Make) -> None:
    server = make_server()
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{server.url}/metrics", timeout=30)
    assert (server.directory / "admin.sock").stat().st_mode & 0o777 == 0o600
