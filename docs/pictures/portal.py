"""Pictures of the portal for docs/portal.md, taken from what Chromium really shows over a staked network here."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect

from allium.appchain.parameters import SESH
from allium.devnet import anvil
from allium.wallet import deploy
from tests.support.browser import launched
from tests.support.chain import Chain
from tests.support.portal_page import PageWorld, WalletTab, Way, person

HERE = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}


def main() -> None:
    """Makes a network with some nodes, and writes the pictures."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with anvil.running(directory / "anvil.log") as local:
            chain = Chain(local.url, deploy.DeployParameters(minimum_exit_age=0))
            chain.send(chain.token.functions.transfer(chain.addresses.pool, 22_000_000 * SESH), chain.owner)
            # The browser last: it brings a loop of its own.
            with PageWorld(chain, directory).running(2) as world, launched() as browser:
                me = person(3)
                world.join(world.net.members[0], person(1))
                parts = [(person(2), 10_000), (me, 15_000)]
                world.join(world.net.members[1], person(2), [((who, who), SESH * part) for who, part in parts])
                for index, (fee, more) in enumerate([(500, 4000), (1000, 12_500), (250, 0), (2000, 9000)]):
                    pot = world.open(world.net.another(directory / f"open{index}"), person(4 + index), fee)
                    if more:
                        who = person(8)
                        chain.send(chain.token.functions.approve(pot.address, more * SESH), who)
                        chain.send(pot.functions.contributeFunds(more * SESH, who), who)
                world.until("/contract/contribution", lambda told: len(told["contracts"]) == 4)
                earned = f"/rewards/{me}"
                world.until(earned, lambda told: int(told["rewards"]["amount"]) > 2 * SESH)
                _take(WalletTab(browser, world, "/stake", Way(me), color_scheme="light"), pot.address, "light")
                _take(WalletTab(browser, world, "/stake", Way(me), **PHONE), pot.address, "phone")


def _take(tab: WalletTab, pot: str, name: str) -> None:
    page = tab.page
    tab.connect()
    for path, shown in (("stake", "stake"), (f"stake/{pot}", "contract"), ("mystakes", "mystakes"), ("pool", "pool")):
        page.goto(f"{tab.world.url}/{path}")
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        expect(page.locator("main data").first).to_be_visible()
        if shown == "contract":
            form = page.get_by_role("form", name="Stake in this node")
            form.get_by_role("button", name="The least").click()
            form.get_by_role("button", name="Stake", exact=True).click()
            expect(tab.step("approve")).to_have_attribute("data-state", "wallet")
            page.locator("[data-wallet]").evaluate("element => { element.style.display = 'none' }")
        page.screenshot(path=HERE / f"portal-{shown}-{name}.png")
        if shown == "contract":
            page.evaluate("localStorage.removeItem('jobs.1')")
    tab.close()


if __name__ == "__main__":
    main()
