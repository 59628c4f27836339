from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.errors import BudgetSpent
from writing_rl.judging.client.budget import Bill, Limits
from writing_rl.judging.client.slots import Grant, Settled, SharedSlots, Slot, SlotPool

#: What a request takes, and can take at most, in these tests.
TOOK, AT_MOST = Bill(1, 10, 5, 0.25), Bill(1, 20, 10, 1.0)


@contextlib.asynccontextmanager
async def held(slots: SharedSlots) -> AsyncIterator[Slot]:
    """A slot while the context lasts."""
    slot = await slots.take(AT_MOST)
    try:
        yield slot
    finally:
        slots.put_back(slot)


class Workshop:
    """Workers that share a pool, each with requests that take some turns of the event loop."""

    def __init__(self, slots: int, workers: int, limits: Limits = Limits()) -> None:
        self.pool = SlotPool(slots, limits)
        self.takes = 0
        self.workers = [self._slots(limits) for _ in range(workers)]
        self.running = 0
        self.most = 0
        self.made = 0

    def _slots(self, limits: Limits) -> SharedSlots:
        return SharedSlots(self._take, self.pool.give, self.pool.spare, metered=limits.any)

    async def _take(self, wanted: Sequence[Bill]) -> Grant:
        self.takes += 1
        await asyncio.sleep(0)  # another process is asked
        return await self.pool.take(wanted)

    async def request(self, worker: int, turns: int) -> None:
        async with held(self.workers[worker]) as slot:
            self.running += 1
            self.made += 1
            self.most = max(self.most, self.running)
            try:
                for _ in range(turns):
                    await asyncio.sleep(0)
            finally:
                self.running -= 1
            slot.took = TOOK


@given(
    slots=st.integers(1, 6),
    workers=st.integers(1, 4),
    requests=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 20)), max_size=40),
)
def test_there_are_never_more_in_flight_and_all_come_to_their_end(
    slots: int, workers: int, requests: list[tuple[int, int, int]]
) -> None:
    async def play() -> Workshop:
        workshop = Workshop(slots, workers)

        async def later(worker: int, turns: int, delay: int) -> None:
            for _ in range(delay):
                await asyncio.sleep(0)
            await workshop.request(worker % workers, turns)

        await asyncio.wait_for(asyncio.gather(*(later(*request) for request in requests)), 20)
        # Everything was given back: as many as there are can be had at once.
        grant = await asyncio.wait_for(workshop.pool.take([AT_MOST] * (slots + 1)), 1)
        assert grant == Grant(slots)
        return workshop

    assert asyncio.run(play()).most <= slots


async def test_no_slot_lies_idle_while_a_request_waits_anywhere() -> None:
    workshop = Workshop(slots=4, workers=2)
    busy = [asyncio.ensure_future(workshop.request(0, 1000)) for _ in range(2)]
    busy += [asyncio.ensure_future(workshop.request(1, 1000)) for _ in range(8)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert workshop.running == 4
    await asyncio.gather(*busy)


async def test_a_saturated_process_does_not_ask_for_every_request() -> None:
    workshop = Workshop(slots=4, workers=1)
    await asyncio.gather(*(workshop.request(0, 3) for _ in range(400)))
    assert workshop.most == 4
    assert workshop.takes < 10


async def test_cancelled_requests_leave_no_slot_behind() -> None:
    workshop = Workshop(slots=3, workers=2)
    rng = random.Random(1)
    requests = [asyncio.ensure_future(workshop.request(number % 2, 5)) for number in range(60)]
    for _ in range(40):
        await asyncio.sleep(0)
        rng.choice(requests).cancel()
    await asyncio.gather(*requests, return_exceptions=True)
    for _ in range(10):
        await asyncio.sleep(0)
    assert await asyncio.wait_for(workshop.pool.take([AT_MOST] * 9), 1) == Grant(3)


async def test_a_spare_slot_is_one_that_nobody_waits_for() -> None:
    workshop = Workshop(slots=2, workers=2)
    first, second = workshop.workers
    slot = await first.spare(AT_MOST)
    assert slot is not None
    other = await second.take(AT_MOST)
    assert await first.spare(AT_MOST) is None
    waiting = asyncio.ensure_future(workshop.request(1, 1))
    for _ in range(5):
        await asyncio.sleep(0)
    first.put_back(slot)
    await asyncio.wait_for(waiting, 1)
    second.put_back(other)
    assert workshop.pool._free == 2


async def test_a_spare_slot_that_comes_after_a_cancellation_is_put_back() -> None:
    pool = SlotPool(1)

    async def slow(at_most: Bill) -> bool:
        await asyncio.sleep(0.01)
        return await pool.spare(at_most)

    slots = SharedSlots(pool.take, pool.give, slow)
    asked = asyncio.ensure_future(slots.spare(AT_MOST))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await asyncio.sleep(0.05)
    assert pool._free == 1


async def test_a_pool_that_is_gone_is_an_error_and_no_wait() -> None:
    async def take(_: Sequence[Bill]) -> Grant:
        raise ConnectionError("the pool died")

    slots = SharedSlots(take, lambda *_: None, SlotPool(1).spare)

    async def request() -> None:
        async with held(slots):
            pass

    for _ in range(2):  # and again: nothing is left half-done
        results = await asyncio.wait_for(
            asyncio.gather(*(request() for _ in range(3)), return_exceptions=True), 1
        )
        assert [type(result) for result in results] == [ConnectionError] * 3


async def test_those_who_wait_are_served_in_turn() -> None:
    pool = SlotPool(1)
    assert await pool.take([AT_MOST] * 5) == Grant(1)
    first, second = (asyncio.ensure_future(pool.take([AT_MOST])) for _ in range(2))
    await asyncio.sleep(0)
    pool.give(1, [])
    await asyncio.sleep(0)
    assert first.done()
    assert not second.done()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(second, 0.01)
    pool.give(1, [])
    assert await pool.take([AT_MOST]) == Grant(1)


@given(
    slots=st.integers(1, 5),
    workers=st.integers(1, 3),
    requests=st.integers(1, 30),
    max_calls=st.none() | st.integers(1, 20),
    max_cost=st.none() | st.floats(0.5, 8.0),
)
def test_a_budget_is_used_up_and_never_overdrawn(
    slots: int, workers: int, requests: int, max_calls: int | None, max_cost: float | None
) -> None:
    async def play() -> tuple[Workshop, list[object]]:
        workshop = Workshop(slots, workers, Limits(max_calls=max_calls, max_cost_usd=max_cost))
        made = (workshop.request(number % workers, number % 4) for number in range(requests))
        results = await asyncio.wait_for(asyncio.gather(*made, return_exceptions=True), 20)
        await asyncio.sleep(0)
        return workshop, results

    workshop, results = asyncio.run(play())
    # The last request is let in while what it may take at most is still within the budget.
    affordable = int((max_cost - AT_MOST.cost_usd) / TOOK.cost_usd) + 1 if max_cost is not None else requests
    if max_cost is not None and max_cost < AT_MOST.cost_usd:
        affordable = 0
    expected = min(requests, affordable, requests if max_calls is None else max_calls)
    assert workshop.made == results.count(None) == expected
    assert workshop.pool.spent() == Bill.total([TOOK] * expected) or (max_cost is None and max_calls is None)
    assert all(isinstance(result, BudgetSpent) for result in results if result is not None)
    assert workshop.pool.spent().cost_usd <= (max_cost or float("inf"))
    assert workshop.most <= slots


async def test_a_budget_in_use_lets_the_next_request_wait_for_what_is_under_way() -> None:
    workshop = Workshop(8, 1, Limits(max_cost_usd=2.1))
    await asyncio.gather(*(workshop.request(0, 5) for _ in range(4)))
    # Each may cost 1 and costs 0.25: two at a time, although there are slots for all.
    assert (workshop.made, workshop.most) == (4, 2)


async def test_what_was_spent_reaches_the_pool() -> None:
    workshop = Workshop(2, 2)
    await asyncio.gather(*(workshop.request(number % 2, 1) for number in range(9)))
    assert workshop.pool.spent() == Bill.total([TOOK] * 9)


async def test_a_cancellation_together_with_a_failure_makes_no_slot() -> None:
    workshop = Workshop(2, 1, Limits(max_calls=1))
    await workshop.request(0, 1)
    slots = workshop.workers[0]

    async def refused() -> None:
        async with held(slots):
            pass

    task = asyncio.ensure_future(refused())
    while not slots._waiting:
        await asyncio.sleep(0)
    waiting = slots._waiting[0]
    while not waiting.turn.done():
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises((asyncio.CancelledError, BudgetSpent)):
        await task
    assert workshop.pool._free == 2


async def test_a_long_run_with_a_budget_keeps_no_memory_of_its_requests() -> None:
    workshop = Workshop(4, 1, Limits(max_calls=10_000))
    for _ in range(5):
        await asyncio.gather(*(workshop.request(0, 1) for _ in range(100)))
    assert len(workshop.workers[0]._waiting) <= 100


async def test_what_is_under_way_counts_with_what_it_may_take() -> None:
    pool = SlotPool(2, Limits(max_cost_usd=5.0))
    await pool.take([AT_MOST])
    assert (pool.spent(), pool.spent_at_most()) == (Bill(), AT_MOST)
    pool.give(1, [Settled(AT_MOST, TOOK)])
    assert pool.spent() == pool.spent_at_most() == TOOK
