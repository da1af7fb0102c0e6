"""What a file server counts, for Prometheus and for `allium status`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from allium.files.service import FileService

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
#: Why a request was refused before it was looked at.
REFUSALS = ("connections", "uploads", "quota", "slow", "layer", "size")


class Metrics:
    """Counters and gauges of one process."""

    def __init__(self, service: FileService, data_dir: Path) -> None:
        self.registry = CollectorRegistry()
        self._service = service
        self._data_dir = data_dir
        requests = "Requests answered, by how they came, what was asked and the status."
        self.requests = self._counter("requests", requests, "via", "request", "status")
        seconds = "From the head of a request until its answer was written."
        self.seconds = Histogram(
            "allium_files_request_seconds", seconds, ("via",), buckets=_SECONDS, registry=self.registry
        )
        self.received = self._counter("received_bytes", "Bytes of bodies received.")
        self.sent = self._counter("sent_bytes", "Bytes of bodies sent.")
        self.refused = self._counter("refused", "Requests and connections refused unseen, by why.", "reason")
        for reason in REFUSALS:
            self.refused.labels(reason)
        self.connections = self._gauge("connections", "Open connections.")
        self.bodies = self._gauge("bodies", "Bodies under way.")
        for name, text, value in (
            ("stored_files", "Files held.", lambda: service.totals.files),
            ("stored_bytes", "Bytes in them.", lambda: service.totals.bytes),
            ("limit_bytes", "Bytes that they may take.", lambda: service.limits.all_bytes),
            ("arriving_bytes", "Bytes of bodies on their way in.", lambda: service.arriving),
            ("loose_blobs", "Blobs that no file has, or not yet.", lambda: service.totals.loose),
            ("expired_files", "Files dropped because their time was over.", lambda: service.expired),
            ("deduplicated_bytes", "Bytes that were there already when they came.", lambda: service.saved_bytes),
            ("missing_files", "Times that a file's bytes were not there.", lambda: service.missing),
            ("disk_bytes", "Size of the file system of the data directory.", lambda: self._disk().total),
            ("disk_free_bytes", "What is free there.", lambda: self._disk().free),
            ("resident_bytes", "Memory of this process.", _resident),
        ):
            self._gauge(name, text).set_function(value)

        self._downloads = self.requests.labels("http", "GET file", "200")
        self._plain_seconds = self.seconds.labels("http")

    def downloaded(self, size: int, seconds: float) -> None:
        """Counts a plain download."""
        self._downloads.inc()
        self._plain_seconds.observe(seconds)
        self.sent.inc(size)

    def value(self, name: str, **labels: str) -> float:
        """A value now; 0 for what has not happened."""
        return self.registry.get_sample_value(f"allium_files_{name}", labels) or 0.0

    def document(self) -> dict[str, Any]:
        """The plain numbers, by name, for `allium status --json`; of those with labels the sums."""
        told: dict[str, Any] = {}
        for family in self.registry.collect():
            for sample in family.samples:
                if not sample.name.endswith(("_created", "_bucket", "_sum")):
                    name = sample.name.removeprefix("allium_files_")
                    told[name] = told.get(name, 0) + sample.value
        return told

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"allium_files_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"allium_files_{name}", text, registry=self.registry)

    def _disk(self) -> Any:
        return shutil.disk_usage(self._data_dir)


def _resident() -> float:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0.0
