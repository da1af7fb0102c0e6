"""An operator with a browser: a node that `allium node register` prepared, alone or with others."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.support.chain import REQUIREMENT
from tests.support.command import allium
from tests.support.portal_page import PageWorld, WalletTab, Way, person
from tests.support.staked import Member

SESH = 10**9
Open = Callable[..., WalletTab]


def prepared(world: PageWorld, member: Member, operator: str) -> str:
    """Has a node post its registration; the path at which its operator goes on."""
    files = ("--data-dir", str(member.directory), "--contracts", str(world.net.files["contracts"]))
    done = allium("node", "register", operator, *files, "--portal", world.url)
    assert done.returncode == 0 and f"{world.url}/register/{member.hex}" in done.stdout, done
    return f"/register/{member.hex}"


def test_a_node_is_registered_alone(page_world: PageWorld, open_page: Open) -> None:
    world, chain, operator = page_world, page_world.chain, person(8)
    member, token = world.net.members[2], world.chain.token.functions
    chain.send(token.approve(chain.addresses.rewards, 0), operator)
    tab = open_page(prepared(world, member, operator), Way(person(7)))
    page = tab.page
    tab.connect()
    expect(page.get_by_text(f"This node was prepared for {operator}")).to_be_visible()
    tab.wallet({"account": operator})
    page.get_by_role("button", name="Register alone").click()
    page.get_by_role("button", name="Begin").click()
    tab.take("approve", "register")
    expect(tab.step("seen")).to_have_attribute("data-state", "done")
    tab.finished()
    assert token.allowance(operator, chain.addresses.rewards).call() == 0
    expect(page.get_by_text("This node is registered already.")).to_be_visible()
    page.get_by_role("link", name="My stakes").first.click()
    node = page.locator(".card.node").filter(has_text=member.hex[:8])
    expect(tab.amount("Stake", node)).to_have_attribute("value", str(REQUIREMENT))


def test_a_node_is_opened_changed_cancelled_and_activated(page_world: PageWorld, open_page: Open) -> None:
    world, chain, operator, friend = page_world, page_world.chain, person(9), person(4)
    member = world.net.members[3]
    tab = open_page(prepared(world, member, operator), Way(operator))
    page = tab.page
    tab.connect()
    page.get_by_role("button", name="Choose each setting").last.click()
    form = page.get_by_role("form", name="With others")
    form.get_by_label("Your stake in SESH").fill("6249.999999999")
    expect(form.get_by_text("That is less than the least")).to_be_visible()
    expect(form.get_by_role("button", name="Begin")).to_be_disabled()
    form.get_by_label("Your stake in SESH").fill("7000.000000001")
    form.get_by_label("Fee in percent").fill("12.5")
    form.get_by_role("button", name="Reserve a place").click()
    form.get_by_label("Address").fill(friend)
    form.get_by_label("Amount in SESH").fill("5000")
    form.get_by_role("switch", name="Activate by itself").click()
    form.get_by_role("button", name="Begin").click()
    tab.take("deploy", "approve-made", "contribute-made")
    tab.finished()
    told = world.until(f"/contract/contribution/{member.hex}", lambda told: told["contract"]["status"] == 1)
    contract = told["contract"]
    pot = chain.at("ServiceNodeContribution", contract["address"])
    own = 7000 * SESH + 1
    assert pot.functions.getContributions().call() == [[operator], [operator], [own]]
    assert pot.functions.getReserved().call() == [[operator, friend], [own, 5000 * SESH], [True, False]]
    assert contract["fee"] == 1250 and pot.functions.manualFinalize().call()
    page.get_by_role("link", name="Go to it").click()
    expect(tab.amount("Reserved")).to_have_attribute("value", str(5000 * SESH))
    expect(tab.amount("Least")).to_have_attribute("value", str(pot.functions.minimumContribution().call()))

    # The rewards go elsewhere, and back when the contract is begun anew meanwhile: then there is nothing to change.
    _send_rewards(tab, friend)
    tab.take("beneficiary")
    tab.finished()
    assert pot.functions.getContributions().call()[1] == [friend]
    expect(page.locator(".beneficiary")).to_contain_text(friend[:8])
    _send_rewards(tab, operator)
    tab.reject()
    chain.send(pot.functions.reset(), operator)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".trouble")).to_contain_text("BeneficiaryUpdatingDisabledNodeIsNotOpen")
    page.get_by_role("button", name="Put away").click()

    # Where it was registered the contract is gone on with: one transaction changes all that is different, and stakes.
    world.until(f"/contract/contribution/{member.hex}", lambda told: told["contract"]["status"] == 0)
    page.goto(f"{world.url}/register/{member.hex}")
    expect(page.get_by_text("which waits for your stake")).to_be_visible()
    page.get_by_role("button", name="Choose each setting").last.click()
    expect(form.get_by_label("Fee in percent")).to_have_value("12.5")
    expect(form.get_by_role("switch", name="Activate by itself")).not_to_be_checked()
    form.get_by_label("Fee in percent").fill("7.25")
    form.get_by_role("switch", name="Activate by itself").click()
    form.get_by_role("button", name="Begin").click()
    expect(page.get_by_text("Change the contract (fee 7.25%, no reserved places, activates by itself)")).to_be_visible()
    tab.take("approve", "reopen")
    tab.finished()
    assert pot.functions.getContributions().call() == [[operator], [operator], [6250 * SESH]]
    assert pot.functions.serviceNodeParams().call()[3] == 725 and not pot.functions.manualFinalize().call()
    assert chain.balance(pot.address) == 6250 * SESH

    # Begun anew, with another fee and reserved places. What lies in it beside the stakes can be had then.
    page.get_by_role("link", name="Go to it").click()
    page.get_by_role("button", name="Cancel, and begin anew").click()
    page.get_by_role("button", name="Cancel it").click()
    tab.take("withdraw")
    tab.finished()
    assert pot.functions.totalContribution().call() == 0
    chain.send(chain.token.functions.transfer(pot.address, 3), friend)
    before = chain.balance(operator)
    page.get_by_role("button", name="Take out what lies here beside the stakes").click()
    tab.take("rescue")
    tab.finished()
    assert chain.balance(operator) == before + 3 and chain.balance(pot.address) == 0
    page.get_by_role("switch", name="Activate by itself").click()
    tab.take("manual")
    tab.finished()
    page.get_by_label("Fee in percent").fill("5")
    page.get_by_role("button", name="Change the fee").click()
    tab.take("fee")
    tab.finished()
    assert pot.functions.serviceNodeParams().call()[3] == 500
    page.get_by_role("button", name="Reserve a place").click()
    page.get_by_label("Address", exact=True).fill(friend)
    page.get_by_label("Amount in SESH").last.fill("18000")
    page.get_by_label("Your stake in SESH").fill("7000")
    page.get_by_role("button", name="Change the reserved places").click()
    tab.take("reserve")
    tab.finished()
    # With the settings that it has, the stake alone is missing.
    page.goto(f"{world.url}/register/{member.hex}")
    world.until(f"/contract/contribution/{member.hex}", lambda told: len(told["contract"]["contributors"]) == 2)
    page.get_by_role("button", name="Open to others").click()
    form.get_by_role("button", name="Begin").click()
    tab.take("approve", "contribute")
    tab.finished()
    page.get_by_role("link", name="Go to it").click()
    # Who a place is reserved for takes it.
    chain.send(chain.token.functions.approve(pot.address, 18_000 * SESH), friend)
    chain.send(pot.functions.contributeFunds(18_000 * SESH, friend), friend)
    page.get_by_role("button", name="Activate the node").click()
    tab.take("finalize")
    expect(tab.step("seen")).to_have_attribute("data-state", "done")
    tab.finished()
    [stake] = world.ask(f"/stakes/{member.hex}")["stakes"]
    assert stake["operator_fee"] == 500 and [int(each["amount"]) for each in stake["contributors"]] == [
        7000 * SESH,
        18_000 * SESH,
    ]
    # What somebody sends to the contract by mistake is its operator's to take out.
    chain.send(chain.token.functions.transfer(pot.address, 5 * SESH + 7), friend)
    before = chain.balance(operator)
    rescue = page.get_by_role("button", name="Take out what lies here beside the stakes")
    expect(rescue.locator("data")).to_have_attribute("value", str(5 * SESH + 7))
    rescue.click()
    tab.take("rescue")
    tab.finished()
    assert (chain.balance(pot.address), chain.balance(operator)) == (0, before + 5 * SESH + 7)
    expect(rescue).to_have_count(0)


def _send_rewards(tab: WalletTab, to: str) -> None:
    page = tab.page
    page.get_by_role("button", name="Send the rewards elsewhere").click()
    page.get_by_label("Another address for the rewards").fill(to)
    page.get_by_role("button", name="Change it").click()
    expect(tab.step("beneficiary")).to_have_attribute("data-state", "wallet")
