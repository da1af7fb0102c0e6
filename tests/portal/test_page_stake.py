"""Staking with a browser: from a wallet into an open node, earnings, a claim, the way out."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from allium.appchain.parameters import SESH
from allium.staking import abi, artifacts
from tests.support.chain import DAY, REQUIREMENT
from tests.support.portal_page import PageWorld, WalletTab, Way, person

QUARTER = REQUIREMENT // 4
Open = Callable[..., WalletTab]


def test_a_stake_from_the_list_to_the_claim_and_out_again(page_world: PageWorld, open_page: Open) -> None:
    # The first here: those below let the chain's time run ahead, in which the network's signature would be too old.
    world, chain, me = page_world, page_world.chain, person(3)
    shared = world.net.members[1]
    pot = world.open(shared, person(2), fee=250)
    tab = open_page("/stake", Way(me))
    page = tab.page
    page.locator(".card.pot").filter(has_text=shared.hex[:10]).click()
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
    # Somebody else fills it; the node joins, and earns.
    rest = REQUIREMENT - 2 * QUARTER
    chain.send(chain.token.functions.approve(pot.address, rest), person(4))
    chain.send(pot.functions.contributeFunds(rest, person(4)), person(4))
    page.get_by_role("link", name="My stakes").click()
    node = page.locator(".card.node").filter(has_text=shared.hex[:8])
    expect(node).to_have_attribute("data-state", "running")
    expect(tab.amount("Stake", node)).to_have_attribute("value", str(QUARTER))
    earned = tab.amount("Earned in all")
    expect(earned).not_to_have_attribute("value", "0")
    before = int(earned.get_attribute("value") or "")
    expect(earned).not_to_have_attribute("value", str(before))
    _claim(world, tab, me)
    # The way out: the network is asked, lets it go, and signs that; the stake can be claimed then.
    node.get_by_role("button", name="Request exit").click()
    page.get_by_role("button", name="Request it").click()
    tab.take("request-exit")
    tab.finished()
    expect(node).to_have_attribute("data-state", "ready")
    node.get_by_role("button", name="Exit the node").click()
    tab.take("exit")
    tab.finished()
    expect(node).to_have_count(0)
    expect(tab.amount("Unclaimed stakes")).not_to_have_attribute("value", "0")
    # What is signed is of the height before the last.
    world.do(world.net.heights(3))
    assert _claim(world, tab, me) > QUARTER
    expect(tab.amount("Unclaimed stakes")).to_have_attribute("value", "0")
    # Anybody sees the same, and can do nothing with it: what was paid is what the contract has paid.
    paid = chain.rewards.functions.recipients(me).call()[1]
    tab = open_page("/address")
    page = tab.page
    page.get_by_label("Address").fill(f"{chain.alice[:-1]}g")
    expect(page.get_by_text("That is no address, or it is mistyped")).to_be_visible()
    for who in (me, chain.alice):
        page.get_by_label("Address").fill(who.lower())
        page.get_by_role("button", name="Show").click()
        page.wait_for_url(f"**/address/{who}")
        contributors = chain.rewards.functions.serviceNodes(1).call()[8]
        locked = sum(amount for (address, _), amount in contributors if address == who)
        expect(tab.amount("Staked")).to_have_attribute("value", str(locked))
        if who == me:
            expect(tab.amount("Unclaimed rewards")).to_have_attribute("value", "0")
            expect(tab.amount("Earned in all")).to_have_attribute("value", str(paid - QUARTER))
        else:
            expect(page.locator(".card.node")).to_have_attribute("data-node", "1")
            assert locked == REQUIREMENT
    expect(page.get_by_role("button", name="Request exit")).to_have_count(0)
    expect(page.get_by_role("region", name="Claimable")).to_have_count(0)


def _claim(world: PageWorld, tab: WalletTab, me: str) -> int:
    """Claims all; what was paid, which is what the contract says."""
    token, contract = world.chain.token.functions, world.chain.rewards.functions
    before, claimed = token.balanceOf(me).call(), contract.recipients(me).call()[1]
    tab.page.get_by_role("button", name="Claim", exact=True).click()
    tab.take("update", "claim")
    tab.finished()
    known, after = contract.recipients(me).call()
    assert known == after
    paid = int(token.balanceOf(me).call()) - int(before)
    assert paid == after - claimed > 0
    return paid


def test_a_stake_comes_back_after_a_day(page_world: PageWorld, open_page: Open) -> None:
    world, chain, me = page_world, page_world.chain, person(5)
    pot = world.open(world.net.another(world.directory / "withdrawn"), person(2), amount=QUARTER)
    tab = open_page(f"/stake/{pot.address}", Way(me))
    page = tab.page
    tab.connect()
    form = page.get_by_role("form", name="Stake in this node")
    form.get_by_role("button", name="The least").click()
    least = pot.functions.minimumContribution().call()
    form.get_by_role("button", name="Stake", exact=True).click()
    tab.take("approve", "contribute")
    tab.finished()
    assert pot.functions.contributions(me).call() == least
    back = page.get_by_role("button", name="Take it back")
    expect(back).to_be_disabled()
    expect(page.get_by_text("You can take it back in")).to_be_visible()
    chain.at_time(pot.functions.contributionTimestamp(me).call() + DAY)
    back.click()
    tab.take("withdraw")
    tab.finished()
    assert pot.functions.contributions(me).call() == 0
    expect(tab.amount("Staked")).to_have_attribute("value", str(QUARTER))


def test_a_part_is_claimed_within_what_the_network_pays_in_half_a_day(page_world: PageWorld, open_page: Open) -> None:
    chain, rewards = page_world.chain, page_world.chain.rewards.functions
    me = chain.alice
    usual = rewards.claimThreshold().call()
    # In a half day in which nobody has claimed yet.
    cycle = rewards.claimCycle().call()
    chain.at_time((chain.now // cycle + 1) * cycle)
    chain.send(rewards.setClaimThreshold(SESH), chain.owner)
    try:
        tab = open_page("/mystakes", Way(me))
        page = tab.page
        tab.connect()
        claim = page.get_by_role("region", name="Claimable")
        expect(claim.get_by_text("The network pays only so much in half a day. The next begins in")).to_be_visible()
        expect(claim.get_by_role("button", name="Claim", exact=True)).to_be_disabled()
        claim.get_by_role("button", name="Claim a part").click()
        claim.get_by_label("How much, in SESH").fill("0.600000001")
        before = rewards.recipients(me).call()[1]
        claim.get_by_role("button", name="Claim this part").click()
        tab.take("update", "claim")
        tab.finished()
        assert rewards.recipients(me).call()[1] == before + 600_000_001
        expect(claim.locator(".notice data")).to_have_attribute("value", "399999999")
    finally:
        chain.send(rewards.setClaimThreshold(usual), chain.owner)


def test_a_vesting_contract_is_used_by_its_beneficiary(page_world: PageWorld, open_page: Open) -> None:
    world, chain, me = page_world, page_world.chain, person(7)
    name, start, end = "TokenVestingStaking", chain.now + 1000, chain.now + 10 * DAY
    network = (chain.rewards.address, chain.factory.address, chain.token.address)
    vesting = chain.create(artifacts.load(name), abi.load(name), me, chain.bob, start, end, False, *network, name=name)
    chain.send(chain.token.functions.transfer(vesting.address, QUARTER + SESH), chain.owner)
    chain.at_time(start)
    pot = world.open(world.net.members[4], person(2))
    tab = open_page("/vested-stakes", Way(me))
    page = tab.page
    tab.connect()
    page.get_by_label("Address of the vesting contract").fill(chain.addresses.pool)
    page.get_by_role("button", name="Act for it").click()
    expect(page.get_by_text("At this address is no vesting contract of this network.")).to_be_visible()
    page.get_by_label("Address of the vesting contract").fill(vesting.address)
    page.get_by_role("button", name="Act for it").click()
    expect(tab.amount("It holds")).to_have_attribute("value", str(QUARTER + SESH))
    page.get_by_role("link", name="Stake", exact=True).click()
    page.locator(f'a.card[href="/stake/{pot.address}"]').click()
    expect(page.get_by_text("Vesting mode: you act for")).to_be_visible()
    form = page.get_by_role("form", name="Stake in this node")
    form.get_by_label("Amount in SESH").fill("6250")
    form.get_by_role("button", name="Stake", exact=True).click()
    tab.take("contribute")
    tab.finished()
    assert pot.functions.contributions(vesting.address).call() == QUARTER
    assert chain.balance(vesting.address) == SESH
    # The stake is the contract's, the rewards are for its beneficiary, or for whom that names.
    assert [me] == pot.functions.getContributions().call()[1][1:]
    page.get_by_role("button", name="Send the rewards elsewhere").click()
    page.get_by_label("Another address for the rewards").fill(person(4))
    page.get_by_role("button", name="Change it").click()
    tab.take("beneficiary")
    tab.finished()
    assert [person(4)] == pot.functions.getContributions().call()[1][1:]
    form.get_by_label("Amount in SESH").fill("1")
    form.get_by_label("Rewards to another address").fill(vesting.address)
    form.get_by_role("button", name="Stake", exact=True).click()
    tab.take("contribute")
    tab.finished()
    assert [vesting.address] == pot.functions.getContributions().call()[1][1:]
    rest = REQUIREMENT - 2 * QUARTER - SESH
    chain.send(chain.token.functions.approve(pot.address, rest), person(4))
    chain.send(pot.functions.contributeFunds(rest, person(4)), person(4))
    page.goto(f"{world.url}/vested-stakes")
    node = page.locator(".card.node").filter(has_text=world.net.members[4].hex[:8])
    expect(tab.amount("Stake", node)).to_have_attribute("value", str(QUARTER + SESH))
    # What it has earned is claimed into it.
    claimed = _claim(world, tab, vesting.address)
    assert chain.balance(vesting.address) == claimed
    expect(page.get_by_role("button", name="Release the tokens")).to_have_count(0)
    # In the end all that it holds is its beneficiary's.
    chain.at_time(end)
    before = chain.balance(me)
    page.get_by_role("button", name="Release the tokens").click()
    tab.take("vested")
    tab.finished()
    assert (chain.balance(vesting.address), chain.balance(me)) == (0, before + claimed)
    page.get_by_role("button", name="Leave vesting mode").first.click()
    expect(page.get_by_text("Vesting mode: you act for")).to_have_count(0)
