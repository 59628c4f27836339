"""Asking many questions, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

from writing_rl.errors import BudgetSpent

Q = TypeVar("Q")
A = TypeVar("A")


async def as_answered(
    questions: Iterable[Q], ask: Callable[[Q], Awaitable[A]], parallel: int
) -> AsyncIterator[tuple[Q, A]]:
    """Asks questions and yields each with its answer, as they are answered.

    Args:
        questions: What to ask; taken one by one.
        ask: Asks one of them, a coroutine function.
        parallel: How many are asked at a time.

    Raises:
        BudgetSpent: What was begun and paid for by then has been yielded.
        JudgeError: Nothing can be asked at all. What has ended by then has been yielded.
    """
    waiting = iter(questions)
    running: dict[asyncio.Future[A], Q] = {}
    spent: BudgetSpent | None = None
    try:
        while True:
            while not spent and len(running) < parallel:
                try:
                    question = next(waiting)
                except StopIteration:
                    break
                running[asyncio.ensure_future(ask(question))] = question
            if not running:
                break
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            failed: BaseException | None = None
            for task in done:
                question = running.pop(task)
                error = task.exception()
                if isinstance(error, BudgetSpent):
                    spent = error
                elif error is not None:
                    failed = error
                else:
                    yield question, task.result()
            if failed:
                raise failed
        if spent:
            raise spent
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
