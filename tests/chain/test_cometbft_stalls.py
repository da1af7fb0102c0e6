"""An agreement that does not go on, though nobody is gone, goes on by itself."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from allium.consensus.chainfile import Beginning
from allium.consensus.cometbft import abci_pb2 as abci
from allium.consensus.cometbft import framing, process
from allium.consensus.cometbft import privval_pb2 as privval
from allium.consensus.cometbft.engine import CometBFT
from allium.consensus.cometbft.home import Place, Settings
from allium.consensus.cometbft.process import CometBFTProcess
from allium.consensus.cometbft.store import CometBFTStore
from allium.devnet import ports
from allium.errors import ConsensusError
from tests.support.appchain_world import RULES, pubkey, secret
from tests.support.cometbft_net import PATIENCE, network


@pytest.mark.parametrize("vote", ["prevote", "precommit"])
def test_a_vote_that_was_lost_does_not_stop_those_who_need_it(tmp_path: Path, vote: str) -> None:
    """Of three, all have to vote. Without a prevote CometBFT waits for ever; by the precommit its agreement fails."""
    with network(tmp_path, 3, 3, {"stall_seconds": 3, "loses": (3, vote)}) as net:
        for node in net.nodes.values():
            assert "there is no new height, CometBFT is started anew" in node.says("where='3/")
        net.reach(5)
        net.agree()


@contextlib.asynccontextmanager
async def started(home: Path, script: str) -> AsyncIterator[tuple[CometBFTProcess, Path, asyncio.Task[None]]]:
    """A program in CometBFT's place, which runs."""
    program = home / "program"
    program.write_text(f"#!/bin/sh\necho $$ >> started\n{script}\n")
    program.chmod(0o700)
    (home / "config").mkdir()
    made = CometBFTProcess(program, home, b"key")
    running = asyncio.create_task(made.run())
    await starts(home, 1)
    try:
        yield made, program, running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def starts(home: Path, count: int) -> list[str]:
    """The processes' numbers, when so many have been started."""
    async with asyncio.timeout(PATIENCE):
        while len(numbers := _numbers(home)) < count:  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.05)
    return numbers


def _numbers(home: Path) -> list[str]:
    path = home / "started"
    return path.read_text().split() if path.exists() else []


async def test_what_keeps_it_from_starting_may_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = asyncio.Event()
    honest = CometBFTProcess._start

    async def start(each: CometBFTProcess) -> asyncio.subprocess.Process:
        try:
            return await honest(each)
        except OSError:
            refused.set()
            raise

    monkeypatch.setattr(CometBFTProcess, "_start", start)
    async with started(tmp_path, "while [ ! -e end ]; do sleep 0.05; done") as (made, program, _):
        program.chmod(0o600)
        (tmp_path / "end").touch()
        await asyncio.wait_for(refused.wait(), PATIENCE)
        assert made.pid is None
        program.chmod(0o700)
        await starts(tmp_path, 2)


async def test_what_never_could_be_started_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "program").touch(0o600)
    with pytest.raises(ConsensusError, match="cannot be started"):
        await CometBFTProcess(tmp_path / "program", tmp_path, b"key").run()


async def test_one_that_does_not_end_by_itself_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_STOP_SECONDS", 0.2)
    async with started(tmp_path, "trap '' TERM; while :; do sleep 0.05; done") as (made, _, _):
        made.restart()
        first, second = await starts(tmp_path, 2)
        assert first != second and not Path("/proc", first).exists()  # noqa: ASYNC240 - no file


#: In CometBFT's place: it ends when what it asked last is answered.
ASKS_LAST = """
import signal, socket
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
listener = socket.socket(socket.AF_UNIX)
listener.bind("config/signer.sock")
listener.listen()
signer, _ = listener.accept()
application = socket.socket(socket.AF_UNIX)
application.connect("abci.sock")
open("started", "w").write("1")
signal.sigwait({signal.SIGTERM})
for asked, question in ((signer, PING), (application, ECHO)):
    asked.sendall(question)
    assert asked.recv(64)
open("answered", "w")
"""


async def test_its_last_questions_are_answered(tmp_path: Path) -> None:
    """Without answers it would not end by itself, and the node would wait before it kills it."""
    ping = framing.delimited(privval.Message(ping_request=privval.PingRequest()).SerializeToString())
    echo = framing.delimited(abci.Request(echo=abci.RequestEcho(message="last")).SerializeToString())
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\nPING, ECHO = {ping!r}, {echo!r}\n{ASKS_LAST}")
    program.chmod(0o700)
    home = tmp_path / "home"
    with ports.reserve(2) as [listen, rpc]:
        settings = Settings(home, secret(0), Place("127.0.0.1", listen), Place("127.0.0.1", rpc), private=True)
        beginning = Beginning(time=0, committee=[pubkey(0).hex()])
        store = CometBFTStore(tmp_path / "store", RULES)
        running = asyncio.create_task(CometBFT(store, RULES, beginning, settings, program).run())
        await starts(home, 1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        store.close()
    assert (home / "answered").exists()
