from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.util.batcher import Batches


class Far:
    """Doubles numbers, as slowly as it is told, and keeps the batches."""

    def __init__(self, turns: int = 1) -> None:
        self.turns = turns
        self.batches: list[Sequence[int]] = []

    async def double(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(numbers)
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if -1 in numbers:
            raise ConnectionError("gone")
        return [2 * number for number in numbers]


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 9)), max_size=40), st.integers(0, 5))
def test_everybody_gets_the_answer_to_their_own_question(
    questions: list[tuple[int, int]], turns: int
) -> None:
    async def play() -> Far:
        far = Far(turns)
        batches = Batches(far.double, most=32)

        async def later(number: int, delay: int) -> None:
            for _ in range(delay):
                await asyncio.sleep(0)
            assert await batches.ask(number) == 2 * number

        await asyncio.wait_for(asyncio.gather(*(later(*question) for question in questions)), 20)
        return far

    far = asyncio.run(play())
    assert sum(len(batch) for batch in far.batches) == len(questions)


async def test_what_is_asked_while_a_batch_is_under_way_goes_together() -> None:
    far = Far(turns=20)
    batches = Batches(far.double, most=32)
    asked = [asyncio.ensure_future(batches.ask(1))]
    for number in range(2, 12):
        await asyncio.sleep(0)
        asked.append(asyncio.ensure_future(batches.ask(number)))
    await asyncio.gather(*asked)
    assert len(far.batches) == 2


async def test_a_failure_reaches_everybody_and_the_next_batch_is_a_new_one() -> None:
    batches = Batches(Far().double, most=32)
    results = await asyncio.gather(batches.ask(-1), batches.ask(3), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError] * 2
    assert await batches.ask(4) == 8


async def test_one_who_no_longer_waits_does_no_harm() -> None:
    batches = Batches(Far(turns=5).double, most=32)
    impatient, patient = asyncio.ensure_future(batches.ask(1)), asyncio.ensure_future(batches.ask(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == 4
    with pytest.raises(asyncio.CancelledError):
        await impatient


async def test_while_more_are_coming_questions_are_gathered_unless_a_batch_is_full() -> None:
    far = Far()
    batches = Batches(far.double, most=3, every_s=0.2)
    with batches.coming(), batches.coming(), batches.coming():
        assert await asyncio.wait_for(batches.ask(1), 0.15) == 2  # after a quiet while
        asked = [asyncio.ensure_future(batches.ask(2))]
        await asyncio.sleep(0.01)
        asked.append(asyncio.ensure_future(batches.ask(3)))
        await asyncio.gather(*asked)
    assert far.batches == [[1], [2, 3]]
    patient = Batches(far.double, most=3, every_s=3600)
    with patient.coming(), patient.coming(), patient.coming(), patient.coming():
        await patient.ask(4)
        await asyncio.wait_for(asyncio.gather(*(patient.ask(number) for number in range(3))), 20)
    assert [len(batch) for batch in far.batches] == [1, 2, 1, 3]


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=20), st.integers(0, 5))
def test_the_last_question_never_waits(lives: list[tuple[int, bool]], turns: int) -> None:
    async def play() -> Far:
        far = Far(turns)
        batches = Batches(far.double, most=32, every_s=3600)

        async def live(steps: int, asks: bool) -> None:
            with batches.coming():
                for _ in range(steps):
                    await asyncio.sleep(0)
                if asks:
                    await batches.ask(steps)

        await asyncio.wait_for(asyncio.gather(*(live(*one) for one in lives)), 20)
        return far

    asked = asyncio.run(play()).batches
    assert sum(map(len, asked)) == sum(asks for _, asks in lives)
