"""Places for judge requests in flight, shared by all processes of a run. No Ray here: see `run_slots`.

A pool has as many slots as requests may be in flight. A process takes slots from it only when it has
requests that wait, hands a slot on to its own next request without asking, and gives it back when none waits.
So the pool is asked a few times when work arrives and when it runs out, not for every request, and no slot
lies idle in one process while a request waits in another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType


class SlotPool:
    """The slots of a run."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: deque[tuple[int, asyncio.Future[int]]] = deque()

    async def take(self, wanted: int) -> int:
        """Takes as many free slots as wanted, but at least one: waits, in turn, until there is one."""
        if self._free and not self._waiting:
            taken = min(wanted, self._free)
            self._free -= taken
            return taken
        turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, turn))
        return await turn

    def give(self, slots: int) -> None:
        """Takes slots back, and passes them on to those who wait."""
        self._free += slots
        while self._free and self._waiting:
            wanted, turn = self._waiting.popleft()
            if turn.cancelled():
                continue
            taken = min(wanted, self._free)
            self._free -= taken
            turn.set_result(taken)


class SharedSlots:
    """One process's use of a pool: an async context manager for one request, like a semaphore."""

    def __init__(self, take: Callable[[int], Awaitable[int]], give: Callable[[int], None]) -> None:
        """Holds no slot yet.

        Args:
            take: `SlotPool.take` of the run's pool.
            give: `SlotPool.give` of it; returns at once.
        """
        self._take = take
        self._give = give
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._fetching: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        if self._fetching is None:
            self._fetching = asyncio.ensure_future(self._fetch())
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on(1)  # the slot came together with the cancellation
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pass_on(1)

    def _pass_on(self, slots: int) -> None:
        """Lets this process's next requests have slots; what none of them needs goes back to the pool."""
        while slots and self._waiting:
            turn = self._waiting.popleft()
            if not turn.cancelled():
                turn.set_result(None)
                slots -= 1
        if slots:
            self._give(slots)

    async def _fetch(self) -> None:
        """Takes slots from the pool for as long as requests wait."""
        try:
            # Requests that arrive together are asked for together.
            await asyncio.sleep(0)
            while self._waiting:
                self._pass_on(await self._take(len(self._waiting)))
        except Exception as error:
            while self._waiting:
                turn = self._waiting.popleft()
                if not turn.cancelled():
                    turn.set_exception(error)
        finally:
            self._fetching = None
