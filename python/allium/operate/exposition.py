"""The facts as Prometheus reads them. docs/operate/metrics.md has a line for every name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from allium import __version__
from allium.operate.facts import Facts

if TYPE_CHECKING:
    from allium.operate.chain_facts import ChainFacts

#: What a histogram's buckets are counted in.
_MICROSECONDS = 1e-6

_PROCESS = ProcessCollector(registry=None)

#: Label values, and then the value.
Row = tuple[object, ...]
Counts = tuple[Sequence[int], float]


def render(facts: Facts, accept: str) -> tuple[bytes, str]:
    """The text for a scraper that accepts these types, and its type."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Once(facts))
    registry.register(_PROCESS)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Once(Collector):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        facts = self._facts
        yield from _node(facts)
        yield from _threads(facts)
        yield from _requests(facts)
        yield from _work(facts)
        yield from _store(facts)
        yield from _swarm(facts)
        if facts.daemon is not None:
            yield _gauge("daemon_connected", "Whether the network's daemon is connected.", facts.daemon.connected)
            text = "Whether it took this node's last ping."
            yield _gauge("daemon_takes_pings", text, facts.daemon.refusal is None)
        if facts.chain is not None:
            yield from _chain(facts.chain)
            yield from _stake(facts.chain)
            yield from _committee(facts.chain)


def _node(facts: Facts) -> Iterator[Metric]:
    versions = (__version__, facts.engine["durability"], 1)
    yield _gauge("build_info", "The version, and how durable an acknowledged write is.", versions, "version durability")
    yield _gauge("start_time_seconds", "When the node began, in Unix time.", facts.started)
    yield _gauge("ready", "Whether requests are served.", facts.not_ready is None and facts.has_network)


def _threads(facts: Facts) -> Iterator[Metric]:
    rows: list[Row] = [(thread.name, thread.stalled) for thread in facts.threads]
    text = "For how long something that others depend on has given no sign of life; 0 while it is well."
    yield _gauge("thread_stalled_seconds", text, rows, "thread")


def _requests(facts: Facts) -> Iterator[Metric]:
    engine = facts.engine
    rows: list[Row] = list(engine["requests"])
    yield _counter("requests", "Requests answered.", rows, "transport method code")
    series = [((transport, method), counts) for transport, method, counts in engine["request_times"]]
    text = "From when a request was read until its answer was ready."
    yield _histogram("request_seconds", text, series, "transport method", _times(engine["bounds"]))
    text = "Requests turned away before anybody looked at what they ask for."
    yield _counter("refused_requests", text, list(engine["refusals"]), "transport reason")
    text = "Requests between nodes: of others to this one, and of this one to others."
    yield _counter("peer_requests", text, list(engine["traffic"]), "direction command outcome")
    yield _counter("onion_requests", "Onion requests answered.", list(engine["onions"]), "inside code")
    onions = [((inside,), counts) for inside, counts in engine["onion_times"]]
    text = "From when an onion request was read until its answer was ready."
    yield _histogram("onion_request_seconds", text, onions, "inside", _times(engine["bounds"]))
    yield _gauge("connections", "Open connections.", list(engine["connections"]), "transport")
    held = engine["memory"]
    used: list[Row] = [(name, used) for name, used, *_ in held]
    yield _gauge("memory_used_bytes", "Memory held for others, by what for.", used, "budget")
    limits = [(name, limit) for name, _, limit, _ in held]
    yield _gauge("memory_limit_bytes", "As much of it as there may be.", limits, "budget")
    refused: list[Row] = [(name, count) for name, *_, count in held]
    yield _counter("memory_refused", "How often there was no room.", refused, "budget")
    yield _gauge("subscriptions", "Accounts that somebody subscribes to.", engine["monitors"])


def _work(facts: Facts) -> Iterator[Metric]:
    engine = facts.engine
    taken: list[Row] = [(name, taken) for name, taken, _ in engine["queues"]]
    yield _gauge("queue_length", "What waits or is under way.", taken, "queue")
    limits: list[Row] = [(name, limit) for name, _, limit in engine["queues"]]
    yield _gauge("queue_limit", "How much may; beyond, the answer is busy.", limits, "queue")
    batches = [((what,), counts) for what, counts in engine["batches"]]
    text = "How much was done together: layers opened, signatures verified, answers signed, writes in a transaction."
    yield _histogram("batch_size", text, batches, "stage", [float(bound) for bound in engine["bounds"]])
    plan: list[Row] = [(work, backend, least) for work, backend, least in engine["plan"]]
    text = "The smallest batch that this backend is used for, as measured on this processor."
    yield _gauge("batch_backend_from", text, plan, "work backend")
    known, most = engine["known_keys"]
    yield _gauge("known_keys_bytes", "Memory for what is known of public keys that have signed.", known)
    yield _gauge("known_keys_limit_bytes", "As much of it as there may be.", most)


def _store(facts: Facts) -> Iterator[Metric]:
    engine, disk = facts.engine, facts.disk
    yield _gauge("store_messages", "Messages held.", engine["messages"])
    yield _gauge("store_bytes", "Bytes charged for them.", engine["store_bytes"])
    yield _gauge("store_limit_bytes", "Bytes that they may take.", engine["store_max_bytes"])
    text = "How long a transaction took, until it was as durable as it was to be."
    yield _histogram("store_commit_seconds", text, [((), engine["commits"])], "", _times(engine["bounds"]))
    yield _counter("store_refused", "Writes that the store refused.", list(engine["store_refused"]), "reason")
    yield _counter("store_expired", "Messages removed because their time was over.", engine["expired"])
    text = "For how long the message has been due that should have gone first."
    yield _gauge("store_expiry_lag_seconds", text, engine["expiry_lag"])
    text = "Written to the write-ahead log, and on the way into the tables."
    yield _gauge("store_unfolded_bytes", text, engine["unfolded_bytes"])
    text = "For how long nothing could be written; 0 while it can."
    yield _gauge("store_failing_seconds", text, max(1, engine["store_failure"][0]) if engine["store_failure"] else 0)
    yield _gauge("file_bytes", "Size of a file in the data directory.", list(disk.files.items()), "file")
    yield _gauge("disk_bytes", "Size of the file system of the data directory.", disk.size)
    yield _gauge("disk_free_bytes", "What is free there for this node.", disk.free)


def _swarm(facts: Facts) -> Iterator[Metric]:
    engine = facts.engine
    yield _gauge("network_height", "Height of the list of nodes in force.", engine["height"])
    yield _gauge("network_nodes", "Nodes in the network.", engine["nodes"])
    text = "Nodes of the list that have a key of one before them, and are not taken into the network."
    yield _gauge("network_nodes_left_out", text, engine["nodes_left_out"])
    yield _gauge("network_swarms", "Swarms of the network.", engine["swarms"])
    yield _gauge("swarm_members", "Members of this node's swarm, itself included.", engine["swarm_members"])
    yield _gauge("quic_peers", "QUIC connections to other nodes.", engine["quic_peers"])
    yield _gauge("members_behind", "Members of the swarm that have missed something.", engine["members_behind"])
    yield _gauge("redelivery_backlog", "Things kept for members that have missed them.", engine["missed"])
    text = "Things that members have missed and there was no room for."
    yield _counter("redelivery_dropped", text, engine["missed_dropped"])
    yield _gauge("transfers", "Transfers of messages to other nodes that are not finished.", engine["transfers"])
    text = "Messages that were given or taken because a comparison with another member found them missing."
    rows: list[Row] = [("given", engine["compared_given"]), ("taken", engine["compared_taken"])]
    yield _counter("compared_messages", text, rows, "way")
    yield _counter("compared_bytes", "Bytes sent to compare with other members.", engine["compared_bytes"])
    text = "Messages that other nodes have sent, by what became of them."
    yield _counter("received_messages", text, engine["arrivals"], "outcome")
    tests: list[Row] = [
        (transport, "reached" if reached else "not_reached", count) for transport, reached, count in engine["tests"]
    ]
    text = "Tests of whether other nodes can be reached."
    yield _counter("reachability_tests", text, tests, "transport result")
    text = "Nodes that were not reached when they were last tested."
    yield _gauge("unreachable_nodes", text, engine["unreachable"])
    text = "When somebody last tested whether this node can be reached, in Unix time; 0 for never."
    yield _gauge("tested_timestamp_seconds", text, list(facts.pinged.items()), "transport")


def _chain(chain: ChainFacts) -> Iterator[Metric]:
    yield _gauge("chain_height", "Height of the replicated state.", chain.height)
    yield _gauge("chain_lag_seconds", "How long ago that height was.", chain.lag)
    yield _gauge("chain_nodes", "Registered nodes.", chain.members)
    yield _gauge("l2_height", "Block of the EVM chain up to which the state has its events.", chain.l2_height)
    finals: list[Row] = [(each.number, each.final) for each in chain.providers if each.final is not None]
    yield _gauge("l2_final_height", "Last final block that a provider told of.", finals, "provider")
    trusted: list[Row] = [(each.number, each.trouble is None) for each in chain.providers]
    yield _gauge("l2_provider_up", "Whether a provider is relied on.", trusted, "provider")


def _stake(chain: ChainFacts) -> Iterator[Metric]:
    from allium.appchain.parameters import SESH

    stake = chain.stake
    yield _gauge("registered", "Whether this node is registered.", stake.registered)
    yield _gauge("decommissioned", "Whether the network has decommissioned it.", stake.decommissioned)
    yield _gauge("payable", "Whether it earns now.", stake.is_payable)
    yield _gauge("stake_sesh", "What is staked for it.", stake.staked / SESH)
    credit = stake.credit * chain.block_seconds
    yield _gauge("credit_seconds", "How long it may yet be down before it is deregistered.", credit)
    text = "When this node last proved to the others that it is there, in Unix time; 0 for never."
    yield _gauge("uptime_proof_timestamp_seconds", text, chain.proven)
    yield _gauge("unlock_height", "Last height at which it is a member; 0 while nobody asked.", stake.unlock_height)
    text = "All that its operator ever earned, claimed or not."
    yield _gauge("reward_accrued_sesh", text, stake.earned / SESH)


def _committee(chain: ChainFacts) -> Iterator[Metric]:
    committee = chain.committee
    if committee is None:
        return
    yield _gauge("cometbft_up", "Whether CometBFT runs and answers.", committee.height is not None)
    yield _gauge("committee_members", "Nodes that vote.", committee.members)
    yield _gauge("committee_votes", "Whether this node votes.", committee.votes)
    if committee.height is not None:
        yield _gauge("cometbft_height", "Height that CometBFT has committed.", committee.height)
        yield _gauge("cometbft_catching_up", "Whether it catches up with others.", bool(committee.catching_up))
        yield _gauge("cometbft_peers", "Nodes that it is connected to.", committee.peers or 0)


def _rows(rows: float | Row | Iterable[Row]) -> Iterable[Row]:
    """One value, one row or many rows as rows."""
    if isinstance(rows, int | float):
        return [(rows,)]
    return [rows] if isinstance(rows, tuple) else rows


def _gauge(name: str, text: str, rows: float | Row | Iterable[Row], labels: str = "") -> Metric:
    family = GaugeMetricFamily(f"allium_{name}", text, labels=labels.split())
    for *values, value in _rows(rows):
        family.add_metric([str(each) for each in values], float(value))  # type: ignore[arg-type]
    return family


def _counter(name: str, text: str, rows: float | Row | Iterable[Row], labels: str = "") -> Metric:
    family = CounterMetricFamily(f"allium_{name}", text, labels=labels.split())
    for *values, value in _rows(rows):
        family.add_metric([str(each) for each in values], float(value))  # type: ignore[arg-type]
    return family


def _histogram(
    name: str, text: str, series: Iterable[tuple[Row, Counts]], labels: str, bounds: Sequence[float]
) -> Metric:
    """`bounds` may be more than a series has buckets."""
    family = HistogramMetricFamily(f"allium_{name}", text, labels=labels.split())
    for values, (counts, total) in series:
        les = [*(f"{bound:g}" for bound in bounds[: len(counts) - 1]), "+Inf"]
        buckets = list(zip(les, map(float, accumulate(counts)), strict=True))
        family.add_metric([str(each) for each in values], buckets, total)
    return family


def _times(bounds: Sequence[int]) -> list[float]:
    return [bound * _MICROSECONDS for bound in bounds]
