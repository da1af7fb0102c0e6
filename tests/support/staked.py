"""A staked network in one process: real engines that speak OMQ, `solo` between them, contracts on a real anvil."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from nacl import bindings

from allium import _native
from allium.appchain.admission import objection
from allium.appchain.certificates import Certificate, Verdict, Vote, vote_message
from allium.appchain.claims import claimable
from allium.appchain.nodes import Departed, Node
from allium.appchain.parameters import Parameters, devnet
from allium.appchain.state import State
from allium.appchain.types import Address, AtomicSesh, Blocks, Height, Index, L2Height, PublicKey, Reasons, Signature
from allium.claims.service import Service
from allium.cli import main as cli
from allium.consensus import Consensus
from allium.consensus.solo import Listen, Sequencer, SoloFollower
from allium.consensus.store import BlockStore
from allium.devnet import anvil, ports
from allium.settings import keys
from allium.staking.follower import Contracts
from allium.staking.follower import EventFollower as ChainFollower
from allium.staking.provider_quorum import ProviderQuorum
from tests.support.chain import Chain, raw
from tests.support.lone_node import LoneNode

PATIENCE = 60.0


@dataclass
class Member:
    """One node."""

    directory: Path
    keys: keys.NodeKeys
    secret: _native.BlsSecretKey
    lone: LoneNode
    consensus: Consensus
    store: BlockStore
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def pubkey(self) -> PublicKey:
        return PublicKey(self.keys.ed25519_public)

    @property
    def hex(self) -> str:
        return self.pubkey.hex()


@dataclass
class Newcomer:
    """One that is not running."""

    directory: Path


class Staked:
    """The network, and the people who use it by the command line."""

    def __init__(self, chain: Chain, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.chain, self.directory, self._capsys = chain, directory, capsys
        self.members: list[Member] = []
        names = {"network": "network.json", "contracts": "ADDRESSES.json", "chain-file": "chain.json"}
        self.files = {name: directory / file for name, file in names.items()}
        chain.addresses.save(self.files["contracts"])
        contract, start = Address(raw(chain.addresses.rewards)), L2Height(chain.w3.eth.block_number)
        self.rules: Parameters = replace(
            devnet(chain.addresses.chain_id, contract, start),
            payable_after=Blocks(2),
            unlock_duration=Blocks(4),
            exit_buffer=Blocks(5),
            deregistration_lock=Blocks(8),
            # A node that was down once has no credit for a second time.
            credit_per_day=Blocks(0),
        )

    @property
    def state(self) -> State:
        return self.members[0].consensus.state

    # --- nodes

    async def start(self, count: int, stack: contextlib.AsyncExitStack, wrong: Collection[int]) -> None:
        secret = bindings.crypto_sign_keypair()[1]
        numbers = stack.enter_context(ports.reserve(2 * count + 1))
        source = ChainFollower(ProviderQuorum([self.chain.url]), self._contracts, depth=0)
        stack.push_async_callback(source.close)
        feed = f"http://127.0.0.1:{numbers[0]}"
        self._write_chain_file(feed, secret[32:])
        for index in range(count):
            directory = self.directory / f"node{index}"
            node_keys = keys.create(directory)
            store = BlockStore(directory / "appchain.sqlite", self.rules, PublicKey(secret[32:]))
            stack.callback(store.close)
            engine: Consensus = (
                SoloFollower(store, self.rules, PublicKey(secret[32:]), [feed])
                if index
                else Sequencer(store, source, secret, Listen("127.0.0.1", numbers[0]))
            )
            exempt = ["127.0.0.0/8"]
            https_port, omq_port = numbers[2 * index + 1 : 2 * index + 3]
            lone = LoneNode(directory, https_port, omq_port, keys=node_keys, rate_limit_exempt=exempt)
            stack.push_async_callback(asyncio.to_thread, lone.engine.shutdown)
            member = Member(directory, node_keys, keys.create_bls(directory), lone, engine, store)
            self.members.append(member)
        self.files["network"].write_text(json.dumps({"nodes": [member.lone.entry for member in self.members]}))
        for index, member in enumerate(self.members):
            secret_of = _native.BlsSecretKey.random() if index in wrong else member.secret
            member.tasks.append(self._run(self._service(member, secret_of).run(), stack))
            member.tasks.append(self._run(member.consensus.run(), stack))

    def _write_chain_file(self, feed: str, sequencer: bytes) -> None:
        """For whoever follows from outside."""
        plain = devnet(self.rules.l2_chain_id, self.rules.rewards_contract, self.rules.l2_start)
        fields = [name for name in vars(plain) if getattr(plain, name) != getattr(self.rules, name)]
        told = {
            "network": "devnet",
            "l2_chain_id": self.rules.l2_chain_id,
            "rewards_contract": f"0x{self.rules.rewards_contract.hex()}",
            "l2_start": self.rules.l2_start,
            "rules": {name: getattr(self.rules, name) for name in fields},
            "sequencer": sequencer.hex(),
            "feeds": [feed],
        }
        self.files["chain-file"].write_text(json.dumps(told))

    def _service(self, member: Member, secret: _native.BlsSecretKey) -> Service:
        contacts: Any = {other.hex: other.lone.entry for other in self.members}
        return Service(member.lone.engine, member.consensus, secret, lambda: contacts)

    def freeze(self) -> None:
        """Lets no further height be made."""
        self.members[0].tasks[-1].cancel()

    @staticmethod
    def another(directory: Path) -> Newcomer:
        """The keys of a node that is not running."""
        keys.create(directory)
        keys.create_bls(directory)
        return Newcomer(directory)

    async def shown(self, account: str, *more: str) -> str:
        """`allium rewards show`, its last line."""
        return (await self.allium("rewards", "show", account, *more, *self.options("network"))).splitlines()[-1]

    @staticmethod
    def _run(work: Any, stack: contextlib.AsyncExitStack) -> asyncio.Task[None]:
        task = asyncio.create_task(work)

        async def end() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        stack.push_async_callback(end)
        return task

    @property
    def _contracts(self) -> Contracts:
        addresses = self.chain.addresses
        return Contracts(addresses.chain_id, Address(raw(addresses.rewards)), Address(raw(addresses.pool)))

    # --- what happens

    async def until(self, true: Callable[[State], bool], everybody: bool = True) -> State:
        """The first state of which something is true; at all nodes."""
        async with asyncio.timeout(PATIENCE):
            for member in self.members if everybody else self.members[:1]:
                async for state in member.consensus:
                    if true(state):
                        break
        return self.state

    async def heights(self, count: int) -> None:
        """Lets so many heights pass. Claims are of the height before the last."""
        height = self.state.height + count
        await self.until(lambda state: state.height >= height)

    def node(self, member: Member) -> Node | Departed | None:
        """How the network sees a node."""
        gone = [each for each in self.state.departed.values() if each.pubkey == member.pubkey]
        return self.state.nodes.get(member.pubkey) or (gone[0] if gone else None)

    async def judge(self, member: Member, verdict: Verdict) -> None:
        """Has the network agree on a verdict."""
        sequencer = self.members[0].consensus
        async with asyncio.timeout(PATIENCE):
            async for state in sequencer:
                if (made := self._certificate(state, member, verdict)) is not None:
                    await sequencer.submit(made)
                    return

    def _certificate(self, state: State, member: Member, verdict: Verdict) -> Certificate | None:
        secrets = {other.pubkey: other.keys.ed25519_secret for other in self.members}
        for sitting in reversed(state.quorums):
            drawn = state.quorum(sitting.height)
            if drawn is None or member.pubkey not in drawn.workers:
                continue
            worker, reasons = Index(drawn.workers.index(member.pubkey)), Reasons(1)
            message = vote_message(self.rules.chain, sitting.height, worker, verdict, reasons)
            votes = tuple(
                Vote(Index(place), reasons, Signature(bindings.crypto_sign(message, secrets[key])[:64]))
                for place, key in enumerate(drawn.validators)
            )
            made = Certificate(sitting.height, worker, verdict, votes)
            if objection(state, made) is None:
                return made
        return None

    def ledger(self, account: str, height: int | None = None) -> AtomicSesh:
        """What the ledger says that an account has earned."""
        return claimable(self.state, Address(raw(account)), None if height is None else Height(height))

    def was_ledger(self, account: str, amount: int) -> bool:
        """Whether the ledger said so at one of the last heights."""
        heights = range(max(0, self.state.height - 30), self.state.height + 1)
        return any(self.ledger(account, height) == amount for height in heights)

    # --- people

    async def allium(self, *arguments: str, code: int = 0, who: int | None = None) -> str:
        """A command as somebody types it, as the anvil account `who`; what it printed."""
        more = [*arguments]
        if who is not None:
            more += ["--key-file", str(self._key_file(who))]
        said = await allium(self._capsys, *more, code=code)
        assert who is None or anvil.account(who).key.hex() not in said
        return said

    def options(self, *names: str) -> list[str]:
        """`--rpc`, `--contracts` and the like."""
        made = ["--rpc", self.chain.url, "--contracts", str(self.files["contracts"])]
        return made + [part for name in names for part in (f"--{name}", str(self.files[name]))]

    def _key_file(self, who: int) -> Path:
        file = self.directory / f"wallet{who}"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(anvil.account(who).key.hex())
        return file

    async def registration(self, member: Member | Newcomer, who: int) -> Path:
        """What the node's operator takes from it."""
        said = await self.allium(
            *("node", "register", anvil.account(who).address, "--data-dir", str(member.directory), "--json"),
            *("--contracts", str(self.files["contracts"])),
        )
        file = member.directory / "registration.json"
        # The nodes of this process print their logs in between.
        file.write_text(next(line for line in said.splitlines() if line.startswith("{")))
        return file

    async def join(self, member: Member | Newcomer, who: int, *more: str) -> str:
        """Registers a node with the whole stake of one account."""
        file = await self.registration(member, who)
        command = ("node", "register", "--registration", str(file), "--stake", *self.options(), *more)
        return await self.allium(*command, who=who)


async def allium(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """`allium …` in this process, and what it printed."""
    capsys.readouterr()
    ended = await asyncio.to_thread(cli.main, [*arguments])
    said = capsys.readouterr()
    assert ended == code, said
    return said.out + said.err


@contextlib.asynccontextmanager
async def staked(
    chain: Chain, directory: Path, capsys: pytest.CaptureFixture[str], count: int, wrong: Collection[int] = ()
) -> AsyncIterator[Staked]:
    """A network of `count` nodes, none of them staked for yet; those in `wrong` sign with another key."""
    net = Staked(chain, directory, capsys)
    async with contextlib.AsyncExitStack() as stack:
        await net.start(count, stack, wrong)
        yield net
