"""`allium portal serve`: one process that follows the network and the contracts, and answers whoever asks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, ClassVar

from allium._native import BlsDomain
from allium.appchain.state import State
from allium.appchain.types import PublicKey
from allium.base import log
from allium.client.direct import Node
from allium.client.listing import usable
from allium.consensus.chainfile import ChainFile
from allium.errors import ConsensusError
from allium.liveness import HISTORY
from allium.liveness.history import look
from allium.portal import health, trial, vesting
from allium.portal.api import SOURCE, PortalApi
from allium.portal.chain_reads import ChainReads
from allium.portal.contract_index import ContractIndex
from allium.portal.contract_registry import ContractRegistry
from allium.portal.database import PortalDatabase
from allium.portal.documents import ArbitrumInfo
from allium.portal.epoch import Epoch
from allium.portal.epoch_parts import EpochParts
from allium.portal.explorer.opening import opened
from allium.portal.indexer import Indexer
from allium.portal.limits import Rate
from allium.portal.network_view import NetworkView
from allium.portal.oxend_rpc import OxendRpc
from allium.portal.oxend_source import OxendSigning, OxendSource
from allium.portal.oxend_state import OxendState
from allium.portal.page_files import PageFiles, Surroundings, WalletConnect
from allium.portal.prices import Prices
from allium.portal.replies import refusal
from allium.portal.settings import PortalConfig
from allium.portal.signing import NodesSigning
from allium.portal.sql import PortalDatabaseError
from allium.portal.stake_history import StakeHistory
from allium.portal.state_source import StateSource, open_source
from allium.portal.turns import pause, settle
from allium.portal.vesting import Vestings
from allium.server import process, quota
from allium.server.health import Problem
from allium.server.http_server import HttpServer
from allium.server.messages import Answer, Request, failure
from allium.server.metrics import ServerMetrics
from allium.server.process import ServerProcess
from allium.server.quota import SourceQuota
from allium.settings.declared import ConfigError
from allium.staking import StakingError
from allium.staking.addresses import Addresses
from allium.staking.provider_quorum import ProviderQuorum
from allium.wallet.claim import SignatureClient
from allium.wallet.steps import ContractReader

DATABASE = "portal.sqlite"
_LOOK_SECONDS, _DAY = 0.5, 86_400


def run(config: PortalConfig, config_file: Path | None) -> int:
    """Serves until a signal, and returns an exit code (`process.run`)."""
    return process.run(PortalProcess, config, lambda: PortalConfig.load(config_file, {"data_dir": config.data_dir}))


class SourceLimits:
    """How often one source may ask."""

    def __init__(self, config: PortalConfig) -> None:
        self.requests = Rate(config.source_requests, 10)
        self.registrations = Rate(config.source_registrations, 3600)
        self.signatures = Rate(config.source_signatures, 60)
        self.prices = Rate(config.source_prices, 600)


class Portal:
    """What is known, kept up to date."""

    def __init__(self, source: StateSource, indexer: Indexer, database: PortalDatabase, node_dir: Path | None) -> None:
        self._source, self._indexer, self._database, self._node_dir = source, indexer, database, node_dir
        self._proofs: Mapping[PublicKey, int] = {}
        self._history, self._parts = StakeHistory(database), EpochParts()
        steps = self._history.steps
        self.epoch = Epoch(source.state, indexer.index, {}, source.state.time, history=steps, parts=self._parts)
        self._log = log.get("portal")
        self._advanced, self._was_current = time.monotonic(), False

    @property
    def is_reading(self) -> bool:
        """Whether it has not been up to date since its start, and gets on."""
        return not self._was_current and time.monotonic() - self._advanced < health.BLOCK_SECONDS

    @property
    def tip(self) -> ArbitrumInfo:
        """What the contracts hold."""
        return self._indexer.tip

    async def run(self) -> None:
        """Makes each epoch, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(_LOOK_SECONDS)

    async def refresh(self) -> None:
        """Makes another epoch if there is something new."""
        state, index = self._source.state, self._indexer.index
        if self.epoch.state is state and self.epoch.index is index:
            return
        if state.height > self.epoch.state.height:
            self._advanced = time.monotonic()
        self._was_current |= state.height > 0 and time.time() - state.time <= health.BLOCK_SECONDS
        self.epoch = await asyncio.to_thread(self._made)
        try:
            if state.height and (day := state.time // _DAY) > await asyncio.to_thread(self._database.last_day):
                await asyncio.to_thread(self._keep_day, day)
        except PortalDatabaseError as error:
            self._log.error("the day's rewards were not kept", reason=str(error))

    def _made(self) -> Epoch:
        if self._node_dir is not None and (kept := look(self._node_dir / HISTORY)) is not None:
            self._proofs = {key: each.proofs[-1].at for key, each in kept.nodes.items() if each.proofs}
        # What the index has up to the tip, at least.
        state, tip, index = self._source.state, self._indexer.tip.block, self._indexer.index
        if isinstance(state, OxendState):
            self._proofs = state.proofs
        if state.height and tip >= state.l2_height:
            self._note_returned(state, index)
        return Epoch(state, index, self._proofs, state.time, pause, self._history.steps, self._parts)

    def _note_returned(self, state: State, index: ContractIndex) -> None:
        returned = NetworkView(state, index, {}, locked=self._parts.locked(state)).returned(pause)
        try:
            self._history.note(state.height, state.l2_height, returned)
        except PortalDatabaseError as error:
            self._log.error("when stakes came back was not kept", reason=str(error))

    def _keep_day(self, day: int) -> None:
        epoch = self.epoch
        earned = epoch.view.earned(pause)
        self._database.keep_day(day, epoch.state.height, epoch.state.time, earned)


class PortalProcess(ServerProcess[PortalConfig]):
    """The parts of a running portal."""

    kind: ClassVar[str] = health.KIND
    title: ClassVar[str] = "portal"
    init: ClassVar[str] = "allium portal init"

    async def open(self, stack: contextlib.AsyncExitStack, ed25519_seed: bytes, x25519_secret: bytes) -> HttpServer:
        """See `ServerProcess`."""
        config = self.config
        if not config.l2_rpc:
            raise ConfigError("set l2_rpc to the URLs of providers of the EVM chain")
        addresses = Addresses.load(config.contracts)
        self.metrics = metrics = ServerMetrics(health.KIND, config.data_dir)
        place = config.database_url or config.data_dir / DATABASE
        database = await asyncio.to_thread(
            PortalDatabase, place, addresses.chain_id, addresses.rewards, addresses.block
        )
        stack.callback(database.close)
        panel = ProviderQuorum(config.l2_rpc)
        stack.push_async_callback(panel.close)
        self._indexer = indexer = Indexer(panel, addresses, database)
        await indexer.open()
        vestings = Vestings([] if config.vesting_file is None else vesting.read(config.vesting_file), panel, addresses)
        source, signing = await self._network(stack, addresses, panel, indexer)
        self._portal = portal = Portal(source, indexer, database, config.node_dir)
        stack.push_async_callback(signing.close)
        health.show(metrics, portal, indexer)
        limits = SourceLimits(config)
        explorer = opened(stack, portal, config, panel, addresses, limits.requests, indexer.logs)
        works = (source.run(), indexer.run(config.refresh_seconds), portal.run(), vestings.run(), explorer.run())
        tasks = [asyncio.create_task(self._watched(work)) for work in works]
        stack.push_async_callback(_end, tasks)
        domain = BlsDomain(addresses.chain_id, bytes.fromhex(addresses.rewards[2:]))
        api = PortalApi(
            portal,
            database,
            signing,
            domain,
            ContractRegistry(addresses),
            limits,
            config.max_registrations,
            Prices(config.price_url),
            vestings,
            None if config.wallet_connect_id is None else ChainReads(panel),
            trial.opened(stack, config, panel, addresses),
        )
        settle()
        source_quota = SourceQuota(config.source_day_bytes, config.source_exempt)
        page = PageFiles(_surroundings(config), addresses.chain_id)
        answer = explorer.beside(page.beside(api.answer))
        return PortalHttpServer(config, source_quota, answer, _no_onion, metrics)

    async def _network(
        self, stack: contextlib.AsyncExitStack, addresses: Addresses, panel: ProviderQuorum, indexer: Indexer
    ) -> tuple[StateSource, NodesSigning | OxendSigning]:
        """Where the state comes from, and who has it signed."""
        config = self.config
        if config.oxend is not None:
            if config.chain_file is not None:
                raise ConfigError("set either chain_file or oxend: a portal is of one network")
            rpc = OxendRpc(config.oxend)
            stack.push_async_callback(rpc.close)
            source = OxendSource(rpc, addresses, indexer)
            await source.open()
            return source, OxendSigning(rpc)
        if config.chain_file is None or (network_file := config.network_file) is None:
            raise ConfigError("set chain_file and network_file, or oxend")
        chain = ChainFile.read(config.chain_file)
        if (chain.l2_chain_id, chain.rewards_contract.lower()) != (addresses.chain_id, addresses.rewards.lower()):
            raise ConfigError(f"{config.chain_file} and {config.contracts} are of different contracts")
        signing = NodesSigning(lambda: _asker(network_file), lambda: ContractReader(panel.sound, addresses))
        return open_source(stack, chain, config.data_dir, config.node_dir), signing

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        """Without one of its parts it would tell what is old: it ends, and is started again."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except ConsensusError as error:
            self.fail(error)
        except BaseException as error:
            log.failure(self._log, "a part of the portal failed", error)
            self.fail(error)

    @property
    def holds(self) -> str:
        """See `ServerProcess`."""
        epoch = self._portal.epoch
        return f"{len(epoch.state.nodes):,} nodes at height {epoch.state.height:,}, {len(epoch.index.events):,} events"

    def problems(self, numbers: dict[str, float]) -> list[Problem]:
        """See `ServerProcess`."""
        return list(health.problems(numbers, self._indexer.trouble, time.time()))


class PortalHttpServer(HttpServer):
    """The HTTP server of a portal."""

    def begun(self, request: Any) -> None:
        """Notes for the limits whose request it is."""
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        name = str(peer[0]) if isinstance(peer, tuple) else "local"
        forwarded = request.headers.get("X-Forwarded-For")
        SOURCE.set(quota.source_of(name, forwarded, self._config.trusted_proxies))

    async def _answer(self, request: Any, onion: bool) -> Answer:
        """See `HttpServer`; who names two pages or two servers may mean either, and a proxy the other."""
        if any(len(request.headers.getall(name, ())) > 1 for name in ("Origin", "Host")):
            answer = refusal(403, "Origin and Host are said once")
            answer.headers["connection"] = "close"
            return answer
        return await super()._answer(request, onion)


def _surroundings(config: PortalConfig) -> Surroundings:
    known = config.wallet_connect_id
    return Surroundings(
        name=config.chain_name,
        rpc=config.wallet_rpc,
        explorer=config.explorer_url,
        bridge=config.bridge_url,
        walletconnect=None if known is None else WalletConnect(known, config.wallet_connect_relay),
    )


def _asker(network_file: Path) -> SignatureClient:
    """The nodes that are asked for signatures, in any order."""
    try:
        nodes = usable(json.loads(network_file.read_bytes())["nodes"], Node.parse)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StakingError(f"the list of nodes cannot be read: {type(error).__name__}") from None
    return SignatureClient.of([node for node in nodes if node.omq_port])


async def _no_onion(request: Request) -> Answer:
    return failure(404)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
