"""What a server counts, for Prometheus and for `allium status`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
#: Why a request was refused before it was looked at.
REFUSALS = ("connections", "uploads", "quota", "slow", "layer", "size")


class ServerMetrics:
    """Counters and gauges of one process."""

    def __init__(self, name: str, data_dir: Path) -> None:
        """`name`: of the server, in the names of what it counts: `allium_NAME_…`."""
        self.registry = CollectorRegistry()
        self._prefix = f"allium_{name}_"
        self._data_dir = data_dir
        requests = "Requests answered, by how they came, what was asked and the status."
        self.requests = self.counter("requests", requests, "via", "request", "status")
        seconds = "From the head of a request until its answer was written."
        self.seconds = Histogram(
            f"{self._prefix}request_seconds", seconds, ("via",), buckets=_SECONDS, registry=self.registry
        )
        self.received = self.counter("received_bytes", "Bytes of bodies received.")
        self.sent = self.counter("sent_bytes", "Bytes of bodies sent.")
        self.refused = self.counter("refused", "Requests and connections refused unseen, by why.", "reason")
        for reason in REFUSALS:
            self.refused.labels(reason)
        self.connections = self.gauge("connections", "Open connections.")
        self.bodies = self.gauge("bodies", "Bodies under way.")
        self.shown("disk_bytes", "Size of the file system of the data directory.", lambda: self._disk().total)
        self.shown("disk_free_bytes", "What is free there.", lambda: self._disk().free)
        self.shown("resident_bytes", "Memory of this process.", _resident)

    def value(self, name: str, **labels: str) -> float:
        """A value now; 0 for what has not happened."""
        return self.registry.get_sample_value(f"{self._prefix}{name}", labels) or 0.0

    def document(self) -> dict[str, Any]:
        """The plain numbers, by name, for `allium status --json`; of those with labels the sums."""
        told: dict[str, Any] = {}
        for family in self.registry.collect():
            for sample in family.samples:
                if not sample.name.endswith(("_created", "_bucket", "_sum")):
                    name = sample.name.removeprefix(self._prefix)
                    told[name] = told.get(name, 0) + sample.value
        return told

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        """A counter with these labels."""
        return Counter(f"{self._prefix}{name}", text, labels, registry=self.registry)

    def gauge(self, name: str, text: str) -> Gauge:
        """A gauge."""
        return Gauge(f"{self._prefix}{name}", text, registry=self.registry)

    def shown(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that is looked at when somebody asks."""
        self.gauge(name, text).set_function(value)

    def _disk(self) -> Any:
        return shutil.disk_usage(self._data_dir)


def _resident() -> float:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0.0
