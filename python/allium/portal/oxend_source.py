"""The live network beside ours: its daemon is asked for each block, and for signatures."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from eth_utils.address import to_canonical_address

from allium.appchain.nodes import Departed
from allium.base import log
from allium.portal import documents
from allium.portal.indexer import Indexer
from allium.portal.oxend_rpc import SIGN_SECONDS, OxendError, OxendRefusedError, OxendRpc
from allium.portal.oxend_state import Answers, OxendState, read
from allium.portal.signing import NoSignatureError, SignatureQueue
from allium.staking.addresses import Addresses

_LOOK_SECONDS = 2.0
_FIELDS = (
    "service_node_pubkey",
    "pubkey_ed25519",
    "pubkey_bls",
    "active",
    "funded",
    "payable",
    "registration_height",
    "requested_unlock_height",
    "earned_downtime_blocks",
    "decommission_count",
    "operator_address",
    "operator_fee",
    "contributors",
    "swarm",
    "swarm_id",
    "last_uptime_proof",
    "height",
    "block_hash",
    "hardfork",
)


class OxendSource:
    """The newest state as a daemon tells it. A `StateSource`."""

    def __init__(self, rpc: OxendRpc, addresses: Addresses, indexer: Indexer) -> None:
        """`open` comes next."""
        self._rpc, self._addresses, self._indexer = rpc, addresses, indexer
        self._state: OxendState | None = None
        self._answers: Answers | None = None
        #: Of which events the numbers of nodes are.
        self._version = -1
        #: Why the last look came to nothing; `None` when it did not.
        self.trouble: str | None = None
        self._logger = log.get("portal")

    @property
    def state(self) -> OxendState:
        """See `StateSource`."""
        if self._state is None:
            raise RuntimeError("it was not opened")
        return self._state

    async def open(self) -> None:
        """The first look; raises `OxendError`."""
        await self._look()

    async def run(self) -> None:
        """See `StateSource`. While the daemon is gone the last state stays."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self._look()
            except OxendError as error:
                if str(error) != self.trouble:
                    self._logger.warning("the daemon cannot be followed", reason=str(error))
                self.trouble = str(error)
            else:
                self.trouble = None

    async def _look(self) -> None:
        known = "" if self._state is None else self._state.block_hash.hex()
        params: dict[str, Any] = {"fields": dict.fromkeys(_FIELDS, True), "active_only": False}
        if known:
            params["poll_block_hash"] = known
        nodes = await self._rpc.call("get_service_nodes", **params)
        same = isinstance(nodes, dict) and (nodes.get("unchanged") is True or nodes.get("block_hash") == known)
        if not same or self._answers is None:
            self._answers = await self._asked(nodes)
        elif self._version == self._indexer.version:
            return
        self._version = version = self._indexer.version
        index, tip = self._indexer.index, self._indexer.tip
        # Events are there before the tip that they are of.
        newest = max(tip.block, index.events[-1].block if index.events else 0)
        self._state = await asyncio.to_thread(read, self._answers, self._addresses, index.bls_keys, newest)
        self._version = version

    async def _asked(self, nodes: Any) -> Answers:
        leaving = await self._rpc.call("bls_exit_liquidation_list")
        rewards = await self._rpc.call("get_accrued_rewards")
        info = await self._rpc.call("get_info")
        return Answers(nodes, leaving, rewards, info, await self._time())

    async def _time(self) -> int:
        """When the newest block was made; not every daemon says it."""
        try:
            told = await self._rpc.call("get_last_block_header")
        except OxendRefusedError:
            return int(time.time())
        header = told.get("block_header") if isinstance(told, dict) else None
        found = header.get("timestamp") if isinstance(header, dict) else None
        return found if type(found) is int and 0 <= found < 2**40 else int(time.time())


class OxendSigning(SignatureQueue):
    """Signatures that a daemon collects. A `Signing`."""

    def __init__(self, rpc: OxendRpc) -> None:
        super().__init__()
        self._rpc = rpc

    async def rewards(self, address: str) -> documents.SignedRewards:
        """See `Signing`."""
        raw = to_canonical_address(address)
        told = await self.once("rewards", raw, lambda: self._asked("bls_rewards_request", address=address))
        return documents.SignedRewards(amount=documents.amount(_number(told, "amount")), **_signed(told, "height"))

    async def leaving(self, gone: Departed, liquidate: bool) -> documents.SignedLeave:
        """See `Signing`."""
        kind, key = "liquidation" if liquidate else "exit", gone.bls_key.hex()
        params = {"bls_pubkey": key, "liquidate": liquidate}
        told = await self.once(kind, gone.bls_key, lambda: self._asked("bls_exit_liquidation_request", **params))
        return documents.SignedLeave(bls_pubkey=key, **_signed(told, "timestamp"))

    async def _asked(self, method: str, **params: Any) -> Mapping[str, Any]:
        try:
            told = await self._rpc.call(method, SIGN_SECONDS, **params)
        except OxendRefusedError as error:
            raise NoSignatureError(str(error), refused=True) from None
        except OxendError as error:
            raise NoSignatureError(str(error), refused=False) from None
        return told if isinstance(told, dict) else {}


def _signed(told: Mapping[str, Any], number: str) -> dict[str, Any]:
    """What every such answer has; raises `NoSignatureError` when it has not."""
    absent = told.get("non_signer_indices")
    if not isinstance(absent, list) or not all(type(each) is int and each >= 0 for each in absent):
        raise NoSignatureError("the daemon's answer is malformed: non_signer_indices", refused=False)
    return {
        number: _number(told, number),
        "msg_to_sign": _hex(told, "msg_to_sign", None),
        "signature": _hex(told, "signature", 128),
        "aggregate_pubkey": _hex(told, "aggregate_pubkey", 64),
        "non_signer_indices": absent,
    }


def _hex(told: Mapping[str, Any], name: str, size: int | None) -> str:
    value = told.get(name)
    try:
        raw = bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else b""
    except ValueError:
        raw = b""
    if not raw or (size is not None and len(raw) != size):
        raise NoSignatureError(f"the daemon's answer is malformed: {name}", refused=False)
    return raw.hex()


def _number(told: Mapping[str, Any], name: str) -> int:
    value = told.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 40:
        value = int(value)
    if type(value) is not int or value < 0:
        raise NoSignatureError(f"the daemon's answer is malformed: {name}", refused=False)
    return value
