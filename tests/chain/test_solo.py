"""A `solo` network of real processes: what one orders, all follow, whatever is killed in between."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from bencode2 import bencode

from allium.appchain.certificates import Certificate, Verdict
from allium.appchain.encoding import decode
from allium.appchain.input import Input
from allium.appchain.machine import apply
from allium.appchain.parameters import Parameters
from allium.appchain.state import State, genesis, snapshot
from allium.appchain.types import Height, Index, L2Height, PublicKey, Seconds
from allium.consensus import CertificateRefusedError
from allium.consensus.block import Block, sign
from allium.consensus.feed import Feed, FeedError
from allium.consensus.solo import Listen, Sequencer, SoloFollower
from allium.consensus.store import BlockStore, BlockStoreError
from allium.devnet import ports
from allium.errors import DivergedError, NotFinalError
from tests.support.appchain_world import RULES, World, address, pubkey, secret, stakes
from tests.support.solo_net import KEY, PATIENCE, SEQUENCER, Net, Process
from tests.support.solo_process import FileChain, append


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    with ports.reserve(4) as mine, contextlib.closing(Net(tmp_path, mine)) as made:
        for name in range(12):
            made.world.register(name)
        made.mine()
        yield made


def agree(*processes: Process) -> None:
    """All heights that several were seen at have one root."""
    heights = set.intersection(*(set(process.roots) for process in processes))
    assert heights
    for height in heights:
        assert len({process.roots[height] for process in processes}) == 1


def test_followers_find_what_the_sequencer_finds(net: Net) -> None:
    sequencer = net.start(0)
    direct, compares, second_hand = net.start(1, [0]), net.start(2, [0], compare=True), net.start(3, [1])
    for process in (sequencer, direct, compares, second_hand):
        assert process.until(3)["nodes"] == 12
    net.world.register(50, stakes(1))  # refused by all
    net.world.register(51)
    net.mine()
    top = sequencer.until(6)["height"]
    for process in (direct, compares, second_hand):
        assert process.until(top)["nodes"] == 13
    agree(sequencer, direct, compares, second_hand)


def test_restart_and_late_joiner(net: Net) -> None:
    sequencer, follower = net.start(0), net.start(1, [0])
    follower.until(7)
    follower.kill(signal.SIGTERM)
    sequencer.kill()
    last = max(follower.roots)
    again, back = net.start(0), net.start(1, [0])
    first = again.until(0)
    assert first["height"] >= last
    back.until(last + 3)
    again.until(last + 3)
    agree(again, back)
    late = net.start(2, [0])
    late.until(last + 6)
    again.until(last + 6)
    back.until(last + 6)
    assert 1 not in late.roots and min(height for height in late.roots if height) % 5 == 0
    agree(again, back, late)


def test_kill_nine_again_and_again(net: Net) -> None:
    """Nobody ever has another root than before at a height that somebody has seen."""
    seen: dict[int, str] = {}
    sequencer, follower = net.start(0), net.start(1, [0])
    for _ in range(4):
        for process in (sequencer, follower):
            process.until(max(seen, default=0) + 2)
        for process in (sequencer, follower):
            process.kill()
            for height, root in process.roots.items():
                assert seen.setdefault(height, root) == root
        sequencer, follower = net.start(0), net.start(1, [0])
    for process in (sequencer, follower):
        process.until(max(seen) + 2)
        for height, root in process.roots.items():
            assert seen.setdefault(height, root) == root


def test_another_version_stops_and_says_so(net: Net) -> None:
    sequencer = net.start(0)
    twisted = net.start(1, [0], twisted=True)
    reason = twisted.reason()
    assert "compute differently" in reason and "the sequencer signed" in reason
    sequencer.until(9)


def test_a_follower_that_sees_other_events_stops(net: Net) -> None:
    # Without a snapshot: a follower that begins with one compares only what comes after it.
    net.start(0, snapshot_every=1_000_000).until(2)
    elsewhere = net.directory / "elsewhere"
    other = World(RULES)
    other.register(77)
    other.register(78)
    for _ in range(3):
        append(elsewhere, other.input().observation)
        other.step()
    assert "is not what this node sees" in net.start(1, [0], compare=True, chain=str(elsewhere)).reason()


def test_verdicts_reach_the_sequencer_through_a_follower(net: Net) -> None:
    sequencer = net.start(0)
    follower = net.start(1, [0])
    follower.until(4)
    sequencer.kill()
    follower.kill()
    with BlockStore(net.store(0), RULES, KEY) as store:
        net.world.state = store.load()
    name = net.world.worker()
    certificate = net.world.certificate(name, Verdict.DECOMMISSION)
    sequencer, follower = net.start(0), net.start(1, [0])

    async def submit(feed: Feed, one: Certificate) -> None:
        """Tries again until the follower has found the sequencer."""
        for _ in range(100):
            with contextlib.suppress(FeedError):
                return await feed.submit(one)
            await asyncio.sleep(0.1)
        raise AssertionError("the follower does not find the sequencer")

    async def hand_in() -> None:
        async with aiohttp.ClientSession() as session:
            feed = Feed(session, net.url(1))
            with pytest.raises(CertificateRefusedError, match="are needed"):
                await submit(feed, replace(certificate, votes=certificate.votes[:1]))
            await submit(feed, certificate)

    sequencer.until(net.world.state.height)
    follower.until(net.world.state.height)
    asyncio.run(hand_in())
    top = sequencer.until(0, down=1)["height"]
    follower.until(top, down=1)
    agree(sequencer, follower)
    sequencer.kill()
    with BlockStore(net.store(0), RULES, KEY) as store:
        assert store.load().nodes[pubkey(name)].decommissioned


# One process: what the store and the follower make of what is wrong.


def chain_of(count: int, parameters: Parameters = RULES, key: int = SEQUENCER) -> list[tuple[Block, State]]:
    """A signed history."""
    world = World(parameters)
    for name in range(12):
        world.register(name)
    history = []
    for _ in range(count):
        before, given = world.state, world.input()
        after = world.step()
        history.append((sign(before, given, after, secret(key)), after))
    return history


def filled(path: Path, count: int = 12, every: int = 5) -> list[tuple[Block, State]]:
    history = chain_of(count)
    with BlockStore(path, RULES, KEY) as store:
        assert store.load().root == genesis(RULES).root
        for block, state in history:
            store.append(block, state if state.height % every == 0 else None)
    return history


def test_a_store_loads_what_it_was_given(tmp_path: Path) -> None:
    history = filled(tmp_path / "store")
    with BlockStore(tmp_path / "store", RULES, KEY) as store:
        state = store.load()
        assert state.root == history[-1][1].root
        earner = address("0 0 beneficiary")
        for _, earlier in history[4:]:
            assert state.ledger.balance(earner, earlier.height) == earlier.ledger.balance(earner) > 0
        assert store.blocks(Height(3), 2) == [history[3][0].encoded, history[4][0].encoded]
        assert [height for height, _ in store.snapshots()] == [10, 5]


def test_a_torn_tail_is_cut_off(tmp_path: Path) -> None:
    """The log of a store that is cut anywhere: some whole number of blocks is left, and it goes on from there."""
    history = chain_of(6)
    (tmp_path / "live").mkdir()
    store = BlockStore(tmp_path / "live" / "store", RULES, KEY)
    for block, _ in history:
        store.append(block)
    log_size = (tmp_path / "live" / "store-wal").stat().st_size
    left = set()
    for cut in range(0, log_size, log_size // 40):
        torn = tmp_path / f"torn{cut}"
        torn.mkdir()
        shutil.copy(tmp_path / "live" / "store", torn / "store")
        wal = (tmp_path / "live" / "store-wal").read_bytes()
        (torn / "store-wal").write_bytes(wal[:cut])
        with BlockStore(torn / "store", RULES, KEY) as reopened:
            state = reopened.load()
            left.add(state.height)
            assert state.root == ([genesis(RULES), *(state for _, state in history)])[state.height].root
            for block, _ in history[state.height :]:
                reopened.append(block)
            assert reopened.load().root == history[-1][1].root
    store.close()
    assert {0, 1, 2, 3, 4, 5} <= left


def tamper(path: Path, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute(statement, values)


def test_a_tampered_log_is_refused(tmp_path: Path) -> None:
    history = filled(tmp_path / "store")
    block, _ = history[11]
    forged = replace(block, given=replace(block.given, time=Seconds(block.given.time + 1)))
    resigned = replace(block, signature=sign(history[10][1], forged.given, history[11][1], secret(3)).signature)
    for bad, says in (
        (forged.encoded, "not what the sequencer signed"),
        (resigned.encoded, "not what the sequencer signed"),
        (history[3][0].encoded, "does not follow"),
        (block.encoded[:-1], "not bencode"),
        (b"", "not bencode"),
    ):
        tamper(tmp_path / "store", "UPDATE block SET encoded = ? WHERE height = 12", bad)
        with BlockStore(tmp_path / "store", RULES, KEY) as store, pytest.raises(BlockStoreError, match=says) as refused:
            store.load()
        assert "is damaged" in str(refused.value) and "move it away" in str(refused.value)


def test_a_removed_block_is_missed(tmp_path: Path) -> None:
    filled(tmp_path / "store")
    tamper(tmp_path / "store", "DELETE FROM block WHERE height = 11")
    with BlockStore(tmp_path / "store", RULES, KEY) as store, pytest.raises(BlockStoreError, match="does not follow"):
        store.load()


def test_a_tampered_snapshot_is_passed_over(tmp_path: Path) -> None:
    history = filled(tmp_path / "store")
    with BlockStore(tmp_path / "store", RULES, KEY) as store:
        good = dict(store.snapshots())[Height(5)]
    for bad in (good[:-1], good.replace(b"i5e", b"i6e", 1), b""):
        tamper(tmp_path / "store", "UPDATE snapshot SET encoded = ? WHERE height = 5", bad)
        with BlockStore(tmp_path / "store", RULES, KEY) as store:
            assert store.load().root == history[-1][1].root
    tamper(tmp_path / "store", "DELETE FROM block WHERE height < 3")
    tamper(tmp_path / "store", "UPDATE snapshot SET encoded = ?", b"")
    with BlockStore(tmp_path / "store", RULES, KEY) as store, pytest.raises(BlockStoreError, match="no snapshot"):
        store.load()


def test_stores_of_others_are_refused(tmp_path: Path) -> None:
    filled(tmp_path / "store")
    for parameters, key in ((replace(RULES, name="other"), KEY), (RULES, pubkey(1))):
        with pytest.raises(BlockStoreError, match="another network's"):
            BlockStore(tmp_path / "store", parameters, key)
    tamper(tmp_path / "store", "PRAGMA user_version = 9")
    with pytest.raises(BlockStoreError, match="format 9"):
        BlockStore(tmp_path / "store", RULES, KEY)
    (tmp_path / "junk").write_bytes(b"junk" * 1000)
    with pytest.raises(BlockStoreError, match="is damaged"):
        BlockStore(tmp_path / "junk", RULES, KEY)


async def test_a_follower_takes_only_what_follows(tmp_path: Path) -> None:
    history = chain_of(3)
    elsewhere = chain_of(3, replace(RULES, payable_after=RULES.day))
    with BlockStore(tmp_path / "store", RULES, KEY) as store:
        follower = SoloFollower(store, RULES, KEY, ["http://127.0.0.1:1"])
        first, second = history[0][0], history[1][0]
        for bad in (b"junk", second.encoded, elsewhere[0][0].encoded, chain_of(1, key=5)[0][0].encoded):
            with pytest.raises(FeedError):
                await follower._take(bad)
        await follower._take(first.encoded)
        with pytest.raises(FeedError, match="height 1 after height 1"):
            await follower._take(first.encoded)
        world = World(RULES)
        world.register(3)
        world.step()
        before, given = world.state, world.input()
        other = sign(before, given, world.step(), secret(SEQUENCER))
        with pytest.raises(DivergedError, match="two histories"):
            await follower._take(other.encoded)
        wrong = _signed_with_root(history[0][1], second.given)
        with pytest.raises(DivergedError, match="compute differently"):
            await follower._take(wrong.encoded)
        assert follower.state.root == first.root
        accused = replace(second.given, offenders=(pubkey(1),))
        with pytest.raises(DivergedError, match="nobody votes here"):
            await follower._take(sign(history[0][1], accused, apply(history[0][1], accused), secret(SEQUENCER)).encoded)
        await follower._take(second.encoded)
        assert store.load().root == follower.state.root == second.root


def _signed_with_root(before: State, given: Input) -> Block:
    """A block whose root is that of another state."""
    return sign(before, given, before, secret(SEQUENCER))


async def test_feeds_that_lie_are_left_for_one_that_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first is nobody, the second sends junk, the third another chain."""
    elsewhere = chain_of(6, replace(RULES, payable_after=RULES.day))

    async def junk(_: web.Request) -> web.Response:
        return web.Response(body=b"junk")

    async def foreign(request: web.Request) -> web.Response:
        block, state = elsewhere[4]
        body = [block.encoded, snapshot(state)] if request.path == "/v1/snapshot" else [elsewhere[0][0].encoded]
        return web.Response(body=bencode(body))

    (tmp_path / "chain").touch()
    world = World(RULES)
    world.register(1)
    append(tmp_path / "chain", world.input().observation)
    with ports.reserve(4) as [nobody, junk_port, foreign_port, good_port]:
        runners = []
        for handler, port in ((junk, junk_port), (foreign, foreign_port)):
            application = web.Application()
            application.router.add_get("/{path:.*}", handler)
            runner = web.AppRunner(application)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            runners.append(runner)
        with BlockStore(tmp_path / "one", RULES, KEY) as one, BlockStore(tmp_path / "two", RULES, KEY) as two:
            chain, listen = FileChain(tmp_path / "chain"), Listen("127.0.0.1", good_port)
            sequencer = Sequencer(one, chain, secret(SEQUENCER), listen)
            urls = [f"http://127.0.0.1:{port}" for port in (nobody, junk_port, foreign_port, good_port)]
            follower = SoloFollower(two, RULES, KEY, urls)
            running = [asyncio.create_task(each.run()) for each in (sequencer, follower)]
            async with asyncio.timeout(PATIENCE):
                async for state in follower:
                    if state.height >= 2:
                        break
            assert state.root == decode(Block, one.block(state.height) or b"").root
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            with pytest.raises(CertificateRefusedError, match=r"^no feed can be reached; try again later$"):
                await SoloFollower(two, RULES, KEY, urls[:1]).submit(
                    Certificate(Height(1), Index(0), Verdict.DECOMMISSION, ())
                )
        for runner in runners:
            await runner.cleanup()
    said = capsys.readouterr()
    for reason in ("nothing listens there", "no list of blocks", "not what the sequencer signed"):
        assert reason in said.out + said.err


async def test_the_file_chain_answers_as_a_source_must(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    path.touch()
    source = FileChain(path)
    with pytest.raises(NotFinalError):
        await source.observe(L2Height(0))
    world = World()
    world.register(1)
    append(path, world.input().observation)
    seen = await source.observe(RULES.l2_start)
    assert (seen.l2_height, len(seen.events)) == (101, 1)
    assert (await source.observe(L2Height(101))).events == ()
    with pytest.raises(NotFinalError):
        await source.observe(L2Height(101), L2Height(102))
    assert apply(world.state, replace(world.input(), observation=seen)).nodes.keys() == {PublicKey(pubkey(1))}
