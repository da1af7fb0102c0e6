"""Everything that the contracts' events tell, by what is asked for: made anew whenever there is another event."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from allium.portal import documents
from allium.portal.claimed import Claim
from allium.portal.contract_events import SEEDED, ContractEvent
from allium.portal.pots import Pot, fold

_EVENTS_AT_ONCE = 128
_JOINED = ("NewServiceNodeV2", SEEDED)


@dataclass(frozen=True)
class Exit:
    """A node that the contract let go."""

    node: int
    block: int
    returned: int
    #: Its BLS key, 128 hex digits.
    key: str


@dataclass(frozen=True)
class ContractIndex:
    """As of one block of the EVM chain. Never changed."""

    #: All, oldest first.
    events: Sequence[documents.Event]
    #: By the contract's number of the node.
    of_node: Mapping[int, list[documents.Event]]
    #: Addresses' claims, oldest first.
    claims: Mapping[str, list[Claim]]
    #: What the contract holds: BLS key, 128 hex digits, to its number.
    bls_keys: Mapping[str, int]
    exits: Mapping[int, Exit]
    #: Contributors of every node that was registered: address and amount, the operator first.
    stakes: Mapping[int, list[tuple[str, int]]]
    #: The nodes that an address ever staked for.
    nodes_of: Mapping[str, list[int]]
    pots: Mapping[str, Pot]
    pots_of: Mapping[str, list[Pot]]
    pots_by_node: Mapping[str, list[Pot]]


def index(events: Sequence[ContractEvent], pause: Callable[[], None] = lambda: None) -> ContractIndex:
    """Of all events, in the order of the chain. `pause`: lets others have the interpreter, every millisecond or so."""
    of_node: dict[int, list[documents.Event]] = defaultdict(list)
    claims: dict[str, list[Claim]] = defaultdict(list)
    signed: dict[str, int] = {}
    stakes: dict[int, list[tuple[str, int]]] = {}
    nodes_of: dict[str, list[int]] = defaultdict(list)
    keys: dict[str, int] = {}
    exits: dict[int, Exit] = {}
    pot_events = []
    for number, event in enumerate(events):
        if number % _EVENTS_AT_ONCE == 0:
            pause()
        told = event.told
        if event.node is not None:
            of_node[event.node].append(told)
            _note_member(event.node, told, keys, exits)
        elif told.name == "RewardsClaimed":
            who = told.args["recipientAddress"]
            claims[who].append(Claim(told.block, int(told.args["amount"]), signed.get(who)))
        elif told.name == "RewardsBalanceUpdated":
            signed[told.args["recipientAddress"]] = int(told.args["amount"])
        elif told.main_arg is not None:
            pot_events.append(event)
        if event.node is not None and told.name in _JOINED and told.args["contributors"]:
            parts = [(each["staker"]["addr"], int(each["stakedAmount"])) for each in told.args["contributors"]]
            stakes[event.node] = parts
            for address in dict.fromkeys(address for address, _ in parts):
                nodes_of[address].append(event.node)
    pots = fold(pot_events)
    pots_of: dict[str, list[Pot]] = defaultdict(list)
    pots_by_node: dict[str, list[Pot]] = defaultdict(list)
    for pot in pots.values():
        pots_by_node[pot.pubkey].append(pot)
        for person in pot.people:
            pots_of[person].append(pot)
    return ContractIndex(
        events=[event.told for event in events],
        of_node=of_node,
        claims=claims,
        bls_keys=keys,
        exits=exits,
        stakes=stakes,
        nodes_of=nodes_of,
        pots=pots,
        pots_of=pots_of,
        pots_by_node=pots_by_node,
    )


def _note_member(node: int, told: documents.Event, keys: dict[str, int], exits: dict[int, Exit]) -> None:
    key = told.args.get("blsPubkey" if told.name == SEEDED else "pubkey")
    text = "" if key is None else "".join(int(key[name]).to_bytes(32, "big").hex() for name in ("X", "Y"))
    if told.name in _JOINED:
        keys[text] = node
    elif told.name == "ServiceNodeExit":
        keys.pop(text, None)
        exits[node] = Exit(node, told.block, int(told.args["returnedAmount"]), text)
