"""Signatures of the network for whoever asks the portal: by the nodes, each question once at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from eth_utils.address import to_canonical_address

from allium.appchain.claims import Code, SignatureRefusedError
from allium.appchain.nodes import Departed
from allium.claims import wire
from allium.portal import documents
from allium.staking import StakingError
from allium.wallet.claim import NetworkRefusedError, NetworkSignature, SignatureClient, collect
from allium.wallet.steps import ContractReader

#: How many different questions may be under way: each asks the whole network.
_AT_ONCE = 8

T = TypeVar("T")


class BusyError(Exception):
    """Too many signatures are being collected."""


class NoSignatureError(Exception):
    """The network does not sign it: `refused`, or nobody answers now. The text says why."""

    def __init__(self, text: str, refused: bool) -> None:
        super().__init__(text)
        self.refused = refused


class Signing(Protocol):
    """Has the network sign."""

    async def rewards(self, address: str) -> documents.SignedRewards:
        """All that a checksummed address has earned; raises `NoSignatureError`, `BusyError`."""

    async def leaving(self, gone: Departed, liquidate: bool) -> documents.SignedLeave:
        """That a node may be taken out; raises `NoSignatureError`, `BusyError`."""


class SignatureQueue:
    """Each question once at a time: whoever asks what is asked for already waits for the same answer."""

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, bytes], asyncio.Task[Any]] = {}

    async def once(self, kind: str, key: bytes, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `ask` comes to; raises `BusyError`, and what it raises."""
        place = kind, key
        task: asyncio.Task[T] | None = self._under_way.get(place)
        if task is None:
            if len(self._under_way) >= _AT_ONCE:
                raise BusyError
            task = self._under_way[place] = asyncio.create_task(ask())
            task.add_done_callback(lambda _: self._under_way.pop(place, None))
        # Whoever hangs up takes nothing from the others who wait for it.
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Ends what is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class NodesSigning(SignatureQueue):
    """Asks the nodes. A `Signing`."""

    def __init__(self, asker: Callable[[], SignatureClient], view: Callable[[], ContractReader]) -> None:
        """`asker`: the nodes to ask as of now, `view`: by whom the contract is seen; they raise `StakingError`."""
        super().__init__()
        self._asker, self._view = asker, view

    async def rewards(self, address: str) -> documents.SignedRewards:
        """See `Signing`."""
        raw = to_canonical_address(address)
        made = await self._signed("rewards", raw, wire.REWARDS_REQUEST, {"address": raw, "height": -1})
        return _guarded(
            lambda: documents.SignedRewards(
                amount=documents.amount(wire.number(made.told, "amount")),
                height=wire.number(made.told, "height"),
                **_sum(made),
            )
        )

    async def leaving(self, gone: Departed, liquidate: bool) -> documents.SignedLeave:
        """See `Signing`."""
        fields = {"bls_pubkey": gone.bls_key, "liquidate": int(liquidate)}
        kind = "liquidation" if liquidate else "exit"
        made = await self._signed(kind, gone.bls_key, wire.LEAVING_REQUEST, fields)
        return _guarded(
            lambda: documents.SignedLeave(
                bls_pubkey=gone.bls_key.hex(), timestamp=wire.number(made.told, "timestamp"), **_sum(made)
            )
        )

    async def _signed(self, kind: str, key: bytes, command: str, fields: dict[str, object]) -> NetworkSignature:
        try:
            return await self.once(kind, key, lambda: self._collected(command, fields))
        except NetworkRefusedError as error:
            raise NoSignatureError(str(error), refused=error.code in (400, 403)) from None
        except StakingError as error:
            raise NoSignatureError(str(error), refused=False) from None

    async def _collected(self, command: str, fields: dict[str, object]) -> NetworkSignature:
        return await collect(self._asker(), self._view(), command, fields)


def _sum(made: NetworkSignature) -> dict[str, Any]:
    message = made.told.get(b"msg_to_sign")
    if not isinstance(message, bytes):
        raise SignatureRefusedError(Code.BAD_REQUEST, "msg_to_sign must be bytes")
    return {
        "msg_to_sign": message.hex(),
        "signature": wire.raw(made.told, "signature", 128).hex(),
        "aggregate_pubkey": wire.raw(made.told, "aggregate_pubkey", 64).hex(),
        "non_signer_indices": made.absent,
    }


def _guarded(make: Callable[[], T]) -> T:
    try:
        return make()
    except SignatureRefusedError as error:
        raise NoSignatureError(f"a node's answer is malformed: {error}", refused=False) from None
