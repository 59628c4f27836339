"""Places for judge requests in flight, shared by all processes of a run. No Ray here: see `run_slots`.

A pool has as many slots as requests may be in flight. A process takes slots from it only when it has
requests that wait, and gives them back when none waits. Without rates and a budget it hands a slot on to its
own next request without asking: the pool is then asked a few times when work arrives and when it runs out,
not for every request, and no slot lies idle in one process while a request waits in another. With them,
every request is admitted by the pool.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from writing_rl.errors import BudgetSpent
from writing_rl.judging.client.budget import Bill, Limits, Meter

NOTHING = Bill()

#: Most requests that a process asks slots for, or settles, in one message.
MOST_AT_ONCE = 256


class Grant(NamedTuple):
    """The pool's answer to a process that wants slots.

    Attributes:
        slots: How many it gets, for its requests in their order.
        ended: Why there will be none, or empty.
    """

    slots: int
    ended: str = ""


class Settled(NamedTuple):
    """A request that has ended.

    Attributes:
        at_most: What it was admitted with.
        took: What it took.
    """

    at_most: Bill
    took: Bill


class SlotPool:
    """The slots of a run, and the count of what it has asked."""

    def __init__(self, slots: int, limits: Limits = Limits(), spent: Bill = Bill()) -> None:
        """Has all slots free.

        Args:
            slots: Requests in flight over the whole run (`API_PARALLEL`).
            limits: Rates and budget.
            spent: What earlier starts of the run took of the budget.
        """
        self._free = slots
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._meter = Meter(limits, spent, time.monotonic())
        self._changed = asyncio.Event()

    async def take(self, wanted: Sequence[Bill]) -> Grant:
        """Takes as many slots as are free and wanted, but at least one: waits, in turn, until there is one.

        Args:
            wanted: What each of the requests that wait can take at most.
        """
        if not self._free or self._waiting:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn  # whoever wakes us has left us a slot
        else:
            self._free -= 1
        try:
            await self._admit(wanted[0])
        except BudgetSpent as spent:
            self._put_back(1)
            return Grant(0, str(spent))
        return Grant(1 + sum(1 for _ in itertools.takewhile(self._take_idle, wanted[1:])))

    async def spare(self, at_most: Bill) -> bool:
        """Takes a slot if one lies idle and the request may be made now; returns whether.

        Args:
            at_most: What the request can take at most.
        """
        return self._take_idle(at_most)

    def give(self, slots: int, settled: Sequence[Settled]) -> None:
        """Takes slots back, and notes what the requests took that have ended."""
        for request in settled:
            self._meter.settle(request.at_most, request.took)
        self._put_back(slots)
        self._changed.set()

    def spent(self) -> Bill:
        """What all requests took that have ended, those of earlier starts included."""
        return self._meter.spent

    def spent_at_most(self) -> Bill:
        """The same with what those may still take that are under way, as far as that is metered."""
        return self._meter.spent_at_most

    async def _admit(self, at_most: Bill) -> None:
        """Waits until a request may be made.

        Raises:
            BudgetSpent: It never may.
        """
        while (wait_s := self._meter.admit(at_most, time.monotonic())) != 0.0:
            self._changed.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait_s)

    def _take_idle(self, at_most: Bill) -> bool:
        if not self._free or self._waiting:
            return False
        with contextlib.suppress(BudgetSpent):
            if self._meter.admit(at_most, time.monotonic()) == 0.0:
                self._free -= 1
                return True
        return False

    def _put_back(self, slots: int) -> None:
        self._free += slots
        while self._free and self._waiting:
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self._free -= 1
                turn.set_result(None)


@dataclass
class Slot:
    """The right to make one request.

    Attributes:
        at_most: What the request can take at most.
        took: What it took; to be set by whoever makes it.
    """

    at_most: Bill
    took: Bill = NOTHING


class SharedSlots:
    """One process's use of a pool."""

    def __init__(
        self,
        take: Callable[[Sequence[Bill]], Awaitable[Grant]],
        give: Callable[[int, Sequence[Settled]], object],
        spare: Callable[[Bill], Awaitable[bool]],
        *,
        metered: bool = False,
    ) -> None:
        """Holds no slot yet.

        Args:
            take: `SlotPool.take` of the run's pool.
            give: `SlotPool.give` of it; returns at once.
            spare: `SlotPool.spare` of it.
            metered: Whether the pool has rates or a budget, and so admits every request.
        """
        self._take = take
        self._give = give
        self._ask_spare = spare
        self._metered = metered
        self._waiting: deque[_Waiting] = deque()
        self._settled: list[Settled] = []
        self._fetching: asyncio.Task[None] | None = None
        self._closed: Callable[[], Exception] | None = None

    def close(self, error: Callable[[], Exception]) -> None:
        """Lets nobody have a slot any more.

        Args:
            error: Makes what those get who wait for one, or come for one later.
        """
        self._closed = error
        while waiting := self._next():
            waiting.turn.set_exception(error())

    async def take(self, at_most: Bill, *, first: bool = False) -> Slot:
        """A slot, once it is this request's turn; whoever takes it puts it back.

        Args:
            at_most: What the request can take at most.
            first: Whether it goes before the requests of this process that wait already.

        Raises:
            BudgetSpent: There will be no more slots.
            Exception: It is closed; see `close`.
        """
        if self._closed:
            raise self._closed()
        waiting = self._line_up(at_most, first=first)
        try:
            await waiting.turn
        except asyncio.CancelledError:
            self._leave(waiting)
            raise
        return Slot(at_most)

    def _line_up(self, at_most: Bill, *, first: bool = False) -> _Waiting:
        waiting = _Waiting(at_most, asyncio.get_running_loop().create_future())
        (self._waiting.appendleft if first else self._waiting.append)(waiting)
        if self._fetching is None:
            self._fetching = asyncio.ensure_future(self._fetch())
        return waiting

    def _leave(self, waiting: _Waiting) -> None:
        """Gives up a place in line, and the slot that may have come already."""
        if not waiting.turn.cancel() and not waiting.turn.cancelled() and waiting.turn.exception() is None:
            self.put_back(Slot(waiting.at_most))

    async def spare(self, at_most: Bill) -> Slot | None:
        """A slot that lies idle now; None where there is none, or where requests of this process wait.

        Args:
            at_most: What the request can take at most.
        """
        if self._closed or self._prune():
            return None
        asked = asyncio.ensure_future(self._ask_spare(at_most))
        try:
            return Slot(at_most) if await asyncio.shield(asked) else None
        except asyncio.CancelledError:
            asked.add_done_callback(lambda got: self.put_back(Slot(at_most)) if got.result() else None)
            raise

    def put_back(self, slot: Slot) -> None:
        """Ends the request that a slot was taken for."""
        self._settled.append(Settled(slot.at_most, slot.took))
        self._pass_on(1)

    def _pass_on(self, slots: int) -> None:
        """Lets this process's next requests have slots; what none of them needs goes back to the pool."""
        while slots and not self._metered and (waiting := self._next()):
            waiting.turn.set_result(None)
            slots -= 1
        if slots or len(self._settled) >= MOST_AT_ONCE:
            self._give(slots, self._settled)
            self._settled = []

    def _next(self) -> _Waiting | None:
        """Takes the request out that waits first."""
        while self._waiting:
            if not (waiting := self._waiting.popleft()).turn.done():
                return waiting
        return None

    def _prune(self) -> bool:
        """Forgets the requests that wait no more; returns whether any are left."""
        self._waiting = deque(waiting for waiting in self._waiting if not waiting.turn.done())
        return bool(self._waiting)

    async def _fetch(self) -> None:
        """Takes slots from the pool for as long as requests wait."""
        try:
            # Requests that arrive together are asked for together.
            await asyncio.sleep(0)
            while self._prune():
                first = list(itertools.islice(self._waiting, MOST_AT_ONCE))
                grant = await self._take([waiting.at_most for waiting in first])
                if grant.ended:
                    raise BudgetSpent(grant.ended)
                # The pool has let in these requests and no others, which might take more.
                unused = 0
                for waiting in first[: grant.slots]:
                    if waiting.turn.done():
                        self._settled.append(Settled(waiting.at_most, NOTHING))
                        unused += 1
                    else:
                        waiting.turn.set_result(None)
                self._pass_on(unused)
        except Exception as error:
            while left := self._next():
                left.turn.set_exception(error)
        finally:
            self._fetching = None


class _Waiting(NamedTuple):
    """A request that waits for a slot: what it can take at most, and its turn, done when it need not wait."""

    at_most: Bill
    turn: asyncio.Future[None]
