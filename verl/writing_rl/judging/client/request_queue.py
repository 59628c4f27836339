"""The judge client of a process: sends a request when a slot is free, hedges, retries, and gives up.

`Channel` is what all models of a process share: the slots, and the end. `Endpoint` is one model: what is
known of its latencies, and whether it is reachable at all.
"""

from __future__ import annotations

import asyncio
import random
from asyncio import FIRST_COMPLETED
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from writing_rl.errors import JudgeError, MayBeFinal, Transient, Unreached, Unscored
from writing_rl.judging.client.budget import Bill
from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.client.latency import LatencyTracker
from writing_rl.judging.client.slots import SharedSlots, Slot, SlotPool
from writing_rl.util.console import say

#: The reason of a comparison that was not made because the run is being ended.
STOPPED = "stopped"

#: The reason of a request that was not answered in time.
TIMEOUT = "timeout"

#: Seconds after which a request in flight is looked at again: more may be known of latencies by then.
LOOK_AGAIN_S = 1.0

#: Seconds that a cancelled request has for closing its connection; nothing waits longer for it.
CANCEL_S = 1.0

#: Seconds before a retry: the first pause lasts up to the first number, no pause longer than the second.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0

#: Longest pause while other requests are answered: then the judge is there, and only this request failed.
LONGEST_PAUSE_IF_ANSWERING_S = 4.0

#: The reason of a request that was one too many. It needs a long pause also while others are answered.
TOO_MANY = "http_429"

#: Longest pause before a question tries again to reach an endpoint that is away, where no more questions wait
#: than make so many tries a second.
LONGEST_PAUSE_OF_OUTAGE_S = 5.0
LOOKS_PER_S = 10.0

#: Seconds after which an outage is reported.
REPORTED_AFTER_S = 5.0

#: A refused key is final when one question met it so many times in a row, while nothing was answered.
REFUSALS = 4


@dataclass
class Deadline:
    """The time that may be spent on one question. Waiting for a slot or for the end of an outage is free.

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
    """How long to wait before a retry: exponential backoff with full jitter.

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
    """What the models of a process share: a limit on the requests in flight, and an end."""

    def __init__(
        self,
        slots: SharedSlots,
        *,
        max_retries: int,
        request_timeout_s: float,
        outage_s: float = 300.0,
        learns: bool = True,
    ) -> None:
        """Has sent nothing yet.

        Args:
            slots: What a request holds while it is in flight.
            max_retries: How often a request is retried that failed in a way that may pass.
            request_timeout_s: Seconds after which a request is given up while too little is known of
                latencies, and at most: see `LatencyTracker`.
            outage_s: Seconds that an endpoint may be unreachable before that is final.
            learns: Whether time-outs adapt to observed latencies; not for generation, where latency varies
                with length.
        """
        self.slots = slots
        self.max_retries = max_retries
        self.request_timeout_s = request_timeout_s
        self.outage_s = outage_s
        self.learns = learns

    def endpoint(self, name: str, *, outage_s: float | None = None) -> Endpoint:
        """A model, of which nothing is known yet.

        Args:
            name: What messages call it.
            outage_s: As for the channel, whose value is the default.
        """
        return Endpoint(self, name, self.outage_s if outage_s is None else outage_s)

    def close(self) -> None:
        """Stops accepting requests. Those in flight finish; queued ones raise `Unscored("stopped")`."""
        self.slots.close(lambda: Unscored(STOPPED))


class Endpoint:
    """One model of a process: requests to it, and what is known of it by now."""

    def __init__(self, channel: Channel, name: str, outage_s: float) -> None:
        self._channel = channel
        self._name = name
        self._outage_s = outage_s
        self._latency = LatencyTracker(channel.request_timeout_s, learns=channel.learns)
        self._answers = 0
        self._away_since: float | None = None
        self._back = asyncio.Event()
        self._waiting = 0  # questions, for the end of an outage
        self._reported = False

    async def send(self, call: Callable[[], Awaitable[Answer]], at_most: Bill, deadline: Deadline) -> Answer:
        """Sends a request once a slot is free, and retries it where it failed in a way that may pass.

        A request that never reached the endpoint while nobody is answered costs no retry, no budget and none
        of the deadline: the endpoint is away, for up to the channel's `outage_s`.

        Args:
            call: Sends it once; see `Chat.complete`. `Answer.cost_usd` is what it cost.
            at_most: What it can take at most.
            deadline: How long it may take, retries and the pauses between them included.

        Raises:
            Unscored: It failed. The reason is `timeout` where the deadline is over, and `stopped` where the
                channel was closed before there was a slot.
            BudgetSpent: The budget has no room for it.
            JudgeError: See `Chat.complete`; or the endpoint has been unreachable for too long.
        """
        tries = _Tries(left=1 + self._channel.max_retries)
        answers = self._answers
        while True:
            before, left_s = replace(tries), deadline.left_s
            try:
                return await self._attempt(call, at_most, deadline, tries)
            except Transient as failure:
                answering, answers = self._answers > answers, self._answers
                if isinstance(failure, Unreached) and not answering:
                    tries, deadline.left_s = before, left_s
                    await self._wait_out(failure)
                    continue
                tries.refused = 0 if answering else tries.refused + isinstance(failure, MayBeFinal)
                if tries.refused >= REFUSALS and isinstance(failure, MayBeFinal):
                    raise failure.final from None
                longest_s = LONGEST_PAUSE_S
                if answering and failure.reason != TOO_MANY:
                    longest_s = LONGEST_PAUSE_IF_ANSWERING_S
                pause = pause_s(tries.made, failure.after_s, random.random(), longest_s)
                if not tries.left or pause >= deadline.left_s:
                    raise Unscored(failure.reason, failure.detail) from None
            # No slot is held meanwhile: others may have more luck.
            deadline.left_s -= pause
            await asyncio.sleep(pause)

    async def _attempt(
        self, call: Callable[[], Awaitable[Answer]], at_most: Bill, deadline: Deadline, tries: _Tries
    ) -> Answer:
        """Sends a request when a slot is free. Where it is slow, it is hedged or given up.

        It is hedged, once, where a slot is idle: the first answer counts. Where others wait for a slot it is
        given up instead: it may hang.

        Raises:
            Transient: No request of this attempt was answered.
        """
        if deadline.left_s <= 0:
            raise Unscored(TIMEOUT, f"no answer within {deadline.whole_s:g} s", tokens=(0, 0))
        slots, begun_before = self._channel.slots, deadline.left_s < deadline.whole_s
        slot = await slots.take(at_most, first=begun_before)
        begun = sent = _now()
        ends = begun + deadline.left_s
        running = {self._request(call, slot, tries)}
        hedged = False
        try:
            while True:
                slow = min(sent + self._latency.timeout_s(tries.given_up), ends)
                now = _now()
                if now >= slow:
                    if now < ends:  # at the deadline nothing is learnt of the judge
                        self._latency.observe(now - sent, slow=True)
                        if not hedged and tries.left and (spare := await slots.spare(at_most)):
                            hedged, sent = True, _now()
                            running.add(self._request(call, spare, tries))
                            continue
                        tries.given_up += 1
                    raise Transient(TIMEOUT, f"no answer within {now - begun:.3g} s")
                wait_s = min(LOOK_AGAIN_S, slow - now)
                done, running = await asyncio.wait(running, timeout=wait_s, return_when=FIRST_COMPLETED)
                if answer := _first_answer(done, any_left=bool(running)):
                    return answer
        finally:
            deadline.left_s -= _now() - begun
            for request in running:
                request.cancel()
            if running:  # what they took is known, and their slots are free, once they have ended
                await asyncio.wait(running, timeout=CANCEL_S)

    def _request(
        self, call: Callable[[], Awaitable[Answer]], slot: Slot, tries: _Tries
    ) -> asyncio.Task[Answer]:
        """Sends a request in a slot, which is free again when it has ended or been cancelled."""
        tries.made += 1
        tries.left -= 1
        request = asyncio.ensure_future(self._ask(call, slot))
        request.add_done_callback(lambda _: self._channel.slots.put_back(slot))
        return request

    async def _ask(self, call: Callable[[], Awaitable[Answer]], slot: Slot) -> Answer:
        asked = _now()
        slot.took = slot.at_most  # what fails may have been answered, and billed, at the other end
        try:
            answer = await call()
        except JudgeError:
            slot.took = Bill(calls=1)
            raise
        except Unscored as error:
            if isinstance(error, Unreached):
                slot.took = Bill()
            else:
                self._note_back()
                if error.tokens is not None:
                    slot.took = Bill(1, *error.tokens, error.cost_usd)
            raise
        latency_s = _now() - asked
        self._answers += 1
        self._latency.observe(latency_s)
        self._note_back()
        if answer.prompt_tokens or answer.completion_tokens:  # else its provider does not count
            slot.took = Bill(1, answer.prompt_tokens, answer.completion_tokens, answer.cost_usd or 0.0)
        return replace(answer, latency_s=latency_s)

    async def _wait_out(self, failure: Transient) -> None:
        """Notes that the endpoint could not be reached, and pauses until it is time to look again.

        Raises:
            JudgeError: It has been away for too long.
        """
        now = _now()
        if self._away_since is None:
            self._away_since = now
            self._back.clear()
        away_s = now - self._away_since
        why = f"{self._name} cannot be reached ({failure.detail or failure.reason})"
        if away_s >= self._outage_s:
            raise JudgeError(
                f"{why} for {away_s:.0f} s by now: check its address (OPENAI_BASE_URL), and that it runs"
            )
        if away_s >= REPORTED_AFTER_S and not self._reported:
            self._reported = True
            say(f"[writing-rl] {why}: waiting for up to {self._outage_s:.0f} s")
        # Soon at first, for most outages are short; and seldom where many questions wait, for one finds out.
        longest_s = min(FIRST_PAUSE_S + away_s, max(LONGEST_PAUSE_OF_OUTAGE_S, self._waiting / LOOKS_PER_S))
        pause = min(random.uniform(0.5, 1.0) * longest_s, self._outage_s - away_s)
        self._waiting += 1
        try:
            await asyncio.wait_for(self._back.wait(), pause)
        except asyncio.TimeoutError:
            pass
        finally:
            self._waiting -= 1

    def _note_back(self) -> None:
        """Notes that the endpoint has answered, if only with an error."""
        if self._away_since is None:
            return
        if self._reported:
            away_s = _now() - self._away_since
            say(f"[writing-rl] {self._name} answers again after {away_s:.0f} s")
        self._away_since, self._reported = None, False
        self._back.set()


@dataclass
class _Tries:
    """The requests for one question.

    Attributes:
        left: How many more may be sent.
        made: How many were.
        given_up: How many attempts were given up because they were slow.
        refused: How many in a row were refused (`MayBeFinal`) while nothing was answered.
    """

    left: int
    made: int = 0
    given_up: int = 0
    refused: int = 0


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


def _now() -> float:
    """Seconds of the event loop's clock."""
    return asyncio.get_running_loop().time()


def own_slots(pool: SlotPool, *, metered: bool = False) -> SharedSlots:
    """The slots of a pool in the same process."""
    return SharedSlots(pool.take, pool.give, pool.spare, metered=metered)
