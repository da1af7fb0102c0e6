"""Answers the `bls.*` commands that come to a node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from allium._native import BlsDomain, BlsSecretKey
from allium.appchain.claims import Code, SignatureRefusedError, claimable, stakes
from allium.appchain.state import State
from allium.appchain.types import Address, BlsKey, Height, Seconds
from allium.base import log
from allium.claims import wire
from allium.claims.aggregator import AT_ONCE, Aggregator, Collected, TooFewError
from allium.claims.signer import ClaimSigner
from allium.claims.turns import BusyError, Lane, Requester
from allium.consensus import Consensus

if TYPE_CHECKING:
    from allium._native import Node, NodeEntry, Question

#: Addresses whose balances one question may be about.
_MAX_ADDRESSES = 256


class Service:
    """A node's part in claims, exits and liquidations."""

    def __init__(
        self, engine: Node, consensus: Consensus, secret: BlsSecretKey, contacts: Callable[[], Mapping[str, NodeEntry]]
    ) -> None:
        """`contacts` has the nodes' addresses by Ed25519 key, hex."""
        rules = consensus.state.parameters
        domain = BlsDomain(rules.l2_chain_id, rules.rewards_contract)
        self._engine, self._consensus = engine, consensus
        self._signer = ClaimSigner(consensus, secret, domain, engine.time)
        self._aggregator = Aggregator(consensus, self._signer, contacts, self._ask)
        # Threads of its own: they wait for others, and the loop's are for work.
        self._threads = ThreadPoolExecutor(1 + AT_ONCE, thread_name_prefix="claims")
        # What is computed for others is computed beside the loop, and what nodes ask does not wait for strangers.
        self._nodes, self._strangers = Lane("claims-nodes"), Lane("claims-strangers")
        self._logger = log.get("claims")

    async def run(self) -> None:
        """Answers until cancelled, or until the engine is shut down."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as answers:
                # As many are under way as the engine lets in.
                while (question := await loop.run_in_executor(self._threads, self._engine.next_question)) is not None:
                    answers.create_task(self._answer(question))
        finally:
            self._aggregator.close()
            # The wait for a question ends with the engine.
            self._threads.shutdown(wait=False)
            self._nodes.close()
            self._strangers.close()

    async def _ask(
        self, nodes: list[NodeEntry], command: str, body: bytes, seconds: float
    ) -> list[tuple[list[bytes] | None, str]]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._engine.ask, nodes, command, [body], seconds)

    async def _answer(self, question: Question) -> None:
        try:
            asker = Requester(question.sender or question.source, self._nodes if question.sender else self._strangers)
            parts = await self._carry_out(asker, question.command, wire.decode(question.parts))
        except SignatureRefusedError as error:
            parts = wire.refusal(error.code, str(error))
        except TooFewError as error:
            parts = wire.refusal(wire.UNAVAILABLE, str(error))
        except BusyError:
            parts = wire.refusal(wire.UNAVAILABLE, "Server busy, try again later")
        except Exception as error:
            # One question must not end the answering of others.
            log.failure(self._logger, "a question was not answered", error, command=question.command)
            parts = wire.refusal(500, "The question was not answered")
        question.answer(parts)

    async def _carry_out(self, asker: Requester, command: str, fields: wire.Fields) -> list[bytes]:
        """The parts of a good answer."""
        state = self._consensus.state
        match command:
            case wire.GET_REWARDS:
                address, height = Address(wire.raw(fields, "address", 20)), Height(wire.number(fields, "height"))
                state = await self._signer.reached(height)
                amount, signature = await asker.run(lambda: self._signer.rewards(state, address, height))
                return wire.answer({"address": address, "amount": amount, "height": height, "signature": signature})
            case wire.GET_EXIT | wire.GET_LIQUIDATION:
                key, asked = _bls_key(fields), Seconds(wire.number(fields, "timestamp"))
                liquidate = command == wire.GET_LIQUIDATION
                signature = await asker.run(lambda: self._signer.leaving(state, key, asked, liquidate))
                name = "liquidate" if liquidate else "remove"
                return wire.answer({name: key, "timestamp": asked, "signature": signature})
            case wire.REWARDS_REQUEST:
                address = Address(wire.raw(fields, "address", 20))
                made = await self._aggregator.rewards(asker, address, wire.number(fields, "height", -1, least=-(2**62)))
                told = {"address": made.address, "amount": made.amount, "height": made.height}
                return await asker.run(lambda: wire.answer(told | _sum(made.collected, fields)))
            case wire.LEAVING_REQUEST:
                key = await asker.run(lambda: self._named(fields))
                left = await self._aggregator.leave(asker, key, bool(wire.number(fields, "liquidate", 0)))
                told = {"bls_pubkey": left.bls_key, "timestamp": left.timestamp}
                return await asker.run(lambda: wire.answer(told | _sum(left.collected, fields)))
            case wire.ACCRUED:
                addresses = wire.raws(fields, "addresses", 20, _MAX_ADDRESSES)
                return await asker.run(lambda: wire.answer(_accrued(state, addresses)))
        raise SignatureRefusedError(Code.BAD_REQUEST, f"there is no {command}")

    def _named(self, fields: wire.Fields) -> BlsKey:
        """The node that is meant, by either of its keys."""
        return _bls_key(fields) if b"bls_pubkey" in fields else self._aggregator.bls_key(_pubkey(fields))


def _accrued(state: State, addresses: list[bytes]) -> Mapping[str, Any]:
    balances = []
    for address in map(Address, addresses):
        staked = stakes(state, address)
        balances.append([address, claimable(state, address), staked.locked, staked.returning])
    return {"status": "OK", "height": state.height, "balances": balances}


def _bls_key(fields: wire.Fields) -> BlsKey:
    return BlsKey(wire.raw(fields, "bls_pubkey", 64))


def _pubkey(fields: wire.Fields) -> bytes:
    return wire.raw(fields, "pubkey", 32)


def _sum(collected: Collected, fields: wire.Fields) -> dict[str, Any]:
    return collected.sum(wire.numbers(fields, "without"))
