"""The page as an installed app: its manifest, what is shared into it, links that lead to it, its badge, and offline."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Callable

from PIL import Image
from playwright.sync_api import FilePayload, Page, expect

from allium.client.account import Account
from tests.messenger.conftest import Person
from tests.messenger.test_page_talk import conversation, home, message
from tests.support.browser import Tab, wait
from tests.support.messenger import Messenger

OpenTab = Callable[..., Tab]
People = tuple[Person, Person]
KEY = "ab" * 32


def test_it_can_be_installed(people: People, open_tab: OpenTab) -> None:
    alice, _ = people
    page = home(open_tab, alice)
    page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    browser = page.context.new_cdp_session(page)
    told = browser.send("Page.getAppManifest")
    assert told["errors"] == []
    assert browser.send("Page.getInstallabilityErrors")["installabilityErrors"] in (
        [],
        # A context of its own is as a private window, in which nothing is installed.
        [{"errorId": "in-incognito", "errorArguments": []}],
    )
    manifest = json.loads(told["data"])
    assert {each["purpose"] for each in manifest["icons"]} == {"any", "maskable"}
    for each in manifest["icons"]:
        answer = alice.service.ask("GET", each["src"])
        assert answer.headers["content-type"] == each["type"]
        if each["sizes"] != "any":
            with Image.open(io.BytesIO(answer.body)) as icon:
                assert f"{icon.width}x{icon.height}" == each["sizes"]


def test_what_is_shared_goes_where_one_says(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    page = home(open_tab, alice)
    page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    page.reload()
    expect(page.get_by_role("navigation", name="Conversations")).to_be_visible()
    # What the system does for the manifest's share target: a form that is sent to it.
    page.evaluate(
        "() => { const form = document.createElement('form');"
        " Object.assign(form, {id: 'shared', method: 'POST', action: '/share', enctype: 'multipart/form-data'});"
        " form.innerHTML = '<input name=title><input name=text><input name=url><input name=files type=file multiple>';"
        " document.body.append(form) }"
    )
    page.locator("#shared [name=text]").fill("An article", force=True)
    page.locator("#shared [name=url]").fill("https://example.org/article", force=True)
    page.locator("#shared [name=files]").set_input_files(
        FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"onions")
    )
    page.evaluate("document.getElementById('shared').submit()")
    dialog = page.get_by_role("dialog", name="Share with")
    expect(dialog).to_contain_text("An article")
    expect(dialog).to_contain_text("1 file")
    dialog.get_by_role("button", name="Bob").click()
    expect(page.get_by_label("Message", exact=True)).to_have_value("An article\nhttps://example.org/article")
    with bob.events() as at_bob:
        page.get_by_role("button", name="Send").click()
        got = at_bob.until("message_received", lambda event: bool(event["message"]["attachments"]))["message"]
    assert got["text"] == "An article\nhttps://example.org/article"
    assert got["attachments"][0]["name"] == "notes.txt"
    # Neither the address nor a cache has kept any of it.
    assert "share" not in page.url
    kept = page.evaluate(
        "caches.keys().then(names => Promise.all(names.map(name => caches.open(name).then(one => one.keys())))"
        ".then(all => all.flat().map(one => one.url)))"
    )
    assert kept and not any("share" in each or "/api/" in each for each in kept)


def test_links_lead_into_the_page(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    page = home(open_tab, alice)
    # As the system has it opened, with a link of the service, and as a browser does.
    page.goto(f"{alice.service.do('POST', '/api/links')['url']}&open=session%3A{bob.id}")
    expect(page.get_by_role("main").get_by_role("heading", name="Bob")).to_be_visible()
    page.goto(f"{alice.service.url}/?open=web%2Bsession%3A{bob.id}")
    expect(page.get_by_role("main").get_by_role("heading", name="Bob")).to_be_visible()
    assert page.evaluate("location.search") == ""
    stranger = Account.new().account_id
    page.goto(f"{alice.service.url}/?open=web%2Bsession%3A%2F%2F{stranger.upper()}")
    page.wait_for_url(f"**/c/{stranger}")
    url = f"https://community.example/garden?public_key={KEY}"
    page.goto(f"{alice.service.url}/?open=web%2Bsession%3A{url.replace('?', '%3F').replace('=', '%3D')}")
    expect(page.get_by_label("Community URL")).to_have_value(url)
    page.keyboard.press("Escape")
    page.goto(f"{alice.service.url}/?open=web%2Bsession%3Ajavascript%3Aalert(1)")
    expect(page.get_by_text("This code is no Account ID, and no community.")).to_be_visible()
    # One that somebody wrote leads there too, and nowhere else.
    bob.send(alice, f"Come to {url}")
    page = conversation(open_tab, alice)
    page.get_by_role("article").get_by_role("link", name=url).last.click()
    page.get_by_role("dialog").get_by_role("button", name="Join").click()
    expect(page.get_by_label("Community URL")).to_have_value(url)
    assert len(page.context.pages) == 1


def test_the_badge_counts_what_is_unread(people: People, open_tab: OpenTab) -> None:
    alice, bob = people
    page = home(open_tab, alice)
    page.get_by_role("link", name="Bob").click()
    expect(page.get_by_role("link", name="Bob").get_by_text("unread")).to_have_count(0)
    page.get_by_role("button", name="Settings").click()
    page.evaluate("window.badges = []; navigator.setAppBadge = async count => { window.badges.push(count) }")
    with alice.events() as at_alice:
        bob.send(alice, "One more")
        at_alice.until("message_received")
    page.wait_for_function("() => window.badges.length && window.badges.at(-1) > 0")
    page.get_by_role("link", name="Bob").click()
    expect(message(page, "One more").last).to_be_visible()
    page.wait_for_function("() => window.badges.at(-1) === 0")


def away(page: Page) -> None:
    expect(page.get_by_role("heading", name="The messenger is not running")).to_be_visible()


def test_without_its_service_the_page_says_what_to_do(service: Messenger, open_tab: OpenTab) -> None:
    service.do("POST", "/api/accounts", {"display_name": "Ada"})
    page = open_tab(service).page
    expect(page.get_by_role("button", name="Ada")).to_be_visible()
    page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    page.reload()
    expect(page.get_by_role("button", name="Ada")).to_be_visible()
    service.end(signal.SIGKILL)
    page.reload()
    away(page)
    service.restart()
    # It comes back by itself.
    expect(page.get_by_role("button", name="Ada")).to_be_visible()


def test_a_push_is_shown_while_nobody_looks(people: People, open_tab: OpenTab) -> None:
    alice, _ = people
    tab = open_tab(alice.service, permissions=["notifications"])
    page = tab.page
    page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    page.reload()
    expect(page.get_by_role("navigation", name="Conversations")).to_be_visible()
    browser = page.context.new_cdp_session(page)
    registrations: list[str] = []
    browser.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda told: registrations.extend(each["registrationId"] for each in told["registrations"]),
    )
    browser.send("ServiceWorker.enable")
    page.wait_for_function("() => navigator.serviceWorker.controller !== null")
    assert registrations
    [worker] = page.context.service_workers
    # Somebody looks at another page in its place.
    page.goto("about:blank")
    browser.send(
        "ServiceWorker.deliverPushMessage",
        {"origin": alice.service.url, "registrationId": registrations[-1], "data": ""},
    )
    wait(worker, "() => self.registration.getNotifications().then(all => all.length === 1)")


def test_the_path_is_drawn_on_a_map(people: People, open_tab: OpenTab) -> None:
    alice, _ = people
    # The service worker would ask past what is put in place of an answer here.
    page = home(open_tab, alice, service_workers="block")
    page.get_by_role("button", name="Settings").click()
    network = page.get_by_role("navigation", name="Sections").get_by_role("link", name="Network")
    network.click()
    # A devnet's nodes are all on this machine: that is no place, and is said.
    expect(page.get_by_role("img", name="it is not known where the nodes")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="Entry")).to_contain_text("Unknown place")
    expect(page.get_by_text("6 nodes", exact=True)).to_be_visible()
    hops = [
        {"ip": f"192.0.2.{number}", "port": 1, "pubkey": f"{number:064x}", "country": country}
        for number, country in enumerate(("DE", "SG", "US"))
    ]
    page.route("**/path", lambda route: route.fulfill(json={"hops": hops, "guard_ok": True}))
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Help").click()
    network.click()
    drawn = page.get_by_role("img", name="the path leads through Germany, Singapore, and United States")
    expect(drawn).to_be_visible()
    expect(drawn.locator("[data-on]")).to_have_count(2)  # Singapore is too small to be drawn, and has its dot.
    expect(drawn.locator(".hop")).to_have_count(3)
    expect(page.get_by_role("listitem").filter(has_text="Middle")).to_contain_text("Singapore")
    # From west to east: America, Europe, Asia.
    x = drawn.locator(".hop circle").evaluate_all("all => all.map(one => Number(one.getAttribute('cx')))")
    assert x[2] < x[0] < x[1]
