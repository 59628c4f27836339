"""One judged comparison: from a policy's text and a reference to an outcome."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from writing_rl.errors import Unscored
from writing_rl.judging.judge import Judge, Question
from writing_rl.judging.text import strip_thinking
from writing_rl.judging.verdict import Outcome, Strategy, Verdict, combine, outcome_of, parse_verdict


@dataclass(frozen=True)
class Comparison:
    """What came of a comparison.

    Attributes:
        outcome: The policy's outcome.
        reason: Why it is unscored, or why no judge was asked; empty otherwise.
        flipped: Whether two orders gave different verdicts (strategy `position-both`).
    """

    outcome: Outcome
    reason: str = ""
    flipped: bool = False


async def compare(
    judge: Judge,
    strategy: Strategy,
    *,
    prompt: str,
    response: str,
    reference: str,
    criteria: str | None = None,
) -> Comparison:
    """Compares a response with a reference.

    Args:
        judge: Who decides.
        strategy: In which order or orders the judge sees the two texts.
        prompt: The writing task.
        response: The policy's decoded response, thinking part included.
        reference: The sample's current reference.
        criteria: The sample's criteria, if it has any.

    Returns:
        The outcome. A response without an answer loses without a call; a comparison that got no verdict is
        `UNSCORED` with its reason.

    Raises:
        JudgeError: The judge cannot be used at all.
    """
    answer = strip_thinking(response)
    if not answer:
        return Comparison(Outcome.LOSS, reason="no_answer")
    try:
        outcomes = await asyncio.gather(
            *(_ask(judge, slot, prompt, answer, reference, criteria) for slot in strategy.policy_slots)
        )
    except Unscored as unscored:
        return Comparison(Outcome.UNSCORED, reason=unscored.reason)
    return Comparison(combine(outcomes), flipped=len(set(outcomes)) > 1)


async def _ask(
    judge: Judge, policy_slot: Verdict, prompt: str, answer: str, reference: str, criteria: str | None
) -> Outcome:
    first, second = (answer, reference) if policy_slot is Verdict.A else (reference, answer)
    text = await judge.answer(Question(prompt, first, second, criteria))
    verdict = parse_verdict(text)
    if verdict is None:
        raise Unscored("no_verdict")
    return outcome_of(verdict, policy_slot)
