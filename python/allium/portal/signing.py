"""Signatures of the network for whoever asks the portal: by the nodes, each question once at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

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


class Signing:
    """Asks for signatures."""

    def __init__(self, asker: Callable[[], SignatureClient], view: Callable[[], ContractReader]) -> None:
        """`asker`: the nodes to ask as of now, `view`: by whom the contract is seen; they raise `StakingError`."""
        self._asker, self._view = asker, view
        self._under_way: dict[tuple[str, bytes], asyncio.Task[NetworkSignature]] = {}

    async def rewards(self, address: str) -> documents.SignedRewards:
        """All that an address has earned; raises `NoSignatureError`, `BusyError`."""
        raw = to_canonical_address(address)
        made = await self._once("rewards", raw, wire.REWARDS_REQUEST, {"address": raw, "height": -1})
        return _guarded(
            lambda: documents.SignedRewards(
                amount=documents.amount(wire.number(made.told, "amount")),
                height=wire.number(made.told, "height"),
                **_sum(made),
            )
        )

    async def leaving(self, gone: Departed, liquidate: bool) -> documents.SignedLeave:
        """That a node may be taken out; raises `NoSignatureError`, `BusyError`."""
        fields = {"bls_pubkey": gone.bls_key, "liquidate": int(liquidate)}
        kind = "liquidation" if liquidate else "exit"
        made = await self._once(kind, gone.bls_key, wire.LEAVING_REQUEST, fields)
        return _guarded(
            lambda: documents.SignedLeave(
                bls_pubkey=gone.bls_key.hex(), timestamp=wire.number(made.told, "timestamp"), **_sum(made)
            )
        )

    async def _once(self, kind: str, key: bytes, command: str, fields: dict[str, object]) -> NetworkSignature:
        place = kind, key
        task = self._under_way.get(place)
        if task is None:
            if len(self._under_way) >= _AT_ONCE:
                raise BusyError
            task = self._under_way[place] = asyncio.create_task(self._collected(command, fields))
            task.add_done_callback(lambda _: self._under_way.pop(place, None))
        try:
            # Whoever hangs up takes nothing from the others who wait for it.
            return await asyncio.shield(task)
        except NetworkRefusedError as error:
            raise NoSignatureError(str(error), refused=error.code in (400, 403)) from None
        except StakingError as error:
            raise NoSignatureError(str(error), refused=False) from None

    async def _collected(self, command: str, fields: dict[str, object]) -> NetworkSignature:
        return await collect(self._asker(), self._view(), command, fields)

    async def close(self) -> None:
        """Ends what is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
