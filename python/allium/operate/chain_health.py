"""Whether all is well with a node's part in the chain and with its stake, and what to do when not."""

from __future__ import annotations

from collections.abc import Iterator

from allium.appchain.verdicts import Reason
from allium.operate.chain_facts import ChainFacts
from allium.operate.facts import Facts
from allium.operate.finding import Finding, failed, warning

#: Heights, and seconds, that a state may be behind the time.
_HEIGHTS_BEHIND = 10
_SECONDS_BEHIND = 60.0
#: What testers say of a node, and what helps.
_REASONS = {
    Reason.NO_PROOF: ("it did not prove that it is there", "see its log; network_file has to say where it is"),
    Reason.UNREACHABLE: ("it was not reached", "open https_port (TCP) and omq_port (TCP and UDP)"),
    Reason.SILENT: (
        "it did not say the time when it was asked",
        "open omq_port; see whether the machine is overloaded",
    ),
    Reason.WRONG_CLOCK: ("its clock is wrong", "set the clock by a time service"),
    Reason.L2_BEHIND: ("its EVM chain is behind", "repair or replace the providers in l2_rpc"),
}


def judge(facts: Facts, chain: ChainFacts) -> Iterator[Finding]:
    """What is not well with the chain, and with what it has of this node."""
    yield from _agreement(chain)
    yield from _providers(chain)
    stake = chain.stake
    if stake.left is not None:
        yield warning(
            f"this node is registered no more ({stake.left})",
            "take its stake out with `allium node exit`, or stake anew",
        )
    elif not stake.registered and chain.height:
        yield warning("this node is not registered", "register it with `allium node register`")
    elif stake.decommissioned:
        why = [_REASONS[reason] for reason in Reason if reason in stake.reasons]
        seconds = max(0, stake.credit) * chain.block_seconds
        yield failed(
            f"the network has decommissioned this node ({', '.join(found for found, _ in why) or 'nobody says why'}); "
            f"in {seconds / 3600:.1f} h it is deregistered",
            "; ".join([*(remedy for _, remedy in why), "the network then takes it back by itself"]),
        )
    elif chain.proof_validity and facts.now - max(chain.proven, facts.started) > chain.proof_validity:
        yield failed(
            f"for {facts.now - max(chain.proven, facts.started):.0f} s this node has not proven that it is there",
            "its log says why; network_file has to say where it is",
        )


def _agreement(chain: ChainFacts) -> Iterator[Finding]:
    behind = max(_HEIGHTS_BEHIND * chain.block_seconds, _SECONDS_BEHIND)
    committee = chain.committee
    if committee is not None and committee.height is None:
        yield failed(
            "CometBFT does not answer" if committee.running else "CometBFT does not run",
            "look into the node's log for what it said when it ended; docs/consensus.md",
        )
    elif committee is not None and committee.catching_up:
        yield warning("CometBFT catches up with the others", "wait; a long way takes minutes")
    elif committee is not None and committee.peers == 0 and committee.members > 1:
        yield failed("CometBFT is connected to nobody", "open cometbft_port to the outside, and check the network file")
    if chain.height and chain.lag > behind:
        yield failed(
            f"the last height ({chain.height}) is {chain.lag:.0f} s old",
            "check the way to the network, and to the providers of the EVM chain; if all nodes have stopped: "
            "docs/consensus.md",
        )


def _providers(chain: ChainFacts) -> Iterator[Finding]:
    troubled = [each for each in chain.providers if each.trouble is not None]
    told = "; ".join(f"{each.number}: {each.trouble}" for each in troubled)
    if troubled and len(chain.providers) - len(troubled) < chain.quorum:
        yield failed(f"too few providers of the EVM chain can be relied on ({told})", "set l2_rpc to others")
    elif troubled:
        yield warning(f"a provider of the EVM chain is not relied on ({told})", "repair it, or replace it in l2_rpc")
