from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.judging.slots import SharedSlots, SlotPool


class Workshop:
    """Workers that share a pool, each with requests that take some turns of the event loop."""

    def __init__(self, slots: int, workers: int) -> None:
        self.pool = SlotPool(slots)
        self.takes = 0
        self.workers = [SharedSlots(self._take, self.pool.give) for _ in range(workers)]
        self.running = 0
        self.most = 0

    async def _take(self, wanted: int) -> int:
        self.takes += 1
        await asyncio.sleep(0)  # another process is asked
        return await self.pool.take(wanted)

    async def request(self, worker: int, turns: int) -> None:
        async with self.workers[worker]:
            self.running += 1
            self.most = max(self.most, self.running)
            for _ in range(turns):
                await asyncio.sleep(0)
            self.running -= 1


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
        assert await asyncio.wait_for(workshop.pool.take(slots + 1), 1) == slots
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
    assert await asyncio.wait_for(workshop.pool.take(9), 1) == 3


async def test_a_pool_that_is_gone_is_an_error_and_no_wait() -> None:
    async def take(_: int) -> int:
        raise ConnectionError("the pool died")

    slots = SharedSlots(take, lambda _: None)

    async def request() -> None:
        async with slots:
            pass

    for _ in range(2):  # and again: nothing is left half-done
        results = await asyncio.wait_for(
            asyncio.gather(*(request() for _ in range(3)), return_exceptions=True), 1
        )
        assert [type(result) for result in results] == [ConnectionError] * 3


async def test_those_who_wait_are_served_in_turn() -> None:
    pool = SlotPool(1)
    assert await pool.take(5) == 1
    first, second = (asyncio.ensure_future(pool.take(1)) for _ in range(2))
    await asyncio.sleep(0)
    pool.give(1)
    await asyncio.sleep(0)
    assert first.done()
    assert not second.done()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(second, 0.01)
    pool.give(1)
    assert await pool.take(1) == 1
