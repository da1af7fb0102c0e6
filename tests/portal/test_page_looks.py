"""How the page looks, in light and dark, on desktops and telephones, in which language: nothing bars anybody, and
amounts are exact."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from eth_utils.address import to_checksum_address
from playwright.sync_api import expect

from allium.portal.database import PortalDatabase
from allium.portal.server import DATABASE
from tests.support.chain import DAY, REQUIREMENT
from tests.support.portal_page import PageWorld, WalletTab, Way, person
from web.tools import catalogue

SESH = 10**9
#: Digits as they are typed there.
PERSIAN = {**{ord(str(digit)): chr(0x6F0 + digit) for digit in range(10)}, ord("."): "\u066b"}
Open = Callable[..., WalletTab]
PHONE = {"viewport": {"width": 390, "height": 800}, "has_touch": True}


def texts(language: str) -> dict[str, str]:
    """What the page says in a language."""
    tags = ("en", language)
    return {
        key: text
        for tag in tags
        for part in catalogue.PARTS
        for key, text in catalogue.read(part, tag, catalogue.PORTAL_LOCALES)[0].items()
    }


def units(shown: str) -> int:
    """What an amount that is written in any digits is, in atomic units."""
    plain = "".join(str(unicodedata.digit(letter)) if letter.isdecimal() else letter for letter in shown)
    whole, _, part = re.sub("[^0-9.]", "", plain.replace("\u066b", ".").removesuffix("SESH")).partition(".")
    return int(whole) * SESH + int(part.ljust(9, "0"))


@pytest.mark.parametrize(
    "options",
    [{"color_scheme": "light"}, {"color_scheme": "dark", "locale": "fa-IR", **PHONE}],
    ids=["light on a desktop", "dark on a telephone, from right to left"],
)
def test_nothing_bars_anybody(page_world: PageWorld, open_page: Open, options: dict[str, Any]) -> None:
    chain = page_world.chain
    made = page_world.open(page_world.net.another(page_world.directory / f"looks{len(options)}"), chain.bob)
    language = options.get("locale", "en").split("-")[0]
    tab = open_page("/", Way(chain.alice), **options)
    page = tab.page
    expect(page.locator("html")).to_have_attribute("lang", language)
    expect(page.locator("html")).to_have_attribute("dir", "rtl" if language == "fa" else "ltr")
    tab.connect(button=texts(language)["wallet.connect"])
    for path, key in (
        ("/", "home.title"),
        ("/stake", "stake.title"),
        (f"/stake/{made.address}", "pot.title"),
        ("/mystakes", "my.title"),
        ("/register", "register.title"),
        ("/vested-stakes", "vested.title"),
        (f"/address/{chain.alice.lower()}", "lookup.title"),
        ("/pool", "pool.title"),
        ("/leaderboard", "leaders.title"),
        ("/faucet", "faucet.title"),
        ("/bridge", "bridge.title"),
    ):
        page.goto(f"{page_world.url}{path}")
        # What the language lacks is English, and keeps its direction.
        said = texts(language)[key].partition("{")[0].strip()
        expect(page.get_by_role("heading", level=1, name=re.compile(f"^\u2066?{re.escape(said)}"))).to_be_visible()
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
    # What is written is that number, with all its decimals; in other digits too, which may be typed as well.
    first = rows.nth(0).locator("data").nth(0)
    exact = int(first.get_attribute("value") or "")
    assert units(first.inner_text()) == exact
    page.get_by_role("button", name="Language: English").click()
    page.get_by_role("searchbox").fill("persian")
    page.get_by_role("button", name="فارسی").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("button.language")).to_be_focused()
    expect(page.get_by_role("link", name=texts("fa")["nav.my"])).to_be_visible()
    expect(first).to_have_attribute("value", str(exact))
    assert units(first.inner_text()) == exact and "\u066b" in first.inner_text()
    page.get_by_label(texts("en")["pool.stake"]).fill("12500.000000002".translate(PERSIAN))
    own = exact * (REQUIREMENT // 2 + 2) * 9000 // (REQUIREMENT * nodes * 10_000)
    expect(rows.nth(0).locator("data").nth(2)).to_have_attribute("value", str(own))
    page.reload()
    expect(page.locator("html")).to_have_attribute("dir", "rtl")


def test_fees_are_split_by_whoever_asks_for_it(page_world: PageWorld, open_page: Open) -> None:
    chain, fee = page_world.chain, 12_345_678_901
    chain.send(chain.token.functions.transfer(chain.splitter.address, fee), person(6))
    tab = open_page("/pool", Way(person(6)))
    tab.connect()
    expect(tab.amount("Waits to be split")).to_have_attribute("value", str(fee))
    treasury = chain.splitter.functions.treasury().call()
    places = (chain.splitter.address, chain.pool.address, treasury)
    before = [chain.balance(each) for each in places]
    tab.page.get_by_role("button", name="Split it").click()
    tab.take("flush")
    tab.finished()
    moved = [chain.balance(each) - had for each, had in zip(places, before, strict=True)]
    assert moved == [-fee, 11_111_111_010, 1_234_567_891]
    expect(tab.amount("Waits to be split")).to_have_attribute("value", "0")


def test_each_day_has_its_bar(page_world: PageWorld, open_page: Open) -> None:
    # Somebody who has no stake, so that no other test changes it.
    chain, who = page_world.chain, to_checksum_address("0x" + "da" * 20)
    totals, today = (0, 3 * SESH, 3 * SESH, 9 * SESH + 1), chain.now // DAY
    where = page_world.server.directory / DATABASE
    database = PortalDatabase(where, chain.addresses.chain_id, chain.addresses.rewards, chain.addresses.block)
    try:
        for back, total in enumerate(reversed(totals), 1):
            database.keep_day(today - back, 1000 - back, (today - back) * DAY, [(who, total)])
    finally:
        database.close()
    tab = open_page(f"/address/{who}")
    chart = tab.page.get_by_role("region", name="Rewards by day")
    bars = chart.locator(".chart rect")
    expect(bars).to_have_count(3)
    # Heights are parts of the greatest day's.
    assert [float(bar.get_attribute("height") or "") for bar in bars.all()] == [14.99, 0, 30]
    expect(bars.nth(2).locator("title")).to_have_text(re.compile(r": 6\.000000001 SESH$"))
    chart.get_by_text("As a table").click()
    told = [each.get_attribute("value") for each in chart.locator("tbody data").all()]
    assert told == [str(6 * SESH + 1), "0", str(3 * SESH)]
    expect(tab.amount("Earned on the last day")).to_have_attribute("value", str(6 * SESH + 1))
    assert tab.violations() == []
