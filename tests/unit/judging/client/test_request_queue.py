"""The judge client, on a simulated clock: seconds here are those of the judge, and pass at once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.judging.client.simulated_clock import SimulatedClock
from writing_rl.errors import BudgetSpent, JudgeError, MayBeFinal, Transient, Unreached, Unscored
from writing_rl.judging.client import request_queue as module
from writing_rl.judging.client.budget import Bill, Limits
from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.client.latency import FACTOR_OF_FEW
from writing_rl.judging.client.request_queue import (
    LONGEST_PAUSE_S,
    REFUSALS,
    Channel,
    Deadline,
    own_slots,
    pause_s,
)
from writing_rl.judging.client.slots import Grant, SlotPool

AT_MOST = Bill(1, 100, 50, 0.5)
ANSWER = Answer("[[A]]", 10, 5, cost_usd=0.1)
TOOK = Bill(1, 10, 5, 0.1)
HANGS = 1e6

Doing = Answer | Exception | float


pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")


@pytest.fixture
def event_loop_policy() -> SimulatedClock:
    return SimulatedClock()


def now() -> float:
    return asyncio.get_running_loop().time()


class Setting:
    """An endpoint with a pool of its own, whose provider does what it is told, one thing after another.

    A number is an answer after so many seconds.
    """

    def __init__(
        self,
        *doings: Doing,
        slots: int = 1,
        retries: int = 5,
        timeout_s: float = 100.0,
        outage_s: float = 600.0,
        limits: Limits = Limits(),
    ) -> None:
        self.pool = SlotPool(slots, limits)
        self.channel = Channel(
            own_slots(self.pool, metered=limits.any),
            max_retries=retries,
            request_timeout_s=timeout_s,
            outage_s=outage_s,
        )
        self.endpoint = self.channel.endpoint("the judge")
        self.doings: Iterator[Doing] = iter(doings)
        self.calls = 0

    async def call(self) -> Answer:
        self.calls += 1
        doing = next(self.doings)
        if isinstance(doing, Exception):
            raise doing
        if isinstance(doing, Answer):
            return doing
        await asyncio.sleep(doing)
        return ANSWER

    async def spent(self) -> Bill:
        """What all requests took, once those that end at this moment have told."""
        await asyncio.sleep(0)
        return self.pool.spent()

    async def send(self, deadline: Deadline | None = None) -> Answer:
        return await self.endpoint.send(self.call, AT_MOST, deadline or Deadline.of(300.0))


# One request


async def test_an_answer_comes_back_with_its_latency_and_is_billed() -> None:
    setting = Setting(20.0)
    assert (await setting.send()).latency_s == 20.0
    assert await setting.spent() == TOOK


async def test_what_may_pass_is_retried() -> None:
    setting = Setting(Transient("http_429", "", 1.0), Transient("http_500"), ANSWER)
    assert (await setting.send()).text == "[[A]]"
    assert (await setting.spent()).calls == setting.calls == 3


@pytest.mark.parametrize("error", [Unscored("content_filter"), JudgeError("the judge refuses the key")])
async def test_what_cannot_pass_is_not_retried(error: Exception) -> None:
    setting = Setting(error)
    with pytest.raises(type(error)) as raised:
        await setting.send()
    assert raised.value is error
    assert setting.calls == 1


async def test_after_the_retries_the_last_reason_remains() -> None:
    setting = Setting(*(Transient(f"http_50{number}", "broken") for number in range(4)), retries=3)
    with pytest.raises(Unscored) as error:
        await setting.send()
    assert (error.value.reason, error.value.detail, setting.calls) == ("http_503", "broken", 4)
    assert not isinstance(error.value, Transient)


async def test_a_provider_that_wants_more_time_than_there_is_is_not_waited_for() -> None:
    setting = Setting(Transient("http_429", "come back tomorrow", 86400.0))
    with pytest.raises(Unscored, match="http_429"):
        await setting.send()
    assert now() < 1


@pytest.mark.parametrize(
    ("timeout_s", "deadline_s", "message"),
    [(5.0, 20.0, "no answer within 5 s"), (20.0, 5.0, "no answer within 5 s")],
)
async def test_a_hanging_request_is_cut_off_and_billed_as_if_it_had_been_answered(
    timeout_s: float, deadline_s: float, message: str
) -> None:
    setting = Setting(HANGS, retries=0, timeout_s=timeout_s)
    with pytest.raises(Unscored) as error:
        await setting.send(Deadline.of(deadline_s))
    assert (error.value.reason, error.value.detail) == ("timeout", message)
    assert await setting.spent() == AT_MOST


async def test_the_deadline_is_used_up_by_work_and_not_by_waiting_for_a_slot() -> None:
    setting = Setting(4.0, 4.0, 4.0, 4.0)
    await asyncio.gather(*(setting.send(Deadline.of(5.0)) for _ in range(4)))
    assert now() == 16.0


async def test_a_deadline_that_is_used_up_sends_nothing_and_costs_nothing() -> None:
    setting = Setting(ANSWER)
    with pytest.raises(Unscored, match=module.TIMEOUT):
        await setting.send(Deadline(5.0, -0.1))
    assert (setting.calls, await setting.spent()) == (0, Bill())


# Slow requests


async def test_a_slow_request_is_hedged_while_a_slot_is_idle_and_the_first_answer_counts() -> None:
    slow_one_first = Setting(12.0, HANGS, slots=2, timeout_s=10.0)
    assert (await slow_one_first.send()).latency_s == 12.0
    hedge_first = Setting(HANGS, 1.0, slots=2, timeout_s=10.0)
    assert (await hedge_first.send()).latency_s == 1.0
    for setting in (slow_one_first, hedge_first):  # the one that was not answered may be billed, too
        assert setting.calls == 2
        assert await setting.spent() == Bill.total([AT_MOST, TOOK])
        assert await setting.pool.take([AT_MOST] * 3) == Grant(2)


async def test_there_is_one_hedge_at_a_time() -> None:
    setting = Setting(HANGS, HANGS, ANSWER, slots=9, timeout_s=10.0)
    assert (await setting.send()).text == "[[A]]"
    assert setting.calls == 3
    assert 20 <= now() < 22


async def test_a_hedge_that_fails_leaves_the_slow_one_its_chance_unless_it_fails_for_good() -> None:
    setting = Setting(12.0, Transient("http_500"), slots=2, timeout_s=10.0)
    assert (await setting.send()).latency_s == 12.0
    refused = Setting(HANGS, Unscored("refusal"), slots=2, timeout_s=10.0)
    with pytest.raises(Unscored, match="refusal"):
        await refused.send()


async def test_hedges_count_as_tries() -> None:
    setting = Setting(HANGS, HANGS, HANGS, slots=9, retries=2, timeout_s=5.0)
    with pytest.raises(Unscored, match="timeout"):
        await setting.send()
    assert (setting.calls, await setting.spent()) == (3, Bill.total([AT_MOST] * 3))


async def test_a_budget_has_no_hedge_that_it_cannot_pay() -> None:
    setting = Setting(12.0, ANSWER, slots=2, timeout_s=10.0, limits=Limits(max_calls=1))
    with pytest.raises(BudgetSpent):
        await setting.send()
    assert setting.calls == 1


async def test_a_slow_request_makes_room_where_others_wait() -> None:
    setting = Setting(HANGS, ANSWER, ANSWER, timeout_s=10.0)
    answers = await asyncio.gather(setting.send(), setting.send())
    assert [answer.text for answer in answers] == ["[[A]]"] * 2
    assert setting.calls == 3


@pytest.mark.parametrize("hanging", range(16))
async def test_the_first_step_gives_a_hanging_request_up_in_seconds(hanging: int) -> None:
    """A batch of 32 over two processes: each has 16, and learns from 15 at most."""
    doings = [2.0] * 16
    doings[hanging] = HANGS
    setting = Setting(*doings, 2.0, slots=32, timeout_s=120.0)
    await asyncio.gather(*(setting.send() for _ in range(16)))
    assert now() <= FACTOR_OF_FEW * 2.0 + 2.0
    assert setting.calls == 17


async def test_what_one_model_is_like_says_nothing_about_another() -> None:
    setting = Setting(*[0.1] * 50, 30.0, slots=9, timeout_s=120.0)
    for _ in range(50):
        await setting.send()
    slow_judge = setting.channel.endpoint("a thinking judge")
    assert (await slow_judge.send(setting.call, AT_MOST, Deadline.of(300.0))).latency_s == 30.0
    assert setting.calls == 51


async def test_a_question_that_was_given_up_twice_has_twice_the_time() -> None:
    setting = Setting(*[5.0] * 16, HANGS, HANGS, 15.0, timeout_s=120.0)
    for _ in range(16):
        await setting.send()
    assert (await setting.send()).latency_s == 15.0


async def test_a_retry_goes_before_the_questions_that_wait() -> None:
    setting = Setting(1.0, 2.5, ANSWER, ANSWER)
    deadline, order = Deadline.of(20.0), list[str]()

    async def send(name: str, deadline: Deadline | None = None) -> None:
        await setting.send(deadline)
        order.append(name)

    await setting.send(deadline)  # its answer holds no verdict, say
    running = asyncio.ensure_future(send("running"))
    await asyncio.sleep(1.0)
    waiting = asyncio.ensure_future(send("waiting"))
    await asyncio.sleep(1.0)
    await asyncio.gather(running, waiting, send("retried", deadline))
    assert order == ["running", "retried", "waiting"]


# Pauses


async def test_no_slot_is_held_during_a_pause() -> None:
    setting = Setting(Transient("http_429", "", 20.0), ANSWER, ANSWER)
    waiting = asyncio.ensure_future(setting.send())
    await asyncio.sleep(1.0)
    await setting.send()
    assert now() < 2.0
    assert (await waiting).text == "[[A]]"


@given(attempt=st.integers(1, 2000), draw=st.floats(0, 1), after_s=st.none() | st.floats(0, 100))
def test_a_pause_is_bounded_and_never_shorter_than_asked(
    attempt: int, draw: float, after_s: float | None
) -> None:
    pause = pause_s(min(attempt, 1000), after_s, draw)
    assert 0 <= pause <= (after_s or 0.0) + LONGEST_PAUSE_S
    assert pause >= (after_s or 0.0)


def test_pauses_double_and_differ() -> None:
    whole = [pause_s(attempt, None, 1.0) for attempt in range(1, 5)]
    assert [later / earlier for earlier, later in itertools.pairwise(whole)] == [2.0, 2.0, 2.0]
    assert pause_s(3, None, 0.5) == whole[2] / 2


@pytest.mark.parametrize(
    ("others", "reason", "longest_s"),
    [
        (0, "http_500", LONGEST_PAUSE_S),
        (1, "http_500", module.LONGEST_PAUSE_IF_ANSWERING_S),
        (1, "http_429", LONGEST_PAUSE_S),
    ],
)
async def test_pauses_stay_short_while_others_are_answered_unless_there_are_too_many(
    others: int, reason: str, longest_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = []

    def no_pause(attempt: int, after_s: float | None, draw: float, longest_s: float) -> float:
        pauses.append(longest_s)
        return 0.0

    monkeypatch.setattr(module, "pause_s", no_pause)
    setting = Setting(*[0.02] * others, Transient(reason), ANSWER)
    await asyncio.gather(*(setting.send() for _ in range(1 + others)))  # one after another
    assert pauses == [longest_s]


# Outages


def gone_for(seconds: float, error: Exception, setting: Setting) -> None:
    """Has the provider refuse everything for so long, and answer after that within a second."""

    async def call() -> Answer:
        setting.calls += 1
        if now() < seconds:
            raise error
        await asyncio.sleep(1.0)
        return ANSWER

    setting.call = call  # type: ignore[method-assign]


@pytest.mark.parametrize(("questions", "seconds"), [(1, 590.0), (64, 0.5), (64, 120.0), (256, 120.0)])
async def test_an_outage_costs_its_own_time_and_nothing_else(seconds: float, questions: int) -> None:
    setting = Setting(slots=64)
    gone_for(seconds, Unreached("connection", "refused"), setting)
    await asyncio.gather(*(setting.send(Deadline.of(60.0)) for _ in range(questions)))
    assert now() < seconds + module.LONGEST_PAUSE_OF_OUTAGE_S + 1.0 + questions / 64
    assert await setting.spent() == Bill.total([TOOK] * questions)


async def test_many_questions_look_for_the_end_of_an_outage_only_so_often() -> None:
    setting = Setting(slots=64)
    gone_for(100.0, Unreached("connection", "refused"), setting)
    await asyncio.gather(*(setting.send() for _ in range(512)))
    assert setting.calls < 8 * 512 + 100 * 2 * module.LOOKS_PER_S


async def test_an_outage_that_lasts_too_long_is_final() -> None:
    setting = Setting(outage_s=120.0)
    gone_for(1e6, Unreached("http_503", "no upstream"), setting)
    with pytest.raises(JudgeError, match=r"the judge cannot be reached \(no upstream\) for 120 s by now"):
        await setting.send()
    assert 120.0 <= now() < 121.0


async def test_an_outage_is_reported_with_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    setting = Setting(slots=4)
    gone_for(60.0, Unreached("connection", "refused"), setting)
    await asyncio.gather(*(setting.send() for _ in range(4)))
    away, back = capsys.readouterr().out.splitlines()
    assert away == "[writing-rl] the judge cannot be reached (refused): waiting for up to 600 s"
    assert back.startswith("[writing-rl] the judge answers again after 6")


async def test_what_cannot_be_reached_while_others_are_answered_is_a_failure_like_any_other() -> None:
    setting = Setting(retries=3, slots=2)
    calls = itertools.count()

    async def refused() -> Answer:
        raise Unreached("http_502", f"{next(calls)}")

    async def others() -> None:
        while True:
            await setting.endpoint.send(lambda: asyncio.sleep(0.01, ANSWER), AT_MOST, Deadline.of(1e9))

    answered = asyncio.ensure_future(others())
    with pytest.raises(Unscored, match="http_502"):
        await setting.endpoint.send(refused, AT_MOST, Deadline.of(300.0))
    answered.cancel()
    assert next(calls) >= 4
    assert now() < 60.0


async def test_two_judges_are_not_away_together() -> None:
    setting = Setting(slots=2, outage_s=50.0)
    gone_for(1e6, Unreached("connection"), setting)
    other = setting.channel.endpoint("another judge")

    async def answered() -> Answer:
        await asyncio.sleep(1.0)
        return ANSWER

    async def ask_other() -> None:
        for _ in range(100):
            await other.send(answered, AT_MOST, Deadline.of(300.0))

    asking = asyncio.ensure_future(ask_other())
    with pytest.raises(JudgeError, match="the judge cannot be reached"):
        await setting.send()
    assert 50.0 <= now() < 51.0
    await asking


# A key that is refused


async def test_a_key_that_is_refused_again_and_again_is_final() -> None:
    final = JudgeError("the key is refused")
    setting = Setting(*[MayBeFinal("http_401", final)] * 20, retries=7)
    with pytest.raises(JudgeError) as error:
        await setting.send()
    assert (error.value, setting.calls) == (final, REFUSALS)
    assert now() < 10.0


async def test_single_refusals_of_a_gateway_are_not() -> None:
    refusal = MayBeFinal("http_401", JudgeError("the key is refused"))
    setting = Setting(*([refusal] + [0.1] * 9) * 50, slots=8, retries=7)
    answers = await asyncio.gather(*(setting.send() for _ in range(400)))
    assert len(answers) == 400


# The end


async def test_a_closed_channel_sends_nothing_more() -> None:
    setting = Setting(5.0, ANSWER)
    running, waiting = (asyncio.ensure_future(setting.send()) for _ in range(2))
    await asyncio.sleep(1.0)
    setting.channel.close()
    assert (await running).text == "[[A]]"
    for request in (waiting, setting.send()):
        with pytest.raises(Unscored, match=module.STOPPED):
            await request
    assert setting.calls == 1


async def test_a_channel_is_closed_during_an_outage() -> None:
    setting = Setting()
    gone_for(1e6, Unreached("connection"), setting)
    waiting = asyncio.ensure_future(setting.send())
    await asyncio.sleep(100.0)
    setting.channel.close()
    with pytest.raises(Unscored, match=module.STOPPED):
        await waiting
    assert now() < 110.0


async def test_a_cancelled_request_leaves_its_slot() -> None:
    setting = Setting(HANGS, ANSWER)
    request = asyncio.ensure_future(setting.send())
    await asyncio.sleep(1.0)
    request.cancel()
    assert (await setting.send()).text == "[[A]]"
    assert await setting.spent() == Bill.total([AT_MOST, TOOK])


@pytest.mark.parametrize(
    ("error", "took"),
    [
        (Unscored("refusal", tokens=(100, 20)), Bill(1, 100, 20)),
        (Unscored("http_400", tokens=(0, 0)), Bill(1)),
        (Unscored("malformed"), AT_MOST),
        (JudgeError("refuses the key"), Bill(1)),
    ],
)
async def test_a_failure_is_billed_as_its_provider_may_have_billed_it(error: Exception, took: Bill) -> None:
    setting = Setting(error)
    with pytest.raises(type(error)):
        await setting.send()
    assert await setting.spent() == took


async def test_an_answer_that_its_provider_does_not_count_is_billed_with_the_most_it_can_be() -> None:
    setting = Setting(Answer("[[A]]"))
    await setting.send()
    assert await setting.spent() == AT_MOST
