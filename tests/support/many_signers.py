"""Very many nodes in one process: one is real and asks, the others only sign, over OMQ with keys of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import zmq
import zmq.asyncio
from nacl import bindings
from web3.contract import Contract
from zmq.utils import z85

from allium import _native
from allium.appchain.claims import claimable
from allium.appchain.parameters import Parameters, devnet
from allium.appchain.types import Address, Blocks, Height, L2Height, PublicKey
from allium.claims import wire
from allium.claims.service import Service
from allium.client.direct import Node as Place
from allium.consensus.solo import Listen, Sequencer
from allium.consensus.store import BlockStore
from allium.devnet import ports
from allium.settings import keys
from allium.staking.follower import Contracts, EventFollower
from allium.staking.provider_quorum import ProviderQuorum
from tests.support.chain import REQUIREMENT, Chain, Node, raw
from tests.support.lone_node import LoneNode, entry

#: What a signer does before it answers.
Before = Callable[[], Awaitable[None]]
#: How many nodes one transaction brings in.
_BATCH = 40


@dataclass
class Signer:
    """One of the others."""

    node: Node
    keys: keys.NodeKeys
    port: int = 0
    #: Signs with a key that is not its own.
    lies: bool = False
    before: Before | None = None

    @property
    def entry(self) -> dict[str, Any]:
        return entry(self.keys, 1, self.port)


class ManySigners:
    """The network. The real node is the first; all of them were seeded, with one staker."""

    def __init__(self, chain: Chain, directory: Path, count: int) -> None:
        self.chain, self._directory = chain, directory
        self.contract: Contract = chain.unstarted()
        self.domain = _native.BlsDomain(chain.addresses.chain_id, raw(self.contract.address))
        made = [keys.generate() for _ in range(count)]
        self.signers = [
            Signer(Node(ed25519=each.ed25519_public, id=place + 1), each) for place, each in enumerate(made)
        ]
        listed = [
            (each.node.key, each.node.params()[0], 1000, [((chain.alice, chain.bob), REQUIREMENT)])
            for each in self.signers
        ]
        start = chain.w3.eth.block_number
        for first in range(0, count, _BATCH):
            call = self.contract.functions.seedPublicKeyList(listed[first : first + _BATCH])
            chain.send(call, chain.owner)
        chain.send(self.contract.functions.start(), chain.owner)
        rules = devnet(chain.addresses.chain_id, Address(raw(self.contract.address)), L2Height(start))
        self.rules: Parameters = replace(rules, payable_after=Blocks(1))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Place]:
        """The real node, to be asked."""
        async with contextlib.AsyncExitStack() as stack:
            context = stack.enter_context(zmq.asyncio.Context())
            feed, https_port, omq_port = stack.enter_context(ports.reserve(3))
            first = self.signers[0]
            places = Address(raw(self.contract.address)), Address(raw(self.chain.pool.address))
            contracts = Contracts(self.chain.addresses.chain_id, *places)
            source = EventFollower(ProviderQuorum([self.chain.url]), contracts, depth=0)
            stack.push_async_callback(source.close)
            sequencer = PublicKey(first.keys.ed25519_public)
            store = BlockStore(self._directory / "appchain.sqlite", self.rules, sequencer)
            stack.callback(store.close)
            self.consensus = Sequencer(store, source, first.keys.ed25519_secret, Listen("127.0.0.1", feed))
            lone = LoneNode(self._directory / "node", https_port, omq_port, keys=first.keys)
            stack.push_async_callback(asyncio.to_thread, lone.engine.shutdown)
            tasks = []
            for signer in self.signers[1:]:
                router = stack.enter_context(context.socket(zmq.ROUTER))
                router.linger = 0
                secret = bindings.crypto_sign_ed25519_sk_to_curve25519(signer.keys.ed25519_secret)
                router.curve_server, router.curve_secretkey = True, z85.encode(secret)
                router.curve_publickey = z85.encode(signer.keys.x25519_public)
                signer.port = router.bind_to_random_port("tcp://127.0.0.1")
                tasks.append(asyncio.create_task(self._serve(signer, router)))
            contacts: Any = {each.keys.ed25519_public.hex(): each.entry for each in self.signers[1:]}
            service = Service(lone.engine, self.consensus, first.node.secret, lambda: contacts)
            tasks += [asyncio.create_task(work) for work in (service.run(), self.consensus.run())]
            try:
                yield Place.parse(lone.entry)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def earned(self, least: int) -> None:
        """Waits until the network has gone on so far, and the staker's beneficiary has earned."""
        async for state in self.consensus:
            if state.height >= least and claimable(state, Address(raw(self.chain.bob)), Height(state.height - 1)):
                return

    async def _serve(self, signer: Signer, router: zmq.asyncio.Socket) -> None:
        async with asyncio.TaskGroup() as answers:
            while True:
                sender, command, tag, *parts = await router.recv_multipart()
                if command.decode() == wire.GET_REWARDS:
                    answers.create_task(self._answer(signer, router, sender, tag, parts))

    async def _answer(
        self, signer: Signer, router: zmq.asyncio.Socket, sender: bytes, tag: bytes, parts: list[bytes]
    ) -> None:
        if signer.before is not None:
            await signer.before()
        fields = wire.decode(parts)
        address, height = Address(wire.raw(fields, "address", 20)), Height(wire.number(fields, "height"))
        amount = claimable(self.consensus.state, address, height)
        secret = _native.BlsSecretKey.random() if signer.lies else signer.node.secret
        signature = self.domain.sign(secret, self.domain.reward_message(address, amount))
        told = wire.answer({"address": address, "amount": amount, "height": height, "signature": signature})
        await router.send_multipart([sender, b"REPLY", tag, *told])
