"""An event loop whose clock jumps to the next timer: what takes hours is tested in milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _Selector(selectors.DefaultSelector):
    loop: SimulatedLoop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits, and for no moment: the test would hang"
            self.loop.now += max(0.0, timeout)
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Runs coroutines that only wait for each other and for the time."""

    def __init__(self) -> None:
        self.now = 0.0
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Seconds of the simulated clock."""
        return self.now


class SimulatedClock(asyncio.DefaultEventLoopPolicy):
    """For the fixture `event_loop_policy` of a test module."""

    def new_event_loop(self) -> SimulatedLoop:
        """A loop whose clock is at 0."""
        return SimulatedLoop()
