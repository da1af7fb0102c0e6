"""What certificates change: who is out, who is back, and the credit of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allium._native import verify_ed25519
from allium.appchain.admission import InvalidInputError, admissible, objection
from allium.appchain.certificates import Certificate, Verdict, vote_hash
from allium.appchain.claims import claimable
from allium.appchain.machine import apply
from allium.appchain.nodes import Node
from allium.appchain.parameters import MAINNET
from allium.appchain.swarms import UNASSIGNED
from allium.appchain.types import Blocks, ContractId, Height, Index, Reasons, Signature
from tests.support.appchain_world import REQUIREMENT, RULES, World, address, bls, network, pubkey, stakes


def test_decommissioned_and_back() -> None:
    world = network()
    world.steps(3)
    name = world.worker()
    before = world.state.nodes[pubkey(name)]
    state = world.step(world.certificate(name, Verdict.DECOMMISSION, reasons=0x09))
    node = state.nodes[pubkey(name)]
    assert (node.decommissioned, node.swarm, node.decommission_count) == (True, UNASSIGNED, 1)
    assert (node.reasons_any, node.reasons_all) == (0x09, 0x09)
    assert pubkey(name) not in state.ledger.payees
    assert pubkey(name) in state.quorums[-1].roster.decommissioned
    earned = claimable(state, address(f"{name} 0 beneficiary"))
    world.steps(2)
    state = world.step(world.certificate(name, Verdict.RECOMMISSION, reasons=0))
    node, down = state.nodes[pubkey(name)], state.height - node.last_decommission_height
    at_decommission = before.credit(Height(state.height - down), RULES)
    assert not node.decommissioned and node.swarm != UNASSIGNED
    assert node.recommission_credit == max(0, at_decommission - 2 * down)
    state = world.steps(RULES.payable_after - 1)
    assert claimable(state, address(f"{name} 0 beneficiary")) == earned
    assert claimable(world.step(), address(f"{name} 0 beneficiary")) > earned


def test_a_change_of_address_is_noted_once() -> None:
    world = network()
    name = world.worker()
    height = world.state.height
    world.step(world.certificate(name, Verdict.IP_CHANGE))
    assert world.state.nodes[pubkey(name)].last_ip_change_height == height + 1
    with pytest.raises(InvalidInputError, match="is known"):
        world.step(world.certificate(name, Verdict.IP_CHANGE, height))


def test_a_new_node_has_too_little_credit_to_be_decommissioned_again() -> None:
    rules = replace(RULES, initial_credit=Blocks(3))
    world = World(rules)
    for name in range(12):
        world.register(name)
    world.step()
    world.step()
    name = world.worker()
    with pytest.raises(InvalidInputError, match="not enough credit"):
        world.step(world.certificate(name, Verdict.DECOMMISSION))
    state = world.step(world.certificate(name, Verdict.DEREGISTER))
    assert pubkey(name) not in state.nodes


def broken(world: World, how: str) -> Certificate:
    name = world.worker()
    good = world.certificate(name, Verdict.DECOMMISSION)
    first, second, *rest = good.votes
    match how:
        case "few":
            return replace(good, votes=good.votes[:-1])
        case "twice":
            return replace(good, votes=(first, first, *rest))
        case "unordered":
            return replace(good, votes=(second, first, *rest))
        case "stranger":
            return replace(good, votes=(*good.votes[:-1], replace(good.votes[-1], validator=Index(99))))
        case "forged":
            return replace(good, votes=(replace(first, signature=Signature(bytes(64))), second, *rest))
        case "other reasons":
            return replace(good, votes=tuple(replace(vote, reasons=Reasons(vote.reasons + 1)) for vote in good.votes))
        case "other verdict":
            return replace(good, verdict=Verdict.DEREGISTER)
        case "other chain":
            elsewhere = World(replace(RULES, name="elsewhere"))
            elsewhere.state, elsewhere._names = (
                replace(world.state, parameters=elsewhere.state.parameters),
                world._names,
            )
            return elsewhere.certificate(name, Verdict.DECOMMISSION)
        case "no worker":
            return replace(good, worker=Index(99))
        case "future":
            return replace(good, height=Height(good.height + 1))
    raise AssertionError(how)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("few", "are needed"),
        ("twice", "one of each"),
        ("unordered", "one of each"),
        ("stranger", "no validator"),
        ("forged", "wrong signature"),
        ("other reasons", "wrong signature"),
        ("other verdict", "enough credit"),
        ("other chain", "wrong signature"),
        ("no worker", "no worker"),
        ("future", "do not count"),
    ],
)
def test_refuses_certificates_that_are_none(how: str, says: str) -> None:
    world = network()
    certificate = broken(world, how)
    assert says in (objection(world.state, certificate) or "")
    assert admissible(world.state, [certificate]) == ()
    before = world.state
    with pytest.raises(InvalidInputError, match=says):
        world.step(certificate)
    assert world.state is before


#: What is done to a signature: its two halves, as numbers.
BENT: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "nothing": lambda r, s: (r, s),
    "a bit of the point": lambda r, s: (r ^ 1 << 77, s),
    "a bit of the number": lambda r, s: (r, s ^ 1 << 99),
    "a number beyond the order": lambda r, s: (r, s + 2**252 + 27742317777372353535851937790883648493),
    "the neutral point": lambda r, s: (1, s),
    "a point not reduced": lambda r, s: (2**255 - 18, s),
    "all": lambda r, s: (0, 0),
}
TWELVE = network()


@given(st.lists(st.sampled_from([*["nothing"] * 20, *BENT]), min_size=12, max_size=12), st.data())
def test_certificates_are_judged_alike_whoever_verifies(how: list[str], data: st.DataObject) -> None:
    """One signature after the other by libsodium, or side by side by the engine."""
    good = TWELVE.certificate(TWELVE.worker(), Verdict.DECOMMISSION, votes=12)
    picked = data.draw(st.lists(st.sampled_from(range(12)), min_size=7, max_size=12, unique=True).map(sorted))
    votes = []
    for index in picked:
        halves = [
            int.from_bytes(half, "little")
            for half in (good.votes[index].signature[:32], good.votes[index].signature[32:])
        ]
        bent = b"".join(half.to_bytes(32, "little") for half in BENT[how[index]](*halves))
        votes.append(replace(good.votes[index], signature=Signature(bent)))
    certificate = replace(good, votes=tuple(votes))
    plain, native = TWELVE.state, replace(TWELVE.state, verifier=verify_ed25519)
    why = objection(plain, certificate)
    assert objection(native, certificate) == why
    expected = (
        "are needed"
        if len(picked) < 8
        else "wrong signature"
        if any(how[index] != "nothing" for index in picked)
        else None
    )
    assert why is None if expected is None else expected in (why or "")
    chosen = admissible(plain, [certificate])
    assert admissible(native, [certificate]) == chosen == (() if why else (certificate,))
    given = TWELVE.input(*chosen)
    after = apply(native, given)
    assert after.root == apply(plain, given).root and after.verifier is verify_ed25519


def test_a_certificate_counts_once_and_not_for_long() -> None:
    world = network()
    certificate = world.certificate(world.worker(), Verdict.DECOMMISSION)
    old = network()
    old.steps(RULES.vote_lifetime - 1)
    assert objection(old.state, certificate) is None
    old.step()
    assert objection(old.state, certificate) == "votes about this height do not count, or not any more"
    world.step(certificate)
    assert "decommissioned since" in (objection(world.state, certificate) or "")


def test_a_height_takes_out_only_so_many() -> None:
    world = World(replace(RULES, max_deactivations=2))
    for name in range(20):
        world.register(name)
    world.step()
    world.step()
    drawn = world.state.quorum(world.state.height)
    assert drawn is not None and len(drawn.validators) == 20 and drawn.workers == drawn.validators
    for name in range(20, 26):
        world.register(name)
    world.steps(2)
    drawn = world.state.quorum(world.state.height)
    assert drawn is not None and drawn.threshold == 14
    assert len(drawn.workers) == 26 and set(drawn.workers[6:]) == set(drawn.validators)
    certificates = [world.certificate(name, Verdict.DECOMMISSION) for name in range(6)]
    with pytest.raises(InvalidInputError, match="more than 2"):
        world.step(*certificates)
    state = world.step(*admissible(world.state, [*certificates, *certificates]))
    assert sum(node.decommissioned for node in state.nodes.values()) == 2


def test_votes_hash_as_specified() -> None:
    hashes = [vote_hash(Height(123456), Index(7), verdict).hex() for verdict in Verdict]
    assert hashes == [
        "c746adf27a97b269540e8d57b4fc451dd35e7353e100a87f984878b0209246e9",
        "4590e1a3dc2ee00593ab8b97c439407717e657188a294f3e0a46bf9f4e05ef78",
        "6e76655ee0d1ae58b0bd61ab75df7bc37893d270ab7ed2539f9648e8ad7eb830",
        "3d1888b48400b4d3a8ccc0a7a6396216f35975c5b47867adf9fb3c81b0d80769",
    ]


# Credit.


def node_of(credit: int, since: int, down: int | None = None) -> Node:
    return Node(
        pubkey=pubkey(1),
        bls_key=bls(1),
        contract_id=ContractId(1),
        contributors=stakes(REQUIREMENT),
        fee=0,  # type: ignore[arg-type]
        registration_height=Height(1),
        active_since=Height(since),
        recommission_credit=Blocks(credit),
        decommissioned=down is not None,
        last_decommission_height=Height(down or 0),
    )


@pytest.mark.parametrize(
    ("up", "credit"),
    [(0, 60), (1, 60), (29, 60), (30, 61), (720, 84), (7200, 300), (41399, 1439), (41400, 1440), (99_999, 1440)],
)
def test_credit_is_earned(up: int, credit: int) -> None:
    assert node_of(60, 1000).credit(Height(1000 + up), MAINNET) == credit


def test_credit_is_used_up() -> None:
    node = node_of(60, 1000, down=1720)
    assert [node.credit(Height(1720 + down), MAINNET) for down in (0, 84, 85)] == [84, 0, -1]


@pytest.mark.parametrize(("credit", "down", "left"), [(1000, 100, 800), (1000, 500, 0), (60, 10, 40)])
def test_credit_after_recommission(credit: int, down: int, left: int) -> None:
    world = network()
    name = world.worker()
    world.step(world.certificate(name, Verdict.DECOMMISSION))
    node = replace(world.state.nodes[pubkey(name)], recommission_credit=Blocks(credit))
    node = replace(node, active_since=node.last_decommission_height)
    rules = replace(RULES, max_credit=Blocks(1440))
    world.state = replace(
        world.state,
        parameters=rules,
        nodes=world.state.nodes.changed({pubkey(name): node}),
    )
    world.steps(down - 1)
    after = world.step(world.certificate(name, Verdict.RECOMMISSION)).nodes[pubkey(name)]
    assert after.active_since == node.last_decommission_height + down
    assert after.recommission_credit == left
