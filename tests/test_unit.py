"""An operator's file for the reference's storage server, as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from allium import unit
from allium.config import ConfigError, NodeConfig

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
    settings = unit.read(path)
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
        unit.read(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        unit.read(tmp_path / "none.conf")


def test_every_option_is_a_setting() -> None:
    assert set(unit.SETTINGS.values()) <= set(NodeConfig.model_fields)
