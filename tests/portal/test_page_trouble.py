"""What the page says when something is in the way: wallets, chains, contracts, the portal itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Route, expect

from allium.staking import abi
from tests.support import ROOT
from tests.support.chain import REQUIREMENT
from tests.support.portal_page import PageWorld, WalletTab, Way, person

QUARTER = REQUIREMENT // 4
Open = Callable[..., WalletTab]
METAMASK = "io.metamask.test"


def test_wallets_that_are_missing_many_locked_or_on_another_chain(page_world: PageWorld, open_page: Open) -> None:
    nobody = open_page("/mystakes").page
    nobody.get_by_role("button", name="Connect wallet").click()
    expect(nobody.get_by_text("No wallet was found")).to_be_visible()

    me = person(6)
    # One as MetaMask is on a telephone: the reason is inside, and it does not know the chain.
    quirky = Way(me, METAMASK, "Quirky Wallet", chain="0x1", known=["0x1"], nested=True)
    tab = open_page("/mystakes", Way(person(7)), quirky)
    page = tab.page
    page.get_by_role("button", name="Connect wallet").click()
    expect(page.locator(".wallets button")).to_have_count(2)
    page.get_by_role("button", name="Quirky Wallet").click()
    tab.reject()
    expect(page.get_by_text("You rejected it in your wallet")).to_be_visible()
    page.get_by_role("button", name="Quirky Wallet").click()
    tab.confirm()
    expect(page.get_by_text("Your wallet is on another network. The contracts are on Local chain.")).to_be_visible()
    page.get_by_role("button", name="Switch to Local chain").click()
    expect(page.get_by_text(f"Add Local chain at {page_world.chain.url}")).to_be_visible()
    tab.confirm()
    expect(page.get_by_text("Your wallet is on another network")).to_have_count(0)
    expect(page.get_by_role("heading", name="Claimable")).to_be_visible()
    tab.wallet({"locked": True}, METAMASK)
    expect(page.get_by_text("Your wallet is locked")).to_be_visible()
    page.get_by_role("button", name="Unlock").click()
    tab.confirm()
    expect(page.get_by_role("heading", name="Claimable")).to_be_visible()
    # Another account, and a chain that is told as a number.
    tab.wallet({"account": person(7), "chain": 31337}, METAMASK)
    expect(page.get_by_role("button", name=person(7)[:6])).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name=person(7)[:6])).to_be_visible()

    old = open_page("/mystakes", Way(me, announces=False))
    old.connect("Wallet of this browser")
    expect(old.page.get_by_role("heading", name="Claimable")).to_be_visible()


def test_a_step_that_is_rejected_refused_replaced_lost_or_taken_back(page_world: PageWorld, open_page: Open) -> None:
    world, chain, me = page_world, page_world.chain, person(6)
    pot = world.open(world.net.another(world.directory / "trouble"), person(2))
    token = chain.token.functions
    tab = open_page(f"/stake/{pot.address}", Way(me, METAMASK, "Quirky Wallet", nested=True))
    page = tab.page
    page.route("**/config.json", _twice_confirmed)
    page.reload()
    tab.connect("Quirky Wallet")

    def begin(amount: str) -> None:
        form = page.get_by_role("form")
        form.get_by_label("Amount in SESH").fill(amount)
        form.get_by_role("button", name="Stake", exact=True).click()
        expect(tab.step("approve")).to_have_attribute("data-state", "wallet")

    def trouble(text: str) -> None:
        expect(page.locator(".trouble")).to_contain_text(text)

    begin("6250")
    tab.reject()
    trouble("You rejected it in your wallet. Nothing was sent.")
    with chain.mining_by_hand():
        page.get_by_role("button", name="Try again").click()
        tab.confirm()
        expect(page.get_by_text("Sent; waiting for a block")).to_be_visible()
        chain.rpc("evm_mine")
        expect(page.get_by_text("In 1 block of 2")).to_be_visible()
        # The block is taken back, as far as the wallet's provider knows, and comes again.
        tab.twist = lambda method, result: None if method == "eth_getTransactionReceipt" else result
        expect(page.get_by_text("The chain has taken the block back")).to_be_visible()
        tab.twist = lambda method, result: result
        chain.rpc("evm_mine")
        expect(tab.step("approve")).to_have_attribute("data-state", "done")
        # Nobody knows the next any more; it is taken anew.
        expect(tab.step("contribute")).to_have_attribute("data-state", "wallet")
        tab.confirm()
        expect(page.get_by_text("Sent; waiting for a block")).to_be_visible()
        [waiting] = _waiting(chain.rpc("txpool_content"), me)
        chain.rpc("anvil_dropTransaction", waiting["hash"])
        expect(page.get_by_text("Nobody knows this transaction any more")).to_be_visible()
        tab.step("contribute").get_by_role("button", name="Try again").click()
        trouble("The transaction was given up")
        page.get_by_role("button", name="Try again").click()
        tab.confirm()
        expect(page.get_by_text("Sent; waiting for a block")).to_be_visible()
        # The wallet cancels it: a transaction of the same number that does nothing.
        [waiting] = _waiting(chain.rpc("txpool_content"), me)
        nonce, price = int(waiting["nonce"], 16), 3 * int(waiting["gasPrice"], 16)
        tab.raw(me, me, "0x", nonce, price)
        chain.rpc("evm_mine")
        trouble("it was cancelled, or replaced")
        # It speeds it up: the same, with another price.
        page.get_by_role("button", name="Try again").click()
        tab.confirm()
        expect(page.get_by_text("Sent; waiting for a block")).to_be_visible()
        [waiting] = _waiting(chain.rpc("txpool_content"), me)
        tab.raw(me, waiting["to"], waiting["input"], int(waiting["nonce"], 16), 3 * int(waiting["gasPrice"], 16))
        chain.rpc("evm_mine")
        expect(page.get_by_text("replaced it by one that does the same")).to_be_visible()
        chain.rpc("evm_mine")
        tab.finished()
    assert pot.functions.contributions(me).call() == QUARTER and token.allowance(me, pot.address).call() == 0

    # Somebody is quicker: that is said in words, before anything is approved.
    begin("12500")
    tab.reject()
    rest = QUARTER * 3 // 2
    chain.send(token.approve(pot.address, rest), person(4))
    chain.send(pot.functions.contributeFunds(rest, person(4)), person(4))
    page.get_by_role("button", name="Try again").click()
    trouble("That is more than is missing")
    trouble("ContributionExceedsStakingRequirement")
    assert token.allowance(me, pot.address).call() == 0
    page.get_by_role("button", name="Put away").click()
    # What was approved for a step that then is not taken can be taken back.
    begin("100")
    with chain.mining_by_hand():
        tab.confirm()
        chain.rpc("anvil_mine", "0x2")
        for _ in range(2):
            chain.rpc("evm_mine")
        expect(tab.step("contribute")).to_have_attribute("data-state", "wallet")
        tab.reject()
        page.get_by_role("button", name="Take the approval back").click()
        tab.confirm()
        expect(page.get_by_text("Sent; waiting for a block")).to_be_visible()
        chain.rpc("anvil_mine", "0x2")
        tab.finished()
    assert token.allowance(me, pot.address).call() == 0


def _twice_confirmed(route: Route) -> None:
    """As a portal whose chain takes blocks back at times is configured."""
    told = route.fetch().json()
    told["chain"]["confirmations"] = 2
    route.fulfill(json=told)


def _waiting(content: Any, who: str) -> list[Any]:
    return [one for name, own in content["pending"].items() if name.lower() == who.lower() for one in own.values()]


def test_a_portal_that_is_behind_away_or_names_other_contracts(page_world: PageWorld, open_page: Open) -> None:
    tab = open_page("/stake")
    page = tab.page

    def old(route: Route) -> None:
        told = route.fetch().json()
        told["network"]["block_timestamp"] = told["t"] - 3600
        route.fulfill(json=told)

    page.route("**/api/ssb/info", old)
    expect(page.get_by_text("What the portal knows is old")).to_be_visible()
    page.unroute("**/api/ssb/info")
    expect(page.get_by_text("What the portal knows is old")).to_have_count(0)
    page.route("**/api/ssb/**", lambda route: route.fulfill(status=503, json={"error": "busy"}))
    page.reload()
    expect(page.get_by_text("server cannot be reached")).to_be_visible()
    page.unroute("**/api/ssb/**")

    def mainnet(route: Route) -> None:
        told = route.fetch().json()
        told["chain"]["id"] = 42161
        route.fulfill(json=told)

    page.route("**/config.json", mainnet)
    page.reload()
    expect(page.get_by_text("This portal names another contract")).to_be_visible()


def test_every_error_of_the_contracts_has_its_sentence() -> None:
    texts = json.loads((ROOT / "python/web/portal/locales/more/en.json").read_text())
    # Those that are no error's name are written small; `Error` says itself what it is.
    sentences = {name.removeprefix("revert.") for name in texts if name.startswith("revert.") and name[7].isupper()}
    assert sentences == {entry["name"] for entry in abi.errors().values()} - {"Error"}
