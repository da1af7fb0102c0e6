"""What of a claim were stakes: by what had come back at its block, whatever comes back later."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allium.portal.claimed import Claim, Claimed, ReturnedStakes, attribute, claimed
from allium.portal.database import PortalDatabase
from allium.portal.sql import PortalDatabaseError
from allium.portal.stake_history import StakeHistory

REWARDS, ALICE, BOB = ("0x" + digits * 20 for digits in ("11", "22", "33"))
STAKE = 25_000


def test_stakes_are_claimed_before_rewards() -> None:
    first = attribute(Claimed(), 60, stakes=100 - 10, rewards=50)
    assert first == Claimed(stakes=60, rewards=0)
    assert attribute(first, 40, stakes=90, rewards=50) == Claimed(stakes=90, rewards=10)
    # The same of a history: what came back at block 5, and two claims after it.
    returned = ReturnedStakes([(5, 90)], [(5, 90)], 90)
    assert claimed([Claim(6, 60, 140), Claim(7, 40, 140)], returned, 50) == Claimed(stakes=90, rewards=10)


def test_what_comes_back_after_a_claim_is_not_claimed() -> None:
    claim = Claim(10, 300, 300)
    for kept in ([], [(21, STAKE)], [(0, STAKE)]):
        later = ReturnedStakes([(20, STAKE)], kept, STAKE)
        assert claimed([claim], later, 500) == Claimed(stakes=0, rewards=300), kept
        # What is claimed then is the stake first.
        both = [claim, Claim(30, STAKE + 100, STAKE + 400)]
        assert claimed(both, later, 500) == Claimed(stakes=STAKE, rewards=400)


def test_a_stake_that_is_kept_back_is_not_claimed_meanwhile() -> None:
    exits = [(20, STAKE)]
    claims = [Claim(25, 300, 300), Claim(40, STAKE, STAKE + 300)]
    # Nobody looked at the time: that it was not signed for says it.
    assert claimed(claims, ReturnedStakes(exits, [(0, STAKE)], STAKE), 300) == Claimed(stakes=STAKE, rewards=300)
    # Of who had earned more than that, only what was kept says it.
    rich = [Claim(25, STAKE, 2 * STAKE), Claim(40, STAKE // 2, 3 * STAKE)]
    assert claimed(rich, ReturnedStakes(exits, [(30, STAKE)], STAKE), 3 * STAKE) == Claimed(STAKE // 2, STAKE)
    assert claimed(rich[:1], ReturnedStakes(exits, [(30, STAKE)], STAKE), 3 * STAKE) == Claimed(0, STAKE)
    assert claimed(rich[:1], ReturnedStakes(exits, [], STAKE), 3 * STAKE) == Claimed(STAKE, 0)
    # A block in which the exit was is taken back: what was kept of it counts for nothing.
    assert claimed(rich[:1], ReturnedStakes([], [(22, STAKE)], 0), 3 * STAKE) == Claimed(0, STAKE)
    # Of two that came back the later one was not signed for.
    two = ReturnedStakes([(20, STAKE), (22, STAKE)], [(0, 2 * STAKE)], 2 * STAKE)
    assert two.at(25, STAKE + 300) == STAKE and two.at(25, None) == 2 * STAKE


_UNITS = st.integers(0, 10**18)


@settings(max_examples=60, deadline=None)
@given(_UNITS, _UNITS, st.lists(_UNITS, max_size=8))
def test_no_more_is_claimed_than_there_was(stakes: int, rewards: int, claims: list[int]) -> None:
    paid = Claimed()
    for each in claims:
        paid = attribute(paid, each, stakes, rewards)
    assert paid.stakes == min(stakes, sum(claims))
    assert paid.rewards <= rewards and paid.stakes + paid.rewards <= sum(claims)


_STEPS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 50)), max_size=5).map(sorted)


@settings(max_examples=60, deadline=None)
@given(_STEPS, _STEPS, st.lists(st.tuples(st.integers(0, 30), st.integers(0, 50), st.integers(0, 20)), max_size=6))
def test_every_claim_is_told_apart_as_a_whole(
    exits: list[tuple[int, int]], kept: list[tuple[int, int]], made: list[tuple[int, int, int]]
) -> None:
    """Whatever is known of the past: the contract pays no more than was signed, so nothing is left over."""
    claims, paid, signed = [], 0, 0
    for block, amount, more in sorted(made):
        paid, signed = paid + amount, max(signed, paid + amount) + more
        claims.append(Claim(block, amount, signed))
    total = claimed(claims, ReturnedStakes(exits, kept, 1000), 0)
    assert total.stakes + total.rewards == paid
    assert total.stakes <= sum(back for _, back in exits)


def test_when_stakes_came_back_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "portal.sqlite"
    database = PortalDatabase(path, 5, REWARDS, 100)
    history = StakeHistory(database)
    # What was there before anybody looked may always have been.
    history.note(7, 70, {ALICE: 5, BOB: 0})
    assert history.steps == {ALICE: [(0, 5)]}
    history.note(8, 80, {ALICE: 9, BOB: 3})
    history.note(8, 80, {})
    history.note(9, 90, {ALICE: 9, BOB: 3})
    expected = {ALICE: [(0, 5), (80, 9)], BOB: [(80, 3)]}
    assert history.steps == expected
    database.close()

    database = PortalDatabase(path, 5, REWARDS, 100)
    history = StakeHistory(database)
    assert history.steps == expected
    # While it was away height 11 or 12 has changed something.
    history.note(12, 120, {ALICE: 10, BOB: 3})
    assert history.steps == {ALICE: [(0, 5), (80, 9), (91, 10)], BOB: [(80, 3)]}
    kept = history.steps
    # The ledger is followed from an earlier height again.
    history.note(9, 85, {ALICE: 9, BOB: 4})
    assert history.steps == {ALICE: [(0, 5), (80, 9)], BOB: [(80, 3), (85, 4)]}
    assert kept[ALICE][-1] == (91, 10), "an answer under way has what it began with"
    assert StakeHistory(database).steps == history.steps
    # What cannot be kept is not believed to be.
    database.close()
    with pytest.raises(PortalDatabaseError):
        history.note(10, 95, {ALICE: 11})
    assert history.steps[ALICE][-1] == (80, 9)


def test_a_file_of_the_first_format_is_carried_over(tmp_path: Path) -> None:
    path = tmp_path / "portal.sqlite"
    database = PortalDatabase(path, 5, REWARDS, 100)
    database.keep_day(7, 8, 9, [(ALICE, 10)])
    database.close()
    with sqlite3.connect(path) as before:
        for statement in ("DROP TABLE followed", "DROP TABLE returned", "UPDATE format SET number = 1"):
            before.execute(statement)
    for _ in range(2):
        database = PortalDatabase(path, 5, REWARDS, 100)
        assert (database.followed(), database.returned()) == ((0, -1), {})
        assert [day.block for day in database.days(ALICE)] == [8]
        database.close()
