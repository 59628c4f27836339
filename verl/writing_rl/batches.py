"""Asking a far process for many things at once instead of for each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Batches(Generic[T, R]):
    """Collects what is asked while an earlier batch is under way.

    Under load the batches grow, and the cost of a message is shared.
    """

    def __init__(
        self, send: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, most: int, gather_s: float = 0.0
    ) -> None:
        """Has nothing to send yet.

        Args:
            send: Answers a batch, in its order.
            most: Most questions of a batch.
            gather_s: Seconds that the first question of a batch waits for others; with 0 it goes out at once,
                together with what is asked in the same moment.
        """
        self._send = send
        self._most = most
        self._gather_s = gather_s
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def ask(self, question: T) -> R:
        """The answer to one question; raises what `send` raises."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._sending is None:
            self._sending = asyncio.ensure_future(self._send_all())
        return await answer

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(self._gather_s if len(self._waiting) < self._most else 0)
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
