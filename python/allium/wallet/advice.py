"""What to do when a contract refuses, by the name of its error (`spec/contracts` §6.5, §8.5)."""

from __future__ import annotations

from allium.staking import StakingError
from allium.wallet.sender import RevertedError

_ADVICE = {
    "AddressEmptyCode": "There is no contract at that address on this chain; name the right file with --contracts.",
    "BLSPubkeyAlreadyExists": "The node is registered already; `allium node exit` takes it out.",
    "BLSPubkeyDoesNotExist": "The contract holds no such node, or holds it no longer; there is nothing to do.",
    "CallerNotContributor": "Only somebody who staked for the node may do this; use the key of such an account.",
    "ClaimThresholdExceeded": "The network pays no more in this half day; claim less with --amount, or later.",
    "ContractNotStarted": "The network's contracts are not started yet; try again when they are.",
    "ContributeFundsNotPossible": "The contract takes no stakes now; `allium stake show` says how it stands.",
    "ContributionBelowMinAmount": "Stake at least the minimum that `allium stake show` names.",
    "ContributionBelowReservedAmount": "A place is reserved for you; stake at least what it is for.",
    "ContributionExceedsStakingRequirement": "That is more than is missing; `allium stake show` names what is.",
    "ContributionTotalMismatch": "The stakes must add up to the requirement exactly.",
    "ERC20InsufficientAllowance": "The contract may not take the tokens; try again, which approves them first.",
    "ERC20InsufficientBalance": "The account that pays does not have so many tokens.",
    "Ed25519PubkeyAlreadyExists": "Another registration has this node's key; make a node with new keys.",
    "EnforcedPause": "The contracts are paused; what was earned stays, try again later.",
    "ExitTooEarly": "The node joined too short a time ago; try again when two hours have passed.",
    "FeeExceedsPossibleValue": "A fee is at most 100 %.",
    "FinalizeNotPossible": "The stakes are not complete, or the node is registered already.",
    "FirstContributionMustBeOperator": "The operator has to stake first.",
    "FirstReservedContributorMustBeOperator": "The first reservation must be the operator's own.",
    "InsufficientBLSSignatures": "Too many nodes did not sign; try again later, through another node with --node.",
    "InsufficientOperatorContribution": "The operator must stake a quarter of the requirement at least.",
    "InvalidAccountNonce": "That permission was used already; sign a new one.",
    "InvalidBLSProofOfPossession": "The registration is for another operator or other contracts; make it anew.",
    "InvalidBLSSignature": "Who is in the network has just changed; try again in some minutes.",
    "LeaveRequestNotInitiatedYet": "Nobody has asked for the node to leave yet; `allium node exit` does.",
    "LeaveRequestTooEarly": "It was asked for a short while ago; wait until the time that the error names.",
    "MaxClaimExceeded": "That is more than the account can claim; `allium rewards show` names how much it can.",
    "MaxContributorsExceeded": "All places for contributors are taken.",
    "MaxPubkeyAggregationsExceeded": "Too many nodes joined in this block; try again in some seconds.",
    "OnlyOperatorIsAuthorised": "Only the node's operator may do this; use the operator's key.",
    "OwnableUnauthorizedAccount": "Only the contract's owner may do this.",
    "RecipientRewardsTooLow": "The contract knows of this amount already; claim it without an update.",
    "RequireWaitForOperatorContribStatus": "Others have staked already; withdraw as the operator to begin anew.",
    "RescueBalanceIsEmpty": "The contract has none of these tokens; there is nothing to do.",
    "RescueNotPossible": "Tokens can be taken out only before the first stake, or once the node is registered.",
    "ReservedContributionBelowMinAmount": "A reservation must be for the minimum of its place at least.",
    "ReservedContributionExceedsStakingRequirement": "The reservations are for more than the requirement.",
    "RewardsContractMaxContributorsChanged": "The network's rules have changed since; the operator has to begin anew.",
    "SafeERC20FailedOperation": "The token did not move; look whether the account that pays has so much of it.",
    "SignatureExpired": "The network's signature is too old; try again, which asks for a new one.",
    "SmallContributorLeaveTooEarly": "Who staked less than a quarter may ask only 30 days after the node joined.",
    "TooManyReservedContributors": "There are more reservations than places.",
    "WithdrawTooEarly": "A stake can be withdrawn a day after it was made.",
}


def advised(error: RevertedError) -> StakingError:
    """What a contract says, with what to do about it."""
    return StakingError(f"{error}. {what_to_do}") if (what_to_do := advice(error.name)) else error


def advice(name: str | None) -> str:
    """A sentence on what to do about a contract's error; empty when there is none."""
    return _ADVICE.get(name or "", "")
