"""A node meets a store of another version."""

from __future__ import annotations

import signal
import subprocess
import sys

import lmdb

from allium.node.node import EXIT_CONFIG
from node_process import Running


def test_a_store_of_a_later_version_is_left_alone(running: Running) -> None:
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(60) == 0
    with lmdb.open(str(running.data_dir), max_dbs=32) as env, env.begin(write=True) as txn:
        later = int.from_bytes(txn.get(b"format", db=env.open_db(b"meta", txn))) + 1
        txn.put(b"format", later.to_bytes(8), db=env.open_db(b"meta", txn))
    before = (running.data_dir / "data.mdb").read_bytes()
    command = [sys.executable, "-m", "allium", "node", "run", "--config", str(running.file)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    # A service manager need not try again.
    assert refused.returncode == EXIT_CONFIG, refused
    assert f"has format {later}, this version reads {later - 1}" in refused.stdout + refused.stderr
    assert (running.data_dir / "data.mdb").read_bytes() == before
