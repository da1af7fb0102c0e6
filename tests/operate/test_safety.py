"""What a node must not lose of what it has signed, as its operator meets it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.command import allium
from tests.support.devnet import Devnet


def test_a_lost_record_of_signatures_ends_the_node_until_it_is_skipped(small_chain: Devnet) -> None:
    directory = Path(small_chain.nodes[2]["data_dir"])
    config, record = str(directory / "config.toml"), directory / "cometbft" / "data" / "priv_validator_state.json"
    assert "the node runs" in allium("chain", "skip", "--config", config, "--height", "9").stderr
    small_chain.run("kill", "2")
    try:
        kept = json.loads(record.read_bytes())
        assert "is whole" in allium("chain", "skip", "--config", config).stderr
        record.unlink()
        done = allium("node", "run", "--config", config)
        assert done.returncode == 78 and "allium chain skip" in done.stderr and str(record) in done.stderr
        assert not record.exists()
        done = allium("chain", "skip", "--config", config)
        assert done.returncode == 0 and "signs again after height" in done.stdout
        assert int(json.loads(record.read_bytes())["height"]) >= int(kept["height"])
    finally:
        small_chain.run("start", "2")
