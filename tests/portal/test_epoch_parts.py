"""What is kept from one epoch to the next changes nothing of what is told."""

from __future__ import annotations

from typing import Any

import msgspec

from allium.portal import contract_index
from allium.portal.contract_events import ContractEvent
from allium.portal.contract_index import ContractIndex
from allium.portal.documents import MOVING, Stake
from allium.portal.epoch import Epoch, no_pause
from allium.portal.epoch_parts import EpochParts
from allium.portal.stake_history import Steps
from tests.support.appchain_world import REQUIREMENT, World, pubkey, stakes
from tests.support.explorer import trouble, world_of


def told(epoch: Epoch) -> dict[str, Any]:
    """All that an epoch tells of nodes and people."""
    whole = (epoch.nodes, epoch.contracts, epoch.bls_keys, epoch.leaving)
    people = {
        who
        for stake in msgspec.json.decode(b"{" + epoch.nodes.tail.raw[1:])["nodes"]
        for part in stake["contributors"]
        for who in (part["address"], part["beneficiary"])
    }
    nodes = [node.pubkey.hex() for node in epoch.state.nodes.values()]
    nodes += [gone.pubkey.hex() for gone in epoch.state.departed.values()]
    return {
        "network": epoch.network,
        "whole": [part.tail.raw for part in whole],
        "people": {who: (epoch.stakes_of(who).head, epoch.rewards(who).head) for who in sorted(people)},
        "nodes": {node: epoch.stake(node).head for node in nodes},
        "events": [epoch.events(count, 0).head for count in (3, 3, 500)],
        "earned": epoch.view.earned(no_pause),
    }


def test_an_epoch_tells_the_same_whatever_was_before_it() -> None:
    world, events = world_of(12)
    world.steps(world.state.parameters.payable_after + 2)
    parts, index = EpochParts(), contract_index.index(events)

    def both(index: ContractIndex) -> Epoch:
        proofs = {pubkey(2): world.state.height}
        history: dict[str, Steps] = {}
        after = Epoch(world.state, index, proofs, 5, no_pause, history, parts)
        assert told(after) == told(Epoch(world.state, index, proofs, 5, no_pause, history))
        return after

    first = both(index)
    before = {number: text.head for number, text in parts._texts.items()}
    contracts = first.contracts
    world.steps(2)
    later = both(index)
    # Nothing has changed but what every height changes, and that is all that is made.
    assert {number: id(text.head) for number, text in parts._texts.items()} == {
        number: id(head) for number, head in before.items()
    }
    assert later.nodes.tail.raw != first.nodes.tail.raw and later.contracts.tail is contracts.tail
    # Some leave, are voted out and in, join; the contract says more of one.
    trouble(world)
    both(index)
    more = [*events, _again(events[3])]
    world.register(world.next_id - 1, stakes(REQUIREMENT, owner="late"))
    world.step()
    both(contract_index.index(more))
    # Another network altogether.
    world = World()
    world.register(5)
    world.step()
    both(contract_index.index(()))
    assert tuple(Stake.__struct_fields__[-len(MOVING) :]) == MOVING


def _again(event: ContractEvent) -> ContractEvent:
    later = msgspec.structs.replace(event.told, name="ServiceNodeExitRequest", block=10_000)
    return ContractEvent(event.address, event.node, later)
