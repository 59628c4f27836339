"""Asking a far process for many things at once instead of for each of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Batches(Generic[T, R]):
    """Collects what is asked while an earlier batch is under way.

    Under load the batches grow, and the cost of a message is shared.
    """

    def __init__(
        self, send: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, most: int, every_s: float = 0.0
    ) -> None:
        """Has nothing to send yet.

        Args:
            send: Answers a batch, in its order.
            most: Most questions of a batch.
            every_s: Seconds from one batch to the next at least while more questions are `coming`, unless
                `most` have come. One that comes after a quiet while goes out at once, together with what is
                asked in the same moment, and so does the last one.
        """
        self._send = send
        self._most = most
        self._every_s = every_s
        self._next = 0.0  # when the next batch may go out
        self._coming = 0  # of whom a question may come, or who wait for their answer
        self._unanswered = 0
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._nothing_to_gather = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def coming(self) -> Iterator[None]:
        """Within the context a question may be asked, which those before it may wait for."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1
            self._look()

    async def ask(self, question: T) -> R:
        """The answer to one question; raises what `send` raises."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._sending is None:
            self._sending = asyncio.ensure_future(self._send_all())
        self._unanswered += 1
        self._look()
        try:
            return await answer
        finally:
            self._unanswered -= 1

    def _look(self) -> None:
        if len(self._waiting) >= self._most or self._unanswered >= self._coming:
            self._nothing_to_gather.set()

    async def _gather(self) -> None:
        """Lets questions come until the next batch may go out."""
        await asyncio.sleep(0)
        self._nothing_to_gather.clear()
        self._look()
        with contextlib.suppress(asyncio.TimeoutError):
            early_s = max(0.0, self._next - time.monotonic())
            await asyncio.wait_for(self._nothing_to_gather.wait(), early_s)

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                self._next = time.monotonic() + self._every_s
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                try:
                    answers = await self._send([question for question, _ in batch])
                except Exception as error:
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                else:
                    for (_, future), answer in zip(batch, answers, strict=True):
                        if not future.done():
                            future.set_result(answer)
        finally:
            self._sending = None
