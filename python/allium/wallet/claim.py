"""Claims as whoever earned sees them: the network signs what it owes, the contract learns of it and pays."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_typing import ChecksumAddress
from eth_utils.address import to_canonical_address

from allium.appchain.claims import SignatureRefusedError
from allium.base.text import line
from allium.claims import wire
from allium.client import NetworkError
from allium.client.direct import Node, OmqClient
from allium.staking import StakingError
from allium.wallet.registration import words
from allium.wallet.steps import ContractReader, Steps, event, sesh

#: How many nodes are asked, and how long each is waited for before the next is asked beside it.
_TRIES, _HEAD_START_SECONDS = 3, 3.0
#: How long each may take: it asks the whole network.
_ASK_SECONDS = 35.0
_TEXT = 200
_BAD_REQUEST, _FORBIDDEN = 400, 403


class NetworkRefusedError(StakingError):
    """The network does not sign this; the text says why, `code` is the answer's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class SignatureClient:
    """Asks nodes for what the network signs, and stays with one that answers."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        """In the order of `nodes`; raises `StakingError` without any."""
        if not nodes:
            raise StakingError("no node is known to ask")
        self._nodes = list(nodes)

    @classmethod
    def of(cls, nodes: Sequence[Node], start: str = "") -> SignatureClient:
        """Asks nodes whose Ed25519 key starts with `start`, hex, in any order."""
        chosen = [node for node in nodes if node.ed25519.hex().startswith(start.lower())]
        if not chosen:
            raise StakingError(f"no node has a key that starts with {start!r}" if start else "no node is known to ask")
        return cls(random.sample(chosen, len(chosen)))

    async def ask(self, command: str, fields: Mapping[str, Any]) -> wire.Fields:
        """What the first of several nodes answers; raises `NetworkRefusedError`, with all reasons when none does."""
        waiting, reasons = self._nodes[:_TRIES], list[NetworkRefusedError]()
        asked: dict[asyncio.Task[wire.Fields], Node] = {}
        try:
            while waiting or asked:
                if waiting:
                    node = waiting.pop(0)
                    asked[asyncio.create_task(_ask(node, command, fields))] = node
                head_start = _HEAD_START_SECONDS if waiting else None
                done, _ = await asyncio.wait(asked, timeout=head_start, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    node = asked.pop(task)
                    told = _told(node, task)
                    if not isinstance(told, NetworkRefusedError):
                        self._nodes.remove(node)
                        self._nodes.insert(0, node)
                        return told
                    reasons.append(told)
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        raise NetworkRefusedError(max(each.code for each in reasons), "; ".join(dict.fromkeys(map(str, reasons))))


def _told(node: Node, task: asyncio.Task[wire.Fields]) -> wire.Fields | NetworkRefusedError:
    """What a node answered, or why it did not; raises `NetworkRefusedError` for what every node would refuse."""
    try:
        return task.result()
    except NetworkRefusedError as error:
        # A node that is behind or busy is not the network.
        if _BAD_REQUEST <= error.code <= _FORBIDDEN:
            raise
        return error
    except NetworkError as error:
        return NetworkRefusedError(0, f"{node.ip}:{node.omq_port}: {line(str(error), _TEXT)}")


async def _ask(node: Node, command: str, fields: Mapping[str, Any]) -> wire.Fields:
    async with OmqClient(node) as client:
        parts = await client.request(command, wire.encode(fields), timeout=_ASK_SECONDS)
    if len(parts) != 2:
        raise NetworkError(f"an answer of {len(parts)} parts")
    if parts[0] != wire.OK:
        code = int(parts[0]) if parts[0].isdigit() and len(parts[0]) == 3 else 0
        raise NetworkRefusedError(code, f"the network does not sign: {line(parts[1].decode(errors='replace'), _TEXT)}")
    try:
        return wire.decode(parts[1:])
    except SignatureRefusedError as error:
        raise NetworkError(f"a malformed answer: {error}") from None


@dataclass(frozen=True)
class NetworkSignature:
    """A signature of the network as the contract wants it."""

    told: wire.Fields
    #: `BLSSignatureParams`.
    signature: tuple[int, ...]
    #: Numbers of those that the contract holds and that did not sign, ascending.
    absent: list[int]

    def number(self, name: str) -> int:
        """A number of `told`; raises `StakingError` when there is none."""
        try:
            return wire.number(self.told, name)
        except SignatureRefusedError as error:
            raise _malformed(error) from None


def _malformed(error: Exception) -> StakingError:
    return StakingError(f"the node's answer is malformed ({error}); ask another with --node")


async def collect(
    asker: SignatureClient, view: ContractReader, command: str, fields: Mapping[str, Any]
) -> NetworkSignature:
    """Has the network sign, and fits it to who the contract holds right now, which the network learns later."""
    try:
        told = await asker.ask(command, fields)
        members, signers = set(await view.members()), set(wire.numbers(told, "signer_indices"))
        if gone := sorted(signers - members):
            again = {name: told[name.encode()] for name in ("height",) if name.encode() in told}
            told = await asker.ask(command, {**fields, **again, "without": gone})
        signature = words(wire.raw(told, "signature", 128))
    except SignatureRefusedError as error:
        raise _malformed(error) from None
    return NetworkSignature(told, signature, sorted(members - signers))


@dataclass(frozen=True)
class Balance:
    """An account's money, atomic units."""

    #: Height of the network that `earned` and the stakes are of.
    height: int
    #: All that it ever earned, returned stakes with it.
    earned: int
    #: What the contract knows of that.
    known: int
    claimed: int
    #: In nodes.
    locked: int
    #: On its way back.
    returning: int

    @property
    def claimable(self) -> int:
        """What a claim pays now."""
        return max(self.earned, self.known) - self.claimed


async def balance(asker: SignatureClient, view: ContractReader, address: ChecksumAddress) -> Balance:
    """What one node and the contract say of an account."""
    raw = to_canonical_address(address)
    told = await asker.ask(wire.ACCRUED, {"addresses": [raw]})
    try:
        [(named, *numbers)] = told[b"balances"]
        height, (earned, locked, returning) = wire.number(told, "height"), map(int, numbers)
        if named != raw:
            raise ValueError
    except (KeyError, ValueError, TypeError, SignatureRefusedError) as error:
        raise _malformed(error) from None
    known, claimed = await view.rewards("recipients", address)
    return Balance(height, earned, known, claimed, locked, returning)


async def claim(asker: SignatureClient, steps: Steps, amount: int | None = None, release: bool = False) -> int:
    """Claims all that the account has earned, or `amount`; what was paid (in a dry run: what would be).

    With `release` the pool first pays out what it owes the contract. Raises `StakingError`.
    """
    view, account = steps.view, steps.account
    known, claimed = await view.rewards("recipients", account)
    fields = {"address": to_canonical_address(account), "height": -1}
    signed = await collect(asker, view, wire.REWARDS_REQUEST, fields)
    earned = signed.number("amount")
    wanted = max(earned, known) - claimed if amount is None else amount
    if wanted > max(earned, known) - claimed:
        raise StakingError(f"{sesh(max(earned, known) - claimed)} SESH can be claimed, not {sesh(wanted)}")
    if wanted == 0:
        raise StakingError("there is nothing to claim: all that was earned is paid")
    await _affordable(view, wanted)
    if release:
        await steps.take("RewardRatePool", view.addresses.pool, "payoutReleased")
    held = await view.token("balanceOf", view.addresses.rewards)
    if held < wanted and not (release and steps.dry_run):
        raise StakingError(
            f"the rewards contract holds {sesh(held)} SESH only; the pool fills it up when asked to: use --release"
        )
    rewards = view.addresses.rewards
    updated = earned > known
    if updated:
        arguments = (account, earned, signed.signature, signed.absent)
        await steps.take("ServiceNodeRewards", rewards, "updateRewardsBalance", *arguments)
    function, given = ("claimRewards()", ()) if amount is None else ("claimRewards(uint256)", (amount,))
    take = steps.follow if updated else steps.take
    receipt = await take("ServiceNodeRewards", rewards, function, *given)
    if receipt is None:
        return wanted
    return int(event(receipt, "ServiceNodeRewards", rewards, "RewardsClaimed")["amount"])


async def _affordable(view: ContractReader, wanted: int) -> None:
    """Raises `StakingError` for a claim beyond what the whole network may claim in this cycle."""
    threshold, cycle = await view.rewards("claimThreshold"), await view.rewards("claimCycle")
    if cycle == 0:
        raise StakingError(
            "the rewards contract names no claim cycle: it is none, or the provider is wrong; use another"
        )
    number = await view.now() // cycle
    total = await view.rewards("currentClaimTotal") if await view.rewards("currentClaimCycle") == number else 0
    if wanted > threshold - total:
        left = (number + 1) * cycle - await view.now()
        raise StakingError(
            f"the network pays {sesh(max(0, threshold - total))} SESH more in this cycle, which ends in "
            f"{left // 60} minutes; claim less with --amount, or then"
        )
