"""One process of a `solo` network whose EVM chain is a file: a line per observation, encoded, in hex.

Prints a line of JSON for every state, and one with the reason when it ends by itself.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from allium.appchain import rates
from allium.appchain.encoding import decode, encode
from allium.appchain.input import Observation
from allium.appchain.parameters import Parameters
from allium.appchain.types import AtomicSesh, L2Height, PublicKey
from allium.consensus import Consensus
from allium.consensus.solo import Listen, Sequencer, SoloFollower
from allium.consensus.store import BlockStore
from allium.errors import ConsensusError, NotFinalError


class FileChain:
    """A `Source`. Observations in the file are of one height each."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def observe(self, after: L2Height, upto: L2Height | None = None) -> Observation:
        lines = [decode(Observation, bytes.fromhex(line)) for line in self._path.read_text().split()]
        seen = [line for line in lines if upto is None or line.l2_height <= upto]
        if not seen or seen[-1].l2_height < max(after, upto or 0):
            raise NotFinalError("nothing new")
        events = tuple(event for line in seen for event in line.events if line.l2_height > after)
        return replace(seen[-1], events=events)


def append(path: Path, observation: Observation) -> None:
    with path.open("a") as file:
        file.write(encode(observation).hex() + "\n")


def engine(settings: dict[str, Any]) -> Consensus:
    parameters = decode(Parameters, bytes.fromhex(settings["parameters"]))
    sequencer = PublicKey(bytes.fromhex(settings["sequencer"]))
    store = BlockStore(Path(settings["store"]), parameters, sequencer)
    chain = FileChain(Path(settings["chain"]))
    listen = Listen("127.0.0.1", settings["port"])
    every = settings["snapshot_every"]
    if "secret" in settings:
        return Sequencer(store, chain, bytes.fromhex(settings["secret"]), listen, snapshot_every=every)
    source = chain if settings.get("compare") else None
    return SoloFollower(
        store, parameters, sequencer, settings["urls"], source=source, listen=listen, snapshot_every=every
    )


async def main(settings: dict[str, Any]) -> None:
    if settings.get("twisted"):
        honest = rates.paid
        rates.paid = lambda *arguments: AtomicSesh(honest(*arguments) + 1)  # a version that pays one unit more
    consensus = engine(settings)

    async def tell() -> None:
        async for state in consensus:
            down = sum(node.decommissioned for node in state.nodes.values())
            said = {"height": state.height, "root": state.root.hex(), "nodes": len(state.nodes), "down": down}
            print(json.dumps(said), flush=True)

    async with asyncio.TaskGroup() as tasks:
        told = tasks.create_task(tell())
        try:
            await consensus.run()
        finally:
            told.cancel()


if __name__ == "__main__":
    try:
        asyncio.run(main(json.loads(sys.argv[1])))
    except* ConsensusError as errors:
        print(json.dumps({"ended": str(errors.exceptions[0])}), flush=True)
        sys.exit(1)
