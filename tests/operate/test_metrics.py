"""What a scrape of a real node says, and that the dashboard, the alerts and the page about it speak of nothing else."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from allium.appchain.types import PublicKey
from allium.base.admin_socket import SOCKET
from allium.client import direct
from allium.operate import admin, facts, server
from allium.settings.config import NodeConfig, commented_toml
from tests.support import ROOT, wire
from tests.support.devnet import Devnet
from tests.support.lone_node import LoneNode

DOCS = ROOT / "docs" / "operate"
NAME = re.compile(r"\b(?:allium|process)_[a-z0-9_]+\b")
#: Only with the network's daemon, which these networks have not.
WITH_DAEMON = {"allium_daemon_connected", "allium_daemon_takes_pings"}

#: A sample's name and labels.
Key = tuple[str, tuple[tuple[str, str], ...]]


def text(node: dict[str, Any]) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{node['metrics_port']}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        told: str = answer.read().decode()
    return told


def scrape(node: dict[str, Any]) -> Counter[Key]:
    families = text_string_to_metric_families(text(node))
    return Counter(
        {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }
    )


def sample(name: str, **labels: str) -> Key:
    return name, tuple(sorted(labels.items()))


def requests(of: Counter[Key], **labels: str) -> Counter[tuple[str, str, str]]:
    """Requests by transport, method and code."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for (name, pairs), value in of.items():
        told = dict(pairs)
        if name == "allium_requests_total" and labels.items() <= told.items():
            counted[told["transport"], told["method"], told["code"]] += int(value)
    return +counted


def subtract(after: Counter[Key], before: Counter[Key]) -> Counter[Key]:
    return Counter({key: value - before[key] for key, value in after.items()})


def test_a_scrape_under_load_counts_exactly_what_was_asked(pair: Devnet) -> None:
    node, other = pair.nodes
    user = wire.User()
    before, before_other = scrape(node), scrape(other)
    batch = {"requests": [{"method": "info", "params": {}}] * 3}

    def store() -> int:
        return wire.rpc(node, "store", wire.store_params(user.account_id, os.urandom(700))).status

    def ask(method: str, params: dict[str, Any]) -> int:
        return wire.rpc(node, method, params).status

    def onion() -> int:
        payload, layer = wire.onion([node], wire.rpc_body("info", {}))
        return int(wire.open_reply(layer, wire.post_onion(node, payload))["status"])

    def relay() -> int:
        payload, layer = wire.onion([node, other], wire.rpc_body("info", {}))
        return int(wire.open_reply(layer, wire.post_onion(node, payload))["status"])

    def direct_info(transport: direct.TransportName) -> int:
        return asyncio.run(direct.call(direct.Node.parse(node), "info", {}, transport=transport)).status

    with ThreadPoolExecutor(16) as pool:
        asked = [
            *(pool.submit(store) for _ in range(40)),
            *(pool.submit(ask, "info", {}) for _ in range(150)),
            *(pool.submit(ask, "batch", batch) for _ in range(20)),
            *(pool.submit(ask, "retrieve", {"pubkey": user.account_id}) for _ in range(10)),
            *(pool.submit(ask, "store", {"pubkey": "none"}) for _ in range(5)),
            *(pool.submit(ask, "no_such_method", {}) for _ in range(7)),
            *(pool.submit(onion) for _ in range(12)),
            *(pool.submit(relay) for _ in range(8)),
            *(pool.submit(direct_info, "omq") for _ in range(4)),
            *(pool.submit(direct_info, "quic") for _ in range(3)),
        ]
        # And scrapes beside it, which count nothing.
        scrapes = [pool.submit(text, node) for _ in range(5)]
        statuses = Counter(each.result() for each in asked)
        assert all(each.result() for each in scrapes)
    assert statuses == {200: 40 + 150 + 20 + 12 + 8 + 4 + 3, 401: 10, 400: 5 + 7}
    now = subtract(scrape(node), before)
    assert requests(now) == {
        ("https", "store", "200"): 40,
        ("https", "info", "200"): 150,
        ("https", "batch", "200"): 20,
        ("batch", "info", "200"): 60,
        ("https", "retrieve", "401"): 10,
        ("https", "store", "400"): 5,
        ("https", "unknown", "400"): 7,
        ("onion", "info", "200"): 12,
        ("omq", "info", "200"): 4,
        ("quic", "info", "200"): 3,
    }
    assert now[sample("allium_onion_requests_total", inside="request", code="200")] == 12
    assert now[sample("allium_onion_requests_total", inside="layer", code="200")] == 8
    now_other = subtract(scrape(other), before_other)
    # A message given to one member is passed on to the other, and so is a layer for it: both count both.
    for command, count in (("sn.storage_cc", 40), ("sn.onion_request", 8)):
        for told, direction in ((now, "out"), (now_other, "in")):
            labels = {"direction": direction, "command": command, "outcome": "answered"}
            assert told[sample("allium_peer_requests_total", **labels)] == count
    assert requests(now_other) == {
        ("swarm", "store", "200"): 40,
        ("onion", "info", "200"): 8,
    }
    # Every request is in its histogram, and every write in a transaction.
    assert now[sample("allium_request_seconds_count", transport="https", method="store")] == 45
    assert now[sample("allium_request_seconds_bucket", transport="https", method="store", le="+Inf")] == 45
    assert 0 < now[sample("allium_request_seconds_sum", transport="https", method="store")] < 45 * 5
    assert now[sample("allium_batch_size_sum", stage="store")] >= 40
    assert now[sample("allium_batch_size_count", stage="store")] == now[sample("allium_store_commit_seconds_count")]
    assert now[sample("allium_batch_size_sum", stage="peel")] == 20
    assert now[sample("allium_store_messages")] == 40
    assert scrape(node)[sample("allium_queue_length", queue="https")] == 0


def test_what_is_turned_away_is_counted_by_its_reason(pair: Devnet) -> None:
    node = pair.nodes[0]
    before = scrape(node)
    url = f"https://{node['ip']}:{node['https_port']}/storage_rpc/v1"
    assert wire.post(url, b"", {"Content-Length": "99999999"}).status == 413
    assert wire.post_onion(node, b"no onion at all").status == 400
    now = subtract(scrape(node), before)
    assert now[sample("allium_refused_requests_total", transport="https", reason="unread")] == 1
    assert now[sample("allium_onion_requests_total", inside="nothing", code="400")] == 1
    assert not requests(now)


def test_buckets_are_cumulative_and_bounded(pair: Devnet) -> None:
    assert wire.rpc(pair.nodes[0], "info", {}).status == 200
    found = 0
    for family in text_string_to_metric_families(text(pair.nodes[0])):
        if family.type != "histogram":
            continue
        series: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
        for each in family.samples:
            if each.name.endswith("_bucket"):
                rest = tuple(sorted(item for item in each.labels.items() if item[0] != "le"))
                series.setdefault(rest, []).append((float(each.labels["le"]), each.value))
        for buckets in series.values():
            assert buckets == sorted(buckets) and buckets[-1][0] == float("inf")
            assert [value for _, value in buckets] == sorted(value for _, value in buckets)
        found += len(series)
    assert found >= 8


def test_names_of_dashboard_alerts_and_page_are_those_of_a_scrape(small_chain: Devnet) -> None:
    node = small_chain.nodes[1]
    user = wire.User()
    # A series begins with the first of its kind.
    assert wire.rpc(node, "store", wire.store_params(user.account_id, b"once")).status == 200
    payload, layer = wire.onion([node], wire.rpc_body("info", {}))
    assert wire.open_reply(layer, wire.post_onion(node, payload))["status"] == 200
    told = text(node)
    samples = {name for name, _ in scrape(node)}
    families = {line.split()[2] for line in told.splitlines() if line.startswith("# TYPE")}
    for file in ("grafana.json", "alerts.yml"):
        used = set(NAME.findall((DOCS / file).read_text()))
        assert len(used) > 20 and used - samples <= WITH_DAEMON, (file, used - samples)
    dashboard = json.loads((DOCS / "grafana.json").read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert all(target["expr"] for panel in panels for target in panel["targets"])
    # Of all that is told, the dashboard leaves out what does not change.
    listed = re.findall(r"^\| `([a-z0-9_]+)` \|", (DOCS / "metrics.md").read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) - WITH_DAEMON == families


def test_labels_name_nobody(small_chain: Devnet) -> None:
    user = wire.User()
    for node in small_chain.nodes:
        assert wire.rpc(node, "store", wire.store_params(user.account_id, b"whose")).status == 200
        told = text(node)
        assert not re.search(r"[0-9a-fA-F]{40}", told)
        assert not re.search(r"\b\d{1,3}(\.\d{1,3}){3}\b", told)
        assert user.account_id not in told and base64.b64encode(b"whose").decode() not in told


def test_the_chain_and_the_stake_are_told(small_chain: Devnet) -> None:
    now = scrape(small_chain.nodes[0])
    assert now[sample("allium_chain_height")] > 0 and now[sample("allium_chain_nodes")] == 3
    assert now[sample("allium_stake_sesh")] == 25_000 and now[sample("allium_registered")] == 1
    assert now[sample("allium_l2_provider_up", provider="0")] == 1
    assert now[sample("allium_cometbft_up")] == 1 and now[sample("allium_cometbft_peers")] == 2
    assert now[sample("allium_committee_members")] == 3 and now[sample("allium_committee_votes")] == 1
    assert now[sample("allium_cometbft_height")] >= now[sample("allium_chain_height")] - 1


def test_the_admin_socket_has_the_same(pair: Devnet) -> None:
    told = admin.ask(Path(pair.nodes[0]["data_dir"]), "/metrics").decode()
    names = {line.split()[2] for line in told.splitlines() if line.startswith("# TYPE")}
    assert names == {line.split()[2] for line in text(pair.nodes[0]).splitlines() if line.startswith("# TYPE")}


def test_openmetrics_is_spoken_where_it_is_asked_for(pair: Devnet) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{pair.nodes[0]['metrics_port']}/metrics",
        headers={"Accept": "application/openmetrics-text; version=1.0.0"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        assert answer.read().endswith(b"# EOF\n")


def answered(directory: Path) -> dict[str, Any]:
    """What a node says as soon as it says something."""
    until = time.monotonic() + 20
    while True:
        try:
            return admin.status(directory)
        except admin.NoNodeError:
            assert time.monotonic() < until


def listening() -> set[int]:
    """The TCP ports of this process."""
    links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    own = (row for row in rows if row[3] == "0A" and Path(f"socket:[{row[9]}]") in links)
    return {int(row[1].rpartition(":")[2], 16) for row in own}


async def test_the_port_can_be_off(lone_node: Callable[..., LoneNode], tmp_path: Path) -> None:
    node = lone_node()
    directory = tmp_path / str(node.entry["omq_port"])
    file = tmp_path / "config.toml"
    file.write_text(commented_toml(data_dir=str(directory), network_file="network.json", metrics_port=""))
    config, own = NodeConfig.load(file), PublicKey(node.keys.ed25519_public)
    assert config.metrics_port is None
    source = facts.FactSource(config, node.engine, own, None, None, None, lambda: False)
    before = await asyncio.to_thread(listening)
    assert before >= {node.entry["https_port"], node.entry["omq_port"]}
    serving = asyncio.create_task(server.serve(source))
    told = await asyncio.to_thread(answered, directory)
    assert told["metrics_trouble"] is None and not told["has_network"]
    # Nobody listens on a port for it.
    assert await asyncio.to_thread(listening) == before
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    assert not (directory / SOCKET).exists()


def test_nothing_but_metrics_is_served_on_the_port(pair: Devnet) -> None:
    for path in ("/status", "/"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{pair.nodes[0]['metrics_port']}{path}", timeout=10)
