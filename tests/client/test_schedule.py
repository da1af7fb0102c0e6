"""When what is polled, by a clock of the test's."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from allium.client.schedule import ACCOUNT_SECONDS, COMMUNITY_SECONDS, OFFLINE_SECONDS, Kind, Schedule

DAY = 24 * 3600
#: Polls come up to a tenth early, so that many do not fall together.
EARLY = 0.9


class Simulated:
    """A schedule, and time that passes when told."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.schedule = Schedule(lambda: self.now, lambda: self.now)

    def polls(self, seconds: float, step: float = 0.5) -> dict[str, int]:
        """How often each key is polled in so long, when every poll succeeds."""
        counts: dict[str, int] = {}
        for _ in range(round(seconds / step)):
            for key in self.schedule.due(1000):
                counts[key] = counts.get(key, 0) + 1
                self.schedule.done(key)
            self.now += step
        return counts

    def ago(self, seconds: float) -> int:
        return round((self.now - seconds) * 1000)


def between(count: int, seconds: float, interval: float) -> bool:
    return seconds / (interval + 0.5) - 1 <= count <= seconds / (interval * EARLY) + 1


def test_the_more_that_happens_the_sooner() -> None:
    time = Simulated()
    time.schedule.add("own", Kind.ACCOUNT)
    time.schedule.add("community", Kind.COMMUNITY)
    for name, seconds in (("busy", 3600), ("recent", 3 * DAY), ("idle", 30 * DAY), ("never", 10**9)):
        time.schedule.add(name, Kind.GROUP, time.ago(seconds))
    counts = time.polls(3600)
    expected = {"own": ACCOUNT_SECONDS, "community": COMMUNITY_SECONDS, "busy": 5, "recent": 60, "idle": 120}
    for name, interval in expected.items():
        assert between(counts[name], 3600, interval), (name, counts)
    assert between(counts["never"], 3600, 120)
    # Something happens in an idle one.
    time.schedule.active("idle")
    assert between(time.polls(600)["idle"], 600, 5)
    time.schedule.remove("idle")
    assert "idle" not in time.polls(600)


def test_failures_make_it_slower_up_to_a_bound() -> None:
    time = Simulated()
    time.schedule.add("own", Kind.ACCOUNT)
    waits = []
    for _ in range(8):
        began = time.now
        while not time.schedule.due():
            time.now += 0.5
        waits.append(time.now - began)
        time.schedule.done("own", failed=True)
    assert waits == [0, 4, 6, 8, 10, 10, 10, 10]


def test_more_is_polled_at_once_and_nothing_twice_at_a_time() -> None:
    time = Simulated()
    time.schedule.add("group", Kind.GROUP)
    assert time.schedule.due() == ["group"]
    time.schedule.now("group")
    time.schedule.active("group")
    time.now += 1000
    assert time.schedule.due() == []  # it is being polled
    time.schedule.done("group", more=True)
    assert time.schedule.due() == ["group"]
    time.schedule.remove("group")
    time.schedule.done("group")
    assert time.schedule.due() == []


def test_offline_only_the_own_account_is_tried() -> None:
    time = Simulated()
    time.schedule.add("own", Kind.ACCOUNT)
    for number in range(100):
        time.schedule.add(f"group {number}", Kind.GROUP, time.ago(60))
    assert len(time.polls(10)) == 101
    time.schedule.connection(False)
    counts = time.polls(60)
    assert set(counts) == {"own"} and between(counts["own"], 60, OFFLINE_SECONDS)
    time.schedule.connection(True)
    assert len(time.schedule.due(1000)) == 101  # all at once, as much may have happened


async def test_waiting_ends_with_what_is_added() -> None:
    schedule = Schedule()
    waiting = asyncio.create_task(schedule.next())
    await asyncio.sleep(0)
    schedule.add("own", Kind.ACCOUNT)
    assert await asyncio.wait_for(waiting, 10) == ["own"]
    waiting = asyncio.create_task(schedule.next())
    schedule.done("own", more=True)
    assert await asyncio.wait_for(waiting, 10) == ["own"]


STEPS = st.sampled_from(["add", "now", "active", "done", "more", "remove", "off", "on", "due", "wait"])


async def test_so_many_at_a_time() -> None:
    schedule = Schedule()
    for number in range(10):
        schedule.add(str(number), Kind.GROUP)
    first = await schedule.next(4)
    assert len(first) == 4
    waiting = asyncio.create_task(schedule.next(4))
    await asyncio.sleep(0)
    assert not waiting.done()
    schedule.done(first[0])
    [fifth] = await asyncio.wait_for(waiting, 10)
    waiting = asyncio.create_task(schedule.next(4))
    await asyncio.sleep(0)
    schedule.remove(fifth)
    assert len(await asyncio.wait_for(waiting, 10)) == 1


@given(st.lists(st.tuples(st.sampled_from("abc"), STEPS)))
def test_whatever_is_done_nothing_is_lost_and_the_heap_stays_small(steps: list[tuple[str, str]]) -> None:
    time = Simulated()
    known: set[str] = set()
    out: set[str] = set()
    for key, step in steps * 5:
        match step:
            case "add":
                time.schedule.add(key, Kind.ACCOUNT if key == "a" else Kind.GROUP, time.ago(3 * DAY))
                known.add(key)
            case "remove":
                time.schedule.remove(key)
                known.discard(key)
                out.discard(key)
            case "now":
                time.schedule.now(key)
            case "active":
                time.schedule.active(key)
            case "done" | "more":
                if key in out:
                    time.schedule.done(key, more=step == "more")
                    out.discard(key)
            case "off" | "on":
                time.schedule.connection(step == "on")
            case "due":
                due = time.schedule.due()
                assert set(due) <= known - out and len(due) == len(set(due))
                out |= set(due)
            case _:
                time.now += 7
    time.schedule.connection(True)
    time.now += 1000
    assert set(time.schedule.due(100)) == known - out
    assert len(time.schedule._heap) <= 80


async def test_who_waits_can_be_stopped_at_the_moment_at_which_something_changes() -> None:
    schedule = Schedule()
    schedule.add("own", Kind.ACCOUNT)
    assert schedule.due() == ["own"]
    schedule.done("own")
    waiting = asyncio.create_task(schedule.next())
    for _ in range(3):
        await asyncio.sleep(0)
    schedule.done("own")
    await asyncio.sleep(0)
    waiting.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert waiting.cancelled()
