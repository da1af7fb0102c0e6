"""Proofs of uptime: their bytes, what is kept of them, and the way that they and votes go."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allium.appchain.certificates import Verdict, Vote, vote_message
from allium.appchain.encoding import encode
from allium.appchain.types import Hash, Height, Index, L2Height, PublicKey, Reasons, Seconds
from allium.liveness import gossip
from allium.liveness.ballots import Ballot
from allium.liveness.clocks import HOUR, Clocks
from allium.liveness.history import History, Remembered, look
from allium.liveness.proof import ProofError, SignedProof, Uptime, digest, fault, parse, sign
from allium.liveness.records import Records
from tests.support.appchain_world import RULES, World, network, pubkey, secret
from tests.support.appchain_world import sign as sign_as

CLOCKS = Clocks.of(HOUR)
L2 = L2Height(300_000_000)


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
    world = network(7, heights=3)
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
    world, path, key = network(7, heights=3), tmp_path / "history", pubkey(2)
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
    records.follow(network(7, heights=3).state)
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
