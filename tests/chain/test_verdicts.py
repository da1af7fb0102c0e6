"""What testers decide, and what their votes amount to, without waiting for either."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allium.appchain.admission import admissible, objection, possible
from allium.appchain.certificates import Verdict
from allium.appchain.nodes import Node
from allium.appchain.parameters import MAINNET
from allium.appchain.state import State
from allium.appchain.types import Blocks, Height, Index, L2Height, PublicKey, Reasons, Seconds
from allium.appchain.verdicts import (
    Found,
    Judgement,
    Limits,
    Proven,
    Reason,
    failures,
    is_wrong_itself,
    judge,
    moved,
    verdict,
)
from allium.liveness.ballots import OTHERWISE, Ballot, Tally, cast
from allium.liveness.clocks import HOUR, Clocks
from tests.support.appchain_world import REQUIREMENT, RULES, bls, network, pubkey, secret, stakes

CLOCKS = Clocks.of(HOUR)
LIMITS = CLOCKS.limits
NOW = Seconds(1_750_100_000)
L2 = L2Height(300_000_000)
FINE = Found(proven=Seconds(NOW - 60), l2_height=L2)


def node(credit: int, height: int, down_since: int | None = None) -> Node:
    """A node that has this credit at a height."""
    down = 0 if down_since is None else height - down_since
    return Node(
        pubkey=pubkey(1),
        bls_key=bls(1),
        contract_id=7,  # type: ignore[arg-type]
        contributors=stakes(REQUIREMENT),
        fee=0,  # type: ignore[arg-type]
        registration_height=Height(1),
        active_since=Height(height - 1 if down_since is None else down_since),
        recommission_credit=Blocks(credit + down),
        decommissioned=down_since is not None,
        last_decommission_height=Height(down_since or 0),
    )


# What is found.


def test_the_clocks_are_those_of_the_network() -> None:
    assert Limits(7500, 3900, 14_400, 86_400, 7200, 300, 4) == LIMITS
    assert (CLOCKS.proof, CLOCKS.tolerance, CLOCKS.tick) == (3600, 300, 30)


LAST = 7500


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (FINE, Reason(0)),
        (Found(), Reason.NO_PROOF),
        (replace(FINE, proven=Seconds(NOW - LAST)), Reason(0)),
        (replace(FINE, proven=Seconds(NOW - LAST - 1)), Reason.NO_PROOF),
        (Found(excused=Seconds(NOW - LAST)), Reason(0)),
        (Found(excused=Seconds(NOW - LAST - 1)), Reason.NO_PROOF),
        (replace(FINE, unreached=(Seconds(NOW - 3900), NOW)), Reason(0)),
        (replace(FINE, unreached=(Seconds(NOW - 3901), NOW)), Reason.UNREACHABLE),
        (replace(FINE, unreached=(Seconds(NOW - 9000), Seconds(NOW - 300))), Reason.UNREACHABLE),
        (replace(FINE, unreached=(Seconds(NOW - 9000), Seconds(NOW - 301))), Reason(0)),
        (replace(FINE, answered=(False,) * 4 + (True,) * 4), Reason(0)),
        (replace(FINE, answered=(False,) * 5 + (True,) * 3), Reason.SILENT),
        (replace(FINE, in_time=(True,) * 4 + (False,) * 4), Reason(0)),
        (replace(FINE, in_time=(False,) * 5), Reason.WRONG_CLOCK),
        # A minute's blocks and an hour's.
        (replace(FINE, l2_height=L2Height(L2 - 240 - 14_400)), Reason(0)),
        (replace(FINE, l2_height=L2Height(L2 - 240 - 14_401)), Reason.L2_BEHIND),
        (Found(proven=Seconds(NOW - LAST - 1), unreached=(Seconds(0), NOW)), Reason(0x89)),
    ],
)
def test_reasons(found: Found, why: Reason) -> None:
    assert failures(found, False, NOW, L2, LIMITS) == why


def test_who_was_voted_down_has_to_prove_itself_anew_and_is_asked_no_time() -> None:
    found = Found(excused=NOW, answered=(False,) * 8, in_time=(False,) * 8)
    assert failures(found, True, NOW, L2, LIMITS) == Reason.NO_PROOF
    assert failures(replace(found, proven=NOW, l2_height=L2), True, NOW, L2, LIMITS) == Reason(0)


@pytest.mark.parametrize(
    ("first", "second", "counted", "moves"),
    [(86_399, 0, 0, True), (86_400, 0, 0, False), (10_000, 0, 2801, False), (10_000, 0, 2800, False)],
)
def test_two_addresses(first: int, second: int, counted: int, moves: bool) -> None:
    """The last two columns of time are seconds ago; what counted before is pardoned for two hours."""
    addresses = (Proven("203.0.113.1", Seconds(NOW - first)), Proven("203.0.113.2", Seconds(NOW - second)))
    ago = Seconds(NOW - counted) if counted else Seconds(0)
    assert moved(Found(addresses=addresses), NOW, ago, LIMITS) is moves
    assert not moved(Found(addresses=addresses[:1] * 2), NOW, Seconds(0), LIMITS)


def test_who_finds_most_clocks_wrong_has_a_wrong_one() -> None:
    right, wrong = Found(in_time=(False, True)), Found(in_time=(True, False))
    assert not is_wrong_itself([wrong, wrong])
    assert not is_wrong_itself([wrong] * 3 + [right])
    assert is_wrong_itself([wrong] * 4 + [right, Found()])


reasons = st.builds(Reason, st.sampled_from([0, 1, 8, 9, 0x80, 0xB9]))


@given(
    why=reasons,
    moves=st.booleans(),
    credit=st.integers(-50, 1440),
    down=st.none() | st.integers(1, 500),
    changed=st.integers(0, 700),
)
def test_decisions(why: Reason, moves: bool, credit: int, down: int | None, changed: int) -> None:
    height = Height(600)
    given_node = node(credit, height, None if down is None else height - down)
    given_node = replace(given_node, last_ip_change_height=Height(changed))
    left = given_node.credit(height, MAINNET)
    expected = {
        (True, True): Verdict.DEREGISTER if left < 0 else None,
        (True, False): Verdict.DECOMMISSION if left >= 60 else Verdict.DEREGISTER,
        (False, True): Verdict.RECOMMISSION,
        (False, False): Verdict.IP_CHANGE if moves and changed < height else None,
    }[bool(why), given_node.decommissioned]
    assert verdict(given_node, height, why, moves, MAINNET) == expected
    assert expected is None or possible(given_node, height, expected, MAINNET) is None
    # Nobody is judged by the height at which he came, or was voted down.
    fresh = given_node.last_decommission_height if given_node.decommissioned else given_node.active_since
    assert verdict(given_node, fresh, why, moves, MAINNET) is None


# Who says it.


WORLDS = {size: network(size, heights=3) for size in (7, 30, 90)}
HEIGHTS = {size: world.state for size, world in WORLDS.items()}


def names(state: State) -> dict[PublicKey, int]:
    return {pubkey(name): name for name in range(len(state.nodes))}


@given(size=st.sampled_from(sorted(WORLDS)), down=st.sets(st.integers(0, 89)))
@settings(max_examples=60, deadline=None)
def test_testers_who_find_the_same_say_the_same(size: int, down: set[int]) -> None:
    state = HEIGHTS[size]
    drawn = state.quorum(state.height)
    assert drawn is not None
    named = names(state)
    found = {key: Found() if name in down else FINE for key, name in named.items()}
    said: dict[PublicKey, tuple[Judgement, ...]] = {
        key: judge(state, key, found, NOW, L2, LIMITS) for key in state.nodes
    }
    failing = [key for key in drawn.workers if named[key] in down]
    for key, judged in said.items():
        if key not in drawn.validators:
            assert judged == ()
            continue
        others = [each for each in failing if each != key][: state.parameters.max_deactivations]
        assert [drawn.workers[each.worker] for each in judged] == others
        assert all((each.verdict, each.reasons) == (Verdict.DECOMMISSION, Reasons(Reason.NO_PROOF)) for each in judged)


def test_what_nothing_is_known_of_is_not_judged() -> None:
    state = HEIGHTS[7]
    assert judge(state, pubkey(0), {pubkey(1): FINE, pubkey(2): Found()}, NOW, L2, LIMITS) == (
        Judgement(Index(_worker(state, 2)), Verdict.DECOMMISSION, Reasons(Reason.NO_PROOF)),
    )


def test_who_has_a_wrong_clock_judges_no_other() -> None:
    state = HEIGHTS[7]
    wrong = replace(FINE, in_time=(False,) * 5)
    right = replace(FINE, in_time=(True,))
    found = {pubkey(name): wrong if name < 3 else right for name in range(7)}
    assert [each.reasons for each in judge(state, pubkey(6), found, NOW, L2, LIMITS)] == [
        Reasons(Reason.WRONG_CLOCK)
    ] * 3
    most = {**found, pubkey(6): FINE} | dict.fromkeys(map(pubkey, (4, 5)), wrong)
    assert judge(state, pubkey(6), most, NOW, L2, LIMITS) == ()
    silent = {**most, pubkey(0): Found()}
    assert [each.reasons for each in judge(state, pubkey(6), silent, NOW, L2, LIMITS)] == [Reasons(Reason.NO_PROOF)]


def _worker(state: State, name: int) -> int:
    drawn = state.quorum(state.height)
    assert drawn is not None
    return drawn.workers.index(pubkey(name))


# What votes amount to.


def ballots(state: State, voter: int, worker: int, chosen: Verdict, why: int = 1) -> Ballot:
    drawn = state.quorum(state.height)
    assert drawn is not None
    place = Index(drawn.validators.index(pubkey(voter)))
    judged = Judgement(Index(worker), chosen, Reasons(why))
    return cast(state.parameters.chain, state.height, place, judged, secret(voter))


@given(
    size=st.sampled_from((7, 30)),
    data=st.data(),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=40, deadline=None)
def test_voters_who_contradict_themselves_change_nothing(size: int, data: st.DataObject, seed: int) -> None:
    """Fewer than a third of them, each telling everybody what they like in any order: no node ever has two verdicts on
    one question, and all have the honest ones' when these are enough."""
    state = HEIGHTS[size]
    drawn = state.quorum(state.height)
    assert drawn is not None
    named = names(state)
    voters = [named[key] for key in drawn.validators]
    worker = next(index for index, key in enumerate(drawn.workers) if key not in drawn.validators[:1])
    cheats = data.draw(st.sets(st.sampled_from(voters), max_size=len(voters) - drawn.threshold), label="cheats")
    honest = [ballots(state, voter, worker, Verdict.DECOMMISSION) for voter in voters if voter not in cheats]
    twofold = [
        ballots(state, voter, worker, chosen, why)
        for voter in cheats
        for chosen, why in ((Verdict.IP_CHANGE, 0), (Verdict.DECOMMISSION, 8), (Verdict.DECOMMISSION, 1))
    ]
    for listener in range(3):
        told = honest + twofold
        random.Random(seed + listener).shuffle(told)
        tally = Tally()
        for ballot in told:
            if tally.refusal(state, ballot) is None:
                tally.take(ballot)
        [certificate] = tally.certificates(state, (state.height, Index(worker)))
        assert certificate.verdict == Verdict.DECOMMISSION
        assert len(certificate.votes) >= drawn.threshold
        assert objection(state, certificate) is None
        assert admissible(state, [certificate]) == (certificate,)


def test_too_few_votes_are_none() -> None:
    state = HEIGHTS[30]
    drawn = state.quorum(state.height)
    assert drawn is not None and (len(drawn.validators), drawn.threshold) == (20, 14)
    named = names(state)
    tally = Tally()
    for count, key in enumerate(drawn.validators, 1):
        tally.take(ballots(state, named[key], 0, Verdict.DECOMMISSION))
        made = list(tally.certificates(state, (state.height, Index(0))))
        assert len(made) == (count >= 14)


def test_votes_that_are_none() -> None:
    world = network(7, heights=3)
    state, tally = world.state, Tally()
    good = ballots(state, 1, 0, Verdict.DECOMMISSION)
    assert tally.refusal(state, good) is None
    tally.take(good)
    assert tally.refusal(state, good) == "it is known"
    other = ballots(state, 1, 0, Verdict.DECOMMISSION, why=8)
    assert tally.refusal(state, other) == OTHERWISE
    strange = replace(good, vote=replace(good.vote, validator=Index(7)))
    assert tally.refusal(state, strange) == "nobody was drawn as this"
    assert tally.refusal(state, replace(good, worker=Index(7))) == "nobody was drawn as this"
    assert (
        tally.refusal(state, replace(good, height=Height(state.height + 1))) == "votes about this height do not count"
    )
    assert tally.refusal(state, replace(good, verdict=Verdict.RECOMMISSION)) == "the node is active"
    late = world.steps(RULES.vote_lifetime)
    assert tally.refusal(late, good) == "votes about this height do not count"
    tally.follow(late)
    assert not list(tally.certificates(late, (good.height, good.worker))) and not tally._votes
