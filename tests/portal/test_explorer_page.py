"""The explorer in Chromium: with and without script, for everybody, and with what strangers would do to it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import Tab, launched
from tests.support.explorer import ExplorerUnderTest, explored

OpenTab = Callable[..., Tab]


@pytest.fixture(scope="module")
def explorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExplorerUnderTest]:
    with explored(tmp_path_factory.mktemp("explorer"), 14) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as made:
        yield made


@pytest.fixture
def open_tab(browser: Browser, explorer: ExplorerUnderTest) -> Iterator[OpenTab]:
    """Opens a page; none may have asked anybody else for anything, nor had anything refused."""
    tabs: list[Tab] = []

    def opened(path: str = "", **options: Any) -> Tab:
        tabs.append(Tab(browser, f"{explorer.url}/explorer{path}", **options))
        return tabs[-1]

    yield opened
    for each in tabs:
        each.close()


def first_node(explorer: ExplorerUnderTest) -> str:
    found: str = next(iter(explorer.world.state.nodes.values())).pubkey.hex()
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(explorer: ExplorerUnderTest, open_tab: OpenTab, theme: str) -> None:
    tab = open_tab(color_scheme=theme, viewport={"width": 390, "height": 800} if theme == "dark" else None)
    paths = ["", "/nodes", "/swarms"]
    if theme == "light":
        paths += [f"/nodes/{first_node(explorer)}", "/countries", "/events?sort=block", "/address?address=x"]
    for path in paths:
        tab.page.goto(f"{explorer.url}/explorer{path}")
        assert tab.violations() == [], path
        # Nothing but a table's own region is wider than the window.
        assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_without_script_all_is_there(explorer: ExplorerUnderTest, open_tab: OpenTab) -> None:
    page = open_tab(java_script_enabled=False).page
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    expect(page.get_by_role("button", name="colours")).to_have_count(0)
    expect(page.get_by_role("img", name="SESH earned by all so far")).to_be_visible()
    page.get_by_role("navigation", name="Explorer").get_by_role("link", name="Nodes").click()
    table = page.get_by_role("table")
    expect(table.locator("tbody tr")).to_have_count(
        len(explorer.world.state.nodes) + len(explorer.world.state.departed)
    )
    table.get_by_role("link", name="Number").click()
    table.get_by_role("link", name="Number").click()
    expect(table.get_by_role("columnheader", name="Number")).to_have_attribute("aria-sort", "descending")
    page.get_by_label("State", exact=True).select_option("decommissioned")
    page.get_by_role("button", name="Show").click()
    expect(table.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_label("State", exact=True)).to_have_value("decommissioned")
    # The order was kept.
    expect(table.get_by_role("columnheader", name="Number")).to_have_attribute("aria-sort", "descending")
    table.locator("tbody a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Node ")
    page.get_by_role("link", name="Swarms").click()
    page.get_by_label("Account ID").fill("05" + "ab" * 32)
    page.get_by_role("button", name="Find its swarm").click()
    expect(page.get_by_role("status").filter(has_text="It maps to swarm")).to_be_visible()
    expect(page.get_by_role("img", name="Swarms on their ring")).to_be_visible()
    page.get_by_role("link", name="Countries").click()
    expect(page.get_by_role("img", name="Where nodes are")).to_be_visible()
    expect(page.get_by_role("table").get_by_role("link", name="Germany")).to_be_visible()


def test_with_script_a_table_follows_what_is_typed(explorer: ExplorerUnderTest, open_tab: OpenTab) -> None:
    page = open_tab("/nodes").page
    rows = page.get_by_role("table").locator("tbody tr")
    page.evaluate("window.same = true")
    field = page.get_by_label("Find")
    field.press_sequentially(first_node(explorer)[:12])
    expect(rows).to_have_count(1)
    expect(field).to_be_focused()
    expect(page.get_by_role("status")).to_contain_text("Rows: 1 (of")
    expect(page).to_have_url(re.compile(f"q={first_node(explorer)[:12]}$"))
    field.fill("")
    expect(rows).not_to_have_count(1)
    page.get_by_role("table").get_by_role("link", name="Fee").click()
    expect(page.get_by_role("columnheader", name="Fee")).to_have_attribute("aria-sort", "ascending")
    page.get_by_label("State", exact=True).select_option("refused")
    expect(rows).to_have_count(1)
    assert page.evaluate("window.same"), "the page was not loaded anew"
    page.reload()
    expect(rows).to_have_count(1)


def test_the_keyboard_is_enough_and_colours_stay(open_tab: OpenTab) -> None:
    page = open_tab("/nodes", color_scheme="light").page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.get_by_role("button", name="Dark colours").press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.get_by_role("button", name="Light colours")).to_be_visible()
    expect(page.locator("body")).to_have_css("color", "rgb(236, 237, 238)")
    page.get_by_role("region", name="Nodes at height").focus()
    expect(page.get_by_role("region", name="Nodes at height")).to_be_focused()


def test_hostile_text_stays_text(open_tab: OpenTab) -> None:
    page = open_tab("/events?sort=block").page
    said = page.get_by_role("table").locator("tbody tr").first
    expect(said).to_contain_text("<script>alert(1)</script>")
    said.locator("summary").click()
    expect(said.locator("dt").filter(has_text="<img src=x")).to_be_visible()
    assert page.locator("main script, main img").count() == 0
    page.get_by_label("Find").fill("<script>")
    expect(page.get_by_role("table").locator("tbody tr")).to_have_count(1)
    assert page.locator("main script, main img").count() == 0


def test_a_table_is_downloaded(open_tab: OpenTab, tmp_path: Path) -> None:
    page = open_tab("/nodes?state=active&sort=fee").page
    for kind in ("CSV", "JSON"):
        with page.expect_download() as download:
            page.get_by_role("list", name="Download").get_by_role("link", name=kind).click()
        name = download.value.suggested_filename
        assert name.startswith("nodes-") and name.endswith(kind.lower())
        download.value.save_as(tmp_path / kind)
    told = json.loads((tmp_path / "JSON").read_text())
    assert len((tmp_path / "CSV").read_text().splitlines()) == 1 + told["total"]
    assert {row["state"] for row in told["rows"]} == {"active"}
