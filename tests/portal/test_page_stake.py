"""Staking with a browser: from a wallet into an open node, earnings, a claim, the way out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from allium.devnet import anvil
from allium.wallet import deploy
from tests.support.browser import launched
from tests.support.chain import REQUIREMENT, Chain
from tests.support.portal_page import PageWorld, WalletTab, Way

QUARTER = REQUIREMENT // 4


def person(who: int) -> str:
    return str(anvil.account(who).address)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as made:
        yield made


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageWorld]:
    """Two nodes that run, one of them shared."""
    directory = tmp_path_factory.mktemp("page")
    with anvil.running(directory / "anvil.log") as local:
        chain = Chain(local.url, deploy.DeployParameters(minimum_exit_age=0))
        with PageWorld(chain, directory).running(3) as made:
            made.join(made.net.members[0], person(1))
            made.join(made.net.members[1], person(1))
            made.until("/nodes", lambda told: len(told["nodes"]) == 2)
            yield made


def test_a_stake_from_the_list_to_the_claim_and_out_again(world: PageWorld, browser: Browser) -> None:
    chain, shared, me = world.chain, world.net.members[2], person(3)
    pot = world.open(shared, person(2), fee=250)
    tab = WalletTab(browser, world, "/stake", Way(me))
    page = tab.page
    page.locator(".card.pot").click()
    tab.connect()
    form = page.get_by_role("form", name="Stake in this node")
    least = pot.functions.minimumContribution().call()
    expect(form.locator("data").first).to_have_attribute("value", str(least))
    form.get_by_label("Amount in SESH").fill("6250")
    form.get_by_role("button", name="Stake", exact=True).click()
    # It is tried out first, then exactly so much is approved, then staked; a reload in between changes nothing.
    expect(tab.step("approve")).to_have_attribute("data-state", "wallet")
    tab.confirm()
    expect(tab.step("contribute")).to_have_attribute("data-state", "wallet")
    assert chain.token.functions.allowance(me, pot.address).call() == QUARTER
    page.reload()
    expect(page.get_by_text("The page was left while your wallet asked")).to_be_visible()
    page.get_by_role("button", name="Try again").click()
    tab.take("contribute")
    tab.finished()
    assert pot.functions.contributions(me).call() == QUARTER
    assert chain.token.functions.allowance(me, pot.address).call() == 0
    expect(tab.amount("Staked")).to_have_attribute("value", str(2 * QUARTER))
    tab.close()
