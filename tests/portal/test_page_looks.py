"""How the page looks, in light and dark, on desktops and telephones: nothing bars anybody, and amounts are exact."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.chain import REQUIREMENT
from tests.support.portal_page import PageWorld, WalletTab, Way

Open = Callable[..., WalletTab]
PHONE = {"viewport": {"width": 390, "height": 800}, "has_touch": True}


@pytest.mark.parametrize(
    "options",
    [{"color_scheme": "light"}, {"color_scheme": "dark", **PHONE}],
    ids=["light on a desktop", "dark on a telephone"],
)
def test_nothing_bars_anybody(page_world: PageWorld, open_page: Open, options: dict[str, Any]) -> None:
    chain = page_world.chain
    made = page_world.open(page_world.net.another(page_world.directory / f"looks{len(options)}"), chain.bob)
    tab = open_page("/", Way(chain.alice), **options)
    page = tab.page
    tab.connect()
    for path, heading in (
        ("/", "Stake for the network"),
        ("/stake", "Stake"),
        (f"/stake/{made.address}", "Node"),
        ("/mystakes", "My stakes"),
        ("/register", "Register a node"),
        ("/vested-stakes", "Vested stakes"),
        (f"/address/{chain.alice.lower()}", "Look up an address"),
        ("/pool", "Rewards and the pool"),
        ("/leaderboard", "Leaderboard"),
        ("/faucet", "Faucet"),
        ("/bridge", "Tokens from Ethereum"),
    ):
        page.goto(f"{page_world.url}{path}")
        expect(page.get_by_role("heading", level=1, name=re.compile(f"^{heading}"))).to_be_visible()
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        assert tab.violations() == [], path
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert not wide, path


def test_what_the_pool_pays_is_what_the_contract_counts(page_world: PageWorld, open_page: Open) -> None:
    page = open_page("/pool").page
    balance = int(page_world.ask("/arbitrum-info")["info"]["balance_reward_rate_pool"])
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(5)
    left = balance
    for year in range(5):
        paid = 0
        for _ in range(365):
            now = left * 151 * 86_400 // (1000 * 31_536_000)
            paid, left = paid + now, left - now
        data = rows.nth(year).locator("data")
        expect(data.nth(0)).to_have_attribute("value", str(paid))
        expect(data.nth(1)).to_have_attribute("value", str(left))
        # A quarter of a node's stake, with a fee of 10 %.
        nodes = page_world.ask("/info")["network"]["node_count"]
        own = paid * (REQUIREMENT // 4) * 9000 // (REQUIREMENT * nodes * 10_000)
        expect(data.nth(2)).to_have_attribute("value", str(own))
    # What is written is that number, with all its decimals.
    first = rows.nth(0).locator("data").nth(0)
    shown = re.sub("[^0-9.]", "", first.inner_text().removesuffix("SESH"))
    whole, _, part = shown.partition(".")
    assert int(whole) * 10**9 + int(part.ljust(9, "0")) == int(first.get_attribute("value") or "")
