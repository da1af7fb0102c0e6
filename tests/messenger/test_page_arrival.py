"""The way into the messenger, in a browser: an account is made, brought back, locked."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Browser, expect

from tests.support.browser import Tab
from tests.support.messenger import Messenger

OpenTab = Callable[..., Tab]


def test_an_account_is_made_and_brought_back(service: Messenger, open_tab: OpenTab) -> None:
    page = open_tab(service).page
    page.get_by_role("button", name="Create an account").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Please enter a name.")).to_be_visible()
    page.get_by_label("Display name").fill("Ada")
    page.keyboard.press("Enter")
    words = page.get_by_role("list", name="Your recovery phrase").get_by_role("listitem")
    expect(words).to_have_count(13)
    expect(words.first).to_have_text("•••••")
    page.get_by_role("button", name="Show the words").click()
    expect(words.first).not_to_have_text("•••••")
    phrase = words.all_inner_texts()
    page.get_by_role("button", name="I have written them down").click()
    expect(page.get_by_text("Nobody here yet")).to_be_visible()
    [account] = service.get("/api/state")["accounts"]
    assert service.get(f"/api/accounts/{account['id']}/phrase")["phrase"].split() == phrase
    assert account["phrase_seen"]
    # The same account once more, on a device that knows nothing of it.
    service.do("DELETE", f"/api/accounts/{account['id']}?everywhere=true")
    page.reload()
    page.get_by_role("button", name="I have an account").click()
    page.get_by_label("Recovery phrase").fill("xyzzy " + " ".join(phrase[1:]))
    expect(page.get_by_text("“xyzzy” is not one of the words.")).to_be_visible()
    page.get_by_label("Recovery phrase").fill(" ".join([*phrase[:11], phrase[12], phrase[11]]))
    if phrase[11] != phrase[12]:
        page.get_by_role("button", name="Restore the account").click()
        expect(page.get_by_role("alert").filter(has_text="word")).to_be_visible()
    page.get_by_label("Recovery phrase").fill(" ".join(phrase))
    page.get_by_role("button", name="Restore the account").click()
    page.get_by_label("Display name").fill("Ada again")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Ada again")).to_be_visible()
    [again] = service.get("/api/state")["accounts"]
    assert again["account_id"] == account["account_id"]


def test_a_wrong_word_is_replaced_by_the_one_that_was_meant(service: Messenger, open_tab: OpenTab) -> None:
    page = open_tab(service).page
    page.get_by_role("button", name="I have an account").click()
    page.get_by_label("Recovery phrase").fill("amaze xake ")
    page.get_by_role("button", name="cake", exact=True).click()
    expect(page.get_by_label("Recovery phrase")).to_have_value("amaze cake")
    expect(page.get_by_text("2 words of 13")).to_be_visible()


def test_a_password_locks_and_opens(service: Messenger, open_tab: OpenTab) -> None:
    account = service.do("POST", "/api/accounts", {"display_name": "Grace"})
    page = open_tab(service).page
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("link", name="Lock", exact=True).click()
    page.get_by_label("Password for this messenger").fill("correct horse")
    page.get_by_role("button", name="Set the password").click()
    page.get_by_role("button", name="Lock now").click()
    expect(page.get_by_role("heading", name="Locked")).to_be_visible()
    page.get_by_label("Password").fill("wrong horse")
    page.keyboard.press("Enter")
    expect(page.get_by_text("That is not the password.")).to_be_visible()
    page.get_by_label("Password").fill("correct horse")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name=account["display_name"])).to_be_visible()


def test_who_has_no_link_is_told_so(service: Messenger, browser: Browser) -> None:
    tab = Tab(browser, service.url + "/")
    expect(tab.page.get_by_text("Not opened by its link")).to_be_visible()
    tab.close()
