"""What an owner does with the whole of it, in a browser: lets a telephone in, makes a backup, clears data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import Tab
from tests.support.messenger import Messenger

OpenTab = Callable[..., Tab]


@pytest.fixture
def offline(tmp_path: Path) -> Iterator[Messenger]:
    """A service without a network, which lets telephones in, with one account."""
    service = Messenger(tmp_path / "data", None, "--port", "0", "--listen", "127.0.0.1:0").start(lines=3)
    service.do("POST", "/api/accounts", {"display_name": "Ada"})
    yield service
    service.close()


def settings(page: Page, section: str) -> None:
    expect(page.get_by_role("button", name="Ada")).to_be_visible()
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("navigation", name="Sections").get_by_role("link", name=section, exact=True).click()
    expect(page.get_by_role("heading", name=section, exact=True)).to_be_visible()


def test_a_telephone_is_let_in_and_sent_away(offline: Messenger, open_tab: OpenTab, browser: Browser) -> None:
    page = open_tab(offline).page
    settings(page, "Lock")
    with page.expect_response("**/api/pairing") as answer:
        page.get_by_role("button", name="Let a telephone in").click()
    pairing = answer.value.json()
    code = page.get_by_role("img", name="Let a telephone in")
    expect(code).to_be_visible()
    assert code.evaluate("one => one.decode().then(() => one.naturalWidth)") > 100
    expect(page.get_by_text(pairing["code"])).to_be_visible()
    expect(page.get_by_text(pairing["fingerprint"])).to_be_visible()
    phone = Tab(
        browser,
        pairing["url"],
        ignore_https_errors=True,
        viewport={"width": 390, "height": 780},
        has_touch=True,
        is_mobile=True,
    )
    try:
        # The code is in the address, and the fingerprint is there to be compared.
        expect(phone.page.get_by_label("Code")).to_have_value(pairing["code"])
        expect(phone.page.get_by_text(pairing["fingerprint"])).to_be_visible()
        phone.page.get_by_label("Code").fill("00000000")
        phone.page.get_by_role("button", name="Continue").click()
        expect(phone.page.get_by_role("alert").filter(has_text="not the code")).to_be_visible()
        phone.page.get_by_label("Code").fill(pairing["code"])
        phone.page.get_by_role("button", name="Continue").click()
        expect(phone.page.get_by_role("button", name="Ada")).to_be_visible()
        assert pairing["code"] not in phone.page.url
        page.reload()
        devices = page.get_by_role("listitem").filter(has_text="Last seen")
        expect(devices).to_have_count(1)
        devices.get_by_role("button", name="Remove").click()
        expect(devices).to_have_count(0)
        phone.page.reload()
        expect(phone.page.get_by_role("heading", name="Let this device in")).to_be_visible()
    finally:
        phone.close()
    assert urlsplit(pairing["url"]).scheme == "https"


def test_a_backup_and_an_export_are_written(offline: Messenger, open_tab: OpenTab, tmp_path: Path) -> None:
    page = open_tab(offline).page
    settings(page, "Backups")
    backup, pages = tmp_path / "all.backup", tmp_path / "pages"
    page.get_by_label("File on this computer").fill(str(backup))
    page.get_by_label("Password of the backup").fill("correct horse")
    page.get_by_role("button", name="Make a backup").click()
    expect(page.get_by_text("The backup is written.")).to_be_visible()
    assert backup.stat().st_size > 0 and b"Ada" not in backup.read_bytes()
    expect(page.get_by_text("The backup is written.")).to_have_count(0)
    page.get_by_label("Folder on this computer").fill(str(pages))
    page.get_by_role("button", name="Export").click()
    expect(page.get_by_role("button", name="Export")).to_be_enabled()
    expect(page.get_by_text("The backup is written.")).to_be_visible()
    assert list(pages.glob("*.html"))
    # It comes back with its password, in a service that knew nothing.
    other = Messenger(tmp_path / "other", None, "--port", "0").start()
    try:
        restored = other.do("POST", "/api/backups/restore", {"path": str(backup), "backup_password": "correct horse"})
        assert restored["display_name"] == "Ada"
    finally:
        other.close()


def clear(page: Page, zone: str) -> None:
    page.locator(".zone").filter(has_text=zone).get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()


def test_data_are_cleared_in_three_ways(service: Messenger, open_tab: OpenTab) -> None:
    page = open_tab(service).page
    accounts: list[str] = []

    def account() -> None:
        accounts.append(service.do("POST", "/api/accounts", {"display_name": "Ada"})["id"])
        page.reload()
        settings(page, "Clear data")

    account()
    clear(page, "Delete this account from this device and the network")
    expect(page.get_by_text("Everything was deleted.")).to_be_visible()
    expect(page.get_by_role("button", name="Create an account")).to_be_visible()
    account()
    # Whoever thinks better of it has lost nothing.
    page.locator(".zone").first.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert len(service.get("/api/state")["accounts"]) == 1
    page.locator(".zone").first.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("button", name="Create an account")).to_be_visible()
    assert service.get("/api/state")["accounts"] == []
    account()
    clear(page, "Forget this device")
    expect(page.get_by_role("heading", name="Not opened by its link")).to_be_visible()
    left = [each.name for each in service.directory.rglob("*") if each.suffix in (".db", ".phrase")]
    assert left == []
