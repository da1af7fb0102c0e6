"""The compiled contracts have exactly the published ABI, and that has the published selectors and topics."""

from __future__ import annotations

import re
from typing import Any

import pytest
from eth_utils.crypto import keccak

from allium.staking import abi, artifacts

#: `spec/contracts` §3, §6.2, §7, §8.3: what calls start with.
SELECTORS = {
    "RewardRatePool": """
        485cc955 initialize(address,address)
        f85bb0f0 payoutReleased()
        1c31f710 setBeneficiary(address)
        7b0a47ee rewardRate()
        ca598087 calculateTotalDeposited()
        32f7c384 calculateReleasedAmount()
        d66fcb69 calculatePayoutAmount(uint256,uint256)
    """,
    "ServiceNodeRewards": """
        edbf4ac2 initialize(address,address,uint256,uint256,uint256,uint256,uint256)
        bc7efecc addBLSPublicKey((uint256,uint256),(uint256,uint256,uint256,uint256),(uint256,uint256,uint256,uint16),((address,address),uint256)[])
        ffd9a86d validateProofOfPossession((uint256,uint256),(uint256,uint256,uint256,uint256),address,uint256)
        7a6d4065 updateRewardsBalance(address,uint256,(uint256,uint256,uint256,uint256),uint64[])
        372500ab claimRewards()
        0962ef79 claimRewards(uint256)
        d9054b09 initiateExitBLSPublicKey(uint64)
        95055ffd exitBLSPublicKeyWithSignature((uint256,uint256),uint256,(uint256,uint256,uint256,uint256),uint64[])
        ab0122ae exitBLSPublicKeyAfterWaitTime(uint64)
        c4f56d9a liquidateBLSPublicKeyWithSignature((uint256,uint256),uint256,(uint256,uint256,uint256,uint256),uint64[])
        1f4c4930 seedPublicKeyList(((uint256,uint256),uint256,uint256,((address,address),uint256)[])[])
        1f744b54 rederiveTotalNodesAndAggregatePubkey()
        be9a6555 start()
        8456cb59 pause()
        3f4ba83a unpause()
        8328b610 setStakingRequirement(uint256)
        f88d658b setSignatureExpiry(uint256)
        43039d90 setBLSNonSignerThresholdMax(uint256)
        f324c8eb setClaimThreshold(uint256)
        245fc183 setClaimCycle(uint256)
        e5859813 setLiquidationRatios(uint256,uint256,uint256)
        040f9853 serviceNodes(uint64)
        abf2c503 allServiceNodeIDs()
        8a2209e6 aggregatePubkey()
        34fde376 maxPermittedPubkeyAggregations()
        65ca819d serviceNodeIDs(bytes)
        eb820312 recipients(address)
        c0ebedab ed25519ToServiceNodeID(uint256)
        9592d424 totalNodes()
        56d399e8 stakingRequirement()
        86fa5063 maxContributors()
        8a399481 blsNonSignerThreshold()
        544736e6 isStarted()
        a44285a5 claimThreshold()
        b13aaebd claimCycle()
        9156ac80 currentClaimTotal()
        dd644d74 currentClaimCycle()
        459c6393 BLSPubkeyAlreadyExists(uint64)
        1b8ac143 BLSPubkeyDoesNotExist((uint256,uint256))
        c43283b5 BLSPubkeyDoesNotMatch(uint64,(uint256,uint256))
        32d31c84 Ed25519PubkeyAlreadyExists(uint64)
        b7e506ee CallerNotContributor(uint64,address)
        8c10944b ClaimThresholdExceeded()
        51aeae18 ContractAlreadyStarted()
        d22d57ac ContractNotStarted()
        67d22bd9 ContributionTotalMismatch(uint256,uint256)
        c27389ba InsufficientOperatorContribution(uint256)
        3ab1f196 DeleteSentinelNodeNotAllowed()
        5eee4a35 InsufficientBLSSignatures(uint256,uint256)
        3420067a InsufficientContributors()
        c79a6baa InsufficientNodes()
        9f613442 InvalidBLSSignature((uint256,uint256))
        cf006ab7 InvalidBLSProofOfPossession()
        7596e9de ExitTooEarly(uint64,uint256,uint256)
        f4a948a6 LeaveRequestTooEarly(uint64,uint256,uint256)
        67a41398 LeaveRequestNotInitiatedYet(uint64)
        b06449d0 LiquidatorPenaltyTooHigh()
        89b0b60c MaxContributorsExceeded()
        d8f31acc MaxClaimExceeded()
        d13edcea MaxPubkeyAggregationsExceeded()
        9cdb9138 NullBLSPubkey()
        4eb8f11f NullEd25519Pubkey()
        e99d5ac5 NullAddress()
        ef6cf450 PositiveNumberRequirement()
        91eddb03 RecipientAddressDoesNotMatch(address,address,uint256)
        33938e63 RecipientRewardsTooLow()
        55ae6e6e ServiceNodeDoesntExist(uint64)
        37030b8b SignatureExpired(uint64,uint256,uint256)
        3826feb5 SmallContributorLeaveTooEarly(uint64,address)
    """,
    "ServiceNodeContributionFactory": """
        c4d66de8 initialize(address)
        8faff862 deploy((uint256,uint256),(uint256,uint256,uint256,uint256),(uint256,uint256,uint256,uint16),(address,uint256)[],bool)
        f7bc39bf owns(address)
    """,
    "ServiceNodeContribution": """
        6cf72aa4 updateManualFinalize(bool)
        2c6cda93 updateFee(uint16)
        6786452c updatePubkeys((uint256,uint256),(uint256,uint256,uint256,uint256),uint256,uint256,uint256)
        00e9a407 updateReservedContributors((address,uint256)[])
        0aaffd2a updateBeneficiary(address)
        2816ee73 contributeFunds(uint256,address)
        4bb278f3 finalize()
        d826f88f reset()
        e020e4c4 resetUpdateAndContribute((uint256,uint256),(uint256,uint256,uint256,uint256),(uint256,uint256,uint256,uint16),(address,uint256)[],bool,address,uint256)
        0d616d20 withdrawContribution()
        ccec3716 rescueERC20(address)
        937e09b1 minimumContribution()
        8c7e7a31 calcMinimumContribution(uint256,uint256,uint256)
        dda0a81a getContributions()
        0d9639ba getReserved()
        0dcf4b8f totalContribution()
        a4b6aa83 totalReservedContribution()
        2c7baaf3 serviceNodeParams()
        4e7320ce blsSignature()
        200d2ed2 status()
        eccebdb2 CalcMinContributionGivenBadContribArgs(uint256,uint256)
        52bf2be0 ContributeFundsNotPossible(uint8)
        43917fc4 ContributionBelowMinAmount(uint256,uint256)
        454cd8e1 ContributionBelowReservedAmount(uint256,uint256)
        a2768516 ContributionExceedsStakingRequirement(uint256,uint256,uint256)
        20c2308c DuplicateAddressInReservedContributor(uint256)
        04ae8fd0 FeeExceedsPossibleValue(uint16,uint16)
        06b568e1 RequireWaitForOperatorContribStatus(uint8)
        83696f6f FinalizeNotPossible(uint8)
        5a93af04 FirstContributionMustBeOperator(address,address)
        20009602 BeneficiaryUpdatingDisabledNodeIsNotOpen(uint256)
        ef77b467 FirstReservedContributorMustBeOperator(uint256,address)
        21afccb1 OnlyOperatorIsAuthorised(address,address)
        56d70f54 MaxContributorsExceeded(uint256)
        e932c573 RescueBalanceIsEmpty(address)
        2f3e69dd RescueNotPossible(uint8)
        c4395dea ReservedContributorHasZeroAddress(uint256)
        c4aa8aa3 ReservedContributionBelowMinAmount(uint256,uint256,uint256)
        6d3ae3a7 ReservedContributionExceedsStakingRequirement(uint256,uint256,uint256)
        924040d8 RewardsContractMaxContributorsChanged(uint256,uint256)
        a5c7b01a RewardsContractStakingRequirementChanged(uint256,uint256)
        5faed1a6 NonContributorUpdatedBeneficiary(address)
        4b111ab8 TooManyReservedContributors(uint256,uint256)
        214d8348 WithdrawTooEarly(uint256,uint256,uint256)
    """,
}

#: `spec/contracts` §6.4, §7, §8.4: what events are found by.
TOPICS = {
    "ServiceNodeRewards": """
        34be2fa283e1d5eb453459898f160448257aa1ef0f7dd2c3a3b55c45d1af768f NewSeededServiceNode
        533c16cb4158fe7c77021b90e9290bbefa457dd392bd8abc1eab59747834fd5b NewServiceNodeV2
        95390641529563dbfb446535fa996c5ac3be00f90f5705b3abda59a4467b797f RewardsBalanceUpdated
        fc30cddea38e2bf4d6ea7d3f9ed3b6ad7f176419f4963bd81318067a4aee73fe RewardsClaimed
        0ac8ee09138dfaf5e3ebe4cb4fd42dd1a0695535a530171223fb5066f52e0e3b BLSNonSignerThresholdMaxUpdated
        e604909b918af52702fa14cd9b5a8870e5bd66da3163365671e583f705fd5463 ClaimThresholdUpdated
        a83e79dc52a438d552d0631ce4fbfe7dec7656d10398a2849f352a6ab4f0163b ClaimCycleUpdated
        0f69a2a87c90cdbb1a6a46bbb4870f2edfbd516244285ab6ffed6460ac2c6a83 LiquidationRatiosUpdated
        0bfb12191b00293af29126b1c5489f8daeb4a4af82db2960b7f8353c3105cd7c ServiceNodeLiquidated
        24c4411329b949fad2eba6f79a8ba090a08eac1af4b56c3a2f5a282ed45e233e ServiceNodeExit
        8600c0145511b317ae0189933fa71eb57a32d74891804c7993ef74ec63a5e804 ServiceNodeExitRequest
        006b7a1ea14ff2794527a64af37d55a2040e351f8b4c1adcdc9aea80d64e0429 StakingRequirementUpdated
        fbbc3d0a51e101ce4a7fda20e6e4eb0e230bf7de27ee2e3683fc8539e3766395 SignatureExpiryUpdated
    """,
    "ServiceNodeContributionFactory": """
        ce90835c26156f05db8d4f8c946475fd82462a2afc86c99a4a61bd8a41a0ed43 NewServiceNodeContributionContract
    """,
    "ServiceNodeContribution": """
        6823b073d48d6e3a7d385eeb601452d680e74bb46afe3255a7d778f3a9b17681 Finalized
        567b97209529fbb11a50c435abb5bfdae05a969880bb35a24afc52d1f383af80 NewContribution
        988e60cd47c9161cfde2e61df2519a9e50fbd2ec76e8dd7d2d19c5e9cfb58445 OpenForPublicContribution
        827d22e673686107109d5e59f81581c8e6592d80b869e0da9371c80f1821e1f4 Filled
        249a82fbe5056a1940b4e996665ba2a82c340ae9fa1e069fd1ababf5508f396e WithdrawContribution
        1ccdbafdd0f1a6d1af7ea8b92d1d18c648203d36bc2d48c960c39fb5269c8547 UpdateStakerBeneficiary
        45e1c879e8fa28095a2771ccbd73452d90d92c3073335da45910fdfa0cbbd019 UpdateManualFinalize
        6b21e0b71c12e6cd9a3b2bc9bca648afabce42f96ab1f4b2a085107b8a125ca2 UpdateFee
        5d06a1dd1d17e79877eddf2192aeb10a8333d39dd8fee91587990b6b9e043447 UpdatePubkeys
        2c9d548092771ba8beaf76b73c1feb6bdc0c0a32f297a7a9903d2e90b7c557c4 UpdateReservedContributors
        6423db340205c829eeb91151b1c5d1dc6d7a2b8708b1621494e89ba90c87081e Reset
    """,
}

#: Published errors that no call can bring about: what they speak of is found out before, or never asked.
UNREACHABLE = {
    "BLSPubkeyDoesNotMatch(uint64,(uint256,uint256))",
    "DeleteSentinelNodeNotAllowed()",
    "InsufficientNodes()",
    "MaxContributorsExceeded(uint256)",
    "RecipientAddressDoesNotMatch(address,address,uint256)",
    "RewardsContractStakingRequirementChanged(uint256,uint256)",
    "ServiceNodeDoesntExist(uint64)",
}


def signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(abi.types(entry['inputs']))})"


def functions(entries: list[dict[str, Any]]) -> dict[str, tuple[str, list[str]]]:
    """How each function may be called and what it returns; a lone static struct is returned as its members are."""
    return {
        signature(entry): (entry["stateMutability"], _returned(entry["outputs"]))
        for entry in entries
        if entry["type"] == "function"
    }


def _returned(outputs: list[dict[str, Any]]) -> list[str]:
    if len(outputs) == 1 and outputs[0]["type"] == "tuple" and "[]" not in "".join(abi.types(outputs)):
        return abi.types(outputs[0]["components"])
    return abi.types(outputs)


def events(entries: list[dict[str, Any]]) -> dict[str, list[tuple[str, bool]]]:
    return {
        signature(entry): [(parameter["name"], parameter["indexed"]) for parameter in entry["inputs"]]
        for entry in entries
        if entry["type"] == "event"
    }


@pytest.mark.parametrize("contract", abi.CONTRACTS)
def test_functions_and_events_are_as_published(contract: str) -> None:
    compiled, published = artifacts.load(contract).abi, abi.load(contract)
    # What the contract reads from the call itself is none of the compiler's functions.
    by_hand = {name: told for name, told in functions(published).items() if name.startswith("seedPublicKeyList(")}
    assert functions(compiled) | by_hand == functions(published)
    # The interface that the compiler brings names a transfer's parties otherwise.
    erc20 = {"Transfer(address,address,uint256)", "Approval(address,address,uint256)"}
    made, promised = events(compiled), events(published)
    assert made.keys() == promised.keys()
    assert all(made[name] == promised[name] for name in made.keys() - erc20)
    assert all([i for _, i in made[name]] == [i for _, i in promised[name]] for name in made.keys() & erc20)


@pytest.mark.parametrize("contract", ["SESH", "FeeSplitter", "ServiceNodeContribution"])
def test_constructors_are_as_published(contract: str) -> None:
    made, promised = (
        [abi.types(entry["inputs"]) for entry in entries if entry["type"] == "constructor"]
        for entries in (artifacts.load(contract).abi, abi.load(contract))
    )
    assert made == promised


@pytest.mark.parametrize("contract", abi.CONTRACTS)
def test_code_fits_everywhere(contract: str) -> None:
    artifact = artifacts.load(contract)
    assert len(artifact.runtime) <= 24_576
    assert len(artifact.bytecode) <= 24_576  # a blueprint is deployed code too


@pytest.mark.parametrize(
    ("contract", "published"),
    [(contract, line.split()) for contract, lines in SELECTORS.items() for line in lines.strip().splitlines()],
    ids=lambda value: value[1] if isinstance(value, list) else value,
)
def test_selectors(contract: str, published: list[str]) -> None:
    selector, text = published
    [entry] = [
        entry for entry in abi.load(contract) if entry["type"] in ("function", "error") and signature(entry) == text
    ]
    assert abi.selector(entry).hex() == selector == keccak(text=text)[:4].hex()


@pytest.mark.parametrize("contract", TOPICS)
def test_topics(contract: str) -> None:
    published = {name: topic for topic, name in map(str.split, TOPICS[contract].strip().splitlines())}
    compiled = [entry for entry in artifacts.load(contract).abi if entry["type"] == "event"]
    topics = {entry["name"]: abi.topic(entry).hex() for entry in compiled}
    assert published.items() <= topics.items()


def test_every_error_in_the_sources_is_published_and_the_other_way_round() -> None:
    raised = {
        found
        for path in artifacts.SOURCES.glob("*.vy")
        for found in re.findall(r'raw_revert\([^"]*method_id\(\s*"([^"]+)"', path.read_text())
    }
    published = {signature(entry) for entry in abi.errors().values()}
    assert raised <= published
    library = {signature(entry) for entry in abi.load("OpenZeppelin")}
    assert published - raised == UNREACHABLE | library | {"Error(string)"}  # `assert` and `raise` make that one


def test_what_is_no_declaration_is_refused() -> None:
    for line in ("function f(", "function f(uint256 a) returns", "event E(Unknown a)", "error E(int a)", "f()"):
        with pytest.raises(ValueError, match="not a"):
            abi._entry(line, {})


def test_reverts_in_words() -> None:
    assert abi.describe_revert(b"") == "reverted without a reason"
    assert abi.describe_revert(bytes.fromhex("12345678")) == "unknown error 0x12345678"
    assert abi.describe_revert(bytes.fromhex("89b0b60c")) == "MaxContributorsExceeded()"
    told = bytes.fromhex("67d22bd9") + (5).to_bytes(32, "big") + (6).to_bytes(32, "big")
    assert abi.describe_revert(told) == "ContributionTotalMismatch(required = 5, provided = 6)"
    assert abi.describe_revert(told[:40]) == "ContributionTotalMismatch"
    words = "08c379a0" + f"{32:064x}{6:064x}" + b"reason".hex().ljust(64, "0")
    assert abi.describe_revert(bytes.fromhex(words)) == "reason"
    assert abi.revert_name(told) == "ContributionTotalMismatch"
    assert abi.revert_name(b"1234") is None
