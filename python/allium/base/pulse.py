"""Signs of life of the event loop and of the tasks on it, for the engine's watchdog.

A task that goes round in a loop says `beat()` in it; the loop of events does so by itself.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

    from allium._native import Node, Pulse

_SECONDS = 1.0
#: How long the loop of events, and a task, may give no sign of life.
_LOOP_PATIENCE, _TASK_PATIENCE = 10, 180
#: More of a stack nobody reads.
_MOST = 64

_own: ContextVar[Pulse | None] = ContextVar("pulse", default=None)


def beat() -> None:
    """The task goes on. Of one that nobody watches, nothing."""
    if (pulse := _own.get()) is not None:
        pulse.beat()


async def keep_beating(engine: Node) -> None:
    """Shows that the event loop goes on, until cancelled."""
    thread = threading.get_ident()
    pulse = engine.pulse("event loop", _LOOP_PATIENCE, lambda: _frames(sys._current_frames().get(thread)))
    try:
        while True:
            pulse.beat()
            await asyncio.sleep(_SECONDS)
    finally:
        pulse.retire()


def watched(engine: Node, name: str, duty: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task that carries out `duty`; from its first `beat` on it is watched."""
    pulse = engine.pulse(f"task {name}", _TASK_PATIENCE, lambda: _awaited(duty))
    context = copy_context()
    context.run(_own.set, pulse)
    task = asyncio.create_task(duty, name=name, context=context)
    # The node itself sees that a task has ended.
    task.add_done_callback(lambda _: pulse.retire())
    return task


def _frames(frame: FrameType | None) -> str:
    """The functions that a thread is in, innermost first."""
    found: list[str] = []
    while frame is not None and len(found) < _MOST:
        found.append(f"{frame.f_code.co_qualname}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(found)


def _awaited(duty: Any) -> str:
    """What a coroutine waits for, innermost first."""
    found: list[str] = []
    while duty is not None and len(found) < _MOST:
        frame = getattr(duty, "cr_frame", None)
        found.append(getattr(duty, "__qualname__", repr(type(duty))) + (f":{frame.f_lineno}" if frame else ""))
        duty = getattr(duty, "cr_await", None)
    return " < ".join(reversed(found))
