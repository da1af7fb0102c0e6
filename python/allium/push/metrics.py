"""What a push server counts, for Prometheus and for `allium status`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import Histogram

from allium.server.metrics import ServerMetrics

if TYPE_CHECKING:
    from allium.push.monitor import Monitor
    from allium.push.service import PushService

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
#: Why a notification was not delivered: a step could not be written, the queue or a device's part of it is full, or it
#: has waited for too long.
DROPS = ("busy", "full", "device", "expired")


class PushMetrics(ServerMetrics):
    """Counters and gauges of one process."""

    def __init__(self, data_dir: Path) -> None:
        super().__init__("push", data_dir)
        self.asked = self.counter("asked", "Items of requests, by what was asked and the outcome.", "what", "outcome")
        self.messages = self.counter("messages", "Messages that nodes have told of, each counted once.")
        self.attempts = self.counter("attempts", "Attempts to deliver, by service and outcome.", "service", "outcome")
        text = "What an attempt took."
        labels = ("service",)
        self.attempt_seconds = Histogram(
            "allium_push_attempt_seconds", text, labels, buckets=_SECONDS, registry=self.registry
        )
        self.dropped = self.counter("dropped", "Notifications that were never delivered, by why.", "reason")
        for reason in DROPS:
            self.dropped.labels(reason)
        self.gone = self.counter("gone", "Subscriptions ended because their device was no more.")
        self.lapsed = self.counter("lapsed", "Subscriptions ended because nobody made them anew in 14 days.")

    def attempted(self, service: str, outcome: str, seconds: float) -> None:
        """MonitorCounts an attempt."""
        self.attempts.labels(service, outcome).inc()
        self.attempt_seconds.labels(service).observe(seconds)

    def show(self, service: PushService, monitor: Monitor, limits: tuple[int, int]) -> None:
        """Adds what is looked at when somebody asks; `limits` of subscriptions and of the queue."""
        for name, text, value in (
            ("subscriptions", "Subscriptions held.", lambda: service.totals.subscriptions),
            ("limit_subscriptions", "Subscriptions that there may be.", lambda: limits[0]),
            ("queued", "Notifications that wait or are being sent.", lambda: service.totals.queued),
            ("limit_queued", "Notifications that there may be.", lambda: limits[1]),
            ("swarms", "Swarms that have an account.", lambda: monitor.swarms),
            ("nodes_wanted", "Nodes that are to tell of messages.", lambda: monitor.wanted),
            ("nodes_connected", "Nodes that are connected to.", lambda: monitor.connected),
            ("monitored", "Subscriptions made at nodes, or renewed.", lambda: monitor.counts.made),
            ("monitor_refused", "Subscriptions that a node has refused.", lambda: monitor.counts.refused),
            ("nonsense", "Notifications of nodes that made no sense.", lambda: monitor.counts.nonsense),
        ):
            self.shown(name, text, value)
