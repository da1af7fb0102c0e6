"""What a server counts, for Prometheus and for `allium status`."""

from __future__ import annotations

import os
import shutil
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LIMITS = (*(str(float(limit)) for limit in _SECONDS), "+Inf")
#: Why a request was refused before it was looked at.
REFUSALS = ("connections", "uploads", "quota", "slow", "layer", "size")


class Timing:
    """How long things of one kind took, in seconds."""

    def __init__(self) -> None:
        self.counts = [0] * (len(_SECONDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Counts one."""
        self.counts[bisect_left(_SECONDS, seconds)] += 1
        self.sum += seconds


class Timings(Collector):
    """A histogram by `via`. prometheus_client's own takes 4 us for each, a fifth of a small download."""

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text = name, text
        self._timings: dict[str, Timing] = {}

    def labels(self, via: str) -> Timing:
        """Those of one kind."""
        return self._timings.setdefault(via, Timing())

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        family = HistogramMetricFamily(self._name, self._text, labels=("via",))
        for via, timing in self._timings.items():
            total, buckets = 0, []
            for limit, count in zip(_LIMITS, timing.counts, strict=True):
                total += count
                buckets.append((limit, float(total)))
            family.add_metric([via], buckets, timing.sum)
        yield family


class _Registry(CollectorRegistry):
    """A registry whose numbers are made complete when somebody asks for them."""

    def __init__(self, complete: Callable[[], None]) -> None:
        super().__init__()
        self._complete = complete

    def collect(self) -> Iterator[Metric]:
        """See `CollectorRegistry`."""
        self._complete()
        yield from super().collect()


class ServerMetrics:
    """Counters and gauges of one process."""

    def __init__(self, name: str, data_dir: Path) -> None:
        """`name`: of the server, in the names of what it counts: `allium_NAME_…`."""
        self.registry: CollectorRegistry = _Registry(self.complete)
        self._prefix = f"allium_{name}_"
        self._data_dir = data_dir
        requests = "Requests answered, by how they came, what was asked and the status."
        self.requests = self.counter("requests", requests, "via", "request", "status")
        seconds = "From the head of a request until its answer was written."
        self.seconds = Timings(f"{self._prefix}request_seconds", seconds)
        self.registry.register(self.seconds)
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

    def complete(self) -> None:
        """Adds to the counters what has been counted elsewhere."""

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
