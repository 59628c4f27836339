"""Two models write to the same prompt, and a judge compares what they wrote."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from writing_rl.data.ask_missing import billed
from writing_rl.data.generate import Generation, questions_of
from writing_rl.data.prompt_files import Prompt
from writing_rl.data.writers import Writer
from writing_rl.errors import JudgeError, Unscored
from writing_rl.judging.client.chat_model import Answer
from writing_rl.judging.client.model import Model
from writing_rl.judging.client.request_queue import Deadline
from writing_rl.judging.compare import Comparison
from writing_rl.judging.judge import Judge
from writing_rl.judging.pairs import Pair, judge_pair
from writing_rl.judging.providers.answers import EMPTY
from writing_rl.judging.rules import Rules
from writing_rl.judging.verdict import Outcome
from writing_rl.text.thinking import judged_text

#: The reason of a comparison without a verdict because one of the texts could not be had.
NOT_WRITTEN = "not_written"


@dataclass(frozen=True)
class Text:
    """What a model wrote.

    Attributes:
        answer: Its answer; None where there is none.
        failed: Why there is none; empty where there is one.
    """

    answer: Answer | None
    failed: str = ""

    @property
    def shown(self) -> str:
        """What is to be read of it, without a thinking part."""
        return judged_text(self.answer.text) if self.answer else ""


#: Has a model write to a prompt.
Hand = Callable[[Prompt], Awaitable[Text]]


@dataclass(frozen=True)
class Round:
    """What came of a prompt.

    Attributes:
        prompt: The prompt.
        texts: What the two models wrote, the trained one first.
        comparison: What the judge says, as the outcome of the trained model; None without a judge.
        error: Why nothing more can be judged.
    """

    prompt: Prompt
    texts: tuple[Text, Text]
    comparison: Comparison | None = None
    error: JudgeError | None = None

    def line(self, names: tuple[str, str]) -> dict[str, Any]:
        """What is kept of it in a file."""
        kept: dict[str, Any] = {"prompt": self.prompt.prompt, **self.prompt.remarks}
        for side, name, text in zip(("model", "against"), names, self.texts, strict=True):
            kept[side] = {
                "name": name,
                "text": text.answer.text if text.answer else None,
                "failed": text.failed or None,
                "truncated": bool(text.answer and text.answer.truncated),
            }
        answers = [text.answer for text in self.texts if text.answer]
        if self.comparison:
            kept |= {
                "outcome": self.comparison.outcome.value,
                "reason": self.comparison.reason or None,
                "detail": self.comparison.detail or None,
                "flipped": self.comparison.flipped,
                "verdicts": [
                    {
                        "judge": call.judge,
                        "model_is": call.policy_slot.value,
                        "verdict": call.verdict.value if call.verdict else None,
                        "text": call.answer.text,
                    }
                    for call in self.comparison.calls
                ],
            }
            answers += [call.answer for call in self.comparison.calls]
        return {**kept, **billed(answers)}


@dataclass
class Tally:
    """How the trained model fares."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    rounds: int = 0

    def count(self, round: Round) -> None:
        """Adds a prompt."""
        self.rounds += 1
        if round.comparison:
            self.outcomes[round.comparison.outcome] += 1

    def describe(self) -> str:
        """One line, for a terminal."""
        counts = ", ".join(f"{outcome.value} {self.outcomes[outcome]}" for outcome in Outcome)
        scored = self.outcomes.total() - self.outcomes[Outcome.UNSCORED]
        rate = f"; win rate {self.outcomes[Outcome.WIN] / scored:.2f}" if scored else ""
        return f"{counts} of {self.rounds}{rate}"


@dataclass(frozen=True)
class Contest:
    """Who writes and who judges.

    Attributes:
        hands: What has the two models write, the trained one first.
        judges: Who judges; nobody without a judge.
        rules: How.
    """

    hands: tuple[Hand, Hand]
    judges: Sequence[Judge]
    rules: Rules

    async def play(
        self, prompt: Prompt, written: Callable[[tuple[Text, Text]], None] = lambda _: None
    ) -> Round:
        """Has both write, at the same time, and has that judged.

        Args:
            prompt: To what.
            written: Is told the texts before they are judged.

        Raises:
            JudgeError: A model that writes cannot be asked at all. Where that is so of a judge, the texts are
                not lost: see `Round.error`.
        """
        # Both are waited for, whatever comes of one: what is under way is still paid for and counted.
        results = await asyncio.gather(*(hand(prompt) for hand in self.hands), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        first, second = (result for result in results if isinstance(result, Text))
        written((first, second))
        if not self.judges:
            return Round(prompt, (first, second))
        failed = next((text.failed for text in (first, second) if text.failed), "")
        if failed:
            comparison = Comparison(Outcome.UNSCORED, reason=NOT_WRITTEN, detail=failed)
            return Round(prompt, (first, second), comparison)
        texts = [text.answer.text if text.answer else "" for text in (first, second)]
        pair = Pair(0, prompt.prompt, texts[0], texts[1], prompt.remarks.get("criteria"))
        try:
            return Round(prompt, (first, second), await judge_pair(self.judges, pair, self.rules))
        except JudgeError as error:
            comparison = Comparison(Outcome.UNSCORED, reason="judge_error", detail=str(error))
            return Round(prompt, (first, second), comparison, error)


def hand_of(model: Model, writer: Writer, generation: Generation) -> Hand:
    """Has a model write that can be asked."""

    async def write(prompt: Prompt) -> Text:
        (question,) = questions_of(prompt, writer, generation)
        try:
            return Text(await model.complete(question.messages, Deadline.of(generation.models.deadline_s)))
        except Unscored as unscored:
            if unscored.reason == EMPTY:  # it ended before its first word
                return Text(None)
            return Text(None, f"{unscored.reason}: {unscored.detail}" if unscored.detail else unscored.reason)

    return write


def hand_with(texts: dict[str, Text]) -> Hand:
    """Gives what a model wrote before, by prompt."""

    async def write(prompt: Prompt) -> Text:
        return texts[prompt.prompt]

    return write
