"""What a file server counts, for Prometheus and for `allium status`."""

from __future__ import annotations

from pathlib import Path

from allium.files.service import FileService
from allium.server.metrics import ServerMetrics


class Metrics(ServerMetrics):
    """Counters and gauges of one process."""

    def __init__(self, service: FileService, data_dir: Path) -> None:
        super().__init__("files", data_dir)
        for name, text, value in (
            ("stored_files", "Files held.", lambda: service.totals.files),
            ("stored_bytes", "Bytes in them.", lambda: service.totals.bytes),
            ("limit_bytes", "Bytes that they may take.", lambda: service.limits.all_bytes),
            ("arriving_bytes", "Bytes of bodies on their way in.", lambda: service.arriving),
            ("loose_blobs", "Blobs that no file has, or not yet.", lambda: service.totals.loose),
            ("expired_files", "Files dropped because their time was over.", lambda: service.expired),
            ("deduplicated_bytes", "Bytes that were there already when they came.", lambda: service.saved_bytes),
            ("missing_files", "Times that a file's bytes were not there.", lambda: service.missing),
        ):
            self.shown(name, text, value)
        #: Plain downloads, and their bytes, that are not in the counters yet.
        self._fresh = self._fresh_bytes = 0
        self._downloads = self.requests.labels("http", "GET file", "200")
        self._plain_seconds = self.seconds.labels("http")

    def downloaded(self, size: int, seconds: float) -> None:
        """Counts a plain download."""
        self._fresh += 1
        self._fresh_bytes += size
        self._plain_seconds.observe(seconds)

    def complete(self) -> None:
        """See `ServerMetrics`."""
        self._downloads.inc(self._fresh)
        self.sent.inc(self._fresh_bytes)
        self._fresh = self._fresh_bytes = 0
