from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from writing_rl.errors import JudgeError, Unscored
from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.client.request_queue import Deadline
from writing_rl.judging.compare import Comparison, compare
from writing_rl.judging.judge import Question
from writing_rl.judging.rules import Rules
from writing_rl.judging.verdict import Outcome, Strategy, Verdict
from writing_rl.judging.vote import VoteRule

POLICY, REFERENCE = "The policy's text.", "The reference."


class FakeJudge:
    """Answers by a function and keeps what it was asked."""

    name = description = "a fake"

    def __init__(self, answer: Callable[[Question], str]) -> None:
        self._answer = answer
        self.questions: list[Question] = []
        self.deadlines: list[Deadline] = []

    async def answer(self, question: Question, deadline: Deadline) -> Answer:
        self.questions.append(question)
        self.deadlines.append(deadline)
        return Answer(self._answer(question), prompt_tokens=3, completion_tokens=2, latency_s=0.5)

    async def close(self) -> None: ...


def prefers(text: str) -> FakeJudge:
    """A judge that prefers one text, wherever it stands."""
    return FakeJudge(lambda question: "[[A]]" if question.answer_a == text else "[[B]]")


def says(text: str) -> FakeJudge:
    """A judge that always says the same."""
    return FakeJudge(lambda _: text)


def fails(error: Exception) -> FakeJudge:
    """A judge that cannot answer."""

    def answer(question: Question) -> str:
        raise error

    return FakeJudge(answer)


async def ask(
    judge: FakeJudge | list[FakeJudge], strategy: Strategy, response: str = POLICY, **rules: Any
) -> Comparison:
    return await compare(
        judge if isinstance(judge, list) else [judge],
        Rules(strategy, **rules),
        prompt="The task.",
        response=response,
        reference=REFERENCE,
        criteria="Be kind.",
    )


def one(outcome: Outcome, **more: Any) -> Comparison:
    """What comes of a comparison by one judge."""
    return Comparison(outcome, (outcome,), **more)


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize(("preferred", "outcome"), [(POLICY, Outcome.WIN), (REFERENCE, Outcome.LOSS)])
async def test_a_judge_that_knows_decides_in_every_order(
    strategy: Strategy, preferred: str, outcome: Outcome
) -> None:
    assert await ask(prefers(preferred), strategy) == one(outcome)


@pytest.mark.parametrize("strategy", Strategy)
async def test_a_tie_is_a_tie(strategy: Strategy) -> None:
    assert await ask(says("[[C]]"), strategy) == one(Outcome.TIE)


@pytest.mark.parametrize(
    ("strategy", "orders"),
    [
        (Strategy.DISADVANTAGE, [(REFERENCE, POLICY)]),
        (Strategy.ADVANTAGE, [(POLICY, REFERENCE)]),
        (Strategy.BOTH, [(REFERENCE, POLICY), (POLICY, REFERENCE)]),
    ],
)
async def test_the_judge_sees_the_texts_in_the_order_of_the_strategy(
    strategy: Strategy, orders: list[tuple[str, str]]
) -> None:
    judge = says("[[C]]")
    await ask(judge, strategy)
    assert sorted(judge.questions, key=str) == sorted(
        [Question("The task.", first, second, "Be kind.") for first, second in orders], key=str
    )


@pytest.mark.parametrize("verdict", ["[[A]]", "[[B]]"])
async def test_a_judge_that_prefers_a_position_gives_a_tie_over_both_orders(verdict: str) -> None:
    assert await ask(says(verdict), Strategy.BOTH) == one(Outcome.TIE, flipped=True)


@pytest.mark.parametrize(
    ("strategy", "verdict", "outcome"),
    [
        (Strategy.DISADVANTAGE, "[[B]]", Outcome.WIN),
        (Strategy.DISADVANTAGE, "[[A]]", Outcome.LOSS),
        (Strategy.ADVANTAGE, "[[A]]", Outcome.WIN),
        (Strategy.ADVANTAGE, "[[B]]", Outcome.LOSS),
    ],
)
async def test_the_letter_means_the_slot(strategy: Strategy, verdict: str, outcome: Outcome) -> None:
    assert await ask(says(verdict), strategy) == one(outcome)


@pytest.mark.parametrize("response", ["", " \n", "<think>plan", "<think>plan</think>", "plan</think>\n"])
@pytest.mark.parametrize("strategy", Strategy)
async def test_a_response_without_an_answer_loses_without_a_call(strategy: Strategy, response: str) -> None:
    judge = prefers(response)
    assert await ask(judge, strategy, response) == Comparison(Outcome.LOSS, reason="no_answer")
    assert judge.questions == []


async def test_the_judge_never_sees_the_thinking_part() -> None:
    judge = says("[[C]]")
    await ask(judge, Strategy.ADVANTAGE, f"<think>secret plan</think>\n{POLICY}")
    assert judge.questions[0].answer_a == POLICY


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("text", ["Assistant B is clearly better.", "I cannot judge this.", "[[A]] [[B]]"])
async def test_a_text_without_a_verdict_is_unscored(strategy: Strategy, text: str) -> None:
    assert await ask(says(text), strategy) == one(Outcome.UNSCORED, reason="no_verdict")


@pytest.mark.parametrize("strategy", Strategy)
async def test_a_judge_that_does_not_answer_leaves_it_unscored(strategy: Strategy) -> None:
    judge = fails(Unscored("timeout", "no answer within 3 s"))
    assert await ask(judge, strategy) == one(Outcome.UNSCORED, reason="timeout")


@pytest.mark.parametrize("lost", [POLICY, REFERENCE])
async def test_one_lost_order_of_two_leaves_it_unscored(lost: str) -> None:
    judge = FakeJudge(lambda question: "?" if question.answer_a == lost else "[[A]]")
    assert (await ask(judge, Strategy.BOTH)).outcome is Outcome.UNSCORED


@pytest.mark.parametrize("strategy", Strategy)
async def test_a_judge_that_cannot_be_used_is_no_outcome(strategy: Strategy) -> None:
    with pytest.raises(JudgeError, match="refuses the key"):
        await ask(fails(JudgeError("the judge refuses the key")), strategy)


@pytest.mark.parametrize("strategy", Strategy)
async def test_an_answer_without_a_verdict_is_asked_for_one(strategy: Strategy) -> None:
    judge = FakeJudge(lambda question: "[[C]]" if question.unread else "Both have their merits.")
    comparison = await ask(judge, strategy)
    assert comparison == one(Outcome.TIE)
    orders = len(strategy.policy_slots)
    assert [call.verdict for call in comparison.calls] == [None, Verdict.TIE] * orders
    asked_again = [question for question in judge.questions if question.unread]
    assert len(asked_again) == orders
    assert {question.unread for question in asked_again} == {"Both have their merits."}


@pytest.mark.parametrize("times", [0, 1, 3])
async def test_it_is_asked_as_often_as_the_setting_says(times: int) -> None:
    judge = says("Hard to tell.")
    comparison = await ask(judge, Strategy.ADVANTAGE, ask_again=times)
    assert comparison == one(Outcome.UNSCORED, reason="no_verdict")
    assert "Hard to tell." in comparison.detail
    assert len(judge.questions) == len(comparison.calls) == 1 + times


async def test_the_other_order_is_waited_for() -> None:
    done = []

    class Slow(FakeJudge):
        async def answer(self, question: Question, deadline: Deadline) -> Answer:
            if question.answer_a == POLICY:
                raise Unscored("timeout", "too late")
            await asyncio.sleep(0.05)
            done.append(question)
            return Answer("[[A]]")

    comparison = await ask(Slow(str), Strategy.BOTH)
    assert comparison == one(Outcome.UNSCORED, reason="timeout")
    assert comparison.detail == "too late"
    # A request that goes on after its comparison has ended would hold a place that it no longer counts in.
    assert len(done) == len(comparison.calls) == 1


async def test_what_is_cut_off_holds_no_verdict_although_it_names_one() -> None:
    class Wordy(FakeJudge):
        async def answer(self, question: Question, deadline: Deadline) -> Answer:
            self.questions.append(question)
            return Answer("If the first is better I write [[A]]", truncated=not question.unread)

    judge = Wordy(str)
    assert (await ask(judge, Strategy.ADVANTAGE)).outcome is Outcome.WIN
    assert len(judge.questions) == 2
    assert await ask(judge, Strategy.ADVANTAGE, ask_again=0) == one(Outcome.UNSCORED, reason="truncated")


async def test_a_question_and_its_repetition_share_a_deadline_and_orders_do_not() -> None:
    judge = says("Hm.")
    await ask(judge, Strategy.BOTH, deadline_s=7.0)
    assert len(judge.deadlines) == 4
    assert len({id(deadline) for deadline in judge.deadlines}) == 2
    assert {deadline.whole_s for deadline in judge.deadlines} == {7.0}


@pytest.mark.parametrize("strategy", Strategy)
async def test_several_judges_decide_by_majority(strategy: Strategy) -> None:
    judges = [prefers(POLICY), prefers(REFERENCE), prefers(POLICY)]
    comparison = await ask(judges, strategy)
    assert comparison == Comparison(Outcome.WIN, (Outcome.WIN, Outcome.LOSS, Outcome.WIN))
    assert len(comparison.calls) == 3 * len(strategy.policy_slots)


async def test_one_of_three_judges_may_fail_and_two_may_not() -> None:
    broken = fails(Unscored("timeout", "too late"))
    votes = (Outcome.WIN, Outcome.UNSCORED, Outcome.WIN)
    judges = [prefers(POLICY), broken, prefers(POLICY)]
    assert await ask(judges, Strategy.BOTH, vote=VoteRule.MEAN) == Comparison(Outcome.WIN, votes)
    assert (await ask([prefers(POLICY), broken, broken], Strategy.BOTH)).reason == "timeout"


async def test_a_flip_of_one_judge_is_a_flip() -> None:
    assert (await ask([prefers(POLICY), says("[[A]]")], Strategy.BOTH)).flipped


async def test_what_is_under_way_when_a_judge_cannot_be_used_is_waited_for() -> None:
    done = []

    class Slow(FakeJudge):
        async def answer(self, question: Question, deadline: Deadline) -> Answer:
            if question.answer_a == POLICY:
                raise JudgeError("the judge's budget is spent")
            await asyncio.sleep(0.02)
            done.append(question)
            return Answer("[[A]]")

    with pytest.raises(JudgeError, match="budget"):
        await ask(Slow(str), Strategy.BOTH)
    assert len(done) == 1


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize(
    "response", ["\u200b", "\ufeff \u202e", "<think>plan</think>\u2800", "[THINK]plan[/THINK]"]
)
async def test_a_response_that_shows_nothing_loses_without_a_call(strategy: Strategy, response: str) -> None:
    judge = prefers(response)
    assert await ask(judge, strategy, response) == Comparison(Outcome.LOSS, reason="no_answer")
    assert judge.questions == []


async def test_a_policys_thinking_never_reaches_the_judge() -> None:
    judge = prefers(POLICY)
    for response in (
        f"<think>SECRET</think>{POLICY}",
        f"SECRET</seed:think>{POLICY}",
        f"[THINK]SECRET[/THINK]{POLICY}",
    ):
        assert await ask(judge, Strategy.ADVANTAGE, response) == one(Outcome.WIN)
    assert {question.answer_a for question in judge.questions} == {POLICY}


@pytest.mark.parametrize(
    "answer",
    [
        "<think>\nText A opens better, so [[A]]?\n</think>\n\nText B is the better one: it finishes.",
        "Text A has the better opening, so [[A]]?\n</think>\n\nText B is the better one: it finishes.",
        "<think>\nText A has the better opening, so [[A]]",
    ],
)
async def test_a_verdict_within_thinking_is_none_and_is_asked_for(answer: str) -> None:
    answers = iter([answer, "[[B]]"])
    judge = FakeJudge(lambda _: next(answers))
    comparison = await ask(judge, Strategy.DISADVANTAGE)
    assert comparison == one(Outcome.WIN)
    assert [call.verdict for call in comparison.calls] == [None, Verdict.B]
    assert (await ask(says(answer), Strategy.DISADVANTAGE)).reason == "no_verdict"
