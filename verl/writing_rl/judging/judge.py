"""The interface of a judge, and the table that turns a model name into one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from writing_rl.judging import prompts
from writing_rl.settings import JudgeSettings


@dataclass(frozen=True)
class Question:
    """Two answers to one writing task, in the order in which the judge sees them.

    Attributes:
        prompt: The writing task.
        answer_a: The text shown first.
        answer_b: The text shown second.
        criteria: What to judge by, or None for the default.
    """

    prompt: str
    answer_a: str
    answer_b: str
    criteria: str | None = None


@dataclass(frozen=True)
class Templates:
    """The judge's instructions: one template without and one with criteria of the sample."""

    default: str
    with_criteria: str

    _NEEDED = frozenset({"prompt", "answer_a", "answer_b"})

    def __post_init__(self) -> None:
        prompts.check_template("JUDGE_PROMPT", self.default, self._NEEDED)
        prompts.check_template("JUDGE_PROMPT_WITH_CRITERIA", self.with_criteria, self._NEEDED | {"criteria"})

    def messages(self, question: Question) -> list[dict[str, str]]:
        """The chat messages that ask a question."""
        values = {"prompt": question.prompt, "answer_a": question.answer_a, "answer_b": question.answer_b}
        if question.criteria is None:
            text = prompts.fill(self.default, values)
        else:
            text = prompts.fill(self.with_criteria, {**values, "criteria": question.criteria})
        return [{"role": "user", "content": text}]


class Judge(Protocol):
    """Answers a question with a text that ends in a verdict token."""

    #: One line about the judge for logs and reports.
    description: str

    async def answer(self, question: Question) -> str:
        """The judge's text.

        Raises:
            Unscored: No answer could be had for this question.
            JudgeError: No question can be answered (wrong key, unknown model).
        """
        ...


class LimitedJudge:
    """A judge with a limit on the requests in flight in this process."""

    def __init__(self, judge: Judge, limit: int) -> None:
        self._judge = judge
        self._slots = asyncio.Semaphore(limit)
        self.description = judge.description

    async def answer(self, question: Question) -> str:
        """The judge's text, once there is room for one more request; see `Judge.answer`."""
        async with self._slots:
            return await self._judge.answer(question)


def make_judge(settings: JudgeSettings, templates: Templates) -> Judge:
    """Makes the judge that the settings name.

    Raises:
        SettingError: No judge is set, or its key is missing.
    """
    # Imported here: the offline judge needs no HTTP client, and the scripts that only need one of them
    # start faster.
    if settings.model == "offline":
        from writing_rl.judging.offline_judge import OfflineJudge

        return OfflineJudge()
    from writing_rl.judging.openai_compatible import OpenAICompatibleJudge

    return OpenAICompatibleJudge(settings, templates)
