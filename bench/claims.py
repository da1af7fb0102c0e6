"""A claim in a network of many nodes, over OMQ and a real chain: how long the network's signature takes, and its gas.

    bench/claims.py [--nodes 100] [--rounds 5]

One node is real and asks; the others sign in the same process, so that the time has the work of all of them in it. Then
a third of them is slow (by a second), lies, or says nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from allium.base import log
from allium.claims import wire
from allium.devnet import anvil
from allium.wallet.claim import SignatureClient
from tests.support.chain import Chain, raw, words
from tests.support.many_signers import ManySigners, Signer

_SLOW_SECONDS = 1.0


async def _late() -> None:
    await asyncio.sleep(_SLOW_SECONDS)


async def _never() -> None:
    await asyncio.Event().wait()


def _as_they_are(signers: Sequence[Signer], what: str) -> None:
    for signer in signers:
        signer.lies = what == "lie"
        signer.before = {"are slow": _late, "are silent": _never}.get(what)


async def measure(chain: Chain, directory: Path, nodes: int, rounds: int) -> None:
    """Prints a line for each kind of third."""
    net = ManySigners(chain, directory, nodes)
    third = net.signers[1 : 1 + nodes // 3]
    print(f"{nodes} nodes; {len(third)} of them:")
    print(f"{'':12} {'median s':>9} {'worst s':>9} {'absent':>7} {'gas':>9}")
    async with net.running() as node:
        await net.earned(4)
        for what in ("sign", "are slow", "lie", "are silent"):
            _as_they_are(third, what)
            took: list[float] = []
            for _ in range(rounds):
                # What was signed a short while ago would only be given again.
                height = net.consensus.state.height
                await net.earned(height + 2)
                began = time.monotonic()
                asked = {"address": raw(chain.bob), "height": -1}
                told = await SignatureClient([node]).ask(wire.REWARDS_REQUEST, asked)
                took.append(time.monotonic() - began)
            absent = wire.numbers(told, "non_signer_indices")
            amount, signature = wire.number(told, "amount"), words(wire.raw(told, "signature", 128))
            call = net.contract.functions.updateRewardsBalance(chain.bob, amount, signature, absent)
            gas = chain.send(call, chain.owner)["gasUsed"]
            print(f"{what:12} {statistics.median(took):9.2f} {max(took):9.2f} {len(absent):7} {gas:9,}")


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    log.configure("error", "console")
    with tempfile.TemporaryDirectory() as directory, anvil.running(Path(directory) / "anvil.log") as local:
        asyncio.run(measure(Chain(local.url), Path(directory), given.nodes, given.rounds))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
