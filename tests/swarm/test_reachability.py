"""Whom a node tests for being reachable, and when; without waiting for it."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from allium.liveness.reachability import RETESTS_PER_TICK, TICK_SECONDS, PingWatch, Scheduler

NODES = [f"{number:064x}" for number in range(40)]


def run(scheduler: Scheduler, seconds: float, dead: set[str], start: float = 0.0) -> list[tuple[float, str]]:
    """The tests of so many seconds, each ended at once."""
    tests: list[tuple[float, str]] = []
    for tick in range(1, round(seconds / TICK_SECONDS) + 1):
        now = start + tick * TICK_SECONDS
        chosen = scheduler.due(now)
        assert len(chosen) <= RETESTS_PER_TICK + 1
        for node in chosen:
            tests.append((now, node))
            scheduler.tested(node, node not in dead, now)
    return tests


def test_random_tests_are_ten_seconds_apart_and_take_everybody_in_turn() -> None:
    scheduler = Scheduler(0.0, random=Random(1))
    scheduler.set_nodes(NODES)
    tests = run(scheduler, 40_000, dead=set())
    pauses = [after - before for (before, _), (after, _) in itertools.pairwise(tests)]
    assert 9.8 < statistics.mean(pauses) < 10.4  # a tick is 0.2 s
    assert 2.8 < statistics.stdev(pauses) < 3.2
    rounds = [[node for _, node in tests[first : first + 40]] for first in range(0, len(tests) - 40, 40)]
    assert len(rounds) > 90 and all(sorted(one) == NODES for one in rounds)
    assert len({tuple(one) for one in rounds}) == len(rounds)


def test_a_failing_node_is_tested_later_and_later_and_at_least_every_two_minutes() -> None:
    scheduler = Scheduler(0.0, random=Random(2))
    scheduler.set_nodes(NODES[:1])
    times = [now for now, _ in run(scheduler, 3600, dead={NODES[0]})]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    for failures, pause in enumerate(pauses[:10]):
        assert abs(pause - 10 * (failures + 1)) < 12, (failures, pause)
    assert all(abs(pause - 120) < 0.3 for pause in pauses[16:]) and len(pauses) > 25
    assert scheduler.failures(NODES[0]) == len(times)
    again = run(scheduler, 200, dead=set(), start=3600)
    assert scheduler.failures(NODES[0]) == 0 and len(again) > 3


def test_who_was_not_reached_before_a_restart_is_tested_first() -> None:
    scheduler = Scheduler(0.0, random=Random(7))
    # Before it is known who is there, and after.
    scheduler.suspect(NODES[3], 0.0)
    scheduler.suspect("nobody", 0.0)
    scheduler.set_nodes(NODES)
    scheduler.suspect(NODES[5], 0.0)
    scheduler.suspect("nobody", 0.0)
    assert sorted(scheduler.due(0.1)) == [NODES[3], NODES[5]]
    for node in (NODES[3], NODES[5]):
        scheduler.tested(node, node == NODES[3], 0.1)
    assert (scheduler.failures(NODES[3]), scheduler.failures(NODES[5])) == (0, 2)


def test_a_tick_takes_four_failing_nodes_the_longest_due_first() -> None:
    scheduler = Scheduler(0.0, random=Random(3))
    scheduler.set_nodes(NODES)
    run(scheduler, 3600, dead=set(NODES))
    due = scheduler.due(10_000.0)
    assert len(due) == RETESTS_PER_TICK  # all are failing, so that none is left for a random test
    rest = [node for _ in range(9) for node in scheduler.due(10_000.0)]
    assert sorted(due + rest) == NODES and scheduler.due(10_000.0) == []


def test_nodes_that_left_or_are_being_tested_are_not_chosen() -> None:
    scheduler = Scheduler(0.0, random=Random(4))
    scheduler.set_nodes(NODES[:2])
    first = scheduler.due(100.0) + scheduler.due(200.0)
    assert sorted(first) == NODES[:2] and scheduler.due(300.0) == []
    scheduler.tested(first[0], False, 300.0)
    scheduler.set_nodes([first[1]])
    assert scheduler.due(1000.0) == []
    scheduler.untested(first[1])
    assert scheduler.due(2000.0) == [first[1]]
    scheduler.set_nodes([])
    scheduler.tested(first[1], False, 2000.0)
    assert scheduler.failures(first[1]) == 0 and scheduler.due(9000.0) == []


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.sets(st.sampled_from(NODES[:12])), st.sampled_from([0.3, 10.0]))
def test_the_dead_are_tested_and_so_are_the_living(seed: int, dead: set[str], interval: float) -> None:
    scheduler = Scheduler(0.0, interval, Random(seed))
    scheduler.set_nodes(NODES[:12])
    counts = Counter(node for _, node in run(scheduler, 40 * interval, dead))
    assert set(counts) == set(NODES[:12])
    assert all(scheduler.failures(node) == (counts[node] if node in dead else 0) for node in counts)


def test_silence_is_told_after_two_minutes_and_again_after_two_more() -> None:
    watch = PingWatch(1000.0)
    pinged = {"https": 0.0, "omq": 0.0, "quic": 0.0}
    assert watch.overdue(1119.0, pinged) == {}
    assert watch.overdue(1120.0, {**pinged, "omq": 1100.0}) == {"https": 120.0, "quic": 120.0}
    assert watch.overdue(1121.0, {**pinged, "omq": 1100.0}) == {}
    assert watch.overdue(1220.0, {**pinged, "omq": 1100.0}) == {"omq": 120.0}
    assert watch.overdue(1240.0, {**pinged, "https": 1239.0, "omq": 1100.0}) == {"quic": 240.0}
    assert watch.overdue(1359.0, {**pinged, "https": 1239.0, "omq": 1358.0}) == {"https": 120.0}
