"""What testers decide, and what their votes amount to, without waiting for either."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allium.appchain.admission import admissible, objection, possible
from allium.appchain.certificates import Verdict, Vote, vote_message
from allium.appchain.encoding import encode
from allium.appchain.nodes import Node
from allium.appchain.parameters import MAINNET, Parameters
from allium.appchain.state import State
from allium.appchain.types import Blocks, Hash, Height, Index, L2Height, PublicKey, Reasons, Seconds
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
from allium.liveness import gossip
from allium.liveness.ballots import OTHERWISE, Ballot, Tally, cast
from allium.liveness.clocks import HOUR, Clocks
from allium.liveness.history import History, Remembered, look
from allium.liveness.proof import ProofError, SignedProof, Uptime, digest, fault, parse, sign
from allium.liveness.records import Records
from tests.support.appchain_world import REQUIREMENT, RULES, World, bls, pubkey, secret, stakes
from tests.support.appchain_world import sign as sign_as

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


def network(nodes: int, rules: Parameters = RULES) -> World:
    world = World(rules)
    for name in range(nodes):
        world.register(name)
    world.steps(3)
    return world


#: Three sizes: all test all; the drawn twenty test all; the drawn twenty test fifty others.
WORLDS = {size: network(size) for size in (7, 30, 90)}
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
    world = network(7)
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


# Proofs.


SPECIFIED = Uptime(
    pubkey=PublicKey(bytes(range(32))),
    time=Seconds(1_750_000_000),
    ip="203.0.113.7",
    https_port=22021,
    omq_port=22020,
    l2_height=L2,
    storage=(2, 8, 0),
    node=(11, 0, 6),
)
#: `spec/appchain` §4.1; of a node that runs a router, and has a port of its own for the quorums.
VECTOR = (
    b"d2:ip11:203.0.113.72:l2i300000000e2:lvli0ei9ei14ee3:pke32:"
    + bytes(range(32))
    + b"1:qi22025e3:shpi22021e3:sopi22020e2:svli2ei8ei0ee1:ti1750000000e1:vli11ei0ei6eee"
)


def test_proofs_are_as_specified() -> None:
    assert len(VECTOR) == 170
    assert digest(VECTOR).hex() == "9abf4fb655c690fe4a5f0f7c27edcd81d84341da986da73457f9fecc99202ade"
    assert parse(VECTOR) == SPECIFIED
    ours = VECTOR.replace(b"i9ei14e", b"i0ei0e").replace(b"22025", b"22020")
    assert SPECIFIED.encoded == ours
    with_legacy = replace(SPECIFIED, legacy=bytes(32))
    assert parse(with_legacy.encoded) == with_legacy
    assert replace(SPECIFIED, legacy=SPECIFIED.pubkey).encoded == ours
    # What is not known may stand there too, and is signed with the rest.
    assert parse(VECTOR.replace(b"1:t", b"2:szle1:t")) == SPECIFIED


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (b"203.0.113.7", b"203.0.113.x", "IPv4"),
        (b"11:203.0.113.7", b"2:::", "IPv4"),
        (b"2:l2i300000000e", b"2:l2i0e", "l2"),
        (b"2:l2i300000000e", b"", "l2"),
        (b"i22025e", b"i0e", "q must"),
        (b"i22021e", b"i65536e", "shp"),
        (b"i22020e", b"4:2202", "sop"),
        (b"2:svli2ei8ei0ee", b"2:svli2ei8ee", "sv"),
        (b"i8e", b"i-8e", "sv"),
        (b"1:vli11e", b"1:vli70000e", "v must"),
        (b"1:ti1750000000e", b"", "t must"),
        (b"d2:ip", b"l2:ip", "not a dict"),
        (b"3:pke32:", b"3:pke31:", "not bencoded"),
    ],
)
def test_proofs_that_are_none(before: bytes, after: bytes, says: str) -> None:
    assert before in VECTOR
    with pytest.raises(ProofError, match=says):
        parse(VECTOR.replace(before, after))


@pytest.mark.parametrize(
    ("change", "later", "private", "says"),
    [
        ({}, 300, False, None),
        ({}, 301, False, "-301 s from now"),
        ({}, -301, False, "+301 s from now"),
        ({"storage": (2, 7, 99)}, 0, False, "too old"),
        ({"node": (0, 0, 9)}, 0, False, "too old"),
        ({"ip": "10.0.0.1"}, 0, False, "10.0.0.1 cannot be reached"),
        ({"ip": "127.0.0.1"}, 0, True, None),
    ],
)
def test_proofs_that_do_not_count(change: dict[str, object], later: int, private: bool, says: str | None) -> None:
    uptime = replace(SPECIFIED, ip="8.8.8.8")
    why = fault(replace(uptime, **change), uptime.time + later, 300, private)  # type: ignore[arg-type]
    assert why is None if says is None else says in (why or "")


@given(st.binary(max_size=1200) | st.binary(max_size=120).map(lambda junk: b"p" + bytes(64) + VECTOR[:-1] + junk))
@settings(max_examples=300, deadline=None)
def test_hostile_messages_are_refused(message: bytes) -> None:
    try:
        told = gossip.unpack(message)
    except ValueError:
        return
    assert gossip.unpack(gossip.pack(told)) == told


def test_messages_come_as_they_went() -> None:
    proof = sign(SPECIFIED, secret(1))
    assert gossip.unpack(gossip.pack(proof)) == proof
    assert gossip.unpack(b"p" + sign_as(1, digest(VECTOR)) + VECTOR) == SignedProof(VECTOR, sign_as(1, digest(VECTOR)))
    message = vote_message(RULES.chain, Height(9), Index(3), Verdict.IP_CHANGE, Reasons(0))
    ballot = Ballot(Height(9), Index(3), Verdict.IP_CHANGE, Vote(Index(2), Reasons(0), sign_as(1, message)))
    assert gossip.unpack(gossip.pack(ballot)) == ballot
    assert ballot.message(RULES.chain) == message
    for wrong in (b"", b"x" + encode(ballot), b"v", b"v" + encode(ballot)[:-1], b"p" + bytes(64)):
        with pytest.raises(ValueError, match=r"no vote|no proof|neither"):
            gossip.unpack(wrong)


# What is known of a node.


def prove(name: int, when: float, ip: str = "127.0.0.1") -> Uptime:
    return replace(SPECIFIED, pubkey=pubkey(name), time=Seconds(int(when)), ip=ip)


def test_records_of_a_node_that_goes_and_comes_back() -> None:
    world = network(7)
    records = Records(CLOCKS, private=True)
    records.follow(world.state)
    now = float(world.state.time)
    key = pubkey(2)
    assert records.found()[key].excused == world.state.time - 2
    first = prove(2, now)
    assert records.refusal(first, now) is None
    records.take(sign(first, secret(2)), now)
    assert records.refusal(prove(2, now + 1799), now + 1799) == "the one before is too new"
    assert records.refusal(prove(9, now), now) == "it is by nobody who is registered"
    second = prove(2, now + 1800, ip="127.0.0.2")
    assert records.refusal(second, now + 1800) is None
    records.take(sign(second, secret(2)), now + 1800)
    # A proof from the future is as new as the time it came.
    third = prove(2, now + 4000, ip="127.0.0.3")
    assert records.refusal(third, now + 3900) is None
    records.take(sign(third, secret(2)), now + 3900)
    found = records.found()[key]
    assert found.proven == now + 3900
    assert [proven.ip for proven in found.addresses] == ["127.0.0.2", "127.0.0.3"]
    assert [accepted.proof.uptime for accepted in records.history(key)] == [first, second, third]
    # A clock that was put back by more than that says nothing of what is too new.
    assert records.refusal(prove(2, now + 2000), now + 2000) is None
    records.reported(key, False, now + 10)
    records.reported(key, False, now + 20)
    assert records.found()[key].unreached == (now + 10, now + 20)
    records.reported(key, True, now + 30)
    assert records.found()[key].unreached is None
    for skew in (None, 30.0, -31.0):
        records.asked(key, skew)
    assert (records.found()[key].answered, records.found()[key].in_time) == ((False, True, True), (True, False))

    records.follow(world.step(world.certificate(2, Verdict.DECOMMISSION)))
    assert records.found()[key].proven == 0 and records.last(key) is None
    again = prove(2, now + 4001)
    assert records.refusal(again, now + 4001) is None
    records.take(sign(again, secret(2)), now + 4001)
    records.follow(world.step())
    assert records.found()[key].proven == now + 4001
    back = world.step(world.certificate(2, Verdict.RECOMMISSION))
    records.follow(back)
    found = records.found()[key]
    assert (found.excused, found.answered, found.in_time) == (back.time, (), ())
    records.follow(World().state)
    assert not records.found()


def test_what_is_known_of_others_outlives_a_restart(tmp_path: Path) -> None:
    world, path, key = network(7), tmp_path / "history", pubkey(2)
    now = float(world.state.time) + 100
    records = Records(CLOCKS, private=True)
    records.follow(world.state)
    for number in range(10):
        records.take(sign(prove(2, now + 3600 * number, ip=f"127.0.0.{number + 1}"), secret(2)), now + 3600 * number)
    now += 9 * 3600
    records.reported(key, False, now - 200)
    records.reported(key, False, now - 100)
    for skew in (None, 31.0):
        records.asked(key, skew)
    with closing(History(path, RULES.chain)) as history:
        assert history.remembered() is None
        history.note(records.changed())
        # What cannot be kept now is kept the next time.
        with closing(sqlite3.connect(path)) as other:
            other.execute("ALTER TABLE node RENAME TO elsewhere")
        with pytest.raises(sqlite3.Error):
            history.keep(1.0, now, Height(2))
        with closing(sqlite3.connect(path)) as other:
            other.execute("ALTER TABLE elsewhere RENAME TO node")
        history.note(records.changed())
        history.keep(1.0, now, Height(2))
        assert not records.changed()
    with closing(History(path, RULES.chain)) as history:
        kept = history.remembered()
        assert kept is not None and (kept.since, kept.until, kept.height, len(kept.nodes)) == (1.0, now, 2, 7)
    assert look(path) == kept

    again = Records(CLOCKS, private=True)
    again.recall(kept.nodes, seamless=True)
    again.follow(world.state)
    assert again.found() == records.found() and not again.changed()
    assert len(again.history(key)) == 8 and again.history(key) == records.history(key)
    # Nobody tried for more than five minutes, so nobody knows since when it is not there.
    again.reported(key, False, now + 201)
    assert again.found()[key].unreached == (now + 201, now + 201)
    # After a long time what it found itself says nothing any more; what was signed does.
    late = Records(CLOCKS, private=True)
    late.recall(kept.nodes, seamless=False)
    late.follow(world.state)
    assert late.found()[key] == replace(records.found()[key], unreached=None, answered=(), in_time=())
    # What happened to a node meanwhile is as if it had been seen.
    missed = Records(CLOCKS, private=True)
    missed.recall(kept.nodes, seamless=True)
    missed.follow(world.step(world.certificate(2, Verdict.DECOMMISSION)))
    assert missed.found()[key].proven == 0 and not missed.history(key)
    missed.follow(World().state)
    with closing(History(path, RULES.chain)) as history:
        history.note(missed.changed())
        history.keep(1.0, now, Height(2))
        assert history.remembered() == Remembered(1.0, now, Height(2), {})


def test_a_history_that_cannot_be_read_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "history"
    records = Records(CLOCKS, private=True)
    records.follow(network(7).state)
    kept = {key: one for key, one in records.changed().items() if one is not None}
    with closing(History(path, RULES.chain)) as history:
        history.note(kept)
        history.keep(1.0, 2.0, Height(3))
    # A row that says something else than this version knows is left out.
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE node SET encoded = X'6c65' WHERE key = ?", (pubkey(3),))
    told = look(path)
    assert told is not None and told.nodes.keys() == kept.keys() - {pubkey(3)}
    for spoil in (
        lambda: path.write_bytes(b"no database" * 1000),
        lambda: path.write_bytes(path.read_bytes()[:5000] + bytes(20_000)),
        lambda: History(path, Hash(bytes(32))).close(),
    ):
        spoil()
        with closing(History(path, RULES.chain)) as history:
            assert history.remembered() is None
            history.note(kept)
            history.keep(1.0, 2.0, Height(3))
            assert history.remembered() == Remembered(1.0, 2.0, Height(3), kept)
    assert look(tmp_path / "nothing") is None


# The way.


@given(size=st.integers(1, 300), dead=st.floats(0, 0.3), seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_a_message_gets_everywhere(size: int, dead: float, seed: int) -> None:
    """Over a few neighbours each, also where nearly a third is down."""
    chance = random.Random(seed)
    everybody = [PublicKey(chance.randbytes(32)) for _ in range(size)]
    working = [key for key in everybody if chance.random() >= dead] or everybody
    alive = set(working)
    reached, edge = {working[0]}, [working[0]]
    steps = 0
    while edge:
        near = {other for key in edge for other in gossip.neighbours(key, everybody)}
        edge = sorted((near & alive) - reached)
        reached |= near & alive
        steps += 1
    lost = len(alive) - len(reached)
    assert lost <= len(alive) // 100
    assert steps <= 2 * size.bit_length() + 2
    assert all(len(gossip.neighbours(key, everybody)) <= max(8, 2 * size.bit_length()) for key in everybody)


def test_what_one_node_may_send() -> None:
    allowances = gossip.Allowances()
    one, other = pubkey(1), pubkey(2)
    sent = sum(allowances.spend(one, 0.0, 1) for _ in range(5000))
    assert sent == 4096
    assert allowances.spend(other, 0.0, 1), "what one does is nothing to the others"
    assert sum(allowances.spend(one, 10.0, 1) for _ in range(5000)) == 640
    liar = pubkey(3)
    lies = sum(allowances.spend(liar, 0.0, 1) and not allowances.spend(liar, 0.0, gossip.FINE) for _ in range(100))
    assert lies == 0 and not allowances.spend(liar, 0.0, 1)
    allowances.keep([other])
    assert allowances.spend(one, 10.0, 1)


def test_a_node_remembers_what_it_has_passed_on() -> None:
    memory = gossip.Memory(most=2)
    for message in (b"one", b"two", b"three"):
        memory.add(message)
    assert b"one" not in memory and b"two" in memory and b"three" in memory
