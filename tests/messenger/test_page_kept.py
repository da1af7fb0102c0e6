"""Recent messages that a browser keeps: read while the service is away, sealed, and gone when they have to be."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Tab, wait
from tests.support.long_conversation import PEER, with_long_conversation
from tests.support.messenger import Messenger

OpenTab = Callable[..., Tab]
COUNT, KEPT = 130, 100
LASTING, DELETED, PASSING = "Onions keep until spring", "Nobody should read this", "Gone by tomorrow"
PASSWORD = "a long one for the winter"
#: Everything that this browser stores, as text: bytes as letters of one byte and of two, and how keys may be used.
_STORED = """
async () => {
  const told = [JSON.stringify(localStorage)]
  const tell = value => {
    if (value instanceof ArrayBuffer) value = new Uint8Array(value)
    if (ArrayBuffer.isView(value)) {
      const bytes = value.slice()
      told.push(new TextDecoder('latin1').decode(bytes), new TextDecoder('utf-16').decode(bytes))
    } else if (value instanceof CryptoKey) told.push(`${value.type} ${value.extractable ? 'can' : 'cannot'} be taken`)
    else if (value && typeof value === 'object') Object.entries(value).flat().forEach(tell)
    else told.push(String(value))
  }
  for (const { name } of await indexedDB.databases()) {
    const database = await new Promise(done => { indexedDB.open(name).onsuccess = event => done(event.target.result) })
    for (const store of database.objectStoreNames) {
      const of = database.transaction(store).objectStore(store)
      const all = request => new Promise(done => { request.onsuccess = () => done(request.result) })
      const [names, values] = await Promise.all([all(of.getAllKeys()), all(of.getAll())])
      names.forEach((one, at) => { told.push(`${store}: ${one}`); tell(values[at]) })
    }
    database.close()
  }
  for (const name of await caches.keys()) {
    const cache = await caches.open(name)
    for (const one of await cache.keys()) {
      told.push(one.url)
      if (!/[.](js|css)$/.test(one.url)) told.push(await (await cache.match(one)).text())
    }
  }
  return told.join('\\n')
}
"""
#: How many of a store's records there are; `until` counts those that disappear.
_COUNT = """
async index => (await indexedDB.databases()).length && new Promise(done => {
  indexedDB.open('kept').onsuccess = ({ target: { result: database } }) => {
    const records = database.transaction('records').objectStore('records')
    const asked = (index ? records.index(index) : records).count()
    asked.onsuccess = () => { database.close(); done(asked.result) }
  }
})
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Messenger]:
    """A service without a network, with a conversation that is longer than what is kept."""
    service = Messenger(tmp_path_factory.mktemp("kept") / "data", None, "--port", "0")
    try:
        with_long_conversation(service, COUNT)
        yield service
    finally:
        service.close()


def settings(page: Page) -> None:
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Lock", exact=True).click()


def switch(page: Page) -> None:
    page.get_by_role("switch", name="Keep recent messages").click()


def until(page: Page, wanted: str, index: str | None = None) -> None:
    """Returns when as many records are kept as wanted."""
    wait(page, f"index => ({_COUNT})(index).then(count => count {wanted})", index)


def kept(page: Page) -> None:
    """Everything has been written: the note's lasting messages, those that disappear, and the other conversation."""
    until(page, "=== 3")


def away(page: Page) -> None:
    expect(page.get_by_role("status").filter(has_text="has not answered since")).to_be_visible()


def read(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Conversations").get_by_role("link", name=name).click()


def begun(alone: Messenger, open_tab: OpenTab) -> Page:
    """The page, which opens without its service from now on."""
    page = open_tab(alone).page
    page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    page.reload()
    expect(page.get_by_role("navigation", name="Conversations")).to_be_visible()
    return page


def test_what_is_kept_is_read_while_the_service_is_away(alone: Messenger, open_tab: OpenTab) -> None:
    [account] = alone.get("/api/state")["accounts"]
    path = f"/api/accounts/{account['id']}"
    note = f"{path}/conversations/{account['account_id']}"
    alone.do("POST", f"{note}/messages", {"text": LASTING})
    deleted = alone.do("POST", f"{note}/messages", {"text": DELETED})
    alone.do("PATCH", note, {"timer": {"kind": "after_send", "seconds": 86_400}})
    alone.do("POST", f"{note}/messages", {"text": PASSING})
    alone.do("PATCH", note, {"timer": None})
    page = begun(alone, open_tab)
    assert page.evaluate(_COUNT) == 0
    settings(page)
    switch(page)
    kept(page)
    # What is deleted goes from here too; that it was written anew is known by its other ciphertext.
    before = page.evaluate(_STORED)
    alone.do("DELETE", f"{path}/messages/{deleted['id']}?scope=local")
    wait(page, f"before => ({_STORED})().then(now => now !== before)", before)
    kept(page)
    stored = page.evaluate(_STORED)
    for each in (LASTING, DELETED, PASSING, "Long ago", PEER, account["account_id"], "129: "):
        assert each not in stored
    assert "private cannot be taken" in stored and "private can be taken" not in stored
    alone.end(signal.SIGKILL)
    page.reload()
    away(page)
    read(page, "Note to self")
    log = page.get_by_role("region", name="Messages with Note to self")
    expect(log).to_contain_text(LASTING)
    expect(log).to_contain_text(PASSING)
    expect(log).not_to_contain_text(DELETED)
    expect(page.get_by_label("Message", exact=True)).to_have_count(0)
    read(page, "Long ago")
    expect(page.get_by_role("article")).to_have_count(KEPT)
    expect(page.get_by_text("129: ")).to_be_in_viewport()
    # It is the last one of the round of tests: what waits for its time is gone when that has come.
    page.clock.install()
    page.reload()
    read(page, "Note to self")
    expect(log).to_contain_text(PASSING)
    page.clock.fast_forward("25:00:00")
    expect(log).not_to_contain_text(PASSING)
    expect(log).to_contain_text(LASTING)
    page.reload()
    until(page, "=== 0", "until")
    alone.restart()
    # It comes back by itself, where one was.
    expect(page.get_by_label("Message", exact=True)).to_be_visible()
    settings(page)
    switch(page)
    until(page, "=== 0")
    assert "private" not in page.evaluate(_STORED)


def test_a_password_seals_what_is_kept(alone: Messenger, open_tab: OpenTab) -> None:
    tab = open_tab(alone)
    page = tab.page
    page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    page.reload()
    settings(page)
    switch(page)
    until(page, "> 1")
    # A first password: nothing stays that opens without it.
    page.get_by_label("Password for this messenger").fill(PASSWORD)
    page.get_by_role("button", name="Set the password").click()
    wait(page, f"() => ({_STORED})().then(now => now.includes('iterations') && now.includes('meta: head'))")
    assert "private" not in page.evaluate(_STORED) and PASSWORD not in page.evaluate(_STORED)
    alone.end(signal.SIGKILL)
    page.reload()
    field = page.get_by_label("Password", exact=True)
    field.fill("another")
    page.get_by_role("button", name="Read", exact=True).click()
    expect(page.get_by_role("alert").filter(has_text="not the password")).to_be_visible()
    expect(page.get_by_role("navigation", name="Conversations")).to_have_count(0)
    field.fill(PASSWORD)
    page.get_by_role("button", name="Read", exact=True).click()
    away(page)
    read(page, "Long ago")
    expect(page.get_by_text("129: ")).to_be_in_viewport()
    assert tab.violations() == []
    alone.restart()
    # It is locked now, so nothing is kept; with the password there is, until it is locked again.
    expect(page.get_by_role("button", name="Unlock")).to_be_visible()
    until(page, "=== 0")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Unlock").click()
    until(page, "> 1")
    alone.do("POST", "/api/lock")
    until(page, "=== 0")
    assert "iterations" not in page.evaluate(_STORED)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Unlock").click()
    until(page, "> 1")
    # A browser that may not come in any more keeps nothing, from the next time on that it hears of it.
    for each in alone.get("/api/devices"):
        alone.do("DELETE", f"/api/devices/{each['id']}")
    page.reload()
    expect(page.get_by_role("heading", name="Not opened by its link")).to_be_visible()
    until(page, "=== 0")
    assert page.evaluate("localStorage.getItem('kept')") is None
