"""What a tester says of the nodes that it tests, as a function of what it found (`spec/appchain` §4.3).

Three reasons are never given: nodes of this network take no part in checkpoints and pulse, and run no router.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntFlag

from allium.appchain.admission import possible
from allium.appchain.certificates import Verdict
from allium.appchain.nodes import Node
from allium.appchain.parameters import L2_BLOCKS_PER_SECOND, Parameters
from allium.appchain.state import State
from allium.appchain.types import Height, Index, L2Height, PublicKey, Reasons, Seconds

#: Entries of a history, of which `Limits.misses` may be bad.
HISTORY = 8
_NEVER, _NOWHERE = Seconds(0), L2Height(0)


class Reason(IntFlag):
    """Why a node fails."""

    NO_PROOF = 0x01
    UNREACHABLE = 0x08
    SILENT = 0x10
    WRONG_CLOCK = 0x20
    L2_BEHIND = 0x80


@dataclass(frozen=True)
class Limits:
    """What a node may do before it fails. Times are seconds."""

    #: The age of its last proof.
    proof_validity: int
    #: For how long it may not be reached.
    unreachable: int
    #: How far its EVM chain may be behind, in blocks of it.
    l2_lag: int
    #: Two addresses within this count, but for those from up to `address_pardon` after they counted last.
    address_window: int
    address_pardon: int
    #: How old a report may be that somebody was not reached.
    report_validity: int = 300
    misses: int = 4


@dataclass(frozen=True)
class Proven:
    """An address that a node has proven, and when last."""

    ip: str
    time: Seconds


@dataclass(frozen=True)
class Found:
    """What a tester knows of a node. Times are Unix time by the tester's clock."""

    #: Of its last proof, 0: there is none.
    proven: Seconds = _NEVER
    #: When it came (back) into the network: as good as a proof.
    excused: Seconds = _NEVER
    #: In its last proof.
    l2_height: L2Height = _NOWHERE
    #: Since when it was reached no more, and when that was tried last; `None` when it was reached.
    unreached: tuple[Seconds, Seconds] | None = None
    #: Whether it said the time when it was asked, and whether that was right; the last eight.
    answered: tuple[bool, ...] = ()
    in_time: tuple[bool, ...] = ()
    #: The last two.
    addresses: tuple[Proven, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """What a tester says of one of those whom it tests."""

    worker: Index
    verdict: Verdict
    reasons: Reasons


def failures(found: Found, decommissioned: bool, now: Seconds, l2_height: L2Height, limits: Limits) -> Reason:
    """Why a node fails, nothing when it does not. `l2_height` is the tester's own."""
    why = Reason(0)
    if now - max(found.proven, found.excused) > limits.proof_validity or (decommissioned and not found.proven):
        why |= Reason.NO_PROOF
    if found.unreached is not None:
        since, tried = found.unreached
        if now - since > limits.unreachable and now - tried <= limits.report_validity:
            why |= Reason.UNREACHABLE
    if not decommissioned:
        if found.answered.count(False) > limits.misses:
            why |= Reason.SILENT
        if found.in_time.count(False) > limits.misses:
            why |= Reason.WRONG_CLOCK
    if found.proven:
        grown = max(0, now - found.proven) * L2_BLOCKS_PER_SECOND
        if found.l2_height < l2_height - grown - limits.l2_lag:
            why |= Reason.L2_BEHIND
    return why


def moved(found: Found, now: Seconds, counted: Seconds, limits: Limits) -> bool:
    """Whether a node has proven two addresses; `counted`: when it did before, 0: never."""
    since = max(now - limits.address_window, counted + limits.address_pardon if counted else 0)
    return len({proven.ip for proven in found.addresses if proven.time > since}) > 1


def verdict(node: Node, height: Height, why: Reason, moves: bool, parameters: Parameters) -> Verdict | None:
    """What is to become of a node; `None`: nothing new, or nothing that the rules allow."""
    if why and node.decommissioned:
        chosen = Verdict.DEREGISTER
    elif why:
        enough = node.credit(height, parameters) >= parameters.min_credit
        chosen = Verdict.DECOMMISSION if enough else Verdict.DEREGISTER
    elif node.decommissioned:
        chosen = Verdict.RECOMMISSION
    elif moves and height > node.last_ip_change_height:
        chosen = Verdict.IP_CHANGE
    else:
        return None
    return chosen if possible(node, height, chosen, parameters) is None else None


def judge(
    state: State, tester: PublicKey, found: Mapping[PublicKey, Found], now: Seconds, l2_height: L2Height, limits: Limits
) -> tuple[Judgement, ...]:
    """What a tester of the last height says of all whom it tests; nothing when it was not drawn.

    It says nothing of itself, nothing of clocks when its own is wrong, and takes no more out than one input may.
    """
    parameters, drawn = state.parameters, state.quorum(state.height)
    if drawn is None or tester not in drawn.validators:
        return ()
    judged, deactivated, judges_clocks = [], 0, not is_wrong_itself(found.values())
    for worker, key in enumerate(drawn.workers):
        node = state.nodes.get(key)
        if node is None or key == tester or key not in found:
            continue
        why = failures(found[key], node.decommissioned, now, l2_height, limits)
        if not judges_clocks:
            why &= ~Reason.WRONG_CLOCK
        moves = moved(found[key], now, _counted(node, state), limits)
        chosen = verdict(node, state.height, why, moves, parameters)
        if chosen is None:
            continue
        if chosen in (Verdict.DECOMMISSION, Verdict.DEREGISTER):
            deactivated += 1
            if deactivated > parameters.max_deactivations:
                continue
        judged.append(Judgement(Index(worker), chosen, Reasons(int(why))))
    return tuple(judged)


def is_wrong_itself(clocks: Iterable[Found]) -> bool:
    """Whether four of five whose clock was compared last run otherwise than the tester's: then it is the tester's."""
    last = [found.in_time[-1] for found in clocks if found.in_time]
    return len(last) >= 3 and 5 * last.count(False) >= 4 * len(last)


def _counted(node: Node, state: State) -> Seconds:
    """About when a node's second address counted last."""
    if not node.last_ip_change_height:
        return Seconds(0)
    ago = (state.height - node.last_ip_change_height) * state.parameters.block_seconds
    return Seconds(max(1, state.time - ago))
