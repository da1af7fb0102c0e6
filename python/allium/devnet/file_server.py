"""The file server of a devnet: its settings, its key, the command that runs it."""

from __future__ import annotations

import sys

from allium import _native
from allium.base import files
from allium.devnet import process
from allium.devnet.layout import LOOPBACK, LOOPBACK_NETWORK, FileServerRecord, Layout
from allium.files import settings
from allium.settings import keys


def create(layout: Layout, http_port: int, metrics_port: int) -> FileServerRecord:
    """Makes its key and settings; it does not run yet."""
    secret = keys.create_ed25519(layout.files_dir)
    chosen = settings.commented_toml(
        data_dir=".",
        bind_ip=LOOPBACK,
        http_port=http_port,
        metrics_port=metrics_port,
        public_url=f"http://{LOOPBACK}:{http_port}",
        source_exempt=[LOOPBACK_NETWORK],
    )
    files.create(layout.files_dir / settings.FILE_NAME, chosen.encode())
    ed25519, x25519, _ = _native.node_keys(secret[:32])
    return FileServerRecord(
        url=f"http://{LOOPBACK}:{http_port}",
        pubkey_ed25519=ed25519.hex(),
        pubkey_x25519=x25519.hex(),
        data_dir=str(layout.files_dir),
        pid=0,
        metrics_port=metrics_port,
    )


def command(layout: Layout) -> process.Command:
    """What runs it."""
    config = str(layout.files_dir / settings.FILE_NAME)
    return process.Command(
        "files", [sys.executable, "-m", "allium", "files", "serve", "--config", config], layout.files_log
    )


def is_running(layout: Layout, record: FileServerRecord) -> bool:
    """Whether its process lives."""
    return process.is_running(record.pid, str(layout.files_dir / settings.FILE_NAME))
