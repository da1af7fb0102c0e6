"""The network's state as the portal's documents have it (`spec/portal` §4). Made anew for each height."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from statistics import median_low
from types import MappingProxyType

import msgspec
from eth_utils.address import to_checksum_address

from allium import __version__
from allium.appchain.events import Contributor
from allium.appchain.ledger.ledger import RECORD
from allium.appchain.nodes import Departed, Leaving, Node, Refusal
from allium.appchain.state import State
from allium.appchain.types import MILLI, Address, AtomicSesh, BlsKey, PublicKey
from allium.portal import documents
from allium.portal.claimed import ReturnedStakes, claimed
from allium.portal.contract_index import ContractIndex, Exit
from allium.portal.documents import amount
from allium.portal.oxend_state import OxendState
from allium.portal.stake_history import Steps

#: Addresses as they are shown, which takes a hash of each: stakers are the same at each height.
_shown = lru_cache(1 << 17)(to_checksum_address)
#: What front ends know the rules by.
_HARD_FORK = 21
_OPERATOR_PART = 4
#: How many are looked at before others have the interpreter again: about a millisecond.
_PEOPLE_AT_ONCE = 128


class NetworkView:
    """One state, and the contracts' events as of then."""

    def __init__(
        self,
        state: State,
        index: ContractIndex,
        proofs: Mapping[PublicKey, int],
        history: Mapping[str, Steps] = MappingProxyType({}),
        locked: Mapping[Address, AtomicSesh] | None = None,
    ) -> None:
        """`proofs`: when nodes proved last that they work, Unix seconds; `history`: of `StakeHistory`.

        `locked`: of the state, where it is there already.
        """
        self._state, self._index, self._proofs, self._history = state, index, proofs, history
        self._locked = state.locked if locked is None else locked
        # What `rewards` looks at, and the first of it would wait for.
        _ = state.returning

    # --- the whole

    def network(self, l2_timestamp: int) -> documents.Network:
        """`network`; `l2_timestamp` is of the EVM chain's block."""
        state = self._state
        nodes = state.nodes.values()
        fees = [node.fee for node in nodes if len(node.contributors) > 1]
        root = state.root.hex()
        told = documents.Network(
            nettype=state.parameters.name,
            version=__version__,
            hard_fork=_HARD_FORK,
            block_height=state.height,
            block_hash=root,
            block_timestamp=state.time,
            immutable_block_height=state.height,
            immutable_block_hash=root,
            pulse_target_timestamp=state.time + state.parameters.block_seconds,
            node_count=len(state.nodes),
            active_node_count=sum(not node.decommissioned for node in nodes),
            max_stakers=state.parameters.max_contributors,
            staking_requirement=amount(state.requirement),
            min_operator_contribution=amount(-(-state.requirement // _OPERATOR_PART)),
            median_operator_fee=median_low(fees) if fees else 0,
            total_staked=amount(sum(node.requirement for node in nodes)),
            l2_height=state.l2_height,
            l2_height_timestamp=l2_timestamp,
        )
        return msgspec.structs.replace(told, **state.network) if isinstance(state, OxendState) else told

    # --- nodes

    @property
    def nodes(self) -> Iterable[Node]:
        """All that are in the network."""
        return self._state.nodes.values()

    def departed_stakes(self) -> Iterator[documents.Stake]:
        """Those that left, and that the contract holds."""
        return map(self._departed, self._state.departed.values())

    def events_of(self, node: Node) -> list[documents.Event]:
        """What the contract said of a node."""
        return self._index.of_node.get(node.contract_id, [])

    def is_payable(self, node: Node) -> bool:
        """Whether it is paid at this height."""
        return node.is_payable(self._state.height, self._state.parameters)

    def moving(self, node: Node) -> tuple[int, int, int]:
        """`documents.MOVING` of a node."""
        state = self._state
        return (
            max(0, node.credit(state.height, state.parameters)),
            state.height if self.is_payable(node) else 0,
            self._proofs.get(node.pubkey, 0),
        )

    def leaving(self) -> list[documents.Leaving]:
        """Those that may be taken out of the contract."""
        return [
            documents.Leaving(
                service_node_pubkey=gone.pubkey.hex(),
                type=_exit_type(gone),
                height=gone.removal_height,
                liquidation_height=gone.liquidation_height,
                version=0,
                info=documents.LeavingInfo(bls_public_key=gone.bls_key.hex()),
            )
            for gone in self._state.departed.values()
        ]

    def departed(self, pubkey: str) -> Departed | None:
        """The one with an Ed25519 key that may be taken out."""
        key = bytes.fromhex(pubkey)
        return next((gone for gone in self._state.departed.values() if gone.pubkey == key), None)

    def stake(self, node: Node) -> documents.Stake:
        """A node as front ends have it."""
        earned, rewarded, proved = self.moving(node)
        return documents.Stake(
            active=not node.decommissioned,
            contract_id=node.contract_id,
            contributors=_contributors(node.contributors),
            deregistration_height=None,
            earned_downtime_blocks=earned,
            events=self.events_of(node),
            exit_type=None,
            last_reward_block_height=rewarded,
            last_uptime_proof=proved,
            liquidation_height=None,
            operator_address=_shown(node.operator),
            operator_fee=node.fee,
            pubkey_bls=node.bls_key.hex(),
            pubkey_ed25519=node.pubkey.hex(),
            registration_height=node.registration_height,
            requested_unlock_height=node.unlock_height,
            service_node_pubkey=node.pubkey.hex(),
            staking_requirement=amount(node.requirement),
            total_contributed=amount(node.requirement),
            decommission_count=node.decommission_count,
            payable=self.is_payable(node),
            is_removable=False,
            is_liquidatable=False,
            swarm_id=f"{node.swarm:x}",
        )

    def _departed(self, gone: Departed) -> documents.Stake:
        staked = sum(part.amount for part in gone.contributors)
        deregistered = gone.leaving == Leaving.DEREGISTERED
        operator = _shown(gone.contributors[0].address if gone.contributors else bytes(20))
        return documents.Stake(
            active=False,
            contract_id=gone.contract_id,
            contributors=_contributors(gone.contributors),
            deregistration_height=gone.removal_height if deregistered else None,
            earned_downtime_blocks=0,
            events=self._index.of_node.get(gone.contract_id, []),
            exit_type=_exit_type(gone),
            last_reward_block_height=0,
            last_uptime_proof=self._proofs.get(gone.pubkey, 0),
            liquidation_height=gone.liquidation_height,
            operator_address=operator,
            operator_fee=0,
            pubkey_bls=gone.bls_key.hex(),
            pubkey_ed25519=gone.pubkey.hex(),
            registration_height=0,
            # The last height at which it was a member.
            requested_unlock_height=0 if deregistered else max(0, gone.removal_height - 1),
            service_node_pubkey=gone.pubkey.hex(),
            staking_requirement=amount(staked),
            total_contributed=amount(staked),
            decommission_count=0,
            payable=False,
            is_removable=True,
            is_liquidatable=self._state.height >= gone.liquidation_height,
            swarm_id="ffffffffffffffff",
        )

    # --- money

    def rewards(self, address: str) -> documents.Rewards:
        """What a checksummed address has earned, staked and claimed."""
        raw = _raw(address)
        state, index = self._state, self._index
        total = state.ledger.balance(raw) // MILLI
        locked, returning = self._locked.get(raw, 0), state.returning.get(raw, 0)
        left = self._left(address)
        parts = [(_part(index, each.node, address), _slashed(index, each.node, address)) for each in left]
        gone, slashed = sum(part for part, _ in parts), sum(slash for _, slash in parts)
        # What is on its way back has left a node and is not claimable.
        credited = max(0, gone - slashed - returning)
        unlocked = credited + slashed
        lifetime = max(0, total - credited)
        exits = [(each.block, part - slash) for each, (part, slash) in zip(left, parts, strict=True)]
        returned = ReturnedStakes(exits, self._history.get(address, ()), credited)
        paid = claimed(index.claims.get(address, ()), returned, lifetime)
        return documents.Rewards(
            amount=amount(total),
            lifetime_rewards=amount(lifetime),
            lifetime_locked_stakes=amount(locked + gone),
            lifetime_unlocked_stakes=amount(unlocked),
            lifetime_liquidated_stakes=amount(slashed),
            locked_stakes=amount(locked + gone - unlocked),
            timelocked_stakes=amount(returning),
            claimed_stakes=amount(paid.stakes),
            claimed_rewards=amount(paid.rewards),
        )

    def returned(self, pause: Callable[[], None]) -> dict[str, int]:
        """By address, the stakes that came back and are in the ledger. `pause`: as `contract_index.index` has it."""
        people = {who: None for node in self._index.exits for who, _ in self._index.stakes.get(node, ())}
        found = {}
        for number, who in enumerate(people):
            if number % _PEOPLE_AT_ONCE == 0:
                pause()
            back = sum(
                _part(self._index, each.node, who) - _slashed(self._index, each.node, who) for each in self._left(who)
            )
            found[who] = max(0, back - self._state.returning.get(_raw(who), 0))
        return found

    def _left(self, address: str) -> list[Exit]:
        """What an address had staked for and the state knows to have left the contract, oldest first."""
        exits = self._index.exits
        left = [exits[node] for node in self._index.nodes_of.get(address, ()) if node in exits]
        seen = [each for each in left if each.block <= self._state.l2_height and not self._lags(each)]
        return sorted(seen, key=lambda each: (each.block, each.node))

    def _lags(self, gone: Exit) -> bool:
        """Whether a daemon has not taken note yet, which it does some blocks later than we read it."""
        if not isinstance(self._state, OxendState) or gone.key in self._index.bls_keys:
            return False
        return BlsKey(bytes.fromhex(gone.key)) in self._state.by_bls

    def earned(self, pause: Callable[[], None]) -> list[tuple[str, int]]:
        """All addresses that ever earned, and their `lifetime_rewards`. `pause`: as before."""
        accounts, returned = self._state.ledger.accounts(), self.returned(pause)
        earned: list[tuple[str, int]] = []
        for number, start in enumerate(range(0, len(accounts), RECORD)):
            if number % _PEOPLE_AT_ONCE == 0:
                pause()
            who = _shown(accounts[start : start + 20])
            total = int.from_bytes(accounts[start + 20 : start + RECORD], "big") // MILLI
            earned.append((who, max(0, total - returned.get(who, 0))))
        return earned

    def stakers(self) -> list[str]:
        """All addresses that have a part of a node now."""
        return [_shown(who) for who in self._state.locked]

    def node_counts(self) -> Counter[str]:
        """How many nodes of the network each checksummed address has a part of."""
        nodes = self._state.nodes.values()
        return Counter(_shown(who) for node in nodes for who in {part.address for part in node.contributors})


def _raw(address: str) -> Address:
    return Address(bytes.fromhex(address[2:]))


def _exit_type(gone: Departed) -> str:
    return "deregister" if gone.leaving == Leaving.DEREGISTERED or gone.refusal != Refusal.NONE else "exit"


def _contributors(parts: tuple[Contributor, ...]) -> list[documents.Contributor]:
    return [
        documents.Contributor(
            address=_shown(part.address),
            beneficiary=_shown(part.beneficiary),
            amount=amount(part.amount),
        )
        for part in parts
    ]


def _part(index: ContractIndex, node: int, address: str) -> int:
    return sum(staked for who, staked in index.stakes[node] if who == address)


def _slashed(index: ContractIndex, node: int, address: str) -> int:
    """What a liquidation took of an address's part: the operator bears all of it."""
    parts = index.stakes[node]
    penalty = max(0, sum(staked for _, staked in parts) - index.exits[node].returned)
    return penalty if parts[0][0] == address else 0
