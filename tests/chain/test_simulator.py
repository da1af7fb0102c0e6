"""The simulator: that it repeats itself, that it is right where the answer is known, and that it can be wrong."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allium.appchain.types import PublicKey
from allium.cli import main as cli
from allium.devnet.simulation import costs, moving, table
from allium.devnet.simulation.chance import Chance
from allium.devnet.simulation.costs import Purpose
from allium.devnet.simulation.loop import Loop
from allium.devnet.simulation.network import SimulatedNetwork
from allium.devnet.simulation.scenario import LIMITS, RULES, Hostile, Scenario
from allium.devnet.simulation.simulation import simulate
from allium.liveness import gossip

#: Of so few, all are tested at every height.
SMALL = 40
QUIET = Scenario(nodes=SMALL, hours=1, loss=0.0, deaths=0.0, churn=0.0)
EVENTFUL = Scenario(nodes=SMALL, hours=2.5, loss=0.05, deaths=1.5, churn=0.5, hostile=0.1)


def test_equal_seeds_give_equal_outcomes_and_others_do_not() -> None:
    first, second = simulate(EVENTFUL), simulate(EVENTFUL)
    assert first == second
    assert table.markdown([first]) == table.markdown([second])
    other = simulate(replace(EVENTFUL, seed=2))
    assert replace(other, scenario=EVENTFUL) != first
    assert first.deaths and first.joined and first.left


def test_every_death_is_found_in_time_and_nobody_else_when_nothing_is_lost() -> None:
    outcome = simulate(replace(QUIET, deaths=1.5, hours=4.5))
    assert outcome.deaths > 5
    assert (outcome.wrongful, outcome.missed, outcome.stalled) == (0, 0, 0)
    assert outcome.judged > 0
    assert outcome.decommissioned == outcome.found
    assert outcome.to_decommission.median is not None and outcome.to_decommission.p99 is not None
    # The last proof is up to an hour old at death, so tests are sooner: 65 minutes after each tester has come by.
    round_seconds = SMALL * 10
    heights = 3 * RULES.block_seconds
    assert LIMITS.unreachable < outcome.to_decommission.median
    assert outcome.to_decommission.p99 < LIMITS.unreachable + 2 * round_seconds + heights


def test_a_quiet_network_votes_nobody_out() -> None:
    outcome = simulate(QUIET)
    assert outcome.heights == 30
    assert (outcome.decommissioned, outcome.deregistered, outcome.moved, outcome.copies) == (0, 0, 0, 0)
    assert outcome.claimable == 1.0


def test_liars_with_more_than_the_threshold_vote_out_nodes_that_work() -> None:
    outcome = simulate(replace(QUIET, hostile=0.8))
    assert outcome.wrongful > 0
    assert outcome.claimable == 0.0


def test_liars_with_less_than_the_threshold_can_only_delay() -> None:
    outcome = simulate(replace(QUIET, deaths=2.0, hostile=0.3, hours=2.5))
    assert outcome.wrongful == 0
    assert outcome.deaths >= outcome.found > 0


def test_mute_nodes_beyond_a_third_stop_the_committee() -> None:
    outcome = simulate(replace(QUIET, hostile=0.5, hostility=Hostile.MUTE))
    assert outcome.heights == 0
    assert outcome.stalled > 0


def test_pretenders_are_found_by_tests_alone() -> None:
    outcome = simulate(replace(QUIET, hours=2, hostile=0.1, hostility=Hostile.PRETEND))
    assert outcome.pretenders > 0
    assert outcome.pretenders_found == outcome.pretenders
    assert outcome.wrongful == 0


def test_costs_are_those_that_can_be_counted_by_hand() -> None:
    nodes, hours = SMALL, 1
    outcome = simulate(QUIET)
    # Who has 39 others has 10 neighbours. Each node passes each proof on to those from whom it does not come.
    assert SimulatedNetwork(QUIET, Chance(1)).neighbours == 10
    proofs = outcome.sent[Purpose.PROOFS]
    assert proofs.messages == nodes * 9 + 1
    assert proofs.bytes == pytest.approx(proofs.messages * costs.PROOF_BYTES, rel=1e-4)
    assert outcome.sent[Purpose.VOTES].messages == outcome.sent[Purpose.CERTIFICATES].messages == 0
    # A test every ten seconds.
    assert outcome.sent[Purpose.PINGS].messages == pytest.approx(360, rel=2e-3)
    # All have a seat: two votes of each at every height, passed on once, and told to all neighbours.
    expected = outcome.heights / hours * (1 + 2 * nodes * (1 + 10))
    assert outcome.sent[Purpose.BLOCKS].messages == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("nodes", "neighbours"), [(5, 4), (9, 8), (10, 6), (40, 10), (100, 14), (1000, 20), (100_000, 34)]
)
def test_neighbours(nodes: int, neighbours: int) -> None:
    assert SimulatedNetwork(Scenario(nodes), Chance(1)).neighbours == neighbours
    keys = [PublicKey(number.to_bytes(32, "big")) for number in range(nodes)]
    assert len(gossip.neighbours(keys[nodes // 3], keys)) == neighbours


def test_events_come_in_the_order_of_their_times() -> None:
    loop, seen = Loop(), list[tuple[str, float]]()
    loop.at(2.0, lambda: seen.append(("later", loop.now)))
    loop.at(1.0, lambda: loop.after(0.5, lambda: seen.append(("then", loop.now))))
    loop.at(1.0, lambda: seen.append(("first", loop.now)))
    loop.at(9.0, lambda: seen.append(("never", loop.now)))
    loop.run(3.0)
    assert seen == [("first", 1.0), ("then", 1.5), ("later", 2.0)]
    assert loop.now == 3.0


def test_chance_is_even() -> None:
    chance = Chance(1)
    drawn = [chance.uniform(number, 3) for number in range(20_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(0.5, abs=0.01)
    assert [sum(low <= x < low + 0.1 for x in drawn) / 2000 for low in (0.0, 0.5, 0.9)] == pytest.approx(
        [1] * 3, abs=0.1
    )
    assert chance.uniform(7, 3) == Chance(1).uniform(7, 3) != Chance(2).uniform(7, 3)


@given(st.sets(st.integers(0, 2**64 - 2), min_size=1, max_size=12))
def test_the_swarms_have_all_accounts_between_them(ids: set[int]) -> None:
    spans = moving.arcs(ids)  # type: ignore[arg-type]
    assert sum(end - start for start, end in spans.values()) == 2**64


def test_what_a_swarm_gains() -> None:
    ring = 2**64
    assert moving.gained(None, (0, ring)) == ring
    assert moving.gained((0, ring // 2), (0, ring // 2)) == 0
    assert moving.gained((0, 100), (50, 150)) == 50
    # The same arc, told from beyond the ring's end.
    assert moving.gained((ring - 10, ring + 10), (-10, 10)) == 0
    assert moving.gained((ring - 10, ring + 10), (-10, 20)) == 10


def test_command_for_machines(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["simulate", "--nodes", "30", "--nodes", "20", "--hours", "0.5", "--loss", "0", "--json"]
    assert cli.main([*arguments, "--plots", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [run["scenario"]["nodes"] for run in told] == [20, 30]
    assert told[0] == json.loads(json.dumps(asdict(simulate(Scenario(nodes=20, hours=0.5, loss=0.0)))))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "agreement.svg",
        "costs.svg",
        "death-to-decommission.svg",
    ]
    assert b"<svg" in (tmp_path / "costs.svg").read_bytes()
