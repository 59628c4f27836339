"""One judged comparison: from a policy's text and a reference to an outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from writing_rl.errors import Unscored
from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.client.request_queue import Deadline
from writing_rl.judging.judge import Judge, Question
from writing_rl.judging.rules import Rules
from writing_rl.judging.verdict import Outcome, Verdict, combine, outcome_of, parse_verdict
from writing_rl.judging.vote import decide
from writing_rl.text.thinking import judged_text

#: The reason of a loss without a call: nothing is left of the response once its thinking part is gone.
NO_ANSWER = "no_answer"


@dataclass(frozen=True)
class Call:
    """One answered request to a judge.

    Attributes:
        judge: Its name.
        policy_slot: Where the policy's text stood, `Verdict.A` (first) or `Verdict.B`.
        answer: What the judge said.
        verdict: The verdict in it, or None.
    """

    judge: str
    policy_slot: Verdict
    answer: Answer
    verdict: Verdict | None


@dataclass(frozen=True)
class Comparison:
    """What came of a comparison.

    Attributes:
        outcome: The policy's outcome.
        votes: The outcome by each judge, in the order of the judges; empty where none was asked.
        reason: Why it is unscored, or why no judge was asked; empty otherwise.
        flipped: Whether two orders gave a judge different verdicts (strategy `position-both`).
        detail: What there is to know about the reason, such as the last message of the judge's provider.
        calls: The judges' answers, in the order of judges and strategy.
    """

    outcome: Outcome
    votes: tuple[Outcome, ...] = ()
    reason: str = ""
    flipped: bool = False
    detail: str = field(default="", compare=False)
    calls: tuple[Call, ...] = field(default=(), compare=False)

    def without_calls(self) -> Comparison:
        """The same without the judges' answers, which are long; see `Usage` for what they took."""
        return replace(self, calls=())


async def compare(
    judges: Sequence[Judge],
    rules: Rules,
    *,
    prompt: str,
    response: str,
    reference: str,
    criteria: str | None = None,
) -> Comparison:
    """Compares a response with a reference.

    Args:
        judges: Who decides.
        rules: How.
        prompt: The writing task.
        response: The policy's decoded response, thinking part included.
        reference: The sample's current reference.
        criteria: The sample's criteria, if it has any.

    Returns:
        The outcome. A response without an answer loses without a call; a comparison that got no verdict is
        `UNSCORED` with its reason.

    Raises:
        JudgeError: A judge cannot be used at all, or the budget is spent.
    """
    text = judged_text(response)
    if not text:
        return Comparison(Outcome.LOSS, reason=NO_ANSWER)
    return await judge_texts(judges, rules, prompt, text, reference, criteria)


async def judge_texts(
    judges: Sequence[Judge],
    rules: Rules,
    prompt: str,
    text: str,
    reference: str,
    criteria: str | None = None,
) -> Comparison:
    """Compares two texts as they are; arguments, result and errors as those of `compare`."""
    asked = [
        (judge, slot, _question(slot, prompt, text, reference, criteria))
        for judge in judges
        for slot in rules.strategy.policy_slots
    ]
    # A single question is asked before other tasks have their turn: it may fill a slot that lies idle.
    orders = [await _ask(*asked[0], rules)] if len(asked) == 1 else await _ask_all(asked, rules)
    count = len(rules.strategy.policy_slots)
    by_judge = [orders[first : first + count] for first in range(0, len(orders), count)]
    votes = tuple(_vote(orders_of_one) for orders_of_one in by_judge)
    outcome = decide(votes, rules.vote)
    failed = next((order.unscored for order in orders if order.unscored), None)
    unscored = failed if outcome is Outcome.UNSCORED else None
    return Comparison(
        outcome,
        votes,
        reason=unscored.reason if unscored else "",
        flipped=any(_flipped(orders_of_one) for orders_of_one in by_judge),
        detail=unscored.detail if unscored else "",
        calls=tuple(call for order in orders for call in order.calls),
    )


@dataclass
class _Order:
    """What came of asking a judge in one order: calls, and an outcome or why there is none."""

    calls: list[Call] = field(default_factory=list)
    outcome: Outcome = Outcome.UNSCORED
    unscored: Unscored | None = None


def _vote(orders: Sequence[_Order]) -> Outcome:
    """What a judge says in all orders together."""
    outcomes = [order.outcome for order in orders]
    return Outcome.UNSCORED if Outcome.UNSCORED in outcomes else combine(outcomes)


def _flipped(orders: Sequence[_Order]) -> bool:
    outcomes = {order.outcome for order in orders}
    return Outcome.UNSCORED not in outcomes and len(outcomes) > 1


def _question(slot: Verdict, prompt: str, text: str, reference: str, criteria: str | None) -> Question:
    first, second = (text, reference) if slot is Verdict.A else (reference, text)
    return Question(prompt, first, second, criteria)


async def _ask_all(asked: Sequence[tuple[Judge, Verdict, Question]], rules: Rules) -> list[_Order]:
    # All are waited for, whatever comes of one: what is under way is still paid for and counted.
    results = await asyncio.gather(*(_ask(*order, rules) for order in asked), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if isinstance(result, _Order)]


async def _ask(judge: Judge, slot: Verdict, question: Question, rules: Rules) -> _Order:
    order = _Order()
    deadline = Deadline.of(rules.deadline_s)
    for _ in range(1 + rules.ask_again):
        try:
            answer = await judge.answer(question, deadline)
        except Unscored as unscored:
            order.unscored = unscored
            return order
        # What is cut off has not come to its last line, and may only have quoted the form of a verdict.
        verdict = None if answer.truncated else parse_verdict(answer.text)
        order.calls.append(Call(judge.name, slot, answer, verdict))
        if verdict is not None:
            order.outcome = outcome_of(verdict, slot)
            return order
        question = replace(question, unread=answer.text)
    reason = "truncated" if answer.truncated else "no_verdict"
    order.unscored = Unscored(reason, f"the answer ends in {question.unread.strip()[-80:]!r}")
    return order
