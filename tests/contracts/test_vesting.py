"""Tokens that are held for somebody until a day: staked before, released after, revoked in between."""

from __future__ import annotations

from pathlib import Path

import pytest
from web3.contract import Contract

from allium.appchain.parameters import SESH
from allium.staking import abi, artifacts
from tests.support.chain import DAY, REQUIREMENT, ZERO, Chain, Node
from tests.support.shared_node import SharedNode
from tests.support.staked import Staked

LATER = 100
YEAR = 365 * DAY


def held(chain: Chain, amount: int = REQUIREMENT, transferable: bool = False) -> Contract:
    """For alice, revoked by bob, from a little later on for a year."""
    start = chain.now + LATER
    given = (chain.alice, chain.bob, start, start + YEAR, transferable)
    network = (chain.rewards.address, chain.factory.address, chain.token.address)
    name = "TokenVestingStaking"
    made = chain.create(artifacts.load(name), abi.load(name), *given, *network, name=name)
    chain.send(chain.token.functions.transfer(made.address, amount), chain.owner)
    return made


def error(text: str) -> tuple[str, str]:
    return ("Error", text)


def test_a_node_is_staked_for_and_its_stake_comes_back(chain: Chain) -> None:
    vesting = held(chain)
    do = vesting.functions
    node = Node(id=1)
    proof = chain.possession(node, vesting.address)
    add = do.addBLSPublicKey(node.key, proof, node.params(), chain.carol)
    assert chain.refused(add, chain.alice) == error("Vesting: it has not started yet")
    chain.at_time(do.start().call())
    assert chain.refused(add, chain.bob) == error("Vesting: the caller is not the beneficiary")
    nobody = do.addBLSPublicKey(node.key, proof, node.params(), ZERO)
    assert chain.refused(nobody, chain.alice)[0] == "Error"
    chain.send(add, chain.alice)
    entry = chain.entry(node)
    assert entry[2] == vesting.address and entry[8] == [((vesting.address, chain.carol), REQUIREMENT)]
    assert chain.balance(vesting.address) == 0
    chain.send(do.initiateExitBLSPublicKey(1), chain.alice)
    assert chain.entry(node)[5] > 0
    # What is owed to the contract is claimed by its beneficiary, in parts too, and held until the end.
    chain.at_time(chain.now + DAY)
    chain.send(chain.exiting(node, [node], chain.now), chain.dave)
    chain.send(chain.rewards.functions.setClaimThreshold(10**18), chain.owner)
    other = chain.join(chain.alice)
    chain.send(chain.rewarding(vesting.address, REQUIREMENT, [other]), chain.dave)
    chain.send(do.claimRewards(7), chain.alice)
    assert chain.balance(vesting.address) == 7
    chain.send(vesting.get_function_by_signature("claimRewards()")(), chain.alice)
    assert chain.balance(vesting.address) == REQUIREMENT
    release = do.release(chain.token.address)
    assert chain.refused(release, chain.alice) == error("Vesting: no tokens are due")
    chain.at_time(do.end().call())
    assert chain.refused(release, chain.bob) == error("Vesting: the caller is not the beneficiary")
    before = chain.balance(chain.alice)
    said = chain.events(chain.send(release, chain.alice), vesting)
    assert said == [("TokensReleased", chain.token.address, REQUIREMENT)]
    assert chain.balance(chain.alice) - before == REQUIREMENT


def test_a_part_of_a_node_is_staked(chain: Chain) -> None:
    vesting, shared = held(chain), SharedNode(chain)
    do = vesting.functions
    shared.contribute(chain.alice, REQUIREMENT // 2)
    chain.at_time(do.start().call())
    pot, part = shared.contract.address, REQUIREMENT // 4
    foreign = error("Contract address is not a valid multi-contributor SN contract")
    for call in (
        do.contributeFunds(chain.token.address, part, chain.carol),
        do.withdrawContribution(chain.token.address),
        do.updateBeneficiary(chain.token.address, chain.carol),
    ):
        assert chain.refused(call, chain.alice) == foreign
    chain.send(do.contributeFunds(pot, part, chain.carol), chain.alice)
    chain.send(do.updateBeneficiary(pot, chain.dave), chain.alice)
    assert shared.getContributions().call()[:2] == [[chain.alice, vesting.address], [chain.alice, chain.dave]]
    chain.at_time(chain.now + DAY)
    chain.send(do.withdrawContribution(pot), chain.alice)
    assert chain.balance(vesting.address) == REQUIREMENT


def test_it_is_revoked_and_what_was_staked_comes_later(chain: Chain) -> None:
    vesting = held(chain, 100 * SESH)
    do, token = vesting.functions, chain.token.address
    assert chain.refused(do.revoke(token), chain.alice) == error("Vesting: the caller is not the revoker")
    assert chain.events(chain.send(do.revoke(token), chain.bob), vesting) == [("TokenVestingRevoked", token)]
    assert chain.balance(vesting.address) == 100 * SESH
    chain.at_time(do.end().call())
    # The beneficiary has no say any more.
    assert chain.refused(do.release(token), chain.alice) == error("Vesting: it was revoked")
    assert chain.refused(do.claimRewards(1), chain.alice) == error("Vesting: the caller is not the revoker")
    assert chain.refused(do.claimRewards(1), chain.bob) == ("MaxClaimExceeded",)
    said = chain.events(chain.send(do.revoke(token), chain.bob), vesting)
    assert said == [("TokensRevokedReleased", token, 100 * SESH)]
    kept = held(chain)
    chain.at_time(kept.functions.end().call() + 1)
    assert chain.refused(kept.functions.revoke(token), chain.bob) == error("Vesting: the time is over")


def test_who_has_a_say_is_changed(chain: Chain) -> None:
    fixed, free = held(chain, 1).functions, held(chain, 1, transferable=True)
    assert chain.refused(fixed.transferBeneficiary(chain.dave), chain.alice)[0] == "Error"
    said = chain.events(chain.send(free.functions.transferBeneficiary(chain.dave), chain.alice), free)
    assert said == [("BeneficiaryTransferred", chain.alice, chain.dave)]
    said = chain.events(chain.send(free.functions.transferRevoker(chain.carol), chain.bob), free)
    assert said == [("RevokerTransferred", chain.bob, chain.carol)]
    assert (free.functions.beneficiary().call(), free.functions.revoker().call()) == (chain.dave, chain.carol)
    for call, who in ((free.functions.transferBeneficiary(ZERO), chain.dave), (fixed.transferRevoker(ZERO), chain.bob)):
        assert chain.refused(call, who)[0] == "Error"


async def test_the_command(chain: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people = Staked(chain, tmp_path, capsys)
    vest = ("contracts", "vest", chain.alice, "5000", "--start", "2090-01-01", *people.options())
    assert "the start is after the end" in await people.allium(*vest, "--end", "2089-01-01", who=0, code=1)
    assert "900,000,000 would be held" in await people.allium(
        *(vest[:3]), "900000000", *vest[4:], "--end", "2091-01-01", who=0, code=1
    )
    said = await people.allium(*vest, "--end", "2091-01-01", "--revoker", chain.bob, who=0)
    made = chain.at("TokenVestingStaking", said.split("contract is ")[1].split()[0]).functions
    assert chain.token.functions.balanceOf(made.address).call() == 5_000 * SESH
    assert (made.beneficiary().call(), made.revoker().call()) == (chain.alice, chain.bob)
    assert (made.start().call(), made.transferableBeneficiary().call()) == (3786912000, False)
