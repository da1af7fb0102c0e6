"""A portal that has just begun: what it, its page and its explorer say before there is a block."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from allium.devnet import anvil, ports
from allium.portal import health
from allium.staking.addresses import Addresses
from tests.support.browser import Tab
from tests.support.misbehaving import hanging, serving
from tests.support.server_process import ServerUnderTest
from tests.support.status import allium


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerUnderTest]:
    """One whose feed and whose provider say nothing."""
    directory = tmp_path_factory.mktemp("fresh")
    files = {name: directory / f"{name}.json" for name in ("contracts", "chain-file", "network-file")}
    addresses = Addresses(anvil.CHAIN_ID, 1, *[anvil.account(index).address for index in range(4)])
    addresses.save(files["contracts"])
    files["network-file"].write_text(json.dumps({"nodes": []}))
    with serving(hanging, at_once=True) as silent, ports.reserve(1) as [port]:
        chain = {
            "network": "devnet",
            "l2_chain_id": anvil.CHAIN_ID,
            "rewards_contract": addresses.rewards,
            "l2_start": 1234,
            "sequencer": "11" * 32,
            "feeds": [silent.url],
        }
        files["chain-file"].write_text(json.dumps(chain))
        options = [part for name, file in files.items() for part in (f"--{name}", str(file))]
        server = ServerUnderTest("portal", directory, port, *options, "--rpc", silent.url)
        server.start()
        yield server
        server.kill()


def test_it_says_that_it_still_reads(fresh: ServerUnderTest) -> None:
    _, said = allium("status", "--data-dir", str(fresh.directory))
    said = " ".join(said.split())
    assert "no block yet" in said and "is old" not in said
    for section in ("", "/nodes", "/swarms", "/countries", "/rewards", "/events", "/names", "/address"):
        with urllib.request.urlopen(f"{fresh.url}/explorer{section}") as answer:
            page = answer.read().decode()
        assert "still reading" in page and "block 1,234" in page and "no block yet" in page
        assert "1970" not in page and ">never<" not in page and "Nothing is like that" not in page


def test_what_it_says_while_it_reads() -> None:
    numbers = {"reading": 1, "height": 0, "block_timestamp": 0, "events": 0, "l2_block": 0, "l2_timestamp": 0}

    def told(**changed: float) -> list[tuple[str, str]]:
        return [(each.level, each.what) for each in health.problems({**numbers, **changed}, None, 10_000)]

    chain, contracts = told()
    assert chain == ("warning", "the network's chain is still being read: there is no block yet")
    assert contracts == ("warning", "the contracts on the EVM chain are still being read: 0 events so far")
    assert "at height 7,000" in told(height=7000, block_timestamp=99)[0][1]
    # It does not get on, or has been up to date before.
    assert told(reading=0)[0] == ("failed", "no block of the network has come yet")
    assert told(reading=0, height=7, block_timestamp=99)[0] == ("failed", "the network's last block is old")
    assert not told(reading=0, height=7, block_timestamp=9_999, l2_block=1, l2_timestamp=9_999)


def test_its_page_says_so(fresh: ServerUnderTest, browser: Browser) -> None:
    tab = Tab(browser, f"{fresh.url}/")
    try:
        notice = tab.page.get_by_text("still reading the network")
        expect(notice).to_contain_text("block 1,234")
        expect(tab.page.get_by_text("What the portal knows is old")).to_have_count(0)
        expect(tab.page.locator("footer.status-bar")).to_have_count(0)
        for path, words in (
            ("pool", "still reading the contracts"),
            ("leaderboard", "Nobody has earned anything yet"),
            ("faucet", "has no faucet"),
            ("stake", "No node is open"),
            ("stake/0x" + "11" * 20, "knows no such contract"),
        ):
            tab.page.goto(f"{fresh.url}/{path}")
            expect(tab.page.get_by_text(words)).to_be_visible()
            expect(tab.page.get_by_role("heading", level=1)).to_have_count(1)
            expect(tab.page.get_by_text("1970")).to_have_count(0)
            assert not tab.page.evaluate("document.documentElement.scrollWidth > innerWidth")
    finally:
        tab.close()
