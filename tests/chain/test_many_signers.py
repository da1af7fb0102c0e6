"""A claim in a network of a hundred nodes, a third of which are slow or lie."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from allium.claims import aggregator, wire
from allium.wallet import claim
from allium.wallet.claim import SignatureClient
from tests.support.chain import Chain, raw, record_gas, words
from tests.support.many_signers import ManySigners, Signer

_COUNT = 100
#: However busy the machine is.
_PATIENCE = 600.0


async def test_a_third_that_is_slow_or_lies_does_not_keep_a_claim_from_being_paid(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aggregator, "ASK_SECONDS", _PATIENCE)
    monkeypatch.setattr(claim, "_ASK_SECONDS", _PATIENCE)
    net = ManySigners(chain, tmp_path, _COUNT)
    slow, liars, prompt = net.signers[1:12], net.signers[12:34], net.signers[34:]
    answered, everybody_else = set[int](), asyncio.Event()

    def noting(signer: Signer) -> None:
        async def note() -> None:
            answered.add(signer.node.id)
            if len(answered) == len(prompt) + len(liars):
                everybody_else.set()

        signer.before = note

    async def last() -> None:
        await everybody_else.wait()

    for signer in (*prompt, *liars):
        noting(signer)
    for signer in slow:
        signer.before = last
    for signer in liars:
        signer.lies = True
    async with net.running() as node:
        await net.earned(4)
        asked = {"address": raw(chain.bob), "height": -1}
        told = await SignatureClient([node]).ask(wire.REWARDS_REQUEST, asked)
        absent = [signer.node.id for signer in liars]
        assert wire.numbers(told, "non_signer_indices") == absent
        reasons = {number: reason for number, _, reason in told[b"absent"]}
        assert reasons == dict.fromkeys(absent, b"its signature is wrong")
        amount, signature = wire.number(told, "amount"), wire.raw(told, "signature", 128)
    call = net.contract.functions.updateRewardsBalance(chain.bob, amount, words(signature), absent)
    receipt = chain.send(call, chain.owner)
    record_gas(f"updateRewardsBalance, {len(absent)} of {_COUNT} absent", receipt["gasUsed"])
    assert net.contract.functions.recipients(chain.bob).call() == [amount, 0]
