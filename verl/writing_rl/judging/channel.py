"""How a request to a model is made: in its turn, again where that may help, and within a deadline."""

from __future__ import annotations

import asyncio
import random
import time
from asyncio import FIRST_COMPLETED
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from writing_rl.errors import JudgeError, Transient, Unscored
from writing_rl.judging.chat import Answer
from writing_rl.judging.limits import Bill
from writing_rl.judging.patience import Patience
from writing_rl.judging.slots import SharedSlots, Slot, SlotPool

#: The reason of a comparison that was not made because the run is being ended.
STOPPED = "stopped"

#: The reason of a request that was not answered in time.
TIMEOUT = "timeout"

#: Seconds after which a request under way is looked at again: more may be known of latencies by then.
LOOK_AGAIN_S = 1.0

#: Seconds that a request which is given up has for closing its connection; nothing hangs with it.
CANCEL_S = 1.0

#: Seconds before another try: the first pause lasts up to the first number, no one longer than the second.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0

#: Longest pause while others are answered: then the judge is not away, and only this request had no luck.
LONGEST_PAUSE_IF_ANSWERING_S = 4.0

#: The reason of a request that was one too many. It needs a long pause also while others are answered.
TOO_MANY = "http_429"


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


def pause_s(attempt: int, after_s: float | None, draw: float, longest_s: float = LONGEST_PAUSE_S) -> float:
    """How long to wait before another try: exponential backoff with full jitter.

    Args:
        attempt: Number of tries that failed, at least 1.
        after_s: What the provider asks for, if anything; never less than that.
        draw: A random number from 0 to 1.
        longest_s: Seconds of the longest pause, where the provider asks for none.

    Returns:
        Seconds.
    """
    backoff = draw * min(longest_s, FIRST_PAUSE_S * 2.0 ** (attempt - 1))
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
        self._answers = 0

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
        tries = _Tries(left=1 + self._max_retries)
        while True:
            answers_before = self._answers
            try:
                return await self._turn(call, at_most, deadline, tries)
            except Transient as failure:
                answering = self._answers > answers_before and failure.reason != TOO_MANY
                longest_s = LONGEST_PAUSE_IF_ANSWERING_S if answering else LONGEST_PAUSE_S
                pause = pause_s(tries.made, failure.after_s, random.random(), longest_s)
                if not tries.left or pause >= deadline.left_s:
                    raise Unscored(failure.reason, failure.detail) from None
            # No slot is held meanwhile: others may have more luck.
            deadline.left_s -= pause
            await asyncio.sleep(pause)

    async def _turn(
        self, call: Callable[[], Awaitable[Answer]], at_most: Bill, deadline: Deadline, tries: _Tries
    ) -> Answer:
        """Makes a request when it is its turn, and another beside it once it is late and a slot lies idle.

        The first answer counts. A late request for whose slot others wait is given up instead: it may hang.

        Raises:
            Transient: No request of this turn was answered.
        """
        if deadline.left_s <= 0:
            raise Unscored(TIMEOUT, f"no answer within {deadline.whole_s:g} s", tokens=(0, 0))
        begun_before = deadline.left_s < deadline.whole_s
        slot = await self._slots.take(at_most, first=begun_before)
        begun = latest = time.monotonic()
        running = {self._request(call, slot, tries)}
        try:
            while True:
                ends = begun + deadline.left_s
                # Where one is late already another loses nothing. But what is given up may be a long one.
                patience_s = self._patience.limit_s() if len(running) == 1 else self._patience.usual_s()
                late = latest + patience_s
                hopeless = min(latest + self._patience.limit_s(tries.late), ends)
                now = time.monotonic()
                if now >= min(late, ends):
                    # At the deadline nothing more is asked, and nothing is learnt of the judge.
                    spare = await self._slots.spare(at_most) if late < ends and tries.left else None
                    if any(request.done() for request in running):  # while we asked for a slot
                        if spare:
                            self._slots.put_back(spare)
                    elif spare:
                        self._was_late(tries, patience_s)
                        latest = time.monotonic()
                        running.add(self._request(call, spare, tries))
                        continue
                    elif now >= hopeless:
                        if hopeless < ends:
                            self._was_late(tries, hopeless - latest)
                        raise Transient(TIMEOUT, f"no answer within {hopeless - begun:.3g} s")
                # In a while more may be known of latencies, and a slot may lie idle.
                wait_s = min([LOOK_AGAIN_S, *(moment - now for moment in (late, hopeless) if moment > now)])
                done, running = await asyncio.wait(running, timeout=wait_s, return_when=FIRST_COMPLETED)
                if answer := _first_answer(done, any_left=bool(running)):
                    return answer
        finally:
            deadline.left_s -= time.monotonic() - begun
            for request in running:
                request.cancel()
            if running:  # what they took is known, and their slots are free, once they have ended
                await asyncio.wait(running, timeout=CANCEL_S)

    def _was_late(self, tries: _Tries, late_s: float) -> None:
        tries.late += 1
        self._patience.ended(late_s, late=True)

    def _request(
        self, call: Callable[[], Awaitable[Answer]], slot: Slot, tries: _Tries
    ) -> asyncio.Task[Answer]:
        """Makes a request in a slot, which is free again when it has ended or been cancelled."""
        tries.made += 1
        tries.left -= 1
        request = asyncio.ensure_future(self._ask(call, slot))
        request.add_done_callback(lambda _: self._slots.put_back(slot))
        return request

    async def _ask(self, call: Callable[[], Awaitable[Answer]], slot: Slot) -> Answer:
        asked = time.monotonic()
        slot.took = slot.at_most  # what fails may have been answered, and billed, at the other end
        try:
            answer = await call()
        except JudgeError:
            slot.took = Bill(calls=1)
            raise
        except Unscored as error:
            if error.tokens is not None:
                slot.took = Bill(1, *error.tokens, error.cost_usd)
            raise
        latency_s = time.monotonic() - asked
        self._answers += 1
        self._patience.ended(latency_s)
        if answer.prompt_tokens or answer.completion_tokens:  # else its provider does not count
            slot.took = Bill(1, answer.prompt_tokens, answer.completion_tokens, answer.cost_usd or 0.0)
        return replace(answer, latency_s=latency_s)


@dataclass
class _Tries:
    """The requests for one question.

    Attributes:
        left: How many more may be made.
        made: How many were.
        late: How many times the last one was late.
    """

    left: int
    made: int = 0
    late: int = 0


def _first_answer(done: Iterable[asyncio.Task[Answer]], *, any_left: bool) -> Answer | None:
    """The answer of a request that has ended; None where others may still have one.

    Raises:
        Transient: The last one failed in a way that may pass.
        Unscored, JudgeError: One failed for good; the others would do so, too.
    """
    for request in sorted(done, key=lambda request: request.exception() is not None):
        if not any_left or not isinstance(request.exception(), Transient):
            return request.result()
    return None


def own_slots(pool: SlotPool, *, metered: bool = False) -> SharedSlots:
    """The slots of a pool in the same process."""
    return SharedSlots(pool.take, pool.give, pool.spare, metered=metered)
