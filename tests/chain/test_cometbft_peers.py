"""Whom CometBFT may keep as a peer, as the state and the network file have it."""

from __future__ import annotations

from allium.consensus.cometbft.peers import _STRANGE_HANDSHAKES as PLACES
from allium.consensus.cometbft.peers import ADDRESS_PATH, NAME_PATH, Peers, name
from tests.support.appchain_world import RULES, World, pubkey


def test_who_is_a_node_is_welcome() -> None:
    world = World()
    peers = Peers([pubkey(9)])

    def welcome(number: int) -> bool:
        return peers.welcomes(NAME_PATH + name(pubkey(number)), world.state, (pubkey(8),))

    # Before there is a state: those of the file, and of the committee.
    assert welcome(9) and welcome(8) and not welcome(0)
    ids = [world.register(number) for number in range(12)]
    # A refused registration makes nobody a node.
    world.register(20, fee=10_001)
    world.step()
    assert all(welcome(number) for number in range(12)) and not welcome(20)
    # Who has left still signs, until the contract holds it no longer.
    world.request_exit(ids[3])
    world.steps(RULES.unlock_duration + 2)
    assert pubkey(3) not in world.state.nodes and welcome(3)
    world.exit(ids[3])
    world.step()
    assert not welcome(3)
    peers.shunned = frozenset({name(pubkey(1)), name(pubkey(9))})
    assert not welcome(1) and not welcome(9) and welcome(2)


def test_strangers_at_the_door_leave_room_for_nodes() -> None:
    now = 0.0
    peers = Peers(hosts=["192.0.2.1", "2001:db8::1"], clock=lambda: now)
    state = World().state

    def knocks(place: str) -> bool:
        return peers.welcomes(ADDRESS_PATH + place, state, ())

    assert sum(knocks(f"198.51.100.{number % 250}:4711") for number in range(1000)) == PLACES
    assert knocks("192.0.2.1:4711") and knocks("[2001:db8::1]:4711") and not knocks("198.51.100.7:4711")
    now = 6.0
    assert knocks("198.51.100.7:4711")
