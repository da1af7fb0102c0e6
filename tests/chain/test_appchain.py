"""The state machine: every node finds the same, whatever it is given."""

from __future__ import annotations

import ast
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import allium.appchain
from allium.appchain.admission import InvalidInputError, admissible
from allium.appchain.certificates import Verdict
from allium.appchain.encoding import encode
from allium.appchain.input import Input, Observation
from allium.appchain.ledger import model
from allium.appchain.ledger.ledger import RECORD
from allium.appchain.machine import apply
from allium.appchain.parameters import MAINNET, SESH
from allium.appchain.state import State, genesis, restore, snapshot
from allium.appchain.swarms import MIN_SIZE, UNASSIGNED, stable_order, update
from allium.appchain.types import Address, AtomicSesh, Hash, Height, L2Height, Seconds
from tests.support.appchain_world import REQUIREMENT, RULES, World, network, stakes

# Inputs.


def test_refuses_inputs_that_do_not_follow() -> None:
    world = World()
    world.step()
    world.register(1)
    world.register(2)
    good = world.input()
    seen = good.observation
    first, second = seen.events
    late = replace(first, position=replace(first.position, l2_height=L2Height(seen.l2_height + 1)))
    stale = replace(first, position=replace(first.position, l2_height=world.state.l2_height))
    for bad, says in (
        (replace(good, height=Height(3)), "does not follow"),
        (replace(good, height=Height(1)), "does not follow"),
        (replace(good, time=Seconds(0)), "time"),
        (replace(good, observation=replace(seen, l2_height=L2Height(100), events=())), "is before"),
        (replace(good, observation=replace(seen, l2_height=L2Height(101), events=())), "another hash"),
        (replace(good, observation=replace(seen, reward_rate=AtomicSesh(2**54 + 1))), "reward rate"),
        (replace(good, observation=replace(seen, events=(second, first))), "order"),
        (replace(good, observation=replace(seen, events=(first, first))), "order"),
        (replace(good, observation=replace(seen, events=(late,))), "up to the new one"),
        (replace(good, observation=replace(seen, events=(stale,))), "after the last height"),
        (replace(good, observation=replace(seen, events=(first,) * 4097)), "more events"),
    ):
        with pytest.raises(InvalidInputError, match=says):
            apply(world.state, bad)
    assert len(apply(world.state, good).nodes) == 2


def test_a_proposer_has_no_choice_that_moves_the_randomness() -> None:
    """Neither time, certificates, events nor the rate count, and of the EVM chain's blocks few may be taken."""
    world = network()
    worker = world.worker()
    plain = world.input()
    beacon = apply(world.state, plain).quorums[-1].beacon
    certificate = world.certificate(worker, Verdict.DECOMMISSION)
    for other in (
        replace(plain, time=Seconds(plain.time + 1)),
        replace(plain, certificates=(certificate,)),
        replace(plain, observation=replace(plain.observation, reward_rate=AtomicSesh(1))),
    ):
        assert apply(world.state, other).quorums[-1].beacon == beacon
    # What another proposer chose before does not move it either.
    follow = world.input()
    after = [apply(world.state, each) for each in (plain, replace(plain, certificates=(certificate,)))]
    assert after[0].root != after[1].root
    seen = replace(follow.observation, l2_height=L2Height(plain.observation.l2_height + 1))
    nexts = [apply(state, replace(plain, height=Height(plain.height + 1), observation=seen)) for state in after]
    assert nexts[0].quorums[-1].beacon == nexts[1].quorums[-1].beacon != beacon

    state = genesis(MAINNET)
    stride = MAINNET.l2_stride
    assert stride == 480 and RULES.l2_stride == 1
    taken = []
    for height in range(1, 3 * stride):
        seen = Observation(L2Height(height), Hash(bytes(32)), AtomicSesh(0), ())
        try:
            apply(state, Input(Height(1), Seconds(1), seen, ()))
        except InvalidInputError:
            continue
        taken.append(height)
    assert taken == [stride, 2 * stride]


# Swarms.


def test_swarms_form_and_keep_their_size() -> None:
    world = World()
    for name in range(40):
        world.register(name)
    state = world.step()
    sizes: dict[int, int] = {}
    for node in state.nodes.values():
        sizes[node.swarm] = sizes.get(node.swarm, 0) + 1
    assert UNASSIGNED not in sizes and min(sizes.values()) >= MIN_SIZE and len(sizes) > 1


def test_stable_order_as_specified() -> None:
    formed = update({}, range(1500), 1, stable_order)
    sizes: dict[int, int] = {}
    for members in formed.values():
        sizes[len(members)] = sizes.get(len(members), 0) + 1
    assert (len(formed), sizes) == (214, {5: 15, 6: 37, 7: 93, 8: 69})


# Determinism.


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, int]:
    return draw(st.integers(0, 2**32)), draw(st.integers(5, 40))


def live(world: World, seed: int, heights: int) -> None:
    """A random history: joins good and bad, requests, exits, verdicts."""
    chance = random.Random(seed)
    names, numbers = iter(range(1000)), []
    for _ in range(heights):
        for _ in range(chance.randrange(4)):
            parts = chance.randrange(1, 5)
            amounts = [REQUIREMENT // parts] * parts
            amounts[0] += REQUIREMENT - sum(amounts) + chance.choice([0, 0, 0, 1])
            name = next(names)
            numbers.append(world.register(name, stakes(*amounts, owner=name % 7), chance.randrange(10_100)))
        if numbers and chance.random() < 0.3:
            world.request_exit(chance.choice(numbers))
        if numbers and chance.random() < 0.2:
            world.exit(chance.choice(numbers), REQUIREMENT - chance.choice([0, 0, 50 * SESH]))
        certificates = []
        drawn = world.state.quorum(world.state.height)
        for worker in drawn.workers if drawn else ():
            if chance.random() < 0.2:
                name = world._names[worker]
                certificates.append(world.certificate(name, chance.choice(list(Verdict))))
        world.step(*admissible(world.state, certificates), rate=chance.randrange(2**40))


@settings(max_examples=25, deadline=None)
@given(histories())
def test_random_histories(history: tuple[int, int]) -> None:
    """Both ledgers, a restart at every height and the invariants of `spec/economics` §9."""
    plain, fast = World(arithmetic=model.Accruals()), World()
    live(plain, *history)
    total, restarted = 0, fast.state
    kept: dict[Height, bytes] = {}
    for given_input in plain.inputs:
        before = fast.state
        fast.state = apply(fast.state, given_input)
        restarted = apply(restore(snapshot(restarted)), given_input)
        assert fast.state.root == restarted.root
        assert_nobody_lost(before, fast.state)
        kept[fast.state.height] = fast.state.ledger.accounts()
        now = money(fast.state)
        credited = sum(b.amount for b in before.returns.values() if b.due <= fast.state.height) * 1000
        assert 0 <= now - total - credited <= 1000 * max((*before.rates, RULES.initial_reward), default=0)
        total = now
        assert_whole(fast.state)
    assert fast.state.root == plain.state.root
    for height, accounts in kept.items():
        for at in range(0, len(accounts), RECORD):
            amount = int.from_bytes(accounts[at + 20 : at + RECORD], "big")
            assert plain.state.ledger.balance(Address(accounts[at : at + 20]), height) == amount


def assert_nobody_lost(before: State, after: State) -> None:
    """No balance falls."""
    accounts = before.ledger.accounts()
    for at in range(0, len(accounts), RECORD):
        who = Address(accounts[at : at + 20])
        assert after.ledger.balance(who) >= before.ledger.balance(who)


def money(state: State) -> int:
    accounts = state.ledger.accounts()
    return sum(int.from_bytes(accounts[at + 20 : at + RECORD], "big") for at in range(0, len(accounts), RECORD))


def assert_whole(state: State) -> None:
    """What must hold in every state."""
    for key, node in state.nodes.items():
        assert (node.swarm == UNASSIGNED) == node.decommissioned
        assert (key in state.ledger.payees) == node.is_payable(state.height, state.parameters)
        assert node.contract_id not in state.departed
        assert node.requirement == REQUIREMENT
    assert set(state.ledger.payees) <= set(state.nodes)
    assert all(back.due > state.height for back in state.returns.values())
    swarm_sizes: dict[int, int] = {}
    for node in state.nodes.values():
        if not node.decommissioned:
            swarm_sizes[node.swarm] = swarm_sizes.get(node.swarm, 0) + 1
    assert len(swarm_sizes) <= 1 or min(swarm_sizes.values()) >= MIN_SIZE


_REPLAY = """
import sys
from allium.appchain.encoding import decode
from allium.appchain.input import Input
from allium.appchain.machine import apply
from allium.appchain.parameters import Parameters
from allium.appchain.state import genesis
from allium.appchain.ledger import model
rules, *inputs = sys.stdin.read().split()
arithmetic = model.Accruals() if sys.argv[1] == "model" else None
state = genesis(decode(Parameters, bytes.fromhex(rules)), arithmetic)
for given in inputs:
    state = apply(state, decode(Input, bytes.fromhex(given)))
    print(state.root.hex())
"""


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_other_processes_find_the_same_roots(seed: int) -> None:
    world = World()
    live(world, seed, 30)
    state, roots = genesis(RULES), []
    for given_input in world.inputs:
        state = apply(state, given_input)
        roots.append(state.root.hex())
    text = "\n".join([encode(RULES).hex(), *(encode(each).hex() for each in world.inputs)])
    for hashing, kind in (("0", "fast"), ("1", "fast"), ("2", "model")):
        done = subprocess.run(
            [sys.executable, "-c", _REPLAY, kind],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hashing, "PYTHONPATH": str(Path(allium.appchain.__file__).parents[2])},
        )
        assert done.stdout.split() == roots


def test_the_machine_reads_no_clock_and_no_file() -> None:
    """It imports nothing that does I/O, and nothing of it is a float; nor is what it uses of the ledger."""
    folder = Path(allium.appchain.__file__).parent
    forbidden = {"asyncio", "io", "os", "pathlib", "random", "secrets", "socket", "sqlite3", "time", "datetime"}
    ledger = [folder / "ledger" / f"{name}.py" for name in ("ledger", "model", "shares")]
    code = "import sys, allium.appchain.machine; print(*(name for name in sys.modules if name.startswith('allium.')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name.split(".")[1] for name in loaded} == {"appchain"}
    for path in [*folder.glob("*.py"), *ledger]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not forbidden & {alias.name.split(".")[0] for alias in node.names}, path
            if isinstance(node, ast.ImportFrom):
                module = node.module or ""
                assert module.split(".")[0] not in forbidden, path
                assert not module.startswith("allium.") or module.split(".")[1] == "appchain", path
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), path
            assert not isinstance(node, ast.Div), path
