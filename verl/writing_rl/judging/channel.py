"""How a request to a model is made: in its turn, again where that may help, and within a deadline."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from writing_rl.errors import JudgeError, Transient, Unscored
from writing_rl.judging.chat import Answer
from writing_rl.judging.limits import Bill
from writing_rl.judging.patience import Patience
from writing_rl.judging.slots import SharedSlots, SlotPool

#: The reason of a comparison that was not made because the run is being ended.
STOPPED = "stopped"

#: The reason of a request that was not answered in time.
TIMEOUT = "timeout"

#: Seconds after which a request under way is looked at again: more may be known of latencies by then.
LOOK_AGAIN_S = 1.0

#: Seconds before another try: the first pause lasts up to the first number, no one longer than the second.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


@dataclass
class Deadline:
    """The time that may be spent on one question. Waiting for one's turn does not count.

    Attributes:
        whole_s: Seconds in all.
        left_s: Seconds that are left.
    """

    whole_s: float
    left_s: float

    @classmethod
    def of(cls, seconds: float) -> Deadline:
        """A deadline of which nothing is used yet."""
        return cls(seconds, seconds)


def pause_s(attempt: int, after_s: float | None, draw: float) -> float:
    """How long to wait before another try: exponential backoff with full jitter.

    Args:
        attempt: Number of tries that failed, at least 1.
        after_s: What the provider asks for, if anything; never less than that.
        draw: A random number from 0 to 1.

    Returns:
        Seconds.
    """
    backoff = draw * min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (attempt - 1))
    return backoff if after_s is None else after_s + draw * FIRST_PAUSE_S


class Channel:
    """This process's way to the models of a run: a limit on the requests in flight, retries, and an end."""

    def __init__(
        self, slots: SharedSlots, *, max_retries: int, request_timeout_s: float, learns: bool = True
    ) -> None:
        """Has asked nothing yet.

        Args:
            slots: What a request holds while it is in flight.
            max_retries: How often a request is made again that failed in a way that may pass.
            request_timeout_s: Seconds after which a request is given up that is not answered, while too
                little is known of how long answers take: see `Patience`.
            learns: Whether that is learnt; not where answers differ in length as much as stories do.
        """
        self._slots = slots
        self._max_retries = max_retries
        self._patience = Patience(request_timeout_s, learns=learns)

    def close(self) -> None:
        """Asks nothing more. Requests in flight come to their end, those that wait are `STOPPED`."""
        self._slots.close(lambda: Unscored(STOPPED))

    async def send(self, call: Callable[[], Awaitable[Answer]], at_most: Bill, deadline: Deadline) -> Answer:
        """Makes a request once there is room for it, and again where it failed in a way that may pass.

        Args:
            call: Makes it once; see `Chat.complete`. `Answer.cost_usd` is what it cost.
            at_most: What it can take at most.
            deadline: How long it may take, retries and the pauses between them included.

        Raises:
            Unscored: It failed. The reason is `timeout` where the deadline is over, and `stopped` where the
                channel was closed before there was room.
            BudgetSpent: The budget has no room for it.
            JudgeError: See `Chat.complete`.
        """
        failures: list[str] = []
        while True:
            try:
                return await self._once(call, at_most, deadline, given_up=failures.count(TIMEOUT))
            except Transient as failure:
                failures.append(failure.reason)
                pause = pause_s(len(failures), failure.after_s, random.random())
                if len(failures) > self._max_retries or pause >= deadline.left_s:
                    raise Unscored(failure.reason, failure.detail) from None
            # No slot is held meanwhile: others may have more luck.
            deadline.left_s -= pause
            await asyncio.sleep(pause)

    async def _once(
        self, call: Callable[[], Awaitable[Answer]], at_most: Bill, deadline: Deadline, given_up: int
    ) -> Answer:
        if deadline.left_s <= 0:
            raise Unscored(TIMEOUT, f"no answer within {deadline.whole_s:g} s", tokens=(0, 0))
        begun = deadline.left_s < deadline.whole_s
        async with self._slots.slot(at_most, first=begun) as slot:
            asked = time.monotonic()
            slot.took = at_most  # what fails may have been answered, and billed, at the other end
            try:
                answer = await self._wait(asyncio.ensure_future(call()), deadline, given_up)
            except JudgeError:
                slot.took = Bill(calls=1)
                raise
            except Unscored as error:
                if error.tokens is not None:
                    slot.took = Bill(1, *error.tokens, error.cost_usd)
                raise
            finally:
                latency_s = time.monotonic() - asked
                deadline.left_s -= latency_s
            if answer.prompt_tokens or answer.completion_tokens:  # else its provider does not count
                tokens = answer.prompt_tokens, answer.completion_tokens
                slot.took = Bill(1, *tokens, answer.cost_usd or 0.0)
            return replace(answer, latency_s=latency_s)

    async def _wait(self, request: asyncio.Future[Answer], deadline: Deadline, given_up: int) -> Answer:
        """Waits for a request as long as that makes sense, which is learnt while it is under way.

        Raises:
            Transient: It makes no more sense.
        """
        asked = time.monotonic()
        try:
            while True:
                sensible_s = self._patience.limit_s(given_up)
                limit_s = min(sensible_s, deadline.left_s)
                left_s = limit_s - (time.monotonic() - asked)
                if left_s <= 0:
                    if limit_s == sensible_s:  # else it says nothing of the judge
                        self._patience.ended(limit_s, given_up=True)
                    raise Transient(TIMEOUT, f"no answer within {limit_s:.3g} s")
                done, _ = await asyncio.wait((request,), timeout=min(left_s, LOOK_AGAIN_S))
                if done:
                    answer = request.result()
                    self._patience.ended(time.monotonic() - asked)
                    return answer
        finally:
            request.cancel()


def own_slots(pool: SlotPool, *, metered: bool = False) -> SharedSlots:
    """The slots of a pool in the same process."""
    return SharedSlots(pool.take, pool.give, metered=metered)
