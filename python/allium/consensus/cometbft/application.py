"""What CometBFT asks of the state machine, and what it is answered (ABCI 2.0).

A block is the encoding of an `Observation`, then those of certificates; with the block's height and time that is one
`Input`. What is proposed and voted for may differ between nodes; what follows from a block may not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from allium.appchain.admission import InvalidInputError, admissible, objection
from allium.appchain.certificates import Certificate
from allium.appchain.encoding import EncodingError, decode, encode
from allium.appchain.input import Input, Observation
from allium.appchain.machine import apply
from allium.appchain.state import snapshot
from allium.appchain.types import Height, L2Height, PublicKey, Seconds
from allium.base import log
from allium.consensus import Observer
from allium.consensus.cometbft import abci_pb2 as abci
from allium.consensus.cometbft import committee, vote_extension
from allium.consensus.cometbft.home import MAX_CERTIFICATE_BYTES
from allium.consensus.cometbft.peers import Peers
from allium.consensus.cometbft.store import CometBFTStore, Standing, unpack
from allium.consensus.states import States
from allium.errors import ConsensusError, DivergedError, NotFinalError

#: The query that is answered with the last state.
STATE_PATH = "/state"
#: How many certificates are looked at for one proposal.
_CANDIDATES = 1024
#: What a transaction takes in a block beside its bytes.
_OVERHEAD = 8
_SNAPSHOT_FORMAT = 1
_CHUNK_BYTES = 8 << 20
_MAX_CHUNKS = 64
_RETRY_SECONDS = 0.2
#: Heights that wait to be looked at again: two weeks' of mainnet.
_MAX_UNSEEN = 10_080
_REFUSED = 1
_ACCEPT = abci.ResponseProcessProposal.ACCEPT
_REJECT = abci.ResponseProcessProposal.REJECT


@dataclass(frozen=True)
class Decided:
    """A height that is decided and not committed yet."""

    given: Input
    after: Standing


@dataclass
class _Offered:
    """A snapshot that is coming in."""

    snapshot: abci.Snapshot
    root: bytes
    chunks: list[bytes]


class Application:
    """The state machine as CometBFT sees it."""

    def __init__(
        self,
        store: CometBFTStore,
        standing: Standing,
        base: Height,
        source: Observer | None,
        peers: Peers,
        *,
        patience: float,
        snapshot_every: int,
        retain: int,
    ) -> None:
        """Goes on from `standing`; the chain began after height `base`.

        `patience`: for how many seconds the own view of the EVM chain is waited for before a vote. `retain`: for how
        many heights CometBFT keeps its blocks at least.
        """
        self.states = States(standing.state)
        #: Heights that were put in without a look of our own at what they say of the EVM chain, as (after, said).
        self.unseen: asyncio.Queue[tuple[L2Height, Observation]] = asyncio.Queue(_MAX_UNSEEN)
        #: Why this node must not go on.
        self.fatal: asyncio.Future[ConsensusError] = asyncio.get_running_loop().create_future()
        self.peers = peers
        self._store, self._standing, self._base, self._source = store, standing, base, source
        self._patience, self._snapshot_every, self._retain = patience, snapshot_every, retain
        self._computed: Decided | None = None
        self._decided: Decided | None = None
        self._seen: Observation | None = None
        self._offered: _Offered | None = None
        #: Where it stands is not on the disk: at the beginning, and after a snapshot came in.
        self._unkept = standing.state.height == base
        self._logger = log.get("consensus")

    @property
    def committee(self) -> committee.Committee:
        """Who votes from two heights after the last one on."""
        return self._standing.committee

    async def answer(self, request: abci.Request) -> abci.Response:
        """One request; an exception ends CometBFT."""
        kind = request.WhichOneof("value")
        if kind is None:
            raise ValueError("CometBFT asks something that its v0.38 line does not know")
        handler: Callable[..., Awaitable[object]] = getattr(self, f"_{kind}")
        try:
            if self.fatal.done():
                raise self.fatal.result()
            answered = await handler(getattr(request, kind))
        except ConsensusError as error:
            if not self.fatal.done():
                self.fatal.set_result(error)
            raise
        except Exception:
            self._logger.exception("a question of CometBFT's could not be answered", question=kind)
            raise
        return abci.Response(**{kind: answered})  # type: ignore[arg-type] # the answer is named as the question

    # --- the connection

    async def _echo(self, asked: abci.RequestEcho) -> abci.ResponseEcho:
        return abci.ResponseEcho(message=asked.message)

    async def _flush(self, _: abci.RequestFlush) -> abci.ResponseFlush:
        return abci.ResponseFlush()

    async def _info(self, _: abci.RequestInfo) -> abci.ResponseInfo:
        """Nothing, at the beginning of a chain: CometBFT then asks for it."""
        state = self._standing.state
        if state.height == self._base:
            return abci.ResponseInfo(data="allium")
        return abci.ResponseInfo(data="allium", last_block_height=state.height, last_block_app_hash=state.root)

    async def _query(self, asked: abci.RequestQuery) -> abci.ResponseQuery:
        """The last state, or whether a peer is welcome."""
        if asked.path == STATE_PATH:
            state = self._standing.state
            return abci.ResponseQuery(value=await asyncio.to_thread(snapshot, state), height=state.height)
        welcome = self.peers.welcomes(asked.path, self._standing.state, self._standing.committee)
        return abci.ResponseQuery() if welcome else abci.ResponseQuery(code=_REFUSED, log="not spoken to")

    # --- certificates on their way

    async def _check_tx(self, asked: abci.RequestCheckTx) -> abci.ResponseCheckTx:
        why = await asyncio.to_thread(self._objection, asked.tx)
        return abci.ResponseCheckTx() if why is None else abci.ResponseCheckTx(code=_REFUSED, log=why)

    def _objection(self, transaction: bytes) -> str | None:
        if len(transaction) > MAX_CERTIFICATE_BYTES:
            return "larger than any certificate"
        try:
            return objection(self._standing.state, decode(Certificate, transaction))
        except EncodingError as error:
            return f"no certificate: {error}"

    # --- one height

    async def _init_chain(self, asked: abci.RequestInitChain) -> abci.ResponseInitChain:
        if asked.initial_height != self._base + 1:
            raise ConsensusError(f"CometBFT begins at {asked.initial_height}, and the state at {self._base}")
        return abci.ResponseInitChain(app_hash=self._standing.state.root)

    async def _prepare_proposal(self, asked: abci.RequestPrepareProposal) -> abci.ResponsePrepareProposal:
        state = self._standing.state
        first = encode(await self._proposal(asked.local_last_commit.votes))
        candidates = []
        for transaction in asked.txs[:_CANDIDATES]:
            try:
                candidates.append(decode(Certificate, transaction))
            except EncodingError:
                continue
        chosen, room = [first], asked.max_tx_bytes - len(first) - _OVERHEAD
        for certificate in await asyncio.to_thread(admissible, state, candidates):
            transaction = encode(certificate)
            room -= len(transaction) + _OVERHEAD
            if room < 0:
                break
            chosen.append(transaction)
        return abci.ResponsePrepareProposal(txs=chosen)

    async def _proposal(self, votes: Sequence[abci.ExtendedVoteInfo]) -> Observation:
        """What happened up to where enough of the committee see the EVM chain final, as this node sees it."""
        state = self._standing.state
        said = [vote_extension.ObservationVote(vote.validator.power, _parsed(vote.vote_extension)) for vote in votes]
        height = vote_extension.highest(said)
        if height is not None:
            height = L2Height(height - height % state.parameters.l2_stride)
        if self._source is not None and height is not None and height > state.l2_height:
            try:
                async with asyncio.timeout(self._patience):
                    seen = await self._source.observe(state.l2_height, height)
                if vote_extension.is_supported(said, seen):
                    return seen
                self._logger.error("others see another EVM chain than this node, check l2_rpc", l2_height=height)
            except (NotFinalError, TimeoutError) as error:
                self._logger.warning("proposes nothing new of the EVM chain", reason=str(error) or "it takes too long")
        return vote_extension.nothing_new(state)

    async def _process_proposal(self, asked: abci.RequestProcessProposal) -> abci.ResponseProcessProposal:
        try:
            given = self._given(asked)
            decided = await self._apply(given)
        except (EncodingError, InvalidInputError) as error:
            self._logger.warning("votes against a proposal", height=asked.height, reason=str(error))
            return abci.ResponseProcessProposal(status=_REJECT)
        if (why := await self._doubt(given.observation)) is not None:
            self._logger.warning("votes against a proposal", height=asked.height, reason=why)
            return abci.ResponseProcessProposal(status=_REJECT)
        self._computed = decided
        return abci.ResponseProcessProposal(status=_ACCEPT)

    def _given(self, block: abci.RequestProcessProposal | abci.RequestFinalizeBlock) -> Input:
        """The input that a block is; raises `EncodingError`."""
        if not block.txs:
            raise EncodingError("a block without an observation")
        observation = decode(Observation, block.txs[0])
        certificates = tuple(decode(Certificate, transaction) for transaction in block.txs[1:])
        when = Seconds(max(self._standing.state.time, block.time.seconds))
        return Input(Height(block.height), when, observation, certificates, self._offenders(block.misbehavior))

    def _offenders(self, proven: Sequence[abci.Misbehavior]) -> tuple[PublicKey, ...]:
        """Whom CometBFT has proven to have voted twice; who is in no list any more cannot be named."""
        if not proven:
            return ()
        state = self._standing.state
        gone = [each.pubkey for each in state.departed.values()]
        keys = {committee.address(key): key for key in (*state.nodes, *gone, *self._standing.committee)}
        return tuple(sorted({keys[each.validator.address] for each in proven if each.validator.address in keys}))

    async def _apply(self, given: Input) -> Decided:
        before = self._standing
        if self._computed is not None and self._computed.given == given:
            return self._computed

        def compute() -> Decided:
            after = apply(before.state, given)
            # The root takes longest, and is needed.
            _ = after.root
            return Decided(
                given, Standing(after, committee.seated(before.committee, before.state, after, given.offenders))
            )

        return await asyncio.to_thread(compute)

    async def _doubt(self, said: Observation) -> str | None:
        """Why this node does not vouch for what a proposal says of the EVM chain."""
        state = self._standing.state
        if said == vote_extension.nothing_new(state) or said == self._seen:
            return None
        if self._source is None:
            return "this node does not look at the EVM chain"
        if said.l2_height <= state.l2_height:
            return "it says something new of an old height of the EVM chain"
        why = "this node does not see the EVM chain so far"
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    try:
                        seen = await self._source.observe(state.l2_height, said.l2_height)
                    except NotFinalError as error:
                        why = str(error)
                        await asyncio.sleep(_RETRY_SECONDS)
                        continue
                    if seen != said:
                        return f"this node sees something else on the EVM chain up to {said.l2_height}"
                    self._seen = said
                    return None
        except TimeoutError:
            return why

    async def _extend_vote(self, asked: abci.RequestExtendVote) -> abci.ResponseExtendVote:
        """What this node sees beyond the block that it votes for."""
        if self._source is None or not asked.txs:
            return abci.ResponseExtendVote()
        try:
            after = decode(Observation, asked.txs[0]).l2_height
            async with asyncio.timeout(self._patience):
                seen = await self._source.observe(after)
        except (EncodingError, NotFinalError, TimeoutError) as error:
            self._logger.warning("votes without a view of the EVM chain", reason=str(error) or "it takes too long")
            return abci.ResponseExtendVote()
        return abci.ResponseExtendVote(vote_extension=encode(vote_extension.of(seen)))

    async def _verify_vote_extension(self, asked: abci.RequestVerifyVoteExtension) -> abci.ResponseVerifyVoteExtension:
        """By the bytes alone, so that everybody judges alike."""
        try:
            vote_extension.parse(asked.vote_extension)
        except EncodingError:
            return abci.ResponseVerifyVoteExtension(status=abci.ResponseVerifyVoteExtension.REJECT)
        return abci.ResponseVerifyVoteExtension(status=abci.ResponseVerifyVoteExtension.ACCEPT)

    async def _finalize_block(self, asked: abci.RequestFinalizeBlock) -> abci.ResponseFinalizeBlock:
        before = self._standing
        if committee.digest(before.committee) != asked.next_validators_hash:
            raise DivergedError(
                f"height {asked.height}: the committee is another one than this node computes; move its store and "
                f"CometBFT's data away to begin anew"
            )
        try:
            decided = await self._apply(self._given(asked))
        except (EncodingError, InvalidInputError) as error:
            raise DivergedError(f"the committee decided an input that may not follow: {error}") from None
        self._decided = decided
        return abci.ResponseFinalizeBlock(
            tx_results=[abci.ExecTxResult() for _ in asked.txs],
            validator_updates=committee.changes(before.committee, decided.after.committee),
            app_hash=decided.after.state.root,
        )

    async def _commit(self, _: abci.RequestCommit) -> abci.ResponseCommit:
        if (decided := self._decided) is None:
            raise ConsensusError("CometBFT commits what was not decided")
        before, after, said = self._standing, decided.after, decided.given.observation
        due = [before] if self._unkept else []
        if after.state.height % self._snapshot_every == 0:
            due.append(after)
        await asyncio.to_thread(self._store.append, decided.given, after.state.root, *due)
        self._standing, self._decided, self._computed, self._unkept = after, None, None, False
        self.states.publish(after.state)
        if self._source is not None and said not in (self._seen, vote_extension.nothing_new(before.state)):
            self._remember(before.state.l2_height, said)
        return abci.ResponseCommit(retain_height=self._retained(after.state.height))

    def _remember(self, after: L2Height, said: Observation) -> None:
        """Has a height looked at again. No height waits for that: of too many the oldest is given up."""
        if self.unseen.full():
            _, lost = self.unseen.get_nowait()
            self._logger.error(
                "the EVM chain was not seen for so long that a height is not compared any more, check l2_rpc",
                l2_height=lost.l2_height,
            )
        self.unseen.put_nowait((after, said))

    def _retained(self, height: Height) -> int:
        """What this node could be asked for again, or others want who were away."""
        kept = self._store.snapshots()
        oldest = kept[-1][0] if kept else self._base
        return max(0, min(oldest + 1, height - self._retain))

    # --- snapshots

    async def _list_snapshots(self, _: abci.RequestListSnapshots) -> abci.ResponseListSnapshots:
        kept = await asyncio.to_thread(self._store.snapshots)
        # CometBFT proves a root by the headers of the two heights after it.
        ready = [item for item in kept if self._base < item[0] <= self._standing.state.height - 2]
        return abci.ResponseListSnapshots(
            snapshots=[
                abci.Snapshot(
                    height=height,
                    format=_SNAPSHOT_FORMAT,
                    chunks=-(-len(packed) // _CHUNK_BYTES),
                    hash=sha256(packed).digest(),
                )
                for height, packed in ready
            ]
        )

    async def _load_snapshot_chunk(self, asked: abci.RequestLoadSnapshotChunk) -> abci.ResponseLoadSnapshotChunk:
        packed = dict(await asyncio.to_thread(self._store.snapshots)).get(Height(asked.height), b"")
        start = asked.chunk * _CHUNK_BYTES
        return abci.ResponseLoadSnapshotChunk(chunk=packed[start : start + _CHUNK_BYTES])

    async def _offer_snapshot(self, asked: abci.RequestOfferSnapshot) -> abci.ResponseOfferSnapshot:
        offered = asked.snapshot
        if offered.format != _SNAPSHOT_FORMAT:
            return abci.ResponseOfferSnapshot(result=abci.ResponseOfferSnapshot.REJECT_FORMAT)
        if not 0 < offered.chunks <= _MAX_CHUNKS or offered.height <= self._standing.state.height:
            return abci.ResponseOfferSnapshot(result=abci.ResponseOfferSnapshot.REJECT)
        self._offered = _Offered(offered, asked.app_hash, [])
        return abci.ResponseOfferSnapshot(result=abci.ResponseOfferSnapshot.ACCEPT)

    async def _apply_snapshot_chunk(self, asked: abci.RequestApplySnapshotChunk) -> abci.ResponseApplySnapshotChunk:
        offered = self._offered
        if offered is None or asked.index != len(offered.chunks):
            return abci.ResponseApplySnapshotChunk(result=abci.ResponseApplySnapshotChunk.RETRY_SNAPSHOT)
        offered.chunks.append(asked.chunk)
        if len(offered.chunks) < offered.snapshot.chunks:
            return abci.ResponseApplySnapshotChunk(result=abci.ResponseApplySnapshotChunk.ACCEPT)
        self._offered = None
        standing = await asyncio.to_thread(self._verified, offered)
        if standing is None:
            return abci.ResponseApplySnapshotChunk(
                result=abci.ResponseApplySnapshotChunk.REJECT_SNAPSHOT, reject_senders=[asked.sender]
            )
        # Kept with the height after it: CometBFT keeps nothing of its own before.
        self._standing, self._unkept = standing, True
        self.states.publish(standing.state)
        self._logger.info("begins at a snapshot", height=standing.state.height)
        return abci.ResponseApplySnapshotChunk(result=abci.ResponseApplySnapshotChunk.ACCEPT)

    def _verified(self, offered: _Offered) -> Standing | None:
        """What a snapshot holds, if that is what headers say."""
        packed = b"".join(offered.chunks)
        if sha256(packed).digest() != offered.snapshot.hash:
            return None
        try:
            standing = unpack(packed)
        except EncodingError:
            return None
        state, own = standing.state, self._standing.state
        true = state.root == offered.root and state.height == offered.snapshot.height
        return standing if true and state.parameters == own.parameters else None


def _parsed(extension: bytes) -> vote_extension.ObservationDigest | None:
    try:
        return vote_extension.parse(extension)
    except EncodingError:
        return None
