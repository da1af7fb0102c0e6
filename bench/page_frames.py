"""How smoothly a conversation of 100,000 messages scrolls: `python bench/page_frames.py`; Chromium without a window.

The conversation is put straight into the database of an account, then a real service serves it, and the browser scrolls
through it in each way in which a person does:

* `wheel up`, `wheel down`: steps of a wheel, as fast as fingers turn it, into what is not loaded yet and back;
* `keys`: from message to message by the arrow, without a pause;
* `fling`: 8,000 pixels a second, as a hard flick of a finger.

Of each it says the times between two frames (p50, p95, p99, worst), how many frames of 60 a second were left out, in
what the main thread spent its time, how many elements the page has and how much it keeps. A frame is what
`requestAnimationFrame` tells of; a machine that does much else has worse ones, so the load is said too.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page

from tests.support.browser import Tab, launched
from tests.support.long_conversation import PEER, with_long_conversation
from tests.support.messenger import Messenger

#: Milliseconds of a frame at 60 a second.
FRAME = 1000 / 60
_WATCH = """
() => {
  const frames = window.frames_ = [];
  window.watching_ = true;
  window.blank_ = 0;
  const step = time => {
    frames.push(time);
    // To look forces the page to be laid out, which is why it is looked at now and then.
    if (frames.length % 15 === 0) {
      const middle = document.elementFromPoint(innerWidth * 0.7, innerHeight / 2);
      if (!middle || !middle.closest('.entry')) window.blank_ += 15;
    }
    if (window.watching_) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}
"""
_METRICS = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")


def metrics(cdp: CDPSession) -> dict[str, float]:
    """What the page has spent so far, seconds, and what it holds."""
    return {each["name"]: each["value"] for each in cdp.send("Performance.getMetrics")["metrics"]}


def measured(page: Page, cdp: CDPSession, name: str, work: Callable[[], None]) -> dict[str, Any]:
    """Prints what `work` does to the frames."""
    before = metrics(cdp)
    page.evaluate(_WATCH)
    work()
    times = page.evaluate("() => { window.watching_ = false; return window.frames_ }")
    blank = page.evaluate("window.blank_")
    after = metrics(cdp)
    gaps = sorted(later - sooner for sooner, later in itertools.pairwise(times))
    dropped = sum(max(0, round(gap / FRAME) - 1) for gap in gaps)
    seconds = (times[-1] - times[0]) / 1000
    found = {
        "name": name,
        "frames": len(gaps),
        "p50": gaps[len(gaps) // 2],
        "p95": gaps[int(len(gaps) * 0.95)],
        "p99": gaps[int(len(gaps) * 0.99)],
        "worst": gaps[-1],
        "dropped": dropped / (len(gaps) + dropped),
        "blank": blank / len(times),
        **{each: (after[each] - before[each]) / seconds for each in _METRICS},
        "elements": page.evaluate("document.querySelectorAll('*').length"),
        "heap": after["JSHeapUsedSize"] / 1e6,
    }
    busy = {each.removesuffix("Duration").lower(): found[each] for each in _METRICS}
    shares = ", ".join(f"{each} {share:.0%}" for each, share in busy.items())
    print(
        f"{name:12} {len(gaps):5} frames, p50 {found['p50']:.1f} ms, p95 {found['p95']:.1f}, p99 {found['p99']:.1f}, "
        f"worst {gaps[-1]:.0f}; {found['dropped']:.1%} left out, {found['blank']:.1%} blank; {shares}, "
        f"{found['TaskDuration'] * seconds:.1f} s busy; {found['elements']} elements, {found['heap']:.0f} MB",
        flush=True,
    )
    return found


def gesture(page: Page, cdp: CDPSession, distance: int, speed: int) -> None:
    """Moves the list by so many pixels in one go, towards older messages if positive."""
    cdp.send(
        "Input.synthesizeScrollGesture",
        {
            "x": 800,
            "y": 400,
            "yDistance": distance,
            "speed": speed,
            "preventFling": True,
            "gestureSourceType": "mouse",
        },
    )


def wheel(page: Page, by: int, count: int) -> None:
    """Turns of a wheel, one in three frames."""
    page.locator(".scroller").hover(position={"x": 400, "y": 300})
    for _ in range(count):
        page.mouse.wheel(0, by)
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def keys(page: Page, count: int) -> None:
    """Arrows, one a frame at most."""
    page.get_by_role("article").last.focus()
    for _ in range(count):
        page.keyboard.press("ArrowUp")
        page.evaluate("new Promise(requestAnimationFrame)")


def run(page: Page, rounds: int, profile: Path | None) -> list[dict[str, Any]]:
    """All ways, one after the other."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")
    if profile is not None:
        cdp.send("Profiler.enable")
        cdp.send("Profiler.setSamplingInterval", {"interval": 200})
        cdp.send("Profiler.start")
    found = [
        measured(page, cdp, "wheel up", lambda: wheel(page, -240, rounds)),
        measured(page, cdp, "wheel down", lambda: wheel(page, 240, rounds)),
        measured(page, cdp, "fling up", lambda: gesture(page, cdp, rounds * 240, 8000)),
        measured(page, cdp, "fling down", lambda: gesture(page, cdp, rounds * -240, 8000)),
        measured(page, cdp, "keys", lambda: keys(page, rounds)),
    ]
    if profile is not None:
        profile.write_text(json.dumps(cdp.send("Profiler.stop")["profile"]))
    return found


def main() -> None:
    """Makes the conversation, and scrolls."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=200, help="turns of the wheel, each of 240 pixels")
    parser.add_argument("--profile", type=Path, help="where to write a profile for Chromium's developer tools")
    parser.add_argument("--data", type=Path, help="a directory that keeps the conversation for the next run")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = options.data or Path(temporary) / "data"
        service = Messenger(directory, None, "--port", "0")
        try:
            if (directory / "accounts").is_dir():
                service.start()
            else:
                began = time.perf_counter()
                with_long_conversation(service, options.messages)
                print(f"{options.messages} messages put in: {time.perf_counter() - began:.0f} s", flush=True)
            with launched() as browser:
                tab = Tab(browser, service.do("POST", "/api/links")["url"], reduced_motion="no-preference")
                page = tab.page
                began = time.perf_counter()
                page.evaluate("id => { location.hash = `#/a1/c/${id}` }", PEER)
                page.get_by_role("article").last.wait_for()
                print(f"opened in {(time.perf_counter() - began) * 1000:.0f} ms; load {os.getloadavg()[0]:.2f}")
                found = run(page, options.rounds, options.profile)
                print(f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} cores")
                tab.close()
        finally:
            service.close()
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
