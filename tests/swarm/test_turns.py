"""Turns: one who asks much does not keep others waiting, and nothing waits without bound."""

from __future__ import annotations

import asyncio
import threading

import pytest

from allium.claims import turns
from allium.claims.turns import BusyError, Lane, Turns

PATIENCE = 30.0


async def settled() -> None:
    """Lets every task get as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_sources_take_turns_whatever_each_has_waiting() -> None:
    places, order = Turns(1), []
    gate = asyncio.Event()

    async def ask(source: str) -> None:
        async with places.turn(source):
            order.append(source)
            await gate.wait()

    first = asyncio.create_task(ask("greedy"))
    await settled()
    greedy = [asyncio.create_task(ask("greedy")) for _ in range(5)]
    await settled()
    others = [asyncio.create_task(ask(source)) for source in ("one", "two")]
    await settled()
    assert order == ["greedy"]
    gate.set()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(first, *greedy, *others)
    assert order == ["greedy", "greedy", "one", "two", *["greedy"] * 4]


async def test_what_waits_is_bounded_and_whoever_gives_up_leaves_no_place_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "_WAITING", 12)
    places = Turns(1)
    async with asyncio.timeout(PATIENCE):
        async with places.turn("a"):
            waiting = [asyncio.create_task(_held(places, "a")) for _ in range(turns._WAITING_OF_ONE)]
            await settled()
            with pytest.raises(BusyError):
                await _held(places, "a")
            waiting += [asyncio.create_task(_held(places, source)) for source in range(4)]
            await settled()
            with pytest.raises(BusyError):
                await _held(places, "another")
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            late = asyncio.create_task(_held(places, "late"))
            await settled()
        # Its turn comes just when it is cancelled: the place goes on to the next.
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)
        await _held(places, "next")
        monkeypatch.setattr(turns, "_PATIENCE_SECONDS", 0.01)
        async with places.turn("a"):
            with pytest.raises(BusyError):
                await _held(places, "b")
        await _held(places, "b")
    assert not places._waiting and places._count == 0 and places._free == 1


async def _held(places: Turns, source: object) -> None:
    async with places.turn(source):
        pass


async def test_work_is_done_beside_the_event_loop() -> None:
    lane, gate = Lane("work"), threading.Event()
    working = asyncio.create_task(lane.run("a", lambda: gate.wait(PATIENCE) and threading.current_thread().name))
    await settled()
    # The loop goes on meanwhile, or this would not be reached.
    gate.set()
    assert str(await asyncio.wait_for(working, PATIENCE)).startswith("work")
    lane.close()
