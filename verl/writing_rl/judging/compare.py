"""One judged comparison: from a policy's text and a reference to an outcome."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from writing_rl.errors import Unscored
from writing_rl.judging.judge import Answer, Judge, Question
from writing_rl.judging.text import strip_thinking
from writing_rl.judging.verdict import Outcome, Strategy, Verdict, combine, outcome_of, parse_verdict

#: The reason of a loss without a call: nothing is left of the response once its thinking part is gone.
NO_ANSWER = "no_answer"


@dataclass(frozen=True)
class Call:
    """One answered request to the judge.

    Attributes:
        policy_slot: Where the policy's text stood, `Verdict.A` (first) or `Verdict.B`.
        answer: What the judge said.
        verdict: The verdict in it, or None.
    """

    policy_slot: Verdict
    answer: Answer
    verdict: Verdict | None


@dataclass(frozen=True)
class Comparison:
    """What came of a comparison.

    Attributes:
        outcome: The policy's outcome.
        reason: Why it is unscored, or why no judge was asked; empty otherwise.
        flipped: Whether two orders gave different verdicts (strategy `position-both`).
        detail: What there is to know about the reason, such as the last message of the judge's provider.
        calls: The judge's answers, in the order of the strategy.
    """

    outcome: Outcome
    reason: str = ""
    flipped: bool = False
    detail: str = field(default="", compare=False)
    calls: tuple[Call, ...] = field(default=(), compare=False)

    def without_texts(self) -> Comparison:
        """The same without the judge's texts, which are long and which nobody counts."""
        calls = (replace(call, answer=replace(call.answer, text="")) for call in self.calls)
        return replace(self, calls=tuple(calls))


async def compare(
    judge: Judge,
    strategy: Strategy,
    *,
    prompt: str,
    response: str,
    reference: str,
    criteria: str | None = None,
    ask_again: int = 1,
) -> Comparison:
    """Compares a response with a reference.

    Args:
        judge: Who decides.
        strategy: In which order or orders the judge sees the two texts.
        prompt: The writing task.
        response: The policy's decoded response, thinking part included.
        reference: The sample's current reference.
        criteria: The sample's criteria, if it has any.
        ask_again: How often an answer without a verdict is asked for one.

    Returns:
        The outcome. A response without an answer loses without a call; a comparison that got no verdict is
        `UNSCORED` with its reason.

    Raises:
        JudgeError: The judge cannot be used at all.
    """
    text = strip_thinking(response)
    if not text:
        return Comparison(Outcome.LOSS, reason=NO_ANSWER)
    return await judge_texts(judge, strategy, prompt, text, reference, criteria, ask_again)


async def judge_texts(
    judge: Judge,
    strategy: Strategy,
    prompt: str,
    text: str,
    reference: str,
    criteria: str | None = None,
    ask_again: int = 1,
) -> Comparison:
    """Compares two texts as they are; arguments, result and errors as those of `compare`."""
    orders = await asyncio.gather(
        *(
            _ask(judge, slot, _question(slot, prompt, text, reference, criteria), ask_again)
            for slot in strategy.policy_slots
        )
    )
    calls = tuple(call for order in orders for call in order.calls)
    for order in orders:
        if order.unscored is not None:
            reason, detail = order.unscored.reason, order.unscored.detail
            return Comparison(Outcome.UNSCORED, reason, detail=detail, calls=calls)
    outcomes = [outcome_of(order.verdict, order.calls[-1].policy_slot) for order in orders]
    return Comparison(combine(outcomes), flipped=len(set(outcomes)) > 1, calls=calls)


@dataclass
class _Order:
    """What came of asking in one order: calls and, in the last of them, a verdict; or why there is none."""

    calls: list[Call] = field(default_factory=list)
    unscored: Unscored | None = None

    @property
    def verdict(self) -> Verdict:
        verdict = self.calls[-1].verdict
        assert verdict is not None
        return verdict


def _question(slot: Verdict, prompt: str, text: str, reference: str, criteria: str | None) -> Question:
    first, second = (text, reference) if slot is Verdict.A else (reference, text)
    return Question(prompt, first, second, criteria)


async def _ask(judge: Judge, slot: Verdict, question: Question, ask_again: int) -> _Order:
    order = _Order()
    for _ in range(1 + ask_again):
        try:
            answer = await judge.answer(question)
        except Unscored as unscored:
            order.unscored = unscored
            return order
        order.calls.append(Call(slot, answer, parse_verdict(answer.text)))
        if order.calls[-1].verdict is not None:
            return order
        question = replace(question, unread=answer.text)
    order.unscored = Unscored("no_verdict", f"the answer ends in {question.unread.strip()[-80:]!r}")
    return order
