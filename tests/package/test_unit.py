"""An operator's file for the reference's storage server, as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from allium.settings.config import SETTINGS, ConfigError, NodeConfig
from allium.takeover import storage_server_options

KEY = "AB" * 32


def test_a_file_is_read_as_settings(tmp_path: Path) -> None:
    path = tmp_path / "storage.conf"
    path.write_text(
        f"""
# comment
; another
[default]
ip=0.0.0.0
port = 22021
lmq-port=22020
oxend-rpc="ipc:///var/lib/oxen/oxend.sock"
data-dir=/var/lib/oxen/storage
log-level=Trace
stats-access-key={KEY}
stats-access-key=["{"cd" * 32}", "{"ef" * 32}"]
testnet=false
skip-bootstrap-nodes=true
"""
    )
    settings = storage_server_options.read(path)
    assert settings == {
        "bind_ip": "0.0.0.0",
        "https_port": "22021",
        "omq_port": "22020",
        "oxend_rpc": "ipc:///var/lib/oxen/oxend.sock",
        "data_dir": Path("/var/lib/oxen/storage"),
        "log_level": "debug",
        "stats_access_keys": [KEY.lower(), "cd" * 32, "ef" * 32],
        "bootstrap_seeds": [],
    }
    config = NodeConfig.load(None, settings)
    assert (config.https_port, config.omq_port, config.seeds) == (22021, 22020, [])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("port=1\nforce=1", "line 2: there is no option 'force' here"),
        ("testnet=maybe", "'maybe' is neither true nor false"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "storage.conf"
    path.write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        storage_server_options.read(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        storage_server_options.read(tmp_path / "none.conf")


def test_a_file_is_read_as_the_reference_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "storage.conf"
    keys = ["aa" * 32, "bb" * 32, "cc" * 32, "dd" * 32, "ee" * 32]
    path.write_text(
        f"""port = 22021 # as the router forwards it
bind-ip = 0.0.0.0 ; every address
data-dir = "/var/lib/oxen # storage"   # a quoted one
stats-access-key = {keys[0]} {keys[1]}
stats-access-key = [
  "{keys[2]}",  # the second machine
  {keys[3]},
]
stats-access-key={keys[4]}
testnet
force-start
lokid-rpc-port = 22023
lokid-key=00

[logging]
level = trace
port = 1
[default]
log-level = warn
""",
        encoding="utf-8-sig",
    )
    told: list[str] = []
    assert storage_server_options.read(path, told.append) == {
        "https_port": "22021",
        "bind_ip": "0.0.0.0",
        "data_dir": Path("/var/lib/oxen # storage"),
        "stats_access_keys": keys,
        "testnet": True,
        "log_level": "warning",
    }
    [warning] = told
    assert all(name in warning for name in ("force-start", "lokid-rpc-port", "lokid-key"))


def test_flags_and_values_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "storage.conf"
    path.write_text("skip-bootstrap-nodes\ntestnet = off # not yet")
    assert storage_server_options.read(path) == {"bootstrap_seeds": []}
    path.write_text("testnet\nport")
    with pytest.raises(ConfigError, match="line 2: port needs a value"):
        storage_server_options.read(path)


def test_a_command_line_of_years_ago() -> None:
    kept, obsolete = storage_server_options.without_obsolete(
        ["node", "run", "0.0.0.0", "22021", "--force-start", "--lokid-rpc-port", "22023", "--oxend-key=00", "--testnet"]
    )
    assert kept == ["node", "run", "0.0.0.0", "22021", "--testnet"]
    assert obsolete == ["force-start", "lokid-rpc-port", "oxend-key"]


def test_every_option_is_a_setting() -> None:
    assert set(storage_server_options.SETTINGS.values()) <= set(SETTINGS)
