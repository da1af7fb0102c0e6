"""The explorer of a real portal, over a devnet with stakes on a real chain."""

from __future__ import annotations

import json
import sqlite3
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from allium.devnet import ports
from tests.support.devnet import Devnet, up
from tests.support.server_process import ServerUnderTest
from tests.support.waiting import await_that

_SECONDS = 60.0


@pytest.fixture(scope="module")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    with up(tmp_path_factory.mktemp("explorer"), "--nodes", "3", "--chain") as made:
        yield made


@pytest.fixture(scope="module")
def portal(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerUnderTest]:
    directory = devnet.directory
    options = [
        *("--chain-file", str(directory / "chain.json"), "--contracts", str(directory / "ADDRESSES.json")),
        *("--network-file", str(directory / "nodes.json"), "--node-dir", devnet.nodes[0]["data_dir"]),
        *("--rpc", devnet.network["chain"]["rpc_url"]),
    ]
    with ports.reserve(1) as [port]:
        server = ServerUnderTest("portal", tmp_path_factory.mktemp("portal"), port, *options, refresh_seconds=0.2)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def told(portal: ServerUnderTest, path: str) -> Any:
    with urllib.request.urlopen(f"{portal.url}{path}", timeout=_SECONDS) as answer:
        return json.loads(answer.read())


def until(portal: ServerUnderTest, path: str, true: Callable[[Any], bool]) -> Any:
    """The first answer of which something is true."""
    found: Any = None

    def holds() -> bool:
        nonlocal found
        found = told(portal, path)
        return true(found)

    await_that(path, holds, _SECONDS)
    return found


def test_an_explorer_tells_what_the_api_tells(devnet: Devnet, portal: ServerUnderTest) -> None:
    found = until(portal, "/explorer/nodes.json", lambda answer: len(answer["rows"]) == len(devnet.nodes))
    stakes = {each["pubkey_ed25519"]: each for each in told(portal, "/nodes")["nodes"]}
    assert {row["pubkey_ed25519"] for row in found["rows"]} == {node["pubkey_ed25519"] for node in devnet.nodes}
    for row in found["rows"]:
        stake = stakes[row["pubkey_ed25519"]]
        assert row["contract_id"] == stake["contract_id"] and row["staked"] == stake["total_contributed"]
        assert row["contributors"] == len(stake["contributors"]) and row["operator"] == stake["operator_address"]
        assert row["operator_fee"] == stake["operator_fee"] and row["country"] == ""
    # The first node has accepted a proof of each: versions and times are from there.
    proven = until(portal, "/explorer/nodes.json", lambda answer: all(row["version"] for row in answer["rows"]))
    assert all(row["last_proof"] > 0 for row in proven["rows"])
    events = until(portal, "/explorer/events.json", lambda answer: answer["total"] >= len(devnet.nodes))
    listed = told(portal, "/events/500/0")["events"]
    assert {(row["tx"], row["log_index"]) for row in events["rows"]} == {(e["tx"], e["log_index"]) for e in listed}
    samples = until(portal, "/explorer/rewards.json", lambda answer: int(answer["rows"][0]["earned"]) > 0)
    assert samples["rows"][0]["height"] == samples["height"]
    assert int(samples["rows"][0]["pool"]) > 0
    swarms = told(portal, "/explorer/swarms.json")
    assert sum(row["nodes"] for row in swarms["rows"]) == len(devnet.nodes)


def test_its_figures_come_from_the_chain_and_are_kept(devnet: Devnet, portal: ServerUnderTest) -> None:
    await_that("the supply is known", lambda: "Supply, SESH" in page(portal, "/explorer"), _SECONDS)
    text = page(portal, "/explorer")
    assert "Staked part of the supply" in text and "240,000,000" in text
    until(portal, "/explorer/rewards.json", lambda answer: answer["rows"][0]["pool"] != 0)
    file = portal.directory / "explorer.sqlite"
    await_that("figures are kept", lambda: bool(kept(file)), _SECONDS)
    # The API is where it was, and says nothing of the explorer's.
    assert set(told(portal, "/info")) == {"network", "t"}


def page(portal: ServerUnderTest, path: str) -> str:
    with urllib.request.urlopen(f"{portal.url}{path}", timeout=_SECONDS) as answer:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        text: str = answer.read().decode()
        return text


def kept(file: Path) -> list[Any]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        return database.execute("SELECT height, earned FROM sample").fetchall()
