"""`state' = apply(state, input)`: what every node computes for itself and finds equal (`spec/appchain` §3, §5).

At a height, in this order: what the EVM chain says, who voted twice, what certificates say, what is due, swarms,
returned stakes, rewards. A node earns at a height if it works at the end of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from nacl import bindings

from allium.appchain import rates, swarms
from allium.appchain.admission import check, target
from allium.appchain.certificates import Certificate, Roster, Verdict, reasons, signed
from allium.appchain.events import (
    Contributor,
    Event,
    Exit,
    ExitRequest,
    Registration,
    RequirementChange,
    Seed,
    registration_message,
)
from allium.appchain.input import Input
from allium.appchain.keccak import keccak_256
from allium.appchain.ledger.shares import FEE_BASIS
from allium.appchain.nodes import Departed, Leaving, Node, Refusal, StakeReturn, staked
from allium.appchain.parameters import Parameters
from allium.appchain.state import Note, QuorumSnapshot, State, dates
from allium.appchain.types import (
    AtomicSesh,
    BasisPoints,
    Blocks,
    BlsKey,
    ContractId,
    Hash,
    Height,
    Index,
    PublicKey,
    SwarmId,
)

#: What part of the requirement is the operator's at least.
_OPERATOR_PART = 4


def apply(state: State, given: Input) -> State:
    """The state after `given`; raises `InvalidInputError` and changes nothing.

    What an event asks for in vain is no fault of the input: it is refused, and `State.notes` says so.
    """
    check(state, given)
    step = _Step(state, given)
    for event in given.observation.events:
        step.take(event)
    for key in given.offenders:
        step.punish(key)
    for certificate in given.certificates:
        step.execute(certificate)
    step.finish()
    return step.state()


class _Step:
    """One height under way: what changed so far. `state` is as it was before."""

    def __init__(self, state: State, given: Input) -> None:
        self._before, self._given = state, given
        self._parameters, self._height = state.parameters, given.height
        self._requirement = state.requirement
        #: What became of the nodes that were touched; `None` for those that are registered no longer.
        self._nodes: dict[PublicKey, Node | None] = {}
        self._new: dict[ContractId, PublicKey] = {}
        self._keys: _Keys | None = None
        self._departed: dict[ContractId, Departed | None] = {}
        self._returns: dict[tuple[Height, ContractId, Index], StakeReturn | None] = {}
        self._reform = False
        self._ledger = state.ledger.copy()
        self._notes: list[Note] = []
        self._beacon = _beacon(state, given.observation.l2_hash)

    # What the EVM chain says.

    def take(self, event: Event) -> None:
        match event:
            case Registration() | Seed():
                self._register(event)
            case ExitRequest():
                self._request_exit(event)
            case Exit():
                self._exit(event)
            case RequirementChange():
                self._requirement = event.requirement

    def _register(self, event: Registration | Seed) -> None:
        if self._known(event.contract_id):
            self._note(event.contract_id, "registration ignored: the contract gave this number before")
            return
        refusal = self._refusal(event)
        self._held.add(event.pubkey, event.bls_key)
        if refusal:
            self._departed[event.contract_id] = Departed(
                contract_id=event.contract_id,
                pubkey=event.pubkey,
                bls_key=event.bls_key,
                contributors=event.contributors,
                leaving=Leaving.REFUSED,
                refusal=refusal,
                removal_height=self._height,
                liquidation_height=self._height,
            )
            self._note(event.contract_id, f"registration refused: {refusal.text}")
            return
        node = Node(
            pubkey=event.pubkey,
            bls_key=event.bls_key,
            contract_id=event.contract_id,
            contributors=event.contributors,
            fee=event.fee if isinstance(event, Registration) else BasisPoints(0),
            registration_height=self._height,
            active_since=self._height,
            recommission_credit=self._parameters.initial_credit,
        )
        self._new[event.contract_id] = event.pubkey
        self._put(node)
        self._reform = True
        self._note(event.contract_id, "registered")

    def _refusal(self, event: Registration | Seed) -> Refusal:
        """Why a registration does not count (`spec/appchain` §3.1). For a seed nobody signs."""
        contributors, parameters = event.contributors, self._parameters
        wrong_stakes = _wrong_stakes(contributors, self._requirement, parameters)
        if wrong_stakes:
            return wrong_stakes
        if isinstance(event, Registration) and event.fee > FEE_BASIS:
            return Refusal.FEE_TOO_HIGH
        if not bindings.crypto_core_ed25519_is_valid_point(event.pubkey):
            return Refusal.INVALID_PUBKEY
        if isinstance(event, Registration):
            message = registration_message(event.pubkey, event.bls_key)
            if not signed(event.pubkey, event.signature, message):
                return Refusal.WRONG_SIGNATURE
        if self._held.has(event.pubkey):
            return Refusal.PUBKEY_IN_USE
        return Refusal.BLS_KEY_IN_USE if event.bls_key in self._held.bls_keys else Refusal.NONE

    def _request_exit(self, event: ExitRequest) -> None:
        node = self._registered(event.contract_id)
        if node is None:
            self._note(event.contract_id, "request to leave ignored: the node is not registered")
        elif not node.unlock_height:
            last = Height(self._height + self._parameters.unlock_duration)
            self._put(replace(node, unlock_height=last))
            self._note(event.contract_id, f"leaves after height {last}")

    def _exit(self, event: Exit) -> None:
        node = self._registered(event.contract_id)
        gone = self._leaving(event.contract_id) if node is None else self._gone(node, Leaving.EXPIRED)
        if gone is None:
            self._note(event.contract_id, "exit ignored: there is no such node")
            return
        deposit = staked(gone.contributors)
        slash = deposit - min(deposit, event.returned)
        if slash and self._height < gone.liquidation_height:
            self._note(event.contract_id, "exit ignored: a penalty before the node may be liquidated")
            return
        if slash > (gone.contributors[0].amount if gone.contributors else 0):
            self._note(event.contract_id, "exit ignored: a penalty beyond the operator's stake")
            return
        if node is not None:
            self._drop(node)
        self._departed[event.contract_id] = None
        self._held.remove(gone.pubkey, gone.bls_key)
        self._return_stakes(gone, slash)
        self._note(event.contract_id, "left the contract")

    def _return_stakes(self, gone: Departed, slash: int) -> None:
        locked = gone.leaving == Leaving.DEREGISTERED
        until = gone.removal_height + self._parameters.deregistration_lock if locked else 0
        due = Height(max(until, self._height + 1))
        for index, contributor in enumerate(gone.contributors):
            amount = AtomicSesh(contributor.amount - (slash if index == 0 else 0))
            if amount:
                back = StakeReturn(due, gone.contract_id, Index(index), contributor.address, amount)
                self._returns[back.key] = back

    # What the agreement itself shows.

    def punish(self, key: PublicKey) -> None:
        """Takes out a node that voted twice; of one that has just left, what it staked stays as long."""
        if (node := self._node(key)) is not None:
            self._depart(node, Leaving.DEREGISTERED)
            self._note(node.contract_id, "deregistered: it voted twice")
            return
        for contract_id in {**self._before.departed, **self._departed}:
            gone = self._leaving(contract_id)
            if gone is not None and gone.pubkey == key and gone.leaving == Leaving.EXPIRED:
                self._departed[contract_id] = replace(gone, leaving=Leaving.DEREGISTERED)
                self._note(contract_id, "its stake stays locked: it voted twice")

    # What the testers say.

    def execute(self, certificate: Certificate) -> None:
        node = self._node(target(self._before, certificate))
        if node is None or node.registration_height == self._height:
            return  # an event of this very height took it out
        some, every = reasons(certificate.votes)
        judged = replace(node, reasons_any=some, reasons_all=every)
        match certificate.verdict:
            case Verdict.DEREGISTER:
                self._depart(judged, Leaving.DEREGISTERED)
            case Verdict.DECOMMISSION:
                self._decommission(judged)
            case Verdict.RECOMMISSION:
                self._recommission(node)
            case Verdict.IP_CHANGE:
                self._put(replace(node, last_ip_change_height=self._height))
        self._note(node.contract_id, f"{certificate.verdict.name.lower()} by {len(certificate.votes)} votes")

    def _decommission(self, node: Node) -> None:
        self._put(
            replace(
                node,
                decommissioned=True,
                last_decommission_height=self._height,
                decommission_count=node.decommission_count + 1,
                swarm=SwarmId(swarms.UNASSIGNED),
            )
        )
        self._reform = True

    def _recommission(self, node: Node) -> None:
        down = self._height - node.last_decommission_height
        before = node.credit(node.last_decommission_height, self._parameters)
        self._put(
            replace(
                node,
                decommissioned=False,
                active_since=self._height,
                recommission_credit=Blocks(max(0, before - 2 * down)),
            )
        )
        self._reform = True

    # What follows from the height.

    def finish(self) -> None:
        due = self._before.agenda.get(self._height, ())
        for key in due:
            node = self._nodes.setdefault(key, self._before.nodes.get(key))
            if node is not None and node.unlock_height and self._height > node.unlock_height:
                self._depart(node, Leaving.EXPIRED)
        if self._reform:
            self._assign_swarms()
        for back in self._before.returns.values():
            if back.due > self._height:
                break
            self._ledger.credit(back.address, back.amount)
            self._returns[back.key] = None
        for key in sorted(self._nodes):
            self._settle(key, self._nodes[key])
        self._ledger.pay(rates.paid(self._before.rates, self._parameters))

    def _assign_swarms(self) -> None:
        nodes = self._before.nodes.changed(self._nodes)
        active = {key: node.swarm for key, node in nodes.items() if not node.decommissioned}
        assigned = swarms.assign(active, swarms.seed_of(self._beacon), swarms.stable_order)
        for key, swarm in assigned.items():
            if swarm != active[key]:
                self._put(replace(nodes[key], swarm=SwarmId(swarm)))

    def _settle(self, key: PublicKey, node: Node | None) -> None:
        """Pays a node from this height on, or no longer."""
        payee = node.payee if node is not None and node.is_payable(self._height, self._parameters) else None
        if self._ledger.payees.get(key) != payee:
            self._ledger.expel(key)
            if payee is not None:
                self._ledger.enrol(key, payee)

    def state(self) -> State:
        before, seen = self._before, self._given.observation
        changes = {key: node for key, node in self._nodes.items() if node is not before.nodes.get(key)}
        nodes = before.nodes.changed(changes)
        roster = _roster(nodes) if self._reform or not before.quorums else before.quorums[-1].roster
        quorums = (*before.quorums, QuorumSnapshot(self._height, self._beacon, roster))
        return State(
            parameters=self._parameters,
            height=self._height,
            time=self._given.time,
            l2_height=seen.l2_height,
            l2_hash=seen.l2_hash,
            requirement=self._requirement,
            rates=rates.follow(before.rates, seen.reward_rate, self._parameters),
            nodes=nodes,
            departed=before.departed.changed(self._departed),
            returns=before.returns.changed(self._returns),
            quorums=quorums[-self._parameters.vote_lifetime :],
            ledger=self._ledger,
            agenda=self._agenda(),
            notes=tuple(self._notes),
            verifier=before.verifier,
        )

    def _agenda(self) -> dict[Height, tuple[PublicKey, ...]]:
        agenda = dict(self._before.agenda)
        agenda.pop(self._height, None)
        for key, node in sorted(self._nodes.items()):
            if node is not None:
                for when in dates(node, self._parameters):
                    if when > self._height and key not in agenda.get(when, ()):
                        agenda[when] = (*agenda.get(when, ()), key)
        return agenda

    # Helpers.

    def _known(self, contract_id: ContractId) -> bool:
        return self._registered(contract_id) is not None or self._leaving(contract_id) is not None

    @property
    def _held(self) -> _Keys:
        """The keys of everybody in the contract."""
        if self._keys is None:
            self._keys = _Keys(self._before)
        return self._keys

    def _node(self, key: PublicKey) -> Node | None:
        return self._nodes[key] if key in self._nodes else self._before.nodes.get(key)

    def _registered(self, contract_id: ContractId) -> Node | None:
        key = self._new.get(contract_id) or self._before.by_contract.get(contract_id)
        node = None if key is None else self._node(key)
        return node if node is not None and node.contract_id == contract_id else None

    def _leaving(self, contract_id: ContractId) -> Departed | None:
        if contract_id in self._departed:
            return self._departed[contract_id]
        return self._before.departed.get(contract_id)

    def _put(self, node: Node) -> None:
        self._nodes[node.pubkey] = node

    def _depart(self, node: Node, leaving: Leaving) -> None:
        self._departed[node.contract_id] = self._gone(node, leaving)
        self._drop(node)

    def _gone(self, node: Node, leaving: Leaving) -> Departed:
        return Departed(
            contract_id=node.contract_id,
            pubkey=node.pubkey,
            bls_key=node.bls_key,
            contributors=node.contributors,
            leaving=leaving,
            refusal=Refusal.NONE,
            removal_height=self._height,
            liquidation_height=Height(self._height + self._parameters.exit_buffer),
        )

    def _drop(self, node: Node) -> None:
        self._nodes[node.pubkey] = None
        self._reform = True

    def _note(self, contract_id: ContractId, text: str) -> None:
        self._notes.append(Note(text, contract_id))


def _beacon(state: State, l2_hash: Hash) -> Hash:
    """The randomness of the next height: the one before, with the block of the EVM chain that is looked at.

    Nothing else goes in that a proposer has a choice of: neither the time nor which certificates it takes.
    """
    before = state.quorums[-1].beacon if state.quorums else state.parameters.chain
    return Hash(keccak_256(before + l2_hash))


class _Keys:
    """Which keys the contract holds, and how often: a refused registration may have those of another one."""

    def __init__(self, state: State) -> None:
        members: list[Node | Departed] = [*state.nodes.values(), *state.departed.values()]
        self._points = Counter(_point(member.pubkey) for member in members)
        self.bls_keys = Counter(member.bls_key for member in members)

    def add(self, pubkey: PublicKey, bls_key: BlsKey) -> None:
        self._points[_point(pubkey)] += 1
        self.bls_keys[bls_key] += 1

    def remove(self, pubkey: PublicKey, bls_key: BlsKey) -> None:
        self._points -= Counter([_point(pubkey)])
        self.bls_keys -= Counter([bls_key])

    def has(self, pubkey: PublicKey) -> bool:
        """Whether somebody has this key, or another one with the same X25519 key."""
        return _point(pubkey) in self._points


def _point(pubkey: PublicKey) -> bytes:
    """The key without its sign: a point and its negative have one X25519 key, by which nodes know each other."""
    return pubkey[:31] + bytes([pubkey[31] & 0x7F])


def _wrong_stakes(contributors: tuple[Contributor, ...], requirement: AtomicSesh, parameters: Parameters) -> Refusal:
    if not contributors:
        return Refusal.NO_CONTRIBUTORS
    if len(contributors) > parameters.max_contributors:
        return Refusal.TOO_MANY_CONTRIBUTORS
    if len({contributor.address for contributor in contributors}) != len(contributors):
        return Refusal.SAME_CONTRIBUTOR_TWICE
    if contributors[0].amount < requirement // _OPERATOR_PART:
        return Refusal.OPERATOR_BELOW_MINIMUM
    if any(contributor.amount == 0 for contributor in contributors):
        return Refusal.EMPTY_CONTRIBUTION
    total = staked(contributors)
    if total != requirement:
        return Refusal.UNDERFUNDED if total < requirement else Refusal.OVERFUNDED
    return Refusal.NONE


def _roster(nodes: Mapping[PublicKey, Node]) -> Roster:
    return Roster(
        active=tuple(key for key, node in nodes.items() if not node.decommissioned),
        decommissioned=tuple(key for key, node in nodes.items() if node.decommissioned),
    )
