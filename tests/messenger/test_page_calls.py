"""Two people call each other, each in a browser: it rings, is heard and seen, and ends; and what does not ring."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.messenger.conftest import Person
from tests.support.browser import Tab

People = tuple[Person, Person]
Open = Callable[[Person, str], Page]

#: Has the page's connections counted, whichever way it makes them.
_WATCHED = """
window.connections = [];
const Made = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Made {
  constructor(...given) { super(...given); window.connections.push(this); }
};
"""
#: Whether sound, and films too, come and go in the newest connection.
_FLOWS = """
async (kinds) => {
  const found = {};
  for (const one of (await window.connections.at(-1).getStats()).values()) {
    if (one.type === 'inbound-rtp') found[`${one.kind} in`] = one.packetsReceived;
    if (one.type === 'outbound-rtp') found[`${one.kind} out`] = one.packetsSent;
  }
  return kinds.every((kind) => found[`${kind} in`] > 5 && found[`${kind} out`] > 5);
}
"""


@pytest.fixture
def opened(open_tab: Callable[..., Tab]) -> Open:
    """Opens the conversation of somebody with another one."""

    def of(who: Person, name: str) -> Page:
        tab = open_tab(who.service)
        tab.context.add_init_script(_WATCHED)
        tab.page.reload()
        tab.page.get_by_role("navigation", name="Conversations").get_by_role("link", name=name).click()
        expect(tab.page.get_by_label("Message", exact=True)).to_be_visible()
        return tab.page

    return of


def take_calls(*all_: Person, calls: bool = True) -> None:
    for each in all_:
        each.service.do("PATCH", f"{each.path}/settings", {"calls": calls})


def panel(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=f"Call with {name}")


def rings(page: Page) -> Locator:
    return page.get_by_role("dialog", name="is calling")


def flow(page: Page, *kinds: str) -> None:
    page.wait_for_function(_FLOWS, arg=list(kinds), polling=200)


def plays(page: Page) -> None:
    """The film of the other side goes on."""
    page.wait_for_function("() => document.querySelector('video.theirs')?.currentTime > 0.3", polling=200)


def lines(page: Page) -> Locator:
    return page.get_by_role("note")


def test_a_call_rings_is_heard_and_seen_and_ends(people: People, opened: Open) -> None:
    alice, bob = people
    take_calls(alice, calls=False)
    take_calls(bob)
    hers, his = opened(alice, "Bob"), opened(bob, "Alice")
    # Calls are off until one knows what they show.
    hers.get_by_role("button", name="Voice call").click()
    asked = hers.get_by_role("dialog", name="Calls are off")
    expect(asked).to_contain_text("IP address")
    asked.get_by_role("button", name="Turn calls on").click()
    expect(panel(hers, "Bob").get_by_role("status")).to_have_text("Ringing…")
    # By keys alone.
    expect(rings(his)).to_contain_text("Incoming call")
    rings(his).get_by_role("button", name="Accept", exact=True).press("Enter")
    for page, name in ((hers, "Bob"), (his, "Alice")):
        expect(panel(page, name).get_by_role("status")).to_have_text("Connected")
        expect(panel(page, name).get_by_role("timer")).to_be_visible()
        flow(page, "audio")
    panel(hers, "Bob").get_by_role("button", name="Turn the camera on").click()
    panel(his, "Alice").get_by_role("button", name="Turn the camera on").click()
    for page in (hers, his):
        flow(page, "audio", "video")
        plays(page)
        expect(page.get_by_label("Your camera")).to_be_visible()
    panel(hers, "Bob").get_by_role("button", name="Turn the camera off").click()
    expect(his.get_by_label("Video of Alice")).to_be_hidden()
    mute = panel(hers, "Bob").get_by_role("button", name="Mute")
    mute.press("Space")
    expect(panel(hers, "Bob").get_by_role("button", name="Unmute")).to_have_attribute("aria-pressed", "true")
    sent = "window.connections.at(-1).getSenders().map(one => one.track).find(one => one?.kind === 'audio').enabled"
    assert hers.evaluate(sent) is False
    panel(hers, "Bob").get_by_role("button", name="Devices").click()
    chosen = panel(hers, "Bob").get_by_label("Microphone")
    chosen.select_option(index=chosen.locator("option").count() - 1)
    hers.wait_for_function(f"() => {sent} === false", polling=200)
    panel(his, "Alice").get_by_role("button", name="Hang up").click()
    for page, name in ((hers, "Bob"), (his, "Alice")):
        expect(panel(page, name)).to_have_count(0)
    expect(lines(hers).last).to_contain_text("Call, 0:")
    expect(lines(his).last).to_contain_text("Call from Alice, 0:")


def test_a_call_is_declined_missed_or_not_taken_at_all(people: People, opened: Open) -> None:
    alice, bob = people
    take_calls(alice, bob)
    hers, his = opened(alice, "Bob"), opened(bob, "Alice")
    call = hers.get_by_role("button", name="Voice call")
    call.click()
    rings(his).get_by_role("button", name="Decline").click()
    expect(panel(hers, "Bob").get_by_role("status")).to_have_text("Declined")
    expect(panel(hers, "Bob")).to_have_count(0)
    expect(lines(hers).last).to_have_text("Your call was declined.")
    expect(lines(his).last).to_have_text("You declined a call from Alice.")
    # She gives up before he comes.
    call.click()
    expect(rings(his)).to_be_visible()
    panel(hers, "Bob").get_by_role("button", name="Hang up").click()
    expect(rings(his)).to_have_count(0)
    expect(lines(his).last).to_have_text("You missed a call from Alice.")
    expect(lines(hers).last).to_have_text("Your call was not answered.")
    # He wants no calls at all, and is told how to have some.
    take_calls(bob, calls=False)
    expect(panel(hers, "Bob")).to_have_count(0)
    call.click()
    his.get_by_role("button", name="Calls are off: turn on").click()
    switch = his.get_by_role("switch", name="Voice and video calls")
    expect(switch).to_have_attribute("aria-checked", "false")
    switch.click()
    expect(his.get_by_role("switch", name="Hide the IP address in calls")).to_have_attribute("aria-checked", "false")
    expect(rings(his)).to_have_count(0)
    panel(hers, "Bob").get_by_role("button", name="Hang up").click()
