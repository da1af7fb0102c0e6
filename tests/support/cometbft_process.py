"""One node of a CometBFT network whose EVM chain is a file: a line per observation, encoded, in hex.

Prints a line of JSON for every state, and one with the reason when it ends by itself. A line of Ed25519 keys on its
input cuts it off from those nodes; an empty one heals that.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from allium.appchain.encoding import decode
from allium.appchain.input import Observation
from allium.appchain.parameters import Parameters
from allium.appchain.types import AtomicSesh, L2Height
from allium.consensus.chainfile import Beginning
from allium.consensus.cometbft import privval_pb2 as pb
from allium.consensus.cometbft.application import Application
from allium.consensus.cometbft.engine import CometBFT
from allium.consensus.cometbft.home import Peer, Place, Settings
from allium.consensus.cometbft.process import find
from allium.consensus.cometbft.signer import SigningError, VoteSigner
from allium.consensus.cometbft.store import CometBFTStore
from allium.errors import ConsensusError
from tests.support.solo_process import FileChain

HOST = "127.0.0.1"


def more(seen: Observation) -> Observation:
    return replace(seen, reward_rate=AtomicSesh(seen.reward_rate + 1))


class LyingChain(FileChain):
    """A provider that says of every block that the pool pays one unit more there."""

    async def observe(self, after: L2Height, upto: L2Height | None = None) -> Observation:
        return more(await super().observe(after, upto))


def propose_lies() -> None:
    honest = Application._proposal

    async def lie(application: Application, votes: Any) -> Observation:
        return more(await honest(application, votes))

    member: Any = Application
    member._proposal = lie  # it cheats


def lose_a_vote(at: int, how: str) -> None:
    """The first vote of this kind from a height on: a prevote is not signed, a precommit not as it has to be."""
    honest, lost = VoteSigner._vote, False

    def vote(signer: VoteSigner, asked: pb.SignVoteRequest) -> None:
        nonlocal lost
        kind = asked.vote.type
        hit = not lost and asked.vote.height >= at and kind == {"prevote": pb.PREVOTE, "precommit": pb.PRECOMMIT}[how]
        lost |= hit
        if hit and how == "prevote":
            raise SigningError("it is lost")
        honest(signer, asked)
        if hit:
            asked.vote.extension_signature = b""

    signers: Any = VoteSigner
    signers._vote = vote  # they fail


def engine(settings: dict[str, Any]) -> CometBFT:
    parameters = decode(Parameters, bytes.fromhex(settings["parameters"]))
    directory = Path(settings["directory"])
    directory.mkdir(exist_ok=True)
    chain = LyingChain if settings.get("lied_to") else FileChain
    peers = [Peer(bytes.fromhex(key), Place(HOST, port)) for key, port in settings["peers"]]
    consensus = CometBFT(
        CometBFTStore(directory / "store", parameters),
        parameters,
        Beginning(**settings["beginning"]),
        Settings(
            directory / "cometbft",
            bytes.fromhex(settings["secret"]),
            Place(HOST, settings["port"]),
            Place(HOST, settings["rpc"]),
            peers,
            sync=settings.get("sync", ()),
            private=True,
        ),
        find(),
        source=chain(Path(settings["chain"])),
        snapshot_every=settings["snapshot_every"],
        stall_seconds=settings.get("stall_seconds"),
    )
    if "retain" in settings:
        consensus._application._retain = settings["retain"]  # in place of two weeks
    return consensus


def say(**said: Any) -> None:
    print(json.dumps(said), flush=True)


async def obey(consensus: CometBFT) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        consensus.cut_off([bytes.fromhex(key) for key in line.decode().split()])


async def tell(consensus: CometBFT) -> None:
    async for state in consensus:
        status = consensus.status
        say(
            height=state.height,
            root=state.root.hex(),
            down=sum(node.decommissioned for node in state.nodes.values()),
            committee=status.committee,
            votes=status.votes,
            pid=status.pid,
        )


async def main(settings: dict[str, Any]) -> None:
    if settings.get("lies"):
        propose_lies()
    if "loses" in settings:
        lose_a_vote(*settings["loses"])
    consensus = engine(settings)
    async with asyncio.TaskGroup() as tasks:
        told = [tasks.create_task(tell(consensus)), tasks.create_task(obey(consensus))]
        try:
            await consensus.run()
        finally:
            for task in told:
                task.cancel()


if __name__ == "__main__":
    try:
        asyncio.run(main(json.loads(sys.argv[1])))
    except* ConsensusError as errors:
        say(ended=str(errors.exceptions[0]))
        sys.exit(1)
