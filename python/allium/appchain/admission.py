"""What may follow a state: which inputs an honest proposer makes, and which certificates they may have."""

from __future__ import annotations

from itertools import pairwise

from allium.appchain.certificates import Certificate, Verdict, fault
from allium.appchain.input import MAX_CERTIFICATES, MAX_EVENTS, MAX_RATE, Input
from allium.appchain.nodes import Node
from allium.appchain.parameters import Parameters
from allium.appchain.state import State
from allium.appchain.types import Height, PublicKey


class InvalidInputError(ValueError):
    """An input that no honest proposer makes for this state; the text says why."""


def check(state: State, given: Input) -> None:
    """Raises `InvalidInputError` unless `given` may follow `state`."""
    seen = given.observation
    if given.height != state.height + 1:
        raise InvalidInputError(f"height {given.height} does not follow {state.height}")
    if given.time < state.time:
        raise InvalidInputError(f"time {given.time} is before {state.time}")
    if seen.l2_height < state.l2_height:
        raise InvalidInputError(f"the EVM chain's height {seen.l2_height} is before {state.l2_height}")
    if seen.l2_height == state.l2_height and state.height and seen.l2_hash != state.l2_hash:
        raise InvalidInputError(f"the EVM chain's block {seen.l2_height} has another hash than before")
    if seen.l2_height != state.l2_height and seen.l2_height % state.parameters.l2_stride:
        raise InvalidInputError(f"the EVM chain is looked at every {state.parameters.l2_stride} blocks, not at others")
    if seen.reward_rate > MAX_RATE:
        raise InvalidInputError(f"a reward rate of {seen.reward_rate} is none")
    if any(left >= right for left, right in pairwise(given.offenders)):
        raise InvalidInputError("who voted twice must be ordered by key")
    if len(seen.events) > MAX_EVENTS or len(given.certificates) > MAX_CERTIFICATES:
        raise InvalidInputError("more events or certificates than one input may have")
    positions = [event.position for event in seen.events]
    if any(not left < right for left, right in pairwise(positions)):
        raise InvalidInputError("events must be in the order of the EVM chain")
    if positions and not (state.l2_height < positions[0].l2_height and positions[-1].l2_height <= seen.l2_height):
        raise InvalidInputError("events must be from after the last height of the EVM chain up to the new one")
    places = [(certificate.height, certificate.worker) for certificate in given.certificates]
    if any(left >= right for left, right in pairwise(places)):
        raise InvalidInputError("certificates must be ordered by height and worker")
    targets = set()
    for certificate in given.certificates:
        if (wrong := objection(state, certificate)) is not None:
            raise InvalidInputError(f"certificate about {certificate.height}/{certificate.worker}: {wrong}")
        targets.add(target(state, certificate))
    if len(targets) != len(places):
        raise InvalidInputError("two certificates are about one node")
    if sum(map(_deactivates, given.certificates)) > state.parameters.max_deactivations:
        raise InvalidInputError(f"more than {state.parameters.max_deactivations} nodes would be taken out at once")


def admissible(state: State, certificates: list[Certificate]) -> tuple[Certificate, ...]:
    """Those of `certificates` that the next input may have, as it has to have them: for who proposes it."""
    chosen: dict[PublicKey, Certificate] = {}
    for certificate in sorted(certificates, key=lambda each: (each.height, each.worker, each.verdict)):
        if objection(state, certificate) is None:
            chosen.setdefault(target(state, certificate), certificate)
    deactivations, admitted = 0, []
    for certificate in chosen.values():
        deactivations += _deactivates(certificate)
        if not _deactivates(certificate) or deactivations <= state.parameters.max_deactivations:
            admitted.append(certificate)
    return tuple(admitted[:MAX_CERTIFICATES])


def objection(state: State, certificate: Certificate) -> str | None:
    """Why `certificate` cannot be in the next input; `None` when it can."""
    drawn = state.quorum(certificate.height)
    if drawn is None:
        return "votes about this height do not count, or not any more"
    if certificate.worker >= len(drawn.workers):
        return f"there is no worker {certificate.worker}"
    node = state.nodes.get(drawn.workers[certificate.worker])
    if node is None:
        return "the node is not registered"
    return _untimely(node, certificate, state.parameters) or fault(
        certificate, drawn, state.parameters.chain, state.verifier
    )


def target(state: State, certificate: Certificate) -> PublicKey:
    """The node that a certificate without an `objection` is about."""
    drawn = state.quorum(certificate.height)
    if drawn is None:
        raise InvalidInputError("votes about this height do not count")
    return drawn.workers[certificate.worker]


def possible(node: Node, height: Height, verdict: Verdict, parameters: Parameters) -> str | None:
    """Why the testers of `height` may not give this verdict on `node` as it is; `None` when they may."""
    if height <= node.registration_height:
        return "the node was not registered before"
    if node.decommissioned:
        if height <= node.last_decommission_height:
            return "the node was decommissioned since"
        if verdict not in (Verdict.RECOMMISSION, Verdict.DEREGISTER):
            return "the node is decommissioned"
        if verdict == Verdict.DEREGISTER and node.credit(height, parameters) >= 0:
            return "the node has credit left"
        return None
    if height <= node.active_since:
        return "the node became active since"
    if verdict == Verdict.RECOMMISSION:
        return "the node is active"
    if verdict != Verdict.IP_CHANGE:
        enough = node.credit(height, parameters) >= parameters.min_credit
        if enough != (verdict == Verdict.DECOMMISSION):
            return f"the node has {'' if enough else 'not '}enough credit to be decommissioned first"
    return None


def _untimely(node: Node, certificate: Certificate, parameters: Parameters) -> str | None:
    if certificate.verdict == Verdict.IP_CHANGE and certificate.height <= node.last_ip_change_height:
        return "the change of address is known"
    return possible(node, certificate.height, certificate.verdict, parameters)


def _deactivates(certificate: Certificate) -> bool:
    return certificate.verdict in (Verdict.DEREGISTER, Verdict.DECOMMISSION)
