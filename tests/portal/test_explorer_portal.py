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
from web3 import HTTPProvider, Web3

from allium.devnet import anvil, ports
from allium.portal.contract_events import Log
from allium.portal.explorer import shown
from allium.portal.explorer.fees import Payments
from allium.portal.explorer.opening import SAMPLES
from allium.staking import abi
from allium.staking.addresses import Addresses
from tests.support.devnet import Devnet, up
from tests.support.server_process import ServerUnderTest
from tests.support.waiting import await_that

_SECONDS = 60.0
FEES, SENT, WAITING = (7_000_000_000, 99), 10, 12_345_678_901


@pytest.fixture(scope="module")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    with up(tmp_path_factory.mktemp("explorer"), "--nodes", "3", "--chain") as made:
        pay(made)
        yield made


def pay(devnet: Devnet) -> None:
    """Pays fees, and has some split that were sent without saying so."""
    w3 = Web3(HTTPProvider(devnet.network["chain"]["rpc_url"]))
    at, who = Addresses.load(devnet.directory / "ADDRESSES.json"), anvil.account(0).address
    assert at.splitter is not None
    token = w3.eth.contract(at.token, abi=abi.load("SESH")).functions
    splitter = w3.eth.contract(at.splitter, abi=abi.load("FeeSplitter")).functions
    for call in (
        token.approve(at.splitter, sum(FEES)),
        *map(splitter.pay, FEES),
        token.transfer(at.splitter, SENT),
        splitter.flush(),
        splitter.flush(),
        token.transfer(at.splitter, WAITING),
    ):
        receipt = w3.eth.wait_for_transaction_receipt(call.transact({"from": who}))
        assert receipt["status"] == 1


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
    file = portal.directory / SAMPLES
    await_that("figures are kept", lambda: bool(kept(file)), _SECONDS)
    # The API is where it was, and says nothing of the explorer's.
    assert set(told(portal, "/info")) == {"network", "t"}


def test_fees_are_counted_to_the_unit(devnet: Devnet, portal: ServerUnderTest) -> None:
    # What was split of nothing is no payment.
    told = until(portal, "/explorer/names.json", lambda answer: answer["total"] == len(FEES) + 1)
    assert [row["fee"] for row in told["rows"]] == [SENT, *reversed(FEES)]
    assert [row["to_pool"] for row in told["rows"]] == [9, 89, 6_300_000_000]
    assert {row["payer"] for row in told["rows"]} == {anvil.account(0).address}
    assert told["rows"][0]["known_up_to_block"] >= told["rows"][0]["block"] > 0
    text = page(portal, "/explorer/names")
    for units in (sum(FEES) + SENT, 9 + 89 + 6_300_000_000, WAITING):
        assert f"<b>{shown.sesh(units)}</b>" in text
    assert "11.11111101 SESH are for the reward pool" in text and "90 % on to the reward pool" in text
    # They are there at once when the portal starts again.
    at = Addresses.load(devnet.directory / "ADDRESSES.json")
    assert at.splitter is not None
    kept = Payments(portal.directory / SAMPLES, at.splitter, at.block, _silent)
    kept.open()
    assert [each.fee for each in kept.every] == [*FEES, SENT] and kept.block >= kept.every[-1].block


async def _silent(*_: Any) -> list[Log]:
    return []


def page(portal: ServerUnderTest, path: str) -> str:
    with urllib.request.urlopen(f"{portal.url}{path}", timeout=_SECONDS) as answer:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        text: str = answer.read().decode()
        return text


def kept(file: Path) -> list[Any]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        return database.execute("SELECT height, earned FROM sample").fetchall()
