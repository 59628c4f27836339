from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writing_rl.errors import BudgetSpent, JudgeError, Transient, Unscored
from writing_rl.judging import channel as module
from writing_rl.judging.channel import (
    LONGEST_PAUSE_IF_ANSWERING_S,
    LONGEST_PAUSE_S,
    Channel,
    Deadline,
    own_slots,
    pause_s,
)
from writing_rl.judging.chat import Answer
from writing_rl.judging.limits import Bill, Limits
from writing_rl.judging.patience import Patience
from writing_rl.judging.slots import Grant, SlotPool

AT_MOST = Bill(1, 100, 50, 0.5)
ANSWER = Answer("[[A]]", 10, 5, cost_usd=0.1)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)


class Setting:
    """A channel with a pool of its own, and a provider that does what it is told, one thing after another."""

    def __init__(
        self, *doings: Answer | Exception | float, slots: int = 1, retries: int = 5, timeout_s: float = 5.0
    ) -> None:
        self.pool = SlotPool(slots)
        self.channel = Channel(own_slots(self.pool), max_retries=retries, request_timeout_s=timeout_s)
        self.doings: Iterator[Answer | Exception | float] = iter(doings)
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

    async def send(self, deadline: Deadline | None = None) -> Answer:
        return await self.channel.send(self.call, AT_MOST, deadline or Deadline.of(20.0))


async def test_an_answer_comes_back_with_its_latency_and_is_billed() -> None:
    setting = Setting(0.02)
    answer = await setting.send()
    assert answer.text == "[[A]]"
    assert answer.latency_s >= 0.02
    assert setting.pool.spent() == Bill(1, 10, 5, 0.1)


async def test_what_may_pass_is_tried_again() -> None:
    setting = Setting(Transient("http_429", "", 0.001), Transient("http_500"), ANSWER)
    assert (await setting.send()).text == "[[A]]"
    assert setting.calls == 3
    assert setting.pool.spent().calls == 3


@pytest.mark.parametrize("error", [Unscored("content_filter"), JudgeError("the judge refuses the key")])
async def test_what_cannot_pass_is_not(error: Exception) -> None:
    setting = Setting(error)
    with pytest.raises(type(error)) as raised:
        await setting.send()
    assert raised.value is error
    assert setting.calls == 1


async def test_it_is_given_up_after_the_retries_with_the_last_reason() -> None:
    setting = Setting(*(Transient(f"http_50{number}", "broken") for number in range(4)), retries=3)
    with pytest.raises(Unscored) as error:
        await setting.send()
    assert (error.value.reason, error.value.detail, setting.calls) == ("http_503", "broken", 4)
    assert not isinstance(error.value, Transient)


async def test_a_provider_that_wants_more_time_than_there_is_is_not_waited_for() -> None:
    setting = Setting(Transient("http_429", "come back tomorrow", 86400.0))
    with pytest.raises(Unscored) as error:
        await asyncio.wait_for(setting.send(), 5)
    assert error.value.reason == "http_429"


@pytest.mark.parametrize(
    ("timeout_s", "deadline_s", "message"),
    [(0.05, 20.0, "no answer within 0.05 s"), (20.0, 0.05, "no answer within 0.05 s")],
)
async def test_a_hanging_request_is_cut_off_and_billed_as_if_it_had_been_answered(
    timeout_s: float, deadline_s: float, message: str
) -> None:
    setting = Setting(60.0, retries=0, timeout_s=timeout_s)
    with pytest.raises(Unscored) as error:
        await setting.send(Deadline.of(deadline_s))
    assert (error.value.reason, error.value.detail) == ("timeout", message)
    assert setting.pool.spent() == AT_MOST


async def test_a_request_that_hangs_once_is_answered_when_asked_again() -> None:
    setting = Setting(60.0, ANSWER, timeout_s=0.05)
    assert (await setting.send()).text == "[[A]]"


async def test_a_late_request_is_waited_for_beside_another_while_a_slot_lies_idle() -> None:
    late_one_first = Setting(0.2, 60.0, slots=2, timeout_s=0.1)
    answer = await asyncio.wait_for(late_one_first.send(), 5)
    assert (late_one_first.calls, answer.latency_s >= 0.2) == (2, True)
    other_first = Setting(60.0, ANSWER, slots=2, timeout_s=0.05)
    assert (await asyncio.wait_for(other_first.send(), 5)).latency_s < 0.05
    for setting in (late_one_first, other_first):  # the one that was not answered may be billed, too
        assert setting.pool.spent() == Bill.total([AT_MOST, Bill(1, 10, 5, 0.1)])
        assert await asyncio.wait_for(setting.pool.take([AT_MOST] * 3), 1) == Grant(2)


@pytest.fixture
def late_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge whose answers are late after 0.4 s, and mostly come within 0.2 s."""
    monkeypatch.setattr(Patience, "limit_s", lambda _, late=0: 0.4 * 2.0 ** max(0, late - 1))
    monkeypatch.setattr(Patience, "usual_s", lambda _: 0.2)


async def test_others_beside_a_late_request_come_sooner(late_after_a_while: None) -> None:
    setting = Setting(1.5, *[60.0] * 6, slots=9)
    assert (await asyncio.wait_for(setting.send(), 5)).latency_s >= 1.5
    assert (
        setting.calls > 4
    )  # at 0, 0.4, 0.6, 0.8, 1.0, …; at 0, 0.4, 0.8, 1.2 if each was waited for as long


async def test_a_question_that_was_given_up_twice_has_twice_the_time(late_after_a_while: None) -> None:
    setting = Setting(60.0, 60.0, 0.6)
    assert (await asyncio.wait_for(setting.send(), 5)).latency_s >= 0.6
    assert setting.calls == 3


async def test_a_late_request_makes_room_where_others_wait() -> None:
    setting = Setting(60.0, ANSWER, ANSWER, timeout_s=0.05)
    answers = await asyncio.wait_for(asyncio.gather(setting.send(), setting.send()), 5)
    assert [answer.text for answer in answers] == ["[[A]]"] * 2
    assert setting.calls == 3


async def test_a_question_that_is_asked_again_goes_before_those_that_wait() -> None:
    setting = Setting(0.01, 0.05, ANSWER, ANSWER)
    deadline, order = Deadline.of(20.0), list[str]()

    async def send(name: str, deadline: Deadline | None = None) -> None:
        await setting.send(deadline)
        order.append(name)

    await setting.send(deadline)  # its answer holds no verdict, say
    running = asyncio.ensure_future(send("running"))
    await asyncio.sleep(0.01)
    waiting = asyncio.ensure_future(send("waiting"))
    await asyncio.sleep(0.01)
    await asyncio.gather(running, waiting, send("again", deadline))
    assert order == ["running", "again", "waiting"]


async def test_requests_beside_each_other_count_as_tries_and_fail_with_the_last() -> None:
    setting = Setting(60.0, 60.0, 60.0, slots=9, retries=2, timeout_s=0.05)
    with pytest.raises(Unscored) as error:
        await asyncio.wait_for(setting.send(), 5)
    assert (error.value.reason, setting.calls) == ("timeout", 3)
    assert setting.pool.spent() == Bill.total([AT_MOST] * 3)


async def test_one_that_fails_beside_a_late_one_leaves_it_its_chance_unless_it_fails_for_good() -> None:
    setting = Setting(0.2, Transient("http_500"), slots=2, timeout_s=0.1)
    assert (await asyncio.wait_for(setting.send(), 5)).text == "[[A]]"
    refused = Setting(60.0, Unscored("refusal"), slots=2, timeout_s=0.05)
    with pytest.raises(Unscored, match="refusal"):
        await asyncio.wait_for(refused.send(), 5)


async def test_a_budget_has_no_request_beside_another_that_it_cannot_pay() -> None:
    setting = Setting(0.2, ANSWER, slots=2, retries=5, timeout_s=0.05)
    pool = SlotPool(2, Limits(max_calls=1))
    setting.channel = Channel(own_slots(pool, metered=True), max_retries=5, request_timeout_s=0.05)
    with pytest.raises(BudgetSpent):
        await asyncio.wait_for(setting.send(), 5)
    assert setting.calls == 1


async def test_the_deadline_is_used_up_by_work_and_not_by_waiting_for_ones_turn() -> None:
    setting = Setting(0.4, 0.4, 0.4, 0.4, slots=1)
    answers = await asyncio.gather(*(setting.send(Deadline.of(1.2)) for _ in range(4)))
    assert len(answers) == 4  # the last one has waited for 1.2 s


async def test_no_slot_is_held_during_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.0)
    setting = Setting(Transient("http_429", "", 2.0), ANSWER, ANSWER)
    waiting = asyncio.ensure_future(setting.send())
    await asyncio.sleep(0.05)
    assert (await asyncio.wait_for(setting.send(), 1.5)).text == "[[A]]"
    assert (await waiting).text == "[[A]]"


async def test_a_closed_channel_asks_nothing_more() -> None:
    setting = Setting(0.05, ANSWER)
    running, waiting = (asyncio.ensure_future(setting.send()) for _ in range(2))
    await asyncio.sleep(0.01)
    setting.channel.close()
    assert (await running).text == "[[A]]"
    with pytest.raises(Unscored) as error:
        await waiting
    assert error.value.reason == module.STOPPED
    with pytest.raises(Unscored, match="stopped"):
        await setting.send()
    assert setting.calls == 1


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
        (1, "http_500", LONGEST_PAUSE_IF_ANSWERING_S),
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


async def test_a_cancelled_request_leaves_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(60.0, ANSWER)
    request = asyncio.ensure_future(setting.send())
    await asyncio.sleep(0.01)
    request.cancel()
    assert (await asyncio.wait_for(setting.send(), 1)).text == "[[A]]"
    assert setting.pool.spent() == Bill.total([AT_MOST, Bill(1, 10, 5, 0.1)])


async def test_those_who_wait_for_a_rate_are_stopped_at_once() -> None:
    pool = SlotPool(4, Limits(requests_per_minute=60))
    setting = Setting(*[ANSWER] * 100)
    setting.channel = Channel(own_slots(pool, metered=True), max_retries=0, request_timeout_s=5.0)
    waiting = [asyncio.ensure_future(setting.send()) for _ in range(100)]
    await asyncio.sleep(0.05)
    setting.channel.close()
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 2)
    assert sum(isinstance(result, Unscored) for result in results) > 80


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
    assert setting.pool.spent() == took


async def test_an_answer_that_its_provider_does_not_count_is_billed_with_the_most_it_can_be() -> None:
    setting = Setting(Answer("[[A]]"))
    await setting.send()
    assert setting.pool.spent() == AT_MOST


async def test_a_deadline_that_is_used_up_asks_nothing_and_costs_nothing() -> None:
    setting = Setting(ANSWER)
    with pytest.raises(Unscored) as error:
        await setting.send(Deadline(5.0, -0.1))
    assert (error.value.reason, setting.calls) == (module.TIMEOUT, 0)
    assert setting.pool.spent() == Bill()
