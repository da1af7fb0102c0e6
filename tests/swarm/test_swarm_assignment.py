"""The membership algorithm against the outputs of the reference's (`spec/node-tests` §5, `spec/appchain` §4.2)."""

from __future__ import annotations

import hashlib
from bisect import insort
from copy import copy
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allium.appchain import ranking
from allium.appchain.mt19937 import Mt19937, Quorum, obligations_quorum
from allium.appchain.stdsort import _Sorter, std_sort
from allium.appchain.swarms import (
    MAX_ID,
    MIN_SIZE,
    UNASSIGNED,
    SizeOrder,
    assign,
    new_id,
    reference_order,
    seed_of,
    stable_order,
    update,
)
from tests.support import swarm_model

BLOCK = bytes(range(32))
HALF, QUARTER = MAX_ID // 2, MAX_ID // 4


def text(swarms: dict[int, list[int]]) -> str:
    return "".join(f"{swarm}: {' '.join(map(str, keys))}\n" for swarm, keys in sorted(swarms.items()))


def sha256(swarms: dict[int, list[int]]) -> str:
    return hashlib.sha256(text(swarms).encode()).hexdigest()


def ordered(swarms: dict[int, list[int]]) -> dict[int, list[int]]:
    return {swarm: sorted(keys) for swarm, keys in swarms.items()}


def test_generator() -> None:
    standard = Mt19937(5489)
    assert [standard.draw() for _ in range(10_000)][-1] == 9981545732273789042
    first = [5057226735408374516, 11790472017568160695, 14791238184277572959, 5854914151949833302]
    swarm_style = Mt19937(seed_of(BLOCK))
    assert [swarm_style.draw() for _ in range(4)] == first
    tens = Mt19937(42)
    assert [tens.below(10) for _ in range(10)] == [7, 6, 7, 1, 9, 0, 5, 3, 2, 3]


@pytest.mark.parametrize(
    ("quorum", "outputs"),
    [
        (Quorum.OBLIGATIONS, [5684039678701183362, 9060465443362558873, 9700664735160225102]),
        (Quorum.CHECKPOINTING, [8018770411282620334, 6976561341289355288, 7758639096590354030]),
        (Quorum.BLINK, [15084704536430730473, 17683063956011404783, 827446434882111615]),
        (Quorum.PULSE, [6989409862930718931, 18134698969233182134, 7918756237817033738]),
    ],
)
def test_generator_of_a_block(quorum: Quorum, outputs: list[int]) -> None:
    generator = Mt19937.of_block(quorum, BLOCK)
    twin = copy(generator)
    assert [generator.draw() for _ in range(3)] == outputs
    assert twin.draw() == outputs[0]


def test_quorum_draws() -> None:
    generator = Mt19937.of_block(Quorum.OBLIGATIONS, BLOCK)
    assert [generator.below(n) for n in (1, 2, 10, 50, 1000)] == [0, 0, 5, 5, 12]
    items = list(range(20))
    Mt19937.of_block(Quorum.CHECKPOINTING, BLOCK).shuffle(items)
    assert items == [1, 4, 14, 12, 10, 6, 11, 17, 18, 13, 7, 9, 16, 2, 15, 0, 8, 19, 5, 3]
    validators, workers = obligations_quorum(BLOCK, 30, 5)
    assert validators == [27, 23, 15, 7, 1, 8, 5, 25, 9, 4]
    assert workers == [
        21, 33, 29, 17, 24, 13, 12, 3, 19, 14, 26, 34, 28, 0, 6, 22, 30, 11, 2, 10, 18, 31, 32, 16, 20
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([], 0),
        ([0], HALF),
        ([0, HALF], HALF + QUARTER + 1),
        ([0, HALF, HALF + QUARTER + 1], QUARTER),
        ([HALF], MAX_ID),
        ([QUARTER], HALF + QUARTER),
        ([12345678901234567890], 12345678901234567890 - HALF - 1),
        ([HALF - 100, HALF + 100], MAX_ID),
        ([HALF - 100, HALF + 101], 0),
        ([HALF - 101, HALF + 101], MAX_ID),
        ([HALF - 101, HALF + 102], 0),
    ],
)
def test_new_ids(ids: list[int], expected: int) -> None:
    assert new_id(ids) == expected


def test_ids_after_many_changes() -> None:
    generator, ids = Mt19937(12345), list[int]()
    for _ in range(10_000):
        x = generator.draw()
        if x < 2**62:
            if ids:
                del ids[x % len(ids)]
        else:
            insort(ids, new_id(ids))
    assert len(ids) == 5048
    for index, expected in {
        0: 1548112371908607, 1: 4398046511103999, 2: 7247980650299391, 25: 72796465851793407, 99: 283691592152252415,
        404: 1203745330089164798, 2000: 6581905302285713406, 4567: 16860997617805426686, 5047: 18445442251942264830,
    }.items():  # fmt: skip
        assert ids[index] == expected


def test_published_assignments() -> None:
    a = update({}, range(1, 31), 42)
    assert text(a) == (
        "0: 4 7 8 11 15 19 21 25\n"
        "4611686018427387903: 22 18 17 28 16 12 13\n"
        "9223372036854775807: 14 10 20 24 26 29 30\n"
        "13835058055282163711: 2 6 1 5 9 3 23 27\n"
    )
    without = {swarm: [key for key in keys if key not in (4, 7, 8, 11)] for swarm, keys in ordered(a).items()}
    assert text(update(without, [], 7)) == (
        "0: 15 19 21 25 3\n"
        "4611686018427387903: 12 13 16 17 18 22 28\n"
        "9223372036854775807: 10 14 20 24 26 29 30\n"
        "13835058055282163711: 1 2 5 6 9 23 27\n"
    )


def test_published_assignments_beyond_sixteen_swarms() -> None:
    c = update({}, range(1, 401), 0x0123456789ABCDEF)
    assert len(c) == 57
    assert sha256(c) == "4513871d343a1fccac17cc8a49f9abba1e8821128276663be6b488b4818ff366"
    cut = {
        swarm: keys[:2] if place % 3 == 0 else keys for place, (swarm, keys) in enumerate(ordered(c).items(), start=1)
    }
    assert sha256(cut) == "1de200adcad52d2ebf70d9d86437c9cb0718bd555e23d5e90c2c5b6427ef4c39"
    d = update(cut, [], 99)
    assert len(d) == 52
    assert sha256(d) == "5dfef9f8891785a32abad9bb358d378d1252c77142426c2328b8055648c7bf42"


def test_growth_makes_a_swarm_of_every_seven() -> None:
    swarms: dict[int, list[int]] = {}
    for key in range(1, 120):
        swarms = ordered(update(swarms, [key], key))
        assert len(swarms) == 1 + max(0, key - 7) // 7


def test_one_swarm_that_shrinks_changes_no_other_while_it_can() -> None:
    swarms = ordered(update({}, range(70), 1))
    victim = max(swarms, key=lambda swarm: len(swarms[swarm]))
    shrunk = {**swarms, victim: swarms[victim][:MIN_SIZE]}
    assert ordered(update(shrunk, [], 5)) == shrunk


@given(st.integers(1, 90), st.integers(0, 2**64 - 1), st.data())
def test_every_node_is_somewhere_and_swarms_are_large_enough(nodes: int, seed: int, data: st.DataObject) -> None:
    keys = [index.to_bytes(32, "big") for index in range(nodes)]
    first = assign(dict.fromkeys(keys, UNASSIGNED), seed)
    leaving = data.draw(st.sets(st.sampled_from(keys), max_size=nodes - 1))
    remaining = {key: swarm for key, swarm in first.items() if key not in leaving}
    second = assign(remaining, seed ^ 1)
    for current in (first, second):
        sizes = [list(current.values()).count(swarm) for swarm in set(current.values())]
        assert len(sizes) == 1 or min(sizes) >= MIN_SIZE
    assert set(second) == set(remaining)


@given(
    st.dictionaries(st.integers(0, MAX_ID), st.integers(0, 12), max_size=60),
    st.integers(0, 60),
    st.integers(0, 2**64 - 1),
    st.sampled_from([stable_order, reference_order]),
    st.sampled_from([1, 2, 128]),
)
def test_the_same_as_step_by_step(sizes: dict[int, int], new: int, seed: int, order: SizeOrder, block: int) -> None:
    keys = iter(range(10_000))
    swarms = {swarm: [next(keys) for _ in range(size)] for swarm, size in sizes.items()}
    unassigned = [next(keys) for _ in range(new)]
    if sum(sizes.values()) + new < MIN_SIZE:
        return  # the reference knows no answer when nobody is left to make a swarm of
    with patch.object(ranking, "_BLOCK", block):
        assert update(swarms, unassigned, seed, order) == swarm_model.update(swarms, unassigned, seed, order)


@given(st.sets(st.integers(0, MAX_ID) | st.integers(0, 40), min_size=1, max_size=40))
def test_new_ids_as_step_by_step(ids: set[int]) -> None:
    assert new_id(sorted(ids)) == swarm_model.new_id(sorted(ids))


def test_a_hundred_thousand_new_nodes_are_no_matter() -> None:
    swarms = update({}, range(100_000), 7, stable_order)
    assert len(swarms) == 14_285
    assert {len(keys) for keys in swarms.values()} <= {5, 6, 7, 8, 9}


@given(st.lists(st.integers(0, 9), max_size=200))
def test_sorting_sorts(values: list[int]) -> None:
    entries = list(enumerate(values))
    result = std_sort(entries, key=lambda entry: entry[1])
    assert [value for _, value in result] == sorted(values)
    assert sorted(result) == entries


@given(st.lists(st.integers(0, 9), max_size=100))
def test_the_fall_back_sorts_too(values: list[int]) -> None:
    order = list(range(len(values)))
    _Sorter(values, order)._heapsort(0, len(values))
    assert [values[index] for index in order] == sorted(values)
