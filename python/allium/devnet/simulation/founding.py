"""How the simulated network begins: registered by the state machine as any other, then given an age."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256

from nacl import bindings

from allium.appchain.events import Contributor, Event, Position, Registration, registration_message
from allium.appchain.input import MAX_EVENTS, Input, Observation
from allium.appchain.ledger.ledger import Ledger
from allium.appchain.machine import apply
from allium.appchain.parameters import Parameters
from allium.appchain.state import State, genesis, restore, snapshot
from allium.appchain.types import (
    Address,
    BasisPoints,
    BlsKey,
    ContractId,
    Hash,
    Height,
    Index,
    L2Height,
    Seconds,
    Signature,
)
from allium.devnet.simulation.chance import Chance
from allium.devnet.simulation.nodes import Life
from allium.devnet.simulation.scenario import OLDEST_DAYS, RULES

#: Unix time at which runs begin.
EPOCH = 1_750_000_000
#: Blocks of the EVM chain in the time of one height.
_L2_PER_HEIGHT = 480
_AGE = 21

#: Tells how many nodes there are.
Progress = Callable[[int], None]


def name(seed: int, *parts: object) -> bytes:
    """32 bytes that are the same in every run of a seed."""
    return sha256(repr((seed, *parts)).encode()).digest()


def registration(life: Life, seed: int, position: Position, parameters: Parameters) -> Registration:
    """What the contract says of a node with one contributor."""
    bls_key = BlsKey(name(seed, "bls x", life.number) + name(seed, "bls y", life.number))
    signature = bindings.crypto_sign(registration_message(life.key, bls_key), life.secret)[: bindings.crypto_sign_BYTES]
    owner = Address(name(seed, "owner", life.number)[:20])
    return Registration(
        position,
        ContractId(life.number + 1),
        life.key,
        bls_key,
        Signature(signature),
        BasisPoints(0),
        (Contributor(owner, owner, parameters.staking_requirement),),
    )


def observation(state: State, seed: int, events: Sequence[Event]) -> Observation:
    """What the EVM chain says one height later."""
    height = L2Height(state.l2_height + _L2_PER_HEIGHT)
    return Observation(height, Hash(name(seed, "l2", height)), state.parameters.initial_reward, tuple(events))


def position(state: State, index: int) -> Position:
    """Of the events of the next height."""
    return Position(L2Height(state.l2_height + 1), Index(index))


def found(lives: Sequence[Life], seed: int, chance: Chance, progress: Progress) -> State:
    """The state of a network of these nodes, whose ages are spread evenly over two months."""
    parameters = RULES
    begin = Height(OLDEST_DAYS * parameters.day)
    empty = genesis(parameters)
    state = replace(empty, height=begin, time=Seconds(EPOCH), ledger=Ledger(parameters.history, begin))
    for start in range(0, len(lives), MAX_EVENTS):
        some = lives[start : start + MAX_EVENTS]
        events = [registration(life, seed, position(state, index), parameters) for index, life in enumerate(some)]
        state = apply(state, Input(Height(state.height + 1), state.time, observation(state, seed, events), ()))
        progress(len(state.nodes))
    return restore(snapshot(_aged(state, begin, chance)))


def _aged(state: State, begin: Height, chance: Chance) -> State:
    changes = {}
    for key, node in state.nodes.items():
        since = Height(1 + int(chance.uniform(_AGE, node.contract_id) * (begin - 1)))
        changes[key] = replace(node, registration_height=since, active_since=since)
    return replace(state, nodes=state.nodes.changed(changes))
